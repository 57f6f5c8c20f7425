"""Login attempts per address in this process: a slow-down in front of the account lockout (SR10)."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque

from common.errors import UserError

LIMIT = 60
PER_SECONDS = 60.0
ADDRESSES = 10_000


class Attempts:
    """A sliding window of attempts per address; memory is bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, address: str) -> None:
        """Count an attempt; raises when there were too many in the last minute."""
        now = time.monotonic()
        with self._lock:
            times = self._seen.setdefault(address, deque())
            self._seen.move_to_end(address)
            while times and now - times[0] > PER_SECONDS:
                times.popleft()
            times.append(now)
            while len(self._seen) > ADDRESSES:
                self._seen.popitem(last=False)
            if len(times) > LIMIT:
                raise UserError("throttled", "尝试过于频繁，请一分钟后再试。")


ATTEMPTS = Attempts()
