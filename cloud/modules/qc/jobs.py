"""Calendar jobs of quality control: the window recheck each minute, lots each morning, month drafts on the 1st, signatures by the 5th."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.platform import alerts
from cloud.modules.platform.alerts import Level
from cloud.modules.qc import months, queries
from cloud.modules.qc.immediate import CONVERT_AT
from cloud.modules.qc.rules import Perm

DUE_SOON = timedelta(minutes=30)
EXPIRES_SOON = timedelta(days=30)
SIGN_BY = 5

_DUE = text("""
SELECT p.id, p.analyzer_id, p.item_id, p.window_hours, p.overdue_since,
  (SELECT max(r.at) FROM qc_run r WHERE r.tenant_id = p.tenant_id AND r.plan_id = p.id AND r.state IN ('in_control','warning')) AS last_good
FROM qc_plan p WHERE p.tenant_id = :t AND p.active ORDER BY p.id
""")


def recheck(uow: UnitOfWork) -> None:
    """Which plans' windows have elapsed or will soon: one alert an analyzer, and an event the minute a window elapses."""
    known = md.catalog(uow)
    late: dict[int, list[str]] = {}
    soon: dict[int, list[str]] = {}
    turned = []
    for p in uow.s.execute(_DUE, {"t": uow.tenant_id}).all():
        due = None if p.last_good is None else p.last_good + timedelta(hours=p.window_hours)
        if due is None or due < uow.now:
            late.setdefault(p.analyzer_id, []).append(known.items[p.item_id].abbr)
            if p.overdue_since is None:
                turned.append(p)
        elif due < uow.now + DUE_SOON:
            soon.setdefault(p.analyzer_id, []).append(known.items[p.item_id].abbr)
    if turned:
        params = {"t": uow.tenant_id, "now": uow.now, "ids": [p.id for p in turned]}
        uow.s.execute(text("UPDATE qc_plan SET overdue_since = :now WHERE tenant_id = :t AND id = ANY(:ids)"), params)
        for p in turned:
            uow.emit("qc.overdue", f"qc:{p.id}", {"plan_id": p.id, "item_id": p.item_id, "analyzer_id": p.analyzer_id})
        uow.notify("qc", {})
    alerts.sync(uow, "qc.overdue", [_alert(uow, "qc.overdue", a, items, Level.WARNING) for a, items in late.items()])
    alerts.sync(uow, "qc.due", [_alert(uow, "qc.due", a, items, Level.NOTICE) for a, items in soon.items()])


_MESSAGES = {
    "qc.overdue": "%(analyzer)s 质控超时未做：%(items)s",
    "qc.due": "%(analyzer)s 质控即将到时：%(items)s",
}


def _alert(uow: UnitOfWork, kind: str, analyzer_id: int, items: list[str], level: Level) -> alerts.Alert:
    shown = "、".join(items[:6]) + (f"等 {len(items)} 项" if len(items) > 6 else "")
    fields = {"analyzer": md.catalog(uow).analyzers[analyzer_id].name, "items": shown}
    return alerts.Alert(
        kind, f"analyzer:{analyzer_id}", level, _MESSAGES[kind], "/qc/today", Perm.READ, fields, at=places.of_analyzer(uow, analyzer_id)
    )


# Use of a month: what was measured in the last thirty days.
_STOCK = text("""
SELECT m.id, m.code, m.name, m.lot, m.expires_at, m.stock,
  (SELECT count(*) FROM qc_result q WHERE q.tenant_id = m.tenant_id AND q.material_id = m.id AND q.at > :month_ago) AS used
FROM qc_material m WHERE m.tenant_id = :t AND m.active ORDER BY m.id
""")


