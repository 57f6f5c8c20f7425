"""Which driver a message belongs to, by what its header says (identity of the port is the agent's)."""

from __future__ import annotations

from collections.abc import Callable

from common.instruments.driver import Driver, Match
from common.instruments.drivers import BY_PROTOCOL, DRIVERS


def recognise(protocol: str, place: Callable[[str], str], driver: str | None = None) -> Driver | None:
    """The driver named ``driver`` if it exists, else the first one whose conditions hold, else None."""
    if driver is not None and driver in DRIVERS:
        return DRIVERS[driver]
    seen: dict[str, str] = {}

    def holds(match: Match) -> bool:
        for where, text in match.conditions:
            if where not in seen:
                seen[where] = place(where).lower()
            have = seen[where]
            wanted = text.lower()
            if wanted[:1] == "=":
                if have != wanted[1:]:
                    return False
            elif wanted not in have:
                return False
        return True

    for candidate in BY_PROTOCOL.get(protocol, ()):
        for match in candidate.match:
            if holds(match):
                return candidate
    return None
