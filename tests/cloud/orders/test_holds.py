"""M03 bad input and R2, R4: requests that do not fit their patient, repeats inside their interval, charges posted once; the figures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from cloud.db.session import Database
from cloud.modules.catalog.models import OrderSet, SavedSetting
from cloud.modules.orders import figures, holds, queries, rules, service
from cloud.modules.orders.messages import Charge, OrderMessage, Sex, VisitType
from cloud.modules.orders.models import LabOrder, OrderItem
from cloud.modules.orders.service import ItemStatus, Placed
from cloud.web.faults import Conflict, Invalid
from cloud.web.span import Span
from tests.support.database import TestDatabase
from tests.support.lab import Lab
from tests.support.orders import HIS, SOURCE, START, Clock, hospitals, item, message, person, seed_catalog

S = ItemStatus


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def db(fresh_db: TestDatabase, clock: Clock) -> Iterator[Database]:
    with hospitals(fresh_db, clock) as made:
        yield made


def place(db: Database, what: OrderMessage) -> Placed:
    with db.tenant(1, HIS) as uow:
        return service.place_order(uow, what, SOURCE)


def only_for(db: Database, code: str, **limits: Any) -> None:
    with db.tenant(1) as uow:
        row = uow.s.scalars(select(OrderSet).where(OrderSet.code == code)).one()
        for name, value in limits.items():
            setattr(row, name, value)


def row(db: Database, number: str = "I1") -> OrderItem:
    with db.tenant(1) as uow:
        return uow.s.scalars(select(OrderItem).where(OrderItem.order_item_no == number)).one()


@pytest.mark.parametrize(
    ("sex", "age", "only", "low", "high", "word"),
    [
        ("F", 30, "F", None, None, None),
        ("M", 30, "F", None, None, "患者为男性，该项目仅限女性"),
        ("F", 30, "M", None, None, "患者为女性，该项目仅限男性"),
        ("U", 30, "F", None, None, "患者性别未知，该项目仅限女性"),
        ("O", 30, "M", None, None, "患者性别未知，该项目仅限男性"),
        ("M", None, None, None, None, None),
        ("M", None, None, 0, 18, "患者年龄未知，该项目有年龄限制"),
        ("M", 17, None, 0, 18, None),
        ("M", 18, None, 0, 18, "患者 18 岁，不在该项目的年龄范围"),
        ("M", 39, None, 40, None, "患者 39 岁，不在该项目的年龄范围"),
        ("M", 40, None, 40, None, None),
        ("M", 0, None, None, 1, None),
    ],
)
def test_what_fits_a_patient(sex: str, age: int | None, only: str | None, low: int | None, high: int | None, word: str | None) -> None:
    assert rules.fit_problem(sex, age, only, low, high) == word


def test_a_request_for_the_other_sex_is_kept_held_told_and_let_go_by_a_person(db: Database) -> None:
    """M03 bad input: male, 妊娠项目 → hold; no label meanwhile."""
    only_for(db, "GLU", sex="F")
    placed = place(db, message(item("I1", "GLU"), item("I2", "CBC"), who=person(sex=Sex.MALE)))
    assert [(p.code, p.severity) for p in placed.problems] == [("103", "W")] and "仅限女性" in placed.problems[0].text
    with db.tenant(1) as uow:
        held = queries.items(uow, placed.created)
        assert [h.label_problem for h in held] == ["已挂起：患者为男性，该项目仅限女性。请与开单医生核实", None]
        assert queries.counts(uow)["held"] == 1
        assert [r.item.order_item_no for r in queries.order_list(uow, queries.Filter(held=True))] == ["I1"]
        with pytest.raises(Invalid):
            holds.clear(uow, held[0].id, held[0].version, " ")
        holds.clear(uow, held[0].id, held[0].version, "与李医生电话确认，变性手术后")
    assert (row(db).hold, "电话确认" in row(db).hold_cleared) == ("", True)
    place(db, message(item("I1", "GLU"), who=person(sex=Sex.MALE)))
    assert row(db).hold == ""  # what a person cleared stays cleared
    with db.tenant(1) as uow, pytest.raises(Conflict):
        holds.clear(uow, row(db).id, row(db).version, "再次")


def test_a_corrected_sex_lets_the_request_go_and_a_late_mapping_holds_it(db: Database) -> None:
    only_for(db, "GLU", sex="F")
    place(db, message(item("I1", "GLU"), item("I2", "9999"), who=person(sex=Sex.MALE)))
    assert row(db).hold and not row(db, "I2").hold
    with db.tenant(1) as uow:
        set_id = uow.s.scalars(select(OrderSet.id).where(OrderSet.code == "GLU")).one()
        assert service.map_code(uow, SOURCE, "9999", set_id) == 1
    assert row(db, "I2").hold
    place(db, message(item("I3", "CBC"), who=person(sex=Sex.FEMALE), form="F2"))
    assert (row(db).hold, row(db, "I2").hold) == ("", "")


def test_a_repeat_inside_its_interval_is_told_with_the_last_result_and_counted(db: Database, clock: Clock) -> None:
    """R4: HbA1c 60 d; the item without an interval says nothing."""
    with db.tenant(1) as uow:
        uow.s.add(SavedSetting(key="orders", value={"min_interval_h": {"GLU": 1440}}))
    place(db, message(item("I1", "GLU"), item("I2", "CBC")))
    clock.now = START + timedelta(days=59)
    again = place(db, message(item("I3", "GLU"), item("I4", "CBC"), form="F2"))
    assert [p.text for p in again.problems] == ["60 天内重复申请：2026-05-06 08:30 已申请，尚无结果"]
    assert row(db, "I3").twin_id == row(db, "I1").id and row(db, "I4").twin_id is None
    clock.now = START + timedelta(days=60)
    with db.tenant(1) as uow:
        uow.s.execute(text("UPDATE lab_order SET ordered_at = :at WHERE placer_no = 'F2'"), {"at": START})
    assert place(db, message(item("I5", "GLU"), form="F3")).problems == []
    with db.tenant(1) as uow:
        service.set_status(uow, [row(db, "I3").id], S.CANCELLED)
        days = Span(date(2026, 5, 1), date(2026, 7, 31))
        found = figures.counts(uow, days)
        assert (found[figures.Figure.TWINS], found[figures.Figure.AVOIDED], found[figures.Figure.PLACED]) == (1, 1, 5)


@pytest.mark.parametrize(("step", "before"), [("received", S.COLLECTED), ("collected", S.LABELLED)])
def test_an_inpatients_charge_is_posted_once_at_the_hospitals_step(db: Database, step: str, before: ItemStatus) -> None:
    """R2, and AC-SP-5's "no second charge": also after a rejection and a second tube."""
    with db.tenant(1) as uow:
        uow.s.add(SavedSetting(key="orders", value={"charge_at": step}))
    place(db, message(item("I1", "GLU", charge=None), item("I2", "CBC", charge=Charge.PAID), visit=VisitType.INPATIENT))
    place(db, message(item("I3", "GLU", charge=Charge.PAID), who=person("P2", "李四"), form="F2"))
    ids = [row(db, n).id for n in ("I1", "I2", "I3")]

    def charged() -> list[int]:
        with db.tenant(1) as uow:
            return [p["order_item_id"] for (p,) in uow.s.execute(text("SELECT payload FROM outbox_event WHERE topic = 'order.charge'"))]

    with db.tenant(1) as uow:
        for to in (S.LABELLED, S.COLLECTED, S.RECEIVED):
            if to == before.value:
                assert charged() == []
            service.set_status(uow, ids, to)
    assert charged() == ids[:1]
    with db.tenant(1) as uow:
        for to in (S.REJECTED, S.LABELLED, S.COLLECTED, S.RECEIVED):
            service.set_status(uow, ids[:1], to)
    assert charged() == ids[:1]


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"birth": "2031-01-01"}, "birth", "出生日期不能在将来"),
    ({"birth": "1850-01-01"}, "birth", "年龄超过 150 岁"),
    ({"birth": "昨天"}, "birth", "出生日期请写成"),
    ({"sex": "F", "order_set": ["PSA"]}, "order_sets", "“前列腺”不能登记：患者为女性，该项目仅限男性"),
    ({"order_set": []}, "order_sets", "请至少选择一个项目"),
    ({"name": " "}, "name", "请填写姓名"),
    ({"sex": "X"}, "sex", "请从列表中选择"),
    ({"key": "short"}, "", "页面已过期"),
]


