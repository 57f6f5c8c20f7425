"""Release by rules (M08 R3): a cleared tube becomes a told report, marked 自动审核, under the name of who answers for it on duty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.bench.queries import Detail
from cloud.modules.catalog import queries as md
from cloud.modules.platform import signing
from cloud.modules.platform.signing import Desk
from cloud.modules.reports import document, follow, issue
from cloud.modules.reports.issue import move
from cloud.modules.reports.models import Report
from cloud.modules.reports.rules import State
from cloud.modules.specimens import queries as tubes

MARK = "（自动审核）"


@dataclass(frozen=True, slots=True)
class Cleared:
    """A tube that a rule set cleared: who answers for testing and for verifying, by which rule set."""

    specimen_id: int
    operator: tuple[int, str]
    authoriser: tuple[int, str]
    rule_set: int
    part: frozenset[int] | None = None
    """The only tests that leave, as a preliminary report (R1, where the rule set allows it); None: the whole tube."""


def release_auto(uow: UnitOfWork, work: bench.Work, cleared: Sequence[Cleared], found: Mapping[int, Detail], desk: Desk) -> dict[int, int]:
    """Release the tubes of a batch (locked in ``work``, values as in ``found``); specimen id → report id."""
    ids = [c.specimen_id for c in cleared]
    # With a part goes what was told before: a version says all that is told by then.
    told = {i: {t.id for t in work.by_tube.get(i, ()) if t.state in bench.TOLD_STATES} for i in ids}
    parts = {c.specimen_id: c.part | told[c.specimen_id] for c in cleared if c.part is not None}
    bench.clear(work, ids, parts)
    reports = _reports(uow, work, ids)
    issue.supersede(uow, reports.values())
    issue.number(uow, [reports[i] for i in ids])
    hospital = str(uow.s.execute(text("SELECT name FROM tenant WHERE id = :t"), {"t": uow.tenant_id}).scalar_one())
    known = md.catalog(uow)
    sections = known.sections
    for one in cleared:
        report, tube, part = reports[one.specimen_id], work.tubes[one.specimen_id], parts.get(one.specimen_id)
        move(report, State.TESTED)
        move(report, State.RELEASED if part is None else State.PRELIMINARY)
        report.auto, report.partial = True, part is not None
        leaving = [t for t in work.by_tube.get(one.specimen_id, ()) if part is None or t.id in part]
        report.basis = bench_queries.basis((t.id, t.current_id) for t in leaving)
        report.urgent, report.dept, report.ward = int(tube.urgent), tube.dept, tube.ward
        issue.count_told(report, found[one.specimen_id], part)
        report.tester_id, report.tested_at = one.operator[0], uow.now
        report.verifier_id, report.released_at = one.authoriser[0], uow.now
    uow.s.add_all(reports.values())
    uow.s.flush()
    away = tubes.referral_labs(uow, ids)
    remarks = issue.remarks(uow, list(reports.values()))
    made_of: list[tuple[Report, dict[str, Any], int]] = []
    for one in cleared:
        report = reports[one.specimen_id]
        url = f"{desk.base_url}/reports/verify/{report.no}?v={report.current_no}"
        name, lab = sections[report.section_id].name, away.get(one.specimen_id, "")
        version = document.Issue(
            str(report.no),
            report.current_no,
            hospital,
            name,
            url,
            referral_lab=lab,
            part=parts.get(one.specimen_id),
            layout=known.layout(report.section_id),
            remark=remarks.get(report.id, ""),
        )
        signed = document.Signed(*one.operator, one.authoriser[0], f"{one.authoriser[1]}{MARK}", uow.now)
        made = document.build(found[one.specimen_id], version, signed)
        made["signed"]["auto"] = {"rule_set": one.rule_set}
        made_of.append((report, made, one.authoriser[0]))
    hashes: dict[int, list[tuple[int, str]]] = {}
    for (report, _, authoriser), content in zip(made_of, issue.freeze_all(uow, made_of), strict=True):
        hashes.setdefault(authoriser, []).append((report.id, content))
    for authoriser, signed_hashes in hashes.items():
        signing.sign(uow, signing.Act("report", "auto_release", authoriser, f"av-{signed_hashes[0][1][:16]}"), signed_hashes, desk.signer)
    bench.release(work, ids, parts=parts)
    follow.tell_readers(uow, [(report, made) for report, made, _ in made_of], 0)
    for one in cleared:
        report = reports[one.specimen_id]
        issue.tell_released(uow, report, found[one.specimen_id], parts.get(one.specimen_id))
        after: dict[str, object] = {"no": report.no, "authoriser": one.authoriser[0], "operator": one.operator[0], "rule_set": one.rule_set}
        after |= {"version_no": report.current_no, "state": report.state}
        uow.audit("report", report.id, "auto_release", before={"state": State.DRAFT.value}, after=after)
    return {one.specimen_id: reports[one.specimen_id].id for one in cleared}


def _reports(uow: UnitOfWork, work: bench.Work, ids: Sequence[int]) -> dict[int, Report]:
    """Specimen → its report, locked; where there is none yet, a new one that is still to be added."""
    query = select(Report).where(Report.specimen_id.in_(ids)).order_by(Report.id).with_for_update()
    have = {r.specimen_id: r for r in uow.s.execute(query).scalars()}
    for i in ids:
        if i not in have:
            tube = work.tubes[i]
            have[i] = Report(specimen_id=i, patient_id=tube.patient_id, section_id=tube.section_id, state=State.DRAFT.value, current_no=0)
    return have


__all__ = ["MARK", "Cleared", "release_auto"]
