"""M03 R4: a mutually recognised report of another hospital is shown to whoever asks for the same in its interval, to nobody else."""

from __future__ import annotations

import io
from datetime import date, datetime, timedelta
from typing import Any

import openpyxl
import pytest
from sqlalchemy import select, text

from cloud import relay
from cloud.modules.catalog.models import OrderSet, OrderSetItem, SavedSetting, Section
from cloud.modules.catalog.models import TestItem as Item
from cloud.modules.orders import figures, merge, outside, rules, service
from cloud.modules.orders.models import OrderItem, OutsideReport
from cloud.web.faults import Invalid
from cloud.web.span import Span
from cloud.worker import all_handlers
from tests.support.lab import Lab
from tests.support.orders import SOURCE, START, item, message, person, seed_catalog

HOUR = timedelta(hours=1)
FORM = {
    "patient_no": "P001", "item": "GLU", "hospital": "市一院", "report_no": "R77", "mark": "HR", "value": "5.6",
    "sampled": "2026-05-05T08:00",
}  # fmt: skip


@pytest.mark.parametrize(
    ("scope", "mark", "counts"),
    [
        ("HR", "HR", True), ("HR", " hr ", True), ("HR", "京津冀HR", False), ("HR,京津冀HR", "京津冀hr", True), ("", "HR", False),
        ("", "", False), ("HR", "", False), ("HR", "H", False), ("京 HR；苏HR、沪HR", "沪HR", True),
    ],
)  # fmt: skip
def test_a_mark_counts_in_its_own_scope_only(scope: str, mark: str, counts: bool) -> None:
    assert rules.in_scope(scope, mark) is counts


@pytest.mark.parametrize(
    ("age", "counts"),
    [(timedelta(0), True), (24 * HOUR - timedelta(seconds=1), True), (24 * HOUR, False), (-timedelta(seconds=1), False)],
)
def test_a_report_counts_within_the_interval_and_never_from_the_future(age: timedelta, counts: bool) -> None:
    assert rules.recognises("HR", "HR", START - age, START, 24) is counts


def seeded(lab: Lab, hours: float = 48, scope: str = "HR", sensitive: bool = False) -> None:
    lab.clock.set(START)
    with lab.uow() as uow:
        seed_catalog(uow)
        section = uow.s.scalars(select(Section.id).where(Section.code == "SH")).one()
        glu = Item(
            code="GLU",
            name="葡萄糖",
            abbr="GLU",
            section_id=section,
            result_type="numeric",
            unit="mmol/L",
            mutual_recognition=scope,
            sensitive=sensitive,
        )
        uow.s.add(glu)
        uow.s.flush()
        asked = uow.s.scalars(select(OrderSet.id).where(OrderSet.code == "GLU")).one()
        uow.s.add(OrderSetItem(order_set_id=asked, item_id=glu.id))
        if hours:
            uow.s.add(SavedSetting(key="orders", value={"min_interval_h": {"GLU": hours}}))


def place(lab: Lab, number: str, form: str, code: str = "GLU", **more: Any) -> list[str]:
    with lab.uow() as uow:
        return [p.text for p in service.place_order(uow, message(item(number, code), form=form, **more), SOURCE).problems]


TEXT = "外院互认结果（HR）：市一院 2026-05-05 葡萄糖 5.6 mmol/L，报告号 R77"


def row(lab: Lab, number: str) -> OrderItem:
    with lab.uow() as uow:
        return uow.s.scalars(select(OrderItem).where(OrderItem.order_item_no == number)).one()


def test_the_his_and_the_reception_are_shown_it_before_after_and_while_registering(lab: Lab) -> None:
    seeded(lab)
    assert place(lab, "I1", "F1") == []
    desk = lab.client("receiver")
    assert desk.post("/orders/outside", FORM, htmx=True).status_code == 204
    # A request that waits for its tube when the patient brings the paper is marked, and a new one is answered with it.
    assert TEXT in desk.get(f"/orders/item/{row(lab, 'I1').id}").text
    lab.clock.advance(minutes=5)
    told = place(lab, "I2", "F2")
    assert told == ["2 天内重复申请：2026-05-06 08:30 已申请，尚无结果", TEXT]
    assert place(lab, "I3", "F3", "CBC") == []
    desk = lab.client("receiver")
    # Somebody who fills in the form reads it before anything is registered.
    asked = desk.get("/patients/like?patient_no=P001&order_set=GLU&order_set=CBC").text
    assert TEXT in asked and "葡萄糖 2 天内重复申请" in asked
    assert TEXT not in desk.get("/patients/like?patient_no=P001&order_set=CBC").text
    assert TEXT not in desk.get("/patients/like?patient_no=P002&order_set=GLU").text
    with lab.uow() as uow:
        service.set_status(uow, [row(lab, "I2").id], rules.ItemStatus.CANCELLED)
        found = figures.counts(uow, Span(date(2026, 5, 1), date(2026, 5, 31)))
    assert (found[figures.Figure.OUTSIDE], found[figures.Figure.TWINS], found[figures.Figure.AVOIDED]) == (2, 1, 1)
    assert "外院互认提示" in lab.client("leader").get("/orders/figures?first=2026-05-01&last=2026-05-31&figure=outside").text


