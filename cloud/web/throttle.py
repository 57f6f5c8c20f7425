"""Attempts per address in this process: a slow-down in front of lockouts and single-use codes (SR10). Memory is bounded."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque

from common.errors import UserError

PER_SECONDS = 60.0
ADDRESSES = 10_000


class Attempts:
    """A sliding window of one minute; ``limit`` attempts an address, then ``message``."""

    def __init__(self, limit: int, message: str) -> None:
        self._limit, self._message = limit, message
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def forget(self) -> None:
        """Start over, as a restarted process does."""
        with self._lock:
            self._seen.clear()

    def check(self, address: str) -> None:
        """Count an attempt. Raises UserError ``throttled`` (429) when there were too many."""
        now = time.monotonic()
        with self._lock:
            times = self._seen.setdefault(address, deque(maxlen=self._limit + 1))
            self._seen.move_to_end(address)
            while times and now - times[0] > PER_SECONDS:
                times.popleft()
            times.append(now)
            while len(self._seen) > ADDRESSES:
                self._seen.popitem(last=False)
            if len(times) > self._limit:
                raise UserError("throttled", self._message)
