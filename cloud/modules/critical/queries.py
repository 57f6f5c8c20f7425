"""Read-only looks at critical values: the board, the wards' pop-ups, the register, the indicators."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from statistics import median
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, not_, or_, select, text, true
from sqlalchemy.dialects.postgresql import distinct_on

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.critical import rules
from cloud.modules.critical.models import CriticalAttempt, CriticalCheck, CriticalContact, CriticalEvent, CriticalQuiet
from cloud.modules.critical.rules import DeptClass, State
from cloud.modules.critical.veil import is_sensitive as is_sensitive
from cloud.modules.critical.veil import open_to as open_to
from common.say import Said

ZONE = ZoneInfo("Asia/Shanghai")
PAGE = 100
EXPORT_MOST = 5000


@dataclass(frozen=True)
class Line:
    """An event as pages show it."""

    event: CriticalEvent
    clock: rules.Clock
    word: Said
    attempts: Sequence[CriticalAttempt]
    checks: Sequence[CriticalCheck]
    intervals: rules.Intervals
    stands: Said | None = None
    """Why the value does not stand any more: corrected, recalled; None while it does."""
    now: str = ""
    """The value that counts now where this one does not."""
    shut: bool = False
    """A sensitive item's value, hidden from this reader (veil.py)."""

    @property
    def open(self) -> bool:
        """Whether somebody must still be told."""
        return State(self.event.state) in rules.UNTOLD

    @property
    def tellable(self) -> bool:
        """Whether a call may be registered now."""
        return State(self.event.state) in (*rules.TELLABLE, State.UNREACHABLE)

    @property
    def late(self) -> tuple[bool, bool]:
        """Late by the 2015 and by the 2025 edition; what was never told is late."""
        return tuple(not rules.timely(i, self.event.minutes) for i in (self.intervals.y2015, self.intervals.y2025))  # type: ignore[return-value]

    @property
    def corrected(self) -> bool:
        """Whether who was told the value was told that it does not stand, as it is now."""
        return any(a.outcome == rules.Result.CORRECTED and (self.shut or a.readback == self.now) for a in self.attempts)

    @property
    def gone(self) -> bool:
        """Recalled or cancelled: the ward sees no value any more (M09 R5)."""
        return self.stands is not None and self.now == ""

    @property
    def dismissable(self) -> bool:
        """Whether the call may be ended with a reason."""
        return rules.dismiss_problem(State(self.event.state), self.stands) is None

    def told_by(self, channel: str) -> list[CriticalAttempt]:
        """Tries by one channel."""
        return [a for a in self.attempts if a.channel == channel]


def board(uow: UnitOfWork, limit: int = PAGE, section_id: int | None = None, *, only_untold: bool = False) -> list[Line]:
    """Events that still wait for somebody: the untold first, or alone; oldest first; of one section or of all."""
    states = [s.value for s in (rules.UNTOLD if only_untold else rules.OPEN)]
    untold = CriticalEvent.state.in_([s.value for s in rules.UNTOLD])
    query = select(CriticalEvent).where(CriticalEvent.state.in_(states), _here(uow))
    query = query if section_id is None else query.where(CriticalEvent.section_id == section_id)
    return _lines(uow, uow.s.execute(query.order_by(untold.desc(), CriticalEvent.id).limit(limit)).scalars().all())


def _here(uow: UnitOfWork) -> ColumnElement[bool]:
    own = places.sections(uow)
    return true() if own is None else CriticalEvent.section_id.in_(own)


def one(uow: UnitOfWork, event_id: int) -> Line | None:
    """One event with its checks and attempts, or None."""
    found = _lines(uow, uow.s.execute(select(CriticalEvent).where(CriticalEvent.id == event_id)).scalars().all())
    return found[0] if found else None


def of_ids(uow: UnitOfWork, event_ids: Sequence[int]) -> list[Line]:
    """These events, oldest first."""
    query = select(CriticalEvent).where(CriticalEvent.id.in_(event_ids)).order_by(CriticalEvent.id)
    return _lines(uow, uow.s.execute(query).scalars().all()) if event_ids else []


_OF_SPECIMEN = text("SELECT id FROM critical_event WHERE tenant_id = :t AND specimen_id = :s")
_UNCHECKED = text("""
SELECT specimen_id, item_name FROM critical_event WHERE tenant_id = :t AND specimen_id = ANY(:ids) AND state = ANY(:states) ORDER BY id
""")


def of_specimen(uow: UnitOfWork, specimen_id: int) -> list[Line]:
    """A tube's events, for the reviewer."""
    found = uow.s.execute(_OF_SPECIMEN, {"t": uow.tenant_id, "s": specimen_id}).scalars().all()
    if not found:  # most tubes have none
        return []
    return of_ids(uow, found)


