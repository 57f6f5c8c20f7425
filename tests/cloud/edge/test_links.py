"""What the engineer sees whose analyzer fell silent: board, connection, live tail, alerts, library, reports."""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy import text

from cloud import cli
from cloud.modules.edge import library, library_notes, reporting, terminal, updates, watch
from cloud.modules.edge.signals import WORDS
from cloud.modules.platform.rules import Level
from common import crypto, release
from common.errors import UserError
from common.instruments.drivers import DRIVERS
from tests.cloud.edge.world import AT, ZONE, Edge, astm


def beat(edge: Edge, pending: int = 0, **link: Any) -> None:
    """What a heartbeat leaves behind, at the test's own time; the connection as given."""
    now = edge.lab.clock()
    said = {"conn": "au1", "state": "idle", "last_byte": now.isoformat(), "frames": 100, "checksum_errors": 0, "messages": 5, **link}
    status = json.dumps({"config_version": 1, "pending": pending, "connections": [said]})
    with edge.lab.uow() as uow:
        uow.s.execute(
            text("UPDATE agent SET last_seen_at = :now, clock_skew_ms = 0, applied_version = 1, status = CAST(:status AS jsonb)"),
            {"now": now, "status": status},
        )


def run_watch(edge: Edge) -> None:
    with edge.lab.uow() as uow:
        watch.look(uow)


def alerts(edge: Edge) -> list[tuple[str, str]]:
    return [tuple(r) for r in edge.rows("SELECT kind, subject FROM alert WHERE cleared_at IS NULL ORDER BY kind")]


def at_noon(edge: Edge) -> None:
    edge.lab.clock.set(edge.lab.clock().replace(hour=4, minute=1))  # 12:01 in the laboratory


def test_an_agent_gone_for_two_minutes_is_an_alert_that_ends_with_its_return(edge: Edge) -> None:
    at_noon(edge)
    beat(edge)
    run_watch(edge)
    assert alerts(edge) == []
    edge.lab.clock.advance(minutes=3)
    run_watch(edge)
    run_watch(edge)
    assert alerts(edge) == [("edge.offline", f"agent:{edge.agent.id}")]
    tester = edge.lab.client("tester")
    page = tester.get("/edge/board").text
    assert "一号采集端 离线 3 分钟" in page and "采集端离线" in page and "没有心跳" in page
    [(number,)] = edge.rows("SELECT id FROM alert")
    assert tester.post(f"/alerts/{number}/acknowledge", {"note": "已去现场"}, htmx=True).status_code == 200
    assert "已去现场" in tester.get("/edge/board").text
    edge.lab.clock.advance(minutes=7)
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE agent SET last_seen_at = :now"), {"now": uow.now})
    run_watch(edge)
    assert alerts(edge) == []
    with edge.lab.uow() as uow:
        [fault] = reporting.faults(uow, uow.now - timedelta(days=1))
    assert (fault.times, fault.open, fault.repair) == (1, 0, 7.0)


def test_an_analyzers_clock_more_than_a_minute_off_is_told_until_it_is_set(edge: Edge) -> None:
    """C2; by the times in the newest messages' headers. A header without a time of day says nothing, an old one sent late neither."""
    at_noon(edge)

    def sends(stamp: str, number: int) -> list[tuple[str, str]]:
        edge.take(edge.agent.raw(astm(f"C{number}", {"K": "4.1"}).replace(b"|P|1\r", f"|P|1|{stamp}\r".encode(), 1)))
        beat(edge)
        run_watch(edge)
        return alerts(edge)

    wall = datetime.fromisoformat(AT).astimezone(watch.CHINA)  # when the agent took it, by its own clock
    wrong = [("edge.analyzer_clock", "connection:1")]
    assert sends(f"{wall - timedelta(seconds=59):%Y%m%d%H%M%S}", 1) == []
    assert sends(f"{wall + timedelta(seconds=62):%Y%m%d%H%M%S}", 2) == wrong
    assert sends(f"{wall:%Y%m%d}", 3) == [], "a date is no time"
    hour_ago = f"{wall - timedelta(hours=1):%Y%m%d%H%M%S}"
    assert sends(hour_ago, 4) == sends(hour_ago, 5) == [], "sent late: one of the last five was 59 seconds off"
    for number, minutes in ((6, "+1.0"), (7, "-60.0")):  # the one that was ahead is the fifth, then none speaks against it
        assert sends(hour_ago, number) == wrong
        [(fields,)] = edge.rows("SELECT fields FROM alert WHERE cleared_at IS NULL")
        assert fields["minutes"] == minutes
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE connection SET simulator_from = :now"), {"now": wall})
    run_watch(edge)
    assert alerts(edge) == [], "what is played has its own time"
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE connection SET simulator_from = NULL"))
    assert sends(f"{wall:%Y%m%d%H%M%S}", 8) == []


