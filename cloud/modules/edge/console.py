"""What an engineer looks at beside the stream: the live tail, a masked capture, stored messages replayed. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Any

from sqlalchemy import func, select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import lookup, mapping, meanings, onboarding, problem_words, recordings, sandbox, store
from cloud.modules.edge.models import Connection, MappingVersion, Observation, RawMessage
from cloud.modules.edge.verdicts import Layer, Verdict
from cloud.web.i18n import locale
from common import visible
from common.errors import UserError
from common.instruments import pictures
from common.instruments import propose as instruments

PATH = (
    Layer.CABLE,
    Layer.PORT,
    Layer.LINK,
    Layer.PROTOCOL,
    Layer.MAPPING,
    Layer.AGENT,
    Layer.DISK,
    Layer.NETWORK,
    Layer.BROKER,
    Layer.CLOUD,
)
TAIL_BYTES = 8 * 1024
"""Bytes of one message shown in the tail."""


def path(verdict: Verdict) -> list[tuple[Layer, bool]]:
    """The layers from the analyzer to us, the one at fault marked."""
    return [(layer, layer is verdict.layer) for layer in PATH]


@dataclass(frozen=True, slots=True)
class Shown:
    """One message as the tail shows it."""

    id: int
    at: Any
    agent_at: Any
    seq: int
    state: str
    size: int
    lines: list[list[visible.Piece]]


def connection(uow: UnitOfWork, connection_id: int) -> Connection:
    """One connection. Raises UserError."""
    row = uow.s.get(Connection, (uow.tenant_id, connection_id))
    if row is None:
        raise UserError("not_found", "连接不存在，请核对后重试。")
    return row


def problem(text: str) -> str:
    """A message's problem in the reader's language."""
    return problem_words.told(text, locale() == "en")


MESSAGES = 60


@dataclass(frozen=True, slots=True)
class Hours:
    """One hour of the day (0–23) in the last so many days, as the report counts it."""

    hour: int
    days: int
    zone: tzinfo


def messages(uow: UnitOfWork, connection_id: int | None, specimen: str = "", before: int = 0, at: Hours | None = None) -> list[Any]:
    """Stored messages, newest first, from below one on; of one connection or of all, about one specimen as the analyzer named it or any."""
    question = select(RawMessage.id, RawMessage.received_at, RawMessage.conn_key, RawMessage.seq, RawMessage.state, RawMessage.problems)
    question = question.where(RawMessage.kind == "raw", RawMessage.cleared_at.is_(None))
    if connection_id is not None:
        question = question.where(RawMessage.connection_id == connection_id)
    if specimen:
        named = select(Observation.raw_message_id).where(Observation.tenant_id == uow.tenant_id, Observation.specimen_text == specimen)
        question = question.where(RawMessage.id.in_(named))
    if at is not None:
        hour = func.extract("hour", func.timezone(str(at.zone), RawMessage.received_at))
        question = question.where(RawMessage.received_at > uow.now - timedelta(days=at.days), hour == at.hour)
    if before:
        question = question.where(RawMessage.id < before)
    return list(uow.s.execute(question.order_by(RawMessage.id.desc()).limit(MESSAGES)))


def tail(uow: UnitOfWork, connection_id: int, limit: int, most: int = TAIL_BYTES) -> list[Shown]:
    """The newest messages, newest first, patient fields hidden."""
    question = select(RawMessage).where(RawMessage.connection_id == connection_id, RawMessage.kind == "raw")
    encoding = uow.s.scalar(select(Connection.encoding).where(Connection.id == connection_id))
    out = []
    for raw in uow.s.scalars(question.order_by(RawMessage.id.desc()).limit(limit)):
        lines = visible.mask_lines(visible.readable(raw.body[:most], encoding))
        out.append(Shown(raw.id, raw.received_at, raw.agent_at, raw.seq, raw.state, len(raw.body), lines))
    return out


def capture(uow: UnitOfWork, connection_id: int, limit: int) -> str:
    """The newest messages, oldest first, as readable text without patient fields."""
    parts = []
    for one in reversed(tail(uow, connection_id, limit, 1 << 20)):
        parts.append(f"# {one.seq}  {one.at.isoformat()}  {one.size} B  {one.state}")
        parts += ["".join(f"<{p.text}>" if p.control else p.text for p in line) for line in one.lines]
        parts.append("")
    return "\n".join(parts)


def pictures_of(uow: UnitOfWork, raw: RawMessage) -> list[pictures.Picture]:
    """Graphs and images of a stored message, read from its bytes: the message is where they are kept."""
    way = in_use(uow, raw)
    return pictures.pictures(instruments.replay(raw.body, way.driver, way.site or None, way.encoding))


@dataclass(frozen=True, slots=True)
class NewWay:
    """What a person wants to try: a mapping version, or a driver and a character set with the mapping in use."""

    version_id: int | None
    driver: str
    encoding: str


def new_way(version_id: int | None, driver: str, encoding: str) -> NewWay:
    """From the page's choices."""
    return NewWay(version_id, driver.strip(), encoding.strip())


