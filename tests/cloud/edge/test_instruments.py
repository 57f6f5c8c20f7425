"""A new analyzer from nothing on a page: the row, its line, what the agent is told, and what is refused."""

from __future__ import annotations

from agent.config import parse_config
from cloud.modules.edge import configuration
from common.instruments.drivers import DRIVERS
from tests.cloud.edge.world import Edge, astm
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
        assert ("未验证" in found) == bool(driver.unverified or driver.answer_unverified) and f">{driver.protocol}<" in found
        assert driver.answer_unverified[:20] in found
    assert 'name="parity"' in found and 'name="port"' not in found  # fixed columns: a serial line
    assert edge.lab.client("tester").get("/edge/analyzers/new").status_code == 403
