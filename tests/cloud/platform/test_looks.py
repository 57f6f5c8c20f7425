"""Looks at patients read back (M01): many at night, an outside engineer's recorded hours (R7), who saw sensitive items (R8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from sqlalchemy import select, text

from cloud.db.session import Actor
from cloud.modules.platform import alerts, grants, lists, looks, mlps, models, queries, rules, service, watch
from cloud.modules.platform.models import AccessGrant, User
from cloud.modules.servicedesk.queries import open_title
from cloud.reports.documents import Column, ListDocument
from tests.cloud.bench.world import World
from tests.cloud.platform.test_accounts import ticket
from tests.cloud.platform.test_glass import VALUES, patient_of, world  # noqa: F401 (a fixture)
from tests.cloud.reports.test_pages import released
from tests.support.database import TestDatabase
from tests.support.lab import PASSWORD, SEED, Client, Clock, Lab, make

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
NIGHT = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)  # 02:30 in China


@pytest.fixture
def lab(fresh_db: TestDatabase) -> Iterator[Lab]:
    made = make(fresh_db, Clock(NOW))
    yield made
    made.db.dispose()


@pytest.mark.parametrize(
    ("now", "part"),
    [
        ("2026-11-23T02:30", ("01:30", "02:30")),
        ("2026-11-23T00:30", ("23:30", "00:30")),
        ("2026-11-23T07:00", ("06:00", "07:00")),
        ("2026-11-23T07:15", ("06:15", "07:00")),
        ("2026-11-23T08:00", None),
        ("2026-11-23T19:00", None),
        ("2026-11-23T19:15", ("19:00", "19:15")),
        ("2026-11-23T20:00", ("19:00", "20:00")),
        ("2026-11-23T20:15", ("19:15", "20:15")),
    ],
)
def test_only_the_part_of_the_hour_outside_office_hours_counts(now: str, part: tuple[str, str] | None) -> None:
    found = rules.off_hours(datetime.fromisoformat(f"{now}+08:00").astimezone(UTC))
    assert (None if found is None else tuple(f"{at:%H:%M}" for at in found)) == part


def read(lab: Lab, role: str, patients: int, at: datetime) -> None:
    add = "INSERT INTO access_log (tenant_id, at, user_id, actor, patient_id, purpose, path, request_id)"
    values = "SELECT :t, :at, :u, 'x', n, 'review', '/review', 'r' FROM generate_series(1, :n) n"
    with lab.uow() as uow:
        uow.s.execute(text(f"{add} {values}"), {"t": lab.a, "at": at, "u": lab.users[(lab.a, role)], "n": patients})


def told(lab: Lab) -> list[models.Alert]:
    with lab.uow() as uow:
        watch.bulk_views(uow)
    with lab.uow() as uow:
        return [a for a in alerts.visible(uow, frozenset({rules.Perm.AUDIT})) if a.kind == "platform.bulk_view"]


def test_many_patients_read_at_night_raise_one_alert_that_leads_to_the_looks(lab: Lab) -> None:
    lab.clock.set(NIGHT)
    read(lab, "tester", 200, NIGHT - timedelta(minutes=5))
    assert told(lab) == []
    add = "INSERT INTO access_log (tenant_id, at, user_id, actor, patient_id, purpose, path, request_id)"
    with lab.uow() as uow:
        values = {"t": lab.a, "at": NIGHT - timedelta(minutes=4), "u": lab.users[(lab.a, "tester")]}
        uow.s.execute(text(f"{add} VALUES (:t, :at, :u, 'x', 201, 'bench', '/bench/tube/9', 'r')"), values)
        name = uow.s.scalars(select(User.name).where(User.employee_no == "tester1")).one()
    told(lab)
    (one,) = told(lab)
    assert one.fields == {"who": name, "n": 201}
    page = lab.client("auditadmin").get(one.url)
    assert page.status_code == 200 and "检验台" in page.text and "/bench/tube/9" in page.text
    early = lab.client("auditadmin").get("/audit/access?who=nurse1")
    assert "/bench/tube/9" not in early.text
    assert lab.client("director").get("/audit/access").status_code == 403


def test_what_was_read_before_the_office_opened_is_told_after_it_opened_too(lab: Lab) -> None:
    seven = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
    read(lab, "tester", 201, seven - timedelta(minutes=10))
    lab.clock.set(seven + timedelta(minutes=5))
    assert [a.fields["n"] for a in told(lab)] == [201]


def test_what_was_read_by_day_is_not_told_in_the_evening(lab: Lab) -> None:
    seven = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
    read(lab, "tester", 201, seven - timedelta(minutes=10))
    lab.clock.set(seven + timedelta(minutes=5))
    assert told(lab) == []


def test_rows_exported_at_night_count_unless_they_only_wait(lab: Lab) -> None:
    lab.clock.set(NIGHT)
    document = ListDocument("甲院", "清单", (Column("患者", 1),), tuple((str(n),) for n in range(150)), NIGHT)
    for rows, identifying in ((1, True), (4, True), (1, False)):
        with lab.uow() as uow:
            uow.actor = Actor("夜班", user_id=lab.users[(lab.a, "leader")])
            lists.ask(uow, replace(document, rows=document.rows * rows), "pdf", "/", identifying=identifying)
    lab.clock.advance(seconds=1)
    assert told(lab) == []  # 150 went out, 600 wait for approval, 150 name nobody
    read(lab, "leader", 51, NIGHT - timedelta(minutes=5))
    assert [a.fields["n"] for a in told(lab)] == [201]


def engineer(lab: Lab) -> tuple[Client, int]:
    """Somebody from outside whose access was approved just now, with a ticket; and the access."""
    with lab.uow() as uow:
        user = uow.s.scalars(select(User).where(User.employee_no == "engineer1")).one()
        grant = grants.ask(uow, open_title, user, 2, "查看链路", str(ticket(uow))).id
    assert lab.client("infogroup").post(f"/admin/grants/{grant}", {"to": "approved"}, htmx=True).status_code == 200
    lab.clock.advance(seconds=60)
    form = {"tenant": "a", "employee_no": "engineer1", "password": PASSWORD, "totp": pyotp.TOTP(SEED).at(lab.clock())}
    answer = lab.app.test_client().post("/login", base_url="https://localhost", data=form)
    assert answer.status_code == 303, answer.text
    token = answer.headers["Set-Cookie"].split("=", 1)[1].split(";")[0].split(".", 1)[1]
    return Client(lab.app.test_client(), lab.a, token, lab.users[(lab.a, "engineer")]), grant


def test_r7_every_step_of_an_engineer_is_on_one_page_what_was_refused_too(lab: Lab) -> None:
    guest, grant = engineer(lab)
    info = lab.client("infogroup")
    assert guest.get("/edge/messages?q=P100").status_code == 200
    assert guest.get("/sessions").status_code == 403
    assert guest.get("/alerts/count").status_code == 200
    assert guest.get("/edge/raw/999999").status_code == 404
    assert guest.post("/desk", {"title": ""}, htmx=True).status_code in (403, 409, 422)
    with lab.uow() as uow:
        alerts.raise_alert(
            uow, alerts.Alert("edge.offline", "agent:1", rules.Level.WARNING, "%(n)s 离线", "/edge/board", "edge:read", {"n": "1"})
        )
        (alert,) = alerts.visible(uow, frozenset({"edge:read"}))
    assert guest.post(f"/alerts/{alert.id}/acknowledge", {"note": "网线已换"}, htmx=True).status_code == 200
    page = info.get(f"/admin/grants/{grant}").text
    for step in ("GET /edge/messages?q=P100<", "GET /sessions ✕<", "GET /edge/raw/999999 ✕<", "POST /desk ✕<"):
        assert step in page, step
    assert "GET /alerts/count" not in page and "GET /alerts/count" in lab.client("auditadmin").get("/audit/access?who=engineer1").text
    assert "网线已换" in page and "没有更改任何内容" not in page
    assert f'href="/admin/grants/{grant}"' in info.get("/admin/grants").text
    assert lab.client("leader").get(f"/admin/grants/{grant}").status_code == 403
    assert lab.client("infogroup", lab.b).get(f"/admin/grants/{grant}").status_code == 404


def test_r7_an_access_ended_early_holds_nothing_of_the_next(lab: Lab) -> None:
    guest, first = engineer(lab)
    assert guest.get("/edge/board").status_code == 200
    lab.clock.advance(minutes=1)
    lab.client("infogroup").post(f"/admin/grants/{first}", {"to": "ended"}, htmx=True)
    lab.clock.advance(minutes=5)
    again, second = engineer(lab)
    assert again.get("/edge/messages").status_code == 200
    with lab.uow() as uow:
        paths = {each: {s.path for s in looks.visit(uow, each).steps} for each in (first, second)}
        until = uow.s.scalars(select(AccessGrant.until).where(AccessGrant.id == first)).one()
    assert "GET /edge/board" in paths[first] and "GET /edge/messages" not in paths[first]
    assert "GET /edge/messages" in paths[second] and "GET /edge/board" not in paths[second]
    assert until is not None and until < lab.clock() - timedelta(minutes=4)


def test_r8_who_saw_patients_with_sensitive_items_is_reviewed(world: World) -> None:  # noqa: F811 (the fixture)
    lab = world.lab
    no = released(world, VALUES)
    patient = patient_of(world, no)
    with lab.uow() as uow:
        before = {r.employee_no: r.pages for r in looks.readers(uow)}
        assert "nurse1" not in before and "clinician1" not in before
    nurse, doctor = lab.client("nurse"), lab.client("clinician")
    for who in (nurse, doctor):
        assert who.get(f"/clinic/report/{no}").status_code == 200
    with lab.uow() as uow:
        found = {r.employee_no: r for r in looks.readers(uow)}
        assert "nurse1" not in found, "saw the rest only"
        assert (found["clinician1"].patients, found["clinician1"].by_reason) == (1, 0)
    reason = {"kind": "sensitive", "next": "/clinic", "reason": "职业暴露评估"}
    assert nurse.post(f"/clinic/patient/{patient}/reason", reason).status_code == 303
    assert nurse.get(f"/clinic/report/{no}").status_code == 200
    reviewer = lab.client("quality")
    page = reviewer.get(f"/admin/breaks/sensitive?user={lab.users[(lab.a, 'nurse')]}").text
    assert "nurse1" in page and "clinician1" in page and page.index("nurse1") < page.index("clinician1") and "! 破例" in page
    for kind in ("pdf", "xlsx"):
        assert "/lists/" in reviewer.post("/admin/breaks/sensitive/export", {"kind": kind}).headers["Location"]
    assert lab.client("leader").get("/admin/breaks/sensitive").status_code == 403
    with lab.uow(lab.b) as uow:
        assert list(looks.readers(uow)) == []
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE test_item SET sensitive = false"))
    with lab.uow() as uow:
        assert list(looks.readers(uow)) == []


def test_an_account_opened_with_rights_is_told_and_one_without_a_name_refused(lab: Lab) -> None:
    form = {"employee_no": "neu8", "name": "新人", "password": "First-Word-2026", "role": "secadmin"}
    admin = lab.client("secadmin")
    for lacking in ("employee_no", "name"):
        refused = admin.post("/admin/users", form | {lacking: " "}, htmx=True)
        assert refused.status_code == 422 and "请填写工号和姓名" in refused.text
    assert admin.post("/admin/users", form).status_code == 200
    with lab.uow() as uow:
        (one,) = [a for a in alerts.visible(uow, frozenset({rules.Perm.AUDIT})) if a.kind == "platform.privilege"]
    assert (one.fields["who"], one.fields["more"]) == ("新人", "secadmin")


def test_privileged_actions_are_all_that_administrators_do(lab: Lab) -> None:
    admin = lab.client("secadmin")
    assert admin.post("/admin/networks", {"cidr": "10.20.0.0/16", "name": "检验楼"}).status_code == 303
    lab.client("tester")
    with lab.uow() as uow:
        session = next(s.id for s in queries.sessions(uow) if s.employee_no == "tester1")
    assert admin.post(f"/sessions/{session}/kick").status_code == 200
    page = lab.client("auditadmin").get("/admin/reports").text
    done = page[page.index("管理操作") :]
    assert "院内网段" in done and "登录会话" in done
    with lab.uow() as uow:
        assert {e.action for e in queries.privileged(uow) if e.entity == "session"} == {"kick"}


def test_a_person_among_hundreds_is_found_and_ended_and_may_be_authorised(lab: Lab) -> None:
    with lab.uow() as uow:
        like = uow.s.scalars(select(User).where(User.employee_no == "tester1")).one()
        for n in range(queries.PAGE + 1):
            user = User(employee_no=f"p{n:03}", name=f"同事{n}", password_hash=like.password_hash, password_set_at=uow.now)
            uow.s.add(user)
            uow.s.flush()
            service.enter_as(uow, user, f"W{n:03}", "", mfa=True)
    admin = lab.client("secadmin")
    assert f"只显示最近活动的 {queries.PAGE} 个" in admin.get("/sessions").text
    for q in ("p100", "同事100", "W100"):
        assert "同事100" in admin.fragment(f"/sessions?q={q}").text and "同事99" not in admin.fragment(f"/sessions?q={q}").text
    director = lab.client("director").get("/hr/matrix").text
    assert "同事0 " in director and "同事100 " in director
    lab.clock.advance(hours=12)
    with lab.uow() as uow:
        assert list(queries.sessions(uow)) == []


def test_the_hundred_and_first_workstation_is_reached(lab: Lab) -> None:
    with lab.uow() as uow:
        for n in range(queries.PAGE + 1):
            uow.s.execute(
                text("INSERT INTO workstation (tenant_id, code, name, location) VALUES (:t, :c, :n, '门诊')"),
                {"t": lab.a, "c": f"K{n:03}", "n": f"电脑{n:03}"},
            )
    admin = lab.client("sysadmin")
    first = admin.get("/workstations").text
    assert "电脑099" in first and "电脑100" not in first and "after=K099" in first
    assert "电脑100" in admin.get("/workstations?after=K099").text
    found = admin.get("/workstations?q=K100").text
    assert "电脑100" in found and "电脑099" not in found


def test_the_self_check_measures_what_is_sealed_and_knows_the_scan(lab: Lab) -> None:
    def control(words: str) -> mlps.Control:
        with lab.uow() as uow:
            return next(c for c in mlps.controls(uow, lab.settings) if words in c.how)

    assert control("患者证件号").mark is mlps.Mark.MET
    with lab.uow() as uow:
        values = "VALUES (:t, 'P1', '样本', '13800000000')"
        uow.s.execute(text(f"INSERT INTO patient (tenant_id, patient_no, name, phone) {values}"), {"t": lab.a})
    assert control("患者证件号").mark is mlps.Mark.WANTING and "1 条" in control("患者证件号").found
    lacking = control("管理和审核角色").found
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET totp_sealed = NULL, wework_id = 'LiSi' WHERE employee_no = 'verifier1'"))
    assert control("管理和审核角色").found != lacking
    with lab.uow() as uow:
        uow.s.execute(
            text(
                "INSERT INTO wework_app (tenant_id, corp_id, agent_id, api_base, login_base, active) VALUES (:t, 'c', '1', 'x', 'y', true)"
            ),
            {"t": lab.a},
        )
    assert control("管理和审核角色").found == lacking
