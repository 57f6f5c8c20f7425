"""Both brokers, for real: who may connect, say and hear what. A certificate's name is all that counts."""

import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloud.ports.pki import CLOUD_NAME, Pki
from common import crypto, topics
from tests.support import brokers
from tests.support.brokers import WAIT, Broker, Client

KINDS = ["amqtt", pytest.param("mosquitto", marks=pytest.mark.skipif(brokers.MOSQUITTO is None, reason="mosquitto is not installed"))]
ME, NEIGHBOUR, FOREIGNER = ("h1", "x"), ("h1", "y"), ("h2", "x")


@pytest.fixture(scope="module", params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.running(request.param, tmp_path_factory.mktemp("broker")) as made:
        yield made


def other_peoples_topics() -> list[str]:
    """Every topic of the grammar that is not mine to say, and some outside of it."""
    others = [topics.up(*who, kind) for who in (NEIGHBOUR, FOREIGNER) for kind in sorted(topics.UP_KINDS)]
    downs = [topics.down(*who, kind) for who in (ME, NEIGHBOUR, FOREIGNER) for kind in sorted(topics.DOWN_KINDS)]
    return [*others, *downs, "t/h1/a/xx/up/raw", "t/h1/a/x", "t/h1/up/raw", "t/h1/a/x/upper/raw", "t/jianlian-cloud/up/raw"]


def test_each_direction_carries_its_messages(broker: Broker) -> None:
    with brokers.cloud(broker) as cloud, brokers.agent(broker, *ME) as me:
        for kind in sorted(topics.UP_KINDS):
            me.publish(topics.up(*ME, kind), kind.encode())
            assert cloud.heard.get(timeout=WAIT) == (topics.up(*ME, kind), kind.encode())
        for kind in sorted(topics.DOWN_KINDS):
            cloud.publish(topics.down(*ME, kind), kind.encode())
            assert me.heard.get(timeout=WAIT) == (topics.down(*ME, kind), kind.encode())


def test_nothing_i_say_on_a_foreign_topic_arrives_anywhere(broker: Broker) -> None:
    with brokers.cloud(broker) as cloud, brokers.agent(broker, *ME) as me:
        with brokers.agent(broker, *NEIGHBOUR) as neighbour, brokers.agent(broker, *FOREIGNER) as foreigner:
            for topic in other_peoples_topics():
                me.publish(topic, b"forged")
            me.publish(topics.up(*ME, "raw"), b"mine")
            assert cloud.hear_until(b"mine") == []
            for who, client in ((ME, me), (NEIGHBOUR, neighbour), (FOREIGNER, foreigner)):
                cloud.publish(topics.down(*who, "receipt"), b"end")
                assert client.hear_until(b"end") == []


def test_no_subscription_lets_me_hear_others(broker: Broker) -> None:
    wide = ["#", "t/#", "+/+/+/+/+/+", "t/+/a/+/up/+", "t/+/a/+/down/+", "t/h1/a/+/down/receipt", "t/h1/a/#", "t/h2/#"]
    shared = ["$share/g/t/h1/a/y/down/+", "$share/g/t/+/a/+/up/+"]
    with brokers.cloud(broker) as cloud, brokers.agent(broker, *ME) as me:
        for topic in [*wide, *shared, *other_peoples_topics()]:
            me.mqtt.subscribe(topic, qos=1)
        with brokers.agent(broker, *NEIGHBOUR) as neighbour, brokers.agent(broker, *FOREIGNER) as foreigner:
            for who, client in ((NEIGHBOUR, neighbour), (FOREIGNER, foreigner)):
                for kind in sorted(topics.UP_KINDS):
                    client.publish(topics.up(*who, kind), b"theirs")
                for kind in sorted(topics.DOWN_KINDS):
                    cloud.publish(topics.down(*who, kind), b"theirs")
                cloud.publish(topics.down(*who, "time"), b"end")
                client.hear_until(b"end")
        cloud.publish(topics.down(*ME, "receipt"), b"end")
        assert me.hear_until(b"end") == []


def test_a_foreign_client_id_neither_takes_nor_ends_a_session(broker: Broker) -> None:
    with brokers.cloud(broker) as cloud, brokers.agent(broker, *NEIGHBOUR) as neighbour:
        for clean in (True, False):
            pair = brokers.agent_pair(broker.pki, *ME)
            thief = brokers.make_client(broker.pki, pair, topics.client_name(*NEIGHBOUR), clean=clean)
            if brokers.connect(thief, broker.agent_port) == 0:  # Mosquitto gives it its own name instead
                thief.mqtt.subscribe(topics.down_filter(*NEIGHBOUR), qos=1)
            cloud.publish(topics.down(*NEIGHBOUR, "receipt"), b"for the neighbour")
            assert neighbour.hear_until(b"for the neighbour") == []
            assert thief.heard.empty()
            assert neighbour.gone.empty()
            thief.close()


def test_a_last_will_stays_in_its_own_place(broker: Broker) -> None:
    with brokers.cloud(broker) as cloud:
        for who, expected in ((NEIGHBOUR, False), (ME, True)):
            client = brokers.make_client(broker.pki, brokers.agent_pair(broker.pki, *ME), topics.client_name(*ME))
            client.mqtt.will_set(topics.up(*who, "lwt"), b"gone")
            if brokers.connect(client, broker.agent_port) == 0:
                _cut_the_line(client)
            client.mqtt.loop_stop()
            if expected:
                assert cloud.heard.get(timeout=WAIT) == (topics.up(*ME, "lwt"), b"gone")
        assert cloud.heard.empty()


def test_without_our_certificate_nobody_gets_in(broker: Broker, tmp_path: Path) -> None:
    stranger = Pki(tmp_path / "other").ensure(datetime.now(UTC))
    foreign = brokers.agent_pair(stranger, *ME)
    for pair in (None, foreign, stranger.pair(CLOUD_NAME)):
        for port in (broker.agent_port, broker.cloud_port):
            client = brokers.make_client(broker.pki, pair, topics.client_name(*ME))
            assert brokers.connect(client, port) != 0
            client.mqtt.loop_stop()


def test_a_revoked_agent_is_refused_and_its_session_cut(broker: Broker) -> None:
    with brokers.agent(broker, *NEIGHBOUR) as neighbour, brokers.agent(broker, *ME) as me:
        serial = crypto.load_certificate(broker.pki.pair("agent-h1-x").certificate.read_bytes()).serial_number
        broker.pki.authority().write_revoked([serial], datetime.now(UTC))
        if broker.kind == "mosquitto":
            # Mosquitto reads the list at its start only: the path unit in infra/systemd restarts it. Agents come back by themselves.
            broker.restart()
        assert me.gone.get(timeout=WAIT) != 0
        again = brokers.make_client(broker.pki, broker.pki.pair("agent-h1-x"), topics.client_name(*ME))
        assert brokers.connect(again, broker.agent_port) != 0
        again.mqtt.loop_stop()
        if broker.kind == "amqtt":
            assert neighbour.gone.empty()
    with brokers.agent(broker, *NEIGHBOUR):
        pass
    broker.pki.authority().write_revoked([], datetime.now(UTC))
    if broker.kind == "mosquitto":
        broker.restart()


@pytest.mark.skipif(brokers.MOSQUITTO is None, reason="mosquitto is not installed")
def test_mosquitto_does_not_start_without_its_rules(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki").ensure(datetime.now(UTC))
    config = brokers.mosquitto_files(tmp_path, pki, brokers.free_port(), brokers.free_port())
    (tmp_path / "acl.conf").unlink()
    ended = subprocess.run([brokers.MOSQUITTO or "", "-c", str(config)], capture_output=True, timeout=WAIT)
    assert ended.returncode != 0


def _cut_the_line(client: Client) -> None:
    """End the TCP connection without MQTT's goodbye."""
    client.mqtt.loop_stop()
    socket = client.mqtt.socket()
    assert socket is not None
    socket.close()
    time.sleep(0.1)
