"""The worklist cache's rows in the journal's file, sealed: a barcode and what was ordered for it are patient data."""

from __future__ import annotations

import json
from collections.abc import Iterable

from agent.journal import Journal
from agent.rows import text_crc
from agent.vault import Sealed, Vault


class Inbox:
    """What the cloud said about tubes, kept over a restart."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def put(self, conn: str, tubes: Iterable[tuple[str, str]], now: int) -> None:
        """Remember tubes: (barcode, JSON)."""
        rows = [sealed_row(self._journal.vault, conn, barcode, body, now) for barcode, body in tubes]
        self._journal.later(lambda: self._journal.db.executemany("INSERT OR REPLACE INTO inbox VALUES (?, ?, ?, ?, ?)", rows))

    def drop(self, before: int) -> None:
        """Forget what was received before a time."""
        self._journal.later(lambda: self._journal.db.execute("DELETE FROM inbox WHERE received_at < ?", (before,)))

    def all(self) -> list[tuple[str, str, str, int]]:
        """All tubes: (conn, barcode, JSON, received at); a row that was damaged is no order."""
        found = []
        for conn, alias, sealed, at, crc in self._journal.select("SELECT conn, barcode, body, received_at, crc FROM inbox"):
            if isinstance(sealed, str):  # of the time before encryption (agent/sealing.py)
                if crc == text_crc(conn, alias, sealed, at):
                    found.append((conn, alias, sealed, at))
                continue
            if crc != text_crc(conn, alias, sealed.hex(), at):
                continue
            try:
                barcode, body = json.loads(self._journal.vault.open(sealed, str(alias).encode()))
            except (Sealed, ValueError):
                continue
            found.append((conn, barcode, body, at))
        return found


def sealed_row(vault: Vault, conn: str, barcode: str, body: str, now: int) -> tuple[str, str, bytes, int, int]:
    """The table's row; in the barcode's column stands a name that only our key makes from it."""
    alias = vault.alias(f"{conn} {barcode}")
    sealed = vault.seal(json.dumps([barcode, body], ensure_ascii=False).encode(), alias.encode())
    return conn, alias, sealed, now, text_crc(conn, alias, sealed.hex(), now)