@pytest.mark.parametrize(
    "change",
    [{"hours": 0}, {"scope": ""}, {"scope": "苏HR"}, {"sensitive": True}, {"hours": 24.5}],
    ids=["no interval", "not recognised", "another scope", "sensitive", "too old"],
)
def test_what_does_not_count_is_shown_to_nobody(lab: Lab, change: dict[str, Any]) -> None:
    seeded(lab, **change)
    place(lab, "I0", "F0", "CBC")
    with lab.uow() as uow:
        known = uow.s.scalars(select(Item.id).where(Item.code == "GLU")).one()
        patient = uow.s.execute(text("SELECT id FROM patient WHERE patient_no = 'P001'")).scalar_one()
        uow.s.add(
            OutsideReport(
                patient_id=patient, item_id=known, hospital="市一院", mark="HR", value="5.6", entered_by="甲", entered_at=START,
                sampled_at=START - 24.5 * HOUR,
            )
        )  # fmt: skip
    assert place(lab, "I1", "F1") == [] and row(lab, "I1").outside_id is None
    page = lab.client("receiver").get("/orders/outside").text
    assert ("已过重复间隔" if change.get("hours") == 24.5 else "不提示" if not change.get("sensitive") else "市一院") in page


def test_a_merged_record_shares_it_and_another_patient_never_does(lab: Lab) -> None:
    seeded(lab)
    place(lab, "I0", "F0", "CBC")
    place(lab, "J0", "G0", "CBC", who=person("P002", "李四", card="K2", birth=date(1970, 1, 1)))
    with lab.uow() as uow:
        outside.add(uow, outside.Given(*FORM.values()))
    assert place(lab, "J1", "G1", who=person("P002", "李四", card="K2", birth=date(1970, 1, 1))) == []
    with lab.uow() as uow:
        pair = merge.propose_by_numbers(uow, "P001", "P002", "同一人")
        merge.merge(uow, pair.id, pair.version, pair.keep_id, "核对身份证", ["name", "card"])
    assert TEXT in place(lab, "J2", "G2", who=person("P002", "李四", card="K2", birth=date(1970, 1, 1)))


def test_registered_for_the_wrong_patient_it_is_taken_back_from_every_request(lab: Lab) -> None:
    seeded(lab)
    place(lab, "I0", "F0", "CBC")
    desk = lab.client("receiver")
    for field, said in (("patient_no", "没有患者号"), ("item", "互认项目"), ("hospital", "医院"), ("mark", "互认标识"), ("value", "结果")):
        refused = desk.post("/orders/outside", FORM | {field: " "}, htmx=True)
        assert refused.status_code == 422 and said in refused.text, field
    for wrong, said in (
        ({"value": "5,6"}, "5,6"),
        ({"value": "高"}, "葡萄糖"),
        ({"sampled": "昨天"}, "日期"),
        ({"sampled": "2026-05-07T08:00"}, "将来"),
    ):
        refused = desk.post("/orders/outside", FORM | wrong, htmx=True)
        assert refused.status_code == 422 and said in refused.text, wrong
    assert desk.post("/orders/outside", FORM, htmx=True).status_code == 204
    place(lab, "I1", "F1")
    assert (report := row(lab, "I1").outside_id) is not None
    url = f"/orders/outside/{report}/withdraw"
    assert desk.post(url, {"version": 1, "why": " "}, htmx=True).status_code == 422
    assert desk.post(url, {"version": 9, "why": "错"}, htmx=True).status_code == 409
    assert desk.post("/orders/outside/99/withdraw", {"version": 1, "why": "错"}, htmx=True).status_code == 404
    assert desk.post(url, {"version": 1, "why": "登记错了患者"}, htmx=True).status_code == 204
    again = desk.post(url, {"version": 2, "why": "登记错了患者"}, htmx=True)
    assert again.status_code == 409 and "撤回" in again.text
    assert row(lab, "I1").outside_id is None and place(lab, "I2", "F2")[-1:] != [TEXT]
    page = desk.get("/orders/outside").text
    assert "登记错了患者" in page and 'action="/orders/outside/export"' in page
    assert desk.post("/orders/outside", FORM | {"hospital": "=HYPERLINK(1)", "value": "5.9"}, htmx=True).status_code == 204
    assert desk.post("/orders/outside", FORM | {"mark": "沪HR"}, htmx=True).status_code == 204
    job = desk.post("/orders/outside/export", {"kind": "xlsx"}).headers["Location"]
    relay.drain(lab.db, lab.a, all_handlers())
    lines = list(openpyxl.load_workbook(io.BytesIO(desk.get(f"{job}/file").data)).worksheets[0].iter_rows())
    rows = [[c.value for c in line] for line in lines if "P001" in {c.value for c in line}]
    assert [(r[5], r[6], r[8]) for r in rows] == [
        ("5.6 mmol/L", "市一院", "沪HR"), ("5.9 mmol/L", "=HYPERLINK(1)", "HR"), ("5.6 mmol/L", "市一院", "HR")
    ]  # fmt: skip
    assert [r[10] for r in rows] == ["不提示", "2026-05-07 08:00", "已撤回 标本接收员一号：登记错了患者"]
    assert not any(c.data_type == "f" for line in lines for c in line)
    assert desk.post("/orders/outside/export", {"kind": "x"}).status_code == 422
    assert lab.client("tester").post("/orders/outside/export", {"kind": "xlsx"}).status_code == 403
    assert lab.client("tester").get("/orders/outside").status_code == 403


def test_a_moment_is_read_in_the_hospitals_own_time(lab: Lab) -> None:
    seeded(lab)
    place(lab, "I0", "F0", "CBC")
    with lab.uow() as uow:
        made = outside.add(uow, outside.Given(*(FORM | {"sampled": "2026-05-06T08:30"}).values()))
        assert made.sampled_at == START and isinstance(made.sampled_at, datetime)
        with pytest.raises(Invalid):
            outside.add(uow, outside.Given(*(FORM | {"sampled": "2026-05-06T08:31"}).values()))
