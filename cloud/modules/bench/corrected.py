"""A sex or birthday corrected after the measurement: what is measured and not told yet is judged anew, by interval, flag and limit, and
calculated again where a formula asks who the patient is. What was told is the business of an amendment (reports.corrected)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import measure, rows
from cloud.modules.bench.calculate import SOURCE, calculate
from cloud.modules.bench.consequences import settle
from cloud.modules.bench.opening import store
from cloud.modules.bench.record import Work
from cloud.modules.bench.rows import NewVersion, TestRow, VersionRow
from cloud.modules.bench.rules import Hold, TestState
from cloud.modules.bench.telling import JUDGED, read_again

UNTOLD = (TestState.RECEIVED, TestState.HELD, TestState.REVIEWED)
WHY = "患者性别或出生日期已更正，重新判断"
_TUBES = text("""
SELECT DISTINCT s.id FROM specimen s JOIN test t ON t.tenant_id = s.tenant_id AND t.specimen_id = s.id
WHERE s.tenant_id = :t AND s.patient_id = :p AND t.state = ANY(:states) AND t.current_id IS NOT NULL ORDER BY s.id
""")
_REST = text("""
SELECT id, observation_id, entered_by, instrument_flags, holds, snapshot->'alarm' AS alarms FROM result_version
WHERE tenant_id = :t AND id = ANY(:ids)
""")
TOPIC = "patient.corrected"
_AWAITED = text("""
SELECT DISTINCT s.id FROM specimen s
JOIN outbox_event e ON e.tenant_id = s.tenant_id AND e.done_at IS NULL AND e.topic = :topic AND e.key = 'patient:' || s.patient_id
WHERE s.tenant_id = :t AND s.id = ANY(:ids)
""")


def awaited(uow: UnitOfWork, specimen_ids: Iterable[int]) -> set[int]:
    """Tubes of patients corrected a moment ago, whose values are still judged for the person known before: nothing of them leaves."""
    return set(uow.s.scalars(_AWAITED, {"t": uow.tenant_id, "ids": list(specimen_ids), "topic": TOPIC}))


def on_corrected(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``patient.corrected``: each of the patient's tubes with untold values, locked one after the other."""
    given = {"t": uow.tenant_id, "p": int(payload["patient_id"]), "states": [s.value for s in UNTOLD]}
    for specimen_id in uow.s.scalars(_TUBES, given).all():
        judge_again(uow, specimen_id)


def judge_again(uow: UnitOfWork, specimen_id: int) -> list[NewVersion]:
    """New versions of what is judged otherwise now, as measured in all else; a review of it has to be done again."""
    work = Work(uow, [specimen_id])
    tests = [t for t in work.tests.values() if t.state in UNTOLD]
    both = [i for t in tests for i in (t.current_id, t.pending_id) if i is not None]
    judged = {r.id: (r.ref_text, r.flag, r.critical) for r in uow.s.execute(JUDGED, {"t": uow.tenant_id, "ids": both})}
    rest = {r.id: r for r in uow.s.execute(_REST, {"t": uow.tenant_id, "ids": both})}
    new: list[NewVersion] = []
    for test in tests:
        for old in [v for v in work.versions.get(test.id, ()) if v.id in (test.current_id, test.pending_id)]:
            if old.known.source == SOURCE or old.known.reported_text in ("", measure.TO_CONFIRM):
                continue
            version = _again(work, test, old, rest[old.id], sum(v.test is test for v in new))
            said = version.reading
            if (said.reported_text, said.ref_text, said.flag, said.critical) != (old.known.reported_text, *judged[old.id]):
                version.counts, version.replaces = old.id == test.current_id, old
                new.append(version)
    rows.insert_versions(uow, new)
    for version in new:
        test = version.test
        if version.counts:
            test.current_id = version.id
            test.state = (TestState.HELD if version.holds or test.pending_id is not None else TestState.RECEIVED).value
            work.current[test.id] = version
        else:
            test.pending_id = version.id
        test.dirty = True
        for follow in work.follow.get(specimen_id, ()):
            if version.replaces is not None and follow.second_id == version.replaces.id:
                follow.second_id, follow.dirty = version.id, True
    new += calculate(work, [specimen_id], reason=WHY, judged=judged)
    new += settle(work, [specimen_id])
    if new:
        store(work, [specimen_id])
        work.alert(new)
        work.tell(new, [specimen_id])
    return new


def _again(work: Work, test: TestRow, old: VersionRow, rest: Any, before: int) -> NewVersion:
    """The same measurement read for the patient as known now, with all that came with it."""
    reading, tube = read_again(work, test, old), work.tubes[test.specimen_id]
    holds = [Hold.stored(h) for h in rest.holds]
    holds += [h for h in reading.holds if h.code not in {each.code for each in holds}]
    no = max(v.known.version_no for v in work.versions[test.id]) + 1 + before
    known = old.known
    return NewVersion(
        test, no, tube.patient_id, known.source, reading, work.uow.now, rest.observation_id, known.analyzer_id,
        tuple(rest.instrument_flags), tuple(rest.alarms or ()), tuple(holds), known.run_at, rest.entered_by, WHY, known.stream, known.seq,
    )  # fmt: skip