def lots(uow: UnitOfWork) -> None:
    """Lots that expire within thirty days, or whose stock lasts less than a month."""
    expiring, short = [], []
    used = queries.analyzers_of_material(uow)
    for m in uow.s.execute(_STOCK, {"t": uow.tenant_id, "month_ago": uow.now - timedelta(days=30)}):
        name, url = {"name": m.name, "lot": m.lot}, f"/qc/lots/{m.id}"
        at = tuple(sorted({code for a in used.get(m.code, ()) for code in places.of_analyzer(uow, a)}))
        if m.expires_at is not None and m.expires_at < uow.now + EXPIRES_SOON:
            days = max((m.expires_at - uow.now).days, 0)
            words = "质控品 %(name)s 批号 %(lot)s 还有 %(days)s 天到期"
            expiring.append(alerts.Alert("qc.lot", f"material:{m.id}", Level.WARNING, words, url, Perm.READ, {**name, "days": days}, at=at))
        if m.stock is not None and m.stock < m.used:
            words = "质控品 %(name)s 批号 %(lot)s 库存 %(stock)s 次，不足一个月用量"
            short.append(
                alerts.Alert("qc.stock", f"material:{m.id}", Level.NOTICE, words, url, Perm.READ, {**name, "stock": m.stock}, at=at)
            )
    alerts.sync(uow, "qc.lot", expiring)
    alerts.sync(uow, "qc.stock", short)


# Twenty values are a Levey-Jennings chart (immediate.CONVERT_AT).
_CONVERT = text("""
SELECT p.id, p.analyzer_id, p.item_id, q.level, m.lot FROM qc_plan p
JOIN qc_result q ON q.tenant_id = p.tenant_id AND q.plan_id = p.id AND NOT q.frozen AND q.value IS NOT NULL
JOIN qc_material m ON m.tenant_id = q.tenant_id AND m.id = q.material_id AND m.active
WHERE p.tenant_id = :t AND p.active AND p.method = 'immediate'
GROUP BY p.id, p.analyzer_id, p.item_id, q.level, m.lot HAVING count(*) >= :n ORDER BY p.id, q.level, m.lot
""")


def convert(uow: UnitOfWork) -> None:
    """Which immediate methods have the values of a chart: told until the leader has set targets and changed the plan."""
    known, found = md.catalog(uow), []
    for r in uow.s.execute(_CONVERT, {"t": uow.tenant_id, "n": CONVERT_AT}):
        fields = {"analyzer": known.analyzers[r.analyzer_id].name, "item": known.items[r.item_id].name, "level": r.level, "lot": r.lot}
        words, url = "%(analyzer)s %(item)s L%(level)s 批号 %(lot)s 即刻法已满 20 点，请设靶值并改用质控图", f"/qc/targets?plan={r.id}"
        subject = f"plan:{r.id}:{r.level}:{r.lot}"
        found.append(
            alerts.Alert("qc.convert", subject, Level.NOTICE, words, url, Perm.PLAN, fields, at=places.of_analyzer(uow, r.analyzer_id))
        )
    alerts.sync(uow, "qc.convert", found)


def month(uow: UnitOfWork) -> None:
    """From the 1st to the 5th: drafts of the month that ended, with what came late (and later, should the job not have run). From the
    5th on: unsigned ones are told to their section until they are signed."""
    today = uow.now.astimezone(md.HOSPITAL_ZONE).date()
    ended = today.replace(day=1) - timedelta(days=1)
    if today.day <= SIGN_BY or not queries.summaries(uow, ended):
        months.draft(uow, ended, md.HOSPITAL_ZONE)
    found = []
    for section_id, n in months.unsigned(uow, today).items() if today.day >= SIGN_BY else ():
        section, words = md.catalog(uow).sections[section_id], "%(section)s：室内质控月总结还有 %(n)s 份未签名（每月 5 日前完成）"
        fields = {"section": section.name, "n": n}
        found.append(alerts.Alert("qc.month", section.code, Level.WARNING, words, "/qc/month", Perm.CLOSE, fields, at=(section.code,)))
    alerts.sync(uow, "qc.month", found)
