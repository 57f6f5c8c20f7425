"""Orders sent unasked: once a version, taken back when they are ordered no more, again when the analyzer did not take them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.broadcast import AGAIN_SECONDS, Broadcasts
from agent.channels.astm import AstmChannel
from agent.channels.base import Line, now_ms
from agent.config import Connection, Transport, parse_config
from agent.host_query import HostQueries
from agent.journal import Journal
from agent.worklist import Worklist
from common.instruments.decode import decode
from common.instruments.orders import TubeOrder, order_push
from common.protocol.astm.framing import build_frames


class Bench:
    """A line that wants orders, with what was written on it."""

    def __init__(self, folder: Path, **conn: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.journal = Journal(folder / "j.db")
        self.worklist = Worklist(self.journal)
        self.conn = Connection("c", "C", "C", "astm", Transport("tcp-listen", port=1), broadcast=True, **conn)
        self.line = Line(self.conn, self.journal, HostQueries(self.worklist, self.loop), self.loop)
        self.told: list[bytes] = []
        self.broadcasts = Broadcasts(self.worklist)

    def plug(self) -> None:
        self.line.senders.append(self.told.extend)

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


def test_a_refused_order_is_tried_again(bench: Bench) -> None:
    bench.plug()
    bench.know("T1", "K")
    assert bench.second() == [("T1", "A", ["K"])]
    bench.line.unsent += 1
    waits = [bench.second() for _ in range(AGAIN_SECONDS)]
    assert not any(waits) and bench.second() == [("T1", "A", ["K"])]


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
    assert bench.line.senders == []


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
