"""The whole product as processes with Mosquitto, and browsers that are little more than a socket: what several sections stand on."""

from __future__ import annotations

import contextlib
import http.client
import re
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from sqlalchemy import create_engine, select, text

from cloud.db.session import Database
from cloud.demo.state import State
from cloud.modules.catalog.models import SavedSetting
from cloud.modules.platform import secrets, service
from cloud.modules.platform.models import Role, User, UserRole
from cloud.web import cookie, csrf
from tests.bench.common import cpu
from tests.flows.stack import Stack
from tests.support import brokers
from tests.support import lab as labs

HOSPITAL = "rm"
PIN = "246810"
PLACES = ["门诊", "内科", "内一病区"]


class Refused(RuntimeError):
    """An answer that a person would not have wanted."""


class Browser:
    """One logged-in person: a kept connection over TLS, the session cookie, the CSRF token. Requests are as htmx sends them."""

    def __init__(self, product: Product, token: str) -> None:
        self.token = token
        self._port = product.stack.ports["web"]
        self._tls = product.tls
        self._headers = {
            "Cookie": f"{cookie.NAME}={product.tenant}.{token}",
            csrf.HEADER: csrf.token_for(token, product.secret),
            "HX-Request": "true",
        }
        self._line: http.client.HTTPSConnection | None = None
        self.server_ms = 0.0
        self.requests = 0

    def get(self, path: str, *, page: bool = False) -> str:
        """A fragment, or with ``page`` a whole page."""
        return self._ask("GET", path, None, page)

    def post(self, path: str, *pairs: tuple[str, str]) -> str:
        """Submit a form."""
        return self._ask("POST", path, urlencode(pairs), False)

    def _ask(self, method: str, path: str, body: str | None, page: bool) -> str:
        headers = dict(self._headers)
        if page:
            del headers["HX-Request"]
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        kept = self._line is not None
        if self._line is None:
            self._line = http.client.HTTPSConnection("localhost", self._port, timeout=60, context=self._tls)
        try:
            self._line.request(method, path, body, headers)
            answer = self._line.getresponse()
            data = answer.read().decode("utf-8", "replace")
        except (http.client.HTTPException, OSError):
            # The server ends connections that were idle for 30 s; a browser asks again, too, where that is safe.
            self._line.close()
            self._line = None
            if method == "GET" and kept:
                return self._ask(method, path, body, page)
            raise
        self.requests += 1
        found = re.search(r"dur=([\d.]+)", answer.headers.get("Server-Timing", ""))
        self.server_ms = float(found[1]) if found else 0.0
        if answer.status in (302, 303):
            target = urlsplit(answer.headers["Location"])
            return self._ask("GET", target.path + (f"?{target.query}" if target.query else ""), None, page)
        if answer.status not in (200, 204):
            raise Refused(f"{method} {path}: {answer.status} {re.sub(r'<[^>]+>', ' ', data)[:300]}")
        return data


class Product:
    """A started stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        assert stack.settings is not None
        self.settings = stack.settings
        self.secret = stack.settings.secret
        self.tenant = stack.tenants[HOSPITAL]
        self.tls = ssl.create_default_context(cafile=str(stack.pki.ca_file))
        self.db = Database(self.settings.database_url, secret=self.settings.secret, pool_size=2)
        self._people = 0
        self._pin = secrets.hash_secret(PIN)

    @property
    def admin_url(self) -> str:
        """The superuser on the product's database."""
        return self.stack.postgres.url("postgres")

    def cpu(self) -> dict[str, float]:
        """Processor seconds used so far by the web, its database, all else of the product, and this process."""
        postgres = self.stack.postgres.process
        assert postgres is not None
        web, rest = 0.0, 0.0
        for child in self.stack.supervisor.children:
            if child.name == "web":
                web = cpu(child.process.pid)
            else:
                rest += cpu(child.process.pid)
        return {"web": web, "database": cpu(postgres.pid), "rest": rest, "clients": time.process_time()}

    def person(self, *roles: str) -> Browser:
        """Somebody new with these roles, already logged in with both factors at a bench of their own."""
        self._people += 1
        number = f"bench{self._people:03d}-{time.time_ns() % 10**9}"
        with self.db.tenant(self.tenant) as uow:
            user = User(employee_no=number, name=f"测速{self._people}", dept="内科", badge=number, wards=PLACES)
            user.password_hash = user.pin_hash = self._pin
            user.password_set_at = uow.now
            uow.s.add(user)
            uow.s.flush()
            for role in uow.s.execute(select(Role).where(Role.code.in_(roles))).scalars():
                uow.s.add(UserRole(user_id=user.id, role_id=role.id))
            labs.authorise(uow, [user.id])
            token = service.enter_as(uow, user, f"BENCH{self._people}", "bench", mfa=True).token
        return Browser(self, token)

    def printed_roll(self, prefix: str) -> None:
        """The hospital has tubes with codes printed on them: a letter and eleven digits."""
        with self.db.tenant(self.tenant) as uow:
            rule = {"prefix": prefix, "kind": "tube", "length": 12}
            uow.s.add(SavedSetting(key="specimens", value={"barcode_rules": [rule]}, changed_at=uow.now))

    def sql(self, statement: str, **params: object) -> list[tuple[object, ...]]:
        """As superuser."""
        engine = create_engine(self.admin_url)
        with engine.begin() as conn:
            got = conn.execute(text(statement), params)
            rows = [tuple(row) for row in got] if got.returns_rows else []
        engine.dispose()
        return rows


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Product]:
    """Everything up; nobody works but the section."""
    stack = Stack(State(folder / "state"), brokers.free_port())
    try:
        stack.up()
        yield Product(stack)
    except Refused:
        web = next((child for child in stack.supervisor.children if child.name == "web"), None)
        print(web.last_words() if web else "no web process", file=sys.stderr)
        raise
    finally:
        stack.down()


class Live(threading.Thread):
    """An open page's event stream: calls ``heard(json text)`` for each notice of the bench."""

    def __init__(self, browser: Browser, product: Product) -> None:
        super().__init__(daemon=True)
        self.notices: list[tuple[float, str]] = []
        self.open = threading.Event()
        self.news = threading.Condition()
        self._line = http.client.HTTPSConnection("localhost", product.stack.ports["web"], timeout=60, context=product.tls)
        self._line.request("GET", "/live?ch=bench", headers=browser._headers)

    def run(self) -> None:
        """Read until the connection ends."""
        answer = self._line.getresponse()
        with contextlib.suppress(OSError, http.client.HTTPException, AttributeError, ValueError):
            while line := answer.readline():
                if line.startswith(b":"):
                    self.open.set()
                elif line.startswith(b"data: "):
                    with self.news:
                        self.notices.append((time.perf_counter(), line[6:].decode()))
                        self.news.notify()
