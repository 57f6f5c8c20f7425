"""Registered PCs: one keeps its place until it is replaced or taken out, and then nobody is in at it any more."""

from __future__ import annotations

from sqlalchemy import select

from cloud.modules.platform import queries, service, workstations
from cloud.modules.platform.models import User, Workstation
from cloud.modules.platform.views import WORKSTATION_COOKIE
from tests.support.lab import Client, Lab


def sit_down(lab: Lab, code: str) -> Client:
    """Somebody in at a workstation."""
    return lab.client("tester", workstation=code)


def token_of(lab: Lab, admin: Client, **form: str) -> tuple[int, str]:
    answer = admin.post("/workstations", form, htmx=False)
    cookie = next((h for h in answer.headers.getlist("Set-Cookie") if h.startswith(WORKSTATION_COOKIE)), "")
    return answer.status_code, cookie.partition("=")[2].partition(";")[0]


def known(lab: Lab, token: str) -> str:
    with lab.uow() as uow:
        return workstations.of_token(uow, token)


def test_a_code_is_one_pc_until_another_takes_its_place(lab: Lab) -> None:
    admin = lab.client("sysadmin")
    for wrong in ({"code": " ", "name": "x"}, {"code": "B1", "name": " "}):
        assert token_of(lab, admin, **wrong)[0] == 422
    status, first = token_of(lab, admin, code="B1", name="生化 1 台", location="三楼", section="CHEM")
    assert status == 200 and known(lab, first) == "B1"
    person = sit_down(lab, "B1")
    assert token_of(lab, admin, code="B1", name="别的电脑")[0] == 409
    assert known(lab, first) == "B1" and person.get("/me").status_code == 200
    status, second = token_of(lab, admin, code="B1", name="生化 1 台", replace="1")
    assert status == 200 and (known(lab, first), known(lab, second)) == ("", "B1")
    assert person.get("/me").status_code != 200  # the PC it was is none any more
    with lab.uow() as uow:
        row = uow.s.scalars(select(Workstation).where(Workstation.code == "B1")).one()
        assert (row.location, row.section_code) == ("三楼", "CHEM")


def test_one_taken_out_of_use_opens_nothing_and_lets_nobody_stay(lab: Lab) -> None:
    admin = lab.client("sysadmin")
    _, token = token_of(lab, admin, code="B2", name="血液 1 台")
    person, other = sit_down(lab, "B2"), sit_down(lab, "B3")
    with lab.uow() as uow:
        made = uow.s.scalars(select(Workstation.id).where(Workstation.code == "B2")).one()
    url = f"/workstations/{made}"
    assert admin.post(url, {"name": "血液 2 台", "location": "二楼", "section": "XY"}).status_code == 303
    assert "血液 2 台" in admin.get("/workstations").text
    assert admin.post(url, {"name": " "}, htmx=True).status_code == 422
    assert admin.post(f"{url}/retire", {"reason": " "}, htmx=True).status_code == 422
    assert lab.client("leader").post(f"{url}/retire", {"reason": "遗失"}, htmx=True).status_code == 403
    assert admin.post(f"{url}/retire", {"reason": "遗失"}).status_code == 303
    assert known(lab, token) == "" and person.get("/me").status_code != 200 and other.get("/me").status_code == 200
    assert admin.post(f"{url}/retire", {"reason": "遗失"}, htmx=True).status_code == 409
    assert admin.post("/workstations/99999/retire", {"reason": "遗失"}, htmx=True).status_code == 404
    # The place itself may be taken again, by a PC that is registered anew.
    assert token_of(lab, admin, code="B2", name="血液 2 台")[0] == 200


def test_the_security_reports_say_every_refusal_in_words_and_go_on_paper(lab: Lab) -> None:
    with lab.uow() as uow:
        for outcome in ("certificate", "no_certificate", "sso_future", "sso_malformed", "sso_unknown", "sso_second_factor"):
            service.login_event(uow, "tester1", outcome)
    reader = lab.client("auditadmin")
    page = reader.get("/admin/reports").text
    assert "没有插入登记的 UKey" in page and "单点登录票据无法识别" in page and "sso_" not in page
    for name in ("failed", "dormant", "privileged"):
        for kind in ("pdf", "xlsx"):
            asked = reader.post("/admin/reports/export", {"list": name, "kind": kind})
            assert asked.status_code == 303 and "/lists/" in asked.headers["Location"]
    assert reader.post("/admin/reports/export", {"list": "x", "kind": "pdf"}, htmx=True).status_code == 422
    assert lab.client("leader").post("/admin/reports/export", {"list": "failed", "kind": "pdf"}, htmx=True).status_code == 403


def test_another_hospitals_workstation_is_nobodys_here(lab: Lab) -> None:
    token_of(lab, lab.client("sysadmin"), code="B9", name="甲院的")
    with lab.uow(lab.b) as uow:
        assert list(queries.workstations(uow)) == [] and uow.s.scalars(select(User.id).limit(1)).first() is not None
