"""The track line: tube events to positions and timelines, aliquots with their parent, the error lane's alert, routes down; reruns too."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from agent.broadcast import Broadcasts
from agent.channels.base import Fate, Line, Outcome, now_ms
from agent.config import Connection as AgentConnection
from agent.config import Transport
from agent.host_query import HostQueries
from agent.journal import Journal
from agent.told import Told
from agent.worklist import Worklist
from cloud import relay
from cloud.modules.bench import service as bench
from cloud.modules.edge import downlink
from cloud.modules.edge.models import Connection
from cloud.modules.platform import lists
from cloud.modules.platform.models import ListJob
from cloud.worker import all_handlers
from common.instruments.decode import decode
from tests.cloud.edge.world import ZONE, Edge, astm


def ssu(*segments: str, at: str = "20260504100000") -> bytes:
    return "\r".join([f"MSH|^~\\&|TLA|LINE|||{at}||SSU^U03|7|P|2.5.1", *segments, ""]).encode()


def step(tube: str, word: str, at: str, device: str = "前处理一号", parent: str = "", status: str = "O") -> bytes:
    return ssu(f"EQU|{device}|{at}", f"SAC|||{tube}||{parent}|||{status}||R1|4", f"NTE|1||{word}", at=at)


def run(edge: Edge) -> None:
    """The worker hands the events on, and what must go down goes."""
    while relay.drain(edge.lab.db, edge.lab.a, all_handlers()):
        pass
    assert edge.rows("SELECT topic, error FROM outbox_event WHERE error IS NOT NULL") == []
    edge.loop.registry.reload()
    downlink.drain(edge.lab.db, edge.loop.registry, edge.loop.sender, [edge.lab.a])


@pytest.fixture
def line(edge: Edge) -> Edge:
    with edge.lab.uow() as uow:
        row = uow.s.scalars(select(Connection)).one()
        row.track, row.name = True, "流水线"
    return edge


def seen(edge: Edge) -> list[Any]:
    return [tuple(r) for r in edge.rows("SELECT code, step, place, specimen_id IS NOT NULL FROM tube_position ORDER BY id")]


def timeline(edge: Edge, barcode: str) -> list[str]:
    sql = "SELECT e.kind FROM specimen_event e JOIN specimen s ON s.id = e.specimen_id WHERE s.barcode = :b ORDER BY e.id"
    return [r[0] for r in edge.rows(sql, b=barcode)]


def test_a_tube_s_way_over_the_line(line: Edge) -> None:
    barcode = line.tube()
    words = ["上样", "离心", "开盖", "送往生化仪", "入库"]
    line.take(*(line.agent.raw(step(barcode, w, f"2026050410000{n}")) for n, w in enumerate(words)))
    run(line)
    assert seen(line) == [(barcode, "stored", "前处理一号 R1 4", True)]
    assert timeline(line, barcode) == ["line_loaded", "centrifuged", "line_decapped", "line_routed", "line_stored"]
    assert line.rows("SELECT state FROM specimen") == [("centrifuged",)]
    tester = line.lab.client("tester")
    page = tester.get("/sp/track?show=stored").text
    assert barcode in page and "入库" in page and "张三丰" in page
    assert barcode not in line.lab.client("tester", line.lab.b).get("/sp/track?show=all").text


def test_the_same_word_again_and_an_older_one_change_nothing(line: Edge) -> None:
    barcode = line.tube()
    newer, older = step(barcode, "开盖", "20260504100500"), step(barcode, "上样", "20260504100100")
    line.take(line.agent.raw(newer))
    line.take(line.agent.raw(older))
    line.take(line.agent.raw(newer))
    run(line)
    assert seen(line) == [(barcode, "decapped", "前处理一号 R1 4", True)]
    assert timeline(line, barcode) == ["line_decapped", "line_loaded"]


def test_the_error_lane_alerts_until_the_tube_goes_on(line: Edge) -> None:
    barcode = line.tube()
    line.take(line.agent.raw(step(barcode, "条码漏读", "20260504100000")), line.agent.raw(step("NOBODY", "异常道", "20260504100000")))
    run(line)
    open_ = "SELECT subject FROM alert WHERE kind = 'specimen.line_error' AND cleared_at IS NULL ORDER BY subject"
    assert line.rows(open_) == [(barcode,), ("NOBODY",)]
    page = line.lab.client("tester").get("/sp/track?show=error").text
    assert barcode in page and "不认识" in page and "异常道" in page
    asked = line.lab.client("tester").post("/sp/track/export?show=error", {"kind": "xlsx"}).headers["Location"]
    with line.lab.uow() as uow:
        made = lists.document_of(uow.s.get_one(ListJob, (uow.tenant_id, int(asked.rsplit("/", 1)[1]))).document)
        assert {(row[0], row[3]) for row in made.rows} == {(barcode, "异常道"), ("NOBODY", "异常道")} and made.watermark
        assert made.title == "流水线标本：异常道" and {len(row) for row in made.rows} == {len(made.columns)}
    line.take(line.agent.raw(step(barcode, "离心", "20260504101000")))
    run(line)
    assert line.rows(open_) == [("NOBODY",)]


def test_an_aliquot_keeps_its_parent_and_its_results_are_the_parent_s(line: Edge) -> None:
    barcode = line.tube()
    line.take(line.agent.raw(step("A0001", "分杯", "20260504100000", parent=barcode)))
    run(line)
    sql = "SELECT c.barcode, p.barcode, c.patient_id = p.patient_id FROM specimen c JOIN specimen p ON p.id = c.parent_id"
    assert line.rows(sql) == [("A0001", barcode, True)]
    line.take(line.agent.raw(astm("A0001", {"K": "4.1"})))
    assert line.current(barcode) == {"K": "4.1"}
    assert "分自" in line.lab.client("tester").get("/sp/track").text


def test_the_line_is_told_where_a_tube_goes_and_how_urgent_it_is(line: Edge) -> None:
    barcode = line.tube(stat=True)
    with line.lab.uow() as uow:
        uow.emit("specimen.received", barcode, {"specimen_id": uow.s.scalar(text("SELECT id FROM specimen"))})
    run(line)
    [tube] = line.down("worklist")[-1]["tubes"]
    # K, NA, GLU, CREA are the analyzer's; EXTRA has no channel anywhere: to the section's bench
    assert (tube["barcode"], tube["tests"], tube["priority"]) == (barcode, ["AU1", "CHEM"], "stat")


def test_words_of_a_line_are_no_results_and_its_measurements_are(line: Edge) -> None:
    barcode = line.tube()
    body = astm(barcode, {"STATUS": "CENTRIFUGED", "K": "4.1"})
    line.take(line.agent.raw(body))
    run(line)
    assert [f[3] for f in line.fates()] == ["info", "matched"] and line.current(barcode) == {"K": "4.1"}
    assert seen(line)[0][1] == "centrifuged"


# --- reruns down to the analyzer (R7) ------------------------------------------------------------------------------------


class Analyzer:
    """A simulated analyzer at a real agent's worklist: it asks, and it is told."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.journal = Journal(folder / "j.db")
        self.worklist = Worklist(self.journal)
        self.queries = HostQueries(self.worklist, self.loop)
        self.conn = AgentConnection("au1", "AU1", "AU1", "astm", Transport("tcp-listen", port=1), host_query=True, broadcast=True)
        self.line = Line(self.conn, self.journal, self.queries, self.loop)
        self.told: list[bytes] = []
        self.line.offers.append(self._offered)
        self.broadcasts = Broadcasts(self.worklist, Told(self.journal))

    def _offered(self, message: bytes, outcome: Outcome) -> None:
        self.told.append(message)
        outcome(Fate.TAKEN, "")

    def hears(self, edge: Edge) -> None:
        """What the cloud sent down since."""
        for body in edge.down("worklist"):
            self.worklist.accept(body["conn"], body["tubes"], now_ms(), now_ms())
        edge.wire.sent.clear()
        self.broadcasts.second(self.line)

    def asks(self, barcode: str) -> list[str]:
        """The tests the agent answers for a tube."""

        async def ask() -> list[bytes]:
            answered = self.loop.create_future()
            self.queries.answer(self.conn, f"H|\\^&|||AU1\rQ|1|^{barcode}||ALL\rL|1|N\r".encode(), answered.set_result)
            return list(await answered)

        return asked_in(self.loop.run_until_complete(ask()))

    def close(self) -> None:
        self.journal.close()
        self.loop.close()


