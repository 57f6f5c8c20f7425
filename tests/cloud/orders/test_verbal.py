"""口头申请: taken down with caller and read-back, confirmed in writing within a day; what is asked for twice is shown."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from cloud.modules.catalog.models import SavedSetting
from cloud.modules.orders import queries, rules, service, verbal
from cloud.modules.orders.models import OrderItem
from tests.support.lab import Lab
from tests.support.orders import SOURCE, START, item, message, person, seed_catalog

FORM = {
    "patient_no": "V1", "name": "口头甲", "sex": "M", "birth": "1980-01-02", "phone": "", "kind": "inpatient", "dept": "ICU",
    "doctor": "王医生",
    "priority": "stat", "note": "", "order_set": ["CBC"], "caller": "护士小李", "caller_phone": "8123", "read_back": "1",
}  # fmt: skip


@pytest.mark.parametrize(
    ("caller", "doctor", "read_back", "field"),
    [(" ", "王", True, "caller"), ("李", "", True, "doctor"), ("李", "王", False, "read_back"), ("李", "王", True, None)],
)
def test_what_a_verbal_request_must_have(caller: str, doctor: str, read_back: bool, field: str | None) -> None:
    problem = rules.verbal_problem(caller, doctor, read_back)
    assert (None if problem is None else problem[0]) == field


def alerts(lab: Lab, kind: str) -> list[Any]:
    with lab.uow() as uow:
        return list(uow.s.execute(text("SELECT fields FROM alert WHERE kind = :k AND cleared_at IS NULL"), {"k": kind}).scalars())


def test_a_verbal_request_is_followed_until_its_paper_comes(lab: Lab) -> None:
    lab.clock.set(START)
    with lab.uow() as uow:
        seed_catalog(uow)
    desk, other = lab.client("receiver"), lab.client("leader")
    form = {**FORM, "key": uuid.uuid4().hex}
    for field, word in (("caller", "来电人"), ("doctor", "开单医生"), ("read_back", "复述")):
        refused = desk.post("/orders/verbal", {**form, field: ""}, htmx=True)
        assert refused.status_code == 422 and word in refused.text
    for _ in range(2):  # sent twice, registered once
        assert desk.post("/orders/verbal", form, htmx=True).status_code == 204
    page = desk.get("/orders/verbal").text
    assert page.count("已补单") == 1 and "护士小李" in page and "逾期" not in page
    with lab.uow() as uow:
        (row,) = verbal.waiting(uow)
        verbal.look(uow)
        assert row.deadline == START + timedelta(hours=24)
    assert alerts(lab, "orders.verbal") == []
    lab.clock.advance(hours=24)
    with lab.uow() as uow:
        verbal.look(uow)
    assert [f["caller"] for f in alerts(lab, "orders.verbal")] == ["护士小李"]
    desk, other = lab.client("receiver"), lab.client("leader")
    assert "逾期" in desk.get("/orders/verbal").text
    url = f"/orders/verbal/{row.id}"
    assert desk.post(url, {"version": row.version, "written": " "}, htmx=True).status_code == 422
    assert desk.post(url, {"version": 9, "written": "D77"}, htmx=True).status_code == 409
    assert desk.post(url, {"version": row.version, "written": "D77"}, htmx=True).status_code == 204
    second = other.post(url, {"version": row.version, "written": "D78"}, htmx=True)
    assert second.status_code == 409 and "已由" in second.text
    assert alerts(lab, "orders.verbal") == [] and "没有等待补单" in desk.get("/orders/verbal").text
    assert desk.post("/orders/verbal/99999", {"version": 1, "written": "x"}, htmx=True).status_code == 404
    assert lab.client("tester").post("/orders/verbal", form, htmx=True).status_code == 403


def test_refunds_and_paid_requests_that_wait_are_told(lab: Lab) -> None:
    lab.clock.set(START)
    with lab.uow() as uow:
        seed_catalog(uow)
        placed = service.place_order(uow, message(item("I1")), SOURCE)
        first = uow.s.get_one(OrderItem, (uow.tenant_id, placed.created[0]))
        first.charge_state = "paid"
        verbal.look(uow)
    assert alerts(lab, "orders.never") == []
    lab.clock.advance(hours=49)
    with lab.uow() as uow:
        verbal.look(uow)
    assert alerts(lab, "orders.never") == [{"n": 1}]
    with lab.uow() as uow:
        service.set_status(uow, placed.created, service.ItemStatus.LABELLED)
        verbal.look(uow)
    assert alerts(lab, "orders.never") == []


def test_the_same_request_twice_is_shown_on_both(lab: Lab) -> None:
    lab.clock.set(START)
    with lab.uow() as uow:
        seed_catalog(uow)
        first = service.place_order(uow, message(item("I1")), SOURCE).created[0]
        again = service.place_order(uow, message(item("I2"), form="F2"), SOURCE).created[0]
        service.place_order(uow, message(item("I3"), form="F3", who=person("P9", "别人")), SOURCE)
    desk = lab.client("receiver")
    assert "可能重复" in desk.get(f"/orders/item/{again}").text and "可能重复" in desk.get(f"/orders/item/{first}").text

    def twins() -> list[int]:
        with lab.uow() as uow:
            return [t.id for t in queries.twins(uow, queries.items(uow, [again])[0])]

    assert twins() == [first]
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE order_item /* by hand */ SET status = 'reported' WHERE id = :i"), {"i": first})
    assert twins() == []
    with lab.uow() as uow:
        uow.s.add(SavedSetting(key="orders", value={"min_interval_h": {"CBC": 24}}))
    assert twins() == [first]
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE order_item /* by hand */ SET status = 'cancelled' WHERE id = :i"), {"i": first})
    assert twins() == []
