"""采集手册 (M05, 7.2.2): what each request needs, straight from the catalog, so that the ward's guide and the labels cannot differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.reports.documents import Column, ListDocument


@dataclass(frozen=True, slots=True)
class Page:
    """One request: its tube and all that must be known before it is drawn. ``stability_h``: of its least stable item; None: not said."""

    order_set: md.OrderSetRow
    container: md.ContainerRow
    specimen: str
    section: str
    items: tuple[str, ...]
    stability_h: int | None

    @property
    def limits(self) -> str:
        """For whom it is meant, where not for everybody."""
        s = self.order_set
        sex = {"M": "限男性", "F": "限女性"}.get(s.sex or "", "")
        low = "" if s.age_low is None else f"{s.age_low} 岁起"
        high = "" if s.age_high is None else f"未满 {s.age_high} 岁"
        return "，".join(x for x in (sex, low, high) if x)


def pages(uow: UnitOfWork, word: str = "", section: str = "") -> list[Page]:
    """Requests in use that contain the word (name, code, abbreviation, pinyin, or an item of theirs), by section and draw order."""
    known, wanted = md.catalog(uow), word.strip().casefold()
    out = []
    for each in known.order_sets.values():
        if not each.active or (section and known.sections[each.section_id].code != section):
            continue
        items = known.items_of(each.id)
        names = (each.name, each.code, each.abbr, each.pinyin, *(i.name for i in items), *(i.abbr for i in items))
        if wanted and not any(wanted in n.casefold() for n in names):
            continue
        hours = [i.stability_h for i in items if i.stability_h is not None]
        kind = known.specimen_types[each.specimen_type_id].name
        tube, where = known.containers[each.container_id], known.sections[each.section_id].name
        out.append(Page(each, tube, kind, where, tuple(i.name for i in items), min(hours, default=None)))
    return sorted(out, key=lambda p: (p.section, p.container.draw_order, p.order_set.name))


def document(found: Sequence[Page], hospital: str, by: str, now: datetime) -> ListDocument:
    """The handbook on paper or in a workbook."""
    columns = (
        Column("项目", 4), Column("专业组", 2), Column("标本", 2), Column("容器", 4), Column("采集量", 2, "right"),
        Column("次序", 1, "right"),
        Column("准备与采集要求", 6), Column("运送要求", 3), Column("稳定时间", 2), Column("报告时限", 2), Column("适用", 3),
    )  # fmt: skip
    lines = (
        (p.order_set.name, p.section, p.specimen, f"{p.container.colour} {p.container.name} {p.container.additive}".strip(),
         f"{p.order_set.volume_ml.normalize():f} ml", str(p.container.draw_order), p.order_set.prep_notes, p.order_set.handling,
         "" if p.stability_h is None else f"{p.stability_h} 小时",
         "" if p.order_set.tat_minutes is None else f"{p.order_set.tat_minutes} 分钟", p.limits)
        for p in found
    )  # fmt: skip
    return ListDocument(hospital, "标本采集手册", columns, tuple(lines), now, by, landscape=True)
