"""The agent's durable memory: frames before they are acknowledged, messages until the cloud's receipt, the worklist cache.

One writer, in the event loop's thread. Whatever is handed in during one turn of the loop goes to disk in one transaction
(group commit); callers learn the outcome by a callback after the COMMIT, and only then may they acknowledge anything.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from agent import log, store, vault
from agent.ranges import Ranges
from agent.rows import (
    COLUMNS,
    FRAME_PLACE,
    PENDING,
    QUARANTINED,
    RECEIPTED,
    SEQ_BITS,
    SEQ_MASK,
    Build,
    Outgoing,
    Row,
    Stored,
    frame_crc,
    message_crc,
    message_place,
    read_row,
    state_mark,
    text_crc,
    unfinished,
)
from common.crypto import sha256_hex

KEEP_RECEIPTED_MS = 14 * 86_400_000  # RELIABILITY R2: the replay reserve
BUSY_MS = 5_000  # a file locked by another program: after this a frame is refused, and the analyzer sends it again
_PURGE_FRAMES = 2_000  # spent frames cleared at once: about a millisecond

_log = log.get("journal")

Done = Callable[[bool], None]
Schedule = Callable[[bool], object]  # called with True when the flush may wait some milliseconds
_Work = tuple[Callable[[], object], Done | None]

_as_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
_INSERT_FRAME = "INSERT INTO frames(id, session, conn, at, data, crc) VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_MESSAGE = (
    "INSERT OR IGNORE INTO messages(id, kind, conn, at, meta, body, sha256, crc, urgent, state, receipted_at, mark) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(slots=True)
class _Session:
    conn: str
    started: int
    first: int = 0  # id of its first frame, 0 before there is one


class Journal:
    """See the module's text. `schedule` is told once whenever there is something to flush; tests flush by hand."""

    def __init__(self, path: Path, *, schedule: Schedule | None = None, vfs: str | None = None) -> None:
        self.path = path
        self.refusing = False  # disk nearly full: nothing new is taken (RELIABILITY R5)
        self.damaged = False  # SQLite found damage: the agent starts anew through salvage
        self.last_error: str | None = None
        self.schedule = schedule
        self.on_message: Callable[[], None] | None = None  # told after a COMMIT that put messages into the outbox
        self.vault = vault.beside(path)
        self.db = store.connect(path, vfs)
        self.db.set_busy_timeout(BUSY_MS)
        self.stream = self._current_stream()
        self._stream_no = self.number_of(self.stream)
        self._next_frame = 1 + (self._one("SELECT max(id) FROM frames") or 0)
        self._next_session = 1 + (self._one("SELECT max(session) FROM frames") or 0)
        self._next_seq = 1 + (self._highest_seq() & SEQ_MASK)
        self._sessions: dict[int, _Session] = {}
        self._ending = 0  # sessions whose end waits for its commit
        self._frames: list[tuple[int, int, str, int, bytes | None, int]] = []
        self._waiting: list[Done] = []
        self._work: list[_Work] = []
        self._undo: list[Callable[[], None]] = []  # in-memory changes of the open transaction
        self._dirty = False
        self.sealed_to = 0  # messages up to this id are sealed (agent/sealing.py)
        self._purged = self._one("SELECT min(id) FROM frames") or self._next_frame
        self.pending: dict[int, Ranges] = {}  # by stream number
        self._load_pending()

    # --- what links hand in

    def open_session(self, conn: str, at: int) -> int:
        """Begin a session of frames; nothing is written before its first frame."""
        number = self._next_session
        self._next_session += 1
        self._sessions[number] = _Session(conn, at)
        return number

    def frame(self, session: int, at: int, data: bytes, done: Done) -> None:
        """Store one accepted frame; `done` hears after the COMMIT whether it is on disk."""
        if self.refusing:
            done(False)
            return
        number = self._next_frame
        self._next_frame = number + 1
        entry = self._sessions[session]
        if not entry.first:
            entry.first = number
        conn, sealed = entry.conn, self.vault.seal(data, FRAME_PLACE)
        self._frames.append((number, session, conn, at, sealed, frame_crc(session, conn, at, sealed)))
        self._waiting.append(done)
        if not self._dirty:
            self._mark()

    def close_session(self, session: int, message: Outgoing | None, done: Callable[[], None] | None = None) -> None:
        """End a session; its message enters the outbox in the same transaction. Retried until it succeeds."""

        def work() -> None:
            entry = self._sessions[session]
            if message is not None:
                self._insert(message)
            if entry.first:
                number = self._next_frame
                self._next_frame += 1
                crc = frame_crc(session, entry.conn, entry.started, b"")
                self.db.execute(_INSERT_FRAME, (number, session, entry.conn, entry.started, None, crc))

        def after(ok: bool) -> None:
            if not ok:
                self._work.append((work, after))  # not announced: the next flush, or the agent's tick, tries again
                return
            del self._sessions[session]
            self._ending -= 1
            if done is not None:
                done()

        self._ending += 1
        self._add(work, after, patient=done is None)

    def message(self, message: Outgoing, done: Done | None = None, note: tuple[str, str] | None = None) -> None:
        """Store a whole message, and a small value with it; `done` hears after the COMMIT whether both are on disk."""
        if self.refusing:
            if done is not None:
                done(False)
            return

        def work() -> None:
            self._insert(message)
            if note is not None:
                self.put_now(*note)

        self._add(work, done)

    # --- the commit

    def flush(self) -> None:
        """Write everything handed in since the last time in one transaction, then tell the callers."""
        frames, waiting, work = self._frames, self._waiting, self._work
        if not frames and not work:
            return
        self._frames, self._waiting, self._work, self._dirty = [], [], [], False
        counters = self._next_seq
        try:
            self._commit(frames, work)
        except (apsw.Error, OSError) as error:
            self.damaged = self.damaged or isinstance(error, store.DAMAGE)
            self._next_seq = counters
            self.last_error = f"{type(error).__name__}: {error}"
            self._rollback()
            self._answer(waiting, work, ok=False)
            return
        self.last_error = None
        self._undo.clear()
        self._answer(waiting, work, ok=True)
        if self._next_seq != counters and self.on_message is not None:
            self.on_message()

    def _commit(self, frames: list[Any], work: list[_Work]) -> None:
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        if frames:
            db.executemany(_INSERT_FRAME, frames)
        for step, _ in work:
            step()
        self._purge_frames()
        db.execute("COMMIT")

    def _rollback(self) -> None:
        if not self.db.get_autocommit():
            self.db.execute("ROLLBACK")
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()

    @staticmethod
    def _answer(waiting: list[Done], work: list[_Work], *, ok: bool) -> None:
        """Tell the callers; one that fails (our bug in one link) must not keep the others waiting."""
        for done in (*waiting, *(after for _, after in work if after is not None)):
            try:
                done(ok)
            except Exception:
                _log.exception("a caller of the journal failed")

    def _mark(self) -> None:
        self._dirty = True
        if self.schedule is not None:
            self.schedule(False)

    def _add(self, work: Callable[[], object], done: Done | None, *, patient: bool = False) -> None:
        """Queue work; patient work, on which nobody waits, is happy to share the next frame's commit."""
        self._work.append((work, done))
        if patient and not self._dirty and self.schedule is not None:
            self.schedule(True)
        elif not self._dirty:
            self._mark()

    def _purge_frames(self) -> None:
        """Clear frames whose sessions are all closed, from the beginning of the table."""
        if self._next_frame - self._purged < _PURGE_FRAMES:
            return
        lowest = min((s.first for s in self._sessions.values() if s.first), default=self._next_frame)
        if lowest - self._purged >= _PURGE_FRAMES:
            self.db.execute("DELETE FROM frames WHERE id < ?", (lowest,))
            self._purged = lowest

    def clear_spent_frames(self) -> None:
        """Clear all frames whose sessions are closed, inside an open transaction (agent/sealing.py)."""
        self.db.execute("DELETE FROM frames WHERE id < ?", (min((s.first for s in self._sessions.values() if s.first), default=1 << 62),))

    def plain_frames(self) -> bool:
        """True while a frame of the time before encryption lies in the file."""
        return bool(self._one("SELECT 1 FROM frames WHERE data IS NOT NULL AND substr(data, 1, 2) <> ? LIMIT 1", (vault.MAGIC,)))

    def _insert(self, message: Outgoing) -> None:
        seq = self._next_seq
        self._next_seq = seq + 1
        number = self._stream_no << SEQ_BITS | seq
        meta = _as_json(message.meta)
        sha256 = sha256_hex(message.body)
        self._write(number, message.kind, message.conn, message.at, meta, message.body, sha256, int(message.urgent), PENDING, 0)
        if not self.db.changes():
            raise apsw.ConstraintError("a number was given twice")
        ranges = self.pending.setdefault(self._stream_no, Ranges())
        ranges.add(seq)
        self._undo.append(lambda: ranges.remove(seq))

    def _write(self, number: int, kind: str, conn: str, at: int, meta: str, body: bytes, sha256: str, *state: int) -> None:
        """One row with its checksums; `state` is urgent, state, receipted_at."""
        crc = message_crc(number, kind, conn, at, meta, sha256)
        mark = state_mark(number, state[1], state[2])
        place = message_place(number)
        sealed = self.vault.seal(meta.encode(), place), self.vault.seal(body, place)
        self.db.execute(_INSERT_MESSAGE, (number, kind, conn, at, *sealed, sha256, crc, *state, mark))

    # --- after a crash

    def recover(self, build: Build) -> int:
        """Turn the frames of sessions that never ended into messages; `build(unfinished)` makes each. Returns how many."""
        found = list(unfinished(self.db, self.vault))
        for item in found:
            self._sessions[item.session] = _Session(item.conn, item.started, first=1)
            self.close_session(item.session, build(item))
        self.flush()
        return len(found)

    # --- receipts and reading

    def receipt(self, stream: str, items: Iterable[Sequence[Any]], now: int, done: Done | None = None) -> None:
        """The cloud has committed these (seq, sha256): they leave pending where the hash is the stored one."""
        number = self.number_of(stream)
        if number is None:
            return
        wanted = [(int(item[0]), str(item[1])) for item in items]

        def work() -> None:
            for seq, sha256 in wanted:
                self._receipt_one(number, seq, sha256, now)

        self._add(work, done)

    def _receipt_one(self, stream: int, seq: int, sha256: str, now: int) -> None:
        number = stream << SEQ_BITS | seq
        self.db.execute(
            "UPDATE messages SET state = ?, receipted_at = ?, mark = ? WHERE id = ? AND sha256 = ? AND state <> ?",
            (RECEIPTED, now, state_mark(number, RECEIPTED, now), number, sha256, RECEIPTED),
        )
        if self.db.changes():
            self._leave_pending(stream, seq)

    def _leave_pending(self, stream: int, seq: int) -> None:
        ranges = self.pending.get(stream)
        if ranges is not None and seq in ranges:
            ranges.remove(seq)
            self._undo.append(lambda: ranges.add(seq))

    def pend_again(self, since: int, done: Callable[[], object]) -> None:
        """Receipted messages of the reserve that ended at or after `since` (milliseconds) wait for a receipt once more (F24)."""
        sql = "SELECT id FROM messages INDEXED BY receipted WHERE state = 1 AND at >= ?"
        numbers = [row[0] for row in self.select(sql, (since,))]

        def work() -> None:
            marks = [(state_mark(number, PENDING, 0), number) for number in numbers]
            self.db.executemany("UPDATE messages SET state = 0, receipted_at = 0, mark = ? WHERE id = ? AND state = 1", marks)

        def after(ok: bool) -> None:
            if ok:
                self._load_pending()
                done()

        self._add(work, after)

    def quarantine(self, number: int) -> None:
        """A record whose checksum is wrong: it is kept, shown and not sent."""

        def work() -> None:
            mark = state_mark(number, QUARANTINED, 0)
            self.db.execute("UPDATE messages SET state = ?, receipted_at = 0, mark = ? WHERE id = ?", (QUARANTINED, mark, number))
            self._leave_pending(number >> SEQ_BITS, number & SEQ_MASK)

        self._add(work, None)

    def pending_ids(self, *, urgent: bool, above: int, limit: int) -> list[int]:
        """Ids waiting for a receipt, oldest first."""
        sql = "SELECT id FROM messages INDEXED BY pending WHERE state = 0 AND urgent = ? AND id > ? ORDER BY id LIMIT ?"
        return [row[0] for row in self.select(sql, (int(urgent), above, limit))]

    def read(self, number: int) -> Stored | None:
        """One message, or None when there is none or its checksum is wrong (it is then quarantined)."""
        for values in self.select(f"SELECT {COLUMNS} FROM messages WHERE id = ?", (number,)):
            row = read_row(values, self.vault)
            if row is not None and row.whole:
                return self._stored(row)
            self.quarantine(number)
        return None

    def messages(self) -> Iterator[Stored]:
        """Every readable message, oldest first (for doctor, replay and tests)."""
        for values in self.db.execute(f"SELECT {COLUMNS} FROM messages ORDER BY id"):
            row = read_row(values, self.vault)
            if row is not None and row.whole:
                yield self._stored(row)

    def _stored(self, row: Row) -> Stored:
        stream = self._one("SELECT uuid FROM streams WHERE no = ?", (row.id >> SEQ_BITS,))
        meta = json.loads(row.meta)
        return Stored(
            row.id, stream, row.id & SEQ_MASK, row.kind, row.conn, row.at, meta, row.body, row.sha256, bool(row.urgent), row.state
        )

    def adopt(self, row: Row, stream: str) -> None:
        """Take over a whole row of a damaged journal under its own stream and number; does nothing when it is here."""
        self._add(lambda: self._adopt(row, stream), None)

    def _adopt(self, row: Row, stream: str) -> None:
        self._add_stream(stream)
        no, seq, state = int(self.number_of(stream)), row.id & SEQ_MASK, row.sure_state
        at = row.receipted_at if state == RECEIPTED else 0
        self._write(no << SEQ_BITS | seq, row.kind, row.conn, row.at, row.meta, row.body, row.sha256, row.urgent, state, at)
        if state == PENDING and self.db.changes():
            self.pending.setdefault(no, Ranges()).add(seq)

    def counts(self) -> dict[str, int]:
        """How many messages are in each state; their sum is what was received and is still kept (R8)."""
        found: dict[Any, Any] = dict(map(tuple, self.db.execute("SELECT state, count(*) FROM messages GROUP BY state")))
        return {"pending": found.get(PENDING, 0), "receipted": found.get(RECEIPTED, 0), "quarantined": found.get(QUARANTINED, 0)}

    @property
    def pending_count(self) -> int:
        """How many messages wait for a receipt."""
        return sum(ranges.count for ranges in self.pending.values())

    @property
    def unflushed(self) -> bool:
        """True when somebody waits for the next commit."""
        return self._dirty

    @property
    def queued(self) -> int:
        """Frames handed in and not yet committed."""
        return len(self._frames)

    @property
    def open_sessions(self) -> int:
        """Sessions that may hand in a frame any moment."""
        return len(self._sessions) - self._ending

    @property
    def highest(self) -> int:
        """The id of the newest message."""
        return int(self._stream_no) << SEQ_BITS | (self._next_seq - 1)

    @property
    def highest_seq(self) -> int:
        """The newest number of the current stream."""
        return self._next_seq - 1

    def oldest_pending(self) -> int | None:
        """Wall-clock milliseconds of the oldest message without a receipt."""
        numbers = [no << SEQ_BITS | ranges.first for no, ranges in self.pending.items() if ranges.first is not None]
        ats = [self._one("SELECT at FROM messages WHERE id = ?", (number,)) for number in numbers]
        return min((at for at in ats if at is not None), default=None)

    def pending_by_stream(self, limit: int) -> dict[str, list[list[int]]]:
        """Pending ranges by stream uuid."""
        names: dict[Any, Any] = dict(map(tuple, self.db.execute("SELECT no, uuid FROM streams")))
        return {names[no]: ranges.pairs(limit) for no, ranges in self.pending.items() if ranges}

    # --- small state

    def later(self, work: Callable[[], object]) -> None:
        """Do this in the next transaction; nobody waits for it."""
        self._add(work, None)

    def get(self, key: str) -> str | None:
        """A small value kept beside the messages."""
        value = self._one("SELECT value FROM state WHERE key = ?", (key,))
        if value is None:
            return None
        try:
            return value if isinstance(value, str) else self.vault.open(value, b"state " + key.encode()).decode()
        except (vault.Sealed, ValueError) as error:
            raise store.StoreDamaged("journal.state", "a value of the journal does not open: damaged, or another key") from error

    def put(self, key: str, value: str, done: Done | None = None) -> None:
        """Keep a small value; `done` hears after the COMMIT whether it is on disk."""
        self._add(lambda: self.put_now(key, value), done)

    def put_now(self, key: str, value: str) -> None:
        """The same inside an open transaction."""
        self.db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, self.vault.seal(value.encode(), b"state " + key.encode())))

    def drop_old(self, now: int, limit: int = 500) -> None:
        """Forget receipted messages after the reserve's 14 days, never the newest one (it holds the numbering)."""
        sql = (
            "DELETE FROM messages WHERE id IN (SELECT id FROM messages INDEXED BY receipted "
            "WHERE state = 1 AND receipted_at < ? AND id <> ? LIMIT ?)"
        )
        self._add(lambda: self.db.execute(sql, (now - KEEP_RECEIPTED_MS, self.highest, limit)), None)

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self.db.close()

    # --- opening

    def _current_stream(self) -> str:
        current = self.get("stream")
        if current is None:
            current = str(uuid.uuid4())
            with self.db:
                self._add_stream(current)
                self.put_now("stream", current)
        if self.number_of(current) is None:
            raise store.StoreDamaged("journal.stream", "the journal does not know its own stream")
        return current

    def _add_stream(self, stream: str) -> None:
        self.db.execute("INSERT OR IGNORE INTO streams(uuid, crc) VALUES (?, ?)", (stream, text_crc(stream)))

    def number_of(self, stream: str) -> Any:
        """The number of a stream in this file, None when it is not ours."""
        return self._one("SELECT no FROM streams WHERE uuid = ?", (stream,))

    def _highest_seq(self) -> int:
        low = self._stream_no << SEQ_BITS
        found = self._one("SELECT max(id) FROM messages WHERE id >= ? AND id < ?", (low, low + (1 << SEQ_BITS)))
        return int(found or 0)

    def _load_pending(self) -> None:
        self.pending = {}
        for (number,) in self.db.execute("SELECT id FROM messages INDEXED BY pending WHERE state = 0"):
            self.pending.setdefault(number >> SEQ_BITS, Ranges()).add(number & SEQ_MASK)

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        rows = self.select(sql, values)
        return rows[0][0] if rows else None

    def select(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Rows; none, and `damaged` set, when SQLite meets damage on the way."""
        try:
            return list(self.db.execute(sql, values))
        except store.DAMAGE as error:
            self.damaged = True
            self.last_error = f"{type(error).__name__}: {error}"
            return []


def wall_ms() -> int:
    """The wall clock in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
