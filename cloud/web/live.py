"""Live pages: one LISTEN connection a process, fanned out to the SSE streams of its browsers.

A notice carries ids only; the page fetches what changed by its ordinary URL, so a plain reload shows the same.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator

import psycopg
import structlog
from sqlalchemy.engine import make_url

log = structlog.get_logger("live")
CHANNELS = ("bench", "queue", "specimen", "edge", "critical", "report", "alert", "qc")
BEAT_S = 15.0


class Hub:
    """Subscribers of this process, by tenant and channel."""

    def __init__(self, database_url: str) -> None:
        self._dsn = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._lock = threading.Lock()
        self._streams: dict[tuple[int, str], set[queue.SimpleQueue[str]]] = {}
        self._thread: threading.Thread | None = None

    def subscribe(self, tenant_id: int, channels: list[str]) -> Iterator[str]:
        """SSE text for one browser, with a comment every 15 s so that proxies and threads notice a dead one."""
        q: queue.SimpleQueue[str] = queue.SimpleQueue()
        keys = [(tenant_id, c) for c in channels if c in CHANNELS]
        with self._lock:
            self._start()
            for key in keys:
                self._streams.setdefault(key, set()).add(q)
        try:
            yield ": open\n\n"
            while True:
                try:
                    yield q.get(timeout=BEAT_S)
                except queue.Empty:
                    yield ": beat\n\n"
        finally:
            with self._lock:
                for key in keys:
                    self._streams.get(key, set()).discard(q)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="live", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                with psycopg.connect(self._dsn, autocommit=True) as conn:
                    for channel in CHANNELS:
                        conn.execute(f"LISTEN {channel}")
                    self._reload()
                    for note in conn.notifies():
                        self._deliver(note.channel, note.payload)
            except psycopg.Error as exc:
                log.warning("listen_lost", error=str(exc)[:200])
                time.sleep(1)

    def _deliver(self, channel: str, payload: str) -> None:
        data = json.loads(payload)
        text = f"event: {channel}\ndata: {payload}\n\n"
        with self._lock:
            for q in self._streams.get((data["t"], channel), ()):
                q.put(text)

    def _reload(self) -> None:
        """After a lost connection nobody knows what was missed: every page refreshes once."""
        with self._lock:
            for (_tenant, channel), queues in self._streams.items():
                for q in queues:
                    q.put(f"event: {channel}\ndata: {{}}\n\n")
