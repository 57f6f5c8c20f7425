"""What master data leaves undone, as alerts: no WS/T 886 code, gaps, retired inputs, unmapped HIS codes, late approvals and reviews."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.expression import ExpressionError, Kind, compile
from cloud.modules.catalog import queries as md
from cloud.modules.changes import queries, reviews
from cloud.modules.changes.rules import Perm, overdue
from cloud.modules.platform import alerts
from cloud.modules.platform.alerts import Alert, Level
from common.say import Listed, say

# HIS codes that requests wait for, as the orders module publishes them.
_UNMAPPED = text("""
SELECT source, his_code, max(his_name) AS his_name, count(*) AS n FROM order_item
WHERE tenant_id = :t AND order_set_id IS NULL AND status NOT IN ('cancelled', 'refunded')
GROUP BY source, his_code ORDER BY n DESC LIMIT 200
""")


_QUOTED = re.compile(r'"([^"]+)"')  # item codes; a text that does not compile is read as far as it can be


def look(uow: UnitOfWork) -> None:
    """Calendar: open what is found, clear what is no longer."""
    known = md.catalog(uow)
    alerts.sync(uow, "catalog.wst886", _no_code(known))
    alerts.sync(uow, "catalog.ri_gap", _gaps(known))
    alerts.sync(uow, "catalog.formula", _formulas(known))
    alerts.sync(uow, "catalog.unmapped", _unmapped(uow))
    alerts.sync(uow, "changes.emergency", _late(uow))
    alerts.sync(uow, "changes.review", reviews.overdue(uow))


def _no_code(known: md.Catalog) -> Iterator[Alert]:
    missing = [each for each in known.items.values() if each.active and not each.wst886_code]
    if missing:
        words = "%(n)s 个在用项目没有 WS/T 886 代码"
        yield Alert("catalog.wst886", "items", Level.NOTICE, words, "/md/wst886", Perm.PROPOSE, {"n": len(missing)})


def _gaps(known: md.Catalog) -> Iterator[Alert]:
    """One a section and kind of gap: forty single ones stood before all else on the lists of those who mend them. The list shows them."""
    # The rows of the item's own method count as they do for its results.
    open_of, bare = dict[int, list[str]](), dict[int, list[str]]()
    for item in known.search_items(""):
        rows = known.intervals.get(item.id, ())
        if item.active and rows and md.gaps(rows, item.method or None):
            open_of.setdefault(item.section_id, []).append(item.name)
        if known.unflagged(item):
            bare.setdefault(item.section_id, []).append(item.name)
    holes, none = (
        "%(section)s有 %(n)s 个项目的参考区间有空缺：%(items)s",
        "%(section)s有 %(n)s 个数值项目没有参考区间，结果不会提示高低：%(items)s",
    )
    for found, key, level, words, show in ((open_of, "", Level.WARNING, holes, "holes"), (bare, ":none", Level.NOTICE, none, "none")):
        for section_id, names in found.items():
            section = known.sections[section_id]
            fields = {"section": section.name, "n": len(names), "items": Listed([*names[:3], *(["…"] if len(names) > 3 else [])], "、")}
            url, subject = f"/md/ri?show={show}&section={section.code}", section.code + key
            yield Alert("catalog.ri_gap", subject, level, words, url, Perm.PROPOSE, fields, at=(section.code,))


def _formulas(known: md.Catalog) -> Iterator[Alert]:
    for each in known.calculations:
        if each.problem:
            item = known.items[each.item_id]
            words = "%(item)s 的公式不能计算：%(why)s"
            yield Alert("catalog.formula", item.code, Level.URGENT, words, f"/md/formulas?item={item.code}", Perm.PROPOSE,
                        {"item": item.name, "why": each.problem}, at=(known.sections[item.section_id].code,))  # fmt: skip
    for code, name, url, why, at in _unreadable(known):
        words = "规则“%(name)s”不能执行：%(why)s"
        yield Alert("catalog.formula", code, Level.URGENT, words, url, Perm.PROPOSE, {"name": name, "why": why}, at=at)


def _unreadable(known: md.Catalog) -> Iterator[tuple[str, str, str, str, tuple[str, ...]]]:
    """Logic and reflex rules that no longer compile, or that ask for a retired item: (key, name, where to mend it, why, whose they are)."""
    symbols = md.rule_symbols(known.items.values())
    for kind, rules in (("logic", known.logic_rules), ("reflex", known.reflex_rules)):
        for rule in rules:
            why = ""
            try:
                compile(rule.expression, symbols, Kind.BOOL)
            except ExpressionError as error:
                why = error.message
            wanted = known.items[rule.item_id] if isinstance(rule, md.ReflexRow) else None
            if not why and wanted is not None and not wanted.active:
                why = say("项目 {name} 已停用。", name=wanted.name)
            if why:
                yield f"{kind}:{rule.code}", rule.name, f"/md/edit/{kind}/{rule.id}", why, _sections(known, rule)


def _sections(known: md.Catalog, rule: md.LogicRow | md.ReflexRow) -> tuple[str, ...]:
    """The sections a rule is about: its own, or those of the items it names; none of them: everybody's."""
    if isinstance(rule, md.LogicRow) and rule.section_id is not None:
        return (known.sections[rule.section_id].code,)
    named = [known.items_by_code.get(code) for code in _QUOTED.findall(rule.expression)]
    wanted = [known.items[rule.item_id]] if isinstance(rule, md.ReflexRow) else []
    return tuple(sorted({known.sections[item.section_id].code for item in (*named, *wanted) if item is not None}))


def _unmapped(uow: UnitOfWork) -> Iterator[Alert]:
    for row in unmapped(uow):
        words = "收到未对照的 HIS 编码 %(code)s（%(name)s），%(n)s 条申请在等待"
        fields = {"code": row[1], "name": row[2], "n": row[3]}
        yield Alert("catalog.unmapped", f"{row[0]}:{row[1]}", Level.WARNING, words, "/md/ordersets", Perm.PROPOSE, fields)


def unmapped(uow: UnitOfWork) -> list[tuple[str, str, str, int]]:
    """(source, HIS code, name, waiting requests) of what nobody has mapped, most waited for first."""
    return [(r.source, r.his_code, r.his_name or "", r.n) for r in uow.s.execute(_UNMAPPED, {"t": uow.tenant_id})]


def _late(uow: UnitOfWork) -> Iterator[Alert]:
    for each in queries.unapproved_emergencies(uow):
        if overdue(True, False, each.activated_at, uow.now):
            words = "紧急变更 %(title)s 超过 24 小时没有补批"
            yield Alert("changes.emergency", str(each.id), Level.URGENT, words, f"/md/changes/{each.id}", Perm.READ, {"title": each.title})