def untold(uow: UnitOfWork, section_id: int | None = None) -> Sequence[CriticalEvent]:
    """Those that have not yet reached anybody, oldest first; of one section or of all."""
    query = select(CriticalEvent).where(CriticalEvent.state.in_([s.value for s in rules.UNTOLD])).order_by(CriticalEvent.id)
    return uow.s.execute(query if section_id is None else query.where(CriticalEvent.section_id == section_id)).scalars().all()


def states_of(uow: UnitOfWork, test_ids: Iterable[int]) -> dict[int, str]:
    """Test id → state of its newest event, for those that have one."""
    query = select(CriticalEvent.test_id, CriticalEvent.state).where(CriticalEvent.test_id.in_(list(test_ids)))
    return {row.test_id: row.state for row in uow.s.execute(query.order_by(CriticalEvent.round))}


def unchecked(uow: UnitOfWork, specimen_ids: Collection[int]) -> dict[int, list[str]]:
    """Tube → items whose critical value nobody has confirmed or dismissed yet: its report must not leave (M10 R2)."""
    given = {"t": uow.tenant_id, "ids": list(specimen_ids), "states": [s.value for s in rules.BLOCKING]}
    out: dict[int, list[str]] = {}
    for row in uow.s.execute(_UNCHECKED, given):
        out.setdefault(row.specimen_id, []).append(row.item_name)
    return out


def unit_names(visit_kind: str | None, ward: str, dept: str) -> tuple[str, ...]:
    """What a critical limit may call a unit: its department, its ward, or its class (急诊, 重症监护 …)."""
    return tuple(n for n in (dept, ward, str(rules.CLASS_WORDS[rules.dept_class(visit_kind, ward, dept)])) if n)


def _at_places(places: Collection[str]) -> ColumnElement[bool]:
    return or_(CriticalEvent.ward.in_(places), CriticalEvent.dept.in_(places))


# What was recalled is answered by nobody: the laboratory ends that call.
_NOT_GONE = text("""NOT EXISTS (SELECT 1 FROM test t
  WHERE t.tenant_id = critical_event.tenant_id AND t.id = critical_event.test_id AND t.state IN ('recalled', 'cancelled'))""")


def for_wards(uow: UnitOfWork, places: Collection[str], limit: int = 50) -> list[Line]:
    """What a ward must answer, and what it has answered without saying yet what was done."""
    if not places:
        return []
    states = [s.value for s in (*rules.TELLABLE, State.UNREACHABLE, State.RECEIVED, State.ACKNOWLEDGED)]
    query = select(CriticalEvent).where(CriticalEvent.state.in_(states), _at_places(places)).order_by(CriticalEvent.id).limit(limit)
    return _lines(uow, uow.s.execute(query).scalars().all())


def waiting_at(uow: UnitOfWork, places: Collection[str]) -> int:
    """How many of a ward's critical values nobody there has answered."""
    if not places:
        return 0
    states = [s.value for s in (*rules.TELLABLE, State.UNREACHABLE)]
    query = select(func.count()).select_from(CriticalEvent).where(CriticalEvent.state.in_(states), _at_places(places), _NOT_GONE)
    return uow.s.execute(query).scalar_one()


_SAW = text("""
SELECT DISTINCT u FROM critical_event e LEFT JOIN critical_attempt a
  ON a.tenant_id = e.tenant_id AND a.event_id = e.id AND a.channel = 'popup'
CROSS JOIN LATERAL unnest(ARRAY[e.received_by_id, a.by_id]) AS u
WHERE e.tenant_id = :t AND e.specimen_id = ANY(:s) AND u IS NOT NULL ORDER BY u
""")


def readers(uow: UnitOfWork, specimen_ids: Sequence[int]) -> list[int]:
    """The people on whose screens a critical value of these tubes stood: they saw a value of the report without opening it."""
    return list(uow.s.execute(_SAW, {"t": uow.tenant_id, "s": list(specimen_ids)}).scalars())


# --- the register (登记本) ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """Filters of the register: local days (both included), a class of unit, only what is late by one edition ('2015', '2025')."""

    first: date
    last: date
    dept_class: str = ""
    late: str = ""
    failed_readback: bool = False
    state: str = ""
    dept: str = ""
    """A ward, or a department where no ward is known."""
    counted: bool = False
    """Only what the indicators count: an item of a tube once, no false alarm, nothing merged."""
    section: str = ""
    """The code of a section."""
    told: str = ""
    """Only what was told ('any'), or told within the limit by one edition ('2015', '2025')."""


def _span(wanted: Wanted) -> tuple[datetime, datetime]:
    start = datetime(wanted.first.year, wanted.first.month, wanted.first.day, tzinfo=ZONE)
    return start, datetime(wanted.last.year, wanted.last.month, wanted.last.day, tzinfo=ZONE) + timedelta(days=1)


