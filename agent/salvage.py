"""Opening the journal when its file is damaged: the old file is kept, what is whole moves on, capture goes on.

RELIABILITY F4. A new file starts with a new stream; undamaged messages of the old one enter it under their old stream and
number, so that the cloud knows those it already has. The old file stays beside it, named `.damaged-…`, and is shown.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw

from agent import rows, store
from agent.journal import Journal, Schedule
from agent.rows import Build
from agent.vault import Vault

CHECK_BYTES = 64 << 20  # every page of a file up to this size is looked at when it is opened; F2 allows 5 s to start


def open_journal(path: Path, build: Build, now: int, *, schedule: Schedule | None = None) -> Journal:
    """Open the journal, turning what a crash cut into messages, and salvaging a damaged file into a new one."""
    journal = _whole(path, build, schedule)
    if journal is None:
        set_aside(path, now)
        _suspect_file(path).unlink(missing_ok=True)
        journal = Journal(path, schedule=schedule)
    # The newest first: it knows best what was receipted, and which of the older ones it had salvaged itself.
    for old in reversed(damaged_files(path)):
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
    with _readable(old) as db:
        if db is not None:
            streams = _streams(db)
            strays = [row for row in _keep(db, journal, streams) if row.sure_state == rows.PENDING]
            unfinished = [build(item) for item in _unfinished(db, journal.vault)]
            # What has no number any more to know it by goes over in one transaction with the note that it did.
            for message in (*map(_anew, strays), *unfinished):
                journal.message(message)
            for key in _done_before(db):
                journal.put(key, "1")
    journal.put(_done_key(old), "1")
    journal.flush()


def _done_before(db: apsw.Connection) -> list[str]:
    """Notes of older files whose salvage this one had done: without them their unfinished sessions would come twice."""
    try:
        return [str(key) for (key,) in db.execute("SELECT key FROM state WHERE key LIKE 'salvaged %'")]
    except apsw.Error:
        return []


@contextmanager
def _readable(old: Path) -> Iterator[apsw.Connection | None]:
    """The damaged file, open. Where its first page is broken, a copy with the first page of a new file, whose tables lie
    where those of every file of ours do. None when even that cannot be read: the file is kept for a specialist.
    """
    copy = old.with_name(f".{old.name}.copy")
    try:
        for source in (old, _transplanted(old, copy)):
            db = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                db.execute("PRAGMA writable_schema = ON")  # reads a file shorter than its header says; nothing is written
                db.execute("SELECT count(*) FROM streams; SELECT id FROM messages LIMIT 1").fetchall()
            except (apsw.Error, UnicodeDecodeError):
                db.close(True)
                continue
            yield db
            db.close(True)
            return
        yield None
    finally:
        for name in (copy.name, f"{copy.name}-wal", f"{copy.name}-shm"):
            copy.with_name(name).unlink(missing_ok=True)


def _transplanted(old: Path, copy: Path) -> Path:
    shutil.copyfile(old, copy)
    wal = old.with_name(old.name + "-wal")
    if wal.exists():
        shutil.copyfile(wal, copy.with_name(copy.name + "-wal"))
    with TemporaryDirectory() as folder:
        store.connect(Path(folder) / "new.db").close()
        page = bytearray((Path(folder) / "new.db").read_bytes()[: store.PAGE])
    page[92:96] = bytes(4)  # "version valid for" that does not fit: SQLite then takes the size from the file itself
    page[32:40] = bytes(8)  # no free pages
    with open(copy, "r+b") as file:
        file.write(page)
    return copy


def _streams(db: apsw.Connection) -> dict[int, str]:
    """Streams by number; one whose name was changed is left out."""
    try:
        found = list(db.execute("SELECT no, CAST(uuid AS BLOB), crc FROM streams"))
    except apsw.Error:
        return {}
    named = [(int(str(no)), bytes(raw).decode("utf-8", "replace"), crc) for no, raw, crc in found if isinstance(raw, bytes)]
    return {no: name for no, name, crc in named if crc == rows.text_crc(name)}


def _keep(db: apsw.Connection, journal: Journal, streams: dict[int, str]) -> list[rows.Row]:
    """Adopt what is whole; return what is whole and whose stream is not known any more."""
    strays: list[rows.Row] = []
    for number, row in enumerate(_rows(db, journal.vault), 1):
        if row.id >> rows.SEQ_BITS in streams:
            journal.adopt(row, streams[row.id >> rows.SEQ_BITS])
        else:
            strays.append(row)
        if number % 200 == 0:
            journal.flush()
    journal.flush()
    return strays


def _anew(row: rows.Row) -> rows.Outgoing:
    """A message that must take a new number; the cloud knows it by its content if it has it."""
    return rows.Outgoing(row.conn, row.body, row.at, json.loads(row.meta), bool(row.urgent), row.kind)


def _unfinished(db: apsw.Connection, vault: Vault) -> list[rows.Unfinished]:
    try:
        return list(rows.unfinished(db, vault))
    except apsw.Error:
        return []


def _rows(db: apsw.Connection, vault: Vault) -> Iterator[rows.Row]:
    """Every whole row that can still be reached: in order as far as that goes, then one by one up to the last."""
    reached = 0
    try:
        for values in db.execute(f"{_SELECT} ORDER BY id"):
            reached = int(str(values[0]))
            yield from _judged(values, vault)
    except apsw.Error:
        for low, high in _spans(db, reached):
            for number in range(low, high + 1):
                yield from _one(db, number, vault)


def _judged(values: Sequence[object], vault: Vault) -> list[rows.Row]:
    row = rows.read_row(values, vault)
    return [row] if row is not None and row.whole else []


_SELECT = f"SELECT {rows.COLUMNS} FROM messages"


def _spans(db: apsw.Connection, reached: int) -> list[tuple[int, int]]:
    """Where ids may still lie: numbers of a stream have no gaps, so only its last one must be known."""
    no = reached >> rows.SEQ_BITS or 1
    spans = [(reached + 1, _last(db, no << rows.SEQ_BITS, (no + 1) << rows.SEQ_BITS))]
    for later in range(no + 1, no + 50):
        low = later << rows.SEQ_BITS
        spans.append((low + 1, _last(db, low, low + (1 << rows.SEQ_BITS))))
    return spans


def _one(db: apsw.Connection, number: int, vault: Vault) -> list[rows.Row]:
    try:
        return [row for values in db.execute(f"{_SELECT} WHERE id = ?", (number,)) for row in _judged(values, vault)]
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
