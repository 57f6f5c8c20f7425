"""The intake process: MQTT in, PostgreSQL, receipts out. One loop takes batches, one thread listens for what must go down.

Order for every message: verified → committed → receipt → PUBACK (RELIABILITY 2.1b). What is refused is acknowledged to the broker, because
it would never be taken, but gets no receipt. When the database does not answer, nothing is acknowledged and the batch is tried again.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import structlog
from sqlalchemy.engine import make_url

from cloud import memory
from cloud.config import Settings
from cloud.db.session import Database, UnitOfWork
from cloud.modules.edge import alarms, batch, commands, configuration, downlink, heartbeat, worklists
from cloud.modules.edge.batch import Intake, Message, Receipted, Taken
from cloud.modules.edge.door import SEQUENCED, Admitted, Refused, admit
from cloud.modules.edge.lanes import Lanes
from cloud.modules.edge.registry import Registration, Registry
from cloud.modules.queue import service as waiting
from cloud.ports.mqtt import Address, Incoming, Mqtt
from common import crypto, topics
from common.errors import PeerError

log = structlog.get_logger("intake")

IDLE_S = 0.5
RETRY_S = (0.2, 5.0)
QUIET = frozenset({"unknown_agent", "topic"})
"""Refusals that name nobody's agent: there is no hospital to tell, so they are only logged and counted."""
ALARM_EVERY_S = 2.0


