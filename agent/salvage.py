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
    journal = _whole(path, build, schedule)
    if journal is None:
        set_aside(path, now)
        _suspect_file(path).unlink(missing_ok=True)
        journal = Journal(path, schedule=schedule)
    for old in damaged_files(path):
        if journal.get(_done_key(old)) is None:  # also one whose salvage a crash cut short
            salvage(old, journal, build)
    return journal


def _whole(path: Path, build: Build, schedule: Schedule | None) -> Journal | None:
    """The journal, recovered, or None when its file is damaged."""
    if _suspect_file(path).exists():
        return None
    try:
        journal = Journal(path, schedule=schedule)
        if path.stat().st_size <= CHECK_BYTES:
            store.check(journal.db)
        journal.recover(build)
    except (store.StoreDamaged, *store.DAMAGE):
        return None
    if journal.damaged:
        journal.db.close(True)
        return None
    return journal


def _done_key(old: Path) -> str:
    return f"salvaged {old.name}"


def mark_suspect(path: Path) -> None:
    """Damage was met in an open journal: the next start sets it aside, however large it is."""
    _suspect_file(path).touch()


def _suspect_file(path: Path) -> Path:
    return path.with_name(path.name + ".suspect")


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


def salvage(old: Path, journal: Journal, build: Build) -> None:
    """Copy what is whole under its own stream and number; may be run again after a crash."""
    try:
        db = apsw.Connection(str(old), flags=apsw.SQLITE_OPEN_READWRITE)
        db.execute("PRAGMA writable_schema = ON")  # reads a file that is shorter than its header says; nothing is written
        streams: dict[int, str] = {int(no): str(name) for no, name in db.execute("SELECT no, uuid FROM streams")}
    except apsw.Error:
        streams, db = {}, None  # not even its first pages can be read: the file is kept for a specialist
    if db is not None:
        for number, row in enumerate(_rows(db, streams), 1):
            journal.adopt(row, streams)
            if number % 200 == 0:
                journal.flush()
        journal.flush()
        for item in _unfinished(db):
            journal.message(build(item))
        db.close(True)
    journal.put(_done_key(old), "1")  # in one transaction with the unfinished sessions, which have no number to know them by
    journal.flush()


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
