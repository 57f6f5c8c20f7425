"""Two seeded hospitals, people of every role, and a browser-like client for each."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyotp
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text
from sqlalchemy.util import LRUCache
from werkzeug.test import TestResponse

from cloud.app import create_app
from cloud.config import Settings
from cloud.db.session import Database, UnitOfWork
from cloud.modules.platform import rules, secrets, service, standard
from cloud.modules.registry import MODULES
from cloud.ports import s3
from cloud.web import cookie, csrf, live, view
from tests.support import replay
from tests.support.database import TestDatabase

SECRET = "5e" * 32
PASSWORD = "Lab-Test-2026"
PIN = "246810"
SEED = pyotp.random_base32()
# Argon2 is slow on purpose; the suite hashes its one password and PIN once.
HASHES = {PASSWORD: secrets.hash_secret(PASSWORD), PIN: secrets.hash_secret(PIN)}


class Clock:
    """A clock that tests turn."""

    def __init__(self, start: datetime | None = None) -> None:
        self.now = start or datetime.now(UTC)
        self.real = start is None

    def __call__(self) -> datetime:
        return datetime.now(UTC) if self.real else self.now

    def set(self, now: datetime) -> None:
        self.now, self.real = now, False

    def advance(self, **delta: float) -> None:
        self.set(self() + timedelta(**delta))


class Client:
    """A logged-in person's browser: cookie and CSRF token come by themselves."""

    def __init__(self, flask_client: FlaskClient, tenant_id: int, token: str, user_id: int) -> None:
        self.c, self.tenant_id, self.token, self.user_id = flask_client, tenant_id, token, user_id
        flask_client.set_cookie(cookie.NAME, f"{tenant_id}.{token}", domain="localhost", secure=True)

    def get(self, url: str, **kw: Any) -> TestResponse:
        return self.c.get(url, base_url="https://localhost", **kw)

    def post(self, url: str, data: dict[str, Any] | None = None, htmx: bool = False, **kw: Any) -> TestResponse:
        headers = {csrf.HEADER: csrf.token_for(self.token, SECRET), **kw.pop("headers", {})}
        if htmx:
            headers["HX-Request"] = "true"
        return self.c.post(url, base_url="https://localhost", data=data or {}, headers=headers, **kw)

    def fragment(self, url: str, **kw: Any) -> TestResponse:
        return self.get(url, headers={"HX-Request": "true"}, **kw)


@dataclass
class Lab:
    """The hospitals ``a`` and ``b`` (tenant ids) of one database."""

    db: Database
    app: Flask
    clock: Clock
    settings: Settings
    a: int = 1
    b: int = 2
    users: dict[tuple[int, str], int] = field(default_factory=dict)

    @contextmanager
    def uow(self, tenant_id: int | None = None) -> Iterator[UnitOfWork]:
        with self.db.tenant(tenant_id or self.a) as uow:
            yield uow

    def client(self, role: str, tenant_id: int | None = None, workstation: str = "WS1") -> Client:
        """A browser of this role with a two-factor session on a registered workstation."""
        tenant_id = tenant_id or self.a
        with self.db.tenant(tenant_id) as uow:
            from cloud.modules.platform.models import User

            user = uow.s.get(User, (tenant_id, self.users[(tenant_id, role)]))
            assert user is not None
            entered = service.enter_as(uow, user, workstation, "test", mfa=True)
        return Client(self.app.test_client(), tenant_id, entered.token, entered.user_id)

    def sign(self, client: Client) -> None:
        """Open the signing window of a client."""
        answer = client.post("/sign/open", {"pin": PIN}, htmx=True)
        assert answer.status_code == 200, answer.text


def all_permissions() -> dict[str, tuple[str, ...]]:
    """Every module's default grants in one mapping."""
    return {str(p): tuple(roles) for m in MODULES for p, roles in m.permissions.items()}


@functools.cache
def _app() -> Flask:
    """The one app of this process: its URL table takes longer to build than most tests to run."""
    return create_app(Settings(database_url="postgresql+psycopg:///none", owner_url="postgresql+psycopg:///none", secret=SECRET))


