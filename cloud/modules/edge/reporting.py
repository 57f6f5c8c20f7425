"""Reports of the edge: messages by hour, uptime, orphans, unmapped codes, faults with repair time, versions; also as a workbook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from statistics import mean
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.edge import queries, rules
from cloud.modules.edge.places import OF_ANALYZER
from cloud.modules.edge.signals import whole_minutes
from cloud.modules.platform import alerts
from cloud.web import sheet

BY_HOUR = text("""
SELECT date_trunc('hour', received_at) AS hour, count(*) AS n, count(*) FILTER (WHERE state = 'quarantined') AS bad
FROM raw_message WHERE tenant_id = :t AND connection_id = :c AND received_at > :since AND kind = 'raw' GROUP BY 1
""")


@dataclass(frozen=True, slots=True)
class Hour:
    """One bar. ``height`` in percent of the highest."""

    at: datetime
    n: int
    bad: int
    height: int


def hours_of(uow: UnitOfWork, connection_id: int, zone: tzinfo, hours: int = 24) -> list[Hour]:
    """Messages of one connection by the hour, the last ``hours`` of them, empty ones too."""
    since = uow.now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
    at = {"t": uow.tenant_id, "c": connection_id, "since": since}
    found = {r.hour: r for r in uow.s.execute(BY_HOUR, at)}
    most = max((r.n for r in found.values()), default=1)
    out = []
    for n in range(hours):
        hour = since + timedelta(hours=n)
        row = found.get(hour)
        out.append(Hour(hour.astimezone(zone), row.n if row else 0, row.bad if row else 0, round(100 * row.n / most) if row else 0))
    return out


# --- the report of some days -------------------------------------------------------------------------------------------

PER_LINK = text(f"""
SELECT c.id, c.name, c.spare, a.name AS agent, c.driver, an.driver AS model, a.software,
       a.config_version AS wanted, a.applied_version AS applied,
       (SELECT count(*) FROM raw_message r WHERE r.tenant_id = c.tenant_id AND r.connection_id = c.id AND r.received_at > :since
          AND r.kind = 'raw') AS messages,
       (SELECT coalesce(sum(h.up), 0) FROM edge_link_hour h WHERE h.tenant_id = c.tenant_id AND h.connection_id = c.id
          AND h.hour > :since) AS up,
       (SELECT coalesce(sum(h.down), 0) FROM edge_link_hour h WHERE h.tenant_id = c.tenant_id AND h.connection_id = c.id
          AND h.hour > :since) AS down,
       (SELECT m.number FROM edge_mapping m WHERE m.tenant_id = c.tenant_id AND m.analyzer_id = c.analyzer_id AND m.state = 'active') AS map
FROM connection c JOIN agent a ON a.tenant_id = c.tenant_id AND a.id = c.agent_id
LEFT JOIN analyzer an ON an.tenant_id = c.tenant_id AND an.id = c.analyzer_id
WHERE c.tenant_id = :t AND {OF_ANALYZER.format(analyzer="c.analyzer_id")} ORDER BY c.name, c.id
""")

PER_HOUR = text("""
SELECT connection_id, extract(hour FROM received_at AT TIME ZONE :zone)::int AS hour, count(*) AS n FROM raw_message
WHERE tenant_id = :t AND received_at > :since AND kind = 'raw' AND connection_id IS NOT NULL GROUP BY 1, 2
""")

HANDLED = text(f"""
SELECT state, reason, count(*) AS n, count(*) FILTER (WHERE closed_at IS NOT NULL) AS closed,
       avg(extract(epoch FROM closed_at - received_at) / 60) FILTER (WHERE closed_at IS NOT NULL) AS minutes
FROM observation o WHERE tenant_id = :t AND received_at > :since AND {OF_ANALYZER.format(analyzer="o.analyzer_id")}
  AND (state IN ('orphan', 'mismatch', 'discarded') OR closed_at IS NOT NULL) GROUP BY state, reason ORDER BY count(*) DESC