class Loop:
    """The intake's parts and its state between batches. ``mqtt`` may be anything with the port's methods."""

    def __init__(self, db: Database, mqtt: Mqtt, key: crypto.PrivateKey, zone: ZoneInfo) -> None:
        self.db = db
        self.mqtt = mqtt
        self.zone = zone
        self.registry = Registry(db)
        self.sender = downlink.Sender(key, mqtt.publish)
        self.lanes = Lanes(Intake(db, zone, take_ticket).take)
        self.pulses = heartbeat.Pulses()
        self.stop = threading.Event()
        self._refusals: dict[tuple[int, int, str], list[Any]] = {}
        self._alarmed = 0.0
        self.counts: Counter[str] = Counter()
        """What happened since the start, for the log and for tests."""

    def run(self) -> None:
        """Until ``stop``."""
        while not self.stop.is_set():
            self.step(self.mqtt.batch(IDLE_S))

    def step(self, incoming: Sequence[Incoming]) -> None:
        """One batch and the small things that are due."""
        admitted = self._admit(incoming)
        stored = self._retry(self._sequenced, [a for a in admitted if a.kind in SEQUENCED]) if admitted else True
        if stored:
            self.mqtt.acknowledge(incoming)
            self._retry(self._rest, admitted, attempts=2)

    def _admit(self, incoming: Iterable[Incoming]) -> list[Admitted]:
        admitted = []
        for message in incoming:
            try:
                one = self._retry_find(message)
            except Refused as refusal:
                self._refuse(refusal)
                continue
            if one is not None:
                admitted.append(one)
        return admitted

    def _retry_find(self, message: Incoming) -> Admitted | None:
        """The door asks the database at times; while that is away, nobody is refused for it."""
        found: list[Admitted] = []
        self._retry(lambda _: found.append(admit(self.registry, message.topic, message.payload)), None)
        return found[0] if found else None

    def _retry(self, work: Any, what: Any, attempts: int = 0) -> bool:
        """Do it until the database answers; False when the intake is stopping first (or after ``attempts``)."""
        pause, tries = RETRY_S[0], 0
        while True:
            try:
                work(what)
                return True
            except Exception as exc:
                if not batch.database_away(exc):
                    raise
                tries += 1
                log.warning("database_away", error=str(exc).splitlines()[0][:200], tries=tries)
                self.counts["database_away"] += 1
                if tries == attempts or self.stop.wait(pause):
                    return False
                pause = min(pause * 2, RETRY_S[1])

    # stored, then receipted

    def _sequenced(self, admitted: Sequence[Admitted]) -> None:
        failed: Exception | None = None
        for share, outcome in self.lanes.take(admitted):
            if isinstance(outcome, Exception):
                failed = failed or outcome
            else:
                self._taken(share, outcome)
        if failed is not None:
            raise failed

    def _taken(self, share: Sequence[Admitted], taken: Taken) -> None:
        self._receipt({a.reg.agent_id: a.reg for a in share}, taken.receipts)
        for one in taken.refused:
            self.registry.invalidate()
            self._refuse(Refused("revoked", topics.up(one.reg.tenant_code, one.reg.uuid, one.kind), one.reg))
        for one in taken.unstorable:
            self._refuse(Refused("unstorable", topics.up(one.reg.tenant_code, one.reg.uuid, one.kind), one.reg, seq=one.header.seq))
        self.counts["receipts"] += len(taken.receipts)
        self.counts.update(taken.placed.fates)

    def _receipt(self, regs: dict[int, Registration], receipts: Sequence[Receipted]) -> None:
        """Called after COMMIT. A receipt that does not leave is no harm: the agent sends again and gets another one."""
        streams: dict[tuple[int, str], list[Receipted]] = defaultdict(list)
        for one in receipts:
            streams[(one.agent_id, one.stream)].append(one)
        for (agent, stream), items in streams.items():
            self.sender.send(regs[agent], "receipt", batch.receipt_body(stream, items), stream=stream)

    # everything else

    def _rest(self, admitted: Sequence[Admitted]) -> None:
        now = datetime.now(UTC)
        for one in admitted:
            if one.kind in SEQUENCED:
                continue
            try:
                self._one(one, now)
            except PeerError as exc:
                log.warning("unusable", agent=one.reg.uuid, kind=one.kind, error=exc.code)
        self._housekeeping(now)

    def _one(self, one: Admitted, now: datetime) -> None:
        if one.kind == topics.LAST_WILL:
            self.pulses.lost(one.reg)
        elif one.kind in ("status", "pending"):
            news = self.pulses.beat(one, now)
            if news.hello:
                self._hello(one.reg)
            if news.config:
                self._config(one.reg)
        elif one.kind == "query":
            self._answer(one)
        elif one.kind == "tail":
            with self.db.tenant(one.reg.tenant_id, batch.ACTOR) as uow:
                commands.keep(uow, one)

    def _hello(self, reg: Registration) -> None:
        """An agent (re)connected: it gets the time and its whole worklist."""
        with self.db.tenant(reg.tenant_id, batch.ACTOR) as uow:
            lists = worklists.full(uow, reg.agent_id)
            version = next_version(uow)
        self.sender.json(reg, "time", {"at": datetime.now(UTC).isoformat()})
        for conn, tubes in lists.items():
            if tubes:
                self.sender.worklist(reg, conn, tubes, version)

    def _config(self, reg: Registration) -> None:
        with self.db.tenant(reg.tenant_id, batch.ACTOR) as uow:
            document = configuration.document(uow, reg.agent_id)
        self.sender.json(reg, "config", document)

    def _answer(self, one: Admitted) -> None:
        """A host query the agent could not answer from its cache: exactly the tubes it asked for (F25)."""
        assert one.sealed is not None
        body = one.sealed.json()
        asked = body.get("specimen_ids") if isinstance(body, dict) else None
        if not isinstance(asked, list):
            raise PeerError("query", "a query without specimens")
        conn = str(body.get("conn") or one.header.conn)
        with self.db.tenant(one.reg.tenant_id, batch.ACTOR) as uow:
            day = uow.now.astimezone(self.zone).date()
            tubes = worklists.answer(uow, one.reg.agent_id, conn, [str(a) for a in asked], day)
            version = next_version(uow)
        self.sender.worklist(one.reg, conn, tubes, version)

    def _housekeeping(self, now: datetime) -> None:
        for tenant_id in self.pulses.tenants():
            with self.db.tenant(tenant_id, batch.ACTOR) as uow:
                for pulse in self.pulses.waiting(tenant_id):
                    heartbeat.write(uow, pulse)
        for tenant_id, silent in self.pulses.silent(now).items():
            with self.db.tenant(tenant_id, batch.ACTOR) as uow:
                for agent_id in silent:
                    uow.notify("edge", {"what": "agent", "agent": agent_id})
        if self._refusals and time.monotonic() - self._alarmed > ALARM_EVERY_S:
            self._alarm()

    # refusals

    def _refuse(self, refusal: Refused) -> None:
        self.counts["refused"] += 1
        log.warning("refused", reason=refusal.code, topic=refusal.topic[:200], **refusal.fields)
        if refusal.reg is None or refusal.code in QUIET:
            return
        key = (refusal.reg.tenant_id, refusal.reg.agent_id, refusal.code)
        entry = self._refusals.setdefault(key, [0, {}])
        entry[0] += 1
        entry[1] = {"topic": refusal.topic[:200], **refusal.fields}

    def _alarm(self) -> None:
        todo, self._refusals, self._alarmed = self._refusals, {}, time.monotonic()
        for (tenant_id, agent_id, code), (times, detail) in todo.items():
            with self.db.tenant(tenant_id, batch.ACTOR) as uow:
                alarms.raise_alarm(uow, agent_id, code, detail, times)


