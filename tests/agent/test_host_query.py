"""Host queries from the cached worklist: the right tube, in time, and never an old, cancelled or another one's order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent import worklist as worklist_module
from agent.channels.base import now_ms
from agent.config import ConfigError, Connection, Transport, parse_config
from agent.host_query import CLOUD_SECONDS, HostQueries
from agent.journal import Journal
from agent.worklist import MAX_AGE_MS, Worklist
from common.instruments.decode import decode
from common.protocol.astm.framing import build_frames

XN = Connection("xn", "XN", "xn", "astm", Transport("tcp-listen", port=1), host_query=True)
OTHER = Connection("other", "Other", "o", "astm", Transport("tcp-listen", port=1), host_query=True)


def tube(barcode: str, *tests: str, **more: Any) -> dict[str, Any]:
    return {
        "barcode": barcode,
        "sample_no": None,
        "tests": list(tests),
        "priority": "routine",
        "order_version": 1,
        "cancelled": False,
        **more,
    }


def query(*specimens: str) -> bytes:
    ids = "\\".join("^" + specimen for specimen in specimens)
    records = f"H|\\^&|||Sim\rQ|1|{ids}||ALL\rL|1|N\r"
    return b"\x05" + b"".join(build_frames(records.encode(), per_record=True)) + b"\x04"


class Cloud:
    """The way to the cloud: notes what was asked; `react` may answer."""

    def __init__(self, react: Callable[[list[str]], None] | None = None, connected: bool = True) -> None:
        self.connected = connected
        self.asked: list[list[str]] = []
        self.react = react

    def publish_now(self, kind: str, body: Any, conn: str = "") -> bool:
        if self.connected:
            self.asked.append(body["specimen_ids"])
            if self.react is not None:
                asyncio.get_running_loop().call_later(0.02, self.react, body["specimen_ids"])
        return self.connected


class Desk:
    """A worklist and the queries over it."""

    def __init__(self, folder: Path, cloud: Cloud | None = None) -> None:
        self.journal = Journal(folder / "j.db")
        self.worklist = Worklist(self.journal)
        self.queries = HostQueries(self.worklist, asyncio.get_running_loop())
        self.queries.asker = self.cloud = cloud or Cloud(connected=False)

    def know(self, *tubes: dict[str, Any], conn: str = "xn", age_ms: int = 0) -> None:
        now = now_ms()
        self.worklist.accept(conn, tubes, now - age_ms, now)
        names = {str(t.get(n)).upper() for t in tubes for n in ("barcode", "sample_no")}
        self.queries.worklist_came(conn, names if tubes else set())

    async def ask(self, *specimens: str, conn: Connection = XN) -> tuple[dict[str, list[str]], float]:
        """The orders answered by specimen, and the seconds it took."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[list[bytes]] = loop.create_future()
        began = loop.time()
        assert self.queries.asks(conn, query(*specimens))
        self.queries.answer(conn, query(*specimens), answered.set_result)
        messages = await asyncio.wait_for(answered, 5)
        took = loop.time() - began
        found: dict[str, list[str]] = {}
        for message in messages:
            for one in decode(message).messages:
                for specimen in one.specimens:
                    found[specimen.specimen_id or ""] = [result.code or "" for result in specimen.results]
        return found, took


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def test_a_known_tube_is_answered_at_once_without_the_cloud(tmp_path: Path) -> None:
    async def test() -> None:
        desk = Desk(tmp_path)
        desk.know(tube("B1", "WBC", "RBC"), tube("B2", "PLT"))
        found, took = await desk.ask("B1")
        assert found == {"B1": ["WBC", "RBC"]}
        assert took < CLOUD_SECONDS / 2

    run(test)


def test_the_cache_survives_a_restart(tmp_path: Path) -> None:
    async def test() -> None:
        desk = Desk(tmp_path)
        desk.know(tube("B1", "WBC"))
        desk.journal.close()
        assert (await Desk(tmp_path).ask("B1"))[0] == {"B1": ["WBC"]}

    run(test)


def test_several_tubes_in_one_query(tmp_path: Path) -> None:
    async def test() -> None:
        desk = Desk(tmp_path)
        desk.know(tube("B1", "WBC"), tube("B2", "PLT"), tube("B3", "RBC"))
        assert (await desk.ask("B1", "B3"))[0] == {"B1": ["WBC"], "B3": ["RBC"]}

    run(test)


def test_an_unknown_tube_is_asked_of_the_cloud(tmp_path: Path) -> None:
    async def test() -> None:
        desk = Desk(tmp_path, Cloud())
        desk.cloud.react = lambda ids: desk.know(tube("B9", "GLU"))
        found, took = await desk.ask("B9")
        assert (found, desk.cloud.asked) == ({"B9": ["GLU"]}, [["B9"]])
        assert took < CLOUD_SECONDS

    run(test)


def test_an_empty_worklist_ends_the_wait(tmp_path: Path) -> None:
    async def test() -> None:
        desk = Desk(tmp_path, Cloud())
        desk.cloud.react = lambda ids: desk.know()
        found, took = await desk.ask("B9")
        assert found == {}
        assert took < CLOUD_SECONDS / 2

    run(test)


def test_a_silent_cloud_means_no_order_in_time(tmp_path: Path) -> None:
    async def test() -> None:
        desk = Desk(tmp_path, Cloud())
        found, took = await desk.ask("B9")
        assert found == {}
        assert took < 2.0, "the analyzer waits 2 s at most"
        assert desk.queries.answered_offline == 1

    run(test)


