"""From orders to labelled tubes: what would be drawn, which barcodes, what stands on the labels; the inside of the labelling verbs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.specimens import facts, rules
from cloud.modules.specimens.facts import Person, TubeRow, Waiting
from cloud.modules.specimens.rules import Asked, Prep, Tube
from cloud.reports.documents import LabelDocument
from common import ids
from common.errors import UserError

ZONE = ZoneInfo("Asia/Shanghai")
SEX_WORDS = {"M": "男", "F": "女"}
_COUNT = text("""
INSERT INTO specimen_counter (tenant_id, key, day, last) VALUES (:t, :key, :day, :n)
ON CONFLICT (tenant_id, key, day) DO UPDATE SET last = specimen_counter.last + :n RETURNING last
""")


Refused = tuple[tuple[Waiting, str], ...]
"""Items that get no label now, each with the reason."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What labelling a patient now would give: tubes in draw order, and the items that cannot be labelled with the reason."""

    person: Person
    tubes: tuple[Tube, ...]
    refused: Refused
    items: dict[int, Waiting]


def plan(uow: UnitOfWork, person: Person, items: Sequence[Waiting]) -> Plan:
    """What labelling a patient's waiting items would give."""
    return Plan(person, *merged(uow, items), {each.order_item_id: each for each in items})


def merged(uow: UnitOfWork, items: Sequence[Waiting]) -> tuple[tuple[Tube, ...], Refused]:
    """Waiting items merged into tubes (M05), and those that get none."""
    known = md.catalog(uow)
    dead = Decimal(str(known.setting("specimens", "dead_volume_ml", "0.2")))
    refused = [(each, why) for each in items if (why := refusal(known, each))]
    wrong = {each.order_item_id for each, _ in refused}
    asked = [_asked(known, each) for each in items if each.order_item_id not in wrong]
    return tuple(rules.merge(asked, dead)), tuple(refused)


def refusal(known: md.Catalog, item: Waiting) -> str | None:
    """Why an item gets no label now, or None."""
    if item.order_set_id is None:
        return "项目未对照，请联系信息管理组在接口对照页对照后再打印"
    if not known.order_sets[item.order_set_id].active:
        return "项目已停用，请联系开单医生更换"
    if item.hold:
        return f"已挂起：{item.hold}，请与开单医生核实后在申请页解除"
    if item.charge_state == "refunded":
        return "已退费，不能打印"
    if rules.must_pay_first(item.visit_kind, item.priority, item.charge_state):
        return "未缴费，请先到收费处缴费"
    return None


def _asked(known: md.Catalog, item: Waiting) -> Asked:
    assert item.order_set_id is not None
    wanted = known.order_sets[item.order_set_id]
    tube, section = known.containers[wanted.container_id], known.sections[wanted.section_id]
    return Asked(
        order_item_id=item.order_item_id,
        patient_id=item.patient_id,
        visit_id=item.visit_id,
        container_id=tube.id,
        specimen_type_id=wanted.specimen_type_id,
        section_id=section.id,
        volume_ml=wanted.volume_ml,
        nominal_ml=tube.nominal_ml,
        draw_order=tube.draw_order,
        abbr=wanted.abbr,
        priority=item.priority,
        share_group=section.share_group,
        handling=wanted.handling,
        no_merge=wanted.no_merge,
    )


def preparation(known: md.Catalog, items: Iterable[Waiting]) -> Prep:
    """What a tube with these items asks of the patient, and whether the requests say it was not so."""
    needed = [each.fasting for each in items if each.order_set_id is not None and known.order_sets[each.order_set_id].fasting]
    return rules.preparation(needed)


def take(uow: UnitOfWork, key: str, day: date, count: int = 1) -> int:
    """Advance a counter by ``count`` and return its last number; the row stays locked until COMMIT, so a rollback leaves no gap."""
    values = {"t": uow.tenant_id, "key": key, "day": day, "n": count}
    return int(uow.s.execute(_COUNT, values).scalar_one())


def barcodes(uow: UnitOfWork, count: int) -> list[str]:
    """Fresh barcodes of today, never used before."""
    site, _name = facts.hospital(uow)
    day = uow.now.astimezone(ZONE).date()
    last = take(uow, f"barcode:{site}", day, count)
    if last > ids.MAX_SEQUENCE:
        raise UserError("conflict", "今天的条码号已经用完，请联系信息管理组为本院增加院区号。")
    return [ids.accession_number(site, day, n) for n in range(last - count + 1, last + 1)]


def document(known: md.Catalog, tube: TubeRow, abbrs: Iterable[str], at: datetime) -> LabelDocument:
    """What is printed on one tube (M05)."""
    container, kind = known.containers[tube.container_id], known.specimen_types[tube.specimen_type_id]
    age = md.subject_age(tube.birth, tube.age_text, at)
    return LabelDocument(
        barcode=tube.barcode,
        patient_name=tube.name,
        sex=SEX_WORDS.get(tube.sex, ""),
        age="" if age is None else age.text(),
        patient_no=tube.patient_no,
        specimen_type=kind.name,
        container=f"{container.colour} {container.additive or container.name}",
        items=tuple(dict.fromkeys(abbrs)),  # asked for twice is drawn once and named once
        printed_at=at,
        department=tube.ward or tube.dept,
        bed=tube.bed,
        volume=f"{'空腹 ' if tube.prep else ''}{tube.volume_ml.normalize():f} ml",
        urgent=tube.priority != "routine",
        number=tube.tube_k,
        total=tube.tube_n,
    )
