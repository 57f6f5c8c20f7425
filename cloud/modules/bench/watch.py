"""Calendar job: what a section must be reminded of (M07 Alerts): held too long, an item missing, a rerun or a picture not there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench.rules import Perm
from cloud.modules.platform import alerts
from cloud.modules.platform.alerts import Alert, Level

HELD = timedelta(minutes=30)
MISSING = timedelta(minutes=30)
RERUN = timedelta(minutes=60)
PICTURE = timedelta(minutes=10)
"""From the tube's last value on: analyzers send their pictures with the results [C]."""

_BY_SECTION = """
SELECT s.id, s.code, s.name, count(*) AS n FROM bench_tube b JOIN section s ON s.tenant_id = b.tenant_id AND s.id = b.section_id
WHERE b.tenant_id = :t AND {where} GROUP BY s.id, s.code, s.name
"""
# Since the tube last changed: who accepts, chooses or measures again starts the half hour anew.
_HELD = text(_BY_SECTION.format(where="b.state = 'held' AND coalesce(b.last_at, b.received_at) < :before"))
_MISSING = text(_BY_SECTION.format(where="b.state = 'partial' AND b.last_at < :before"))
NO_PICTURE = """b.n_results > 0
  AND NOT EXISTS (SELECT 1 FROM run_picture r WHERE r.tenant_id = b.tenant_id AND r.specimen_id = b.specimen_id)
  AND EXISTS (SELECT 1 FROM order_item oi JOIN order_set os ON os.tenant_id = oi.tenant_id AND os.id = oi.order_set_id
    WHERE oi.tenant_id = b.tenant_id AND oi.specimen_id = b.specimen_id AND oi.status NOT IN ('cancelled','refunded') AND os.graphs)"""
_PICTURE = text(_BY_SECTION.format(where=f"b.state IN ('partial','held','ready') AND b.last_at < :before AND {NO_PICTURE}"))
_RERUN = text("""
SELECT s.id, s.code, s.name, count(*) AS n FROM follow_up f JOIN section s ON s.tenant_id = f.tenant_id AND s.id = f.section_id
WHERE f.tenant_id = :t AND f.state = 'asked' AND f.kind IN ('rerun','confirm') AND f.asked_at < :before GROUP BY s.id, s.code, s.name
""")
# Tubes that a release without the column put on the bench; none is found where nothing is promised.
_DUE = text("""
UPDATE bench_tube b SET due_at = b.received_at + d.minutes * interval '1 minute' FROM (
  SELECT oi.specimen_id, min(os.tat_minutes) AS minutes FROM bench_tube x
  JOIN order_item oi ON oi.tenant_id = x.tenant_id AND oi.specimen_id = x.specimen_id AND oi.status NOT IN ('cancelled','refunded')
  JOIN order_set os ON os.tenant_id = oi.tenant_id AND os.id = oi.order_set_id AND os.tat_minutes IS NOT NULL
  WHERE x.tenant_id = :t AND x.state IN ('waiting','partial','held','ready') AND x.due_at IS NULL AND x.received_at IS NOT NULL
  GROUP BY oi.specimen_id) d
WHERE b.tenant_id = :t AND b.specimen_id = d.specimen_id
""")


def look(uow: UnitOfWork) -> None:
    """Once a minute: raise what is so now, clear what no longer is."""
    uow.s.execute(_DUE, {"t": uow.tenant_id})
    _sync(uow, _HELD, "held", HELD, Level.WARNING, "%(section)s：%(n)s 管标本待处理超过 30 分钟", "/bench/{code}?show=held")
    _sync(uow, _MISSING, "missing", MISSING, Level.WARNING, "%(section)s：%(n)s 管标本 30 分钟仍缺项目", "/bench/{code}?show=missing")
    _sync(uow, _RERUN, "rerun", RERUN, Level.WARNING, "%(section)s：%(n)s 项复查申请 1 小时仍无结果", "/bench/rerun?section={code}")
    _sync(uow, _PICTURE, "picture", PICTURE, Level.NOTICE, "%(section)s：%(n)s 管标本应有图形而未收到", "/bench/{code}?show=picture")


def _sync(uow: UnitOfWork, query: Any, name: str, after: timedelta, level: Level, words: str, url: str) -> None:
    kind = f"bench.{name}"
    rows = uow.s.execute(query, {"t": uow.tenant_id, "before": uow.now - after})
    found = [
        Alert(kind, f"section:{r.id}", level, words, url.format(code=r.code), Perm.ENTER, {"section": r.name, "n": r.n}, at=(r.code,))
        for r in rows
    ]
    alerts.sync(uow, kind, found)
