"""Real brokers for the tests: Mosquitto with the configuration we ship, and the embedded one; and clients for them."""

import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from cloud.ports.ca import write_secret
from cloud.ports.pki import CLOUD_NAME, KeyPair, Pki
from cloud.ports.sockets import no_delay
from common import crypto, topics

REPO = Path(__file__).resolve().parents[2]
MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
WAIT = 60.0  # seconds until something that must happen is given up: only a failure waits so long, and a machine may be busy


@dataclass
class Broker:
    """A running broker. Agents and our own processes may have to use different ports."""

    kind: str
    pki: Pki
    agent_port: int
    cloud_port: int
    process: subprocess.Popen[bytes]
    command: list[str]

    def restart(self) -> None:
        self.process.terminate()
        self.process.wait(WAIT)
        self.start()

    def kill(self) -> None:
        """SIGKILL: what it had not written is gone."""
        self.process.kill()
        self.process.wait(WAIT)

    def start(self) -> None:
        """Again, on the same ports."""
        self.process = _spawn(self.command, self.agent_port, self.cloud_port)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(kind: str, folder: Path, *changes: str) -> Iterator[Broker]:
    """A broker of the kind "mosquitto" or "amqtt" with keys of its own in `folder`; `changes`: lines that replace Mosquitto's own."""
    pki = Pki(folder / "pki").ensure(datetime.now(UTC))
    agent_port, cloud_port = free_port(), free_port()
    if kind == "mosquitto":
        command = [MOSQUITTO or "mosquitto", "-c", str(mosquitto_files(folder, pki, agent_port, cloud_port, *changes))]
    else:
        cloud_port = agent_port
        command = [sys.executable, "-m", "cloud.embedded.broker", "--pki", str(pki.folder), "--port", str(agent_port)]
    broker = Broker(kind, pki, agent_port, cloud_port, _spawn(command, agent_port, cloud_port), command)
    try:
        yield broker
    finally:
        broker.process.terminate()
        broker.process.wait(WAIT)


def mosquitto_files(folder: Path, pki: Pki, agent_port: int, cloud_port: int, *changes: str) -> Path:
    """The shipped configuration with this machine's paths and ports, and nothing else changed but what `changes` says."""
    shutil.copy(REPO / "infra/mosquitto/acl.conf", folder / "acl.conf")
    text = (REPO / "infra/mosquitto/mosquitto.conf").read_text()
    text = text.replace("/mosquitto/config/acl.conf", str(folder / "acl.conf"))
    text = text.replace("/mosquitto/pki/", f"{pki.folder}/")
    text = text.replace("listener 8883", f"listener {agent_port} 127.0.0.1").replace("listener 8884", f"listener {cloud_port} 127.0.0.1")
    for change in changes:
        text = re.sub(rf"^{change.split()[0]} .*$", "", text, flags=re.M) + f"\n{change}\n"
    if os.geteuid() == 0:
        text += "\nuser root\n"  # the keys of a test lie in a folder of root
    target = folder / "mosquitto.conf"
    target.write_text(text)
    return target


def _open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _spawn(command: list[str], *ports: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, cwd=REPO, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + WAIT
    while time.monotonic() < end and process.poll() is None:
        if all(_open(port) for port in ports):
            return process
        time.sleep(0.02)
    process.kill()
    raise RuntimeError(f"broker did not start: {command}")


def agent_pair(pki: Pki, tenant: str, agent: str) -> KeyPair:
    """Keys and certificate as enrolment gives them to an agent."""
    pair = pki.pair(f"agent-{tenant}-{agent}")
    key = crypto.new_key()
    csr = crypto.make_csr(key, "a name that the CA ignores")
    write_secret(pair.key, crypto.private_pem(key))
    pair.certificate.write_bytes(crypto.certificate_pem(pki.authority().sign_agent(csr, tenant, agent, datetime.now(UTC))))
    return pair


@dataclass
class Client:
    """A connected MQTT client that keeps what it hears."""

    mqtt: mqtt.Client
    heard: "queue.Queue[tuple[str, bytes]]" = field(default_factory=queue.Queue)
    answers: "queue.Queue[int]" = field(default_factory=queue.Queue)
    gone: "queue.Queue[int]" = field(default_factory=queue.Queue)
    granted: "queue.Queue[list[int]]" = field(default_factory=queue.Queue)

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish and wait for the PUBACK, which says nothing about the rules."""
        self.mqtt.publish(topic, payload, qos=1).wait_for_publish(WAIT)

    def subscribe(self, topic: str) -> list[int]:
        """Subscribe; the codes of the SUBACK."""
        self.mqtt.subscribe(topic, qos=1)
        return self.granted.get(timeout=WAIT)

    def hear_until(self, payload: bytes) -> list[tuple[str, bytes]]:
        """What came before the message `payload`, which must come."""
        before = []
        while True:
            message = self.heard.get(timeout=WAIT)
            if message[1] == payload:
                return before
            before.append(message)

    def close(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


def make_client(pki: Pki, pair: KeyPair | None, client_id: str, clean: bool = True, ca: Path | None = None) -> Client:
    """A client that is not yet connected."""
    made = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean, protocol=mqtt.MQTTv311, reconnect_on_failure=False
    )
    client = Client(made)
    made.tls_set(str(ca or pki.ca_file), str(pair.certificate) if pair else None, str(pair.key) if pair else None)
    made.on_socket_open = lambda _c, _u, opened: no_delay(opened)
    made.on_message = lambda _c, _u, message: client.heard.put((message.topic, message.payload))

    def connected(_c: object, _u: object, _f: object, code: ReasonCode, _p: object) -> None:
        client.answers.put(code.value)

    def disconnected(_c: object, _u: object, _f: object, code: ReasonCode, _p: object) -> None:
        client.gone.put(code.value)

    def subscribed(_c: object, _u: object, _m: int, codes: list[ReasonCode], _p: object) -> None:
        client.granted.put([code.value for code in codes])

    made.on_connect, made.on_disconnect, made.on_subscribe = connected, disconnected, subscribed
    return client


def connect(client: Client, port: int) -> int:
    """Connect; the code of the CONNACK, 0 for welcome, or -1 when the broker ends the connection without one."""
    try:
        client.mqtt.connect("127.0.0.1", port, keepalive=30)
    except OSError:
        return -1
    client.mqtt.loop_start()
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        try:
            return client.answers.get(timeout=0.1)
        except queue.Empty:
            if not client.gone.empty():
                return -1
    raise RuntimeError("the broker neither answers nor leaves")


@contextmanager
def agent(broker: Broker, tenant: str, name: str) -> Iterator[Client]:
    """An agent that is connected and hears its own `down/`."""
    pair = agent_pair(broker.pki, tenant, name)
    client = make_client(broker.pki, pair, topics.client_name(tenant, name))
    assert connect(client, broker.agent_port) == 0
    client.subscribe(topics.down_filter(tenant, name))
    try:
        yield client
    finally:
        client.close()


@contextmanager
def cloud(broker: Broker, suffix: str = "-test") -> Iterator[Client]:
    """One of our own processes, connected, hearing everything that agents send."""
    client = make_client(broker.pki, broker.pki.pair(CLOUD_NAME), CLOUD_NAME + suffix)
    assert connect(client, broker.cloud_port) == 0
    client.subscribe(topics.up_filter())
    try:
        yield client
    finally:
        client.close()
