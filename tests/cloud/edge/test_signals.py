"""Pure rules of the watch: an analyzer's own pace, alerts, the layer at fault."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from cloud.modules.edge import facts, signals, verdicts
from cloud.modules.edge.signals import AgentFacts, LinkFacts, Mute
from cloud.modules.edge.verdicts import Layer

M = timedelta(minutes=1)
AGENT = AgentFacts(
    enrolled=True,
    online=True,
    offline_for=timedelta(seconds=3),
    skew=timedelta(0),
    certificate_left=timedelta(days=300),
    others_online=True,
)
LINK = LinkFacts(
    enabled=True, online=True, offline_for=timedelta(seconds=3), state="idle", transport="tcp-listen", silent_for=M, result_ago=M,
    usual_gap=5 * M, frames=1000, messages=100, received=100,
)  # fmt: skip


def test_a_pace_is_the_gap_nine_of_ten_results_keep_and_nights_do_not_count() -> None:
    start = datetime(2026, 5, 4, tzinfo=UTC)
    steady = [start + 6 * M * n for n in range(30)]
    assert signals.usual_gap(steady) == 6 * M
    assert signals.usual_gap([*steady, steady[-1] + timedelta(hours=12)]) == 6 * M
    assert signals.usual_gap(steady[:20]) is None, "19 gaps are too few to believe"
    assert signals.usual_gap([start + timedelta(seconds=20) * n for n in range(40)]) == signals.LEAST_GAP


def test_hours_of_work_may_go_over_midnight() -> None:
    at = datetime(2026, 5, 4, 15, 0, tzinfo=UTC)
    assert signals.working(at, UTC, time(7, 30), time(17, 30)) and not signals.working(at, UTC, time(16), time(17))
    assert signals.working(at.replace(hour=23), UTC, time(20), time(8)) and not signals.working(at, UTC, time(20), time(8))


AWAY = {"online": False, "offline_for": 5 * M}


@pytest.mark.parametrize(
    ("link", "agent", "layer"),
    [
        ({}, {}, Layer.NONE),
        ({"enabled": False}, {}, Layer.AGENT),
        ({}, {"enrolled": False}, Layer.AGENT),
        (AWAY, AWAY, Layer.NETWORK),
        (AWAY, {**AWAY, "others_online": False}, Layer.BROKER),
        (AWAY, {**AWAY, "others_online": None}, Layer.NETWORK),
        ({**AWAY, "offline_for": None}, {**AWAY, "offline_for": None}, Layer.AGENT),
        ({}, {"refusing": True}, Layer.DISK),
        ({"agent_layer": "cable", "agent_advice": "查线"}, {}, Layer.CABLE),
        ({"agent_layer": "nonsense"}, {}, Layer.NONE),
        ({"state": "fault", "transport": "serial"}, {}, Layer.CABLE),
        ({"state": "fault", "transport": "tcp-listen"}, {}, Layer.PORT),
        ({"state": "connecting", "transport": "tcp-dial"}, {}, Layer.CABLE),
        ({"state": "connecting"}, {}, Layer.CABLE),
        ({"state": "", "transport": "file"}, {}, Layer.NONE),
        ({"state": "", "silent_for": None}, {"behind": True}, Layer.AGENT),
        ({"state": "idle"}, {"behind": True}, Layer.NONE),
        ({"checksum_errors": 11}, {}, Layer.LINK),
        ({"checksum_errors": 600}, {}, Layer.PORT),
        ({"checksum_errors": 10}, {}, Layer.NONE),
        ({"silent_for": None}, {}, Layer.CABLE),
        ({"messages": 0, "incomplete": 4}, {}, Layer.PORT),
        ({"result_ago": 15 * M + timedelta(seconds=1)}, {}, Layer.CABLE),
        ({"result_ago": 15 * M}, {}, Layer.NONE),
        ({"result_ago": 900 * M, "usual_gap": None}, {}, Layer.NONE),
        ({"unread": 1}, {}, Layer.PROTOCOL),
        ({"has_analyzer": False}, {}, Layer.MAPPING),
        ({"unmapped": 2}, {}, Layer.MAPPING),
        ({"orphans": 51}, {}, Layer.MAPPING),
        ({"judged": True, "checksum_errors": 600, "silent_for": None, "state": "fault"}, {}, Layer.NONE),
        ({"judged": True, "result_ago": 16 * M}, {}, Layer.CABLE),
        ({}, {"pending": 101, "pending_age": 3 * M}, Layer.CLOUD),
        ({}, {"pending": 100, "pending_age": 3 * M}, Layer.NONE),
        ({"unread": 1, "state": "fault", "transport": "serial"}, {}, Layer.CABLE),
    ],
)
def test_the_layer_at_fault(link: dict, agent: dict, layer: Layer) -> None:  # type: ignore[type-arg]
    found = verdicts.diagnose(replace(LINK, **link), replace(AGENT, **agent))
    assert found.layer is layer
    assert found.why % dict(found.args), "the words fit their fields"
    assert layer is Layer.NONE or found.do


def kinds(found: list[signals.Signal]) -> list[str]:
    return [s.kind for s in found]


def test_alerts_of_an_agent_at_their_limits() -> None:
    away = replace(AGENT, online=False, offline_for=2 * M + timedelta(seconds=1))
    assert kinds(signals.agent_signals(away, True)) == ["offline"]
    assert signals.agent_signals(away, False) == [], "nobody is called at night"
    assert signals.agent_signals(replace(away, offline_for=2 * M), True) == []
    assert kinds(signals.agent_signals(replace(AGENT, pending=101), False)) == ["backlog"]
    assert kinds(signals.agent_signals(replace(AGENT, certificate_left=timedelta(days=29, hours=23)), False)) == ["certificate"]
    assert signals.agent_signals(replace(AGENT, certificate_left=timedelta(days=30), pending=100, skew=timedelta(seconds=30)), True) == []
    assert kinds(signals.agent_signals(replace(AGENT, skew=timedelta(seconds=-31)), True)) == ["clock"]
    assert kinds(signals.agent_signals(replace(AGENT, refusing=True), False)) == ["disk"]
    gb = 1 << 30
    low = replace(AGENT, disk_total=100 * gb, disk_free=20 * gb - 1, overdue="0.2.0")
    assert kinds(signals.agent_signals(low, False)) == ["disk_low", "old_version"]
    assert kinds(signals.agent_signals(replace(low, refusing=True, overdue=""), False)) == ["disk"], "the worse of the two"
    for room in ((100, 20), (99, 20), (1000, 30), (0, 0)):
        assert signals.agent_signals(replace(AGENT, disk_total=room[0] * gb, disk_free=room[1] * gb), True) == [], room
    both = replace(AGENT, pending=101, refusing=True)
    for signal in (*signals.agent_signals(away, True), *signals.agent_signals(both, True), *signals.agent_signals(low, True)):
        assert signals.WORDS[signal.kind] % {"name": "x", **signal.fields}


def test_alerts_of_a_connection_at_their_limits() -> None:
    silent = replace(LINK, result_ago=16 * M)
    assert kinds(signals.link_signals(silent, True)) == ["silent"]
    assert signals.link_signals(silent, False) == []
    assert signals.link_signals(replace(silent, simulator=True), True) == []
    assert signals.link_signals(replace(silent, enabled=False), True) == []
    assert signals.link_signals(replace(silent, state="fault", spare=True), True) == [], "nobody counts on a spare line"
    assert kinds(signals.link_signals(replace(silent, state="fault", spare=True, unmapped=1), True)) == ["unmapped"]
    assert kinds(signals.link_signals(replace(LINK, checksum_errors=11), False)) == ["checksum"]
    assert kinds(signals.link_signals(replace(LINK, unmapped=1, state="fault"), True)) == ["link", "unmapped"]
    minute = timedelta(seconds=60)
    for skew in (None, minute, -minute):
        assert signals.link_signals(replace(LINK, skew=skew), True) == []
    for skew, told in ((timedelta(seconds=61), "+1.0"), (timedelta(days=-1), "-1440.0")):
        assert signals.link_signals(replace(LINK, skew=skew), False) == [signals.Signal("analyzer_clock", {"minutes": told})]
    second = timedelta(seconds=1)
    for found, ahead in (
        ([minute], minute),
        ([-minute, minute], -minute),  # slow by what is allowed: not slow
        ([-minute - second, second], second),
        ([-minute - second, 5 * minute, -2 * minute], -minute - second),
        ([-9 * minute, 2 * minute, -10 * minute], 2 * minute),
        ([-9 * minute, -8 * minute, -9 * minute], -8 * minute),
        ([3 * minute, second], 3 * minute),  # what is ahead did not wait
    ):
        assert signals.clock_ahead(found) == ahead, found
    wrong = replace(silent, checksum_errors=11, unmapped=1, state="fault", skew=2 * minute)
    for signal in signals.link_signals(wrong, True):
        assert signals.WORDS[signal.kind] % {"name": "x", **signal.fields}


@pytest.mark.parametrize(
    ("link", "agent", "word"),
    [
        ({}, {}, "正常"), ({"enabled": False}, {}, "已停用"), ({"online": False}, {}, "采集端离线"),
        ({}, {"refusing": True}, "磁盘满，拒收"),
        ({"state": "fault"}, {}, "故障"), ({"simulator": True}, {}, "模拟模式"), ({"state": "connecting"}, {}, "等待仪器连接"),
        ({}, {"pending": 101}, "有积压"), ({"checksum_errors": 11}, {}, "有校验错误"), ({"result_ago": 16 * M}, {}, "久无结果"),
        ({"unmapped": 1}, {}, "有待处理"), ({"state": "connecting", "on_demand": True}, {}, "正常，按需连接"),
        ({"state": "connecting", "on_demand": True, "result_ago": 16 * M}, {}, "久无结果"),
        ({"spare": True, "state": "fault"}, {}, "备用，未连接"), ({"spare": True, "state": "connecting"}, {}, "备用，未连接"),
        ({"spare": True, "result_ago": 16 * M}, {}, "正常"), ({"spare": True, "online": False}, {}, "采集端离线"),
    ],
)  # fmt: skip
def test_the_light_shows_the_worst(link: dict, agent: dict, word: str) -> None:  # type: ignore[type-arg]
    assert verdicts.light(replace(LINK, **link), replace(AGENT, **agent))[1] == word


def test_the_agents_own_signs_name_the_layer() -> None:
    row = {"conn": "c", "state": "fault", "errno": "ENOENT", "transport": "serial", "recent": {}}
    found = facts._trouble(row, datetime(2026, 5, 4, tzinfo=UTC))
    assert found is not None and facts.LAYERS[found.layer] is Layer.CABLE
    said = verdicts.diagnose(replace(LINK, judged=True, agent_layer="cable", agent_why=found.text, agent_advice=found.advice), AGENT)
    assert (said.layer, said.why) == (Layer.CABLE, "串口设备不在或已拔出")
    assert facts._trouble({"usual_gap": "x", "last_result": "y"}, datetime(2026, 5, 4, tzinfo=UTC)) is None
    assert set(facts.LAYERS.values()) <= set(Layer)


@pytest.mark.parametrize(
    ("more", "up"),
    [
        ({"state": "idle"}, True),
        ({"state": "transferring"}, True),
        ({"state": "connecting"}, False),
        ({"state": "connecting", "on_demand": True}, True),
        ({"state": "connecting", "on_demand": True, "agent_layer": "cable"}, False),
        ({"state": "fault", "on_demand": True}, False),
        ({"state": "idle", "online": False}, False),
        ({"state": "connecting", "on_demand": True, "online": False}, False),
    ],
)
def test_a_link_is_up_when_results_could_come(more: dict[str, Any], up: bool) -> None:
    assert signals.up(replace(LINK, **more)) is up


@pytest.mark.parametrize(
    ("more", "missed"),
    [
        ({"state": "idle"}, False),
        ({"state": "listening"}, True),
        ({"state": "listening", "on_demand": True}, False),
        ({"state": "listening", "spare": True}, False),
        ({"state": "listening", "enabled": False}, False),
        ({"state": "fault"}, True),
        ({"state": "idle", "online": False}, True),
        ({"state": "idle", "result_ago": timedelta(minutes=16), "usual_gap": timedelta(minutes=5)}, True),
        ({"state": "idle", "result_ago": timedelta(minutes=15), "usual_gap": timedelta(minutes=5)}, False),
    ],
)
def test_which_analyzer_its_section_misses(more: dict[str, Any], missed: bool) -> None:
    given: dict[str, Any] = {"enabled": True, "online": True, "offline_for": None}
    assert signals.away(LinkFacts(**(given | more))) is missed


GONE = {"state": "listening", "result_ago": 6 * M}


@pytest.mark.parametrize(
    ("links", "why"),
    [
        ([GONE], Mute.ABSENT),
        ([{**GONE, "result_ago": None}], Mute.ABSENT),
        ([{**GONE, "result_ago": 5 * M}], None),  # it spoke a moment ago: its line only looks empty
        ([{**GONE, "result_ago": 5 * M + timedelta(seconds=1)}], Mute.ABSENT),
        ([{"state": "connecting", "on_demand": True, "result_ago": 14 * M}], None),
        ([GONE | {"state": "fault"}], Mute.FAULT),
        ([GONE | {"state": "error"}], Mute.FAULT),
        ([GONE | {"online": False, "state": "fault"}], Mute.AGENT),
        ([{"result_ago": 16 * M}], Mute.SILENT),
        ([{"result_ago": 15 * M}], None),
        ([{"result_ago": 16 * M, "usual_gap": None}], None),  # no pace is known
        ([GONE, {}], None),  # one of its two lines speaks
        ([GONE, {"result_ago": 16 * M}], Mute.SILENT),
        ([GONE, GONE | {"online": False}], Mute.ABSENT),
        ([GONE | {"state": "fault"}, GONE | {"online": False}], Mute.FAULT),
    ],
)
def test_why_nothing_comes_from_an_analyzer(links: list[dict[str, Any]], why: Mute | None) -> None:
    assert signals.mute([replace(LINK, **each) for each in links]) is why


@pytest.mark.parametrize("more", [{"enabled": False}, {"spare": True}, {"simulator": True}, {"offline_for": None}])
def test_a_line_nobody_counts_on_says_nothing_of_its_analyzer(more: dict[str, Any]) -> None:
    assert signals.counted(LINK) and not signals.counted(replace(LINK, **more))


def test_only_what_no_other_alert_says_calls_for_tubes() -> None:
    assert [why for why in Mute if not signals.called(why, True)] == [Mute.ABSENT]
    assert not any(signals.called(why, False) for why in Mute)
