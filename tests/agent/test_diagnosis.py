"""Twenty faults and more, each put into one of three lines (or the agent) under a fake clock: the right layer of the right connection is
named in time, and the other lines stay without blame. What doctor and the board make of it: tests/cloud/edge/test_faults.py."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent import health as health_module
from agent.channels.astm import AstmChannel
from common import diagnosis
from common.diagnosis import Layer
from tests.support.line_faults import FAULTS, START, Lab, gone, opened, put


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with opened(tmp_path, monkeypatch) as found:
        yield found


@pytest.mark.parametrize("name", FAULTS)
def test_the_layer_and_the_connection_are_named_in_time(lab: Lab, name: str) -> None:
    key, layer, limit = put(lab, name)
    found: dict[str, Layer] = {}
    for _ in range(limit):
        lab.second()
        found = lab.troubles()
        assert set(found) <= {key}, "no other line is blamed"
        if found:
            break
    assert found == {key: layer}


def test_what_is_over_is_not_shown_for_ever(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "WINDOW_SECONDS", 60.0)
    each_ = FAULTS["noise on the cable"][1]
    each_(lab, "s")
    lab.second(30)
    assert lab.troubles() == {"s": Layer.CABLE}
    lab.clock.calls = [call for call in lab.clock.calls if getattr(call[2], "__name__", "") != "again"]
    lab.second(health_module.WINDOW_SECONDS + 15)
    assert lab.troubles() == {}


def test_a_quiet_analyzer_is_no_fault(lab: Lab) -> None:
    lab.add("new", "astm", "tcp-listen", AstmChannel)
    lab.good("new")
    lab.second(90)
    assert lab.troubles() == {}, "a rhythm is believed after some results only"


def test_an_analyzer_that_calls_for_each_message_is_not_missed_between_two(lab: Lab) -> None:
    health = lab.lines["a"].health
    for _ in range(3):
        health.hung_up(2.0, carried=True, in_order=True)
    gone()(lab, "a")
    lab.second(60)
    assert lab.troubles() == {}
    for _ in range(600):
        lab.second()
        if lab.troubles():
            break
    assert lab.troubles() == {"a": Layer.CABLE}, "away for longer than it ever is"


@pytest.mark.parametrize("last", [(200.0, True, True), (2.0, False, True), (2.0, True, False)], ids=["long", "empty", "broken"])
def test_one_other_end_and_the_habit_is_doubted(lab: Lab, last: tuple[float, bool, bool]) -> None:
    health = lab.lines["a"].health
    for _ in range(5):
        health.hung_up(2.0, carried=True, in_order=True)
    assert health.on_demand
    health.hung_up(*last)
    gone()(lab, "a")
    lab.second(60)
    assert lab.troubles() == {"a": Layer.CABLE}


# --- the agent's own way to the cloud


def cloudy(**more: Any) -> dict[str, Any]:
    at = datetime.fromtimestamp(START, UTC).isoformat()
    cloud = {"connected": True, "since": at, "skew_ms": 20, "road": "", "last_receipt": at}
    return {
        "standalone": False,
        "clock_plausible": True,
        "refusing": False,
        "pending": 0,
        "cloud": {**cloud, **more.pop("cloud", {})},
        **more,
    }


ROADS: dict[str, tuple[dict[str, Any], Layer]] = {
    "no name server": (cloudy(cloud={"connected": False, "road": "dns"}), Layer.NETWORK),
    "network cable of the PC": (cloudy(cloud={"connected": False, "road": "network"}), Layer.NETWORK),
    "broker not running": (cloudy(cloud={"connected": False, "road": "closed"}), Layer.BROKER),
    "certificate ended": (cloudy(cloud={"connected": False, "road": "tls"}), Layer.BROKER),
    "agent revoked": (cloudy(cloud={"connected": False, "road": "refused"}), Layer.BROKER),
    "intake not running": (cloudy(pending=3), Layer.CLOUD),
    "clock set back to 1970": (cloudy(clock_plausible=False), Layer.COMPUTER),
    "clock an hour wrong": (cloudy(cloud={"skew_ms": 3_600_000}), Layer.COMPUTER),
    "disk full": (cloudy(refusing=True), Layer.COMPUTER),
    "journal not writable": (cloudy(journal_error="FullError"), Layer.COMPUTER),
}


@pytest.mark.parametrize("name", ROADS)
def test_the_way_to_the_cloud(name: str) -> None:
    told, layer = ROADS[name]
    now = datetime.fromtimestamp(START + 60, UTC)
    assert [trouble.layer for trouble in diagnosis.agent(told, now)] == [layer]
    assert diagnosis.agent(cloudy(), now) == []


@pytest.mark.parametrize("told", [{}, {"cloud": None}, {"cloud": {"connected": True}, "pending": 5}])
def test_half_a_heartbeat_is_no_crash(told: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    diagnosis.agent(told, now)
    assert diagnosis.connection({}, now) is None
    assert diagnosis.connection({"state": "fault", "errno": "ENOENT", "transport": "serial", "recent": 5}, now) is not None
