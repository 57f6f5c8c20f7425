"""Pages of requests, in a browser-like client."""

from __future__ import annotations

import io
import re
from urllib.parse import urlencode

import openpyxl
from sqlalchemy import select

from cloud import relay
from cloud.modules.orders import service
from cloud.modules.orders.messages import Action
from cloud.modules.orders.models import LabOrder, OrderItem, Patient, RefundRequest, VerbalOrder
from cloud.modules.orders.service import ItemStatus
from cloud.worker import all_handlers
from tests.support.lab import Lab
from tests.support.orders import SOURCE, item, message, person, seed_catalog


def seed(lab: Lab, *more: str) -> None:
    with lab.uow() as uow:
        seed_catalog(uow)
        service.place_order(uow, message(item("I1"), item("I2", "9999"), who=person(card="C1")), SOURCE)
        for n, name in enumerate(more, 2):
            service.place_order(uow, message(item(f"J{n}"), form=f"F{n}", who=person(f"P00{n}", name)), SOURCE)


FORM = {
    "patient_no": "", "name": "体检甲", "sex": "M", "birth": "1980-01-02", "phone": "", "kind": "exam", "dept": "某某公司", "doctor": "",
    "priority": "routine", "note": "入职体检", "order_set": ["CBC", "GLU"],
}  # fmt: skip


def test_list_is_filtered_and_searched(lab: Lab) -> None:
    seed(lab, "李四光")
    client = lab.client("nurse")

    def names(query: str = "") -> set[str]:
        return set(re.findall(r"张三丰|李四光", client.fragment(f"/orders?{query}").text))

    assert names() == {"张三丰", "李四光"}
    assert names("q=lsg") == {"李四光"}
    assert names("q=C1") == {"张三丰"}
    assert names("status=confirmed") == {"张三丰", "李四光"}
    assert names("status=reported") == set()
    assert names("unmapped=1") == {"张三丰"}
    assert names("day=2020-01-01") == set()
    assert names("day=") == {"张三丰", "李四光"}
    wrong = client.fragment("/orders?day=nonsense")
    assert wrong.status_code == 422 and "日期请写成" in wrong.text and "张三丰" not in wrong.text


def test_the_list_goes_to_excel_as_it_is_filtered(lab: Lab) -> None:
    seed(lab, "李四光", "=1+1")
    leader = lab.client("leader")

    def sheet(**asked: str) -> list[list[object]]:
        job = leader.post("/orders/export", {"kind": "xlsx"} | asked).headers["Location"]
        relay.drain(lab.db, lab.a, all_handlers())
        assert f'href="/orders?{urlencode(asked).replace("&", "&amp;")}"' in leader.get(job).text, "back to the list as it was filtered"
        book = openpyxl.load_workbook(io.BytesIO(leader.get(f"{job}/file").data))
        return [[c.value for c in line] for line in book.active.iter_rows()]

    whole = [row for row in sheet() if "P001" in row or "=1+1" in row]
    assert len(whole) == 3 and all(row[7] == "已确认" for row in whole) and sum("未对照" in str(row[8]) for row in whole) == 1
    found = sheet(q="lsg", status="confirmed")
    assert any("李四光" in row for row in found) and not any("张三丰" in row for row in found)
    assert leader.post("/orders/export", {"kind": "x"}).status_code == 422
    assert lab.client("nurse").post("/orders/export", {"kind": "xlsx"}).status_code == 403


def test_an_items_form_is_shown_and_the_read_is_logged(lab: Lab) -> None:
    seed(lab)
    with lab.uow() as uow:
        item_id = uow.s.scalars(select(OrderItem.id).where(OrderItem.order_item_no == "I2")).one()
    page = lab.client("nurse").get(f"/orders/item/{item_id}").text
    assert "张三丰" in page and "心内科" in page and "项目未对照" in page
    with lab.uow() as uow:
        from cloud.modules.platform.models import AccessLog

        assert [a.purpose for a in uow.s.query(AccessLog)] == ["order"]
    assert lab.client("nurse").get("/orders/item/999999").status_code == 404
    assert lab.client("nurse", lab.b).get(f"/orders/item/{item_id}").status_code == 404


def test_registration_by_hand_sent_twice_registers_once(lab: Lab) -> None:
    seed(lab)
    client = lab.client("receiver")
    key = re.search(r'name="key" value="([0-9a-f]{32})"', client.get("/orders/manual").text)
    assert key is not None
    for _ in range(2):
        assert client.post("/orders/manual", FORM | {"key": key[1]}).status_code == 303
    with lab.uow() as uow:
        patient = uow.s.scalars(select(Patient).where(Patient.name == "体检甲")).one()
        order = uow.s.scalars(select(LabOrder).where(LabOrder.patient_id == patient.id)).one()
        items = uow.s.scalars(select(OrderItem).where(OrderItem.order_id == order.id).order_by(OrderItem.id)).all()
        assert [(i.his_code, i.status, i.order_set_id is not None) for i in items] == [
            ("CBC", "confirmed", True),
            ("GLU", "confirmed", True),
        ]
        assert (order.source, order.dept, order.note, patient.initials) == ("LIS", "某某公司", "入职体检", "tjj")


