"""What analyzers that do not ask were told, kept over a restart: without it every order of the last day would go again, and what was taken
back while the agent was off would stay ordered at the analyzer.

Only what an analyzer took is written down. A row names a patient, so it lies sealed beside the journal's other small values, under a name
that only our key makes; one that was damaged is no knowledge, and its order goes once more.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from agent.journal import Journal
from agent.vault import Sealed
from common.instruments.orders import TubeOrder

_SELECT = "SELECT key, value FROM state WHERE key >= 'told ' AND key < 'told!'"


class Told:
    """Orders by connection and barcode."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def all(self) -> list[tuple[str, TubeOrder, str]]:
        """(connection, order, what of it was refused) of all that is remembered."""
        found = []
        for key, sealed in self._journal.select(_SELECT):
            try:
                conn, raw, refused = json.loads(self._journal.vault.open(sealed, b"state " + str(key).encode()))
                found.append((str(conn), TubeOrder(**{**raw, "tests": tuple(raw["tests"])}), str(refused)))
            except (Sealed, ValueError, TypeError, KeyError):
                continue
        return found

    def put(self, conn: str, order: TubeOrder, refused: str = "") -> None:
        """An analyzer took this order, but for what it refused of it."""
        self._journal.put(self._key(conn, order.barcode), json.dumps([conn, asdict(order), refused], ensure_ascii=False))

    def drop(self, conn: str, barcode: str) -> None:
        """Forget a tube: its day is over, or all is to be told anew."""
        key = self._key(conn, barcode)
        self._journal.later(lambda: self._journal.db.execute("DELETE FROM state WHERE key = ?", (key,)))

    def _key(self, conn: str, barcode: str) -> str:
        return f"told {self._journal.vault.alias(f'told {conn} {barcode.upper()}')}"
