"""Pages of the interfaces, in a browser-like client."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from urllib.parse import parse_qsl

import openpyxl
import pytest

from cloud import relay
from cloud.modules.interfaces import masking, service
from cloud.modules.interfaces.deliver import Deliverer
from cloud.modules.interfaces.listener import Gate
from cloud.modules.interfaces.models import Delivery, InboxMessage, InterfaceIssue
from cloud.ports.mllp import Peer
from cloud.worker import all_handlers
from common.protocol.hl7.mllp import Block
from tests.cloud.interfaces.messages import order
from tests.support.fake_his import FakeHis
from tests.support.lab import Client, Lab
from tests.support.orders import seed_catalog

PEER = Peer("127.0.0.1:1")


@pytest.fixture
def gate(lab: Lab) -> Gate:
    with lab.uow() as uow:
        seed_catalog(uow)
        service.save_endpoint(uow, "HIS-IN", "甲院 HIS", "in", {"sender_facility": "H1"}, source="HIS")
    return Gate(lab.db)


def take(gate: Gate, raw: bytes) -> None:
    gate.handle(Block(raw, raw), PEER)


def test_board_shows_endpoints_and_what_waits_for_a_person(lab: Lab, gate: Gate) -> None:
    take(gate, order([("I1", "9999", "神秘项目")]))
    take(gate, order(action="ZZ", control="M2"))
    page = lab.client("infogroup").get("/if/board").text
    assert "甲院 HIS" in page and "来源 HIS 的项目 9999（神秘项目）未对照" in page and "不支持的申请控制码 ZZ" in page
    with lab.uow() as uow:
        (issue, *_) = uow.s.query(InterfaceIssue).order_by(InterfaceIssue.id)
    client = lab.client("infogroup")
    assert client.post(f"/if/issues/{issue.id}/close", {"reason": " "}).status_code == 422
    assert client.post(f"/if/issues/{issue.id}/close", {"reason": "已联系 HIS"}).status_code == 303
    assert client.post(f"/if/issues/{issue.id}/close", {"reason": "已联系 HIS"}).status_code == 409


def test_message_is_masked_for_who_may_not_see_patients(lab: Lab, gate: Gate) -> None:
    take(gate, order(name="张㛃䶮", encoding="gb18030", charset="GB18030"))
    with lab.uow() as uow:
        message_id = uow.s.query(InboxMessage.id).scalar()
    url = f"/if/messages/in/{message_id}"
    seen, hidden = lab.client("leader").get(url).text, lab.client("engineer").get(url).text
    assert "张㛃䶮" in seen and "110101199003077475" in seen
    for secret in ("张㛃䶮", "110101199003077475", "P001", "13800000000", "贫血"):
        assert secret not in hidden
    assert "患者信息已遮盖" in hidden and "OBR|1|I1||CBC^血常规^L" in hidden
    assert "P001" not in lab.client("engineer").get("/if/messages?dir=in").text
    assert "P001" in lab.client("leader").get("/if/messages?dir=in").text
    with lab.uow() as uow:
        from cloud.modules.platform.models import AccessLog

        assert [(a.purpose, a.path) for a in uow.s.query(AccessLog)] == [("interface", url)]


def test_mask_keeps_the_structure_and_hides_the_rest() -> None:
    text = "MSH|^~\\&|A\nPID|1||P1^^^H^PI~9||张三||1990\nOBX|1|NM|WBC||5.6|g\nnot a segment 张三"
    assert masking.mask(text) == "MSH|^~\\&|A\nPID|1||**^^^*^**~*||**||****\nOBX|1|NM|WBC||***|g\n*** * ******* **"


def test_undecodable_message_is_shown_and_not_dropped() -> None:
    assert masking.text_of(b"MSH|^~\\&|A\rPID|1||\xff\xff\x80") == "MSH|^~\\&|A\nPID|1||\\xff\\xff\\x80"


def test_messages_are_searched_and_filtered(lab: Lab, gate: Gate) -> None:
    take(gate, order(control="MX1"))
    take(gate, order([("I2", "GLU", "葡萄糖")], control="MX2", form="F2", patient="P002", name="李四"))
    client = lab.client("infogroup")

    def found(query: str) -> list[str]:
        text = client.fragment(f"/if/messages?dir=in&{query}").text
        return [m for m in ("MX1", "MX2") if m in text]

    assert found("") == ["MX1", "MX2"]
    assert found("q=I2") == ["MX2"]
    assert found("q=MX1") == ["MX1"]
    assert found("state=quarantined") == []


def test_dead_letter_is_resent_or_closed_by_who_may(lab: Lab, gate: Gate) -> None:
    sender = Deliverer(lab.db)
    with FakeHis(["ar"]) as his:
        with lab.uow() as uow:
            config = {"host": "127.0.0.1", "port": his.port, "answer_s": 1}
            row = service.save_endpoint(uow, "HIS-OUT", "HIS", "out", config, source="HIS")
            uow.s.add(
                Delivery(endpoint_id=row.id, event_key="e1", order_key="patient:1", subject="report:1", msg_id="77", kind="ORU F",
                         raw=b"MSH|^~\\&|J||H||||ORU^R01|77|P|2.5.1\rPID|1||P9||\xe5\xbc\xa0\r", created_at=uow.now, next_at=uow.now)
            )  # fmt: skip
        sender.drain(1)
        with lab.uow() as uow:
            found = uow.s.query(Delivery).one()
            assert (found.state, found.error) == ("dead_letter", "AR unknown patient")
        url = f"/if/messages/out/{found.id}"
        client = lab.client("infogroup")
        page = client.get(url).text
        assert "AR unknown patient" in page and "重发" in page
        assert "✕ 1" in client.get("/if/board").text
        assert lab.client("engineer").post(f"{url}/resend").status_code == 403
        assert client.post(f"{url}/close", {"reason": ""}).status_code == 422
        assert client.post(f"{url}/resend").status_code == 303
        assert client.post(f"{url}/resend").status_code == 409
        sender.drain(1)
        assert his.accepted == ["77"]
        assert "已送达" in client.get(url).text
    sender.close()


def test_code_is_mapped_and_the_waiting_order_goes_on(lab: Lab, gate: Gate) -> None:
    from cloud.modules.orders import queries as orders

    take(gate, order([("I1", "9999", "神秘项目")]))
    client = lab.client("infogroup")
    assert "神秘项目" in client.get("/if/maps").text
    answer = client.post("/if/maps", {"source": "HIS", "code": "9999", "order_set": "NONE"})
    assert answer.status_code == 422
    assert client.post("/if/maps", {"source": "HIS", "code": "9999", "order_set": "GLU", "name": "神秘项目"}).status_code == 303
    relay.drain(lab.db, 1, all_handlers())
    assert "神秘项目" not in client.get("/if/maps").text
    assert "未对照</td>" not in client.get("/if/board").text
    with lab.uow() as uow:
        (row,) = orders.order_list(uow, orders.Filter())
        assert row.item.order_set_id is not None and row.item.label_problem is None


def test_another_hospitals_message_is_absent(lab: Lab, gate: Gate) -> None:
    take(gate, order())
    with lab.uow() as uow:
        message_id = uow.s.query(InboxMessage.id).scalar()
    assert lab.client("leader", lab.b).get(f"/if/messages/in/{message_id}").status_code == 404


def test_english_switch(lab: Lab, gate: Gate) -> None:
    client = lab.client("infogroup")
    client.post("/lang/en")
    page = client.get("/if/board").text
    assert "Interface board" in page and "Open issues" in page


def test_each_number_of_the_board_opens_as_many_messages_and_both_go_to_excel(lab: Lab, gate: Gate) -> None:
    take(gate, order(control="M1"))
    take(gate, order([("I7", "CBC", "血常规")], form="F7", control="M2"))
    take(gate, order(action="ZZ", control="M3"))
    with lab.uow() as uow:
        out = service.save_endpoint(uow, "HIS-OUT", "HIS", "out", {"host": "127.0.0.1", "port": 9, "answer_s": 1}, source="HIS")
        other = service.save_endpoint(uow, "EMR-OUT", "=EMR", "out", {"host": "127.0.0.1", "port": 9, "answer_s": 1}, source="EMR")
        made = [("acked", 1, out, 1), ("pending", 2, out, 1), ("dead_letter", 3, out, 1), ("pending", 1, other, 1), ("acked", 4, out, 30)]
        for n, (state, attempts, endpoint, hours) in enumerate(made):
            row = Delivery(endpoint_id=endpoint.id, event_key=f"e{n}", order_key=f"patient:{n}", subject=f"report:{n}", msg_id=f"O{n}")
            row.kind, row.raw, row.state, row.attempts = "ORU F", b"MSH|", state, attempts
            row.created_at, row.next_at, row.error = uow.now - timedelta(hours=hours), uow.now, "AE 甲"
            uow.s.add(row)
    client = lab.client("infogroup")
    page = client.get("/if/board").text
    links = re.findall(r'<a[^>]*href="(/if/messages[^"]+)">(?:✕ )?(\d+)</a>', page)
    assert {(link.partition("?")[2].replace("&amp;", "&"), n) for link, n in links} == {
        ("dir=in&endpoint=HIS-IN&day=1", "3"),
        ("dir=in&endpoint=HIS-IN&day=1&failed=1", "1"),
        ("dir=out&endpoint=HIS-OUT&day=1", "3"),
        ("dir=out&endpoint=HIS-OUT&day=1&failed=1", "2"),
        ("dir=out&endpoint=HIS-OUT&state=waiting", "1"),
        ("dir=out&endpoint=HIS-OUT&state=dead_letter", "1"),
        ("dir=out&endpoint=EMR-OUT&day=1", "1"),
        ("dir=out&endpoint=EMR-OUT&state=waiting", "1"),
    }
    for link, n in links:
        address = link.replace("&amp;", "&")
        assert client.fragment(address).text.count('<tr tabindex="0"') == int(n), address
        form = dict(parse_qsl(address.partition("?")[2]))
        assert len(sheet(lab, client, "/if/messages/export", **form)) == int(n), address
    board = sheet(lab, client, "/if/board/export")
    mine = next(line for line in board if line[1] == "HIS-OUT")
    assert mine[5:9] == ["3", "2", "66.7", "1"] and mine[10] == "1" and any(line[0] == "=EMR" for line in board)
    assert any("ZZ" in line[2] for line in sheet(lab, client, "/if/board/export", what="issues"))
    held = sheet(lab, client, "/if/quarantine/export")
    assert [line[3] for line in held] == ["M3"] and all("P001" not in " ".join(line) for line in held)
    director = lab.client("director")
    page = director.get("/if/board").text
    assert "HIS-OUT" in page and "/if/messages" not in page, "no address that refuses"
    assert director.post("/if/messages/export", {"kind": "xlsx"}).status_code == 403


def sheet(lab: Lab, client: Client, path: str, **form: str) -> list[list[str]]:
    """The lines of the workbook a page makes; no text of it is a formula."""
    job = client.post(path, {"kind": "xlsx"} | form).headers["Location"]
    relay.drain(lab.db, lab.a, all_handlers())
    found = openpyxl.load_workbook(io.BytesIO(client.get(f"{job}/file").data)).worksheets[0]
    assert all(cell.data_type != "f" for line in found.iter_rows() for cell in line)
    return [[str(cell.value or "") for cell in line] for line in found.iter_rows(min_row=3)]
