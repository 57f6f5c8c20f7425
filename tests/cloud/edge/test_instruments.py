"""A new analyzer from nothing on a page: the row, its line, what the agent is told, and what is refused."""

from __future__ import annotations

from agent.config import parse_config
from cloud.modules.edge import configuration, downlink, service
from common.instruments.decode import decode
from common.instruments.drivers import DRIVERS
from common.instruments.site import site_from_json
from tests.cloud.edge.test_links import beat
from tests.cloud.edge.world import Edge, astm
from tests.support.forms import as_shown
from tests.support.lab import Client


def form(edge: Edge, **more: str) -> dict[str, str]:
    given = {
        "driver": "sysmex_xn", "code": "XN 1", "name": "血球仪一号", "section_id": str(edge.bench.section), "agent_id": str(edge.agent.id),
        "protocol": "astm", "transport": "serial", "device": "COM3", "baud": "9600", "bytesize": "7", "parity": "E", "stopbits": "2",
        "host_query": "on",
    }  # fmt: skip
    return {**given, **more}


def saved(who: Client, given: dict[str, str]) -> str:
    answer = who.post("/edge/analyzers", given)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"])


def test_an_analyzer_is_added_on_a_page_and_its_agent_hears_how_it_is_wired(edge: Edge) -> None:
    engineer = edge.lab.client("engineer")
    assert "Sysmex XN series" in engineer.get("/edge/analyzers/new").text
    page = engineer.get(saved(engineer, form(edge)))
    assert "血球仪一号" in page.text and "这台仪器还没有项目对照" in page.text
    assert "没有连接" not in edge.lab.client("tester").get("/edge/analyzers").text.split("血球仪一号")[1]
    with edge.lab.uow() as uow:
        document = configuration.document(uow, edge.agent.id)
    line = next(c for c in parse_config(document).connections if c.key == "xn-1")
    assert (line.driver, line.protocol, line.host_query, line.analyzer) == ("sysmex_xn", "astm", True, "XN 1")
    assert line.transport.label == "COM3 9600 7E2"
    # It speaks, and nothing it says reaches a patient before its codes are mapped.
    barcode = edge.tube()
    edge.take(edge.agent.raw(astm(barcode, {"K": "4.1"}), conn="xn-1"))
    assert [fate[3] for fate in edge.fates()] == ["unmapped"]
    # One click from its page, or from the page of new analyzers, to the codes of what it sent.
    assert "xn-1" in engineer.get("/edge/onboard").text
    [(link,)] = edge.rows("SELECT id FROM connection WHERE key = 'xn-1'")
    shown = as_shown(engineer.get(f"/edge/links/{link}").text, "/edge/onboard/received")
    recording = engineer.post("/edge/onboard/received", shown)
    assert recording.status_code == 303 and engineer.get(str(recording.headers["Location"])).status_code == 200
    assert edge.rows("SELECT r.analyzer_id = c.analyzer_id FROM edge_recording r, connection c WHERE c.key = 'xn-1'") == [(True,)]
    assert edge.rows("SELECT count(*) FROM audit_log WHERE action = 'create' AND body::jsonb ->> 'entity' = 'analyzer'") == [(1,)]


def test_a_one_way_printer_says_when_a_message_ends_and_what_it_wants_back(edge: Edge) -> None:
    saved(edge.lab.client("leader"), form(edge, driver="", protocol="fixed", idle_ms="800", answer="06", parity="N"))
    with edge.lab.uow() as uow:
        config = parse_config(configuration.document(uow, edge.agent.id))
    line = next(c for c in config.connections if c.key == "xn-1")
    assert (line.idle_group_ms, line.answer, line.site) == (800, b"\x06", None)


