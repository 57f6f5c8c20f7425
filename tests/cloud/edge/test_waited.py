"""An analyzer that is away while tubes wait for it beyond their time: one alert, said to section and engineer, closed by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from cloud.modules.catalog import models as md
from cloud.modules.edge import models
from cloud.modules.platform.rules import Level
from tests.cloud.edge.test_links import at_noon, beat, run_watch
from tests.cloud.edge.world import Edge, astm


def at_night(edge: Edge) -> None:
    edge.lab.clock.set(edge.lab.clock().replace(hour=19, minute=1))  # 03:01 in the laboratory


def tube(edge: Edge, minutes: int, seconds: int = 0, **more: Any) -> str:
    """A tube received so long ago."""
    barcode = edge.tube(**more)
    since = edge.lab.clock() - timedelta(minutes=minutes, seconds=seconds)
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE specimen SET received_at = :since WHERE barcode = :b"), {"since": since, "b": barcode})
    return barcode


def told(edge: Edge) -> list[Any]:
    """Open alerts of this kind, as they stand after a look."""
    run_watch(edge)
    return edge.rows("SELECT subject, level, fields, at, url FROM alert WHERE kind = 'edge.waited' AND cleared_at IS NULL ORDER BY subject")


def away(edge: Edge, **more: Any) -> None:
    beat(edge, state="listening", transport="tcp-listen", **more)


def second_analyzer(edge: Edge) -> int:
    """Another analyzer of the section on the same agent, connected, that measures the same tests."""
    with edge.lab.uow() as uow:
        row = md.Analyzer(code="AU2", name="生化仪二号", model="X", section_id=edge.bench.section)
        uow.s.add(row)
        uow.s.flush()
        for item in ("K", "NA", "GLU", "CREA"):
            uow.s.add(md.AnalyzerItemMap(analyzer_id=row.id, channel_code=item, item_id=edge.bench.items[item]))
        line = {"type": "tcp-listen", "host": "127.0.0.1", "port": 2}
        uow.s.add(models.Connection(agent_id=edge.agent.id, key="au2", name="二号", analyzer_id=row.id, protocol="astm", transport=line))
        uow.s.execute(
            text("UPDATE agent SET status = jsonb_set(status, '{connections}', status->'connections' || CAST(:said AS jsonb))"),
            {"said": '[{"conn": "au2", "state": "idle"}]'},
        )
        return row.id


@pytest.mark.parametrize(("stat", "minutes"), [(False, 60), (True, 20)])
def test_an_analyzer_that_is_away_calls_once_a_tube_is_late_for_it(edge: Edge, stat: bool, minutes: int) -> None:
    at_noon(edge)
    away(edge)
    assert told(edge) == [], "nobody waits for it"
    tube(edge, minutes, stat=stat)
    assert told(edge) == [], "the last moment is still in time"
    code = tube(edge, minutes, 1, stat=stat)
    [alert] = told(edge)
    assert (alert.subject, alert.level, alert.at) == (f"analyzer:{edge.bench.analyzer}", int(Level.URGENT), [edge.bench.section_code])
    assert (alert.fields["n"], alert.fields["code"], alert.url) == (1, code, "/edge/links/1")
    for role in ("tester", "engineer"):
        page = edge.lab.client(role).get("/alerts").text
        assert "（仪器未联机）：有 1 管标本超时在等，最早 " + code in page
    assert edge.lab.client("engineer").get(alert.url).status_code == 200
    beat(edge)
    assert told(edge) == [], "it speaks again"
    away(edge)
    assert len(told(edge)) == 1
    edge.take(edge.agent.raw(astm(code, {"K": "4.1", "Na": "140", "GLU": "5.0", "CREA": "80"})))
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE connection SET last_result_at = last_result_at - interval '6 minutes'"))
    assert told(edge) == [], "measured: nobody waits any more"


def test_at_night_only_what_somebody_waits_for_calls(edge: Edge) -> None:
    at_night(edge)
    away(edge)
    assert told(edge) == []
    tube(edge, 61)
    assert len(told(edge)) == 1
    # Its agent is gone, which alarms nobody at night by itself.
    edge.lab.clock.advance(minutes=3)
    [alert] = told(edge)
    assert "采集端离线" in edge.lab.client("tester").get("/alerts").text
    at_noon(edge)
    away(edge)
    edge.lab.clock.advance(minutes=3)
    assert told(edge) == [], "by day the agent's own alert says it"
    assert edge.rows("SELECT 1 FROM alert WHERE kind = 'edge.offline' AND cleared_at IS NULL")


def test_a_tube_another_analyzer_can_take_waits_for_none(edge: Edge) -> None:
    at_noon(edge)
    away(edge)
    tube(edge, 61)
    twin = second_analyzer(edge)
    assert told(edge) == [], "the twin is there"
    with edge.lab.uow() as uow:
        m = md.AnalyzerItemMap
        uow.s.delete(uow.s.execute(select(m).where(m.analyzer_id == twin, m.channel_code == "CREA")).scalar_one())
    assert [a.subject for a in told(edge)] == [f"analyzer:{edge.bench.analyzer}"], "the twin cannot measure all of it"
    with edge.lab.uow() as uow:
        uow.s.execute(select(md.Analyzer).where(md.Analyzer.id == edge.bench.analyzer)).scalar_one().active = False
    assert told(edge) == []


@pytest.mark.parametrize("column", ["enabled = false", "spare = true", "simulator_from = now()"])
def test_a_line_nobody_counts_on_calls_nobody(edge: Edge, column: str) -> None:
    at_noon(edge)
    away(edge)
    tube(edge, 61)
    assert len(told(edge)) == 1
    with edge.lab.uow() as uow:
        uow.s.execute(text(f"UPDATE connection SET {column}"))
    assert told(edge) == []


def test_optional_tests_old_tubes_and_other_hospitals_keep_nobody_waiting(edge: Edge) -> None:
    at_noon(edge)
    away(edge)
    code = tube(edge, 61)
    tube(edge, 3 * 24 * 60)
    assert [a.fields["n"] for a in told(edge)] == [1], "three days old is nobody's morning"
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE test_item SET mandatory = false"))
    assert told(edge) == []
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE test_item SET mandatory = true"))
        done = "UPDATE specimen /* by hand */ SET state = 'rejected' WHERE barcode = :b"
        uow.s.execute(text(done), {"b": code})
    assert told(edge) == []
