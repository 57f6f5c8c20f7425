"""The worker process: relays events, renders reports, delivers to neighbours, runs the calendar."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable

import psycopg
import structlog
from sqlalchemy.engine import make_url

from cloud import jobs, memory, relay
from cloud.config import Settings
from cloud.db.session import Database
from cloud.modules.autoverify import loop as autoverify
from cloud.modules.interfaces.deliver import Deliverer
from cloud.modules.platform import signing
from cloud.modules.registry import MODULES
from cloud.ports import s3, signature_server
from cloud.web import log as logs
from cloud.web.module import Handler

log = structlog.get_logger("worker")
POLL_S = 1.0


def all_handlers() -> dict[str, list[Handler]]:
    """Event topic → handlers of all modules."""
    out: dict[str, list[Handler]] = {}
    for module in MODULES:
        for topic, handlers in module.handlers.items():
            out.setdefault(topic, []).extend(handlers)
    return out


class Loop(threading.Thread):
    """Calls ``step`` whenever something was notified on ``channel``, and once a second anyway."""

    def __init__(self, name: str, channel: str, dsn: str, step: Callable[[], object], stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.channel, self.dsn, self.step, self.stop_event = channel, dsn, step, stop

    def run(self) -> None:
        """Until stopped; a lost database connection is retried for ever."""
        while not self.stop_event.is_set():
            try:
                with psycopg.connect(self.dsn, autocommit=True) as conn:
                    conn.execute(f"LISTEN {self.channel}")
                    while not self.stop_event.is_set():
                        self.step()
                        for _ in conn.notifies(timeout=POLL_S, stop_after=1):
                            pass
            except Exception as exc:
                log.warning("loop_failed", loop=self.name, error=f"{type(exc).__name__}: {exc}"[:300])
                time.sleep(1)


def run_worker(settings: Settings) -> int:
    """Run until SIGTERM."""
    memory.few_arenas()
    logs.setup(settings.log_level)
    s3.configure(settings)
    signature_server.configure(settings)
    signing.configure(settings)
    db = Database(settings.database_url)
    dsn = make_url(settings.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    handlers, stop = all_handlers(), threading.Event()

    def relay_all() -> None:
        for tenant_id in jobs.tenant_ids(db):
            relay.drain(db, tenant_id, handlers)

    sender = Deliverer(db)

    def deliver_all() -> None:
        for tenant_id in jobs.tenant_ids(db):
            sender.deliver_due(tenant_id)

    def autoverify_all() -> None:
        for tenant_id in jobs.tenant_ids(db):
            autoverify.work(db, tenant_id)

    steps = (("relay", "outbox", relay_all), ("deliver", "delivery", deliver_all), ("autoverify", "av", autoverify_all))
    loops = [Loop(name, channel, dsn, step, stop) for name, channel, step in steps]
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
