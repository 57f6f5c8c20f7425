"""The worker process: relays events, renders reports, delivers to neighbours, runs the calendar."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import psycopg
import structlog
from sqlalchemy.engine import make_url

from cloud import jobs, memory, relay
from cloud.config import Settings
from cloud.db import awaited
from cloud.db.session import Database
from cloud.modules.autoverify import loop as autoverify
from cloud.modules.interfaces.deliver import Deliverer
from cloud.modules.platform import certificates, signing, wework
from cloud.modules.registry import MODULES
from cloud.ports import s3, signature_server
from cloud.web import log as logs
from cloud.web.module import Handler

log = structlog.get_logger("worker")
POLL_S = 1.0
TIDY_S = 10.0
# On a full machine people and analyzers go first: at nice 8 and 20 sessions a second, a result was seen after 211 ms instead of 310.
NICE = 5


def all_handlers() -> dict[str, list[Handler]]:
    """Event topic → handlers of all modules."""
    out: dict[str, list[Handler]] = {}
    for module in MODULES:
        for topic, handlers in module.handlers.items():
            out.setdefault(topic, []).extend(module.load(name) for name in handlers)
    return out


@dataclass(frozen=True)
class Task:
    """What the worker does for one hospital when ``channel`` names it: at once after a rest, else ``gather`` seconds after the last time,
    with all that came meanwhile. A round of many events reads what they have in common as often as a round of one does."""

    name: str
    channel: str
    step: Callable[[int], object]
    gather: float


class Loop(threading.Thread):
    """Does a task for the hospitals that were notified, and once a second for all."""

    def __init__(self, task: Task, dsn: str, tenants: Callable[[], Iterable[int]], stop: threading.Event) -> None:
        super().__init__(name=task.name, daemon=True)
        self.task, self.dsn, self.tenants, self.stop_event = task, dsn, tenants, stop

    def run(self) -> None:
        """Until stopped; a lost database connection is retried for ever."""
        while not self.stop_event.is_set():
            try:
                with psycopg.connect(self.dsn, autocommit=True) as conn:
                    conn.execute(f"LISTEN {self.task.channel}")
                    self._work(conn)
            except Exception as exc:
                log.warning("loop_failed", loop=self.name, error=f"{type(exc).__name__}: {exc}"[:300])
                time.sleep(1)

    def _work(self, conn: psycopg.Connection[Any]) -> None:
        told: set[int] = set()
        everybody, tidy = 0.0, time.monotonic() + TIDY_S
        while not self.stop_event.is_set():
            if (now := time.monotonic()) >= everybody:
                told, everybody = set(self.tenants()), now + POLL_S
            for tenant_id in sorted(told):
                self.task.step(tenant_id)
            rested = time.monotonic() + self.task.gather
            if now >= tidy:
                memory.give_back()
                tidy = now + TIDY_S
            told = {tenant_of(n.payload) for n in conn.notifies(timeout=max(0.0, everybody - time.monotonic()), stop_after=1)}
            if told:
                told |= {tenant_of(n.payload) for n in conn.notifies(timeout=max(0.0, rested - time.monotonic()))}


def tenant_of(payload: str) -> int:
    """The hospital a notice speaks of (UnitOfWork.notify)."""
    return int(json.loads(payload)["t"])


def run_worker(settings: Settings) -> int:
    """Run until SIGTERM."""
    os.nice(NICE)
    memory.few_arenas()
    logs.setup(settings.log_level)
    s3.configure(settings)
    signature_server.configure(settings)
    signing.configure(settings)
    certificates.configure(settings)
    wework.configure(settings)
    db = Database(settings.database_url, secret=settings.secret)
    dsn = make_url(settings.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    handlers, stop = all_handlers(), threading.Event()
    import_module("cloud.reports.drawings")  # before there are threads: while it loads, another would find no Pillow (see there)
    awaited.schema(settings.database_url, settings.schema_wait_s)

    sender = Deliverer(db)
    tasks = (
        Task("relay", "outbox", lambda tenant_id: relay.drain(db, tenant_id, handlers, later=False), gather=0.2),
        Task("print", "print", lambda tenant_id: relay.drain(db, tenant_id, handlers, later=True), gather=0.2),
        Task("deliver", "delivery", sender.deliver_due, gather=0.03),
        Task("autoverify", "av", lambda tenant_id: autoverify.work(db, tenant_id), gather=0.2),
    )
    loops = [Loop(task, dsn, lambda: jobs.tenant_ids(db), stop) for task in tasks]
    memory.settle()
    for loop in loops:
        loop.start()
    asyncio.run(_calendar(settings, db, stop))
    for loop in loops:
        loop.join(timeout=5)
    return 0


async def _calendar(settings: Settings, db: Database, stop: threading.Event) -> None:
    app = jobs.make_app(settings, db)
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def end() -> None:
        stop.set()
        done.set()

    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, end)
    async with app.open_async():
        task = asyncio.create_task(app.run_worker_async(install_signal_handlers=False, concurrency=2, delete_jobs="successful"))
        await done.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
