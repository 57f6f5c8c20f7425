"""When the journal is flushed: soon after the first frame of a turn, with as many others as are already on their way.

A commit costs one disk flush (0.2 ms here) whatever it holds, so with many busy links it pays to look at the sockets once
or twice more before it: measured with 100 links, see agent/README.md. One link alone is flushed at once.
"""

from __future__ import annotations

import asyncio

from agent.journal import Journal

LOOKS = 3  # further turns of the loop (about 20 us each) a commit may wait for frames of other open sessions
PATIENCE = 0.005  # seconds a message whose frames are all acknowledged may wait to share another commit


class Committer:
    """Flushes a journal from the event loop."""

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop) -> None:
        self._journal = journal
        self._loop = loop
        self._looks = 0
        self._seen = 0

    def schedule(self, patient: bool) -> None:
        """The journal has something to flush."""
        if patient:
            self._loop.call_later(PATIENCE, self._journal.flush)
            return
        self._looks = self._seen = 0
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        journal = self._journal
        queued = journal.queued
        if queued < journal.open_sessions and self._looks < LOOKS and (queued > self._seen or not self._looks):
            self._looks += 1
            self._seen = queued
            self._loop.call_soon(self._turn)
            return
        journal.flush()
