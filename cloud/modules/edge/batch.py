"""One hospital's share of a batch in one transaction: stored, interpreted, placed; and what may be receipted once that is committed.

A message that cannot be interpreted is stored all the same, quarantined with the reason, and receipted (F14). A failure of the transaction
itself means no receipt: the agent sends again, and the transport key makes that harmless (F10).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta, tzinfo

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError

from cloud.db.session import Actor, Database, UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import alarms, interpret, lookup, retake, rules, store
from cloud.modules.edge.door import Admitted
from cloud.modules.edge.lookup import Cursor, Link
from cloud.modules.edge.placing import Heard, Placed, place
from cloud.modules.edge.rules import RawState
from cloud.modules.edge.store import RawRow
from common.errors import PeerError
from common.instruments.tubes import TubeEvent, tube_events

log = structlog.get_logger("edge")
ACTOR = Actor("intake")

Take = Callable[[UnitOfWork, "Message"], None]
"""Handles a sequenced message that is no analyzer traffic (a kiosk's ticket); raises to have it quarantined."""


@dataclass(slots=True)
class Message:
    """An admitted message on its way into the database."""

    admitted: Admitted
    row: RawRow
    said: list[interpret.Said] = field(default_factory=list)
    tubes: list[TubeEvent] = field(default_factory=list)
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Receipted:
    """What a receipt may name: after COMMIT, never before."""

    agent_id: int
    stream: str
    seq: int
    sha256: str


@dataclass(slots=True)
class Taken:
    """The outcome of one transaction."""

    receipts: list[Receipted]
    refused: list[Admitted]
    placed: Placed
    unstorable: list[Admitted] = field(default_factory=list)


class Intake:
    """Takes batches of sequenced messages of one hospital; keeps nothing between them, so several threads may share it."""

    def __init__(self, db: Database, zone: tzinfo, take_ticket: Take) -> None:
        self._db = db
        self._zone = zone
        self._take_ticket = take_ticket

    def take(self, tenant_id: int, admitted: Sequence[Admitted]) -> Taken:
        """Store a batch. Whatever is wrong with a message, the others are not held up: the batch is then tried one by one.

        Raises only when the database does not answer; then nothing may be receipted.
        """
        try:
            return self._take(tenant_id, admitted)
        except Exception as exc:
            if database_away(exc):
                raise
            if len(admitted) == 1:
                log.error("poison", agent=admitted[0].reg.uuid, seq=admitted[0].header.seq, error=interpret.where(exc))
                return self._set_aside(tenant_id, admitted[0], f"程序错误 {type(exc).__name__}")
            log.warning("batch_split", size=len(admitted), error=interpret.where(exc))
        parts = [self.take(tenant_id, [one]) for one in admitted]
        total = Placed()
        for part in parts:
            for fate, n in part.placed.fates.items():
                total.fates[fate] = total.fates.get(fate, 0) + n
        lists = ([r for p in parts for r in p.receipts], [a for p in parts for a in p.refused])
        return Taken(*lists, total, [a for p in parts for a in p.unstorable])

    def _set_aside(self, tenant_id: int, one: Admitted, why: str) -> Taken:
        """Keep the bytes without touching them. What cannot even be stored gets no receipt: its agent keeps it, and an alarm says so."""
        try:
            return self._take(tenant_id, [one], poison=why)
        except Exception as exc:
            if database_away(exc):
                raise
            log.error("unstorable", agent=one.reg.uuid, seq=one.header.seq, error=interpret.where(exc))
        return Taken([], [], Placed(), [one])

    def _take(self, tenant_id: int, admitted: Sequence[Admitted], poison: str | None = None) -> Taken:
        with self._db.tenant(tenant_id, ACTOR) as uow:
            cur = store.cursor(uow)
            welcome, refused = _still_registered(cur, tenant_id, admitted)
            receipts, new = self._sort(uow, cur, welcome)
            messages = [self._read(uow, one, poison) for one in new]
            links = lookup.links(cur, tenant_id, {m.row.agent_id for m in messages}) if messages else {}
            for m in messages:
                self._interpret(m, links, md.catalog(uow))
            store.insert_raw(cur, tenant_id, [m.row for m in messages])
            stored = [m for m in messages if m.row.id]
            heard, between = self._heard(uow, cur, stored)
            placed = place(uow, cur, heard, self._zone)
            again = {h.raw_id for h in heard if h.resend}
            for m in stored:
                if m.tubes and m.row.id not in again:
                    tell_tubes(uow, m.row, m.link, m.tubes)
            retake.split_resends(uow, cur, between, self._zone)
            self._others(uow, cur, stored)
            _after(uow, cur, stored, placed)
        return Taken([*receipts, *(Receipted(*m.row.key, m.row.sha256) for m in stored)], refused, placed)

    def _sort(self, uow: UnitOfWork, cur: Cursor, admitted: Sequence[Admitted]) -> tuple[list[Receipted], list[Admitted]]:
        """What is stored already gets its receipt again; of the rest each key once, in the order of its stream (R4)."""
        by_key: dict[store.Key, Admitted] = {}
        again: list[Receipted] = []
        known = store.existing(cur, uow.tenant_id, {_key(a) for a in admitted})
        for one in sorted(admitted, key=_key):
            key, sha = _key(one), one.header.sha256
            before = known.get(key) or (by_key[key].header.sha256 if key in by_key else None)
            if before is None:
                by_key[key] = one
                continue
            if before != sha:
                again += self._fork(uow, cur, one, before)
            elif key in known:
                again.append(Receipted(*key, sha))
        return again, list(by_key.values())

    def _fork(self, uow: UnitOfWork, cur: Cursor, one: Admitted, before: str) -> list[Receipted]:
        """Two different messages under one number: a copied agent (F17). The second is kept under its own name and not interpreted."""
        header = one.header
        alarms.raise_alarm(uow, one.reg.agent_id, "clone", {"stream": header.stream, "seq": header.seq, "boot": header.boot})
        row = _raw(uow, one)
        row.stream, row.state = f"{header.stream}!{header.sha256[:24]}", RawState.QUARANTINED
        row.problems = [f"序号 {header.seq} 已有另一条内容不同的报文（{before[:12]}），可能有两台采集端在使用同一身份"]
        if row.key not in store.existing(cur, uow.tenant_id, {row.key}):
            store.insert_raw(cur, uow.tenant_id, [row])
        return [Receipted(row.agent_id, header.stream, header.seq, header.sha256)]

    def _read(self, uow: UnitOfWork, one: Admitted, poison: str | None) -> Message:
        row = _raw(uow, one)
        if poison is not None:
            row.state, row.problems = RawState.QUARANTINED, [poison]
        return Message(one, row)

    def _interpret(self, message: Message, links: dict[tuple[int, str], Link], catalog: md.Catalog) -> None:
        row = message.row
        link = message.link = links.get((row.agent_id, row.conn_key))
        row.connection_id = None if link is None else link.id
        if row.kind != "raw" or row.state == RawState.QUARANTINED:
            return
        if len(row.body) > interpret.MAX_INLINE:
            row.state = RawState.DEFERRED
            return
        message.said, message.tubes = read(row, link, catalog)

    def _heard(self, uow: UnitOfWork, cur: Cursor, stored: Sequence[Message]) -> tuple[list[Heard], list[tuple[store.Key, store.Key]]]:
        """The messages as the placing takes them; and (after, before) of stored ones that one of these came between."""
        raw = [m for m in stored if m.row.kind == "raw"]
        around = store.neighbours(cur, uow.tenant_id, [m.row for m in raw])
        here = {m.row.key for m in raw}
        heard: list[Heard] = []
        between: list[tuple[store.Key, store.Key]] = []
        for m in raw:
            before, after = around.get(m.row.id, (None, None))
            if after is not None and (m.row.agent_id, m.row.stream, after.seq) in here:
                after = None  # it comes in this batch too: then the later one is the resend
            if before and after and before.sha256 == after.sha256 != m.row.sha256:
                between.append(((m.row.agent_id, m.row.stream, after.seq), (m.row.agent_id, m.row.stream, before.seq)))
            window = _window(m.link, md.catalog(uow))
            same = rules.is_resend(m.row.sha256, m.row.agent_at or m.row.received_at, before, after, window)
            heard.append(to_heard(m.row, m.link, m.said, same))
        return heard, between

    def _others(self, uow: UnitOfWork, cur: Cursor, stored: Sequence[Message]) -> None:
        for m in stored:
            if m.row.kind == "ticket" and m.row.state != RawState.QUARANTINED:
                self._ticket(uow, cur, m)
        for m in stored:
            if m.row.state == RawState.DEFERRED:
                uow.emit("edge.deferred", f"raw:{m.row.id}", {"raw_id": m.row.id})

    def _ticket(self, uow: UnitOfWork, cur: Cursor, message: Message) -> None:
        """A kiosk's ticket; one that cannot be true is put aside with the reason, without touching the others."""
        try:
            with uow.s.begin_nested():
                self._take_ticket(uow, message)
        except PeerError as exc:
            message.row.state = RawState.QUARANTINED
            cur.execute(
                "UPDATE raw_message SET state = 'quarantined', problems = %s::jsonb WHERE tenant_id = %s AND id = %s",
                (json.dumps([exc.message], ensure_ascii=False), uow.tenant_id, message.row.id),
            )


def tell_tubes(uow: UnitOfWork, row: RawRow, link: Link | None, tubes: Sequence[TubeEvent]) -> None:
    """What a line said of tubes goes on by event, in the line's order; nothing played in simulator mode does."""
    if link is not None and link.simulated(row.agent_at or row.received_at):
        return
    told = [{k: interpret.clean(v) for k, v in asdict(t).items()} for t in tubes]
    name = link.name if link is not None else row.conn_key
    at = (row.agent_at or row.received_at).isoformat()
    uow.emit("tube.seen", f"track:{row.agent_id}:{row.conn_key}", {"device": name, "at": at, "events": told})


def read(row: RawRow, link: Link | None, catalog: md.Catalog) -> tuple[list[interpret.Said], list[TubeEvent]]:
    """Decode a message's bytes and set the row's state; what cannot be decoded is quarantined with the reason."""
    try:
        reading = interpret.reading_of(row.body, row.meta, link, catalog)
        track = link is not None and link.track
        said, seen = interpret.observations(reading, track), tube_events(reading, track)
        row.problems = interpret.problems(reading)
    except Exception as exc:
        # Whatever a decoder meets, the bytes are kept and the stream goes on.
        log.error("undecodable", driver=None if link is None else link.driver, error=interpret.where(exc))
        row.state, row.problems = RawState.QUARANTINED, [f"解析失败：{type(exc).__name__}"]
        return [], []
    # An acknowledgement or a query has no results and is understood; what is neither, and has problems, is not.
    unread = not said and all(m.kind == "other" for m in reading.messages) and bool(reading.problems or not reading.messages)
    row.state = RawState.QUARANTINED if unread else RawState.INTERPRETED
    if unread and not row.problems:
        row.problems = ["报文中没有可以识别的内容"]
    return said, seen


def to_heard(row: RawRow, link: Link | None, said: list[interpret.Said], resend: bool) -> Heard:
    """A stored message as the placing takes it."""
    if link is not None and link.analyzer_id is not None:
        source = f"a{link.analyzer_id}"
    else:
        source = f"g{row.agent_id}:{row.conn_key}"
    return Heard(row.id, row.stream, row.seq, row.sha256, link, source, row.agent_at or row.received_at, row.received_at, said, resend)


def database_away(exc: BaseException) -> bool:
    """Whether it is the database that fails (down, restarted, deadlock, outcome of a COMMIT unknown) and not the message."""
    cause = exc.orig if isinstance(exc, DBAPIError) else exc
    if isinstance(exc, DBAPIError) and exc.connection_invalidated:
        return True
    return isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)


