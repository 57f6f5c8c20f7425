"""A request that nobody collected runs out, is told where money is owed, and comes back when the patient comes after all."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from cloud.modules.catalog.models import SavedSetting
from cloud.modules.orders import expiry, queries, service, verbal
from cloud.modules.orders.messages import Charge, OrderMessage
from cloud.modules.orders.models import LabOrder
from cloud.modules.specimens import follow
from cloud.modules.specimens import service as specimens
from tests.support.lab import Lab
from tests.support.orders import SOURCE, START, item, message, person, seed_catalog


def place(lab: Lab, asked: OrderMessage) -> list[int]:
    with lab.uow() as uow:
        return service.place_order(uow, asked, SOURCE).created


def state(lab: Lab, item_id: int) -> Any:
    with lab.uow() as uow:
        return uow.s.execute(text("SELECT status, charge_state, specimen_id, version FROM order_item WHERE id = :i"), {"i": item_id}).one()


def told(lab: Lab) -> list[Any]:
    with lab.uow() as uow:
        verbal.look(uow)
    with lab.uow() as uow:
        query = text("SELECT fields, url FROM alert WHERE kind = 'orders.lapsed' AND cleared_at IS NULL")
        return [(r.fields["n"], r.url) for r in uow.s.execute(query)]


def expire(lab: Lab) -> int:
    with lab.uow() as uow:
        return expiry.expire(uow)


def test_what_nobody_collected_runs_out_is_told_and_comes_back(lab: Lab) -> None:
    lab.clock.set(START)
    with lab.uow() as uow:
        seed_catalog(uow)
    (paid,) = place(lab, message(item("I1", charge=Charge.PAID)))
    (other,) = place(lab, message(item("I2", charge=Charge.PAID), form="F2", who=person("P9", "别人")))
    with lab.uow() as uow:
        service.set_status(uow, [other], service.ItemStatus.LABELLED)
        service.set_status(uow, [other], service.ItemStatus.COLLECTED)
    lab.clock.advance(days=30, seconds=-1)
    assert expire(lab) == 0 and told(lab) == []
    lab.clock.advance(seconds=1)
    assert expire(lab) == 1 and expire(lab) == 0
    assert state(lab, paid).status == "expired" and state(lab, other).status == "collected"
    assert told(lab) == [(1, "/orders?lapsed=1")]
    with lab.uow() as uow:
        entry = uow.s.execute(text("SELECT action, body FROM audit_log WHERE entity = 'order_item' ORDER BY seq DESC LIMIT 1")).one()
        assert entry.action == "expired" and "30 天没有采集" in str(json.loads(entry.body))
        last = "SELECT payload FROM outbox_event WHERE topic = 'order.item_status' ORDER BY id DESC LIMIT 1"
        assert uow.s.execute(text(last)).scalar_one()["status"] == "expired"
    desk = lab.client("receiver")
    assert "I1" not in desk.get("/orders?never=1").text and f"/orders/item/{paid}" in desk.get("/orders?lapsed=1").text
    assert f"/orders/item/{other}" not in desk.get("/orders?lapsed=1").text
    window = lab.client("nurse").get("/sp/labels?code=P001").text
    assert "已过期" in window and f"/orders/item/{paid}" in window
    url, version = f"/orders/item/{paid}/revive", state(lab, paid).version
    assert "恢复申请" in desk.get(f"/orders/item/{paid}").text
    assert desk.post(url, {"version": version, "reason": " "}, htmx=True).status_code == 422
    assert desk.post(url, {"version": version + 1, "reason": "来了"}, htmx=True).status_code == 409
    assert lab.client("tester").post(url, {"version": version, "reason": "来了"}, htmx=True).status_code == 403
    assert desk.post(url, {"version": version, "reason": "患者到窗口"}, htmx=True).status_code == 204
    assert state(lab, paid).status == "confirmed" and told(lab) == []
    assert desk.post(url, {"version": state(lab, paid).version, "reason": "再来"}, htmx=True).status_code == 409
    assert desk.post("/orders/item/99999/revive", {"version": 1, "reason": "x"}, htmx=True).status_code == 404
    # It waits as long again, and not from the day it was first asked for.
    assert expire(lab) == 0
    lab.clock.advance(days=30)
    assert expire(lab) == 1


def test_money_given_back_ends_the_alert_and_the_way_back(lab: Lab) -> None:
    lab.clock.set(START)
    with lab.uow() as uow:
        seed_catalog(uow)
        uow.s.add(SavedSetting(key="orders", value={"expire_days": 7}))
    (paid,) = place(lab, message(item("I1", charge=Charge.PAID)))
    lab.clock.advance(days=7)
    assert expire(lab) == 1 and told(lab) == [(1, "/orders?lapsed=1")]
    place(lab, message(item("I1", charge=Charge.REFUNDED)))
    assert state(lab, paid)[:2] == ("expired", "refunded") and told(lab) == []
    desk = lab.client("receiver")
    again = desk.post(f"/orders/item/{paid}/revive", {"version": state(lab, paid).version, "reason": "来了"}, htmx=True)
    assert again.status_code == 409 and "重新开单" in again.text
    assert "恢复申请" not in desk.get(f"/orders/item/{paid}").text


def test_a_printed_label_nobody_used_is_void_with_its_request(lab: Lab) -> None:
    lab.clock.set(START)
    with lab.uow() as uow:
        seed_catalog(uow)
    (asked,) = place(lab, message(item("I1", charge=Charge.PAID)))
    with lab.uow() as uow:
        patient = queries.items(uow, [asked])[0].patient_id
        specimens.print_labels(uow, patient, [asked], ("name", "birth"))
    tube = state(lab, asked).specimen_id
    lab.clock.advance(days=30)
    assert expire(lab) == 1
    with lab.uow() as uow:
        follow.on_item_status(uow, {"status": "expired", "specimen_id": tube, "reason": "30 天没有采集"})
        assert uow.s.execute(text("SELECT state FROM specimen WHERE id = :i"), {"i": tube}).scalar_one() == "cancelled"
    with lab.uow() as uow:
        expiry.revive(uow, asked, state(lab, asked).version, "来了")
    assert state(lab, asked)[:3] == ("confirmed", "paid", None)


def test_a_pregnancy_is_kept_with_its_request_and_no_mans(lab: Lab) -> None:
    lab.clock.set(START)
    with lab.uow() as uow:
        seed_catalog(uow)
    form = {
        "key": "a" * 32, "patient_no": "G1", "name": "孕妇甲", "sex": "F", "birth": "1995-01-02", "phone": "", "kind": "exam", "dept": "",
        "doctor": "", "priority": "routine", "paid": "1", "note": "", "order_set": ["CBC"],
    }  # fmt: skip
    desk = lab.client("receiver")
    for wrong, sex, word in (("46", "F", "孕周请写成"), ("早孕", "F", "孕周请写成"), ("24", "M", "性别不是女")):
        refused = desk.post("/orders/manual", {**form, "gest": wrong, "sex": sex}, htmx=True)
        assert refused.status_code == 422 and word in refused.text
    assert desk.post("/orders/manual", {**form, "gest": "24+3"}, htmx=True).status_code == 204
    with lab.uow() as uow:
        row = uow.s.scalars(select(LabOrder)).one()
        assert row.gest_from == date(2026, 5, 6) - timedelta(days=171)
        item_id = uow.s.execute(text("SELECT id FROM order_item")).scalar_one()
    assert "24 周 + 3 天" in desk.get(f"/orders/item/{item_id}").text


@pytest.mark.parametrize(("said", "days"), [(0, 1), (-5, 1), (1, 1), (90, 90)])
def test_a_wrong_setting_ends_nothing_of_today(lab: Lab, said: int, days: int) -> None:
    with lab.uow() as uow:
        seed_catalog(uow)
        uow.s.add(SavedSetting(key="orders", value={"expire_days": said}))
        uow.s.flush()
    with lab.uow() as uow:
        assert expiry.days(uow) == days
