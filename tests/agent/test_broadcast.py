"""Orders sent unasked: once a version, taken back when they are ordered no more, again when the analyzer did not take them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.broadcast import AGAIN_SECONDS, Broadcasts
from agent.channels.astm import AstmChannel
from agent.channels.base import Fate, Line, Outcome, now_ms
from agent.channels.hl7 import Hl7Channel
from agent.config import Connection, Transport, parse_config
from agent.host_query import HostQueries
from agent.journal import Journal
from agent.told import Told
from agent.worklist import Worklist
from common.instruments.decode import decode
from common.instruments.orders import TubeOrder, order_push
from common.protocol.astm.framing import build_frames


class Bench:
    """A line that wants orders, with what was written on it."""

    def __init__(self, folder: Path, protocol: str = "astm") -> None:
        self.loop = asyncio.new_event_loop()
        self.folder, self.protocol = folder, protocol
        self.start()

    def start(self) -> None:
        self.journal = Journal(self.folder / "j.db")
        self.worklist = Worklist(self.journal)
        self.conn = Connection("c", "C", "C", self.protocol, Transport("tcp-listen", port=1), broadcast=True)
        self.line = Line(self.conn, self.journal, HostQueries(self.worklist, self.loop), self.loop)
        self.told: list[bytes] = []
        self.fate = (Fate.TAKEN, "")
        self.broadcasts = Broadcasts(self.worklist, Told(self.journal))

    def restart(self) -> None:
        """The agent ends and begins anew; the analyzer is on the line again."""
        self.journal.close()
        self.start()
        self.plug()

    def plug(self) -> None:
        self.line.offers.append(self._offered)

    def _offered(self, message: bytes, outcome: Outcome) -> None:
        self.told.append(message)
        outcome(*self.fate)

    def minutes(self, patch: pytest.MonkeyPatch, more: float) -> None:
        at = now_ms() + int(more * 60_000)
        patch.setattr("agent.broadcast.now_ms", lambda: at)

    def know(self, barcode: str, *tests: str, version: int = 1, **more: Any) -> None:
        tube = {"barcode": barcode, "tests": list(tests), "priority": "routine", "order_version": version, "cancelled": not tests, **more}
        self.worklist.accept("c", [tube], now_ms(), now_ms())

    def second(self) -> list[tuple[str, str, list[str]]]:
        """(specimen, action, tests) of what a second brought."""
        self.told.clear()
        self.broadcasts.second(self.line)
        read = [s for m in self.told for one in decode(m).messages for s in one.specimens]
        return [(s.specimen_id or "", s.action or "", [r.code or "" for r in s.results]) for s in read]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.journal.close()
    made.loop.close()


def test_an_order_goes_once_a_version_and_waits_for_the_analyzer(bench: Bench) -> None:
    bench.know("T1", "K", "NA")
    assert bench.second() == []  # nobody is on the line
    bench.plug()
    assert bench.second() == [("T1", "A", ["K", "NA"])]
    assert bench.second() == []
    bench.know("T1", "K", version=2)
    assert bench.second() == [("T1", "A", ["K"])]


def test_what_is_ordered_no_more_is_taken_back(bench: Bench) -> None:
    bench.plug()
    bench.know("T1", "K")
    bench.know("T2")
    assert bench.second() == [("T1", "A", ["K"])]
    bench.know("T1", version=2)
    assert bench.second() == [("T1", "C", ["K"])]
    assert bench.second() == []


def test_an_order_lost_on_the_way_goes_again(bench: Bench) -> None:
    bench.plug()
    bench.know("T1", "K")
    bench.fate = (Fate.LOST, "")
    assert bench.second() == [("T1", "A", ["K"])]
    bench.fate = (Fate.TAKEN, "")
    waits = [bench.second() for _ in range(AGAIN_SECONDS)]
    assert not any(waits) and bench.second() == [("T1", "A", ["K"])]
    assert bench.second() == []


def test_a_restart_repeats_nothing_the_analyzer_took(bench: Bench) -> None:
    bench.plug()
    bench.know("T1", "K")
    assert bench.second() == [("T1", "A", ["K"])]
    bench.fate = (Fate.LOST, "")
    bench.know("T2", "NA")
    assert bench.second() == [("T2", "A", ["NA"])]
    bench.restart()
    assert bench.second() == [("T2", "A", ["NA"])], "only what nobody knows to be there"
    bench.know("T1", version=2)
    bench.restart()
    assert bench.second() == [("T1", "C", ["K"])], "cancelled while the agent was away, and still taken back"
    bench.restart()
    assert bench.second() == []


def test_no_name_of_what_was_told_lies_readable_on_disk(bench: Bench) -> None:
    bench.plug()
    bench.know("TUBE4711", "K", patient_name="ZHANGMARKER")
    bench.second()
    bench.journal.flush()
    bytes_on_disk = b"".join(path.read_bytes() for path in bench.folder.iterdir())
    assert b"ZHANGMARKER" not in bytes_on_disk and b"TUBE4711" not in bytes_on_disk


def test_what_left_the_worklist_is_forgotten(bench: Bench) -> None:
    bench.plug()
    bench.know("T1", "K")
    bench.second()
    bench.worklist.drop_old(now_ms() + 2 * 86_400_000)
    bench.broadcasts.drop_old()
    bench.journal.flush()
    assert Told(bench.journal).all() == []


def test_a_refused_order_is_shown_and_offered_ever_more_seldom(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.plug()
    bench.know("T1", "K")
    bench.fate = (Fate.REFUSED, "rack full")
    offered, at = [], 0.0
    for number in range(200):
        bench.minutes(monkeypatch, at := number * 0.25)
        offered += [at] if bench.second() else []
    assert offered == [0.0, 0.5, 1.5, 3.5, 7.5], "30 s, 1, 2 and 4 minutes between, then not by itself"
    [shown] = bench.line.refusals
    assert (shown["specimen"], shown["tests"], shown["why"], shown["tries"], shown["again"]) == ("T1", ["K"], "rack full", 5, None)
    bench.fate = (Fate.TAKEN, "")
    bench.broadcasts.anew(bench.line)
    assert bench.second() == [("T1", "A", ["K"])], "a person had it sent once more"
    bench.second()
    assert bench.line.refusals == []


def test_a_refused_order_that_is_ordered_no_more_is_shown_no_more(bench: Bench) -> None:
    bench.plug()
    bench.know("T1", "K")
    bench.fate = (Fate.IMPOSSIBLE, "K")
    bench.second()
    bench.know("T1", version=2)
    assert bench.second() == [], "what was never taken need not be taken back"
    bench.second()
    assert bench.line.refusals == []


def test_a_refused_cancellation_is_offered_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.plug()
    bench.know("T1", "K")
    bench.second()
    bench.know("T1", version=2)
    bench.fate = (Fate.REFUSED, "running")
    assert bench.second() == [("T1", "C", ["K"])]
    assert bench.second() == [] and bench.line.refusals[0]["cancel"]
    bench.minutes(monkeypatch, 0.6)
    bench.fate = (Fate.TAKEN, "")
    assert bench.second() == [("T1", "C", ["K"])]


def test_an_old_order_is_never_sent(bench: Bench) -> None:
    bench.plug()
    bench.know("T1", "K", expires_at="2020-01-01T00:00:00+00:00")
    assert bench.second() == []


def test_the_session_on_the_wire_is_begun_by_us_and_ended(bench: Bench) -> None:
    wrote: list[bytes] = []
    channel = AstmChannel(bench.line, wrote.append, "peer")
    bench.know("T1", "K")
    bench.broadcasts.second(bench.line)
    assert wrote == [b"\x05"]
    while wrote[-1] != b"\x04":
        channel.received(b"\x06")
    frames = b"".join(wrote[1:-1])
    assert frames == b"".join(build_frames(order_push([TubeOrder("T1", ("K",))], "astm", now=_sent_at(frames))[0]))
    channel.closed()
    assert bench.line.offers == []


# --- HL7: the next order goes when the one before is answered ---------------------------------------------------------


class Law:
    """An HL7 analyzer at a channel of the agent."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.wrote = bench, bytearray()
        self.channel = Hl7Channel(bench.line, self.wrote.extend, "peer")

    def orders(self) -> list[str]:
        """Message ids of the orders that came since."""
        self.bench.broadcasts.second(self.bench.line)
        found = re.findall(rb"OML\^O33\^OML_O33\|([^|]*)", bytes(self.wrote))
        self.wrote.clear()
        return [one.decode() for one in found]

    def says(self, control: str, code: str, *more: str, kind: str = "ORL^O34^ORL_O42") -> None:
        lines = [f"MSH|^~\\&|AU|L|LIS||20260701||{kind}|9|P|2.5.1", f"MSA|{code}|{control}", *more]
        self.channel.received(b"\x0b" + "".join(line + "\r" for line in lines).encode() + b"\x1c\r")
        self.bench.journal.flush()


