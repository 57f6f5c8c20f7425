"""Board, trays, codes, raw messages, agents: what people see and do about analyzers."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from sqlalchemy import text

from cloud.modules.catalog import service as catalog
from cloud.modules.edge import handlers, queries, retake
from cloud.modules.edge.service import CHINA
from tests.cloud.edge.world import Edge, astm


def tray_form(edge: Edge, raw_id: int, specimen: str, **form: str) -> dict[str, str]:
    return {"specimen": specimen, "patient": "张三丰", "reason": "条码未扫上，核对申请单", **form}


def audit(edge: Edge, action: str) -> list[dict]:  # type: ignore[type-arg]
    return [r[0] for r in edge.rows("SELECT body::jsonb FROM audit_log WHERE action = :a", a=action)]


def test_ac_ed_5_attach_needs_a_reason_and_two_identifiers_and_the_audit_shows_both(edge: Edge) -> None:
    barcode = edge.tube("张三丰")
    edge.take(edge.agent.raw(astm("0007", {"K": "4.1", "Na": "140"})))
    tester = edge.lab.client("tester")
    page = tester.get("/edge/orphans")
    assert "0007" in page.text and "没有这个条码或样本号的标本" in page.text
    [(raw,)] = edge.rows("SELECT id FROM raw_message")
    beside = tester.fragment(f"/edge/orphans/{raw}?s=0007").text
    assert "K 4.1 mmol/L" in beside and "/edge/raw/" not in beside, "a tester may not open raw traffic, and is not sent there"
    assert f"/edge/raw/{raw}" in edge.lab.client("senior").fragment(f"/edge/orphans/{raw}?s=0007").text
    url = f"/edge/orphans/{raw}/attach"
    for wrong in ({"reason": " "}, {"patient": "李四"}, {"patient": ""}, {"barcode": "126124999990"}):
        answer = tester.post(url, tray_form(edge, raw, "0007", **{"barcode": barcode, **wrong}), htmx=True)
        assert answer.status_code == 422, wrong
    assert edge.current(barcode) == {}
    answer = tester.post(url, tray_form(edge, raw, "0007", barcode=barcode), htmx=True)
    assert answer.status_code == 200 and "已附加 2 个结果" in answer.text
    assert edge.current(barcode) == {"K": "4.1", "NA": "140"}
    [entry] = audit(edge, "attach_results")
    assert entry["before"]["specimen_text"] == "0007"
    assert entry["after"]["barcode"] == barcode
    assert entry["reason"] == "条码未扫上，核对申请单"
    assert tester.post(url, tray_form(edge, raw, "0007", barcode=barcode), htmx=True).status_code == 404  # somebody was faster
    assert "0007" not in tester.get("/edge/orphans").text


def test_what_a_person_attached_keeps_its_tube_until_its_code_has_an_item(edge: Edge) -> None:
    barcode, other = edge.tube("张三丰"), edge.tube("李四")
    edge.take(edge.agent.raw(astm("0007", {"XYZ": "4.1"})), edge.agent.raw(astm("0008", {"XYZ": "4.4"})))
    raws = [raw for (raw,) in edge.rows("SELECT id FROM raw_message ORDER BY id")]
    tester = edge.lab.client("tester")
    assert tester.post(f"/edge/orphans/{raws[0]}/attach", tray_form(edge, raws[0], "0007", barcode=barcode), htmx=True).status_code == 200
    assert [f[3] for f in edge.fates()] == ["unmapped", "orphan"] and edge.current(barcode) == {}
    with edge.lab.uow() as uow:
        catalog.set_channels(uow, edge.bench.analyzer, {"XYZ": (edge.bench.items["K"], Decimal(1), Decimal(0), "mmol/L")}, "试验")
        assert retake.take_up_code(uow, edge.bench.analyzer, "XYZ", CHINA) == 1
    assert [f[3] for f in edge.fates()] == ["matched", "orphan"], "nobody named a tube for the other"
    assert edge.current(barcode) == {"K": "4.1"} and edge.current(other) == {}


def test_a_long_tray_is_searched_and_turned_page_by_page(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        edge.take(edge.agent.raw(astm(f"000{number}", {"K": f"4.{number}"})))
    monkeypatch.setattr(queries, "PAGE", 2)
    tester = edge.lab.client("tester")
    first, last = tester.get("/edge/orphans").text, tester.get("/edge/orphans?from=4").text
    assert [one for one in ("0004", "0003", "0002") if one in first] == ["0004", "0003"] and "from=2" in first
    assert "0000" in last and "0001" not in last and "from=2" in last
    found = tester.get("/edge/orphans?q=0001").text
    assert "0001" in found and "0002" not in found
    assert "没有符合的无主结果" in tester.get("/edge/orphans?q=%25").text, "what is looked for is text, no pattern"
    [(raw,)] = edge.rows("SELECT min(id) FROM raw_message")
    one = tester.fragment(f"/edge/orphans/{raw}?s=0000&q=0000&from=0").text
    assert 'name="q" value="0000"' in one, "the oldest opens too, and the list stays where it was"
    discarded = tester.post(f"/edge/orphans/{raw}/discard", {"specimen": "0000", "reason": "水空白", "q": "000", "from": "2"}, htmx=True)
    assert "0002" in discarded.text and "0004" not in discarded.text


def test_replay_finds_the_messages_of_a_specimen(edge: Edge) -> None:
    for number in range(3):
        edge.take(edge.agent.raw(astm(f"000{number}", {"K": "4.1"})))
    [(raw,)] = edge.rows("SELECT raw_message_id FROM observation WHERE specimen_text = '0001'")
    engineer = edge.lab.client("engineer")
    page = engineer.get("/edge/replay?tube=0001").text
    assert page.count('type="checkbox" name="raw"') == 1 and f'value="{raw}"' in page
    assert "没有这个标本号的报文" in engineer.get("/edge/replay?tube=9999").text
    assert engineer.get(f"/edge/replay?before={raw}").text.count('type="checkbox" name="raw"') == 1


def test_a_discarded_result_is_kept_with_its_reason_and_its_resend_stays_away(edge: Edge) -> None:
    body = astm("0008", {"K": "4.1"})
    edge.take(edge.agent.raw(body))
    [(raw,)] = edge.rows("SELECT id FROM raw_message")
    tester = edge.lab.client("tester")
    assert tester.post(f"/edge/orphans/{raw}/discard", {"specimen": "0008", "reason": ""}, htmx=True).status_code == 422
    assert tester.post(f"/edge/orphans/{raw}/discard", {"specimen": "0008", "reason": "水空白"}, htmx=True).status_code == 200
    edge.take(edge.agent.raw(body))
    assert edge.rows("SELECT state, close_reason FROM observation ORDER BY id") == [("discarded", "水空白"), ("repeat", None)]


def test_an_attach_to_a_closed_tube_says_why(edge: Edge) -> None:
    barcode = edge.tube("张三丰", state="rejected")
    edge.take(edge.agent.raw(astm("0009", {"K": "4.1"})))
    [(raw,)] = edge.rows("SELECT id FROM raw_message")
    tester = edge.lab.client("tester")
    answer = tester.post(f"/edge/orphans/{raw}/attach", tray_form(edge, raw, "0009", barcode=barcode), htmx=True)
    assert answer.status_code == 409 and "已拒收、取消或作废" in answer.text
    assert edge.rows("SELECT state FROM observation") == [("orphan",)]


def test_a_code_that_is_no_result_leaves_the_list_and_stays_away(edge: Edge) -> None:
    edge.take(edge.agent.raw(astm(edge.tube(), {"MODE": "whole blood"})))
    leader = edge.lab.client("leader")
    form = {"analyzer_id": str(edge.bench.analyzer), "code": "MODE", "reason": "测定模式"}
    assert leader.post("/edge/unmapped/ignore", {**form, "reason": ""}).status_code == 422
    assert leader.post("/edge/unmapped/ignore", form).status_code == 303
    edge.take(edge.agent.raw(astm(edge.tube(), {"MODE": "serum"})))
    assert [f[3] for f in edge.fates()] == ["info", "info"]


def test_results_that_were_faster_than_the_receipt_are_taken_up_by_it(edge: Edge) -> None:
    barcode = edge.tube(state="collected")
    edge.take(edge.agent.raw(astm(barcode, {"K": "4.1"})))
    assert edge.current(barcode) == {}
    with edge.lab.uow() as uow:
        tube = uow.s.scalar(text("UPDATE specimen /* by hand */ SET state = 'received' WHERE barcode = :b RETURNING id"), {"b": barcode})
        handlers.on_received(uow, {"specimen_id": tube})
    assert edge.current(barcode) == {"K": "4.1"}


def test_a_raw_message_shows_its_control_characters_and_hides_the_patient(edge: Edge) -> None:
    body = b"\x05\x021H|\\^&\r\x03E5\r\n\x022P|1||P777|X9|\xe6\x9d\x8e\xe5\x9b\x9b||19700101|F\r\x03" + b"00\r\n\x023L|1\r\x0300\r\n\x04"
    edge.take(edge.agent.raw(body))
    [(raw,)] = edge.rows("SELECT id FROM raw_message")
    page = edge.lab.client("engineer").get(f"/edge/raw/{raw}").text
    for name in ("ENQ", "STX", "ETX", "EOT", "CR", "LF"):
        assert f">{name}<" in page
    assert "1H|\\^&amp;" in page
    for secret in ("P777", "李四", "19700101", "X9"):
        assert secret not in page
    assert edge.lab.client("engineer").get("/edge/raw/999999").status_code == 404
    assert edge.lab.client("engineer", edge.lab.b).get(f"/edge/raw/{raw}").status_code == 404


def test_a_quarantined_message_is_listed_and_can_be_read_again(edge: Edge) -> None:
    edge.take(edge.agent.raw(b"\xff\xfe\x00 what is this"))
    leader = edge.lab.client("leader")
    page = leader.get("/edge/quarantine").text
    [(raw,)] = edge.rows("SELECT id FROM raw_message")
    assert f"/edge/raw/{raw}" in page
    assert leader.post(f"/edge/raw/{raw}/reinterpret", {"reason": "试一次"}).status_code == 303
    assert len(audit(edge, "reinterpret")) == 1


def test_the_board_says_what_each_line_does(edge: Edge) -> None:
    status = {
        "version": "0.1", "config_version": 1, "pending": 3, "oldest": "2026-05-04T01:00:00+00:00", "disk_free": 5 << 30,
        "pending_ranges": [],
        "connections": [{"conn": "au1", "state": "idle", "last_byte": None, "frames": 100, "checksum_errors": 2}],
    }  # fmt: skip
    tester = edge.lab.client("tester")
    assert "离线" in tester.get("/edge/board").text
    edge.take(edge.agent.say("status", status, conn=""))
    page = tester.get("/edge/board").text
    assert "在线" in page and "有校验错误" in page and "生化仪一号" in page
    edge.take(edge.agent.say("status", {**status, "refusing": True, "connections": [{"conn": "au1", "state": "transferring"}]}))
    assert "磁盘满，拒收" in tester.get("/edge/board").text
    edge.take(type(edge.agent.say("status", status))(f"t/a/a/{edge.agent.uuid}/up/lwt", b"", 0, 0, 1))
    assert "采集端离线" in tester.fragment("/edge/board").text


def test_an_administrator_makes_and_configures_an_agent_without_seeing_patients(edge: Edge) -> None:
    admin = edge.lab.client("sysadmin")
    made = admin.post("/edge/agents", {"name": "门诊采集端", "location": "一楼"})
    assert made.status_code == 303
    url = made.headers["Location"]
    form = {
        "key": "bc1", "name": "血球仪", "analyzer_id": str(edge.bench.analyzer), "protocol": "hl7", "port": "5001",
        "transport": "tcp-listen",
        "host": "", "enabled": "on", "baud": "9600", "encoding": "gb18030",
    }  # fmt: skip
    for wrong in ({"port": "0"}, {"port": "x"}, {"key": "A B"}, {"protocol": "smtp"}, {"transport": "serial", "device": ""}):
        assert admin.post(f"{url}/connections", {**form, **wrong}).status_code == 422, wrong
    assert admin.post(f"{url}/connections", form).status_code == 303
    page = admin.get(url).text
    assert "血球仪" in page and "0.0.0.0:5001" in page
    code = admin.post(f"{url}/code", htmx=True).text
    assert re.search(r'value="JL1\.[A-Za-z0-9_-]+"', code)
    for path in ("/edge/orphans", "/edge/raw/1", "/edge/unmapped"):
        assert admin.get(path).status_code == 403
    for path in (f"{url}/code", f"{url}/revoke"):
        assert edge.lab.client("tester").post(path, {"reason": "x"}).status_code == 403


def test_every_page_speaks_english_too(edge: Edge) -> None:
    edge.take(edge.agent.raw(astm("0007", {"K": "4.1"})), edge.agent.raw(astm(edge.tube(), {"XX": "1"})), edge.agent.raw(b"\xff"))
    [(raw,)] = edge.rows("SELECT min(id) FROM raw_message")
    han = re.compile(r"[\u4e00-\u9fff]+")
    paths = ("/edge/board", "/edge/orphans", f"/edge/orphans/{raw}?s=0007", "/edge/unmapped", "/edge/quarantine", f"/edge/raw/{raw}")
    leader = edge.lab.client("leader")
    leader.c.set_cookie("lang", "en", domain="localhost", secure=True)
    more = ("/edge/onboard", "/edge/mappings", "/edge/acceptance", "/edge/replay", "/edge/reports", "/edge/links/1", "/edge/links/1/tail")
    for path in (*paths, *more, f"/edge/agents/{edge.agent.id}"):
        main = leader.get(path).text.split('<main id="main"')[-1].split("</main>")[0]
        main = re.sub(r'<div class="notice warn">.*?</div>|class="code">.*?<', "", main)  # data: texts as sent
        left = [w for w in han.findall(main) if w not in ("生化仪一号", "一号采集端", "张三丰", "项目")]
        assert left == [], path
