"""Enrolment attempts per address in this process. Codes are 192 bit; this only keeps noise away."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque

from common.errors import UserError

LIMIT = 20
PER_SECONDS = 60.0
ADDRESSES = 2_000


class Attempts:
    """A sliding window of attempts per address; memory is bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, address: str) -> None:
        """Count an attempt. Raises UserError ``throttled``."""
        now = time.monotonic()
        with self._lock:
            times = self._seen.setdefault(address, deque(maxlen=LIMIT + 1))
            self._seen.move_to_end(address)
            while times and now - times[0] > PER_SECONDS:
                times.popleft()
            times.append(now)
            while len(self._seen) > ADDRESSES:
                self._seen.popitem(last=False)
            if len(times) > LIMIT:
                raise UserError("throttled", "注册尝试过于频繁，请一分钟后再试。")


ENROLMENTS = Attempts()
