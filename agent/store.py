"""The journal's file: how it is opened, what tables it has, and how damage is told from health.

SQLite through apsw, the same library the power-loss tests use. WAL and `synchronous=FULL`: a COMMIT returns when the
data is on disk (RELIABILITY R1). `PRAGMA user_version` is the schema's number; tables are only ever added to, so that
the version before and the one after can read the file.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from common.errors import LocalError

SCHEMA = 2  # 1: the same tables with plain rows (agent/sealing.py)
PAGE = 4096

_TABLES = """
CREATE TABLE state(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- A stream is the numbering of one journal file; a new file never goes on with an old one's numbers.
CREATE TABLE streams(no INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, crc INTEGER NOT NULL);
-- Accepted frames in the order they came; data NULL closes a session whose message is in `messages`.
-- Appended only and cleared from its beginning, so that a commit touches few pages however many links are busy.
CREATE TABLE frames(
  id INTEGER PRIMARY KEY, session INTEGER NOT NULL, conn TEXT NOT NULL, at INTEGER NOT NULL, data BLOB, crc INTEGER NOT NULL
);
-- The outbox. id = stream number * 2^40 + seq. state: 0 pending, 1 receipted, 2 quarantined.
-- crc covers what never changes (the body by its hash), mark covers the state.
CREATE TABLE messages(
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, conn TEXT NOT NULL, at INTEGER NOT NULL, meta TEXT NOT NULL,
  body BLOB NOT NULL, sha256 TEXT NOT NULL, crc INTEGER NOT NULL,
  urgent INTEGER NOT NULL, state INTEGER NOT NULL, receipted_at INTEGER NOT NULL, mark INTEGER NOT NULL
);
CREATE INDEX pending ON messages(urgent, id) WHERE state = 0;
CREATE INDEX receipted ON messages(receipted_at) WHERE state = 1;
-- The cached worklist: what the cloud said about a tube, per connection.
CREATE TABLE inbox(
  conn TEXT NOT NULL, barcode TEXT NOT NULL, body TEXT NOT NULL, received_at INTEGER NOT NULL, crc INTEGER NOT NULL,
  PRIMARY KEY (conn, barcode)
) WITHOUT ROWID;
-- Number blocks leased to a kiosk: next is the first unused number.
CREATE TABLE leases(
  kiosk TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (kiosk, first)
) WITHOUT ROWID;
"""


class StoreDamaged(LocalError):
    """The file is not a whole SQLite database of ours; salvage decides what can be kept."""


class StoreError(LocalError):
    """The file is fine but cannot be used (a newer schema, no rights, locked)."""


# SQLite's words for "these bytes are not what I wrote"; everything else is trouble around the file, not in it.
DAMAGE = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError, UnicodeDecodeError)


def connect(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open or create the file. Raises StoreDamaged or StoreError."""
    connection: apsw.Connection | None = None
    try:
        connection = apsw.Connection(str(path), vfs=vfs)
        connection.set_busy_timeout(30_000)  # an antivirus program may hold the file for seconds
        prepare(connection)
    except DAMAGE as error:
        _close(connection)
        raise StoreDamaged("journal.damaged", f"the journal is damaged: {error}", path=str(path)) from error
    except apsw.Error as error:
        _close(connection)
        raise StoreError("journal.open", f"the journal cannot be opened: {error}", path=str(path)) from error
    return connection


def prepare(connection: apsw.Connection) -> None:
    """Set the pragmas every connection needs, and create the tables in a new file."""
    connection.execute(f"PRAGMA page_size = {PAGE}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -4096")  # 4 MB: the agent's idle memory is counted
    connection.execute("PRAGMA journal_size_limit = 16777216")
    version = connection.pragma("user_version")
    if not isinstance(version, int) or version > SCHEMA:
        raise StoreError("journal.version", "the journal was written by a newer version", version=version)
    if version == 0:
        with connection:
            connection.execute(_TABLES)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")


def check(connection: apsw.Connection) -> None:
    """Look at every page and every index. Raises StoreDamaged when one is not right."""
    try:
        answer = connection.execute("PRAGMA integrity_check(1)").get
    except DAMAGE as error:
        raise StoreDamaged("journal.damaged", f"the journal is damaged: {error}") from error
    if answer != "ok":
        raise StoreDamaged("journal.damaged", f"the journal is damaged: {answer}")


def _close(connection: apsw.Connection | None) -> None:
    if connection is not None:
        connection.close(True)
