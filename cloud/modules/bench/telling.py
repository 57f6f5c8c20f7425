"""What reports do with the tests of tubes: lock, clear, release, amend, recall; each on the tubes locked in one ``Work``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import measure, queries, rows, rules
from cloud.modules.bench.arrival_rules import Known
from cloud.modules.bench.calculate import SOURCE, Said, calculate, found
from cloud.modules.bench.confirming import unanswered
from cloud.modules.bench.consequences import reacts
from cloud.modules.bench.opening import store, to
from cloud.modules.bench.reading import Reading
from cloud.modules.bench.record import Work
from cloud.modules.bench.rows import NewVersion, TestRow, VersionRow
from cloud.modules.bench.rules import TestState
from cloud.modules.bench.shown import Shown, TestLine
from cloud.modules.critical import queries as critical
from common.errors import UserError
from common.say import say


def lock_reported(uow: UnitOfWork, specimen_ids: Iterable[int]) -> Work:
    """The tubes of reports about to be changed, locked."""
    return Work(uow, sorted(set(specimen_ids)))


def lock_to_tell(uow: UnitOfWork, specimen_ids: Iterable[int]) -> tuple[Work, dict[int, list[TestLine]]]:
    """The tubes of reports about to be released, locked, for ``release``; and their tests with the versions that count, read once."""
    work = Work(uow, sorted(set(specimen_ids)), versions=False)
    tests = queries.tests_of(uow, work.tubes)
    work.know(_standing(t.current) for found in tests.values() for t in found if t.current is not None)
    return work, tests


def _standing(shown: Shown) -> VersionRow:
    known = Known(
        shown.version_no, shown.analyzer_id, shown.source, shown.raw_text, shown.reported_text, shown.unit, shown.run_at, shown.at,
        shown.snapshot.get("stream"), shown.snapshot.get("seq"),
    )  # fmt: skip
    dilution = Decimal(shown.snapshot.get("dilution") or 1)
    alarm, scale = "alarm" in shown.snapshot, shown.snapshot.get("map")
    return VersionRow(shown.id, shown.test_id, known, shown.flag, shown.critical, alarm, scale, dilution, bool(shown.holds))


def clear(work: Work, specimen_ids: Sequence[int], parts: Mapping[int, Collection[int]] | None = None) -> None:
    """What a rule set cleared stands as reviewed; for ``release`` in the same transaction. ``parts``: tube → the only tests meant."""
    for test in work.tests.values():
        if _meant(test, specimen_ids, parts or {}) and test.state == TestState.RECEIVED:
            to(test, TestState.REVIEWED)


def _meant(test: TestRow, specimen_ids: Sequence[int], parts: Mapping[int, Collection[int]]) -> bool:
    return test.specimen_id in specimen_ids and (test.specimen_id not in parts or test.id in parts[test.specimen_id])


def release(
    work: Work, specimen_ids: Sequence[int], critical_checked: bool = False, parts: Mapping[int, Collection[int]] | None = None
) -> None:
    """The reviewed values of these tubes are told; optional items without a value are closed. ``parts``: tubes of which only these tests
    are told (a preliminary report), the rest stays as it is.

    Whoever releases, by hand or by rule: nothing leaves while a critical value of it waits for its two checks (M10 R2).
    ``critical_checked``: the caller has asked already. UserError conflict, naming the tubes.
    """
    told = []
    waiting = {} if critical_checked else critical.unchecked(work.uow, list(specimen_ids))
    if waiting:
        tubes = [work.tubes[i].barcode for i in waiting]
        raise UserError("conflict", say("标本 {tubes} 有危急值尚未复核，不能发布。", tubes=tubes))
    for test in work.tests.values():
        if not _meant(test, specimen_ids, parts or {}):
            continue
        if test.state == TestState.EXPECTED and test.specimen_id not in (parts or {}):
            # What comes for it afterwards is late, like any value after its report: a supplement, or set aside with a reason.
            to(test, TestState.NO_RESULT)
        if test.state in (TestState.REVIEWED, TestState.NO_RESULT):
            test.state, test.dirty = TestState.RELEASED.value, True
            if test.current_id is not None:
                told.append(test.current_id)
    store(work, specimen_ids, told)


def amend(work: Work, changed: dict[int, tuple[str, str]], reread: str = "") -> None:
    """Told values that a new report version replaces: test id → (new text, reason). The old versions stay.

    ``reread``: patient or tube were told wrongly, and why; the other told values are judged by what is known now.
    UserError conflict for a 待复检 whose confirmatory laboratory has not answered, and for a value that was none before and reacts (R5)."""
    out = unanswered(work.uow, changed)
    if out:
        names = [work.catalog.items[t.item_id].name for t in work.tests.values() if t.id in out]
        raise UserError(
            "conflict", say("{items} 没有确证结果，不能修改：回报后请先在“确证送检”登记，未能确证的请重采后另行检验。", items=names)
        )
    back = any(t.state == TestState.RECALLED for t in work.tests.values())
    judged = _judged(work) if reread else {}
    new = _judged_anew(work, changed, judged, reread)
    for test in work.tests.values():
        if test.id in changed:
            entered, reason = changed[test.id]
            reading = work.reader.read(test.item_id, None, entered, work.tubes[test.specimen_id])
            no = max((v.known.version_no for v in work.versions.get(test.id, ())), default=0) + 1
            patient = work.tubes[test.specimen_id].patient_id
            at, who = work.uow.now, work.uow.actor.user_id
            new.append(NewVersion(test, no, patient, "amendment", reading, at, entered_by=who, reason=reason))
    rows.insert_versions(work.uow, new)
    for version in new:
        version.test.current_id, version.test.dirty = version.id, True
        if version.test.id in changed:  # what waited beside it is decided with it
            version.test.pending_id = None
            version.test.notes = measure.without(version.test.notes, measure.NoteCode.ANOTHER)
        work.current[version.test.id] = version
    if caught := [work.catalog.items[v.test.item_id].name for v in new if v.test.id in changed and reacts(work, v.test, v)]:
        words = say("{items} 有反应而没有确证，不能由修改直接报出：请召回报告，复检确证后再报。", items=caught)
        raise UserError("conflict", words)
    new += calculate(work, list(work.tubes), told=True, reason="所用项目已修改，重新计算" if changed else reread, judged=judged)
    _mark_told(work.uow, [v.id for v in new])
    # Of a preliminary report's tube, what is still open may stand on the corrected value too.
    if any(t.state in (TestState.RECEIVED, TestState.HELD, TestState.REVIEWED) for t in work.tests.values()):
        new += calculate(work, list(work.tubes), reason="所用项目已修改，重新计算")
    work.alert(new)
    retell(work, TestState.AMENDED)
    if back:  # what a recall took back is told again
        work.alert_told()


JUDGED = text("SELECT id, ref_text, flag, critical FROM result_version WHERE tenant_id = :t AND id = ANY(:ids)")


def _judged(work: Work) -> dict[int, Said]:
    """Version → how what is told, or was until its recall, was judged."""
    ids = [
        work.current[t.id].id for t in work.tests.values() if t.state in (*rules.TOLD_STATES, TestState.RECALLED) and t.id in work.current
    ]
    return {r.id: (r.ref_text, r.flag, r.critical) for r in work.uow.s.execute(JUDGED, {"t": work.uow.tenant_id, "ids": ids})}


def _judged_anew(work: Work, changed: Collection[int], judged: Mapping[int, Said], why: str) -> list[NewVersion]:
    """New versions of the told values whose interval, flag or limit is another for the patient and tube as they are known now. What a
    formula said is its own to judge."""
    new = []
    for test in work.tests.values():
        old = work.current.get(test.id)
        if not isinstance(old, VersionRow) or old.id not in judged or test.id in changed:
            continue
        if old.known.source == SOURCE or old.known.reported_text == measure.TO_CONFIRM:
            continue
        reading = read_again(work, test, old)
        if (reading.reported_text, reading.ref_text, reading.flag, reading.critical) != (old.known.reported_text, *judged[old.id]):
            no = max(v.known.version_no for v in work.versions[test.id]) + 1
            new.append(
                NewVersion(
                    test, no, work.tubes[test.specimen_id].patient_id, "amendment", reading, work.uow.now,
                    analyzer_id=old.known.analyzer_id, run_at=old.known.run_at, entered_by=work.uow.actor.user_id, reason=why,
                )
            )  # fmt: skip
    return new


def judged_otherwise(uow: UnitOfWork, specimen_id: int) -> list[str]:
    """The items of a told report that would be told otherwise for the patient and tube as known now, by name; nothing is changed."""
    work = lock_reported(uow, [specimen_id])
    judged = _judged(work)
    new = [*_judged_anew(work, (), judged, ""), *found(work, [specimen_id], told=True, judged=judged)]
    return [work.catalog.items[version.test.item_id].name for version in new]


def read_again(work: Work, test: TestRow, old: VersionRow) -> Reading:
    """What was measured, read for the patient as known now: formulas go on from the unrounded value, and a judgement is one of the number,
    not of its own words. Where master data changed since would print another value, the value told stays as it was told."""
    tube, (factor, offset) = work.tubes[test.specimen_id], old.map or ("1", "0")
    read = partial(work.reader.read, test.item_id, old.known.analyzer_id, tube=tube)
    reading = read(raw_text=old.known.raw_text, factor=Decimal(str(factor)), offset=Decimal(str(offset)), dilution=old.dilution)
    if reading.reported_text == old.known.reported_text or test.item_id in work.catalog.judgements:
        return reading
    return read(raw_text=old.known.reported_text)


def retell(work: Work, to: TestState) -> None:
    """All told tests of the tubes become amended, or recalled (hidden from every reader at once)."""
    for test in work.tests.values():
        if rules.may_move(TestState(test.state), to):
            test.state, test.dirty = to.value, True
    store(work, list(work.tubes))


def _mark_told(uow: UnitOfWork, version_ids: list[int]) -> None:
    if version_ids:
        uow.s.execute(
            text("UPDATE result_version SET released_at = :at WHERE tenant_id = :t AND id = ANY(:ids)"),
            {"at": uow.now, "t": uow.tenant_id, "ids": version_ids},
        )