def forget_attempts() -> None:
    """Tests share a process and an address, and a quick machine logs in more than sixty times a minute: each laboratory starts over."""
    from cloud.modules.edge import machine_views
    from cloud.modules.edge import views as edge_views
    from cloud.modules.platform import views as platform_views

    for each in (platform_views.ATTEMPTS, edge_views.ENROLMENTS, machine_views.ASKED):
        each.forget()


def shared_app(conf: Settings, db: Database) -> Flask:
    """The app on another database. Who changes the app itself (adds a route) makes one of the own: ``create_app(lab.settings, lab.db)``."""
    app = _app()
    forget_attempts()
    app.extensions["jianlian"] = view.Web(conf, db, app.extensions["jianlian"].identity, {"live": live.Hub(conf.database_url)})
    s3.configure(conf)
    return app


def make(database: TestDatabase, clock: Clock | None = None, **settings: Any) -> Lab:
    """Two hospitals with all standard roles; one person a role, ``<role>1``, password and PIN as above."""
    clock = clock or Clock()
    conf = Settings(database_url=database.app_url, owner_url=database.owner_url, secret=SECRET, **settings)
    db = Database(database.app_url, secret=SECRET, clock=clock)
    _share_statements(db)
    lab = Lab(db, shared_app(conf, db), clock, conf)
    start = None if clock.real else clock.now
    if start in _SEEDED:
        rows, users = _SEEDED[start]
        replay.lay(rows, database)
        lab.users |= users
        return lab
    owner = create_engine(database.owner_url)
    with owner.begin() as conn:
        conn.execute(text("INSERT INTO tenant (id, code, name, site) VALUES (1,'a','甲医院（虚构）',1),(2,'b','乙医院（虚构）',2)"))
    owner.dispose()
    for tenant_id in (lab.a, lab.b):
        _people(lab, tenant_id)
    _SEEDED[start] = replay.take(database), dict(lab.users)
    return lab


def _share_statements(db: Database) -> None:
    """Let this engine know what earlier ones compiled: SQLAlchemy keeps statements by dialect object, and each test has an own engine."""
    _FIRST.setdefault("dialect", db.engine.dialect)
    _FIRST.setdefault("compiled", LRUCache(5000))
    db.engine.dialect, db.engine._compiled_cache = _FIRST["dialect"], _FIRST["compiled"]


_FIRST: dict[str, Any] = {}
# What `make` laid down for a clock's first moment (None: the real one's): people cost more to make than most tests to run.
_SEEDED: dict[datetime | None, tuple[replay.Rows, dict[tuple[int, str], int]]] = {}


def _people(lab: Lab, tenant_id: int) -> None:
    from cloud.modules.platform.models import Role, User, UserRole

    with lab.db.tenant(tenant_id) as uow:
        standard.bring_up(uow, all_permissions())
        roles = {r.code: r.id for r in uow.s.query(Role)}
        sealed = secrets.seal_totp(SEED, SECRET)
        people = {
            code: User(
                employee_no=f"{code}1",
                name=f"{name}一号",
                dept="检验科",
                password_hash=HASHES[PASSWORD],
                password_set_at=uow.now,
                pin_hash=HASHES[PIN],
                badge=f"B-{code}",
                totp_sealed=sealed if second else None,
            )
            for code, name, second in rules.STANDARD_ROLES
        }
        uow.s.add_all(people.values())
        uow.s.flush()
        uow.s.add_all(UserRole(user_id=user.id, role_id=roles[code]) for code, user in people.items())
        lab.users |= {(tenant_id, code): user.id for code, user in people.items()}
        authorise(uow, [lab.users[(tenant_id, code)] for code in ("tester", "verifier", "senior", "leader")])


def authorise(uow: UnitOfWork, users: list[int]) -> None:
    """Everybody of the bench may test and verify everything for the next centuries; tests of M21 take it away again."""
    from cloud.modules.personnel.models import Authorization

    first, until = date(2000, 1, 1), date(2199, 12, 31)
    uow.s.add_all(
        Authorization(
            user_id=user,
            function=function,
            first=first,
            until=until,
            competency_until=until,
            licence_until=until,
            granted_at=uow.now,
        )
        for user in users
        for function in ("test", "verify")
    )


def csrf_of(html: str) -> str:
    """The CSRF token a page carries."""
    found = re.search(r'name="_csrf" value="([0-9a-f]{64})"', html)
    assert found, "page has no CSRF token"
    return found[1]
