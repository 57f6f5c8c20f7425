"""M03: what a request says of fasting and consent, and what follows: labels, the desk's warning, the report; no label without consent."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, text

from cloud.modules.bench import queries as bench
from cloud.modules.catalog.models import OrderSet
from cloud.modules.orders import holds, rules, service
from cloud.modules.orders.messages import yes_said
from cloud.modules.orders.models import LabOrder, OrderItem
from cloud.modules.reports import document
from cloud.modules.specimens import service as specimens
from cloud.modules.specimens.models import Specimen
from cloud.modules.specimens.rules import Prep, preparation
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, World, build
from tests.cloud.orders.test_pages import FORM, seed
from tests.support.hospital import Hospital, hospital, shared_db
from tests.support.lab import Lab
from tests.support.orders import SOURCE, item, message

__all__ = ["hospital", "shared_db"]


@pytest.mark.parametrize(
    ("told", "means"),
    [
        *(("是", True), (" Y ", True), ("已签署。", True), ("空腹", True), ("F", True), ("否", False), ("非空腹", False), ("NF", False)),
        *(("餐后", False), ("0", False), ("", None), (None, None), ("餐后2小时", None), ("待签", None), ("NG", None)),
    ],
)
def test_what_is_neither_yes_nor_no_says_nothing(told: str | None, means: bool | None) -> None:
    assert yes_said(told) is means


@pytest.mark.parametrize(
    ("told", "prep"),
    [
        ([], Prep.NONE),
        ([None], Prep.FASTING),
        ([True], Prep.FASTING),
        ([True, None], Prep.FASTING),
        ([False], Prep.BROKEN),
        ([True, False], Prep.BROKEN),
    ],
)
def test_one_patient_who_ate_outweighs_the_other_requests(told: list[bool | None], prep: Prep) -> None:
    assert preparation(told) is prep


@pytest.mark.parametrize(("needed", "told", "waits"), [(True, None, True), (True, False, True), (True, True, False), (False, False, False)])
def test_silence_is_no_consent(needed: bool, told: bool | None, waits: bool) -> None:
    assert (rules.consent_problem(needed, told) is not None) is waits


def needs(lab: Lab, code: str, column: str) -> None:
    with lab.uow() as uow:
        uow.s.scalars(select(OrderSet).where(OrderSet.code == code)).one().__setattr__(column, True)


def held(lab: Lab, number: str) -> str:
    with lab.uow() as uow:
        return uow.s.scalars(select(OrderItem.hold).where(OrderItem.order_item_no == number)).one()


def told(lab: Lab, **says: Any) -> None:
    """The HIS says it of the form F1, again."""
    with lab.uow() as uow:
        said = message(item("I1"))
        service.place_order(uow, replace(said, orders=(replace(said.orders[0], **says),)), SOURCE)


def test_what_needs_a_consent_waits_for_it_and_goes_when_it_comes(lab: Lab) -> None:
    seed(lab)
    needs(lab, "CBC", "consent")
    needs(lab, "GLU", "consent")
    told(lab)
    assert held(lab, "I1") == ""  # placed before the set asked for one: what was accepted is not taken back by a message that says nothing
    with lab.uow() as uow:
        service.place_order(uow, message(item("I7", "GLU"), form="F7"), SOURCE)
    assert held(lab, "I7") == "须患者知情同意，申请未注明已签署"
    with lab.uow() as uow:
        row = uow.s.scalars(select(OrderItem).where(OrderItem.order_item_no == "I7")).one()
        patient = uow.s.get_one(LabOrder, (uow.tenant_id, row.order_id)).patient_id
        with pytest.raises(UserError, match="已挂起"):
            specimens.print_labels(uow, patient, [row.id], ["name", "birth"])
    with lab.uow() as uow:
        said = message(item("I7", "GLU"), form="F7")
        service.place_order(uow, replace(said, orders=(replace(said.orders[0], consent=True),)), SOURCE)
    assert held(lab, "I7") == ""
    with lab.uow() as uow:
        assert uow.s.scalars(select(LabOrder.consent).where(LabOrder.placer_no == "F7")).one() is True


def test_a_consent_on_paper_is_vouched_for_by_a_person(lab: Lab) -> None:
    seed(lab)
    needs(lab, "GLU", "consent")
    with lab.uow() as uow:
        service.place_order(uow, message(item("I7", "GLU"), form="F7"), SOURCE)
    with lab.uow() as uow:
        row = uow.s.scalars(select(OrderItem).where(OrderItem.order_item_no == "I7")).one()
        holds.clear(uow, row.id, row.version, "已见患者签署的纸质同意书")
    told(lab)
    assert held(lab, "I7") == ""


def test_whoever_registers_by_hand_is_asked_at_once_and_the_form_keeps_its_answer(lab: Lab) -> None:
    seed(lab)
    needs(lab, "GLU", "consent")
    client = lab.client("receiver")
    form = FORM | {"key": "c" * 32, "fasting": "否"}
    refused = client.post("/orders/manual", form)
    assert refused.status_code == 422 and "已签知情同意" in refused.text
    assert client.post("/orders/manual", form | {"consent": "1"}).status_code == 303
    with lab.uow() as uow:
        order = uow.s.scalars(select(LabOrder).where(LabOrder.source == "LIS")).one()
        assert (order.fasting, order.consent) == (False, True)
        item_id = uow.s.scalars(select(OrderItem.id).where(OrderItem.order_id == order.id).limit(1)).one()
    page = client.get(f"/orders/item/{item_id}").text
    assert re.search("空腹</dt><dd>否", page) and re.search("知情同意</dt><dd>已签", page)


def test_the_label_says_fasting_and_the_desk_is_warned(hospital: Hospital) -> None:
    from tests.support.ordering import place

    with hospital.uow() as uow:
        uow.s.execute(text("UPDATE order_set SET fasting = true WHERE code = 'LYTES'"))
        plain, broken, other = place(uow, "1002", patient_no="P1"), place(uow, "1002", patient_no="P2"), place(uow, "1001", patient_no="P3")
        uow.s.execute(text("UPDATE lab_order SET fasting = false WHERE id = :o"), {"o": broken.order_ids[0]})
    seen = []
    for each in (plain, broken, other):
        ((document_, *_), _job) = hospital.act(
            partial(specimens.print_labels, patient_id=each.patient_id, order_item_ids=each.item_ids, identifiers=["name", "birth"])
        )
        with hospital.uow() as uow:
            tube = uow.s.scalars(select(Specimen).where(Specimen.barcode == document_.barcode)).one()
            seen.append((tube.prep, document_.volume.startswith("空腹 ")))
    assert seen == [("fasting", True), ("broken", True), ("", False)]


@pytest.fixture
def world(lab: Lab) -> World:
    return build(lab)


def test_the_report_and_the_bench_say_that_the_patient_had_eaten(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, datetime(2026, 5, 4, 2, 0, tzinfo=UTC))

    def said() -> tuple[bool, list[str]]:
        page = world.lab.client("tester").get(f"/bench/CHEM?tube={tube}").text
        with world.lab.uow() as uow:
            return "申请注明未空腹" in page, document._fed(bench.details_of(uow, [tube])[tube])

    assert said() == (False, [])
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE lab_order SET fasting = false"))
    assert said() == (False, [])  # nothing of it needs a fasting patient
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE order_set SET fasting = true"))
    shown, [line] = said()
    assert shown and line.startswith("申请注明采集前未空腹（")
