"""The verbs of reports: review (初审), send back, release, amend, recall, the second look. Locks: tubes first, then reports, by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, text

from cloud.db import kept
from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.bench.queries import Detail
from cloud.modules.bench.service import TestState
from cloud.modules.catalog import queries as md
from cloud.modules.critical import queries as critical
from cloud.modules.equipment import queries as equipment
from cloud.modules.personnel import service as personnel
from cloud.modules.platform import lists
from cloud.modules.platform import service as platform
from cloud.modules.platform.signing import Desk
from cloud.modules.qc import queries as qc
from cloud.modules.reports import document, follow, issue, rules
from cloud.modules.reports.auto import Cleared, release_auto
from cloud.modules.reports.changes import REMARK_MOST, AmendRequest, amend, cancel, facts_now, recall
from cloud.modules.reports.issue import (
    details,
    lock,
    move,
    names_of,
    sign,
    specimen_of,
    specimens_of,
    tell,
    version_of,
)
from cloud.modules.reports.models import Report, ReportView
from cloud.modules.reports.queries import Told, open_parts
from cloud.modules.reports.rules import State
from cloud.modules.scheduling import queries as roster
from cloud.modules.specimens import queries as tubes
from cloud.ports import s3
from cloud.web.principal import Principal
from common.errors import LocalError, PeerError, UserError
from common.say import say

ZONE = ZoneInfo("Asia/Shanghai")


# --- review ---------------------------------------------------------------------------------------------------------


def review(
    uow: UnitOfWork, specimen_id: int, revision: int | None, who: Principal, work: bench.Work | None = None, because: str = ""
) -> int:
    """初审: the tester has looked at every value of the tube; returns the report's id. ``work``: the tube as opened in this transaction."""
    return _tested(uow, bench.review(uow, specimen_id, revision, work, because), specimen_id, who)


def review_part(uow: UnitOfWork, specimen_id: int, revision: int | None, who: Principal) -> int:
    """初审 of what is there while the rest is open: what the verifier then releases is a preliminary report. Returns the report's id."""
    work, part = bench.review_part(uow, specimen_id, revision)
    return _tested(uow, work, specimen_id, who, frozenset(part))


_OF_TUBE = text("SELECT id FROM report WHERE tenant_id = :t AND specimen_id = :s FOR UPDATE")


def _tested(uow: UnitOfWork, work: bench.Work, specimen_id: int, who: Principal, part: frozenset[int] | None = None) -> int:
    tube = work.tubes[specimen_id]
    _own_section(who, work.catalog, tube.section_id)
    known = uow.s.scalar(_OF_TUBE, {"t": uow.tenant_id, "s": specimen_id})
    if known is None:
        first = State.DRAFT.value
        report = Report(specimen_id=specimen_id, patient_id=tube.patient_id, section_id=tube.section_id, state=first, current_no=0)
    else:
        report = lock(uow, [known])[0]
    move(report, State.TESTED)
    sums = work.sums(specimen_id)
    told = [t for t in work.tests.values() if part is None or t.id in part or t.state in bench.TOLD_STATES]
    report.basis, report.partial = bench_queries.basis((t.id, t.current_id) for t in told), part is not None
    report.urgent, report.dept, report.ward = int(tube.urgent), tube.dept, tube.ward
    # Readers of a preliminary report see what that one says, until the next is told.
    if report.current_no == 0:
        report.n_abnormal, report.n_critical = sums.n_abnormal, sums.n_critical
    report.tester_id, report.tested_at = who.user_id, uow.now
    if known is None:
        uow.insert(report)
    after: dict[str, object] = {"specimen": specimen_id, "tester": who.employee_no}
    uow.audit("report", report.id, "tested", after=after | ({} if part is None else {"part": sorted(part)}))
    uow.notify("report", {"id": report.id, "section_id": report.section_id})
    return report.id


