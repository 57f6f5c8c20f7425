"""Results of instruments into result versions, thousands a second: load, decide in memory by the rules, write in bulk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from cloud.db.session import UnitOfWork
from cloud.modules.bench import arrival_rules, facts, followup, measure, rows, rules
from cloud.modules.bench.arrival_rules import Decision, Incoming, Outcome, Recorded
from cloud.modules.bench.consequences import settle
from cloud.modules.bench.expect import lock_tubes
from cloud.modules.bench.facts import Tube
from cloud.modules.bench.followup import FollowRow
from cloud.modules.bench.reading import Reader, Reading
from cloud.modules.bench.rows import NewVersion, Sums, TestRow, VersionRow
from cloud.modules.bench.rules import TestState
from cloud.modules.catalog import queries as md
from cloud.modules.critical import queries as critical_queries
from cloud.modules.critical import service as critical
from common import values

CLOSED_TUBES = frozenset({"rejected", "cancelled", "lost", "discarded"})


def record_results(uow: UnitOfWork, batch: Iterable[Incoming]) -> list[Recorded]:
    """Write a batch of instrument results, in the order given; the answer has one entry each, in the same order.

    A repeat writes nothing; a different value becomes a held version beside the first (R3). Results for items nobody ordered, or of
    tubes that are closed, are not written: the intake keeps the observation and shows it. A few statements whatever the size.
    """
    incoming = list(batch)
    if not incoming:
        return []
    work = Work(uow, sorted({each.specimen_id for each in incoming}))
    work.admit_indices(incoming)
    answers = [work.take(each) for each in incoming]
    return work.write(answers)


@dataclass(slots=True)
class _Taken:
    new: Incoming
    outcome: Outcome
    test: TestRow | None = None
    version: NewVersion | None = None


class Work:
    """The tubes of one batch in memory, locked, until they are written back."""

    def __init__(self, uow: UnitOfWork, specimen_ids: Sequence[int], versions: bool = True) -> None:
        """``versions``: False for who only tells what stands, and hands over what that is (``know``)."""
        self.uow = uow
        self.catalog = md.catalog(uow)
        self.reader = Reader(self.catalog, uow.now)
        self.tubes = facts.tubes(uow, specimen_ids)
        self.revisions = lock_tubes(uow, self.tubes)
        self.tests = {(t.specimen_id, t.item_id): t for t in rows.load_tests(uow, list(self.tubes))}
        self.by_tube: dict[int, list[TestRow]] = {}
        for test in self.tests.values():
            self.by_tube.setdefault(test.specimen_id, []).append(test)
        touched = [t.id for t in self.tests.values() if t.state != TestState.EXPECTED]
        self.versions: dict[int, list[VersionRow]] = rows.load_versions(uow, touched) if versions else {}
        self.follow: dict[int, list[FollowRow]] = followup.load(uow, {t.specimen_id for t in self.tests.values() if t.followed})
        self.new: dict[int, list[NewVersion]] = {}
        self.looked: set[int] = set()
        counts = {t.current_id for t in self.tests.values()}
        self.current: dict[int, VersionRow | NewVersion] = {v.test_id: v for vs in self.versions.values() for v in vs if v.id in counts}

    def know(self, standing: Iterable[VersionRow]) -> None:
        """The versions that count, as somebody has read them under these locks."""
        self.current |= {version.test_id: version for version in standing}

    def admit_indices(self, incoming: Sequence[Incoming]) -> None:
        """Nobody orders serum indices: the first one that arrives makes its place on the tube."""
        wanted = {(i.specimen_id, i.item_id) for i in incoming if i.specimen_id in self.tubes and self.is_index(i.item_id)}
        missing = sorted(wanted - self.tests.keys())
        if missing:
            for test in rows.add_tests(self.uow, [(s, i, self.tubes[s].section_id) for s, i in missing]):
                self.tests[test.specimen_id, test.item_id] = test
                self.by_tube.setdefault(test.specimen_id, []).append(test)

    def is_index(self, item_id: int) -> bool:
        """Whether an item is a serum index."""
        item = self.catalog.items.get(item_id)
        return item is not None and item.code.startswith(md.HIL_PREFIX)

    def rerun_of(self, test: TestRow) -> FollowRow | None:
        """The rerun or confirmation of a test that is open."""
        return next((f for f in self.follow.get(test.specimen_id, ()) if f.test_id == test.id and f.again and f.open), None)

    def waits(self, test: TestRow) -> str:
        """What is still to be done on top of a test, in words: 复查, 加做 …; "" for nothing."""
        found = [f for f in self.follow.get(test.specimen_id, ()) if f.test_id == test.id and f.open]
        return "、".join(dict.fromkeys(f.word for f in found))

    def take(self, new: Incoming) -> _Taken:
        """Decide what one result does, and change the test in memory."""
        tube = self.tubes.get(new.specimen_id)
        if tube is None or tube.state in CLOSED_TUBES:
            return _Taken(new, Outcome.REFUSED)
        test = self.tests.get((new.specimen_id, new.item_id))
        if test is None:
            return _Taken(new, Outcome.NOT_ORDERED)
        rerun = self.rerun_of(test)
        asked = rerun is not None and rerun.state == "asked"
        early = rerun is not None and asked and self._early(rerun, test, new)
        dilution = rerun.dilution if rerun is not None and asked and not early else Decimal(1)
        reading = self.reader.read(new.item_id, new.analyzer_id, new.raw_text, tube, new.factor, new.offset, dilution)
        # One "-" is a strip's negative, and of a number the same as "----".
        missing = new.no_result or reading.missing or (self._counts(new.item_id) and new.raw_text.strip() in ("-", "."))
        if missing and (self.current.get(test.id) is not None or TestState(test.state) not in rules.OPEN_STATES):
            return _Taken(new, Outcome.NO_VALUE, test)
        if missing:
            reading = replace(reading, comparator="", value=None, reported_text="", flag="", critical=False, holds=(rules.NO_VALUE,))
        known = [v.known for v in (*self.versions.get(test.id, ()), *self.new.get(test.id, ()))]
        current = self.current.get(test.id)
        # Two runs that agree confirm each other in whatever order; another value of before the question answers nothing.
        agrees = current is not None and current.known.reported_text == reading.reported_text
        if rerun is not None and early and not (agrees and rerun.dilution == 1):
            asked = False
        decided = arrival_rules.decide(
            TestState(test.state),
            known,
            None if current is None else current.known,
            new,
            reading.reported_text,
            reading.unit,
            (*new.holds, *reading.holds),
            self.uow.now,
            self._window(new.analyzer_id),
            asked,
            arrival_rules.answers_rerun(rerun.asked_at if rerun is not None and asked else None, new.taken_at or self.uow.now),
            rerun.state if rerun is not None else "",
        )
        if not decided.written:
            return _Taken(new, decided.outcome, test)
        no = max((k.version_no for k in known), default=0) + 1
        alarms = arrival_rules.alarm_flags(new.flags)
        version = rows.from_instrument(test, no, tube.patient_id, new, reading, decided.holds, self.uow.now, alarms)
        if rerun is not None and asked and decided.outcome is not Outcome.LATE:
            decided = self._rerun(rerun, test, version, reading, decided)
        self._change(test, version, decided)
        return _Taken(new, decided.outcome, test, version)

    def _counts(self, item_id: int) -> bool:
        return self.catalog.items[item_id].result_type == "numeric"

    def _early(self, rerun: FollowRow, test: TestRow, new: Incoming) -> bool:
        """Whether a value was measured before its rerun was asked for."""
        current = self.current.get(test.id)
        same = current is not None and current.known.analyzer_id == new.analyzer_id
        first = current.known.run_at if same and current is not None else None
        return arrival_rules.measured_before(rerun.asked_at, new.run_at, new.taken_at or self.uow.now, first)

    def _rerun(self, rerun: FollowRow, test: TestRow, version: NewVersion, reading: Reading, decided: Decision) -> Decision:
        """The answer of a rerun (R4): it confirms the first value inside the difference rule, or both wait for a person."""
        rerun.state, rerun.dirty, version.answers = "back", True, rerun
        first = self.current.get(test.id)
        if decided.current or first is None:  # there was no first value
            rerun.settle(self.uow, "done", f"首次无结果，采用 {reading.reported_text}")
            return decided
        percent, absolute = (Decimal(str(self.catalog.setting("bench", k, v))) for k, v in (("rerun_percent", 5), ("rerun_absolute", 0)))
        one, two = (values.parse(text) for text in (first.known.reported_text, reading.reported_text))
        plain = rerun.kind is measure.Kind.RERUN and rerun.dilution == 1 and not reading.holds and not version.alarms
        if not plain or not measure.confirms(one, two, measure.RerunRule(absolute, percent)):
            return decided
        rerun.settle(self.uow, "done", f"复查 {reading.reported_text} 与首次 {first.known.reported_text} 一致，采用首次")
        version.holds = ()
        state = TestState.HELD if first.held or any(n.holds for n in measure.notes_from(test.notes)) else TestState.RECEIVED
        return Decision(Outcome.RECORDED, state)

    def _window(self, analyzer_id: int | None) -> timedelta:
        analyzer = self.catalog.analyzers.get(analyzer_id) if analyzer_id is not None else None
        return timedelta(seconds=analyzer.resend_window_s) if analyzer is not None else rows.RESEND_WINDOW

    def _change(self, test: TestRow, version: NewVersion, decided: Decision) -> None:
        self.new.setdefault(test.id, []).append(version)
        before = self.current.get(test.id)
        version.counts, version.waits = decided.current, decided.other_waits
        if decided.current:
            version.replaces = before
            self.current[test.id] = version
        test.state, test.dirty = decided.state.value, True

    def write(self, taken: Sequence[_Taken]) -> list[Recorded]:
        """Versions, tests, tubes, critical values, event, notice, audit."""
        new = [t.version for t in taken if t.version is not None]
        if new:
            rows.insert_versions(self.uow, new)
            for version in new:
                self.out_of_sight(version.test, _point(version))
            new += settle(self, sorted({v.test.specimen_id for v in new}))
            self.save_follow()
            touched = sorted({v.test.specimen_id for v in new})
            rows.save(self.uow, self.tests.values(), [self.sums(i) for i in touched])
            self.alert(new)
            self.tell(new, touched)
        return [_recorded(t) for t in taken]

    def out_of_sight(self, test: TestRow, version_id: int | None) -> None:
        """A version that waited for a person and cannot be chosen is said beside the two that can."""
        texts = {v.id: v.known.reported_text for v in (*self.versions.get(test.id, ()), *self.new.get(test.id, ()))}
        said = texts.get(version_id or 0, "")
        if version_id is not None and said and said not in (texts.get(test.current_id or 0), texts.get(test.pending_id or 0)):
            test.notes, test.dirty = [*test.notes, measure.another(said, version_id).to_json()], True

    def save_follow(self) -> None:
        """Write the follow-ups that changed."""
        followup.save(self.uow, (f for found in self.follow.values() for f in found))

    def sums(self, specimen_id: int) -> Sums:
        """A tube's sums over its tests as they stand in memory; serum indices are none of its results."""
        tests = [t for t in self.by_tube.get(specimen_id, ()) if not self.is_index(t.item_id)]
        wait = {t.id for t in tests if t.pending_id is not None or self.waits(t)}
        shown = [c for t in tests if (c := self.current.get(t.id)) is not None]
        live = [t for t in tests if t.state != TestState.CANCELLED]
        return Sums(
            specimen_id=specimen_id,
            state=rules.tube_state(
                [(TestState(t.state), self.reader.mandatory(t.item_id), t.id in wait) for t in tests], specimen_id in self.looked
            ).value,
            n_tests=len(live),
            n_results=sum(t.current_id is not None or t.state == TestState.NO_RESULT for t in live),
            n_abnormal=sum(bool(c.flag) or c.critical for c in shown),
            n_critical=sum(c.critical for c in shown),
            n_alarm=sum(c.alarm for c in shown),
            n_pending=sum(t.id in wait or t.state == TestState.HELD for t in live),
            last_at=self.uow.now if any(t.dirty for t in tests) else None,
        )

    def alert(self, new: Sequence[NewVersion]) -> None:
        """Open critical events."""
        # Only what counts, or waits beside a told value, can be a critical value; QC never comes this way.
        found = [v for v in new if v.reading.critical]
        if found:
            critical.detect(self.uow, [_found(v.test, v.reading, v.at, self.tubes[v.test.specimen_id], v) for v in found])

    def alert_again(self) -> None:
        """M10 R1: at review each critical value that counts has its event, whatever happened when it arrived."""
        self._alert_where(lambda test, state: state is None)

    def alert_told(self) -> None:
        """What a recalled report tells again: a critical value whose call was ended meanwhile needs another."""
        self._alert_where(lambda test, state: TestState(test.state) in rules.TOLD_STATES and state in (None, "false_alarm"))

    def _alert_where(self, wanted: Callable[[TestRow, str | None], bool]) -> None:
        counts = [(t, c) for t in self.tests.values() if (c := self.current.get(t.id)) is not None and c.critical]
        known = critical_queries.states_of(self.uow, [t.id for t, _ in counts]) if counts else {}
        missed = [(t, c) for t, c in counts if wanted(t, known.get(t.id))]
        readings = [(t, self.reader.read(t.item_id, c.known.analyzer_id, c.known.reported_text, self.tubes[t.specimen_id]), c)
                    for t, c in missed]  # fmt: skip
        critical.detect(self.uow, [_found(t, r, self.uow.now, self.tubes[t.specimen_id], c) for t, r, c in readings])

    def tell(self, new: Sequence[NewVersion], touched: Sequence[int]) -> None:
        """Event, audit entry and notice of new versions."""
        by_tube: dict[int, list[NewVersion]] = {}
        for version in new:
            by_tube.setdefault(version.test.specimen_id, []).append(version)
        for specimen_id in touched:
            tube, versions = self.tubes[specimen_id], by_tube[specimen_id]
            payload = {"specimen_id": specimen_id, "test_ids": [v.test.id for v in versions]}
            self.uow.emit("result.received", tube.barcode, payload)
            after = {str(v.test.id): [v.version_no, v.reading.reported_text, v.test.state] for v in versions}
            self.uow.audit("specimen", specimen_id, "results", after=after)
            self.uow.notify("bench", {"section_id": tube.section_id, "specimen_id": specimen_id})


