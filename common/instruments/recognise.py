"""Which driver a message belongs to, by what its header says (identity of the port is the agent's)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from common.instruments.driver import Driver
from common.instruments.drivers import BY_PROTOCOL
from common.instruments.site import Site


def _in_head(where: str) -> bool:
    return where.startswith(("H.", "MSH-"))


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
    head = tuple(map(place, _PLACES.get(protocol, ())))
    for candidate, rest in _candidates(protocol, head):
        if all(_fits(place(where).lower(), text) for where, text in rest):
            return candidate
    return None


_PLACES = {
    protocol: tuple(sorted({where for driver in drivers for match in driver.match for where, _ in match.conditions if _in_head(where)}))
    for protocol, drivers in BY_PROTOCOL.items()
}
"""Places of a message's header that any driver looks at: they are the same in nearly every message of a line."""


@lru_cache(maxsize=512)
def _candidates(protocol: str, head: tuple[str, ...]) -> tuple[tuple[Driver, tuple[tuple[str, str], ...]], ...]:
    """Drivers whose header conditions hold, in order, each with its conditions on other places."""
    seen = dict(zip(_PLACES.get(protocol, ()), map(str.lower, head), strict=True))
    out = []
    for driver in BY_PROTOCOL.get(protocol, ()):
        for match in driver.match:
            if all(_fits(seen[where], text) for where, text in match.conditions if where in seen):
                out.append((driver, tuple(one for one in match.conditions if one[0] not in seen)))
    return tuple(out)


def _fits(have: str, wanted: str) -> bool:
    wanted = wanted.lower()
    return have == wanted[1:] if wanted[:1] == "=" else wanted in have
