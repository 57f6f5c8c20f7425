"""The minute's look at agents and connections: alerts opened and cleared, minutes up and down counted, each analyzer's pace kept fresh."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta, tzinfo
from zoneinfo import ZoneInfo

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.edge import alarms, facts, queries, signals, waited
from cloud.modules.edge.models import Agent
from cloud.modules.edge.rules import Perm
from cloud.modules.edge.signals import Signal
from cloud.modules.platform import alerts

CHINA = ZoneInfo("Asia/Shanghai")

ALARM = "alarm"
COUNT = text("""
INSERT INTO edge_link_hour (tenant_id, connection_id, hour, up, down) VALUES (:t, :c, :hour, :up, :down)
ON CONFLICT (tenant_id, connection_id, hour) DO UPDATE SET up = edge_link_hour.up + :up, down = edge_link_hour.down + :down
""")
PACE_MINUTE = 17
"""The minute of the hour in which paces are worked out again."""
PACE = text("UPDATE connection SET usual_gap_s = :gap WHERE tenant_id = :t AND id = :c")


def look(uow: UnitOfWork, zone: tzinfo = CHINA) -> None:
    """Once a minute."""
    working, skews = facts.at_work(uow, zone), facts.analyzer_clocks(uow, zone)
    found: dict[str, list[alerts.Alert]] = defaultdict(list)
    views = facts.load(uow)
    for view in views:
        page = f"/edge/agents/{view.agent.id}"
        for signal in signals.agent_signals(view.facts, working):
            found[signal.kind].append(_alert(signal, f"agent:{view.agent.id}", view.agent.name, page))
        for link in view.links:
            about = replace(link.facts, skew=skews.get(link.connection.id))
            for signal in signals.link_signals(about, working):
                page = f"/edge/links/{link.connection.id}"
                told = _alert(signal, f"connection:{link.connection.id}", link.connection.name, page)
                found[signal.kind].append(replace(told, at=places.of_analyzer(uow, link.connection.analyzer_id)))
            _count(uow, link)
    _told(uow, found)
    for kind in (*signals.WORDS, ALARM):
        alerts.sync(uow, f"edge.{kind}", found[kind])
    alerts.sync(uow, waited.KIND, waited.found(uow, views, working))


def _told(uow: UnitOfWork, found: dict[str, list[alerts.Alert]]) -> None:
    """Alarms about who sends and what is missing call people wherever they are, until somebody closed them with a reason."""
    names = {row.id: row.name for row in uow.s.execute(select(Agent.id, Agent.name))}
    for agent_id, rows in queries.security_alarms(uow).items():
        for row in rows:
            if row.kind in alarms.ALERTS:
                level = alerts.Level.URGENT if row.kind in alarms.URGENT else alerts.Level.WARNING
                subject, page = f"agent:{agent_id}:{row.kind}", f"/edge/agents/{agent_id}"
                fields = {"name": names.get(agent_id, "—")}
                found[ALARM].append(alerts.Alert(f"edge.{ALARM}", subject, level, alarms.ALERTS[row.kind], page, Perm.READ, fields))


def _alert(signal: Signal, subject: str, name: str, url: str) -> alerts.Alert:
    level = alerts.Level.URGENT if signal.kind in signals.URGENT else alerts.Level.WARNING
    return alerts.Alert(f"edge.{signal.kind}", subject, level, signals.WORDS[signal.kind], url, Perm.READ, {"name": name, **signal.fields})


def _count(uow: UnitOfWork, link: facts.LinkView) -> None:
    if not link.connection.enabled:
        return
    up = signals.up(link.facts)
    hour = uow.now.replace(minute=0, second=0, microsecond=0)
    uow.s.execute(COUNT, {"t": uow.tenant_id, "c": link.connection.id, "hour": hour, "up": int(up), "down": int(not up)})
    if uow.now.minute == PACE_MINUTE or link.connection.usual_gap_s is None and uow.now.minute % 10 == 0:
        gap = facts.pace(uow, link.connection.id)
        uow.s.execute(PACE, {"t": uow.tenant_id, "c": link.connection.id, "gap": None if gap is None else int(gap / timedelta(seconds=1))})