@dataclass(frozen=True, slots=True)
class Replay:
    """Messages replayed, each with its own comparison, and whose results they show."""

    messages: list[tuple[Any, sandbox.Replayed]]
    patients: list[int]

    @property
    def changed(self) -> int:
        """Results that would be reported differently."""
        return sum(done.changed for _, done in self.messages)


def replay(uow: UnitOfWork, raw_ids: Sequence[int], new: NewWay) -> Replay:
    """Read stored messages by what is in use and by the new way. Nothing is written."""
    whole = select(RawMessage).where(RawMessage.id.in_(raw_ids), RawMessage.kind == "raw", RawMessage.cleared_at.is_(None))
    rows = uow.s.scalars(whole.order_by(RawMessage.id)).all()
    version = None if new.version_id is None else uow.s.get(MappingVersion, (uow.tenant_id, new.version_id))
    if new.version_id is not None and version is None:
        raise UserError("not_found", "所选对照版本不存在，请刷新页面后重选。")
    out = []
    for raw in rows:
        old = in_use(uow, raw)
        out.append((raw, sandbox.compare(raw.body, old, _new(uow, old, version, new))))
    seen = select(Observation.specimen_id).where(Observation.raw_message_id.in_([r.id for r in rows]), Observation.specimen_id.is_not(None))
    patients = sorted(set(_patients(uow, set(uow.s.scalars(seen)))))
    return Replay(out, patients)


def _patients(uow: UnitOfWork, specimens: set[int | None]) -> list[int]:

    found = lookup.tubes_by_id(store.cursor(uow), uow.tenant_id, [s for s in specimens if s is not None]) if specimens else {}
    return [t.patient_id for t in found.values()]


def in_use(uow: UnitOfWork, raw: RawMessage) -> sandbox.Way:
    """How a message's connection is read today."""
    link = None if raw.connection_id is None else uow.s.get(Connection, (uow.tenant_id, raw.connection_id))
    known = md.catalog(uow)
    if link is None or link.analyzer_id is None:
        return sandbox.Way(link.driver if link else None, link.encoding if link else None, None, meanings.meaning(known, []))
    active = recordings.active_version(uow, link.analyzer_id)
    return sandbox.Way(
        link.driver or known.analyzers[link.analyzer_id].driver,
        link.encoding or (active.encoding if active else None),
        active.site if active else None,
        meanings.meaning(known, onboarding.active_rows(known, link.analyzer_id)),
    )


def _new(uow: UnitOfWork, old: sandbox.Way, version: MappingVersion | None, new: NewWay) -> sandbox.Way:
    if version is not None:
        say = meanings.meaning(md.catalog(uow), [mapping.row_of(r) for r in version.rows])
        return sandbox.Way(version.driver, version.encoding, version.site, say)
    return sandbox.Way(new.driver or old.driver, new.encoding or old.encoding, None if new.driver else old.site, old.say)
