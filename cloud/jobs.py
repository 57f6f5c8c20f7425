"""Calendar jobs with Procrastinate, on the same PostgreSQL (schema ``jobs``).

``run_job`` is what both the worker and a test with a fake clock call: once for every hospital, each in its own
transaction, so that one hospital's trouble never stops another's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import procrastinate
import structlog
from sqlalchemy import select
from sqlalchemy.engine import make_url

from cloud.config import Settings
from cloud.db.base import JOBS_SCHEMA
from cloud.db.session import Actor, Database, UnitOfWork
from cloud.modules.platform.models import Tenant
from cloud.modules.platform.rules import EDITIONS
from cloud.modules.registry import MODULES

log = structlog.get_logger("jobs")


@dataclass(frozen=True)
class Loaded:
    """A declared job (``cloud.web.module.Job``) with its function."""

    name: str
    when: str
    run: Callable[[UnitOfWork], object]
    module: str = ""
    cleans: bool = False


def all_jobs() -> dict[str, Loaded]:
    """Every registered job by name."""
    return {j.name: Loaded(j.name, j.when, m.load(j.run), m.name, j.cleans) for m in MODULES for j in m.jobs}


def tenant_ids(db: Database) -> list[int]:
    """Hospitals that are not closed."""
    with db.registry() as s:
        return [i for (i,) in s.execute(select(Tenant.id).where(Tenant.status != "closed").order_by(Tenant.id))]


def lacking(db: Database, job: Loaded) -> frozenset[int]:
    """Hospitals whose edition lacks the job's module: nobody there could open what it tells. What only takes away goes on."""
    editions = [edition for edition, without in EDITIONS.items() if job.module in without]
    if job.cleans or not editions:
        return frozenset()
    with db.registry() as s:
        return frozenset(s.execute(select(Tenant.id).where(Tenant.edition.in_(editions))).scalars())


def run_job(db: Database, job: Loaded, tenants: Iterable[int] | None = None) -> int:
    """Run a job for each hospital that has its module; returns how many failed (each logged)."""
    failed, apart = 0, lacking(db, job)
    for tenant_id in tenant_ids(db) if tenants is None else tenants:
        if tenant_id in apart:
            continue
        try:
            with db.tenant(tenant_id, Actor(f"job:{job.name}")) as uow:
                job.run(uow)
        except Exception as exc:
            failed += 1
            log.error("job_failed", job=job.name, tenant=tenant_id, error=f"{type(exc).__name__}: {exc}"[:300])
    return failed


def cron(when: str, timezone: str) -> str:
    """Procrastinate's cron (UTC; a sixth field are seconds) of '10s', '1m', '15m' or a local time of day."""
    if when.endswith("s"):
        return f"* * * * * */{int(when[:-1])}"
    if when.endswith("m"):
        return f"*/{int(when[:-1])} * * * *"
    local = datetime.strptime(when, "%H:%M").replace(year=2026, tzinfo=ZoneInfo(timezone))
    utc = local.astimezone(ZoneInfo("UTC"))
    return f"{utc.minute} {utc.hour} * * *"


def make_app(settings: Settings, db: Database) -> procrastinate.App:
    """The Procrastinate app with every calendar job registered as a periodic task."""
    dsn = make_url(settings.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connector = procrastinate.PsycopgConnector(conninfo=dsn, kwargs={"options": f"-c search_path={JOBS_SCHEMA}"}, max_size=4)
    app = procrastinate.App(connector=connector)
    for job in all_jobs().values():
        _register(app, job, settings, db)
    return app


def _register(app: procrastinate.App, job: Loaded, settings: Settings, db: Database) -> None:
    def task(timestamp: int) -> None:
        run_job(db, job)

    # A lock a job: a slow round is never overtaken by its next one.
    named = app.task(name=job.name, lock=job.name, queueing_lock=job.name)(task)
    app.periodic(cron=cron(job.when, settings.timezone))(named)