def _still_registered(cur: Cursor, tenant: int, admitted: Sequence[Admitted]) -> tuple[list[Admitted], list[Admitted]]:
    """Ask the database once more, in the transaction that would store: a revocation counts from its own COMMIT on."""
    cur.execute(
        "SELECT id, serial FROM agent WHERE tenant_id = %s AND id = ANY(%s) AND state = 'enrolled'",
        (tenant, list({a.reg.agent_id for a in admitted})),
    )
    serials: dict[int, str | None] = dict(cur.fetchall())
    good = [a for a in admitted if a.reg.agent_id in serials and serials[a.reg.agent_id] == a.reg.serial]
    return good, [a for a in admitted if a not in good] if len(good) < len(admitted) else []


def _key(one: Admitted) -> store.Key:
    return (one.reg.agent_id, one.header.stream, one.header.seq)


def _raw(uow: UnitOfWork, one: Admitted) -> RawRow:
    header = one.header
    return RawRow(
        agent_id=one.reg.agent_id,
        stream=header.stream,
        seq=header.seq,
        kind=one.kind,
        sha256=header.sha256,
        boot=(interpret.clean(header.boot) or "")[:64],
        mono_ns=header.mono,
        connection_id=None,
        conn_key=(interpret.clean(header.conn) or "")[:200],
        agent_at=interpret.agent_time(header.at),
        received_at=uow.now,
        body=one.body,
        meta=interpret.clean_json(header.meta),
        state=RawState.INTERPRETED,
    )


def _window(link: Link | None, catalog: md.Catalog) -> timedelta:
    row = catalog.analyzers.get(link.analyzer_id) if link is not None and link.analyzer_id is not None else None
    return timedelta(seconds=600 if row is None else row.resend_window_s)


def _after(uow: UnitOfWork, cur: Cursor, stored: Sequence[Message], placed: Placed) -> None:
    """Board and trays hear of it; heartbeat columns are written beside the ORM, they are nobody's edit."""
    spoke = sorted({m.row.connection_id for m in stored if m.said and m.row.connection_id is not None})
    store.spoke(cur, uow.tenant_id, spoke, uow.now)
    if placed.needs_person or any(m.row.state != RawState.INTERPRETED for m in stored):
        uow.notify("edge", {"what": "tray"})


def receipt_body(stream: str, items: Sequence[Receipted]) -> bytes:
    """The JSON of a receipt for one stream."""
    return json.dumps({"stream": stream, "items": [[i.seq, i.sha256] for i in items]}, separators=(",", ":")).encode()