def send_back(uow: UnitOfWork, report_id: int, reason: str) -> None:
    """退回初审: the tester looks again."""
    specimen_id = specimen_of(uow, report_id)
    bench.send_back(uow, specimen_id, reason)
    report = lock(uow, [report_id])[0]
    if report.state != State.TESTED:  # a page opened before its recall, say: sent back, it would be a preliminary report nobody recalled
        raise UserError("conflict", say("报告目前为“{state}”，没有待审核的内容，不能退回。", state=rules.WORDS[State(report.state)]))
    _back(uow, report, reason.strip())


def on_withdrawn(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``result.withdrawn``: a request ended after the review; what is left is reviewed once more."""
    if payload["reviewed"]:
        query = select(Report).where(Report.specimen_id == payload["specimen_id"], Report.state == State.TESTED.value).with_for_update()
        for report in uow.s.scalars(query):
            _back(uow, report, payload["reason"])


def _back(uow: UnitOfWork, report: Report, reason: str) -> None:
    move(report, State.PRELIMINARY if report.current_no else State.DRAFT)
    uow.audit("report", report.id, "sent_back", reason=reason)
    uow.notify("report", {"id": report.id, "section_id": report.section_id})


# --- release --------------------------------------------------------------------------------------------------------


def release(uow: UnitOfWork, report_ids: Iterable[int], who: Principal, desk: Desk) -> list[str]:
    """Sign and release a batch, all or none; returns the report numbers in the order of the ids. What was reviewed in part leaves as a
    preliminary report, and the next version replaces it.

    One signature covers the list of the batch's hashes. UserErrors: not_found; reauth (no open signing window); conflict, naming each
    report that cannot leave and why. Rendering and sending happen afterwards, from the event.
    """
    wanted = sorted(set(report_ids))
    window = platform.require_signing(uow, who, release=True)
    specimens = specimens_of(uow, wanted)
    work, tests = bench.lock_to_tell(uow, specimens.values())
    reports = lock(uow, wanted)
    found = details(uow, work, [r.specimen_id for r in reports], tests)
    solo = _check(uow, reports, found, who)
    _authorised(uow, reports, found, who.user_id)
    names = names_of(uow, {who.user_id, *(r.tester_id for r in reports if r.tester_id is not None)})
    known = md.catalog(uow)
    sections = known.sections
    parts = {r.specimen_id: document.part_of(found[r.specimen_id]) for r in reports if r.partial}
    issue.supersede(uow, reports)
    issue.number(uow, reports)
    for report in reports:
        part = parts.get(report.specimen_id)
        move(report, State.RELEASED if part is None else State.PRELIMINARY)
        report.verifier_id, report.released_at, report.auto = who.user_id, uow.now, False
        issue.count_told(report, found[report.specimen_id], part)
        if report.id in solo:
            report.cocheck_due, report.cochecked_by, report.cochecked_at = uow.now + rules.CHECK_WITHIN, None, None
    kept.save(uow.s, reports)
    away = tubes.referral_labs(uow, [r.specimen_id for r in reports])
    remarks = issue.remarks(uow, reports)
    made = {
        r.id: document.build(
            found[r.specimen_id],
            document.Issue(
                str(r.no),
                r.current_no,
                who.tenant_name,
                sections[r.section_id].name,
                f"{desk.base_url}/reports/verify/{r.no}?v={r.current_no}",
                referral_lab=away.get(r.specimen_id, ""),
                part=parts.get(r.specimen_id),
                layout=known.layout(r.section_id),
                remark=remarks.get(r.id, ""),
            ),  # fmt: skip
            document.Signed(r.tester_id or 0, names.get(r.tester_id or 0, ""), who.user_id, names[who.user_id], uow.now),
        )
        for r in reports
    }
    contents = issue.freeze_all(uow, [(r, made[r.id], who.user_id) for r in reports])
    hashes = [(r.id, content) for r, content in zip(reports, contents, strict=True)]
    sign(uow, "release", hashes, who, window, desk.signer)
    bench.release(work, [r.specimen_id for r in reports], critical_checked=True, parts=parts)
    follow.tell_readers(uow, [(r, made[r.id]) for r in reports], who.user_id)
    for report in reports:
        issue.tell_released(uow, report, found[report.specimen_id], parts.get(report.specimen_id))
        after = {"no": report.no, "verifier": who.employee_no, "window": window, "version_no": report.current_no}
        uow.audit("report", report.id, "release", before={"state": State.TESTED.value}, after=after | {"state": report.state})
    return [str(r.no) for r in reports]


def alone_in(uow: UnitOfWork, who: Principal, section_id: int) -> bool:
    """Whether the roster leaves this person alone with both checks of the section now (R1)."""
    return section_id in roster.alone(uow, who.user_id, uow.now)


def _check(uow: UnitOfWork, reports: Sequence[Report], details: Mapping[int, Detail], who: Principal) -> set[int]:
    """Refuse the batch naming each report at fault; the ids of those released on solo duty."""
    verifier = rules.Verifier(who.user_id, who.sections)
    closed, blocked = _closed(uow, details.values()), _blocked(uow, details.values())
    candidates = [_candidate(uow, report, details[report.specimen_id], closed, blocked) for report in reports]
    # Most releases are by a second person: only the others ask for the roster.
    if any(rules.needs_second_look(c, verifier) for c in candidates):
        verifier = replace(verifier, alone_in=roster.alone(uow, who.user_id, uow.now))
    unchecked, awaited = critical.unchecked(uow, list(details)), bench.awaited(uow, details)
    problems, solo = [], set()
    for report, candidate in zip(reports, candidates, strict=True):
        why = rules.release_problem(candidate, verifier)
        if why is None and report.specimen_id in unchecked:
            why = rules.unchecked_problem(unchecked[report.specimen_id])
        if why is None and report.specimen_id in awaited:
            why = rules.awaited_problem()
        if why is not None:
            problems.append((candidate.name, why))
        elif rules.needs_second_look(candidate, verifier):
            solo.add(report.id)
    if problems:
        raise UserError("conflict", rules.refused(problems))
    return solo


def _authorised(uow: UnitOfWork, reports: Sequence[Report], details: Mapping[int, Detail], user_id: int) -> None:
    """Function rights are role ∩ authorisation (M01 R4): for each report's section and all its items."""
    wanted = []
    for report in reports:
        detail = details[report.specimen_id]
        leaving = document.part_of(detail) if report.partial else {t.id for t in detail.tests if t.state is not TestState.CANCELLED}
        items = {t.item.id for t in detail.tests if t.id in leaving}
        wanted.append((f"{detail.tube.name} {detail.tube.barcode}", report.section_id, items))
    personnel.require(uow, user_id, personnel.Function.VERIFY, wanted)


def _closed(uow: UnitOfWork, found: Iterable[Detail]) -> dict[int, str]:
    """Test id → why its quality control keeps it from leaving (M11), in one question for the whole batch."""
    shown = [(t, t.current) for d in found for t in d.tests if t.current is not None and t.state is not TestState.CANCELLED]
    asks = {t.id: qc.Ask(t.item.id, c.analyzer_id, c.run_at or c.at, c.id) for t, c in shown}
    gates = qc.gate_state(uow, asks.values())
    return {test_id: gates[ask].reason for test_id, ask in asks.items() if not gates[ask].open}


def _blocked(uow: UnitOfWork, found: Iterable[Detail]) -> dict[int, str]:
    """Test id → what is wrong with the analyzer that measured it while a fault that is still open was known (R2)."""
    shown = {t.id: t.current for d in found for t in d.tests if t.current is not None and t.state is not TestState.CANCELLED}
    runs = {i: (c.analyzer_id, c.run_at or c.at) for i, c in shown.items() if c.analyzer_id is not None}
    names = md.catalog(uow).analyzers
    open_now = equipment.faults(uow, {analyzer for analyzer, _ in runs.values()}, uow.now)
    return {
        i: f"{names[analyzer].name} {fault.symptom}"
        for i, (analyzer, at) in runs.items()
        for fault in open_now.get(analyzer, ())
        if fault.at(at) and fault.at(uow.now)
    }


def _candidate(uow: UnitOfWork, report: Report, detail: Detail, closed: Mapping[int, str], blocked: Mapping[int, str]) -> rules.Candidate:
    live = [t for t in detail.tests if t.state is not TestState.CANCELLED]
    part = document.part_of(detail) if report.partial else {t.id for t in detail.tests}
    hands = {t.current.entered_by for t in live if t.current is not None and t.current.entered_by is not None}
    empty = [t for t in live if t.current is None and not t.no_result_reason]
    return rules.Candidate(
        name=f"{detail.tube.name} {detail.tube.barcode}",
        state=State(report.state),
        section_id=report.section_id,
        section_code=md.catalog(uow).sections[report.section_id].code,
        tester_id=report.tester_id,
        hands=frozenset(hands),
        missing=tuple(t.item.name for t in empty if t.item.mandatory),
        held=tuple(t.item.name for t in live if t.state is TestState.HELD),
        unreviewed=tuple(t.item.name for t in live if t.state is TestState.RECEIVED),
        qc_closed=tuple(f"{t.item.name}（{closed[t.id]}）" for t in live if t.id in closed and t.id in part),
        blocked=tuple(f"{t.item.name}（{blocked[t.id]}）" for t in live if t.id in blocked and t.id in part),
        reviewed=report.basis,
        unasked=tuple(t.item.name for t in detail.unasked),
        found=bench_queries.basis((t.id, t.current.id if t.current is not None else None) for t in detail.tests if t.id in part),
        part=report.partial,
    )


# --- after the release ---------------------------------------------------------------------------------------------


def cocheck(uow: UnitOfWork, report_id: int, who: Principal) -> None:
    """The second person has looked at what one person tested and released at night (R1)."""
    report = lock(uow, [report_id])[0]
    if report.cocheck_due is None or report.cochecked_at is not None:
        raise UserError("conflict", say("该报告没有待复核的单人值班记录。"))
    if who.user_id in (report.tester_id, version_of(uow, report_id, report.current_no).released_by):
        raise UserError("conflict", say("复核人不能是原检验者或审核者。"))
    # Looking is verifying: nobody whose authorisation does not cover the items does it (M01 R4).
    items = {t.item.id for t in bench_queries.tests_of(uow, [report.specimen_id])[report.specimen_id] if t.state is not TestState.CANCELLED}
    personnel.require(uow, who.user_id, personnel.Function.VERIFY, [(str(report.no), report.section_id, items)])
    report.cochecked_by, report.cochecked_at = who.user_id, uow.now
    uow.audit("report", report_id, "cocheck", after={"by": who.employee_no})


_SEEN = text("""
WITH read AS (
  UPDATE report_notice SET read_at = :now
  WHERE tenant_id = :t AND report_id = :r AND user_id = :u AND version_no <= :n AND read_at IS NULL)
INSERT INTO report_view (tenant_id, report_id, version_no, user_id, viewer, at, kind) VALUES (:t, :r, :n, :u, :viewer, :now, :kind)
""")


def seen(uow: UnitOfWork, report_id: int, version_no: int, kind: str = "view") -> None:
    """A person looked at, or printed, a version (R6); a notice about it counts as read."""
    who = uow.actor
    values = {"t": uow.tenant_id, "r": report_id, "n": version_no, "u": who.user_id, "viewer": who.name, "now": uow.now, "kind": kind}
    uow.s.execute(_SEEN, values)


_RENDERED = text("""
UPDATE report_version v SET pdf_key = :key, pdf_sha256 = :sha, rendered_at = :now, render_error = NULL FROM report r
WHERE v.tenant_id = :t AND v.report_id = :r AND v.version_no = :n AND v.pdf_sha256 IS NULL
  AND r.tenant_id = v.tenant_id AND r.id = v.report_id
RETURNING r.no, r.section_id
""")


def rendered(uow: UnitOfWork, report_id: int, version_no: int, key: str, sha256: str) -> None:
    """The PDF of a version is stored; said once."""
    values = {"t": uow.tenant_id, "r": report_id, "n": version_no, "key": key, "sha": sha256, "now": uow.now}
    report = uow.s.execute(_RENDERED, values).one_or_none()
    if report is None:
        return
    uow.notify("report", {"id": report_id, "section_id": report.section_id})
    uow.audit("report", report_id, "rendered", after={"version_no": version_no, "sha256": sha256})


def pdf_bytes(uow: UnitOfWork, told: Told, kind: str = "pdf") -> bytes | None:
    """The stored PDF, compared with its hash (AC-R-3), with a receipt of this look; None while it is not rendered.

    One that is looked for before it is made is the next to be made.

    UserErrors: conflict for a recalled report, and for a file that is missing, damaged or out of reach.
    """
    if told.recalled:
        raise UserError("conflict", say("报告已召回，请勿使用。"))
    if told.pdf_key is None:
        if told.render_error is None:
            _wanted(uow, told)
        return None
    try:
        data = s3.files_of(s3.current_store(), uow.tenant_id).get(told.pdf_key, told.pdf_sha256)
    except (LocalError, PeerError) as error:
        raise UserError("conflict", say("报告文件取不到，不能打印：{why}", why=str(error))) from error
    seen(uow, told.report_id, told.version_no, kind)
    return data


_WAITS = text("SELECT EXISTS (SELECT 1 FROM outbox_event WHERE tenant_id = :t AND done_at IS NULL AND key = :key)")


def _wanted(uow: UnitOfWork, told: Told) -> None:
    """Somebody waits for this PDF; the page asks again every other second, the worker is asked once."""
    key = f"wanted:{told.report_id}"
    if not uow.s.scalar(_WAITS, {"t": uow.tenant_id, "key": key}):
        uow.emit("report.render", key, {"report_id": told.report_id, "version_no": told.version_no})


def ask_reprint(uow: UnitOfWork, told: Told, back: str) -> str:
    """A copy with the layer that says so (R7): who, when, the how manieth. Returns the page that waits for it."""
    if told.recalled:
        raise UserError("conflict", say("报告已召回，请勿使用。"))
    if told.pdf_sha256 is None:
        raise UserError("conflict", say("PDF 正在生成，请稍候再打印。"))
    query = select(func.count()).where(
        ReportView.report_id == told.report_id, ReportView.version_no == told.version_no, ReportView.kind.in_(["print", "reprint"])
    )
    nth = uow.s.execute(query).scalar_one() + 1
    stamp = f"补打 第 {nth} 次 · {uow.actor.name} · {uow.now.astimezone(ZONE):%Y-%m-%d %H:%M}"
    job_id = lists.reserve(uow, "pdf", f"{told.no} V{told.version_no} {stamp}", back, {})
    payload = {"job_id": job_id, "report_id": told.report_id, "version_no": told.version_no, "stamp": stamp}
    uow.emit("report.reprint", f"list:{job_id}", payload)
    seen(uow, told.report_id, told.version_no, "reprint")
    uow.audit("report", told.report_id, "reprint", after={"version_no": told.version_no, "stamp": stamp})
    return f"/lists/{job_id}"


def not_rendered(uow: UnitOfWork, report_id: int, version_no: int, why: str) -> None:
    """The PDF cannot be made: said on the report's page until somebody has mended the cause and asked again."""
    version_of(uow, report_id, version_no).render_error = why[:500]
    uow.audit("report", report_id, "not_rendered", after={"version_no": version_no}, reason=why[:500])


def render_again(uow: UnitOfWork, report_id: int) -> None:
    """Ask the worker once more for the PDF of the current version."""
    report = lock(uow, [report_id])[0]
    version_of(uow, report_id, report.current_no).render_error = None
    tell(uow, "report.render", report)
    uow.audit("report", report_id, "render_again", after={"version_no": report.current_no})


def _own_section(who: Principal, catalog: md.Catalog, section_id: int) -> None:
    if not rules.may_work_in(who.sections, catalog.sections[section_id].code):
        raise UserError("forbidden", say("该标本不属于您负责的专业组。"))


__all__ = [
    "AmendRequest",
    "REMARK_MOST",
    "Cleared",
    "Desk",
    "amend",
    "ask_reprint",
    "cancel",
    "cocheck",
    "details",
    "facts_now",
    "recall",
    "not_rendered",
    "open_parts",
    "pdf_bytes",
    "release",
    "release_auto",
    "render_again",
    "rendered",
    "review",
    "review_part",
    "seen",
    "send_back",
    "specimens_of",
]
