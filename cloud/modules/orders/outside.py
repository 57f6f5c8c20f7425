"""外院互认报告 (M03 R4): what another hospital measured of an item whose results are mutually recognised. Within the minimum interval of
what is asked for, the HIS and the reception are shown it instead of a second tube.

Registered by hand from the paper or the telephone the patient brings; a mark that is not the item's own scope is kept and shows nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.orders import queries, rules, twins
from cloud.modules.orders.models import LabOrder, OrderItem, OutsideReport
from cloud.web.faults import Conflict, Invalid, NotFound, Stale
from common import values
from common.say import say

PAGE = 100
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Given:
    """What the form says of a report."""

    patient_no: str
    item: str
    hospital: str
    report_no: str
    mark: str
    value: str
    sampled: str


@dataclass(frozen=True, slots=True)
class Outside:
    """A report that is recognised for what is asked."""

    id: int
    item: str
    value: str
    unit: str
    hospital: str
    report_no: str
    mark: str
    sampled_at: datetime

    @property
    def text(self) -> str:
        """As the HIS and the reception read it."""
        number = f"，报告号 {self.report_no}" if self.report_no else ""
        result = f"{self.item} {self.value} {self.unit}".rstrip()
        return f"外院互认结果（{self.mark}）：{self.hospital} {self.sampled_at.astimezone(md.HOSPITAL_ZONE):%Y-%m-%d} {result}{number}"


def shown_for(uow: UnitOfWork, item_id: int) -> float:
    """How many hours a report of this item is shown for; 0: no set with it has a minimum interval."""
    known = md.catalog(uow)
    return max((h for set_id, h in twins.hours_by_set(uow).items() if item_id in known.set_items.get(set_id, ())), default=0.0)


_OF_PEOPLE = text("""
SELECT id, item_id, value, unit, hospital, report_no, mark, sampled_at FROM outside_report
WHERE tenant_id = :t AND patient_id = ANY(:people) AND item_id = ANY(:items) AND withdrawn_at IS NULL AND sampled_at > :since
ORDER BY sampled_at DESC, id DESC
""")


def recognised(uow: UnitOfWork, people: Sequence[int], wanted: Mapping[K, int]) -> dict[K, Outside]:
    """Of what is asked (key → order set) the newest report that counts for it; nothing is asked where no set has an interval."""
    known, hours = md.catalog(uow), twins.hours_by_set(uow)
    scopes = {i.id: i.mutual_recognition for i in known.items.values() if i.mutual_recognition and not i.sensitive}
    items = {i for s in wanted.values() if s in hours for i in known.set_items.get(s, ()) if i in scopes}
    if not items:
        return {}
    since = uow.now - timedelta(hours=max(hours[s] for s in wanted.values() if s in hours))
    params = {"t": uow.tenant_id, "people": list(people), "items": sorted(items), "since": since}
    out: dict[K, Outside] = {}
    for r in uow.s.execute(_OF_PEOPLE, params):
        for key, set_id in wanted.items():
            mine = set_id in hours and r.item_id in known.set_items.get(set_id, ()) and key not in out
            if mine and rules.recognises(scopes[r.item_id], r.mark, r.sampled_at, uow.now, hours[set_id]):
                out[key] = Outside(r.id, known.items[r.item_id].name, r.value, r.unit, r.hospital, r.report_no, r.mark, r.sampled_at)
    return out


def of_item(uow: UnitOfWork, item_id: int) -> str:
    """What stands on the page of a request; "" where no report was found for it."""
    row = uow.s.get(OrderItem, (uow.tenant_id, item_id))
    r = None if row is None or row.outside_id is None else uow.s.get(OutsideReport, (uow.tenant_id, row.outside_id))
    if r is None:
        return ""
    name = md.catalog(uow).items[r.item_id].name
    return Outside(r.id, name, r.value, r.unit, r.hospital, r.report_no, r.mark, r.sampled_at).text


def repeats(uow: UnitOfWork, patient_id: int, rows: Sequence[OrderItem]) -> list[tuple[OrderItem, str]]:
    """Mark new requests with what came before them within their interval; each with the words for whoever sent it."""
    wanted = {each.id: each.order_set_id for each in rows if each.order_set_id is not None}
    if not set(wanted.values()) & twins.hours_by_set(uow).keys():
        return []
    people, new, told = queries.person_ids(uow, patient_id), {each.id: each for each in rows}, list[tuple[OrderItem, str]]()
    for item_id, before in twins.earlier(uow, people, wanted, list(new)).items():
        new[item_id].twin_id = before.item_id
        told.append((new[item_id], before.text))
    for item_id, report in recognised(uow, people, wanted).items():
        new[item_id].outside_id = report.id
        told.append((new[item_id], report.text))
    return told


def foreseen(uow: UnitOfWork, number: str, codes: Sequence[str]) -> list[str]:
    """What somebody who is registering reads of these order sets: the patient's own requests within the interval, reports that count."""
    known = md.catalog(uow).order_sets_by_code
    wanted = {code: known[code].id for code in codes if code in known}
    patient = queries.patient_by_code(uow, number) if number and set(wanted.values()) & twins.hours_by_set(uow).keys() else None
    if patient is None:
        return []
    people = queries.person_ids(uow, patient.id)
    before = (f"{known[code].name} {found.text}" for code, found in twins.earlier(uow, people, wanted).items())
    return [*before, *dict.fromkeys(found.text for found in recognised(uow, people, wanted).values())]


