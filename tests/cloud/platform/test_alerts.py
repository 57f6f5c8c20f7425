"""One alert facility for every module: raised once, quiet once acknowledged, gone with its cause, seen by whom it concerns."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from cloud import modules
from cloud.modules.platform import alerts, rules
from cloud.modules.platform.alerts import Alert
from cloud.modules.platform.rules import Level
from cloud.web.faults import Conflict, Invalid, NotFound
from tests.support.lab import Lab

MINE = frozenset({"edge:read"})
A = Alert("edge.offline", "agent:1", Level.WARNING, "%(name)s 离线", "/edge/board", "edge:read", {"name": "采集端 1"})


def test_an_open_alert_is_not_raised_twice_and_its_words_follow(lab: Lab) -> None:
    with lab.uow() as uow:
        alerts.raise_alert(uow, A)
        alerts.raise_alert(uow, replace(A, fields={"name": "采集端一"}))
        (only,) = alerts.visible(uow, MINE)
        assert only.fields == {"name": "采集端一"}
        assert alerts.counts(uow, MINE) == (1, 0)


def test_acknowledged_stays_quiet_until_it_gets_worse_or_comes_back(lab: Lab) -> None:
    with lab.uow() as uow:
        alerts.raise_alert(uow, A)
        (row,) = alerts.visible(uow, MINE)
        with pytest.raises(Invalid):
            alerts.acknowledge(uow, row.id, MINE, "  ")
        alerts.acknowledge(uow, row.id, MINE, "已通知信息中心")
        with pytest.raises(Conflict):
            alerts.acknowledge(uow, row.id, MINE, "再次")
        alerts.raise_alert(uow, A)
        assert alerts.counts(uow, MINE) == (0, 0)
        alerts.raise_alert(uow, replace(A, level=Level.URGENT))
        assert alerts.counts(uow, MINE) == (1, 1)
        alerts.clear(uow, A.kind, A.subject)
        alerts.clear(uow, A.kind, A.subject)
        assert alerts.counts(uow, MINE) == (0, 0)
        with pytest.raises(Conflict):
            alerts.acknowledge(uow, row.id, MINE, "晚了")
        alerts.raise_alert(uow, A)
        assert alerts.counts(uow, MINE) == (1, 0)
        assert len(alerts.visible(uow, MINE, cleared=True)) == 1


def test_a_job_opens_what_it_finds_and_clears_what_it_does_not(lab: Lab) -> None:
    with lab.uow() as uow:
        alerts.sync(uow, A.kind, [A, replace(A, subject="agent:2")])
        alerts.sync(uow, A.kind, [replace(A, subject="agent:2")])
        assert [a.subject for a in alerts.visible(uow, MINE)] == ["agent:2"]
        alerts.sync(uow, A.kind, [])
        assert alerts.visible(uow, MINE) == []


def test_of_equally_grave_ones_what_a_role_acts_on_stands_first(lab: Lab) -> None:
    seen = frozenset({"edge:read", "catalog:propose"})
    gap = Alert("catalog.ri_gap", "CHEM", Level.WARNING, "空缺", "/md/ri", "catalog:propose")
    with lab.uow() as uow:
        for alert in (gap, replace(gap, subject="HEM"), A, replace(A, subject="agent:2"), replace(gap, subject="bad", level=Level.URGENT)):
            alerts.raise_alert(uow, alert)
        wanted = {"engineer": ["bad", "agent:1", "agent:2", "CHEM", "HEM"], "infogroup": ["bad", "CHEM", "HEM", "agent:1", "agent:2"]}
        for role, order in wanted.items():
            assert [a.subject for a in alerts.visible(uow, seen, roles=[role])] == order, role
        # A role that acts on neither, and none: by age.
        for roles in ([], ["guide"]):
            assert [a.subject for a in alerts.visible(uow, seen, roles=roles)] == ["bad", "CHEM", "HEM", "agent:1", "agent:2"]


def test_the_families_of_several_roles_each_by_its_best_place() -> None:
    assert rules.first_families([]) == rules.first_families(["no such role"]) == []
    assert list(rules.first_families(["engineer"])) == ["edge", "interfaces", "servicedesk"]
    both = list(rules.first_families(["engineer", "infogroup"]))
    assert both[:2] == ["catalog", "edge"] and both.index("interfaces") < both.index("orders") and len(set(both)) == len(both)
    # Each role and family named there exists; a misspelt one would rank nothing.
    assert set(rules._FIRST) <= {code for code, _, _ in rules.STANDARD_ROLES}
    sources = "".join(path.read_text() for path in Path(modules.__path__[0]).rglob("*.py"))
    assert [f for f in {f for some in rules._FIRST.values() for f in some} if not re.search(rf'"{f}\.[a-z_]+"', sources)] == []


def test_more_alerts_than_a_page_say_so(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "PAGE", 2)
    with lab.uow() as uow:
        for n in range(3):
            alerts.raise_alert(uow, replace(A, subject=f"agent:{n}"))
    assert "只显示最前的 2 条" in lab.client("tester").get("/alerts").text
    with lab.uow() as uow:
        alerts.clear(uow, A.kind, "agent:0")
        alerts.clear(uow, A.kind, "agent:1")
    assert "只显示最前的" not in lab.client("tester").get("/alerts").text


def test_only_for_whom_it_concerns_and_only_in_the_own_hospital(lab: Lab) -> None:
    with lab.uow() as uow:
        alerts.raise_alert(uow, A)
        (row,) = alerts.visible(uow, MINE)
        assert alerts.visible(uow, frozenset({"qc:read"})) == []
        with pytest.raises(NotFound):
            alerts.acknowledge(uow, row.id, frozenset({"qc:read"}), "看不到")
    with lab.uow(lab.b) as uow:
        assert alerts.visible(uow, MINE) == []


def test_the_pages(lab: Lab) -> None:
    with lab.uow() as uow:
        alerts.raise_alert(uow, replace(A, level=Level.URGENT))
    tester = lab.client("tester")
    assert "采集端 1 离线" in tester.get("/alerts").text
    assert "1" in tester.get("/alerts/count").text and "急" in tester.get("/alerts/count").text
    with lab.uow() as uow:
        (row,) = alerts.visible(uow, MINE)
    assert tester.post(f"/alerts/{row.id}/acknowledge", {"note": ""}, htmx=True).status_code == 422
    assert "已换网线" in tester.post(f"/alerts/{row.id}/acknowledge", {"note": "已换网线"}, htmx=True).text
    assert lab.client("tester", lab.b).post(f"/alerts/{row.id}/acknowledge", {"note": "x"}, htmx=True).status_code == 404


def test_a_page_that_refreshes_by_itself_keeps_nobody_logged_in(lab: Lab) -> None:
    lab.clock.set(lab.clock())
    tester = lab.client("tester", workstation="")
    for _ in range(6):
        lab.clock.advance(minutes=2, seconds=40)
        tester.get("/alerts/count", headers={"HX-Request": "true", "X-Idle": "160"})
    assert lab.clock() and tester.get("/me").headers["Location"].startswith("/locked")
    other = lab.client("tester", workstation="")
    for _ in range(6):
        lab.clock.advance(minutes=2, seconds=40)
        other.get("/alerts/count", headers={"HX-Request": "true", "X-Idle": "3"})
    assert other.get("/me").status_code == 200