def register(uow: UnitOfWork, wanted: Wanted, before: int | None = None, limit: int = PAGE) -> list[Line]:
    """The register's lines, newest first; ``before`` is the id of the last line of the page before."""
    start, end = _span(wanted)
    query = select(CriticalEvent).where(CriticalEvent.found_at >= start, CriticalEvent.found_at < end, _here(uow))
    if before is not None:
        query = query.where(CriticalEvent.id < before)
    if wanted.dept_class:
        query = query.where(CriticalEvent.dept_class == wanted.dept_class)
    if wanted.state:
        query = query.where(CriticalEvent.state == wanted.state)
    if wanted.dept:
        place = func.coalesce(func.nullif(CriticalEvent.ward, ""), func.nullif(CriticalEvent.dept, ""), "—")
        query = query.where(place == wanted.dept)
    if wanted.section:
        one = md.catalog(uow).sections_by_code.get(wanted.section)
        query = query.where(CriticalEvent.section_id == (0 if one is None else one.id))
    if wanted.counted:
        ended = [State.FALSE_ALARM.value, State.MERGED.value]
        once = select(CriticalEvent.id).ext(distinct_on(CriticalEvent.test_id)).order_by(CriticalEvent.test_id, CriticalEvent.round)
        once = once.where(CriticalEvent.found_at >= start, CriticalEvent.found_at < end, CriticalEvent.state.not_in(ended))
        query = query.where(CriticalEvent.id.in_(once))
    if wanted.failed_readback:
        failed = select(CriticalAttempt.event_id).where(CriticalAttempt.outcome == rules.Result.MISMATCH.value)
        query = query.where(CriticalEvent.id.in_(failed))
    if wanted.told:
        query = query.where(CriticalEvent.received_at.is_not(None) if wanted.told == "any" else not_(_late(wanted.told)))
    if wanted.late:
        counted = CriticalEvent.state.not_in([State.FALSE_ALARM.value, State.MERGED.value])
        query = query.where(counted, _late(wanted.late))
    return _lines(uow, uow.s.execute(query.order_by(CriticalEvent.id.desc()).limit(limit)).scalars().all())


def _late(edition: str) -> ColumnElement[bool]:
    since = CriticalEvent.confirmed_at if edition == "2015" else CriticalEvent.found_at
    limit = func.make_interval(0, 0, 0, 0, 0, CriticalEvent.minutes)
    return or_(CriticalEvent.received_at.is_(None), since.is_(None), CriticalEvent.received_at - since > limit)


# --- indicators -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kpi:
    """The two indicators of one group, by both editions (AC-CV-5); percentages None of nothing."""

    name: str
    key: str
    needing: int
    told: int
    timely2015: int
    timely2025: int
    median2025: Decimal | None

    @property
    def told_rate(self) -> Decimal | None:
        """通报率."""
        return rules.percent(self.told, self.needing)

    @property
    def rate2015(self) -> Decimal | None:
        """通报及时率, 2015: confirmed → told."""
        return rules.percent(self.timely2015, self.needing)

    @property
    def rate2025(self) -> Decimal | None:
        """通报及时率, 2025: found → obtained."""
        return rules.percent(self.timely2025, self.needing)


@dataclass(frozen=True)
class Stats:
    """A span's indicators: the whole, by class of unit, by department, by day, and how often a read-back failed."""

    whole: Kpi
    classes: Sequence[Kpi]
    depts: Sequence[Kpi]
    days: Sequence[Kpi]
    failed_readbacks: int
    """Calls with a wrong read-back."""
    failed_events: int
    """Critical values that had at least one, as many as their list is long."""
    false_alarms: int
    merged: int


def stats(uow: UnitOfWork, first: date, last: date) -> Stats:
    """Counted by item of a tube: reruns of one tube count once (R7, F3), false alarms and merged repeats need nobody told."""
    start, end = _span(Wanted(first, last))
    query = select(CriticalEvent).where(CriticalEvent.found_at >= start, CriticalEvent.found_at < end, _here(uow))
    query = query.order_by(CriticalEvent.round)
    every = uow.s.execute(query).scalars().all()
    counted: dict[int, CriticalEvent] = {}
    for event in every:
        if State(event.state) not in (State.FALSE_ALARM, State.MERGED):
            counted.setdefault(event.test_id, event)
    events = list(counted.values())
    failed = select(func.count(), func.count(CriticalAttempt.event_id.distinct())).where(
        CriticalAttempt.event_id.in_([e.id for e in every]), CriticalAttempt.outcome == rules.Result.MISMATCH.value
    )
    calls, misheard = uow.s.execute(failed).one() if every else (0, 0)
    classes = [_kpi(rules.CLASS_WORDS[c], c.value, [e for e in events if e.dept_class == c]) for c in DeptClass]
    by_dept: dict[str, list[CriticalEvent]] = {}
    by_day: dict[str, list[CriticalEvent]] = {}
    for event in events:
        by_dept.setdefault(event.ward or event.dept or "—", []).append(event)
        by_day.setdefault(event.found_at.astimezone(ZONE).date().isoformat(), []).append(event)
    return Stats(
        _kpi("", "", events),
        [k for k in classes if k.needing],
        sorted((_kpi(name, name, found) for name, found in by_dept.items()), key=lambda k: -k.needing),
        [_kpi(day[5:], day, found) for day, found in sorted(by_day.items())],
        calls,
        misheard,
        sum(e.state == State.FALSE_ALARM for e in every),
        sum(e.state == State.MERGED for e in every),
    )