def test_bad_input_of_requests_is_named_and_writes_nothing(lab: Lab) -> None:
    """M03 *Bad input* at the form, each answered in words with what to do; nothing is stored."""
    with lab.uow() as uow:
        seed_catalog(uow)
        first = uow.s.scalars(select(OrderSet)).first()
        assert first is not None
        same = {"section_id": first.section_id, "specimen_type_id": first.specimen_type_id, "container_id": first.container_id}
        uow.s.add(OrderSet(code="PSA", name="前列腺", abbr="PSA", volume_ml=1, sex="M", **same))
    client = lab.client("receiver")
    good = {
        "key": "0" * 32, "patient_no": "P9", "name": "张三", "sex": "M", "birth": "1980-01-01", "phone": "", "kind": "exam",
        "dept": "体检", "doctor": "李", "priority": "routine", "note": "", "order_set": ["CBC"],
    }  # fmt: skip
    for change, _field, words in BAD:
        answer = client.post("/orders/manual", {**good, **change}, htmx=True)
        assert answer.status_code == 422 and words in answer.text, (change, answer.text)
    with lab.uow() as uow:
        assert uow.s.scalars(select(LabOrder.id)).first() is None
    assert client.post("/orders/manual", good).status_code == 303


def test_the_figures_count_what_their_lists_show(lab: Lab) -> None:
    with lab.uow() as uow:
        seed_catalog(uow)
        uow.s.execute(text("UPDATE order_set SET sex = 'F' WHERE code = 'PT'"))
        service.place_order(uow, message(item("I1", "GLU"), item("I2", "CBC"), item("I3", "PT"), who=person(sex=Sex.MALE)), SOURCE)
    leader = lab.client("leader")
    base = "/orders/figures?first=2026-05-01&last=2026-05-31"
    for figure, n in (
        ("placed", 3),
        ("held", 1),
        ("twins", 0),
        ("refunds", 0),
        ("verbal", 0),
        ("unwritten", 0),
        ("added", 0),
        ("avoided", 0),
    ):
        page = leader.get(f"{base}&figure={figure}").text
        assert page.count('href="/orders/item/') == n, figure
    page = leader.get(f"{base}&dept=%E5%BF%83%E5%86%85%E7%A7%91").text
    assert "心内科" in page and page.count('href="/orders/item/') == 3
    assert leader.get("/orders/figures?first=2026-06-02&last=2026-06-01").status_code == 422
    assert leader.get("/orders/figures?first=1990-01-01&last=2026-06-01").status_code == 422
    assert leader.post(f"{base}&figure=held", {}).status_code == 405
    assert "/lists/" in leader.post("/orders/figures/export?first=2026-05-01&last=2026-05-31", {"kind": "xlsx"}).headers["Location"]
    assert lab.client("nurse").get(base).status_code == 403
    shown = leader.get("/orders?held=1").text
    assert "✕ 已挂起" in shown and shown.count('hx-get="/orders/item/') == 1