def choices(uow: UnitOfWork) -> list[md.ItemRow]:
    """Items a report may be registered of: recognised between hospitals, and none that is sensitive (other systems read the sentence)."""
    return [i for i in md.catalog(uow).items.values() if i.active and i.mutual_recognition and not i.sensitive]


def add(uow: UnitOfWork, given: Given) -> OutsideReport:
    """Keep a report; requests of this person that wait for their tube are marked. Raises Invalid naming the field."""
    patient = queries.patient_by_code(uow, given.patient_no)
    if patient is None:
        raise Invalid(say("没有患者号“{no}”，请核对。", no=given.patient_no.strip()), "patient_no")
    item = next((i for i in choices(uow) if i.code == given.item), None)
    if item is None:
        raise Invalid(say("请从列表中选择互认项目。"), "item")
    for field, said in (("hospital", given.hospital), ("mark", given.mark), ("value", given.value)):
        if not said.strip():
            raise Invalid(say("请填写出具报告的医院、互认标识和结果。"), field)
    value = given.value.strip()
    if item.result_type == "numeric":
        values.require(value, item.result_type, item.name, item.choices)
    sampled = _moment(uow, given.sampled)
    row = OutsideReport(
        patient_id=patient.id, item_id=item.id, hospital=given.hospital.strip()[:60], report_no=given.report_no.strip()[:40],
        mark=given.mark.strip()[:20], value=value[:60], unit=item.unit, sampled_at=sampled, entered_by=uow.actor.name, entered_at=uow.now,
    )  # fmt: skip
    uow.s.add(row)
    uow.s.flush()
    after = {"patient_no": patient.patient_no, "item": item.name, "hospital": row.hospital, "value": row.value, "mark": row.mark}
    uow.audit("outside_report", row.id, "add", after=after | {"items": _mark(uow, patient.id)})
    return row


def _moment(uow: UnitOfWork, typed: str) -> datetime:
    try:
        at = datetime.fromisoformat(typed.strip())
    except ValueError as error:
        raise Invalid(say("请填写外院采样的日期和时间。"), "sampled") from error
    at = at.replace(tzinfo=md.HOSPITAL_ZONE) if at.tzinfo is None else at
    if at > uow.now:
        raise Invalid(say("采样时间不能在将来。"), "sampled")
    return at


