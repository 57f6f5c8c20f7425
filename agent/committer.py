"""When the journal is flushed: as soon as what came on the links was handed over, with as many other frames as are already on their way.

A commit costs one disk flush (0.2 ms here) whatever it holds, so while other sessions are open it pays to look at the sockets
again for a part of that time: measured with 10 and 100 links, see agent/README.md. One link alone is flushed at once.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

from agent.journal import Journal
from agent.transport.poller import Poller

LOOK_SECONDS = 0.00015  # a commit may wait this long for frames of other open sessions: less than the flush it saves
PATIENCE = 0.005  # seconds a message whose frames are all acknowledged may wait to share another commit


class Committer:
    """Flushes a journal from the event loop; the poller hands over what has come on the links meanwhile."""

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop, poller: Poller | None = None) -> None:
        self._journal = journal
        self._loop = loop
        self._poller = poller
        self._due = self._waiting = False

    def schedule(self, patient: bool) -> None:
        """The journal has something to flush."""
        if patient:
            if not self._waiting:
                self._waiting = True
                self._loop.call_later(PATIENCE, self._late)
        elif self._poller is not None and self._poller.looking:
            self._poller.then = self._turn  # once the links that have bytes were all heard: no turn of the loop lies between
        elif not self._due:
            self._due = True
            self._loop.call_soon(self._turn)

    def _late(self) -> None:
        self._waiting = False
        self._journal.flush()

    def _turn(self) -> None:
        self._due = False
        journal, poller = self._journal, self._poller
        if poller is not None and journal.queued < journal.open_sessions:
            until = perf_counter() + LOOK_SECONDS
            while journal.queued < journal.open_sessions and perf_counter() < until:
                poller.hand_over()
        journal.flush()
