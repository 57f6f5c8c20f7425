"""The intake with a real Mosquitto, client certificates and its rules: the whole way of a message and its receipt."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cloud.db.session import Database
from cloud.modules.edge import handlers, service
from cloud.modules.edge.intake import run_intake
from cloud.ports.ca import write_secret
from cloud.ports.pki import CLOUD_NAME
from common import crypto, envelope, topics
from tests.cloud.edge.world import Edge, astm
from tests.support import brokers
from tests.support.brokers import WAIT, Broker, Client

pytestmark = pytest.mark.skipif(brokers.MOSQUITTO is None, reason="mosquitto is not installed")


@pytest.fixture
def broker(edge: Edge, tmp_path: Path) -> Iterator[Broker]:
    """Mosquitto with this hospital's CA."""
    with brokers.running("mosquitto", tmp_path) as made:
        yield made


@contextmanager
def intake(edge: Edge, broker: Broker) -> Iterator[None]:
    """The intake process's own code, in a thread."""
    pair = broker.pki.pair(CLOUD_NAME)
    settings = replace(
        edge.lab.settings, mqtt_host="127.0.0.1", mqtt_port=broker.cloud_port, mqtt_ca=str(broker.pki.ca_file),
        mqtt_cert=str(pair.certificate), mqtt_key=str(pair.key),
    )  # fmt: skip
    db, stop = Database(settings.database_url, secret=settings.secret), threading.Event()
    thread = threading.Thread(target=run_intake, args=(settings, db, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(WAIT)
        db.dispose()


@contextmanager
def connected(edge: Edge, broker: Broker) -> Iterator[Client]:
    """The registered agent at the broker."""
    pair = broker.pki.pair("me")
    write_secret(pair.key, crypto.private_pem(edge.agent.key))
    pair.certificate.write_text(edge.rows("SELECT certificate FROM agent WHERE uuid = :u", u=edge.agent.uuid)[0][0])
    client = brokers.make_client(broker.pki, pair, topics.client_name("a", edge.agent.uuid))
    client.mqtt.will_set(topics.up("a", edge.agent.uuid, "lwt"), b"", qos=1)
    assert brokers.connect(client, broker.agent_port) == 0
    client.subscribe(topics.down_filter("a", edge.agent.uuid))
    try:
        yield client
    finally:
        client.close()


def hear(edge: Edge, client: Client, kind: str) -> Any:
    """The next message of a kind, its signature checked."""
    while True:
        topic, payload = client.heard.get(timeout=WAIT)
        found = envelope.parse(payload)
        assert envelope.verify(found, edge.cloud_key) and topic == topics.down("a", edge.agent.uuid, found.header.kind)
        if found.header.kind == kind:
            return found.json()


def eventually(true: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_the_whole_way(edge: Edge, broker: Broker) -> None:
    barcode = edge.tube()
    body = astm(barcode, {"K": "4.1"})
    with connected(edge, broker) as me:
        first = edge.agent.raw(body)
        me.publish(first.topic, first.payload)  # before the intake exists: nobody receipts it
        with intake(edge, broker):
            eventually(lambda: me.publish(first.topic, first.payload) or not me.heard.empty())
            assert hear(edge, me, "receipt") == {"stream": edge.agent.stream, "items": [[1, crypto.sha256_hex(body)]]}
            assert edge.current(barcode) == {"K": "4.1"}
            # a heartbeat: the time and the worklist come
            beat = edge.agent.say("status", {"config_version": 1, "connections": []}, at=datetime.now(UTC).isoformat())
            me.publish(beat.topic, beat.payload)
            assert hear(edge, me, "time")["at"]
            assert [t["barcode"] for t in hear(edge, me, "worklist")["tubes"]] == [barcode]
            # an event of the worker goes down through the table
            with edge.lab.uow() as uow:
                handlers.on_tube(uow, {"specimen_id": uow.s.scalar(text("SELECT id FROM specimen"))})
            assert [t["barcode"] for t in hear(edge, me, "worklist")["tubes"]] == [barcode]
            eventually(lambda: edge.rows("SELECT sent_at FROM downlink")[0][0])
            # a change of the configuration goes down at once
            with edge.lab.uow() as uow:
                service.save_connection(uow, edge.agent.id, service.NewConnection("x", "新", None, "hl7", port="5009"))
            assert [c["key"] for c in hear(edge, me, "config")["connections"]] == ["au1", "x"]
            # a lie is refused; the broker itself acknowledged it
            lie = edge.agent.raw(body, tenant="b")
            me.publish(lie.topic, lie.payload)
            eventually(lambda: edge.rows("SELECT kind FROM edge_alarm") == [("header_differs",)])
            # the line is cut: the last will makes the tile grey
            assert edge.rows("SELECT status ? 'gone' FROM agent") == [(False,)]
            sock = me.mqtt.socket()
            assert sock is not None
            me.mqtt.loop_stop()
            sock.close()
            eventually(lambda: edge.rows("SELECT status ? 'gone' FROM agent") == [(True,)])


def test_a_revoked_agent_gets_no_receipt_within_seconds(edge: Edge, broker: Broker) -> None:
    with connected(edge, broker) as me, intake(edge, broker):
        first = edge.agent.raw(astm(edge.tube(), {"K": "4.1"}))
        eventually(lambda: me.publish(first.topic, first.payload) or not me.heard.empty())
        with edge.lab.uow() as uow:
            service.revoke(uow, edge.agent.id, "测试", edge.lab.settings)
        second = edge.agent.raw(astm(edge.tube(), {"K": "4.2"}))
        me.publish(second.topic, second.payload)
        eventually(lambda: edge.rows("SELECT kind FROM edge_alarm") == [("revoked",)])
        # the first message went out more than once, so receipts of it may still be on their way: only 2 may not be among them
        receipted = set()
        while not me.heard.empty():
            found = envelope.parse(me.heard.get()[1])
            if found.header.kind == "receipt":
                receipted |= {number for number, _ in found.json()["items"]}
        assert receipted == {1}
        assert edge.rows("SELECT count(*) FROM raw_message") == [(1,)]


def test_duplicated_and_shuffled_traffic_ends_in_the_state_of_the_clean_run(edge: Edge) -> None:
    """F9 in small: 30 % duplicates, shuffled in a window, replayed whole afterwards: the same state, byte for byte."""
    dice = random.Random(7)
    tubes = [edge.tube() for _ in range(6)]
    bodies = []
    for n in range(60):
        tube = tubes[n % 6]
        bodies.append(astm(tube, {"GLU": f"{5 + n / 100:.2f}", "ODD": str(n)}, time=f"2026050410{n:02d}00"))
        if n % 5 == 0:
            bodies.append(astm(tube, {"CREA": str(60 + n)}, time=""))
            bodies.append(bodies[-1])  # an instrument's resend, without a run time
    clean = [edge.agent.raw(b) for b in bodies]
    other = replace(edge.agent, stream="other", numbers=iter(range(1, 10**6)))
    wild = [m for m in [other.raw(b) for b in bodies] for _ in range(1 + (dice.random() < 0.3))]
    for i in range(0, len(wild), 40):
        part = wild[i : i + 40]
        dice.shuffle(part)
        wild[i : i + 40] = part
    edge.take(*clean)
    expected = state(edge, edge.agent.stream)
    with edge.lab.uow() as uow:
        for table in ("result_version", "test", "observation", "raw_message"):
            uow.s.execute(text("UPDATE test /* by hand */ SET current_id = NULL, pending_id = NULL, state = 'expected', version = 1"))
            if table != "test":
                uow.s.execute(text(f"DELETE FROM {table}"))
    for i in range(0, len(wild), 7):
        edge.take(*wild[i : i + 7])
    edge.take(*reversed(wild))
    assert state(edge, "other") == expected
    assert len([k for k in edge.receipts() if k[0] == "other"]) == len(bodies)


def state(edge: Edge, stream: str) -> str:
    """Everything the traffic made, without ids, arrival times and the order of arrival."""
    raw = edge.rows("SELECT seq, sha256, conn_key, state FROM raw_message WHERE stream_uuid = :s ORDER BY seq", s=stream)
    said = edge.rows("SELECT specimen_text, code, value, time_text, state FROM observation")
    versions = edge.rows("SELECT s.barcode, v.raw_text, v.id = t.current_id FROM result_version v JOIN test t ON t.id = v.test_id "
                         "JOIN specimen s ON s.id = t.specimen_id")  # fmt: skip
    return json.dumps([[list(r) for r in raw], sorted([list(r) for r in said], key=str), sorted([list(r) for r in versions], key=str)])
