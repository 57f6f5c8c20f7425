"""A hospital with an enrolled agent and one analyzer, and an intake whose broker is a list. All invented."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask
from sqlalchemy import delete, text

from cloud.app import create_app
from cloud.config import Settings
from cloud.db.session import Database, UnitOfWork
from cloud.modules.bench.service import Incoming as ForBench
from cloud.modules.catalog import models as md
from cloud.modules.edge import models
from cloud.modules.edge.intake import Loop
from cloud.ports.mqtt import Incoming
from cloud.ports.pki import Pki
from common import crypto, envelope, topics
from tests.cloud.bench import world as bench_world
from tests.support import lab as labs
from tests.support.database import TestDatabase

ZONE = ZoneInfo("Asia/Shanghai")
AT = "2026-05-04T02:00:00+00:00"
CODES = {"K": "K", "Na": "NA", "GLU": "GLU", "CREA": "CREA"}
"""Channel code → item code."""


class Wire:
    """Stands where the broker is: hands in what a test says, keeps what goes out. The real brokers have their own tests."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.acked: list[Incoming] = []
        self.connected = True

    def publish(self, topic: str, payload: bytes) -> bool:
        self.sent.append((topic, payload))
        return self.connected

    def acknowledge(self, messages: Sequence[Incoming]) -> None:
        self.acked += messages

    def batch(self, timeout: float) -> list[Incoming]:
        return []

    def wake(self) -> None:
        return None


@dataclass
class Sender:
    """An agent's side: its key, its stream, its numbers."""

    tenant: str
    uuid: str
    key: crypto.PrivateKey
    id: int = 0
    stream: str = field(default_factory=lambda: str(uuid.uuid4()))
    boot: str = field(default_factory=lambda: str(uuid.uuid4()))
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def seal(self, kind: str, body: bytes, seq: int | None = None, **header: Any) -> Incoming:
        """A signed message as it comes from the broker. Header fields can be forged by name."""
        number = seq if seq is not None else (next(self.numbers) if kind in ("raw", "ticket") else 0)
        topic = header.pop("topic", None) or topics.up(self.tenant, self.uuid, kind)
        key = header.pop("signed_by", self.key)
        values: dict[str, Any] = {
            "tenant": self.tenant, "agent": self.uuid, "kind": kind, "at": AT, "mono": number * 1000, "boot": self.boot,
            "stream": self.stream, "seq": number, "conn": "au1", "meta": {"protocol": "astm", "complete": True},
        }  # fmt: skip
        values.update(header)
        return Incoming(topic, envelope.seal(envelope.Header(**values), body, key), number & 0xFFFF, 1, 1)

    def raw(self, body: bytes, seq: int | None = None, **header: Any) -> Incoming:
        return self.seal("raw", body, seq, **header)

    def say(self, kind: str, body: Any, **header: Any) -> Incoming:
        return self.seal(kind, json.dumps(body).encode(), None, **header)


class EdgeLab(labs.Lab):
    """A lab whose pages are only built when a test opens one."""

    def web(self) -> Flask:
        """The app."""
        if self.app is None:
            labs.forget_attempts()
            self.app = create_app(self.settings, self.db)
        return self.app

    def client(self, role: str, tenant_id: int | None = None, workstation: str = "WS1") -> labs.Client:
        self.web()
        return super().client(role, tenant_id, workstation)


@dataclass
class Edge:
    """Everything a test of the edge needs."""

    lab: EdgeLab
    bench: bench_world.World
    pki: Pki
    wire: Wire
    loop: Loop
    cloud_key: crypto.PublicKey
    agent: Sender

    def tube(self, name: str = "张三丰", state: str = "received", **more: Any) -> str:
        """A tube; its barcode."""
        with self.lab.uow() as uow:
            made = self.bench.tube(uow, self.bench.patient(uow, name), state=state, **more)
            fresh = text("UPDATE specimen SET received_at = now() WHERE id = :i RETURNING barcode")
            return str(uow.s.scalar(fresh, {"i": made}))

    def take(self, *incoming: Incoming) -> None:
        """One batch."""
        self.loop.step(list(incoming))

    def receipts(self) -> dict[tuple[str, int], str]:
        """(stream, seq) → hash, of every receipt that went out with a valid signature."""
        found = {}
        for topic, payload in self.wire.sent:
            read = envelope.parse(payload)
            assert envelope.verify(read, self.cloud_key)
            assert topic == topics.down(read.header.tenant, read.header.agent, read.header.kind)
            if read.header.kind == "receipt":
                body = read.json()
                found.update({(body["stream"], seq): sha for seq, sha in body["items"]})
        return found

    def down(self, kind: str) -> list[Any]:
        """Bodies of what went down of one kind."""
        return [e.json() for _, p in self.wire.sent if (e := envelope.parse(p)).header.kind == kind]

    def rows(self, sql: str, tenant: int | None = None, **values: Any) -> list[Any]:
        with self.lab.uow(tenant) as uow:
            return list(uow.s.execute(text(sql), values))

    def fates(self) -> list[tuple[str, str, str, str]]:
        """(specimen, code, value, state), in order."""
        return [tuple(r) for r in self.rows("SELECT specimen_text, code, value, state FROM observation ORDER BY id")]

    def current(self, barcode: str) -> dict[str, str]:
        """Item code → value that counts."""
        return dict(
            self.rows(
                "SELECT i.code, v.reported_text FROM test t JOIN specimen s ON s.id = t.specimen_id JOIN test_item i ON i.id = t.item_id "
                "JOIN result_version v ON v.id = t.current_id WHERE s.barcode = :b",
                b=barcode,
            )
        )

    def versions(self, barcode: str) -> list[tuple[str, str]]:
        """(item, raw text) of every version."""
        return [
            tuple(r)
            for r in self.rows(
                "SELECT i.code, v.raw_text FROM result_version v JOIN test t ON t.id = v.test_id JOIN specimen s ON s.id = t.specimen_id "
                "JOIN test_item i ON i.id = t.item_id WHERE s.barcode = :b ORDER BY i.code, v.raw_text",
                b=barcode,
            )
        ]


