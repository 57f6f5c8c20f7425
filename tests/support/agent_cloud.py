"""The cloud as an agent sees it: a real broker and, behind it, a few lines that store, answer with receipts, or do not."""

from __future__ import annotations

import json
import queue
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from cloud.ports.pki import CLOUD_NAME
from common import crypto, envelope, topics
from common.envelope import Envelope, Header
from tests.support import brokers
from tests.support.agent_process import until

TENANT = "renmin"
C = TypeVar("C", bound="ScriptedCloud")


class ScriptedCloud:
    """Keeps what comes up; `answering` says whether receipts and query answers go down."""

    def __init__(self, broker: brokers.Broker, agent: str, agent_key: crypto.PublicKey, cloud_key: crypto.PrivateKey) -> None:
        self.agent = agent
        self.answering = True
        self.tubes: dict[str, dict[str, Any]] = {}
        self.came: list[Envelope] = []
        self.raws: dict[tuple[str, int], bytes] = {}
        self.copies: dict[tuple[str, int], int] = {}
        self._agent_key = agent_key
        self._cloud_key = cloud_key
        self._broker = broker
        self._halt = threading.Event()
        self._client: brokers.Client | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def connect(self) -> None:
        """Connect to the broker and begin to listen."""
        client = brokers.make_client(self._broker.pki, self._broker.pki.pair(CLOUD_NAME), CLOUD_NAME + "-script")
        assert brokers.connect(client, self._broker.cloud_port) == 0
        client.subscribe(topics.up_filter())
        self._client = client
        if not self._thread.is_alive():
            self._thread.start()

    def disconnect(self) -> None:
        """Leave the broker (before it is restarted)."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def close(self) -> None:
        """Stop."""
        self._halt.set()
        self._thread.join(5)
        self.disconnect()

    def of_kind(self, kind: str) -> list[Envelope]:
        """Envelopes of a kind, in the order they came."""
        return [found for found in self.came if found.header.kind == kind]

    def down(self, kind: str, body: Any, key: crypto.PrivateKey | None = None, at: datetime | None = None) -> None:
        """Send something to the agent, signed with the cloud's key (or another)."""
        assert self._client is not None
        self._client.publish(*self.sealed(kind, body, key, at))

    def sealed(self, kind: str, body: Any, key: crypto.PrivateKey | None = None, at: datetime | None = None) -> tuple[str, bytes]:
        """Topic and envelope of something for the agent."""
        header = Header(TENANT, self.agent, kind, at=(at or datetime.now(UTC)).isoformat(), boot=str(uuid.uuid4()))
        data = envelope.seal(header, json.dumps(body, ensure_ascii=False).encode(), key or self._cloud_key)
        return topics.down(TENANT, self.agent, kind), data

    def worklist(self, conn: str, *tubes: dict[str, Any], **more: Any) -> None:
        """Send a worklist."""
        self.down("worklist", {"version": 1, "conn": conn, "tubes": list(tubes)}, **more)

    def receipts(self) -> None:
        """Send receipts for everything that came so far."""
        for found in self.of_kind("raw"):
            self._receipt(found)

    def _receipt(self, found: Envelope) -> None:
        self.down("receipt", {"stream": found.header.stream, "items": [[found.header.seq, found.header.sha256]]})

    def _work(self) -> None:
        while not self._halt.is_set():
            client = self._client
            if client is None:
                self._halt.wait(0.05)
                continue
            try:
                topic, payload = client.heard.get(timeout=0.1)
            except queue.Empty:
                continue
            if not topic.endswith(topics.LAST_WILL):
                self._take(envelope.parse(payload))

    def _take(self, found: Envelope) -> None:
        assert envelope.verify(found, self._agent_key), "an envelope that the agent's key did not sign"
        self.came.append(found)
        if found.header.kind == "raw":
            key = (found.header.stream, found.header.seq)
            assert self.raws.setdefault(key, found.body) == found.body, "one number, two contents"
            self.copies[key] = self.copies.get(key, 0) + 1
            if self.answering:
                self._receipt(found)
        elif found.header.kind == "query" and self.answering:
            body = found.json()
            self.worklist(body["conn"], *(self.tubes[name] for name in body["specimen_ids"] if name in self.tubes))


def enrolled(broker: brokers.Broker, data: Path, agent: str, kind: type[C]) -> C:
    """A data folder as enrolment leaves it, and the cloud of this kind that belongs to it."""
    data.mkdir(parents=True, exist_ok=True)
    pair = brokers.agent_pair(broker.pki, TENANT, agent)
    cloud_key = crypto.new_key()
    (data / "key.pem").write_bytes(pair.key.read_bytes())
    (data / "certificate.pem").write_bytes(pair.certificate.read_bytes())
    (data / "ca.pem").write_bytes(Path(broker.pki.ca_file).read_bytes())
    (data / "cloud.pem").write_bytes(crypto.public_pem(cloud_key.public_key()))
    mqtt = {"host": "127.0.0.1", "port": broker.agent_port}
    (data / "identity.json").write_text(json.dumps({"agent": agent, "tenant": TENANT, "url": "http://127.0.0.1:1", "mqtt": mqtt}))
    key = crypto.certificate_key(crypto.load_certificate(pair.certificate.read_bytes()))
    return kind(broker, agent, key, cloud_key)


@contextmanager
def scripted(broker: brokers.Broker, data: Path) -> Iterator[ScriptedCloud]:
    """An enrolled folder and its cloud, connected, while the block runs."""
    cloud = enrolled(broker, data, str(uuid.uuid4()), ScriptedCloud)
    cloud.connect()
    try:
        yield cloud
    finally:
        cloud.close()


__all__ = ["TENANT", "ScriptedCloud", "enrolled", "scripted", "until"]
