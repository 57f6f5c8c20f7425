"""The board's numbers open lists of that length; the edge's lists go to Excel; problems are told in one language at a time."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import openpyxl
import pytest

import common
from cloud import relay
from cloud.db.session import Actor, Reach
from cloud.modules.edge import problem_words, queries, reporting
from cloud.worker import all_handlers
from tests.cloud.edge.world import Edge, astm
from tests.support.lab import Client

ZONE = ZoneInfo("Asia/Shanghai")
HAN = re.compile(r"[\u4e00-\u9fff]")


def sheet(edge: Edge, client: Client, path: str, **form: str) -> list[list[str]]:
    """The lines of the workbook a page makes; no text of it is a formula."""
    job = client.post(path, {"kind": "xlsx"} | form).headers["Location"]
    relay.drain(edge.lab.db, edge.lab.a, all_handlers())
    found = openpyxl.load_workbook(io.BytesIO(client.get(f"{job}/file").data)).worksheets[0]
    assert all(cell.data_type != "f" for line in found.iter_rows() for cell in line)
    lines = [[str(cell.value or "") for cell in line] for line in found.iter_rows()]
    return lines[next(n for n, line in enumerate(lines) if len(line) > 1 and line[1]) + 1 :]


def test_each_number_of_the_board_opens_as_many_messages(edge: Edge) -> None:
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.1"})), edge.agent.raw(astm(edge.tube(), {"K": "4.2"})))
    edge.take(edge.agent.raw(b"\xff\xfe\x00 what is this"))
    edge.lab.clock.advance(hours=2)
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.3"})))
    engineer = edge.lab.client("engineer")
    links = re.findall(r'href="(/edge/messages\?[^"]+)">(\d+)</a>', engineer.get("/edge/board").text)
    by_query = {link.partition("?")[2].replace("&amp;", "&").partition("&")[2]: n for link, n in links}
    assert by_query == {"hours=1": "1", "": "4", "state=interpreted": "3", "state=quarantined": "1"}, "a zero opens nothing"
    for link, n in links:
        address = link.replace("&amp;", "&")
        page = engineer.get(address).text
        assert page.count('href="/edge/raw/') == int(n) and f'<span class="muted">{n}</span></h1>' in page, address
        assert len(sheet(edge, engineer, "/edge/messages/export", **dict(parse_qsl(address.partition("?")[2])))) == int(n)
    detail = re.findall(r'href="(/edge/messages\?[^"]+)">(\d+)</a>', engineer.get("/edge/links/1").text)
    assert sorted(n for _link, n in detail) == ["1", "3", "4"]
    tester = edge.lab.client("tester")
    assert "/edge/messages" not in tester.get("/edge/board").text, "who may not read raw traffic is not sent there"
    assert tester.get("/edge/messages").status_code == 403 and tester.post("/edge/messages/export", {"kind": "xlsx"}).status_code == 403
    assert "没有这样的报文" in edge.lab.client("engineer", edge.lab.b).get("/edge/messages?connection=1").text
    assert engineer.get("/edge/messages?connection=x&state=y&hours=z&before=-3").text.count('href="/edge/raw/') == 4


def test_what_waits_and_the_report_count_the_own_places_analyzers(edge: Edge) -> None:
    """As many as the lists have rows, for somebody of another campus too (M01)."""
    edge.take(edge.agent.raw(astm("0007", {"K": "4.1"})), edge.agent.raw(astm(edge.tube(), {"XX": "1"})))
    edge.take(edge.agent.raw(b"\xff\xfe\x00 what is this"))
    [(own,)] = edge.rows("SELECT s.code FROM section s JOIN analyzer a ON a.section_id = s.id JOIN connection c ON c.analyzer_id = a.id")
    for section, n in ((own, 1), ("ELSEWHERE", 0)):
        with edge.lab.uow() as uow:
            uow.actor = Actor("x", reach=Reach(frozenset({section}), frozenset()))
            found = queries.counts(uow)
            assert (found.tray, found.unmapped, found.quarantined) == (n, n, n), section
            assert (len(queries.tray(uow)), len(queries.unmapped(uow)), len(queries.quarantined(uow))) == (n, n, n)
            told = reporting.report(uow, 7, ZONE)
            assert (len(told.links), len(told.orphans), len(told.by_hour)) == (n, n, n)


def test_the_lists_of_the_edge_go_to_excel(edge: Edge) -> None:
    edge.take(edge.agent.raw(astm("=0007", {"K": "4.1", "Na": "140"})), edge.agent.raw(astm(edge.tube(), {"+XX": "1"})))
    edge.take(edge.agent.raw(b"\xff\xfe\x00 what is this"))
    leader = edge.lab.client("leader")
    (line,) = sheet(edge, leader, "/edge/board/export")
    assert line[:3] == ["一号采集端", "生化仪一号", "生化仪一号"] and line[7:11] == ["3", "2", "0", "1"]
    (orphan,) = sheet(edge, leader, "/edge/orphans/export")
    assert orphan[1] == "=0007" and orphan[4] == "2" and "没有这个条码" in orphan[5] and "K 4.1" in orphan[6]
    assert sheet(edge, leader, "/edge/orphans/export", q="nobody") == []
    (code,) = sheet(edge, leader, "/edge/unmapped/export")
    assert code[1:3] == ["+XX", "1"]
    (unread,) = sheet(edge, leader, "/edge/quarantine/export")
    assert unread[3] == "待解析" and HAN.search(unread[4]) and "(unknown" not in unread[4]
    for path in ("/edge/orphans", "/edge/unmapped", "/edge/quarantine", "/edge/board"):
        assert f'action="{path}/export"' in leader.get(path).text
    for role, path in (("engineer", "orphans"), ("tester", "unmapped"), ("tester", "quarantine"), ("nurse", "board")):
        assert edge.lab.client(role).post(f"/edge/{path}/export", {"kind": "xlsx"}).status_code == 403


def test_an_unread_message_speaks_the_readers_language(edge: Edge) -> None:
    edge.take(edge.agent.raw(b"\xff\xfe\x00 what is this"))
    leader = edge.lab.client("leader")
    [(raw,)] = edge.rows("SELECT id FROM raw_message")
    for path in ("/edge/quarantine", "/edge/messages", f"/edge/raw/{raw}"):
        leader.c.set_cookie("lang", "zh", domain="localhost", secure=True)
        chinese = leader.get(path).text
        leader.c.set_cookie("lang", "en", domain="localhost", secure=True)
        english = leader.get(path).text
        assert "未识别的格式" in chinese and "unknown format" not in chinese, path
        assert "unknown format, 21 bytes kept whole" in english and "未识别" not in english, path


@pytest.mark.parametrize(
    ("problem", "chinese", "english"),
    [
        (
            "第 2 块校验和错误:发来 A5,应为 B6(wrong checksum)",
            "第 2 块校验和错误:发来 A5,应为 B6",
            "wrong checksum in block 2: sent A5, should be B6",
        ),
        (
            "第 3 帧(FN 2)校验和错误:发来 张,应为 B6(wrong checksum)",
            "第 3 帧(FN 2)校验和错误:发来 张,应为 B6",
            "wrong checksum in frame 3 (FN 2): sent 张, should be B6",
        ),
        ("未知段 ZX,原文保留(unknown segment):ZX|张(x)|(y)", "未知段 ZX,原文保留:ZX|张(x)|(y)", "unknown segment (ZX):ZX|张(x)|(y)"),
        (
            "发送方中止了本消息(L|1|T),4 个结果未读取(message aborted by the sender)",
            "发送方中止了本消息(L|1|T),4 个结果未读取",
            "message aborted by the sender (L|1|T), 4 results not read",
        ),
        ("消息没有 MSH 段(message header missing)", "消息没有 MSH 段", "message header missing (MSH)"),
        ("报文中没有可以识别的内容", "报文中没有可以识别的内容", "nothing in the message could be recognised"),
        ("别的话", "别的话", "别的话"),
        ("", "", ""),
    ],
)
def test_a_problem_is_told_in_one_language_with_its_values(problem: str, chinese: str, english: str) -> None:
    assert problem_words.told(problem, False) == chinese
    assert problem_words.told(problem, True) == english


def sentences() -> Iterator[str]:
    """Every sentence of the decoders with an English term, its values replaced by one that names itself."""
    for path in sorted(Path(common.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [str(v.value) if isinstance(v, ast.Constant) else "7" for v in node.values]
                said = "".join(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                said = node.value
            else:
                continue
            if HAN.search(said) and re.search(r"\([a-zA-Z][a-zA-Z ,0-9]+\)(:|$)", said):
                yield said


def test_every_sentence_of_the_decoders_is_told_in_english_with_all_its_values() -> None:
    found = list(sentences())
    assert len(found) > 50, "the decoders' sentences are where this test looks for them"
    for said in found:
        english, chinese = problem_words.told(said, True), problem_words.told(said, False)
        assert not HAN.search(english), (said, english)
        assert english.count("7") >= said.count("7"), (said, english)
        without_term = re.sub(r"\([a-zA-Z7][a-zA-Z ,0-9]*\)(?=:|$)", "", said)
        assert HAN.search(chinese) and chinese.count("7") >= without_term.count("7"), (said, chinese)
        assert not re.search(r"\([a-zA-Z][a-zA-Z ,0-9]{7,}\)(:|$)", chinese), (said, chinese)