def test_a_push_about_another_tube_does_not_end_the_wait(tmp_path: Path) -> None:
    async def test() -> None:
        desk = Desk(tmp_path, Cloud())

        def react(ids: list[str]) -> None:
            desk.know(tube("OTHER", "X"))
            asyncio.get_running_loop().call_later(0.1, lambda: desk.know(tube("B9", "GLU")))

        desk.cloud.react = react
        assert (await desk.ask("B9"))[0] == {"B9": ["GLU"]}

    run(test)


@pytest.mark.parametrize(
    ("tubes", "age_ms"),
    [
        ([], 0),
        ([tube("B1", "WBC", cancelled=True)], 0),
        ([tube("B1")], 0),
        ([tube("B1", "WBC")], MAX_AGE_MS + 60_000),
        ([tube("B1", "WBC", expires_at=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())], 0),
        ([tube("B11", "WBC"), tube("1B1", "RBC"), tube("B", "X")], 0),
    ],
    ids=["unknown", "cancelled", "nothing-ordered", "a-day-old", "expired", "similar-names"],
)
def test_no_order(tmp_path: Path, tubes: list[dict[str, Any]], age_ms: int) -> None:
    async def test() -> None:
        desk = Desk(tmp_path)
        desk.know(*tubes, age_ms=age_ms)
        assert (await desk.ask("B1"))[0] == {}

    run(test)


def test_another_connections_tube_is_not_ours(tmp_path: Path) -> None:
    async def test() -> None:
        desk = Desk(tmp_path)
        desk.know(tube("B1", "WBC"), conn="other")
        assert (await desk.ask("B1"))[0] == {}
        assert (await desk.ask("B1", conn=OTHER))[0] == {"B1": ["WBC"]}

    run(test)


def test_an_older_version_never_replaces_a_newer_one(tmp_path: Path) -> None:
    async def test() -> None:
        desk = Desk(tmp_path)
        desk.know(tube("B1", "WBC", "RBC", order_version=5))
        desk.know(tube("B1", "WBC", order_version=6, cancelled=True))
        desk.know(tube("B1", "WBC", "RBC", order_version=5))
        assert (await desk.ask("B1"))[0] == {}
        again = Desk(tmp_path)
        assert (await again.ask("B1"))[0] == {}, "nor after a restart"

    run(test)


def test_a_sample_number_only_counts_on_its_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        desk = Desk(tmp_path)
        desk.know(tube("B1", "WBC", sample_no="12"))
        assert list((await desk.ask("12"))[0].values()) == [["WBC"]]
        monkeypatch.setattr(worklist_module, "now_ms", lambda: now_ms() + 20 * 3_600_000)
        tomorrow = worklist_module._day(now_ms()) != worklist_module._day(now_ms() + 20 * 3_600_000)
        assert (desk.worklist.find("xn", "12") is None) is tomorrow

    run(test)


def test_urgent_bytes_are_known(tmp_path: Path) -> None:
    async def test() -> None:
        desk = Desk(tmp_path)
        desk.know(tube("B1", "WBC", priority="stat"), tube("B2", "WBC"))
        assert desk.queries.is_urgent(b"O|1|B1||^^^WBC")
        assert not desk.queries.is_urgent(b"O|1|B2||^^^WBC")
        desk.know(tube("B1", "WBC", order_version=2))
        assert not desk.queries.is_urgent(b"O|1|B1||^^^WBC")

    run(test)


def test_results_are_no_queries(tmp_path: Path) -> None:
    async def test() -> None:
        desk = Desk(tmp_path)
        assert not desk.queries.asks(XN, b"\x05\x021R|1|^^^Q|5|\r\x03..")
        assert not desk.queries.asks(Connection("x", "x", "", "astm", XN.transport), query("B1"))

    run(test)


@pytest.mark.parametrize(
    "name", ["sysmex_ca_inquiry", "mindray_bs_query", "beckman_access_query", "cepheid_genexpert_hl7", "erba_xl_query"]
)
def test_every_way_to_ask_is_noticed(tmp_path: Path, name: str) -> None:
    body = (Path(__file__).resolve().parents[1] / "captures" / f"{name}.bin").read_bytes()

    async def test() -> None:
        assert Desk(tmp_path).queries.asks(XN, body)
        assert Desk(tmp_path).queries.asks(XN, b"\x0bMSH|^~\\&|BC-6800||||2026||ORM^O01|1|P|2.3.1\rORC|RF||B1||IP\r\x1c\r")
        assert not Desk(tmp_path).queries.asks(XN, b"\x0bMSH|^~\\&|A||||2026||ORU^R01|1|P|2.3.1\rORC|RE\rOBR|1||B1\r\x1c\r")

    run(test)


def test_a_site_s_differences_hold_for_the_answer_too(tmp_path: Path) -> None:
    site = {"codes": {"901": "WBC"}, "reply": {"specimen": [4, 1], "test": "^^^{code}^"}, "specimen": [["O", 4, 1]]}
    raw = {"key": "xn", "protocol": "astm", "transport": {"type": "tcp-listen", "port": 1}, "host_query": True, "site": site}
    [here] = parse_config({"connections": [raw]}).connections

    async def test() -> None:
        desk = Desk(tmp_path)
        desk.know(tube("B1", "WBC", "RBC"))
        answered: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        desk.queries.answer(here, query("B1"), answered.set_result)
        [message] = await asyncio.wait_for(answered, 5)
        # In O.4, with the code this analyzer itself uses; what the site does not name stays.
        assert b"\rO|1||B1|^^^901^\\^^^RBC^|R|" in message

    run(test)


def test_a_site_that_cannot_be_read_is_no_configuration() -> None:
    raw = {"key": "xn", "transport": {"type": "tcp-listen", "port": 1}, "site": {"from_a_newer_version": 1}}
    with pytest.raises(ConfigError, match="仪器差异"):
        parse_config({"connections": [raw]})
