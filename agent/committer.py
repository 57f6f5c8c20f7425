"""When the journal is flushed: soon after the first frame of a turn, with as many others as are already on their way.

A commit costs one disk flush (0.2 ms here) whatever it holds, so while other sessions are open it pays to look at the sockets
again for a part of that time: measured with 10 and 100 links, see agent/README.md. One link alone is flushed at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter

from agent.journal import Journal

LOOK_SECONDS = 0.00015  # a commit may wait this long for frames of other open sessions: less than the flush it saves
PATIENCE = 0.005  # seconds a message whose frames are all acknowledged may wait to share another commit


class Committer:
    """Flushes a journal from the event loop. `look` hands over what has come on the links meanwhile."""

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop, look: Callable[[], None] | None = None) -> None:
        self._journal = journal
        self._loop = loop
        self._look = look

    def schedule(self, patient: bool) -> None:
        """The journal has something to flush."""
        if patient:
            self._loop.call_later(PATIENCE, self._journal.flush)
            return
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        journal, look = self._journal, self._look
        if look is not None and journal.queued < journal.open_sessions:
            until = perf_counter() + LOOK_SECONDS
            while journal.queued < journal.open_sessions and perf_counter() < until:
                look()
        journal.flush()