@pytest.fixture
def law(tmp_path: Path) -> Iterator[Law]:
    bench = Bench(tmp_path, "hl7")
    made = Law(bench)
    yield made
    made.channel.closed()
    bench.journal.close()
    bench.loop.close()


def test_hl7_orders_go_one_by_one_and_are_remembered_when_taken(law: Law) -> None:
    law.bench.know("T1", "K")
    law.bench.know("T2", "K")
    assert law.orders() == ["T1-1"]
    assert law.orders() == [], "the first is not answered yet"
    law.says("T1-1", "AA", "SPM|1|T1", "ORC|OK|T1-1")
    assert law.orders() == ["T2-1"]
    law.says("T9-9", "AA")
    assert law.orders() == [], "an answer to another message is none"
    law.says("T2-1", "AA", kind="ACK^O33")
    assert law.orders() == []
    assert sorted(order.barcode for _, order, _ in Told(law.bench.journal).all()) == ["T1", "T2"]


def test_an_orl_that_refuses_one_test_is_shown_and_the_rest_stands(law: Law) -> None:
    law.bench.know("T1", "K", "XX")
    law.orders()
    law.says("T1-1", "AA", "ORC|OK|T1-1", "OBR|1|T1-1||K", "ORC|UA|T1-2||||||||||||||NOTEST^not on the menu", "OBR|2|T1-2||XX")
    assert law.orders() == []
    [shown] = law.bench.line.refusals
    assert (shown["why"], shown["again"]) == ("XX not on the menu", None)
    assert [(order.barcode, refused) for _, order, refused in Told(law.bench.journal).all()] == [("T1", "XX not on the menu")]
    assert law.bench.line.health.notices["order-refused"] == 1
    law.bench.know("T1", version=2)
    assert law.orders() == ["T1-2C"], "the test that was taken is taken back"