def test_an_analyzer_silent_against_its_own_pace_is_named_with_what_to_do(edge: Edge) -> None:
    at_noon(edge)
    noon = edge.lab.clock()
    for n in range(30):
        edge.lab.clock.set(noon - timedelta(minutes=6 * (30 - n)))
        edge.take(edge.agent.raw(astm("1", {"K": "4.1"}, time=f"202605041000{n:02d}")))
    edge.lab.clock.set(noon.replace(minute=17))
    beat(edge)
    run_watch(edge)
    assert edge.rows("SELECT usual_gap_s FROM connection") == [(360,)]
    assert alerts(edge) == []
    edge.lab.clock.advance(minutes=6)
    beat(edge, last_byte=noon.isoformat())
    run_watch(edge)
    assert alerts(edge) == [("edge.silent", "connection:1")]
    page = edge.lab.client("tester").get("/edge/links/1").text
    assert "分钟没有结果" in page and "自动发送开关" in page and 'class="at"' in page
    tester = edge.lab.client("tester")
    assert "久无结果" in tester.get("/edge/board").text
    # Its section's bench says so too: the light there is quality control's and stays green.
    [code] = edge.rows("SELECT s.code FROM section s JOIN analyzer a ON a.section_id = s.id JOIN connection c ON c.analyzer_id = a.id")[0]
    assert f'hx-get="/edge/bench/{code}"' in tester.get(f"/bench/{code}").text
    chip = tester.fragment(f"/edge/bench/{code}").text
    assert "久无结果" in chip and '<span class="lead">连接</span>' in chip  # two lights of one analyzer are told apart by their word
    edge.lab.clock.advance(minutes=3)
    assert "采集端离线" in tester.fragment(f"/edge/bench/{code}").text
    beat(edge, last_byte=edge.lab.clock().isoformat())
    edge.take(edge.agent.raw(astm("1", {"K": "4.1"}, time="20260504102800")))
    assert tester.fragment(f"/edge/bench/{code}").text.strip() == ""
    assert tester.fragment("/edge/bench/NONE").status_code == 404
    assert edge.rows("SELECT sum(up), sum(down) FROM edge_link_hour") == [(2, 0)]


def test_the_other_alerts_come_and_go(edge: Edge) -> None:
    at_noon(edge)
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE agent SET not_after = :at"), {"at": uow.now + timedelta(days=20)})
    edge.take(edge.agent.raw(astm(edge.tube(), {"XX": "1"})))
    beat(edge, pending=101, checksum_errors=2)
    run_watch(edge)
    assert [k for k, _ in alerts(edge)] == ["edge.backlog", "edge.certificate", "edge.checksum", "edge.unmapped"]
    words = edge.lab.client("leader").get("/alerts").text
    assert "证书还有 20 天到期" in words or "证书还有 19 天到期" in words
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE agent SET not_after = :at"), {"at": uow.now + timedelta(days=300)})
        uow.s.execute(text("UPDATE observation SET closed_at = now()"))
    edge.lab.clock.advance(seconds=10)
    beat(edge)
    run_watch(edge)
    assert alerts(edge) == []
    assert len(WORDS) == 12


def test_the_balance_of_a_connection_is_shown(edge: Edge) -> None:
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.1"})), edge.agent.raw(b"\xff\x00 noise"))
    page = re.sub(r"<[^>]+>", "", edge.lab.client("tester").get("/edge/board").text)
    assert re.search(r"2 = 1 \+ 0 \+ 1\s+✓", page)


