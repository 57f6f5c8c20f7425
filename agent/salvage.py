"""Opening the journal when its file is damaged: the old file is kept, what is whole moves on, capture goes on.

RELIABILITY F4. A new file starts with a new stream; undamaged messages of the old one enter it under their old stream and
number, so that the cloud knows those it already has. The old file stays beside it, named `.damaged-…`, and is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw

from agent import rows, store
from agent.journal import Journal, Schedule
from agent.rows import Build

CHECK_BYTES = 64 << 20  # every page of a file up to this size is looked at when it is opened; F2 allows 5 s to start


def open_journal(path: Path, build: Build, now: int, *, schedule: Schedule | None = None) -> Journal:
    """Open the journal, turning what a crash cut into messages, and salvaging a damaged file into a new one."""
    try:
        journal = Journal(path, schedule=schedule)
        if path.stat().st_size <= CHECK_BYTES:
            store.check(journal.db)
        journal.recover(build)
        if not journal.damaged:
            return journal
        journal.db.close(True)
    except (store.StoreDamaged, *store.DAMAGE):
        pass
    old = set_aside(path, now)
    journal = Journal(path, schedule=schedule)
    salvage(old, journal, build)
    return journal


def damaged_files(path: Path) -> list[Path]:
    """Journals set aside and not yet looked at by a person."""
    return sorted(p for p in path.parent.glob(path.name + ".damaged-*") if not p.name.endswith(("-wal", "-shm")))


def set_aside(path: Path, now: int) -> Path:
    """Rename the file with its WAL; the shared-memory index is rebuilt by SQLite."""
    target = path.with_name(f"{path.name}.damaged-{now}")
    path.rename(target)
    wal = path.with_name(path.name + "-wal")
    if wal.exists():
        wal.rename(target.with_name(target.name + "-wal"))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    return target


def salvage(old: Path, journal: Journal, build: Build) -> tuple[int, int]:
    """Copy what is whole: returns (messages kept, rows seen but damaged)."""
    try:
        db = apsw.Connection(str(old), flags=apsw.SQLITE_OPEN_READWRITE)
        db.execute("PRAGMA writable_schema = ON")  # reads a file that is shorter than its header says; nothing is written
        streams: dict[int, str] = {int(no): str(name) for no, name in db.execute("SELECT no, uuid FROM streams")}
    except apsw.Error:
        return 0, 0  # not even its first pages can be read: the file is kept for a specialist
    kept = damaged = 0
    for row in _rows(db, streams):
        stored = journal.adopt(row, streams)
        kept, damaged = kept + stored, damaged + (not stored)
    for item in _unfinished(db):
        journal.message(build(item))
        kept += 1
    journal.flush()
    db.close(True)
    return kept, damaged


def _unfinished(db: apsw.Connection) -> list[rows.Unfinished]:
    try:
        return list(rows.unfinished(db))
    except apsw.Error:
        return []


def _rows(db: apsw.Connection, streams: dict[int, str]) -> Iterator[tuple[object, ...]]:
    """Every row that can still be reached: in order as far as that goes, then one by one up to the last."""
    for no in streams:
        low, high = no << rows.SEQ_BITS, (no + 1) << rows.SEQ_BITS
        reached = low
        try:
            for row in db.execute(f"{_SELECT} WHERE id > ? AND id < ? ORDER BY id", (low, high)):
                reached = int(str(row[0]))
                yield row
        except apsw.Error:
            for number in range(reached + 1, _last(db, low, high) + 1):
                yield from _one(db, number)


_SELECT = f"SELECT {rows.COLUMNS}, receipted_at FROM messages"


def _one(db: apsw.Connection, number: int) -> list[tuple[object, ...]]:
    try:
        return list(db.execute(f"{_SELECT} WHERE id = ?", (number,)))
    except apsw.Error:
        return []


def _last(db: apsw.Connection, low: int, high: int) -> int:
    """The highest id: by the table or, when its last pages are gone, by either index."""
    found = low
    for sql in (
        "SELECT max(id) FROM messages WHERE id > ? AND id < ?",
        "SELECT max(id) FROM messages INDEXED BY pending WHERE state = 0 AND id > ? AND id < ?",
        "SELECT max(id) FROM messages INDEXED BY receipted WHERE state = 1 AND id > ? AND id < ?",
    ):
        try:
            found = max(found, int(db.execute(sql, (low, high)).get or 0))
        except apsw.Error:
            continue
    return found
