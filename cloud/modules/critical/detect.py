"""Critical values are found: with each result that arrives, and again at review (M10 R1). Reruns of a tube count once (R7)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.critical import rules
from cloud.modules.critical.models import CriticalAttempt, CriticalEvent, CriticalQuiet
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
    repeat_rule: str = rules.Repeat.NONE
    analyzer_id: int | None = None
    run_at: datetime | None = None
    alarms: tuple[str, ...] = ()
    """The analyzer's own flags of that run."""


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
    judged = _judged(uow, list(last.values()))
    taken_back = _taken_back(uow, [e.id for e in known.values() if State(e.state) in rules.TOLD])
    fresh = [each for each in judged if not _rerun(known.get(each.found.test_id), each, taken_back)]
    _open(uow, fresh, {i: e.round for i, e in known.items()})
    uow.audit("critical", ",".join(map(str, sorted(last))), "detect", after={"values": [e.value_text for e in last.values()]})
    uow.notify("critical", {})


def _latest(uow: UnitOfWork, test_ids: Iterable[int]) -> dict[int, CriticalEvent]:
    query = select(CriticalEvent).where(CriticalEvent.test_id.in_(list(test_ids))).order_by(CriticalEvent.round).with_for_update()
    return {event.test_id: event for event in uow.s.execute(query).scalars()}


def _taken_back(uow: UnitOfWork, event_ids: Sequence[int]) -> set[int]:
    """Of these events, those whose receiver was told that the value does not stand: it covers nothing any more."""
    told = CriticalAttempt.outcome == rules.Result.CORRECTED.value
    query = select(CriticalAttempt.event_id).where(CriticalAttempt.event_id.in_(event_ids), told)
    return set(uow.s.execute(query).scalars()) if event_ids else set()


def again(uow: UnitOfWork, events: Sequence[CriticalEvent]) -> None:
    """Calls that rested on one which does not stand any more, or whose value was taken back and stands again: told by themselves now."""
    detect(uow, [_found_now(uow, e) for e in events if State(e.state) not in rules.UNTOLD])
    waiting = [e for e in events if State(e.state) in rules.UNTOLD]
    for event, judged in zip(waiting, _judged(uow, [_found_now(uow, e) for e in waiting]) if waiting else [], strict=True):
        if judged.how is Handling.FULL:
            _in_full(event, judged)
            uow.audit("critical", event.id, "in_full", after={"value": event.value_text})