WRONG: list[tuple[dict[str, str], int, str]] = [
    ({"code": "au1"}, 409, "已由“生化仪一号”使用"),
    ({"code": "！"}, 422, "字母和数字"),
    ({"name": " "}, 422, "名称"),
    ({"section_id": ""}, 422, "专业组"),
    ({"driver": "no_such"}, 422, "型号"),
    ({"protocol": "hl7"}, 422, "协议是 astm"),
    ({"device": ""}, 422, "串口"),
    ({"parity": "X"}, 422, "校验"),
    ({"transport": "tcp-listen", "port": "1"}, 409, "已由本采集端的连接“生化仪一号”使用"),
    ({"transport": "tcp-dial", "port": "70000", "host": "10.0.0.1"}, 422, "端口"),
    ({"answer": "0x6"}, 422, "十六进制"),
    ({"idle_ms": "1"}, 422, "毫秒"),
]


def test_bad_input_is_named_and_neither_row_is_made(edge: Edge) -> None:
    group = edge.lab.client("infogroup")
    for wrong, status, word in WRONG:
        answer = group.post("/edge/analyzers", form(edge, **wrong))
        assert (answer.status_code, word in answer.text) == (status, True), (wrong, answer.text)
    assert edge.rows("SELECT (SELECT count(*) FROM analyzer), (SELECT count(*) FROM connection)") == [(1, 1)]


def test_choosing_a_model_fills_in_what_is_known_of_it_and_unverified_ones_say_so(edge: Edge) -> None:
    who = edge.lab.client("sysadmin")
    for driver in (next(d for d in DRIVERS.values() if d.unverified), DRIVERS["sysmex_xn"], DRIVERS["sysmex_ca"]):
        found = who.get(f"/edge/analyzers/new?driver={driver.id}", headers={"HX-Request": "true", "HX-Trigger-Name": "driver"}).text
        assert ("未验证" in found) == bool(
            driver.unverified or driver.answer_unverified
        ) and f'<option value="{driver.protocol}" selected>' in found
        assert driver.answer_unverified[:20] in found
    assert 'name="parity"' in found and 'name="port"' not in found  # fixed columns: a serial line
    assert edge.lab.client("tester").get("/edge/analyzers/new").status_code == 403


def test_an_analyzer_is_edited_and_a_stale_edit_is_refused(edge: Edge) -> None:
    leader = edge.lab.client("leader")
    page = leader.get(f"/edge/analyzers/{edge.bench.analyzer}").text
    assert "生化仪一号" in page and "在用线路由系统管理员修改" in page
    given = {"was": f"生化仪一号||{edge.bench.section}", "name": "生化仪甲", "model": "AU5800", "section_id": str(edge.bench.section)}
    assert leader.post(f"/edge/analyzers/{edge.bench.analyzer}", given).status_code == 303
    answer = leader.post(f"/edge/analyzers/{edge.bench.analyzer}", {**given, "name": "生化仪乙"})
    assert answer.status_code == 409 and "已被他人改为“生化仪甲”" in answer.text
    assert edge.rows("SELECT name, model FROM analyzer") == [("生化仪甲", "AU5800")]
    assert edge.lab.client("leader", edge.lab.b).get(f"/edge/analyzers/{edge.bench.analyzer}").status_code == 404


def test_the_administrator_changes_the_line_on_the_same_page(edge: Edge) -> None:
    admin = edge.lab.client("sysadmin")
    page = admin.get(f"/edge/analyzers/{edge.bench.analyzer}").text
    assert 'name="port" value="1"' in page and 'name="broadcast"' in page
    given = {"key": "au1", "analyzer_id": str(edge.bench.analyzer), "name": "生化仪一号", "protocol": "astm", "transport": "serial"}
    given |= {"device": "COM4", "baud": "19200", "enabled": "on", "broadcast": "on", "version": "1"}
    assert 'name="version" value="1"' in page
    assert admin.post(f"/edge/agents/{edge.agent.id}/connections", given).status_code == 303
    with edge.lab.uow() as uow:
        [line] = parse_config(configuration.document(uow, edge.agent.id)).connections
    assert (line.transport.label, line.broadcast) == ("COM4 19200 8N1", True)


