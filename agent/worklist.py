"""The cached worklist: which tests the cloud ordered for which tube, for each connection, at most 24 hours old.

Kept in memory and in the journal, so that an agent that starts without a network still answers. A tube is told by its
barcode or its sample number on one connection; cancelled and outdated tubes are no orders.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.channels.base import now_ms
from agent.inbox import Inbox
from agent.journal import Journal

MAX_AGE_MS = 24 * 3_600_000  # RELIABILITY F25


@dataclass(frozen=True, slots=True)
class Tube:
    """One tube of the worklist as the cloud sent it, and since when it is so (milliseconds)."""

    body: Mapping[str, Any]
    received_at: int

    @property
    def barcode(self) -> str:
        """The tube's barcode."""
        return str(self.body["barcode"])

    @property
    def stat(self) -> bool:
        """True for an urgent tube (急)."""
        return self.body.get("priority") == "stat"

    @property
    def version(self) -> int:
        """The order's version; a lower one never replaces a higher one."""
        return int(self.body.get("order_version") or 0)

    def valid(self, now: int) -> bool:
        """True while orders may still be taken from it."""
        if self.body.get("cancelled") or not self.body.get("tests") or now - self.received_at > MAX_AGE_MS:
            return False
        return self._expires() > now

    def _expires(self) -> float:
        expires = self.body.get("expires_at")
        try:
            return datetime.fromisoformat(str(expires)).timestamp() * 1000 if expires else float("inf")
        except ValueError:
            return 0.0


class Worklist:
    """All cached tubes."""

    def __init__(self, journal: Journal) -> None:
        self._inbox = Inbox(journal)
        self._tubes: dict[tuple[str, str], Tube] = {}
        self._numbers: dict[tuple[str, str], str] = {}  # sample number to barcode
        self._stat: dict[bytes, int] = {}
        for conn, _, body, received_at in self._inbox.all():
            self._keep(conn, Tube(json.loads(body), received_at))

    def __len__(self) -> int:
        return len(self._tubes)

    def accept(self, conn: str, tubes: Iterable[Any], sent_at: int, now: int) -> int:
        """Take over what the cloud sent; a tube of an older order version is left out. Returns how many were kept.

        A worklist may have waited at the broker: its age counts from the cloud's sending, not from its arrival.
        """
        age = min(sent_at, now)
        kept = []
        for raw in tubes:
            if not isinstance(raw, dict) or not raw.get("barcode"):
                continue
            tube = Tube(raw, age)
            known = self._tubes.get((conn, tube.barcode.upper()))
            if known is not None and known.version > tube.version:
                continue
            self._keep(conn, tube)
            kept.append((tube.barcode, json.dumps(raw, ensure_ascii=False, sort_keys=True)))
        if kept:
            self._inbox.put(conn, kept, age)
        return len(kept)

    def of(self, conn: str) -> list[Tube]:
        """Every tube of a connection, whatever its state."""
        return [tube for (own, _), tube in self._tubes.items() if own == conn]

    def find(self, conn: str, specimen: str) -> Tube | None:
        """The tube with this barcode, else with this sample number, whatever its state.

        Sample numbers begin anew each day, so one only counts on the (local) day its tube was announced.
        """
        specimen = specimen.upper()
        found = self._tubes.get((conn, specimen))
        if found is not None:
            return found
        barcode = self._numbers.get((conn, specimen))
        found = self._tubes.get((conn, barcode)) if barcode is not None else None
        return found if found is not None and _day(found.received_at) == _day(now_ms()) else None

    def is_urgent(self, body: bytes) -> bool:
        """True when the bytes name an urgent tube."""
        return any(barcode in body for barcode in self._stat)

    def drop_old(self, now: int) -> None:
        """Forget what is older than a day."""
        old = [key for key, tube in self._tubes.items() if now - tube.received_at > MAX_AGE_MS]
        for key in old:
            self._forget(key)
        if old:
            self._inbox.drop(now - MAX_AGE_MS)

    def _keep(self, conn: str, tube: Tube) -> None:
        key = (conn, tube.barcode.upper())
        if key in self._tubes:
            self._forget(key)
        self._tubes[key] = tube
        number = tube.body.get("sample_no")
        if number:
            self._numbers[(conn, str(number).upper())] = key[1]
        if tube.stat and not tube.body.get("cancelled"):
            barcode = tube.barcode.encode()
            self._stat[barcode] = self._stat.get(barcode, 0) + 1

    def _forget(self, key: tuple[str, str]) -> None:
        tube = self._tubes.pop(key)
        number = tube.body.get("sample_no")
        if number and self._numbers.get((key[0], str(number).upper())) == key[1]:
            del self._numbers[(key[0], str(number).upper())]
        barcode = tube.barcode.encode()
        if tube.stat and barcode in self._stat:
            self._stat[barcode] -= 1
            if self._stat[barcode] < 1:
                del self._stat[barcode]


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone().date().isoformat()