def test_registration_says_what_is_missing(lab: Lab) -> None:
    seed(lab)
    client = lab.client("receiver")
    ok = FORM | {"key": "a" * 32}
    for change, words in (
        ({"key": "x"}, "页面已过期"),
        ({"name": " "}, "请填写姓名"),
        ({"order_set": ["NONE"]}, "请至少选择一个项目"),
        ({"sex": "X"}, "请从列表中选择"),
        ({"birth": "1.2.80"}, "出生日期请写成"),
        ({"birth": "2999-01-01"}, "出生日期不能在将来"),
    ):
        answer = client.post("/orders/manual", ok | change)
        assert answer.status_code == 422 and words in answer.text
    wrong = client.post("/orders/manual", ok | {"patient_no": "P001", "name": "李四", "birth": "1980-01-01"})
    assert wrong.status_code == 409 and "属于另一人" in wrong.text
    assert lab.client("tester").post("/orders/manual", ok).status_code == 403


def test_ac_or_2_refund_waits_on_the_consent_page(lab: Lab) -> None:
    seed(lab)
    with lab.uow() as uow:
        found = uow.s.scalars(select(OrderItem.id).where(OrderItem.order_item_no == "I1")).one()
        for status in (ItemStatus.LABELLED, ItemStatus.COLLECTED, ItemStatus.RECEIVED):
            service.set_status(uow, [found], status)
        service.place_order(uow, message(item("I1", None, Action.CANCEL, None, reason="患者要求")), SOURCE)
    leader = lab.client("leader")
    page = leader.get("/orders/refund-requests").text
    form = re.search(r'action="(/orders/refund-requests/\d+)".*?name="version" value="(\d+)"', page)
    assert form is not None and "患者要求" in page
    assert lab.client("nurse").post(form[1], {"version": form[2], "accept": "1"}).status_code == 403
    assert leader.post(form[1], {"version": "99", "accept": "1"}).status_code == 409
    assert leader.post(form[1], {"version": form[2], "accept": "1", "answer": "未上机"}).status_code == 303
    assert "没有等待处理" in leader.get("/orders/refund-requests").text
    with lab.uow() as uow:
        assert uow.s.get_one(OrderItem, (1, found)).status == "refunded"


def test_english_switch(lab: Lab) -> None:
    seed(lab)
    client = lab.client("nurse")
    client.post("/lang/en")
    page = client.get("/orders").text
    assert "Requests" in page and "Manual registration" in page


def test_refunds_that_wait_and_verbal_requests_go_to_excel(lab: Lab) -> None:
    seed(lab)
    with lab.uow() as uow:
        collected = uow.s.scalars(select(OrderItem).where(OrderItem.order_item_no == "I1")).one()
        patient = uow.s.get_one(Patient, (uow.tenant_id, uow.s.get_one(LabOrder, (uow.tenant_id, collected.order_id)).patient_id))
        uow.s.add(RefundRequest(order_item_id=collected.id, requested_at=uow.now, reason="=HYPERLINK(1)"))
        uow.s.add(
            VerbalOrder(order_id=collected.order_id, caller="+护士", phone="8123", taken_by="前台", taken_at=uow.now, deadline=uow.now)
        )
    leader, nurse = lab.client("leader"), lab.client("nurse")
    for path, cells in {"refund-requests": {"=HYPERLINK(1)"}, "verbal": {"+护士", "8123", "逾期"}}.items():
        assert f'action="/orders/{path}/export"' in leader.get(f"/orders/{path}").text
        assert "导出" not in nurse.get(f"/orders/{path}").text
        assert nurse.post(f"/orders/{path}/export", {"kind": "xlsx"}).status_code == 403
        job = leader.post(f"/orders/{path}/export", {"kind": "xlsx"}).headers["Location"]
        relay.drain(lab.db, lab.a, all_handlers())
        lines = list(openpyxl.load_workbook(io.BytesIO(leader.get(f"{job}/file").data)).worksheets[0].iter_rows())
        (line,) = [row for row in lines if row[1].value == patient.name or row[2].value == patient.name]
        assert cells | {patient.patient_no} <= {c.value for c in line} and all(c.data_type != "f" for c in line)