def _mark(uow: UnitOfWork, patient_id: int) -> list[int]:
    """Requests of this person that wait for their tube and for which a report counts now; their ids."""
    people, states = queries.person_ids(uow, patient_id), [s.value for s in rules.BEFORE_LABEL]
    query = select(OrderItem).join(LabOrder, (LabOrder.tenant_id == OrderItem.tenant_id) & (LabOrder.id == OrderItem.order_id))
    query = query.where(LabOrder.patient_id.in_(people), OrderItem.status.in_(states), OrderItem.order_set_id.is_not(None))
    waiting = {row.id: row for row in uow.s.scalars(query.order_by(OrderItem.id).with_for_update(of=OrderItem))}
    found = recognised(uow, people, {i: row.order_set_id for i, row in waiting.items() if row.order_set_id is not None})
    for item_id, report in found.items():
        waiting[item_id].outside_id = report.id
    return sorted(found)


def withdraw(uow: UnitOfWork, report_id: int, version: int, why: str) -> None:
    """It was registered by mistake: shown no more. Raises NotFound, Stale, Conflict, Invalid."""
    row = uow.s.get(OutsideReport, (uow.tenant_id, report_id), with_for_update=True)
    if row is None or uow.s.execute(_IS_HERE, {"t": uow.tenant_id, "id": report_id, **places.binds(uow)}).first() is None:
        raise NotFound("这份外院报告")
    if row.withdrawn_at is not None:
        raise Conflict(say("这份外院报告已由 {who} 撤回，请刷新。", who=row.withdrawn_by))
    if row.version != version:
        raise Stale
    if not why.strip():
        raise Invalid(say("请写明撤回的原因，例如：登记错了患者。"), "why")
    row.withdrawn_at, row.withdrawn_by, row.withdrawn_why = uow.now, uow.actor.name, why.strip()[:200]
    items = list(uow.s.scalars(select(OrderItem).where(OrderItem.outside_id == row.id).order_by(OrderItem.id).with_for_update()))
    for item in items:
        item.outside_id = None
    uow.audit("outside_report", row.id, "withdrawn", after={"items": [i.id for i in items]}, reason=row.withdrawn_why)


# Of the own place: by who examines the item, or where the patient lies (a ward's nurse registers too).
_HERE = """(:everywhere OR i.section_id = ANY(:own_sections) OR EXISTS (SELECT 1 FROM visit own WHERE own.tenant_id = r.tenant_id
  AND own.patient_id = r.patient_id AND (own.ward = ANY(:own_wards) OR own.dept = ANY(:own_wards))))"""
_LIST = text(f"""
SELECT r.id, r.version, r.item_id, r.hospital, r.report_no, r.mark, r.value, r.unit, r.sampled_at, r.entered_by, r.entered_at,
       r.withdrawn_at, r.withdrawn_by, r.withdrawn_why, p.name, p.patient_no
FROM outside_report r JOIN patient p ON p.tenant_id = r.tenant_id AND p.id = r.patient_id
JOIN test_item i ON i.tenant_id = r.tenant_id AND i.id = r.item_id
WHERE r.tenant_id = :t AND {_HERE}
  AND (CAST(:before AS bigint) IS NULL OR r.id < :before) ORDER BY r.id DESC LIMIT :n
""")

_IS_HERE = text(f"""
SELECT 1 FROM outside_report r JOIN test_item i ON i.tenant_id = r.tenant_id AND i.id = r.item_id
WHERE r.tenant_id = :t AND r.id = :id AND {_HERE}
""")


@dataclass(frozen=True, slots=True)
class Line:
    """A report as listed: until when it is shown, None where no set has an interval or the mark is out of scope."""

    row: Any
    item: str
    until: datetime | None


def listed(uow: UnitOfWork, before: int | None = None, limit: int = PAGE) -> list[Line]:
    """Reports as they were registered, newest first: of the own place."""
    known, out = md.catalog(uow), []
    for r in uow.s.execute(_LIST, {"t": uow.tenant_id, "before": before, "n": limit, **places.binds(uow)}):
        item = known.items[r.item_id]
        hours = shown_for(uow, item.id)
        counts = hours and rules.in_scope(item.mutual_recognition, r.mark)
        out.append(Line(r, item.name, r.sampled_at + timedelta(hours=hours) if counts else None))
    return out
