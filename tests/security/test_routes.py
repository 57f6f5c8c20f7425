"""Every route × role against the declared matrix; a foreign object is an absent object (SR1–SR3)."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from cloud.app import create_app
from cloud.modules.platform.rules import STANDARD_ROLES
from cloud.web.view import Access, Views, check_declared
from tests.security.filler import fill
from tests.support.lab import Client, Lab, all_permissions

MATRIX = Path(__file__).with_name("matrix.txt")
ABSENT = 987_654_321
MARKER = "LEAKB"
# Streams hold their connection; they are read by their own test.
STREAMS = {"site.stream"}
# Ending the session would end the walk.
ENDS_SESSION = {"platform.logout", "platform.lock", "platform.switch", "platform.unlock"}


def rules(lab: Lab) -> list[Rule]:
    return sorted(
        (r for r in lab.app.url_map.iter_rules() if r.endpoint != "static" and r.endpoint not in STREAMS),
        key=lambda r: (r.rule, r.endpoint),
    )


def lines(lab: Lab) -> list[str]:
    declared = lab.app.extensions["permissions"]
    roles = {p: ",".join(sorted(r)) for p, r in all_permissions().items()}
    out = []
    for r in rules(lab):
        methods = "/".join(sorted((r.methods or set()) - {"HEAD", "OPTIONS"}))
        permission = declared[r.endpoint]
        out.append(f"{methods} {r.rule} {permission} {roles.get(permission, '-')}")
    return sorted(out)


def url(rule: Rule, value: object) -> str:
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", str(value), rule.rule)


def ask(client: Client, rule: Rule, value: object) -> TestResponse:
    target = url(rule, value)
    return client.get(target) if "GET" in (rule.methods or ()) else client.post(target)


def test_matrix_file_is_the_running_app(lab: Lab) -> None:
    assert lines(lab) == MATRIX.read_text(encoding="utf-8").splitlines(), "review the change, then: python -m tests.security.write_matrix"


def test_route_without_permission_stops_the_start(lab: Lab) -> None:
    lab.app = create_app(lab.settings, lab.db)
    lab.app.add_url_rule("/forgotten", "forgotten", lambda: "x")
    with pytest.raises(RuntimeError, match="forgotten"):
        check_declared(lab.app)


def test_every_route_refuses_anonymous(lab: Lab) -> None:
    declared = lab.app.extensions["permissions"]
    for rule in rules(lab):
        if declared[rule.endpoint] == Access.PUBLIC:
            continue
        c = lab.app.test_client()
        answer = c.open(url(rule, ABSENT), method="GET" if "GET" in (rule.methods or ()) else "POST", base_url="https://localhost")
        assert answer.status_code == 302 and "/login" in answer.headers["Location"], rule


@pytest.mark.timeout(1200)  # some ten thousand requests: a busy machine needs longer than for any other test
def test_every_route_and_role_as_declared(lab: Lab) -> None:
    declared = lab.app.extensions["permissions"]
    grants = all_permissions()
    wrong = []
    for role, _name, _second in STANDARD_ROLES:
        client = lab.client(role, workstation="")
        for rule in rules(lab):
            permission = declared[rule.endpoint]
            if permission.startswith("*") or rule.endpoint in ENDS_SESSION:
                continue
            answer = ask(client, rule, ABSENT)
            refused = answer.status_code == 403 and "没有这项操作的权限" in answer.text
            if refused == (role in grants[permission]) or answer.status_code >= 500:
                wrong.append(f"{role} {rule.rule} {permission} → {answer.status_code}")
    assert wrong == []


def readable(answer: TestResponse) -> str:
    """What a person could read of an answer: a workbook is unpacked first, or nothing in it would be found."""
    data = answer.get_data()
    if data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            # When it was made differs from one asking to the next.
            data = b"\n".join(book.read(name) for name in sorted(book.namelist()) if name != "docProps/core.xml")
    return data.decode("utf-8", "replace")


def bodies(answer: TestResponse, value: object) -> tuple[int, str, dict[str, str]]:
    """What must be equal: status, body without request id and the asked id itself, headers without their noise."""
    noise = answer.headers.get("X-Request-Id", "~none~")
    text = readable(answer).replace(noise, "ID").replace(str(value), "VALUE")
    headers = {
        k: v.replace(str(value), "VALUE")
        for k, v in answer.headers.items()
        if k not in ("X-Request-Id", "Server-Timing", "Date", "Content-Length", "Set-Cookie")
    }
    return answer.status_code, text, headers


def leaks(lab: Lab, foreign: dict[str, int]) -> Iterator[str]:
    """Ask every route that takes an argument for a foreign and for an absent object, as a role that may."""
    declared, grants = lab.app.extensions["permissions"], all_permissions()
    clients: dict[str, Client] = {}
    texts = {
        f"{MARKER}{t}{c}".replace("_", "")
        for t, c in (("specimen", "barcode"), ("report", "no"), ("patient", "patient_no"), ("agent", "uuid"))
    }
    for rule in rules(lab):
        permission = declared[rule.endpoint]
        if permission == Access.PUBLIC or rule.endpoint in ENDS_SESSION:
            continue
        role = grants[permission][0] if not permission.startswith("*") else "tester"
        client = clients.setdefault(role, lab.client(role, workstation=""))
        if not rule.arguments:
            if "GET" in (rule.methods or ()):
                page = client.get(rule.rule + "?" + "&".join(f"{k}={v}" for k in ("q", "code", "no", "patient") for v in sorted(texts)[:1]))
                if MARKER in readable(page).replace("".join(sorted(texts)[:1]), ""):
                    yield f"{rule.rule} lists another hospital's row"
            continue
        values = sorted(set(foreign.values())) if "<int:" in rule.rule else sorted(texts)
        absent: object = ABSENT if "<int:" in rule.rule else "NOSUCHTHING"
        want = bodies(ask(client, rule, absent), absent)
        for value in values:
            got = bodies(ask(client, rule, value), value)
            if got != want:
                yield f"{rule.methods} {rule.rule} answers {value} with {got[0]}, an absent one with {want[0]}"
                break


def hashes(lab: Lab, tenant_id: int) -> dict[str, str]:
    """A hash of every table of a hospital (its own access logs aside)."""
    from cloud.db.tenancy import tenant_tables
    from cloud.modules.tables import METADATA

    out = {}
    with lab.uow(tenant_id) as uow:
        for t in tenant_tables(METADATA):
            if t.name not in ("access_log", "login_event", "user_session"):
                out[t.name] = str(
                    uow.s.execute(text(f"SELECT md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM {t.name} x")).scalar()
                )
    return out


def test_foreign_object_is_absent_object_and_nothing_foreign_changes(lab: Lab) -> None:
    foreign = fill(lab.db, lab.b, MARKER)
    fill(lab.db, lab.a, "OWNA")
    before = hashes(lab, lab.b)
    assert list(leaks(lab, foreign)) == []
    assert hashes(lab, lab.b) == before


def test_planted_leak_is_caught(lab: Lab) -> None:
    """A view that reaches past row security must be named by the walk."""
    views = Views("planted", __name__)

    @views.get("/planted/<int:specimen_id>", Access.LOGIN)
    def planted(uow: object, specimen_id: int) -> str:
        from sqlalchemy import create_engine

        engine = create_engine(lab.settings.owner_url.replace("jianlian_owner", "postgres"))
        with engine.connect() as conn:
            found = conn.execute(text("SELECT barcode FROM specimen WHERE id = :i"), {"i": specimen_id}).scalar()
        engine.dispose()
        return str(found or "absent")

    lab.app = create_app(lab.settings, lab.db)
    lab.app.register_blueprint(views.blueprint)
    lab.app.extensions["permissions"].update(views.declared)
    foreign = fill(lab.db, lab.b, MARKER)
    assert any("planted" in leak for leak in leaks(lab, foreign))
