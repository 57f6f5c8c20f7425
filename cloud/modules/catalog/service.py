"""Changes of the catalog a laboratory makes by itself: intervals checked at save time, HIS codes mapped (M02)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import models, wst886
from cloud.modules.catalog.apply import present, rows, write
from cloud.modules.catalog.kind_checks import retiring
from cloud.modules.catalog.kind_table import KINDS
from cloud.modules.catalog.kinds import Field, Kind, Wrong, name_of, parse, shown, without
from cloud.modules.catalog.kinds import problems as kind_problems
from cloud.modules.catalog.queries import Catalog, catalog
from cloud.modules.catalog.rules import Interval, describe, overlapping, problems
from common.errors import UserError
from common.say import Listed, Said, say


def add_interval(uow: UnitOfWork, **values: Any) -> models.RefInterval:
    """Add a reference interval; refused with the other row named when two rows would fit a same patient equally (M02)."""
    new = Interval(id=0, **values)
    wrong = problems(new)
    if wrong:
        raise UserError("invalid", say("参考区间不能保存：{wrong}", wrong=Listed(wrong, "")))
    clash = overlapping(new, catalog(uow).intervals.get(new.item_id, ()))
    if clash:
        other = clash[0]
        raise UserError(
            "invalid",
            say(
                "与已有的第 {row} 行（{conditions}，{shown}）重叠，请修改其中一行的条件。",
                row=other.id,
                conditions=describe(other),
                shown=other.shown,
            ),
            other=other.id,
        )
    row = models.RefInterval(**values)
    uow.s.add(row)
    uow.s.flush()
    uow.audit("ref_interval", row.id, "create", after={key: str(value) for key, value in values.items()})
    return row


def map_his_code(uow: UnitOfWork, source: str, his_code: str, order_set_code: str, his_name: str = "") -> models.HisItemMap:
    """Say which order set a HIS code means; the event lets waiting 未对照 order items go on. The same mapping again changes nothing."""
    source, his_code = source.strip(), his_code.strip()
    if not source or not his_code:
        raise UserError("invalid", "请填写 HIS 来源和 HIS 编码。")
    order_set = catalog(uow).order_sets_by_code.get(order_set_code.strip())
    if order_set is None or not order_set.active:
        raise UserError("invalid", say("没有编码为“{code}”的在用医嘱项目，请从列表中选择。", code=order_set_code))
    same = (models.HisItemMap.source == source) & (models.HisItemMap.his_code == his_code)
    row = uow.s.scalars(select(models.HisItemMap).where(same)).one_or_none()
    if row is not None and row.order_set_id == order_set.id:
        return row
    before = None if row is None else {"order_set": row.order_set_id}
    if row is None:
        row = models.HisItemMap(source=source, his_code=his_code, his_name=his_name, order_set_id=order_set.id)
        uow.s.add(row)
    else:
        row.order_set_id = order_set.id
    uow.s.flush()
    uow.audit("his_item_map", row.id, "map", before, {"source": source, "his_code": his_code, "order_set": order_set.code})
    uow.emit("catalog.mapped", f"{source}:{his_code}", {"source": source, "his_code": his_code, "order_set_id": order_set.id})
    return row


def load_wst886(uow: UnitOfWork, lines: Sequence[Sequence[str]]) -> tuple[int, list[tuple[int, Said]]]:
    """Take the hospital's own WS/T 886 list in place of the former: (how many, problems by line); with any, nothing is written."""
    rows, wrong = wst886.read(lines)
    if wrong:
        return len(rows), wrong
    uow.s.execute(delete(models.Wst886Code))
    uow.s.add_all(models.Wst886Code(code=code, name=name, note=note) for code, name, note in rows)
    uow.s.flush()
    uow.audit("wst886", uow.tenant_id, "load", after={"codes": len(rows)})
    return len(rows), []


def changed(uow: UnitOfWork) -> None:
    """Call after a bulk statement on the catalog's tables, so that every process loads it anew."""
    models.raise_version(uow.s)


def add_analyzer(uow: UnitOfWork, code: str, name: str, model: str, section_id: int, driver: str | None = None) -> models.Analyzer:
    """A new analyzer without a single code mapped. Refused when its code is taken, naming who has it."""
    known, code, name = catalog(uow), code.strip(), name.strip()
    if not code or not name or len(code) > 40:
        raise UserError("invalid", "请填写仪器编号（40 个字以内）和名称。", field="code" if not code or len(code) > 40 else "name")
    if section_id not in known.sections:
        raise UserError("not_found", "专业组不存在，请从列表中选择。", field="section_id")
    other = next((a for a in known.analyzers.values() if a.code.casefold() == code.casefold()), None)
    if other is not None:
        raise UserError("conflict", say("编号“{code}”已由“{name}”使用，请换一个编号。", code=other.code, name=other.name), field="code")
    row = models.Analyzer(code=code, name=name, model=model.strip(), section_id=section_id, driver=driver)
    uow.s.add(row)
    uow.s.flush()
    after = {"code": code, "name": name, "model": row.model, "section": known.sections[section_id].code, "driver": driver}
    uow.audit("analyzer", row.id, "create", after=after)
    return row


