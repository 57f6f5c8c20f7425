"""Pieces of a tube's steps that the verbs share: what a scan is, the day's numbers, the transport limit, a print job."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.specimens import facts, labels, rules
from cloud.modules.specimens.models import LabelJob
from cloud.reports.documents import LabelDocument, to_json
from common import ids
from common.errors import UserError
from common.say import say

IDENTIFIERS = {"name": "姓名", "birth": "出生日期", "card": "卡号或患者号", "id_card": "身份证", "wristband": "腕带"}
_EXISTS = text("SELECT 1 FROM specimen WHERE tenant_id = :t AND barcode = :code")

_NUMBER_USED = text("SELECT 1 FROM specimen WHERE tenant_id = :t AND section_id = :section AND sample_day = :day AND sample_no = :no")


def recognise(uow: UnitOfWork, code: str) -> ids.Scan:
    """What a scan is, by this hospital's own prefix rules first (M05: HIS-issued and pre-printed barcodes)."""
    own = md.catalog(uow).setting("specimens", "barcode_rules", [])
    found = [ids.PrefixRule(r["prefix"], ids.CodeKind(r["kind"]), r.get("length", 0), r.get("luhn", False)) for r in own]
    return ids.recognise(code, found)


def exists(uow: UnitOfWork, barcode: str) -> bool:
    """Whether a tube has this code already."""
    return uow.s.execute(_EXISTS, {"t": uow.tenant_id, "code": barcode}).first() is not None


def transport_limit(uow: UnitOfWork, order_sets: Iterable[int | None]) -> timedelta | None:
    """How long a tube for these order sets may be on its way: the shortest of their own limits (M05, limit[item]); where a set has none,
    the hospital's. None: nobody said."""
    known = md.catalog(uow)
    general = known.setting("specimens", "transport_minutes", None)
    found = [known.order_sets.get(i or 0) for i in order_sets] or [None]
    own = [general if each is None or each.transport_minutes is None else each.transport_minutes for each in found]
    minutes = [int(m) for m in own if m is not None]
    return timedelta(minutes=min(minutes)) if minutes else None


def take_number(uow: UnitOfWork, section: md.SectionRow, priority: str, day: date) -> str:
    """The section's next sample number of the day. Raises UserError when the range is used up."""
    kind = "routine" if priority == "routine" else "stat"
    number = _next(uow, section, kind, day)
    while number is not None and number_used(uow, section.id, day, number):  # given by hand before its turn came
        number = _next(uow, section, kind, day)
    if number is None:
        raise UserError(
            "conflict",
            say(
                "{name}今天的{kind}样本号已经用完，请联系专业组长。", name=section.name, kind=say("急诊") if kind == "stat" else say("常规")
            ),
        )
    return number


def _next(uow: UnitOfWork, section: md.SectionRow, kind: str, day: date) -> str | None:
    return rules.sample_number(section.sample_no_prefix, kind, labels.take(uow, f"sample:{section.id}:{kind}", day))


def number_used(uow: UnitOfWork, section_id: int, day: date, number: str) -> bool:
    """Whether a tube of the section has this number on this day."""
    values = {"t": uow.tenant_id, "section": section_id, "day": day, "no": number}
    return uow.s.execute(_NUMBER_USED, values).first() is not None


def label_job(uow: UnitOfWork, specimen_ids: list[int]) -> tuple[list[LabelDocument], LabelJob]:
    """What is to be printed on the tubes, and the job in which the worker renders it."""
    uow.s.flush()
    known, tubes, items = md.catalog(uow), facts.tubes(uow, specimen_ids), facts.items(uow, specimen_ids)
    made = [labels.document(known, tubes[each], _abbrs(known, items.get(each, [])), uow.now) for each in specimen_ids]
    job = LabelJob(at=uow.now, by_id=uow.actor.user_id, documents=[to_json(each) for each in made])
    uow.insert(job)
    uow.emit("label.render", f"label:{job.id}", {"job_id": job.id})
    return made, job


def _abbrs(known: md.Catalog, items: Iterable[facts.Item]) -> list[str]:
    return [known.order_sets[each.order_set_id].abbr if each.order_set_id else each.name for each in items]