def test_the_tail_and_the_capture_name_control_characters_and_hide_the_patient(edge: Edge) -> None:
    body = b"\x05\x021H|\\^&\r\x03E5\r\n\x022P|1||P777||\xe6\x9d\x8e\xe5\x9b\x9b\r\x03" + b"00\r\n\x04"
    edge.take(edge.agent.raw(body))
    engineer = edge.lab.client("engineer")
    tail = engineer.fragment("/edge/links/1/tail")
    assert ">ENQ<" in tail.text and "P777" not in tail.text and "李四" not in tail.text
    file = engineer.get("/edge/links/1/capture")
    assert (
        file.status_code == 200
        and "<STX>1H|" in file.text
        and "P777" not in file.text
        and "attachment" in file.headers["Content-Disposition"]
    )
    assert edge.lab.client("tester").get("/edge/links/1/tail").status_code == 403
    assert edge.lab.client("engineer", edge.lab.b).get("/edge/links/1/capture").status_code == 404


def test_what_the_agent_took_in_simulator_mode_reaches_no_patient_however_late_it_comes(edge: Edge) -> None:
    barcode = edge.tube()
    leader = edge.lab.client("leader")
    assert leader.post("/edge/links/1/switch", {"what": "simulator", "on": "1", "reason": ""}).status_code == 422
    before = edge.lab.clock().isoformat()
    assert leader.post("/edge/links/1/switch", {"what": "simulator", "on": "1", "reason": "联调"}).status_code == 303
    during = edge.lab.clock().isoformat()
    [(document,)] = edge.rows("SELECT body FROM downlink WHERE kind = 'config'")
    assert document["connections"][0]["simulator"] is True
    edge.take(edge.agent.raw(astm(barcode, {"K": "9.9"}), at=during))
    assert edge.current(barcode) == {}
    edge.take(edge.agent.raw(astm(barcode, {"Na": "140"}), at=before))
    assert edge.current(barcode) == {"NA": "140"}, "a real result that was on its way is none of the simulator's"
    assert leader.post("/edge/links/1/switch", {"what": "simulator", "on": "0", "reason": "完成"}).status_code == 303
    edge.take(edge.agent.raw(astm(barcode, {"GLU": "30"}), at=during))
    assert edge.current(barcode) == {"NA": "140"}
    edge.take(edge.agent.raw(astm(barcode, {"GLU": "5.6"}), at=edge.lab.clock().isoformat()))
    assert edge.current(barcode) == {"NA": "140", "GLU": "5.60"}
    assert [f[3] for f in edge.fates()] == ["info", "matched", "info", "matched"]


def test_a_disabled_connection_is_grey_and_the_agent_hears_of_it(edge: Edge) -> None:
    assert edge.lab.client("leader").post("/edge/links/1/switch", {"what": "enabled", "on": "0", "reason": "仪器送修"}).status_code == 303
    assert edge.lab.client("tester").post("/edge/links/1/switch", {"what": "enabled", "on": "1", "reason": "x"}).status_code == 403
    assert "已停用" in edge.lab.client("tester").get("/edge/board").text
    [(document,)] = edge.rows("SELECT body FROM downlink WHERE kind = 'config'")
    assert document["connections"][0]["enabled"] is False


def test_the_driver_library_says_what_was_never_verified_and_who_uses_it(edge: Edge) -> None:
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE connection SET driver = 'sysmex_xn'"))
    page = edge.lab.client("engineer").get("/edge/profiles").text
    assert "Sysmex XN series" in page and "生化仪一号" in page
    rows = edge.lab.client("engineer").fragment("/edge/profiles?q=mindray").text
    assert "Mindray" in rows and "Sysmex" not in rows


def test_the_report_counts_by_hour_and_its_workbook_runs_no_formula(edge: Edge) -> None:
    edge.take(edge.agent.raw(astm(edge.tube(), {"=1+1": "1", "K": "4.1"})), edge.agent.raw(astm("0007", {"K": "4.1"})))
    engineer = edge.lab.client("engineer")
    page = engineer.get("/edge/reports").text
    assert "生化仪一号" in page and "没有这个条码或样本号的标本" in page
    file = engineer.get("/edge/reports?form=xlsx&days=7")
    book = load_workbook(BytesIO(file.data))
    assert book.sheetnames == ["连接", "每小时报文", "无主结果", "未对照代码", "故障"]
    cell = book["未对照代码"]["A2"]
    assert cell.value == "=1+1" and cell.data_type == "s" and cell.quotePrefix
    assert book["连接"]["C2"].value == 2
    assert sum(v for v in [c.value for c in book["每小时报文"][2]][1:]) == 2


