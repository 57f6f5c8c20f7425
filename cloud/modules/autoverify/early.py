"""Early arrival played again (R1, R5): what a set that lets parts leave would have told of a past tube before the last result. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from cloud.modules.autoverify.case import Case, awaited
from cloud.modules.autoverify.decision import Ready, Verdict, decide


@dataclass(frozen=True, slots=True)
class Early:
    """Items that left before the rest. ``minutes``: from the first of them leaving to the tube's last result; ``kept``: those of them
    that the same rules hold once everything is there."""

    items: frozenset[str] = frozenset()
    minutes: int = 0
    kept: frozenset[str] = frozenset()


def moments(arrived: Collection[datetime], wait: timedelta) -> list[datetime]:
    """When a tube was incomplete and had been quiet for ``wait``, from the times its results came."""
    return [a + wait for a, b in pairwise(sorted(set(arrived))) if b - a >= wait]


def replay(case: Case, ready: Ready, arrived: Mapping[str, datetime], indices: Mapping[str, datetime], whole: Verdict) -> Early:
    """The tube at each such moment, with what was there by then. ``arrived``: item → when its first value came, ``indices`` the same for
    haemolysis and the like; ``whole``: what the set says of the complete tube."""
    if not ready.policy.partial:
        return Early()
    wait = timedelta(minutes=ready.policy.part_after_min)
    times = (*arrived.values(), *indices.values())
    first: datetime | None = None
    left: set[str] = set()
    for at in moments(times, wait):
        cleared = decide(_as_of(case, at - wait, at, arrived, indices), ready).cleared
        first = at if cleared and first is None else first
        left |= set(cleared)
    if first is None:
        return Early()
    held = frozenset() if whole.released else frozenset(left - set(whole.cleared))
    return Early(frozenset(left), int((max(times) - first).total_seconds() // 60), held)


def _as_of(case: Case, since: datetime, at: datetime, arrived: Mapping[str, datetime], indices: Mapping[str, datetime]) -> Case:
    there = {code for code, came in arrived.items() if came <= since}
    items = tuple(item if item.code in there else awaited(item) for item in case.items)
    return replace(case, at=at, items=items, indices={k: v for k, v in case.indices.items() if k in indices and indices[k] <= since})