def astm(
    specimen: str | None,
    values: Mapping[str, str],
    time: str = "20260504100000",
    patient: str = "||||",
    header: str = "",
    units: Mapping[str, str] = {"CREA": "umol/L"},
) -> bytes:
    """Bare records of one message of one specimen. ``patient``: the P record from its third field on; ``units``: those not mmol/L."""
    lines = [f"H|\\^&|||AU1{header}|||||||P|1", f"P|1{patient}", f"O|1|{specimen or ''}||^^^ALL|R"]
    lines += [f"R|{n}|^^^{code}|{value}|{units.get(code, 'mmol/L')}||N||F||||{time}" for n, (code, value) in enumerate(values.items(), 1)]
    return ("\r".join([*lines, "L|1|N"]) + "\r").encode()


def add_agent(uow: UnitOfWork, pki: Pki, tenant: str, analyzer: int | None, key: str = "au1") -> Sender:
    """An enrolled agent with one connection."""
    sender = Sender(tenant, str(uuid.uuid4()), crypto.new_key())
    csr = crypto.make_csr(sender.key, "any")
    certificate = pki.authority().sign_agent(csr, tenant, sender.uuid, datetime.now(UTC))
    agent = models.Agent(
        uuid=sender.uuid,
        name="一号采集端",
        state="enrolled",
        certificate=crypto.certificate_pem(certificate).decode(),
        serial=f"{certificate.serial_number:x}",
    )
    uow.s.add(agent)
    uow.s.flush()
    line = {"type": "tcp-listen", "host": "127.0.0.1", "port": 1}
    uow.s.add(models.Connection(agent_id=agent.id, key=key, name="生化仪一号", analyzer_id=analyzer, protocol="astm", transport=line))
    uow.s.flush()
    sender.id = agent.id
    return sender


@dataclass
class Seed:
    """A filled database to clone from, and what its rows are called."""

    database: TestDatabase
    pki: Path
    bench: bench_world.World
    users: dict[tuple[int, str], int]
    agent: Sender


def seed(database: TestDatabase, folder: Path) -> Seed:
    """Hospital ``a`` with everything; hospital ``b`` exists. Afterwards nobody is connected."""
    pki = Pki(folder / "pki").ensure(datetime.now(UTC))
    lab = labs.make(database)
    bench = bench_world.build(lab)
    with lab.uow() as uow:
        uow.s.execute(delete(md.AnalyzerItemMap))  # the bench's own channels: here each code is the analyzer's
        for code, item in CODES.items():
            uow.s.add(md.AnalyzerItemMap(analyzer_id=bench.analyzer, channel_code=code, item_id=bench.items[item]))
        agent = add_agent(uow, pki, "a", bench.analyzer)
    lab.db.dispose()
    return Seed(database, folder / "pki", bench, lab.users, agent)


@contextmanager
def opened(made: Seed, database: TestDatabase, folder: Path) -> Iterator[Edge]:
    """A world of this test's own: a clone of the seed's database, a copy of its keys."""
    shutil.copytree(made.pki, folder / "pki")
    pki = Pki(folder / "pki")
    clock = labs.Clock()
    conf = Settings(
        database_url=database.app_url,
        owner_url=database.owner_url,
        secret=labs.SECRET,
        ca_cert=str(pki.ca_file),
        ca_key=str(pki.ca_key),
        cloud_key=str(pki.signing_key),
        mqtt_host="localhost",
        base_url="https://localhost",
    )
    db = Database(database.app_url, secret=labs.SECRET, clock=clock)
    lab = EdgeLab(db, None, clock, conf, users=dict(made.users))  # type: ignore[arg-type]
    bench = replace(made.bench, lab=lab, numbers=count(1))
    agent = replace(made.agent, stream=str(uuid.uuid4()), boot=str(uuid.uuid4()), numbers=count(1))
    cloud_key = crypto.load_private(pki.signing_key.read_bytes())
    wire = Wire()
    loop = Loop(db, wire, cloud_key, ZONE)  # type: ignore[arg-type]
    try:
        yield Edge(lab, bench, pki, wire, loop, cloud_key.public_key(), agent)
    finally:
        db.dispose()


@contextmanager
def build(database: TestDatabase, folder: Path) -> Iterator[Edge]:
    """Seed and world in one database, for benches and trials."""
    made = seed(database, folder / "seed")
    with opened(made, database, folder) as edge:
        yield edge


__all__ = ["AT", "ZONE", "Edge", "ForBench", "Seed", "Sender", "Wire", "add_agent", "astm", "build", "opened", "seed"]