def test_each_figure_of_the_report_opens_what_it_counts(edge: Edge) -> None:
    edge.take(edge.agent.raw(astm(edge.tube(), {"XX": "1", "K": "4.1"})), edge.agent.raw(astm("0007", {"K": "4.1"})))
    [(link, hour)] = edge.rows("SELECT id, extract(hour FROM now() AT TIME ZONE 'Asia/Shanghai')::int FROM connection")
    edge.rows("UPDATE raw_message SET received_at = now() RETURNING id")
    leader = edge.lab.client("leader")
    page = leader.get("/edge/reports?days=7").text
    cell = f"/edge/replay?connection={link}&amp;hour={hour}&amp;days=7"
    assert cell in page and 'href="/edge/orphans"' in page and 'href="/edge/unmapped"' in page
    assert leader.get(cell.replace("&amp;", "&")).text.count('name="raw"') == 2
    assert leader.get(f"/edge/replay?connection={link}&hour={(hour + 2) % 24}&days=7").text.count('name="raw"') == 0
    assert "/edge/replay" not in edge.lab.client("tester").get("/edge/reports").text.split("<main")[1], "who may not see raw traffic"


def test_the_board_offers_only_what_this_person_may_open(edge: Edge) -> None:
    for role, may in (("engineer", ["quarantine"]), ("tester", ["orphans"]), ("leader", ["orphans", "unmapped", "quarantine"])):
        who = edge.lab.client(role)
        shown = re.findall(r'class="button second" href="/edge/(\w+)"', who.get("/edge/board").text)
        assert shown == may and all(who.get(f"/edge/{name}").status_code == 200 for name in shown)


def test_what_a_person_attached_is_in_the_report_with_how_long_it_lay(edge: Edge) -> None:
    barcode = edge.tube("张三丰")
    edge.take(edge.agent.raw(astm("0007", {"K": "4.1", "Na": "140"})))
    edge.rows("UPDATE observation SET received_at = received_at - interval '10 minutes' RETURNING id")
    [(raw,)] = edge.rows("SELECT id FROM raw_message")
    given = {"specimen": "0007", "barcode": barcode, "patient": "张三丰", "reason": "条码未扫上"}
    assert edge.lab.client("tester").post(f"/edge/orphans/{raw}/attach", given, htmx=True).status_code == 200
    with edge.lab.uow() as uow:
        [row] = reporting.report(uow, 7, ZONE).orphans
    assert (row.state, row.n, row.closed) == ("matched", 2, 2) and 10 <= row.minutes < 20
    assert "已附加" in edge.lab.client("tester").get("/edge/reports").text
    book = load_workbook(BytesIO(edge.lab.client("tester").get("/edge/reports?form=xlsx").data))
    assert book["无主结果"]["A2"].value == "已附加"


def test_faults_of_a_month_have_their_repair_time(edge: Edge) -> None:
    at_noon(edge)
    beat(edge)
    edge.lab.clock.advance(minutes=3)
    run_watch(edge)
    edge.lab.clock.advance(minutes=5)
    beat(edge)
    run_watch(edge)
    edge.lab.clock.advance(days=20)
    with edge.lab.uow() as uow:
        [fault] = reporting.report(uow, 31, ZONE).faults
        assert (fault.times, fault.open, fault.repair, fault.url) == (1, 0, 5.0, f"/edge/agents/{edge.agent.id}")
        assert reporting.report(uow, 14, ZONE).faults == []