def asked_in(messages: list[bytes]) -> list[str]:
    return [r.code or "" for m in messages for one in decode(m).messages for s in one.specimens for r in s.results]


def test_a_rerun_reaches_the_analyzer_by_query_and_by_broadcast_and_stands_beside_the_first_value(edge: Edge, tmp_path: Path) -> None:
    barcode = edge.tube()
    analyzer = Analyzer(tmp_path)
    with edge.lab.uow() as uow:
        uow.emit("specimen.received", barcode, {"specimen_id": uow.s.scalar(text("SELECT id FROM specimen"))})
    run(edge)
    analyzer.hears(edge)
    assert sorted(analyzer.asks(barcode)) == sorted(asked_in(analyzer.told)) == ["CREA", "GLU", "K", "Na"]

    edge.take(edge.agent.raw(astm(barcode, {"K": "4.1", "Na": "140", "GLU": "5.0", "CREA": "80"})))
    run(edge)
    analyzer.told.clear()
    analyzer.hears(edge)
    assert analyzer.asks(barcode) == []  # nothing is open: no order

    analyzer.told.clear()
    with edge.lab.uow() as uow:
        [(tube, test)] = uow.s.execute(
            text("SELECT specimen_id, t.id FROM test t JOIN test_item i ON i.id = t.item_id WHERE i.code = 'K'")
        ).all()
        bench.request_rerun(uow, tube, None, [test], "与前次相差大")
    run(edge)
    analyzer.hears(edge)
    assert analyzer.asks(barcode) == ["K"] and asked_in(analyzer.told) == ["K"]
    analyzer.broadcasts.second(analyzer.line)
    assert len(analyzer.told) == 1  # told once

    edge.take(edge.agent.raw(astm(barcode, {"K": "4.6"}, time=f"{edge.lab.clock().astimezone(ZONE):%Y%m%d%H%M%S}")))
    run(edge)
    assert edge.versions(barcode)[1:3] == [("GLU", "5.0"), ("K", "4.1")] and ("K", "4.6") in edge.versions(barcode)
    [(first, second)] = edge.rows("SELECT a.raw_text, b.raw_text FROM follow_up f JOIN result_version a ON a.id = f.first_id "
                                  "JOIN result_version b ON b.id = f.second_id")  # fmt: skip
    assert (first, second) == ("4.1", "4.6")
    page = edge.lab.client("tester").get("/bench/rerun?section=CHEM").text
    assert "4.1" in page and "4.6" in page and "与前次相差大" in page
    analyzer.hears(edge)
    assert analyzer.asks(barcode) == []
    analyzer.close()