@pytest.mark.parametrize(("code", "why"), [("AE", "busy"), ("AR", "unknown"), ("CR", "no")])
def test_a_refused_message_waits_and_the_next_goes(law: Law, code: str, why: str) -> None:
    law.bench.know("T1", "K")
    law.bench.know("T2", "K")
    law.orders()
    law.says("T1-1", code, f"ERR||||E||||{why}", kind="ACK")
    assert law.orders() == ["T2-1"]
    assert [(one["specimen"], one["why"]) for one in law.bench.line.refusals] == [("T1", why)]
    assert Told(law.bench.journal).all() == []


def test_an_order_nobody_answers_is_not_repeated_for_ever(law: Law, monkeypatch: pytest.MonkeyPatch) -> None:
    law.bench.know("T1", "K")
    offered = 0
    for number in range(60):
        law.bench.minutes(monkeypatch, number * 0.5)
        offered += len(law.orders())
        law.channel._orders._late()
    assert offered == 5 and "没有应答" in law.bench.line.refusals[0]["why"]
    law.bench.know("T1", version=2)
    assert law.orders() == ["T1-2C"], "perhaps it has the order: it is taken back"


def test_ca_without_more_is_an_answer(law: Law) -> None:
    law.bench.know("T1", "K")
    law.orders()
    law.says("T1-1", "CA", kind="ACK")
    law.channel._orders._late()
    law.bench.journal.flush()
    assert law.orders() == [] and len(Told(law.bench.journal).all()) == 1


def _sent_at(frames: bytes) -> str:
    return frames.split(b"\r", 1)[0].rsplit(b"|", 1)[-1].decode()


def test_the_configuration_says_who_wants_orders() -> None:
    line = {"key": "c", "protocol": "hl7", "transport": {"type": "tcp-listen", "port": 1}, "broadcast": True}
    assert parse_config({"connections": [line]}).connections[0].broadcast


@pytest.mark.parametrize(("cancel", "control"), [(False, "NW"), (True, "CA")])
def test_hl7_orders_are_the_work_orders_of_law(cancel: bool, control: str) -> None:
    [message] = order_push([TubeOrder("T1", ("K", "NA"), priority="stat", order_version=3)], "hl7", now="20260504100000", cancel=cancel)
    [read] = decode(message).messages
    assert (read.type, read.kind) == ("OML^O33", "order")
    [specimen] = read.specimens
    assert (specimen.specimen_id, [r.code for r in specimen.results]) == ("T1", ["K", "NA"])
    assert message.count(f"\rORC|{control}|".encode()) == 2 and b"|S" in message


def test_a_protocol_that_only_answers_is_told_nothing() -> None:
    assert order_push([TubeOrder("T1", ("K",))], "bci") == []
