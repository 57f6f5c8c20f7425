"""create_app: settings and modules in, a Flask app out that refuses to start when a route has no permission."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

import structlog
from flask import Flask, g, request
from htmx_flask import Htmx
from jinja2 import ChoiceLoader, FunctionLoader
from markupsafe import Markup
from sqlalchemy.exc import SQLAlchemyError

from cloud.config import Settings
from cloud.db.room import at_once
from cloud.db.session import Database
from cloud.modules import registry
from cloud.modules.catalog import queries as catalog
from cloud.modules.platform import queries as hospitals
from cloud.modules.platform import signing
from cloud.modules.platform.identity import SessionIdentity
from cloud.modules.specimens import rehearsal
from cloud.ports import s3, signature_server
from cloud.web import asked, cookie, csrf, errors, front, guard, i18n, live, site, view
from cloud.web.module import MenuItem, leavings, starts, ticket_finder

WEB = Path(__file__).parent / "web"
MODULES = Path(__file__).parent / "modules"


def create_app(settings: Settings, db: Database | None = None) -> Flask:
    """The whole hosted LIS as one WSGI app."""
    app = Flask("jianlian", template_folder=str(WEB / "templates"), static_folder=str(WEB / "static"), static_url_path="/static")
    app.jinja_environment = i18n.Pages
    app.config["MAX_CONTENT_LENGTH"] = 16 * 1024 * 1024
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    assert app.jinja_env.loader is not None
    app.jinja_env.loader = ChoiceLoader([FunctionLoader(lambda name: templates().get(name)), app.jinja_env.loader])
    templates()
    Htmx(app)
    asked.init(app)
    db = db or Database(settings.database_url, secret=settings.secret, at_once=at_once(settings.web_workers))
    hub = live.Hub(settings.database_url)
    s3.configure(settings)
    signature_server.configure(settings)
    signing.configure(settings)
    owners = {str(p): m.name for m in registry.MODULES for p in m.permissions}
    app.extensions["jianlian"] = view.Web(settings, db, SessionIdentity(owners), {"live": hub})
    app.extensions["titles"] = {m.name: m.title for m in registry.MODULES}
    app.extensions["sections"] = catalog.section_names
    app.extensions["leaving"] = leavings(registry.MODULES)
    app.extensions["tickets"] = ticket_finder(registry.MODULES)
    app.extensions["starts"] = starts(registry.MODULES)
    guard.init(app)
    errors.init(app)
    i18n.init(app, [WEB, *(MODULES / m.name for m in registry.MODULES)])
    app.extensions.setdefault("permissions", {})["static"] = view.Access.PUBLIC.value
    for views in (site.VIEWS, *(m.load(v) for m in registry.MODULES for v in m.views)):
        view.register(app, views)
    _context(app)
    app.wsgi_app = front.behind(app.wsgi_app, settings.front_key)  # type: ignore[method-assign, assignment]
    view.check_declared(app)
    return app


WARM_PAGES = ("base.html", "specimens/receive.html", "bench/section.html")
WARM_HOSPITALS = 20
MENUS_KEPT = 500


def warm_up(app: Flask) -> None:
    """What a first scan would wait for, done before this process takes requests: the scanning pages compiled, the catalogs read.

    Of a cold scan's time half was the catalog and a quarter the template. Without a database it starts all the same, and is cold.
    """
    for name in WARM_PAGES:
        app.jinja_env.get_template(name)
    db = app.extensions["jianlian"].db
    try:
        for tenant_id in hospitals.open_tenants(db)[:WARM_HOSPITALS]:
            with db.tenant(tenant_id) as uow:
                catalog.catalog(uow)
    except SQLAlchemyError as error:
        structlog.get_logger("web").warning("not_warm", error=type(error).__name__)
    rehearse(app, 1)


WARM_SESSIONS = 2


def rehearse(app: Flask, sessions: int = WARM_SESSIONS) -> None:
    """A first scan's work done and taken back, in this many sessions of the database: each of them has to learn it for itself."""
    db = app.extensions["jianlian"].db
    try:
        with contextlib.ExitStack() as held:
            for hospital in hospitals.open_tenants(db)[:1] * sessions:
                rehearsal.receipt(db, hospital)
                held.enter_context(db.engine.connect())  # the pool hands out what came back last: held, so that the next is another
    except SQLAlchemyError as error:
        structlog.get_logger("web").warning("not_warm", error=type(error).__name__)


@functools.cache
def templates() -> dict[str, tuple[str, str, None]]:
    """Every page as it was when this process started, by name, with its file.

    Read at once and not when a page is first asked for: a release laid over a running one would give the old code new pages, and a 500.
    """
    folders = (WEB / "templates", *(MODULES / m.name / "templates" for m in registry.MODULES))
    found = ((folder, file) for folder in folders for file in folder.rglob("*.html"))
    return {file.relative_to(folder).as_posix(): (file.read_text(encoding="utf-8"), str(file), None) for folder, file in found}


def _context(app: Flask) -> None:
    fronts = [f for m in registry.MODULES for f in m.front]
    items = sorted((i for m in registry.MODULES for i in m.menu), key=lambda i: i.order)
    version = str(int(max((f.stat().st_mtime for f in (WEB / "static").rglob("*") if f.is_file()), default=0)))

    @functools.lru_cache(MENUS_KEPT)
    def menu_shown(_language: str, near: str, permissions: frozenset[str]) -> Markup:
        """The menu as it stands on a page: people of one role read the same few again and again."""
        return Markup(i18n.pages().get_template("_menu.html").render(menu=_menu(items, permissions), near=near))

    @app.context_processor
    def shared() -> dict[str, object]:
        who = g.get("principal")
        found = cookie.read(request.cookies)
        token = csrf.token_for(found[1], view.web().settings.secret) if found else ""
        return {
            "who": who,
            "opens": view.opens,
            "csrf": token,
            # Asked for by whole pages only: most answers are fragments.
            "menu": lambda: _menu(items, who.permissions) if who else {},
            "menu_shown": lambda: menu_shown(i18n.locale(), _nearest(items, who.permissions), who.permissions) if who else "",
            "front": [f for f in fronts if str(f.permission) in who.permissions] if who and not who.locked else [],
            "demo": view.web().settings.demo,
            "locale": i18n.locale(),
            "asset": lambda name: f"{app.static_url_path}/{name}?v={version}",
        }


def _nearest(items: list[MenuItem], permissions: frozenset[str]) -> str:
    """The entry whose page this is, or the nearest above it; "" for none."""
    path = request.path
    above = (i.url for i in items if (path == i.url or path.startswith(f"{i.url}/")) and str(i.permission) in permissions)
    return max(above, key=len, default="")


def _menu(items: list[MenuItem], permissions: frozenset[str]) -> dict[str, list[MenuItem]]:
    groups, seen = dict[str, list[MenuItem]](), set[str]()
    for item in items:
        # A page that two groups open to different people stands once for who is both.
        if str(item.permission) in permissions and item.url not in seen:
            seen.add(item.url)
            groups.setdefault(item.group, []).append(item)
    return groups
