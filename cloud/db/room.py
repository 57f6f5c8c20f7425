"""How many transactions a process begins at once: as many as its cores can further, and more when those take long.

Each transaction more at the same time needs a session of the database more, and a young session is dear: it reads the catalog and plans
every statement for itself, more than 100 ms for all that a flow asks. Eight clients on two cores opened twelve where four do as much.
Nobody waits for one that takes long (a large list, a lock, a neighbour that does not answer): after ``SHORT_S`` it counts no more. So
there is no dead end; nor does a transaction inside another one of the same thread wait.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

SHORT_S = 0.25


def at_once(processes: int) -> int:
    """For one of so many processes of a machine: two a core together, for one waits for the database while the other reckons."""
    return max(2, 2 * (os.cpu_count() or 1) // max(1, processes))


class Room:
    """Places for ``at_once`` short transactions; 0: as many as come."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._changed = threading.Condition(threading.Lock())
        self._begun: dict[object, float] = {}
        self._here = threading.local()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Wait for a place; given back at the end."""
        if not self._at_once or getattr(self._here, "inside", False):
            yield
            return
        me = object()
        with self._changed:
            while (wait := self._full_for()) > 0:
                self._changed.wait(wait)
            self._begun[me] = monotonic()
        self._here.inside = True
        try:
            yield
        finally:
            self._here.inside = False
            with self._changed:
                del self._begun[me]
                self._changed.notify()

    def _full_for(self) -> float:
        """Seconds after which there is a place at the latest; not above 0: there is one now."""
        short = sorted(begun for begun in self._begun.values() if monotonic() - begun < SHORT_S)
        return short[-self._at_once] + SHORT_S - monotonic() if len(short) >= self._at_once else 0.0