def take_ticket(uow: UnitOfWork, message: Message) -> None:
    """A ticket a kiosk issued on its own: into the queue, by its own key."""
    assert message.admitted.sealed is not None
    body = message.admitted.sealed.json()
    if not isinstance(body, dict):
        raise PeerError("ticket", "a ticket that is no object")
    waiting.take_offline_ticket(uow, body)


def next_version(uow: UnitOfWork) -> int:
    """A number that rises with time, for worklists that are answers and leave no row."""
    return int(uow.now.timestamp() * 1000)


class Listener(threading.Thread):
    """Waits for notices: something must go down, or a registration changed."""

    def __init__(self, loop: Loop, database_url: str) -> None:
        super().__init__(name="downlink", daemon=True)
        self._loop = loop
        self._dsn = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)

    def run(self) -> None:
        """Until the loop stops; a lost database connection is made again."""
        while not self._loop.stop.is_set():
            try:
                self._listen()
            except Exception as exc:
                log.warning("downlink_lost", error=f"{type(exc).__name__}: {exc}"[:300])
                self._loop.stop.wait(1.0)

    def _listen(self) -> None:
        loop = self._loop
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            conn.execute(f"LISTEN {downlink.CHANNEL}")
            conn.execute("LISTEN edge_registry")
            loop.registry.invalidate()
            while not loop.stop.is_set():
                if loop.mqtt.connected:
                    downlink.drain(loop.db, loop.registry, loop.sender, list(loop.registry.tenants()))
                for note in conn.notifies(timeout=1.0, stop_after=1):
                    if note.channel == "edge_registry":
                        loop.registry.invalidate()


def run_intake(settings: Settings, db: Database, stop: threading.Event | None = None) -> None:
    """Run until SIGTERM or SIGINT (or ``stop``, when a thread of a test runs it)."""
    key = crypto.load_private(Path(settings.cloud_key).read_bytes())
    address = Address(
        settings.mqtt_host, settings.mqtt_port, settings.mqtt_ca, settings.mqtt_cert, settings.mqtt_key, f"jianlian-cloud-intake-{_host()}"
    )
    mqtt = Mqtt(address, [topics.up_filter()])
    loop = Loop(db, mqtt, key, ZoneInfo(settings.timezone))
    if stop is None:
        _stop_on_signals(loop)
    else:
        loop.stop = stop
    listener = Listener(loop, settings.database_url)
    memory.settle()
    memory.seldom_collect()
    mqtt.start()
    listener.start()
    log.info("intake_started", broker=f"{settings.mqtt_host}:{settings.mqtt_port}")
    try:
        loop.run()
    finally:
        loop.stop.set()
        mqtt.stop()
        loop.lanes.close()
        listener.join(timeout=3)
        log.info("intake_stopped")


def _stop_on_signals(loop: Loop) -> None:
    def end(_number: int, _frame: object) -> None:
        loop.stop.set()
        loop.mqtt.wake()

    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, end)


def _host() -> str:
    return "".join(c for c in socket.gethostname() if c.isalnum() or c == "-")[:32] or "1"