def test_evidence_is_told_in_the_readers_language(edge: Edge) -> None:
    for driver in DRIVERS.values():
        for sentence in filter(None, (driver.evidence, driver.unverified, driver.answer_unverified, driver.two_way)):
            assert re.search("[一-鿿]", library.told(sentence, False)), f"{driver.id}: say it in Chinese in library.py"
            assert not re.search("[一-鿿]", library.told(sentence, True)), f"{driver.id}: say it in English in library.py"
        if driver.notes:
            chinese, english = (library.notes(driver, english) for english in (False, True))
            assert re.search("[一-鿿]", chinese), f"{driver.id}: say its notes in Chinese in library_notes.py"
            assert not re.search("[一-鿿]", english) and re.findall(r"[A-Z]+[.-]\d+", english) == re.findall(r"[A-Z]+[.-]\d+", chinese)
    assert not set(library_notes.CHINESE) - {d.id for d in DRIVERS.values() if d.notes}, "notes of no driver"
    page = edge.lab.client("tester").get("/edge/profiles?q=kx").text
    assert "标本号自第 11 列起" in page and "specimen id" not in page
    assert "没有见过真实记录" in page and "定位格式" in page


def test_live_frames_are_asked_of_the_agent_and_shown(edge: Edge) -> None:
    engineer = edge.lab.client("engineer")
    assert "还没有帧" in engineer.fragment("/edge/links/1/live").text
    assert engineer.post("/edge/links/1/live").status_code == 303
    edge.take(edge.agent.say("tail", {"conn": "au1", "lines": [{"at": edge.lab.clock().isoformat(), "dir": "in", "text": "⟨ENQ⟩"}]}))
    assert "← ⟨ENQ⟩" in engineer.fragment("/edge/links/1/live").text
    assert engineer.post("/edge/links/1/record", {"minutes": "5", "reason": ""}).status_code == 422
    assert engineer.post("/edge/links/1/record", {"minutes": "5", "reason": "厂家排查"}).status_code == 303
    orders = [r[0] for r in edge.rows("SELECT body FROM downlink WHERE kind = 'command' ORDER BY id")]
    assert [(o["do"], o["seconds"]) for o in orders] == [("tail", 300), ("capture", 300)]
    assert edge.lab.client("tester").post("/edge/links/1/live").status_code == 403


def test_the_agents_own_log_is_fetched_and_each_time_whole(edge: Edge) -> None:
    engineer = edge.lab.client("engineer")
    page = f"/edge/agents/{edge.agent.id}/log"
    assert "取日志" in engineer.get(f"/edge/agents/{edge.agent.id}").text and "取日志" in engineer.fragment(page).text
    assert engineer.post(page).status_code == 303
    [(order,)] = edge.rows("SELECT body FROM downlink WHERE kind = 'command'")
    assert order["do"] == "log"
    for text_ in ("WARNING uplink disconnected", "INFO app started"):
        line = {"at": edge.lab.clock().isoformat(), "text": text_}
        edge.take(edge.agent.say("tail", {"conn": "", "lines": [line]}, conn=""))
    shown = engineer.fragment(page).text
    assert "INFO app started" in shown and "disconnected" not in shown
    assert edge.lab.client("tester").post(page).status_code == 403


def test_ac_rl_1_a_release_goes_out_only_after_the_laboratorys_own_group_consented(edge: Edge) -> None:
    key = crypto.new_key()
    bundle = b"PK bundle"
    now = edge.lab.clock()
    manifest = release.Manifest(
        "0.2.0", crypto.sha256_hex(bundle), len(bundle), now.isoformat(), (now + timedelta(days=30)).isoformat(), "修正串口重连"
    ).text()
    with edge.lab.uow() as uow:
        updates.publish(uow, manifest, crypto.sign(key, manifest), bundle, key.public_key())
    group, admin = edge.lab.client("infogroup"), edge.lab.client("sysadmin")
    page = group.get("/edge/releases").text
    assert "0.2.0" in page and "修正串口重连" in page and "待同意" in page
    offer = {"agent_id": str(edge.agent.id)}
    assert admin.post("/edge/releases/1/offer", offer).status_code == 409
    for stranger in ("sysadmin", "engineer", "leader"):
        assert edge.lab.client(stranger).post("/edge/releases/1/consent", {"person": "王主任"}).status_code == 403
    assert group.post("/edge/releases/1/consent", {"person": " ", "kind": "signed"}).status_code == 422
    assert group.post("/edge/releases/1/consent", {"person": "王主任", "kind": "phone"}).status_code == 303
    assert "24 小时内补书面" in group.get("/edge/releases").text
    assert admin.post("/edge/releases/1/offer", offer).status_code == 303
    edge.lab.clock.set(now + timedelta(hours=25))
    assert "已停止下发" in edge.lab.client("infogroup").get("/edge/releases").text
    assert edge.lab.client("sysadmin").post("/edge/releases/1/offer", offer).status_code == 409
    [(order,)] = edge.rows("SELECT body FROM downlink WHERE kind = 'command'")
    assert order["do"] == "update" and order["consent"]["person"] == "王主任"
    # M29: a week after the consent an agent that still runs another version is told of
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE agent SET software = '0.1.0'"))
    for days, told in ((7, []), (8, [("edge.old_version", {"name": "一号采集端", "version": "0.2.0"})])):
        edge.lab.clock.set(now + timedelta(days=days))
        run_watch(edge)
        assert edge.rows("SELECT kind, fields FROM alert WHERE kind = 'edge.old_version' AND cleared_at IS NULL") == told
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE agent SET software = '0.2.0'"))
    run_watch(edge)
    assert edge.rows("SELECT 1 FROM alert WHERE kind = 'edge.old_version' AND cleared_at IS NULL") == []