def _point(version: NewVersion) -> int | None:
    """Point the test at what counts and at what waits, now that ids are known; the one that waits and cannot be chosen."""
    test, waited = version.test, version.test.pending_id
    if version.answers is not None:
        version.answers.second_id = version.id
    if version.counts:
        if version.waits and version.replaces is not None:
            test.pending_id = version.replaces.id
        test.current_id = version.id
    elif version.waits:
        test.pending_id = version.id
    elif version.holds:
        return version.id
    return None if waited == test.pending_id else waited


def _found(test: TestRow, r: Reading, at: datetime, tube: Tube, version: VersionRow | NewVersion) -> critical.Found:
    return critical.Found(
        test_id=test.id,
        specimen_id=tube.specimen_id,
        item_id=test.item_id,
        section_id=tube.section_id,
        patient_id=tube.patient_id,
        patient_name=tube.name,
        patient_no=tube.patient_no,
        place=tube.place,
        dept=tube.dept,
        ward=tube.ward,
        visit_kind=tube.visit_kind,
        urgent=tube.urgent,
        barcode=tube.barcode,
        item_name=r.name,
        value_text=r.reported_text,
        value=r.value,
        direction=critical.direction_of(r.value, (r.snapshot.get("critical") or [None, None])[1]),
        unit=r.unit,
        limit_text=r.limit_text,
        found_at=at,
        repeat_rule=r.repeat_rule,
        analyzer_id=version.known.analyzer_id,
        run_at=version.known.run_at,
        alarms=version.alarms if isinstance(version, NewVersion) else (),
    )


def _recorded(taken: _Taken) -> Recorded:
    version = taken.version
    reason = str(version.holds[0].text) if version is not None and version.holds else ""
    return Recorded(
        taken.new.observation_id,
        taken.outcome,
        None if taken.test is None else taken.test.id,
        None if version is None else version.id,
        reason,
    )
