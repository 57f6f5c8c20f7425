"""When the journal is flushed: as soon as what came on the links was handed over, with as many other frames as are already on their way.

A commit costs one disk flush (0.2 ms here) whatever it holds, so while other sessions are open it pays to look at the sockets
again for a part of that time: measured with 10 and 100 links, see agent/README.md. One link alone is flushed at once. A peer that
answers an ACK at once is waited for with open eyes: being woken costs as long as it takes to answer.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

from agent.journal import Journal
from agent.transport.poller import Poller

LOOK_SECONDS = 0.00015  # a commit may wait this long for frames of other open sessions: less than the flush it saves
LINGER_SECONDS = 0.0006  # how long to look for the next frames, while they keep coming within that time
TURN_SECONDS = 0.006  # then the loop has its turn, whatever comes
PATIENCE = 0.005  # seconds a message whose frames are all acknowledged may wait to share another commit


class Committer:
    """Flushes a journal from the event loop; the poller hands over what has come on the links meanwhile."""

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop, poller: Poller | None = None) -> None:
        self._journal = journal
        self._loop = loop
        self._poller = poller
        self._due = self._waiting = self._inside = False
        self._answered = 0.0  # when answers went out last

    def schedule(self, patient: bool) -> None:
        """The journal has something to flush."""
        if patient:
            if not self._waiting:
                self._waiting = True
                self._loop.call_later(PATIENCE, self._late)
        elif self._inside:
            return  # the turn that goes on sees it
        elif self._poller is not None and self._poller.looking:
            self._poller.then = self._read  # once the links that have bytes were all heard: no turn of the loop lies between
        elif not self._due:
            self._due = True
            self._loop.call_soon(self._turn)

    def _late(self) -> None:
        self._waiting = False
        self._journal.flush()

    def _turn(self) -> None:
        self._due = False
        self._gather()
        self._journal.flush()

    def _read(self) -> None:
        """What the links said is flushed, and what they say to the answers, while they say it at once."""
        self._inside, began = True, perf_counter()
        lively = began - self._answered < LINGER_SECONDS
        try:
            while True:
                self._gather()
                self._journal.flush()
                self._answered = now = perf_counter()
                if not lively or now - began > TURN_SECONDS or not self._linger(now + LINGER_SECONDS):
                    break
        finally:
            self._inside = False
            if self._journal.unflushed:
                self.schedule(False)

    def _linger(self, until: float) -> bool:
        """True when the links had something to store before this time."""
        journal, poller = self._journal, self._poller
        assert poller is not None
        while not journal.unflushed:
            if perf_counter() > until:
                return False
            poller.hand_over()
        return True

    def _gather(self) -> None:
        journal, poller = self._journal, self._poller
        if poller is None or journal.queued >= journal.open_sessions:
            return
        until = perf_counter() + LOOK_SECONDS
        while journal.queued < journal.open_sessions and perf_counter() < until:
            poller.hand_over()