def test_an_alarm_about_a_copied_agent_calls_people_on_every_page_until_it_is_closed_with_a_reason(edge: Edge) -> None:
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.1"}), 1), edge.agent.raw(astm(edge.tube(), {"K": "5.1"}), 1))
    [(number, kind)] = edge.rows("SELECT id, kind FROM edge_alarm")
    run_watch(edge)
    open_now = "SELECT message, level, fields FROM alert WHERE kind = 'edge.alarm' AND cleared_at IS NULL"
    [(message, level, fields)] = edge.rows(open_now)
    assert kind == "clone" and message % fields == "采集端 一号采集端：同一身份疑似有两台采集端" and level == Level.URGENT
    admin = edge.lab.client("sysadmin")
    assert admin.post(f"/edge/alarms/{number}/close", {"reason": "已停用旧电脑"}).status_code == 303
    run_watch(edge)
    assert edge.rows(open_now) == []


def test_the_command_lays_readings_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "five.txt"
    file.write_bytes(astm("1001", {"XK": "4.1", "GLU": "5.6"}))
    assert cli.main(["analyzer", "propose", str(file)]) == 0
    said = capsys.readouterr().out
    assert "读法 1：按协议通用读取" in said and "1001" in said and "XK" in said
    assert cli.main(["analyzer", "propose", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0]["codes"][0] == {"code": "XK", "name": "", "unit": "mmol/L", "count": 1, "samples": ["4.1"]}
    file.write_bytes(b"")
    assert cli.main(["analyzer", "propose", str(file)]) == 2
    assert "是空的" in capsys.readouterr().err


def test_the_command_keeps_a_recording_with_suggestions(edge: Edge, tmp_path: Path) -> None:
    file = tmp_path / "five.txt"
    file.write_bytes(astm("1001", {"GLU": "5.6"}))
    with edge.lab.uow() as uow:
        code = uow.s.scalar(text("SELECT code FROM analyzer"))
        said = list(terminal.keep(uow, file, str(code), None))
        assert "GLU 项目GLU（代码相同）" in said[0] and "/edge/onboard/1" in said[-1]
        with pytest.raises(UserError, match="可选"):
            list(terminal.keep(uow, file, "nothing", None))


def test_a_graph_is_kept_with_its_message_shown_and_never_a_result(edge: Edge) -> None:
    image = b"BM" + bytes(60)
    lines = ["MSH|^~\\&|X|Y|||20260504100000||ORU^R01|1|P|2.3.1", "PID|1", f"OBR|1||{edge.tube()}|A"]
    lines.append(f"OBX|1|ED|15008^WBC Histogram||^Image^BMP^Base64^{base64.b64encode(image).decode()}||||||F")
    edge.take(edge.agent.raw(("\r".join(lines) + "\r").encode()))
    assert [f[3] for f in edge.fates()] == ["info"]
    engineer = edge.lab.client("engineer")
    assert 'src="/edge/raw/1/picture/0"' in engineer.get("/edge/raw/1").text
    answer = engineer.get("/edge/raw/1/picture/0")
    assert (answer.data, answer.mimetype) == (image, "image/bmp")
    assert engineer.get("/edge/raw/1/picture/1").status_code == 404
    assert edge.lab.client("engineer", edge.lab.b).get("/edge/raw/1/picture/0").status_code == 404
