"""The kiosk inside the running agent: the page's server in a thread, the journal reached through the event loop, the minute's renewal."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import threading
import time
from collections.abc import Mapping
from typing import Any

from werkzeug.serving import BaseWSGIServer, make_server

from agent import log
from agent.config import DataDir
from agent.journal import Journal
from agent.kiosk import screen
from agent.kiosk.cloud import Cloud, trusting
from agent.kiosk.desk import Desk, Settings
from agent.rows import Outgoing
from common import crypto

BOOK = "kiosk_book"
COMMIT_S = 10.0
RENEW_S = 60.0
_log = log.get("kiosk")


class JournalShelf:
    """The desk's shelf in the agent's journal. Every call hops into the event loop's thread and waits for the COMMIT."""

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop, book: str | None) -> None:
        self._journal, self._loop, self._first = journal, loop, book

    def book(self) -> str | None:
        """The book as it was when the kiosk started."""
        return self._first

    def keep(self, book: str, ticket: Mapping[str, Any] | None) -> bool:
        """Book and ticket in one commit; the ticket is then on its way to the cloud like any message."""
        done: concurrent.futures.Future[bool] = concurrent.futures.Future()

        def hand_in() -> None:
            if self._journal.refusing:
                done.set_result(False)
                return
            # Two entries of one turn share one COMMIT: both are kept, or neither.
            self._journal.put(BOOK, book, done.set_result if ticket is None else None)
            if ticket is not None:
                body = json.dumps(dict(ticket), ensure_ascii=False, sort_keys=True).encode()
                self._journal.message(Outgoing("kiosk", body, int(time.time() * 1000), kind="ticket"), done.set_result)

        self._loop.call_soon_threadsafe(hand_in)
        try:
            return done.result(COMMIT_S)
        except concurrent.futures.TimeoutError:
            return False


class Kiosk:
    """One running kiosk; ``stop`` ends it."""

    def __init__(self, config: Mapping[str, Any], data: DataDir, journal: Journal, loop: asyncio.AbstractEventLoop, boot: str) -> None:
        self.config = dict(config)
        settings = Settings(str(config.get("name") or "kiosk"), str(config.get("hall") or ""), config.get("printer"))
        self.desk = Desk(settings, JournalShelf(journal, loop, journal.get(BOOK)), _cloud(data, boot))
        host, port = str(config.get("host") or "127.0.0.1"), int(config.get("port") or 0)
        self._server: BaseWSGIServer = make_server(host, port, screen.make_app(self.desk), threaded=True)
        self.port = self._server.server_port
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.5}, name="kiosk", daemon=True),
            threading.Thread(target=self._renew, name="kiosk-renew", daemon=True),
        ]
        for each in self._threads:
            each.start()
        _log.info("kiosk", port=self.port, hall=settings.hall)

    def _renew(self) -> None:
        while True:
            with contextlib.suppress(Exception):
                self.desk.renew()
            # Quickly at first and while the cloud is away, so that a morning's start does not wait a minute.
            if self._stop.wait(RENEW_S if self.desk.online else 5.0):
                return

    def stop(self) -> None:
        """End the page; what was taken is on disk."""
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()


def _cloud(data: DataDir, boot: str) -> Cloud | None:
    identity = data.identity()
    if identity is None:
        return None
    key = crypto.load_private(data.file("key.pem").read_bytes())
    secure = identity.url.startswith("https://")
    return Cloud(identity, key, trusting(data.file("ca.pem").read_text()) if secure else None, boot)
