"""Which driver a message belongs to, by what its header says (identity of the port is the agent's)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from common.instruments.driver import Driver, Match
from common.instruments.drivers import BY_PROTOCOL
from common.instruments.site import Site


@dataclass(frozen=True, slots=True)
class Choice:
    """What the connection says about its analyzer: a driver, a site's differences, both or nothing."""

    known: Driver | None = None
    site: Site | None = None

    def driver(self, protocol: str, place: Callable[[str], str]) -> Driver | None:
        """The driver for one message: the connection's, else the recognised one, with the site laid over it."""
        found = self.known or recognise(protocol, place)
        return found if self.site is None else self.site.over(found, protocol)


ANY = Choice()


def recognise(protocol: str, place: Callable[[str], str]) -> Driver | None:
    """The first driver whose conditions hold, else None."""
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