def test_what_the_page_shows_of_a_line_can_be_saved_and_is_the_same_then(edge: Edge) -> None:
    """As a browser sends it, from both pages that have this form: a form typed into a test would not notice what the page says."""
    admin, at = edge.lab.client("sysadmin"), f"/edge/agents/{edge.agent.id}"
    kept = "SELECT protocol, transport, driver, encoding, host_query, enabled, broadcast, track FROM connection"
    before = edge.rows(kept)
    for page in (f"{at}?edit=au1", f"/edge/analyzers/{edge.bench.analyzer}"):
        answer = admin.post(f"{at}/connections", as_shown(admin.get(page).text, f"{at}/connections"))
        assert answer.status_code == 303, (page, answer.text)
        assert edge.rows(kept) == before
    shown = as_shown(admin.get("/edge/analyzers/new?driver=sysmex_xn").text, "/edge/analyzers")
    assert admin.post("/edge/analyzers", {**shown, "code": "XN2", "name": "血球仪二号", "port": "6007"}).status_code == 303


def test_a_port_is_not_used_twice_by_switching_an_old_line_on_again(edge: Edge) -> None:
    leader = edge.lab.client("leader")
    [(old,)] = edge.rows("SELECT id FROM connection")
    assert leader.post(f"/edge/links/{old}/switch", {"what": "enabled", "on": "0", "reason": "换机"}).status_code == 303
    saved(leader, form(edge, transport="tcp-listen", port="1"))
    answer = leader.post(f"/edge/links/{old}/switch", {"what": "enabled", "on": "1", "reason": "换回"})
    assert answer.status_code == 409 and "已由本采集端的连接“血球仪一号”使用" in answer.text
    assert edge.rows("SELECT enabled FROM connection WHERE id = :i", i=old) == [(False,)]


def test_an_analyzer_is_not_dialled_by_two_agents(edge: Edge) -> None:
    leader = edge.lab.client("leader")
    saved(leader, form(edge, transport="tcp-dial", host="10.0.0.9", port="5000"))
    with edge.lab.uow() as uow:
        other = service.create_agent(uow, "二号采集端").id
    again = {"agent_id": str(other), "code": "XN9", "name": "又一台", "transport": "tcp-dial", "host": "10.0.0.9"}
    answer = leader.post("/edge/analyzers", form(edge, **again, port="5000"))
    assert answer.status_code == 409 and "已由另一采集端的连接“血球仪一号”使用" in answer.text
    saved(leader, form(edge, **again, port="5001"))
    listening = {**again, "code": "XN8", "transport": "tcp-listen", "host": "", "port": "1"}
    saved(leader, form(edge, **listening))  # every PC has its own ports
    edge.rows("UPDATE agent /* by hand */ SET state = 'revoked' WHERE id = :i RETURNING id", i=edge.agent.id)
    saved(leader, form(edge, **{**again, "code": "XN7"}, port="5000"))  # the first PC was replaced


def test_a_connection_somebody_changed_meanwhile_is_not_overwritten(edge: Edge) -> None:
    admin, at = edge.lab.client("sysadmin"), f"/edge/agents/{edge.agent.id}/connections"
    given = {"key": "au1", "analyzer_id": str(edge.bench.analyzer), "name": "生化仪一号", "protocol": "astm", "transport": "tcp-listen"}
    given |= {"port": "6001", "enabled": "on", "version": "1"}
    assert admin.post(at, given).status_code == 303
    answer = admin.post(at, {**given, "port": "6002", "broadcast": "on"})
    assert answer.status_code == 409
    assert "线路 tcp-listen 0.0.0.0 6001" in answer.text and "主动下发申请 否" in answer.text, "what the other person set is shown"
    assert "名称" not in answer.text.split("现在是")[1].split("。")[0], "and nothing that is alike"
    [(port, version)] = edge.rows("SELECT transport->>'port', version FROM connection")
    assert (port, version) == ("6001", 2)
    assert admin.post(at, {**given, "port": "6002", "version": "2"}).status_code == 303


def test_a_new_connection_never_changes_one_that_is_there(edge: Edge) -> None:
    admin, at = edge.lab.client("sysadmin"), f"/edge/agents/{edge.agent.id}"
    given = {"key": "au1", "name": "另一台", "protocol": "hl7", "transport": "tcp-listen", "port": "6003", "version": "0"}
    answer = admin.post(f"{at}/connections", given)
    assert answer.status_code == 409 and "代号“au1”已是连接" in answer.text
    assert edge.rows("SELECT name, protocol FROM connection") != [("另一台", "hl7")]
    page = admin.get(f"{at}?edit=au1").text
    assert '<details id="connection" open>' in page and 'value="au1" readonly' in page and 'name="version" value="1"' in page