def _kpi(name: str, key: str, events: Sequence[CriticalEvent]) -> Kpi:
    both = [(e, rules.intervals(e.found_at, e.confirmed_at, e.received_at)) for e in events]
    minutes = [i.y2025 / timedelta(minutes=1) for _, i in both if i.y2025 is not None]
    return Kpi(
        name,
        key,
        len(events),
        sum(e.received_at is not None for e in events),
        sum(rules.timely(i.y2015, e.minutes) for e, i in both),
        sum(rules.timely(i.y2025, e.minutes) for e, i in both),
        Decimal(str(round(median(minutes), 1))) if minutes else None,
    )


# --- set-up ---------------------------------------------------------------------------------------------------------


def contacts(uow: UnitOfWork) -> Sequence[CriticalContact]:
    """Whom to call, by level and place: of the own wards, and those who serve all."""
    query = select(CriticalContact)
    if uow.actor.reach is not None:
        query = query.where(CriticalContact.place.in_(["", *sorted(uow.actor.reach.wards)]))
    return uow.s.execute(query.order_by(CriticalContact.level, CriticalContact.place)).scalars().all()


def quiet(uow: UnitOfWork) -> Sequence[CriticalQuiet]:
    """Departments told once a day: those of the own place."""
    query = select(CriticalQuiet)
    if uow.actor.reach is not None:
        query = query.where(CriticalQuiet.dept.in_(sorted(uow.actor.reach.wards)))
    return uow.s.execute(query.order_by(CriticalQuiet.dept, CriticalQuiet.item_id)).scalars().all()


def _lines(uow: UnitOfWork, events: Sequence[CriticalEvent]) -> list[Line]:
    ids = [e.id for e in events]
    tried = _attempts(uow, ids)
    looked = _checks(uow, ids)
    counts = _counting(uow, events)
    return [
        Line(
            e,
            rules.clock(e.found_at, e.received_at, e.minutes, uow.now),
            rules.WORDS[State(e.state)],
            tried.get(e.id, []),
            looked.get(e.id, []),
            rules.intervals(e.found_at, e.confirmed_at, e.received_at),
            *counts.get(e.id, (None, "")),
        )
        for e in events
    ]


_COUNTING = text("""
SELECT t.id, t.state, v.reported_text, coalesce(v.critical, false) AS critical FROM test t
LEFT JOIN result_version v ON v.tenant_id = t.tenant_id AND v.id = t.current_id WHERE t.tenant_id = :t AND t.id = ANY(:ids)
""")


def _counting(uow: UnitOfWork, events: Sequence[CriticalEvent]) -> dict[int, tuple[Said, str]]:
    """Event → why its value does not stand, and what counts instead; without those whose value stands, and those that ended untold."""
    going = [e for e in events if e.state not in (State.FALSE_ALARM, State.MERGED)]
    if not going:
        return {}
    tests = {r.id: r for r in uow.s.execute(_COUNTING, {"t": uow.tenant_id, "ids": [e.test_id for e in going]})}
    out = {}
    for event in going:
        test = tests[event.test_id]
        why = rules.standing(test.state, test.reported_text, test.critical)
        if why is not None:
            out[event.id] = (why, "" if test.state in ("recalled", "cancelled") else str(test.reported_text))
    return out


def _attempts(uow: UnitOfWork, ids: Sequence[int]) -> Mapping[int, list[CriticalAttempt]]:
    out: dict[int, list[CriticalAttempt]] = {}
    if ids:
        query = select(CriticalAttempt).where(CriticalAttempt.event_id.in_(ids)).order_by(CriticalAttempt.id)
        for row in uow.s.execute(query).scalars():
            out.setdefault(row.event_id, []).append(row)
    return out


def _checks(uow: UnitOfWork, ids: Sequence[int]) -> Mapping[int, list[CriticalCheck]]:
    out: dict[int, list[CriticalCheck]] = {}
    if ids:
        query = select(CriticalCheck).where(CriticalCheck.event_id.in_(ids)).order_by(CriticalCheck.event_id, CriticalCheck.no)
        for row in uow.s.execute(query).scalars():
            out.setdefault(row.event_id, []).append(row)
    return out
