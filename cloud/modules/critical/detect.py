"""Critical values are found: with each result that arrives, and again at review (M10 R1). Reruns of a tube count once (R7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.critical import rules
from cloud.modules.critical.models import CriticalEvent, CriticalQuiet
from cloud.modules.critical.rules import Handling, Sight, State
from cloud.modules.orders import queries as orders

ZONE = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class Found:
    """A result beyond its critical limit, with who, where and what as they are now. ``direction``: low, high, or '' for a text."""

    test_id: int
    specimen_id: int
    item_id: int
    section_id: int
    patient_id: int
    patient_name: str
    patient_no: str
    place: str
    dept: str
    ward: str
    visit_kind: str | None
    urgent: bool
    barcode: str
    item_name: str
    value_text: str
    value: Decimal | None
    direction: str
    unit: str
    limit_text: str
    found_at: datetime


def direction_of(value: Decimal | None, low: Decimal | None) -> str:
    """Which limit a critical number is beyond."""
    if value is None:
        return ""
    return "low" if low is not None and value <= low else "high"


def detect(uow: UnitOfWork, found: Sequence[Found]) -> None:
    """Open an event for each, or bring the one of the same tube and item up to date."""
    if not found:
        return
    last = {each.test_id: each for each in found}
    known = _latest(uow, last)
    fresh = [each for each in last.values() if not _rerun(uow, known.get(each.test_id), each)]
    _open(uow, fresh, {i: e.round for i, e in known.items()})
    uow.audit("critical", ",".join(map(str, sorted(last))), "detect", after={"values": [e.value_text for e in last.values()]})
    uow.notify("critical", {})


def _latest(uow: UnitOfWork, test_ids: Iterable[int]) -> dict[int, CriticalEvent]:
    query = select(CriticalEvent).where(CriticalEvent.test_id.in_(list(test_ids))).order_by(CriticalEvent.round).with_for_update()
    return {event.test_id: event for event in uow.s.execute(query).scalars()}


def _rerun(uow: UnitOfWork, event: CriticalEvent | None, new: Found) -> bool:
    """Join the value to the tube's event; False when it must be told by itself."""
    if event is None:
        return False
    state = State(event.state)
    if state is State.FALSE_ALARM or (state not in rules.UNTOLD and _must_be_told_again(event, new)):
        return False
    if event.value_text == new.value_text:
        return True
    event.reruns = [*event.reruns, [event.value_text if state in rules.UNTOLD else new.value_text, new.found_at.isoformat()]]
    if state in rules.UNTOLD:
        event.value_text, event.value, event.direction = new.value_text, new.value, new.direction
    return True


def _must_be_told_again(event: CriticalEvent, new: Found) -> bool:
    before = Sight(event.id, event.value, event.direction, event.found_at, "")
    now = Sight(0, new.value, new.direction, new.found_at, "")
    if before.direction != now.direction:
        return True
    worse = rules.worse_by(before, now)
    return worse is None or worse > rules.WORSE_PERCENT


def _open(uow: UnitOfWork, found: Sequence[Found], rounds: Mapping[int, int]) -> None:
    if not found:
        return
    told, quiet = _told_before(uow, found), _quiet_rules(uow, found)
    for each in found:
        kind = rules.dept_class(each.visit_kind, each.ward)
        rule = next((q for q in quiet if q.item_id == each.item_id and q.dept and q.dept in f"{each.ward} {each.dept}"), None)
        sight = Sight(0, each.value, each.direction, each.found_at, _day(each.found_at))
        before = told.get((each.patient_id, each.item_id), ())
        how, rests_on = rules.handling(sight, before, rule is not None, rules.WORSE_PERCENT if rule is None else rule.worse_percent)
        uow.s.add(
            CriticalEvent(
                test_id=each.test_id,
                round=rounds.get(each.test_id, 0) + 1,
                specimen_id=each.specimen_id,
                patient_id=each.patient_id,
                item_id=each.item_id,
                section_id=each.section_id,
                patient_name=each.patient_name,
                patient_no=each.patient_no,
                place=each.place,
                dept=each.dept,
                ward=each.ward,
                dept_class=kind.value,
                urgent=each.urgent,
                barcode=each.barcode,
                item_name=each.item_name,
                value_text=each.value_text,
                value=each.value,
                direction=each.direction,
                unit=each.unit,
                limit_text=each.limit_text,
                minutes=rules.MINUTES[kind] if how is Handling.FULL else rules.DAY_MINUTES,
                handling=how.value,
                repeat_of=rests_on,
                state=(State.MERGED if how is Handling.MERGED else State.DETECTED).value,
                found_at=each.found_at,
                closed_at=uow.now if how is Handling.MERGED else None,
            )
        )
    uow.s.flush()


def _told_before(uow: UnitOfWork, found: Sequence[Found]) -> dict[tuple[int, int], list[Sight]]:
    people = orders.people(uow, (f.patient_id for f in found))  # records read together are one person's (M03 R7)
    query = (
        select(CriticalEvent.id, CriticalEvent.patient_id, CriticalEvent.item_id, CriticalEvent.value, CriticalEvent.direction)
        .add_columns(CriticalEvent.found_at)
        .where(
            CriticalEvent.patient_id.in_({each for known in people.values() for each in known}),
            CriticalEvent.item_id.in_({f.item_id for f in found}),
        )
        .where(CriticalEvent.found_at >= min(f.found_at for f in found) - max(rules.CHRONIC_WITHIN, timedelta(days=1)))
        .where(CriticalEvent.state.in_([s.value for s in rules.TOLD]))
    )
    out: dict[tuple[int, int], list[Sight]] = {}
    for r in uow.s.execute(query):
        for asked in (asked for asked, known in people.items() if r.patient_id in known):
            out.setdefault((asked, r.item_id), []).append(Sight(r.id, r.value, r.direction, r.found_at, _day(r.found_at)))
    return out


def _quiet_rules(uow: UnitOfWork, found: Sequence[Found]) -> Sequence[CriticalQuiet]:
    query = select(CriticalQuiet).where(CriticalQuiet.item_id.in_({f.item_id for f in found}))
    return uow.s.execute(query).scalars().all()


def _day(at: datetime) -> str:
    return at.astimezone(ZONE).date().isoformat()