def test_refused_orders_are_shown_and_sent_again_by_a_persons_word(edge: Edge) -> None:
    refusal = {"specimen": "T0001", "tests": ["K", "XX"], "cancel": False, "why": "XX not on the menu", "tries": 1, "again": None}
    [(link,)] = edge.rows("UPDATE connection SET broadcast = true RETURNING id")
    beat(edge, links=1, transport="tcp-listen", recent={}, orders_refused=1, refusals=[refusal])
    leader = edge.lab.client("leader")
    page = leader.get(f"/edge/links/{link}").text
    assert "T0001" in page and "XX not on the menu" in page and "不再自动下发" in page and "仪器拒收了下发的申请" in page
    assert leader.post(f"/edge/links/{link}/orders", {"reason": " "}).status_code == 422
    assert leader.post(f"/edge/links/{link}/orders", {"reason": "已补菜单"}).status_code == 303
    edge.loop.registry.reload()
    downlink.drain(edge.lab.db, edge.loop.registry, edge.loop.sender, list(edge.loop.registry.tenants()))
    [order] = edge.down("command")
    assert (order["do"], order["conn"]) == ("orders", "au1")


def test_a_retired_analyzer_is_off_the_list_and_its_line_is_off(edge: Edge) -> None:
    leader = edge.lab.client("leader")
    assert leader.post(f"/edge/analyzers/{edge.bench.analyzer}/retire", {"reason": " "}).status_code == 422
    assert leader.post(f"/edge/analyzers/{edge.bench.analyzer}/retire", {"reason": "报废"}).status_code == 303
    assert "生化仪一号" not in leader.get("/edge/analyzers").text
    assert edge.rows("SELECT enabled FROM connection") == [(False,)]
    assert leader.post(f"/edge/analyzers/{edge.bench.analyzer}/retire", {"reason": "报废"}).status_code == 404


def test_what_differs_here_is_typed_into_a_draft_and_read_by_it(edge: Edge) -> None:
    leader = edge.lab.client("leader")
    at = str(leader.post("/edge/mappings", {"analyzer_id": str(edge.bench.analyzer)}).headers["Location"])
    version = edge.rows("SELECT version FROM edge_mapping")[0][0]
    given = {"version": str(version), "specimen": "O.4.1，P.3", "codes": "901=GLU\n902 = K", "units": "GLU=mmol/L", "decimals": "K=1"}
    assert leader.post(f"{at}/site", {**given, "qc_prefix": "QC 99", "code": "4", "encoding": "gb18030"}).status_code == 303
    [(site, encoding)] = edge.rows("SELECT site, encoding FROM edge_mapping")
    assert encoding == "gb18030" and site == {
        "specimen": [["O", 4, 1], ["P", 3, 0]], "codes": {"901": "GLU", "902": "K"}, "units": {"GLU": "mmol/L"}, "decimals": {"K": 1},
        "qc_prefix": ["QC", "99"], "code": 4,
    }  # fmt: skip
    page = leader.get(at).text
    assert "O.4.1, P.3.0" in page and "901=GLU" in page
    assert leader.post(f"{at}/site", given).status_code == 409
    version = edge.rows("SELECT version FROM edge_mapping")[0][0]
    for wrong, word in (({"specimen": "3"}, "O.3.1"), ({"codes": "901"}, "代码=值"), ({"decimals": "K=x"}, "代码=值")):
        answer = leader.post(f"{at}/site", {"version": str(version), **wrong})
        assert answer.status_code == 422 and word in answer.text
    body = b"H|\\^&\rP|1\rO|1||T7||^^^X\rR|1|^^^901|5.6\rL|1|N\r"
    [specimen] = decode(body, None, None, site_from_json(site)).messages[0].specimens
    assert (specimen.specimen_id, specimen.results[0].code, specimen.results[0].unit) == ("T7", "GLU", "mmol/L")