""")


@dataclass(frozen=True, slots=True)
class Fault:
    """Faults of one kind on one subject. ``repair``: mean minutes from begin to end, None while none has ended."""

    words: str
    fields: dict[str, Any]
    url: str
    times: int
    open: int
    repair: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the page shows."""

    links: list[Any]
    by_hour: dict[int, list[int]]
    most: int
    orphans: list[Any]
    unmapped: list[Any]
    faults: list[Fault]

    def uptime(self, row: Any) -> float | None:
        """Percent of the minutes looked at; None when nobody looked."""
        looked = int(row.up) + int(row.down)
        return round(100 * int(row.up) / looked, 2) if looked else None


def report(uow: UnitOfWork, days: int, zone: tzinfo) -> Report:
    """The last ``days`` days of the own place's analyzers."""
    since = uow.now - timedelta(days=days)
    at = {"t": uow.tenant_id, "since": since, "zone": str(zone), **places.of_sections(uow)}
    links = list(uow.s.execute(PER_LINK, at))
    shown = {link.id for link in links}
    by_hour: dict[int, list[int]] = {}
    for connection_id, hour, n in uow.s.execute(PER_HOUR, at):
        if connection_id in shown:
            by_hour.setdefault(connection_id, [0] * 24)[hour] = n
    most = max((max(row) for row in by_hour.values()), default=1)
    return Report(links, by_hour, most, list(uow.s.execute(HANDLED, at)), queries.unmapped(uow), faults(uow, since))


def faults(uow: UnitOfWork, since: datetime) -> list[Fault]:
    """Alerts of the edge by what they are about, with mean time to repair."""
    groups: dict[tuple[str, str], list[Any]] = {}
    held = frozenset({str(rules.Perm.READ)})
    for row in alerts.history(uow, "edge.", held, since, alerts.within_reach(uow, held)):
        groups.setdefault((row.kind, row.subject), []).append(row)
    out = []
    for group in groups.values():
        ended = [whole_minutes(r.cleared_at - r.raised_at) for r in group if r.cleared_at is not None]
        repair = round(mean(ended), 1) if ended else None
        last = group[0]
        out.append(Fault(last.message, last.fields, last.url, len(group), sum(r.cleared_at is None for r in group), repair))
    return sorted(out, key=lambda f: (-f.open, -f.times))


# --- the workbook --------------------------------------------------------------------------------------------------------

Word = Callable[..., str]
HANDLING = {"matched": "已附加", "orphan": "待处理", "mismatch": "患者不符", "discarded": "已弃用"}
"""What became of results that lay in the tray."""


def workbook(made: Report, word: Word, zone: tzinfo) -> bytes:
    """The report as an Excel file, in the reader's language and the laboratory's time."""
    hours = [f"{h:02d}" for h in range(24)]
    columns = [word(w) for w in ("连接", "采集端", "报文数", "可用率 %", "驱动", "对照版本", "应有配置", "已生效配置", "程序版本")]
    rows = [[r.name, r.agent, r.messages, made.uptime(r), r.driver or r.model, r.map, r.wanted, r.applied, r.software] for r in made.links]
    pages = [sheet.Page(word("连接"), columns, rows)]
    names = {r.id: r.name for r in made.links}
    pages.append(sheet.Page(word("每小时报文"), [word("连接"), *hours], [[names.get(c, c), *row] for c, row in made.by_hour.items()]))
    words = {**rules.REASONS}
    handled = [
        [
            word(HANDLING.get(r.state, r.state)),
            word(words.get(r.reason, r.reason)),
            r.n,
            r.closed,
            None if r.minutes is None else round(float(r.minutes), 1),
        ]
        for r in made.orphans
    ]
    pages.append(sheet.Page(word("无主结果"), [word(w) for w in ("状态", "原因", "结果数", "已处理", "平均处理分钟")], handled))
    codes = [[r.code, r.n, "；".join(r.samples), r.last_at.astimezone(zone)] for r in made.unmapped]
    pages.append(sheet.Page(word("未对照代码"), [word(w) for w in ("代码", "次数", "样例", "最近")], codes))
    done = [[word(f.words, **f.fields), f.times, f.open, f.repair] for f in made.faults]
    pages.append(sheet.Page(word("故障"), [word(w) for w in ("故障", "次数", "未恢复", "平均恢复分钟")], done))
    return sheet.workbook(pages)
