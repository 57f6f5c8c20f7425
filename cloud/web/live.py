"""Live pages: one LISTEN connection a process, fanned out to the SSE streams of its browsers.

A notice carries ids only; the page fetches what changed by its ordinary URL, so a plain reload shows the same.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import structlog
from sqlalchemy.engine import make_url

log = structlog.get_logger("live")
CHANNELS = ("bench", "queue", "specimen", "edge", "critical", "report", "alert", "qc")
BEAT_S = 15.0
FRESH_S = 10.0
"""A page is rendered before its stream opens: a notice so recent may have fallen between the two."""
KEEPALIVE: dict[str, Any] = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""A listener never sends: without these a database that went away without a word (cable, failover) would be believed for hours."""


class Hub:
    """Subscribers of this process, by tenant and channel."""

    def __init__(self, database_url: str) -> None:
        self._dsn = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._lock = threading.Lock()
        self._streams: dict[tuple[int, str], set[queue.SimpleQueue[str]]] = {}
        self._thread: threading.Thread | None = None
        self._noticed: dict[tuple[int, str], float] = {}
        self._over = False

    def subscribe(self, tenant_id: int, channels: list[str], again: bool = False) -> Iterator[str]:
        """SSE text for one browser, with a comment every 15 s so that proxies and threads notice a dead one.

        ``again``: the browser had a stream before and lost it. Then, and when something was told just before this one opened, it is
        told at once to look anew.
        """
        q: queue.SimpleQueue[str] = queue.SimpleQueue()
        keys = [(tenant_id, c) for c in dict.fromkeys(channels) if c in CHANNELS]
        with self._lock:
            self._start()
            for key in keys:
                self._streams.setdefault(key, set()).add(q)
                if again or time.monotonic() - self._noticed.get(key, -FRESH_S) < FRESH_S:
                    q.put(_look(key[1]))
        try:
            # An id makes the browser say on its next try that it was here before.
            yield ": open\nid: 1\n\n"
            while True:
                try:
                    yield q.get(timeout=BEAT_S)
                except queue.Empty:
                    yield ": beat\n\n"
        finally:
            with self._lock:
                for key in keys:
                    self._streams.get(key, set()).discard(q)

    def close(self) -> None:
        """Listen no more; for tests, whose databases come and go."""
        self._over = True

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="live", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._over:
            try:
                with psycopg.connect(self._dsn, autocommit=True, **KEEPALIVE) as conn:
                    for channel in CHANNELS:
                        conn.execute(f"LISTEN {channel}")
                    self._reload()
                    for note in conn.notifies():
                        self._deliver(note.channel, note.payload)
            except Exception as exc:  # whatever it is: live pages must come back by themselves
                log.warning("listen_lost", error=f"{type(exc).__name__}: {exc}"[:200])
                time.sleep(1)

    def _deliver(self, channel: str, payload: str) -> None:
        data = json.loads(payload)
        text = f"event: {channel}\ndata: {payload}\n\n"
        with self._lock:
            self._noticed[data["t"], channel] = time.monotonic()
            for q in self._streams.get((data["t"], channel), ()):
                q.put(text)

    def _reload(self) -> None:
        """After a lost connection nobody knows what was missed: every page refreshes once."""
        with self._lock:
            for (_tenant, channel), queues in self._streams.items():
                for q in queues:
                    q.put(_look(channel))


def _look(channel: str) -> str:
    """A notice that names nothing: look at everything."""
    return f"event: {channel}\ndata: {{}}\n\n"
