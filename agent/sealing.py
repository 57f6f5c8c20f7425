"""A journal of the time before encryption becomes a sealed one: some rows at a time while capture goes on.

Each step is one transaction, so a kill leaves plain and sealed rows side by side, which reading takes, and the next start goes
on. The file's schema number says when all is done: 1 while plain rows may be left, 2 afterwards. What was plain is
overwritten: freed cells by `secure_delete`, freed pages by one VACUUM at the end, the WAL by truncating it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import apsw

from agent import log, rows, store
from agent.inbox import sealed_row
from agent.journal import Journal
from agent.vault import MAGIC

STEP = 400  # rows sealed in one transaction: a few milliseconds
_log = log.get("sealing")


def needed(journal: Journal) -> bool:
    """True while the file may hold plain rows."""
    return bool(journal.db.pragma("user_version") == 1)


def step(journal: Journal, limit: int = STEP) -> bool:
    """Seal some rows; True when nothing is left to do. Nothing else may be half done in the journal's connection."""
    db = journal.db
    db.execute("PRAGMA secure_delete = ON")
    with db:
        _small_tables(journal)
        found = _messages(journal, limit)
    if found or journal.plain_frames():
        return False
    for sql in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
        with suppress(apsw.BusyError):  # a reader (doctor) is looking: the next start of the agent checkpoints again
            db.execute(sql).fetchall()
    db.execute(f"PRAGMA user_version = {store.SCHEMA}")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.execute("PRAGMA secure_delete = OFF")
    _log.info("the journal is sealed")
    return True


def _messages(journal: Journal, limit: int) -> int:
    """Seal the first plain messages; how many there were."""
    sql = f"SELECT {rows.COLUMNS} FROM messages WHERE id > ? AND substr(body, 1, 2) <> ? ORDER BY id LIMIT ?"
    plain = [tuple(values) for values in journal.db.execute(sql, (journal.sealed_to, MAGIC, limit))]
    for values in plain:
        number = int(values[0])
        place = rows.message_place(number)
        sealed = journal.vault.seal(bytes(values[4]), place), journal.vault.seal(bytes(values[5]), place)
        journal.db.execute("UPDATE messages SET meta = ?, body = ? WHERE id = ?", (*sealed, number))
        journal.sealed_to = number
    return len(plain)


def _small_tables(journal: Journal) -> None:
    db = journal.db
    for key, value in [tuple(row) for row in db.execute("SELECT key, value FROM state WHERE typeof(value) = 'text'")]:
        journal.put_now(str(key), str(value))
    plain: list[Any] = list(db.execute("SELECT conn, barcode, body, received_at, crc FROM inbox WHERE typeof(body) = 'text'"))
    for conn, barcode, body, at, crc in plain:
        db.execute("DELETE FROM inbox WHERE conn = ? AND barcode = ?", (conn, barcode))
        if crc == rows.text_crc(conn, barcode, body, at):
            db.execute("INSERT OR REPLACE INTO inbox VALUES (?, ?, ?, ?, ?)", sealed_row(journal.vault, conn, barcode, body, at))
    journal.clear_spent_frames()