def _found_now(uow: UnitOfWork, e: CriticalEvent) -> Found:
    return Found(
        test_id=e.test_id, specimen_id=e.specimen_id or 0, item_id=e.item_id or 0, section_id=e.section_id or 0, patient_id=e.patient_id,
        patient_name=e.patient_name, patient_no=e.patient_no, place=e.place, dept=e.dept, ward=e.ward, visit_kind=e.dept_class,
        urgent=e.urgent, barcode=e.barcode, item_name=e.item_name, value_text=e.value_text, value=e.value, direction=e.direction,
        unit=e.unit, limit_text=e.limit_text, found_at=uow.now, analyzer_id=e.analyzer_id, run_at=e.run_at, alarms=tuple(e.alarms),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Judged:
    """A value with how it is told (R6), on which told one that rests, and the unit that waits for it."""

    found: Found
    how: Handling
    rests_on: int | None
    first: bool
    kind: rules.DeptClass


def _judged(uow: UnitOfWork, found: Sequence[Found]) -> list[_Judged]:
    told, quiet = _told_before(uow, found), _quiet_rules(uow, found)
    out = []
    for each in found:
        place = f"{each.ward} {each.dept}"
        rule = next((q for q in quiet if q.item_id == each.item_id and q.dept and q.dept in place), None)
        before = told.get((each.patient_id, each.item_id), ())
        worse = rules.WORSE_PERCENT if rule is None else rule.worse_percent
        how, rests_on = rules.handling(_sight(each), before, rule is not None, worse)
        kind = rules.dept_class(each.visit_kind, each.ward, each.dept)
        out.append(_Judged(each, how, rests_on, rules.first_of_episode(_sight(each), before), kind))
    return out


def _sight(new: Found) -> Sight:
    number = rules.comparable(new.value_text, new.value, new.direction)
    return Sight(0, number, new.direction, new.found_at, _day(new.found_at))


def _rerun(event: CriticalEvent | None, new: _Judged, taken_back: Collection[int]) -> bool:
    """Join the value to the tube's event; False when it must be told by itself."""
    if event is None or event.state == State.FALSE_ALARM or event.id in taken_back:
        return False
    state, found = State(event.state), new.found
    turned = event.direction != found.direction
    if state is State.MERGED and (turned or new.how is Handling.FULL):
        return False  # what was told no longer covers it
    if state in rules.TOLD and (turned or _worse_than_told(event, found)):
        return False
    event.reruns = [*event.reruns, [event.value_text if state in rules.UNTOLD else found.value_text, found.found_at.isoformat()]]
    if state in rules.UNTOLD:
        event.value_text, event.value, event.direction = found.value_text, found.value, found.direction
        if turned and state is State.DETECTED:
            event.n_checks = 0  # who looked saw another value
        if event.handling == Handling.DAILY and new.how is Handling.FULL:
            _in_full(event, new)
    return True


def _worse_than_told(event: CriticalEvent, new: Found) -> bool:
    worse = rules.worse_by(Sight(event.id, event.value, event.direction, event.found_at, ""), _sight(new))
    return worse is None or worse > rules.WORSE_PERCENT


def _in_full(event: CriticalEvent, new: _Judged) -> None:
    """Once a day is no longer enough: the clock of minutes starts with the value that made it so."""
    event.handling, event.repeat_of, event.minutes = Handling.FULL.value, None, rules.MINUTES[new.kind]
    event.found_at, event.escalation_level, event.reminded_at = new.found.found_at, 0, None


def _open(uow: UnitOfWork, found: Sequence[_Judged], rounds: Mapping[int, int]) -> None:
    for new in found:
        each, merged = new.found, new.how is Handling.MERGED
        again = rounds.get(each.test_id, 0)
        uow.s.add(
            CriticalEvent(
                test_id=each.test_id,
                round=again + 1,
                specimen_id=each.specimen_id,
                patient_id=each.patient_id,
                item_id=each.item_id,
                section_id=each.section_id,
                patient_name=each.patient_name,
                patient_no=each.patient_no,
                place=each.place,
                dept=each.dept,
                ward=each.ward,
                dept_class=new.kind.value,
                urgent=each.urgent,
                barcode=each.barcode,
                item_name=each.item_name,
                value_text=each.value_text,
                value=each.value,
                direction=each.direction,
                unit=each.unit,
                limit_text=each.limit_text,
                minutes=rules.MINUTES[new.kind] if new.how is Handling.FULL else rules.DAY_MINUTES,
                handling=new.how.value,
                repeat_of=new.rests_on,
                # A second value of the same tube is the rerun itself.
                needs_rerun=not merged and not again and rules.needs_rerun(each.repeat_rule, new.first),
                analyzer_id=each.analyzer_id,
                run_at=each.run_at,
                alarms=list(each.alarms),
                state=(State.MERGED if merged else State.DETECTED).value,
                found_at=each.found_at,
                closed_at=uow.now if merged else None,
            )
        )
    if found:
        uow.s.flush()


# A call whose value was corrected, recalled or cancelled since covers no other.
_STANDS = text("""NOT EXISTS (SELECT 1 FROM test t LEFT JOIN result_version v ON v.tenant_id = t.tenant_id AND v.id = t.current_id
  WHERE t.tenant_id = critical_event.tenant_id AND t.id = critical_event.test_id
    AND (t.state IN ('recalled', 'cancelled') OR NOT v.critical))""")


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
        .where(CriticalEvent.state.in_([s.value for s in rules.TOLD]), _STANDS)
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
