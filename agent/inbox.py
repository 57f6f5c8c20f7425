"""The worklist cache's rows in the journal's file."""

from __future__ import annotations

from collections.abc import Iterable

from agent.journal import Journal
from agent.rows import text_crc


class Inbox:
    """What the cloud said about tubes, kept over a restart."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def put(self, conn: str, tubes: Iterable[tuple[str, str]], now: int) -> None:
        """Remember tubes: (barcode, JSON)."""
        rows = [(conn, barcode, body, now, text_crc(conn, barcode, body, now)) for barcode, body in tubes]
        self._journal.later(lambda: self._journal.db.executemany("INSERT OR REPLACE INTO inbox VALUES (?, ?, ?, ?, ?)", rows))

    def drop(self, before: int) -> None:
        """Forget what was received before a time."""
        self._journal.later(lambda: self._journal.db.execute("DELETE FROM inbox WHERE received_at < ?", (before,)))

    def all(self) -> list[tuple[str, str, str, int]]:
        """All tubes: (conn, barcode, JSON, received at); a row that was damaged is no order."""
        rows = self._journal.select("SELECT conn, barcode, body, received_at, crc FROM inbox")
        return [(conn, barcode, body, at) for conn, barcode, body, at, crc in rows if crc == text_crc(conn, barcode, body, at)]
