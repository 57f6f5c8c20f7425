"""Standing in for somebody, and exports of many patients: until when, what, never passed on; never approved by who asks (M01)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from pypdf import PdfReader
from sqlalchemy import text

from cloud import relay, worker
from cloud.db.session import Actor
from cloud.modules.platform import lists, rules
from cloud.modules.platform.models import Alert, ListJob
from cloud.reports.documents import Column, ListDocument
from tests.support import lab as labs
from tests.support.database import TestDatabase
from tests.support.lab import Lab

NOW = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)  # 10:00 in the hospital
DAY = timedelta(days=1)


@pytest.fixture
def lab(fresh_db: TestDatabase) -> Iterator[Lab]:
    made = labs.make(fresh_db, labs.Clock(NOW))
    yield made
    made.db.dispose()


# --- delegation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "until", "words"),
    [
        (NOW, NOW, "结束时间须晚于开始时间"),
        (NOW - 3 * DAY, NOW, "已经过去"),
        (NOW, NOW + 60 * DAY + timedelta(seconds=1), "最长 60 天"),
        (NOW, NOW + 60 * DAY, None),
        (NOW + DAY, NOW + 2 * DAY, None),
    ],
)
def test_times_of_a_delegation(first: datetime, until: datetime, words: str | None) -> None:
    found = rules.delegation_problem(first, until, NOW)
    assert found is None if words is None else found is not None and words in found


def form(**more: Any) -> dict[str, Any]:
    return {"to": "senior1", "until": "2026-05-06T10:00", "permission": "qc:close", "reason": "外出会议"} | more


def test_a_leaders_right_is_anothers_for_a_time_only(lab: Lab) -> None:
    senior, leader = lab.client("senior"), lab.client("leader")
    closing = ("/qc/month/draft", {"month": "2026-04"})
    assert senior.post(*closing).status_code == 403
    assert leader.post("/me/delegations", form(first="2026-05-04T11:00")).status_code == 303
    assert senior.post(*closing).status_code == 403, "not before it begins"
    lab.clock.set(NOW + timedelta(hours=1))
    senior = lab.client("senior")
    assert senior.post(*closing).status_code == 303
    assert "外出会议" in senior.get("/me").text and "外出会议" in lab.client("leader").get("/me").text
    assert "qc:plan" not in senior.get("/me").text.split("我的权限")[-1], "only what was chosen"
    with lab.uow() as uow:
        assert uow.s.query(Alert).filter_by(kind="platform.privilege").count() == 1, "a change of rights is told"
    lab.clock.set(datetime(2026, 5, 6, 2, 0, tzinfo=UTC))
    assert lab.client("senior").post(*closing).status_code == 403, "over at its end"


def test_it_is_never_passed_on_and_ends_with_the_giver(lab: Lab) -> None:
    lab.client("leader").post("/me/delegations", form())
    senior = lab.client("senior")
    refused = senior.post("/me/delegations", form(to="verifier1"), htmx=True)
    assert refused.status_code == 422 and "不能再委托" in refused.text
    closing = ("/qc/month/draft", {"month": "2026-04"})
    assert senior.post(*closing).status_code == 303
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user /* by hand */ SET status = 'suspended' WHERE employee_no = 'leader1' AND tenant_id = 1"))
    assert senior.post(*closing).status_code == 403


def test_either_of_the_two_ends_it_nobody_else(lab: Lab) -> None:
    leader, senior = lab.client("leader"), lab.client("senior")
    leader.post("/me/delegations", form())
    found = re.search(r"/me/delegations/([0-9]+)/end", senior.get("/me").text)
    assert found is not None
    assert lab.client("verifier").post(found[0]).status_code == 404
    assert senior.post(found[0]).status_code == 303
    assert senior.post(found[0], htmx=True).status_code == 409
    assert senior.post("/qc/month/draft", {"month": "2026-04"}).status_code == 403


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"to": "leader1"}, 422, "不能委托给自己"),
        ({"to": "nobody9"}, 422, "没有工号为 nobody9"),
        ({"to": "tester1"}, 409, "没有动态口令、UKey 或企业微信"),
        ({"reason": " "}, 422, "请写明代理原因"),
        ({"until": ""}, 422, "请填写结束时间"),
        ({"until": "昨天"}, 422, "时间写法不对"),
        ({"permission": "platform:users"}, 422, "自己角色的权限"),
        ({"permission": "qc:bypass"}, 422, "自己角色的权限"),
    ],
)
def test_bad_input_of_a_delegation_is_named(lab: Lab, change: dict[str, str], status: int, words: str) -> None:
    answer = lab.client("leader").post("/me/delegations", form(**change), htmx=True)
    assert answer.status_code == status and words in answer.text
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM delegation")).scalar_one() == 0


def test_who_is_of_one_section_is_not_stood_in_for_by_somebody_of_all(lab: Lab) -> None:
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET sections = '{CHEM}' WHERE employee_no = 'leader1' AND tenant_id = 1"))
    answer = lab.client("leader").post("/me/delegations", form(), htmx=True)
    assert answer.status_code == 409 and "范围比您的大" in answer.text


# --- exports --------------------------------------------------------------------------------------------------------


def document(rows: int) -> ListDocument:
    return ListDocument("甲医院（虚构）", "危急值登记本", (Column("患者"),), tuple((f"患者{n}",) for n in range(rows)), NOW, "检验者一号")


def asked(lab: Lab, rows: int, role: str = "tester", kind: str = "xlsx") -> str:
    with lab.db.tenant(lab.a, Actor("检验者一号", lab.users[(lab.a, role)])) as uow:
        return lists.ask(uow, document(rows), kind, "/critical/register", identifying=True)


@pytest.mark.parametrize(("rows", "full"), [(lists.MOST - 1, False), (lists.MOST, True)])
def test_a_list_that_ends_at_its_bound_says_so_on_top(lab: Lab, rows: int, full: bool) -> None:
    with lab.db.tenant(lab.a, Actor("检验者一号", lab.users[(lab.a, "tester")])) as uow:
        url = lists.ask(uow, document(rows), "xlsx", "/critical/register")
        frozen = uow.s.get_one(ListJob, (lab.a, int(url.rpartition("/")[2]))).document
    assert ("已到一份清单的上限" in frozen["subtitle"]) is full


def test_all_lists_are_asked_for_up_to_the_same_bound() -> None:
    """Another bound would end a list without a word."""
    said = [
        int(n)
        for file in Path(lists.__file__).parents[1].rglob("*.py")
        for n in re.findall(r"EXPORT_MOST = .*?(\d+)$", file.read_text("utf-8"), re.M)
    ]
    assert len(said) > 8 and set(said) == {lists.MOST}


def made(lab: Lab) -> None:
    relay.drain(lab.db, lab.a, worker.all_handlers())


@pytest.mark.parametrize(("rows", "identifying", "waits"), [(500, True, False), (501, True, True), (5000, False, False)])
def test_only_many_rows_that_name_patients_wait(rows: int, identifying: bool, waits: bool) -> None:
    assert rules.needs_approval(rows, identifying) is waits


def test_five_hundred_rows_go_at_once_with_who_and_when_on_them(lab: Lab) -> None:
    tester = lab.client("tester")
    for kind in ("xlsx", "pdf"):
        job = asked(lab, 3, kind=kind)
        made(lab)
        data = tester.get(f"{job}/file").data
        if kind == "xlsx":
            rows = list(openpyxl.load_workbook(io.BytesIO(data)).worksheets[0].values)
            assert rows[1][0] == "含患者身份信息，仅限导出人使用：检验者一号 2026-05-04 10:00" and rows[3][0] == "患者0"
        else:
            assert "检验者一号 2026-05-04 10:00" in PdfReader(io.BytesIO(data)).pages[0].extract_text()


def test_more_rows_wait_for_a_purpose_and_another_persons_approval(lab: Lab) -> None:
    job = asked(lab, 501)
    number = int(job.rsplit("/", 1)[1])
    made(lab)
    tester, director = lab.client("tester"), lab.client("director")
    assert "共 501 行含患者身份" in tester.get(job).text and tester.get(f"{job}/file").status_code == 404
    approve = (f"/admin/exports/{number}", {"to": "approve"})
    early = director.post(*approve, htmx=True)
    assert early.status_code == 409 and "还没有写明用途" in early.text
    assert tester.post(f"{job}/purpose", {"purpose": " "}, htmx=True).status_code == 422
    assert director.post(f"{job}/purpose", {"purpose": "别人的"}, htmx=True).status_code == 409
    assert tester.post(f"{job}/purpose", {"purpose": "季度质量分析"}).status_code == 303
    assert tester.post(*approve).status_code == 403
    assert "季度质量分析" in director.get("/admin/exports").text and "申请导出" in director.get("/alerts").text
    assert director.post(*approve, htmx=True).status_code == 200
    made(lab)
    assert tester.get(f"{job}/file").status_code == 200
    assert director.get(f"{job}/file").status_code == 404, "for who asked only"
    again = director.post(*approve, htmx=True)
    assert again.status_code == 409 and "已经处理过" in again.text


def test_nobody_approves_the_own_export_and_a_refused_one_is_never_made(lab: Lab) -> None:
    job = asked(lab, 501, role="director")
    number = int(job.rsplit("/", 1)[1])
    director = lab.client("director")
    director.post(f"{job}/purpose", {"purpose": "自查"})
    own = director.post(f"/admin/exports/{number}", {"to": "approve"}, htmx=True)
    assert own.status_code == 409 and "不能批准自己的导出" in own.text
    assert lab.client("quality").post(f"/admin/exports/{number}", {"to": "refuse"}, htmx=True).status_code == 200
    made(lab)
    assert "导出未获批准" in director.get(job).text and director.get(f"{job}/file").status_code == 404
    with lab.uow() as uow:
        assert uow.s.query(Alert).filter_by(kind="platform.export", cleared_at=None).count() == 0


def test_what_nobody_decides_goes_after_a_week(lab: Lab) -> None:
    asked(lab, 501)
    for days, left in ((2, 1), (8, 0)):
        lab.clock.set(NOW + days * DAY)
        with lab.uow() as uow:
            lists.purge(uow)
            assert uow.s.execute(text("SELECT count(*) FROM list_job")).scalar_one() == left
            assert uow.s.query(Alert).filter_by(kind="platform.export", cleared_at=None).count() == left