def change_analyzer(
    uow: UnitOfWork, analyzer_id: int, name: str, model: str, section_id: int, active: bool, reason: str
) -> models.Analyzer:
    """Another name, model or section, or retired (never removed: results point to it). The code stays: it stands on results and labels."""
    row = uow.s.get(models.Analyzer, (uow.tenant_id, analyzer_id), with_for_update=True)
    if row is None:
        raise UserError("not_found", "仪器不存在，请核对后重试。")
    if not name.strip():
        raise UserError("invalid", "请填写仪器名称。", field="name")
    if section_id not in catalog(uow).sections:
        raise UserError("not_found", "专业组不存在，请从列表中选择。", field="section_id")
    before = {"name": row.name, "model": row.model, "section_id": row.section_id, "active": row.active}
    row.name, row.model, row.section_id, row.active = name.strip(), model.strip(), section_id, active
    uow.s.flush()
    after = {"name": row.name, "model": row.model, "section_id": row.section_id, "active": row.active}
    if before != after:
        uow.audit("analyzer", row.id, "edit" if active == before["active"] else "retire", before, after, reason or None)
    return row


def map_channel(uow: UnitOfWork, analyzer_id: int, channel_code: str, item_id: int, reason: str = "") -> models.AnalyzerItemMap:
    """Say which item an analyzer's channel code reports; the intake reads by it from this COMMIT on. The same again changes nothing."""
    code, known = channel_code.strip(), catalog(uow)
    if not code:
        raise UserError("invalid", "请填写通道代码。", field="code")
    if analyzer_id not in known.analyzers or item_id not in known.items or not known.items[item_id].active:
        raise UserError("not_found", "仪器或检验项目不存在，请从列表中选择。")
    same = (models.AnalyzerItemMap.analyzer_id == analyzer_id) & (models.AnalyzerItemMap.channel_code == code)
    row = uow.s.scalars(select(models.AnalyzerItemMap).where(same)).one_or_none()
    if row is not None and row.item_id == item_id and row.active:
        return row
    before = None if row is None else {"item": row.item_id}
    if row is None:
        row = models.AnalyzerItemMap(analyzer_id=analyzer_id, channel_code=code, item_id=item_id)
        uow.s.add(row)
    else:
        row.item_id, row.active = item_id, True
    uow.s.flush()
    after = {"analyzer": analyzer_id, "code": code, "item": known.items[item_id].code}
    uow.audit("analyzer_item_map", row.id, "map", before, after, reason or None)
    return row


Channel = tuple[int, Decimal, Decimal, str]
"""Item, factor, offset, the unit that the analyzer sends ("": not known)."""


def set_channels(uow: UnitOfWork, analyzer_id: int, channels: Mapping[str, Channel], reason: str, driver: str | None = None) -> None:
    """Make these the codes of an analyzer, all of them: what is not among them goes back to unmapped. One audit entry for the whole.

    ``driver``: how its bytes are read from now on ("" by their protocol alone); None leaves it as it is.
    """
    known = catalog(uow)
    wrong = [code for code, (item, factor, _, _) in channels.items() if item not in known.items or factor == 0 or not code.strip()]
    if analyzer_id not in known.analyzers or wrong:
        raise UserError("invalid", say("仪器或检验项目不存在，或系数为 0：{wrong}。", wrong=tuple(wrong) or analyzer_id))
    rows = {
        r.channel_code: r for r in uow.s.scalars(select(models.AnalyzerItemMap).where(models.AnalyzerItemMap.analyzer_id == analyzer_id))
    }
    before = {code: _shown(known, (r.item_id, r.factor, r.offset, r.unit)) for code, r in rows.items()}
    for code in rows.keys() - channels.keys():
        uow.s.delete(rows[code])
    for code, (item_id, factor, offset, unit) in channels.items():
        row = rows.get(code)
        if row is None:
            row = models.AnalyzerItemMap(analyzer_id=analyzer_id, channel_code=code)
            uow.s.add(row)
        row.item_id, row.factor, row.offset, row.unit, row.active = item_id, factor, offset, unit, True
    analyzer = uow.s.get(models.Analyzer, (uow.tenant_id, analyzer_id))
    if analyzer is not None and driver is not None:
        analyzer.driver = driver or None
    uow.s.flush()
    after = {code: _shown(known, each) for code, each in channels.items()}
    changed = sorted(c for c in before.keys() | after.keys() if before.get(c) != after.get(c))
    uow.audit("analyzer", analyzer_id, "map", {c: before.get(c) for c in changed}, {c: after.get(c) for c in changed}, reason)


def _shown(known: Catalog, channel: Channel) -> list[str]:
    item, factor, offset, unit = channel
    return [known.items[item].code, format(factor.normalize(), "f"), format(offset.normalize(), "f"), *([unit] if unit else [])]


__all__ = [
    "KINDS",
    "Channel",
    "Field",
    "Kind",
    "Wrong",
    "add_analyzer",
    "add_interval",
    "change_analyzer",
    "changed",
    "kind_problems",
    "load_wst886",
    "map_channel",
    "map_his_code",
    "set_channels",
    "name_of",
    "parse",
    "present",
    "rows",
    "retiring",
    "shown",
    "without",
    "write",
]
