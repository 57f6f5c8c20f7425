"""Changes of told reports: amend with a reason (the old version stays), recall. Nothing told is ever overwritten."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.bench.queries import Detail, TestLine
from cloud.modules.bench.service import TestState
from cloud.modules.catalog import queries as md
from cloud.modules.critical import queries as critical
from cloud.modules.platform import glass
from cloud.modules.platform import service as platform
from cloud.modules.platform.signing import Desk
from cloud.modules.quality import service as quality
from cloud.modules.reports import document, infectious, issue, queries, rules
from cloud.modules.reports.issue import details, freeze, lock, move, names_of, sign, specimen_of, tell, tell_part, version_of
from cloud.modules.reports.models import Report, ReportNotice, ReportVersion, ReportView
from cloud.modules.reports.queries import Told
from cloud.modules.reports.rules import State, VersionState
from cloud.modules.scheduling import queries as roster
from cloud.modules.specimens import queries as tubes
from cloud.reports.documents import Amendment, Change
from cloud.web.principal import Principal
from common.errors import UserError
from common.say import Listed, Said, say
from common.units import readable

REMARK_MOST = 200
AMENDABLE = bench.TOLD_STATES | {TestState.RECALLED}


@dataclass(frozen=True)
class AmendRequest:
    """A change of a told report: item id → new value, with the reason's class and words."""

    report_id: int
    version_no: int
    changes: Mapping[int, str]
    reason: str
    why: str
    remark: str | None = None
    """补充说明 as it is to stand from now on; None: as it is."""


def _overtaken(uow: UnitOfWork, report: Report, who: Principal) -> Said:
    """Somebody else was there first, and what they changed (C7); not what this person may not see (M01 R8)."""
    told = queries.released(uow, report_id=report.id)
    if told is not None and not glass.may_see_sensitive(uow, who, report.patient_id):
        told = queries.without_sensitive(told, md.catalog(uow).items)
    amendment = None if told is None else told.sheet.get("amendment")
    made = [f"{c['item']} {c['before']} → {c['after']}" for c in amendment["changes"]] if amendment else []
    if not made:
        return say("您打开之后该报告已由他人修改为第 {n} 版，请按现行版重新核对；您输入的内容没有丢失。", n=report.current_no)
    return say(
        "您打开之后该报告已由他人修改为第 {n} 版（{changes}），请按现行版重新核对；您输入的内容没有丢失。",
        n=report.current_no,
        changes=Listed(made, "；"),
    )


def amend(uow: UnitOfWork, asked: AmendRequest, who: Principal, desk: Desk) -> int:
    """A new version that says what changed and why; the old one stays, 已被替代. Returns how many people are told (R4)."""
    window = platform.require_signing(uow, who, release=True)
    work = bench.lock_reported(uow, [specimen_of(uow, asked.report_id)])
    report = lock(uow, [asked.report_id])[0]
    if report.current_no != asked.version_no:
        raise UserError("stale", _overtaken(uow, report, who))
    before = details(uow, work, [report.specimen_id])[report.specimen_id]
    tests = {t.item.id: t for t in before.tests}
    old = {str(i): _told(tests[i]) for i in asked.changes if i in tests}
    new = {str(i): v.strip() for i, v in asked.changes.items() if i in tests and v.strip() and v.strip() != old[str(i)]}
    if not rules.may_amend(State(report.state)):
        raise UserError("conflict", rules.cannot_amend(State(report.state)))
    first = version_of(uow, report.id, report.current_no)
    alone = who.user_id == report.tester_id
    if alone and report.section_id not in roster.alone(uow, who.user_id, uow.now):
        raise UserError("conflict", say("您是这份报告的检验者，修改须由他人签发。"))
    remarked = str(first.document.get("remark", ""))
    remark = remarked if asked.remark is None else asked.remark.strip()[:REMARK_MOST]
    # Patient and tube are told as they are known now; by itself that is a reason only where somebody says so.
    facts = document.corrected_facts(first.document["subject"], before, asked.reason == rules.Reason.PATIENT)
    other = remark != remarked or (bool(facts) and asked.reason in (rules.Reason.PATIENT, rules.Reason.SPECIMEN))
    problem = rules.amend_problem(State(report.state), asked.reason, asked.why, old, new, other)
    if problem is not None:
        raise UserError("invalid", problem)
    untold = [tests[int(i)].item.name for i in new if first.preliminary and tests[int(i)].state not in AMENDABLE]
    if untold:
        raise UserError("conflict", say("{items} 还没有发布，请在检验工作台处理，不走修改报告。", items=untold))
    new = {i: bench.check_entry(uow, int(i), value) for i, value in new.items()}
    bench.amend(work, {tests[int(i)].id: (v, asked.why.strip()) for i, v in new.items()}, asked.why.strip() if facts else "")
    after = details(uow, work, [report.specimen_id])[report.specimen_id]
    values = [Change(t.item.name, _with_unit(tests[t.item.id]), _with_unit(t)) for t in after.tests if str(t.item.id) in new]
    if not other and all(c.before == c.after for c in values):
        raise UserError("invalid", say("内容没有变化，无需修改。"))
    reworded = [Change(document.REMARK, remarked or "无", "见备注" if remark else "无")] if remark != remarked else []
    changes = (*values, *_judged_anew(tests, after, new), *facts, *reworded)
    # A recalled version stays recalled: its values come back to nobody.
    if first.state == VersionState.CURRENT:
        first.state = VersionState.SUPERSEDED.value
    # What corrects a preliminary report is one itself: the rest of the tube is still open.
    part = document.part_of(after, bench.TOLD_STATES) if first.preliminary else None
    move(report, State.AMENDED if part is None else State.PRELIMINARY)
    report.current_no += 1
    if alone:  # at night, on solo duty: a second person looks at what was told last (R1)
        report.cocheck_due, report.cochecked_by, report.cochecked_at = uow.now + rules.CHECK_WITHIN, None, None
    issue.count_told(report, after, part)
    names = names_of(uow, {who.user_id, report.tester_id or 0})
    word = f"{rules.REASON_WORDS[rules.Reason(asked.reason)]}：{asked.why.strip()}"
    version = document.Issue(
        str(report.no),
        report.current_no,
        who.tenant_name,
        md.catalog(uow).sections[report.section_id].name,
        f"{desk.base_url}/reports/verify/{report.no}?v={report.current_no}",
        Amendment(_first_told(uow, first), word, changes),
        tubes.referral_labs(uow, [report.specimen_id]).get(report.specimen_id, ""),
        part,
        md.catalog(uow).layout(report.section_id),
        remark,
    )
    signed = document.Signed(report.tester_id or 0, names.get(report.tester_id or 0, ""), who.user_id, names[who.user_id], uow.now)
    made = document.build(after, version, signed)
    content = freeze(uow, report, made, who.user_id, asked.reason, asked.why.strip())
    sign(uow, "amend", [(report.id, content)], who, window, desk.signer)
    told = _notify_readers(uow, report, who, [r.doctor for r in after.requests])
    if part is None:
        tell(uow, "report.amended", report)
    else:
        tell_part(uow, report, after, part)
    detail = {"version_no": report.current_no, "changes": [[c.item, c.before, c.after] for c in changes]}
    uow.audit("report", report.id, "amend", before={"version_no": first.version_no}, after=detail, reason=word)
    if asked.reason != rules.Reason.SUPPLEMENT:
        listed = "；".join(f"{c.item} {c.before} → {c.after}" for c in changes)
        title = f"报告 {report.no} 因错误修改为第 {report.current_no} 版"
        _nonconformity(uow, report, quality.Source.AMENDMENT, title, f"{word}；{listed}")
    return told


def _first_told(uow: UnitOfWork, version: ReportVersion) -> datetime:
    """When the report was told first: the original is what every later version names. A part that went before is no original of it."""
    same = (ReportVersion.report_id == version.report_id) & (ReportVersion.preliminary == version.preliminary)
    return uow.s.execute(select(func.min(ReportVersion.released_at)).where(same)).scalar_one()


def facts_now(uow: UnitOfWork, told: Told) -> list[Change]:
    """What the form says before: patient and tube as they are known now, where the report tells them otherwise."""
    found = bench_queries.tube(uow, told.specimen_id)
    return [] if found is None else document.corrected_facts(told.subject, found, True)


def _told(test: TestLine) -> str:
    return test.current.reported_text if test.current is not None else ""


def _judged_anew(before: Mapping[int, TestLine], after: Detail, typed: Collection[str]) -> list[Change]:
    """What is told otherwise though nobody typed it: recalculated, or judged by the interval that fits the corrected patient."""
    out = []
    for test in after.tests:
        was, now = before[test.item.id].current, test.current
        if str(test.item.id) in typed or test.index or now is None or (was is not None and was.id == now.id):
            continue
        if test.state not in bench.TOLD_STATES:  # recalculated with it, but open: a preliminary report tells nothing of it
            continue
        if was is None or was.reported_text != now.reported_text:
            out.append(Change(test.item.name, _with_unit(before[test.item.id]), _with_unit(test)))
        elif was.ref_text != now.ref_text:
            out.append(Change(f"{test.item.name} 参考区间", was.ref_text or "无", now.ref_text or "无"))
        elif was.mark != now.mark:
            out.append(Change(f"{test.item.name} 提示", was.mark or "无", now.mark or "无"))
    return out


def _with_unit(test: TestLine) -> str:
    return f"{test.current.reported_text} {readable(test.current.unit)}".strip() if test.current is not None else document.NO_RESULT


_REQUESTERS = text("SELECT id FROM app_user WHERE tenant_id = :t AND name = ANY(:names) AND status = 'active'")


def _notify_readers(uow: UnitOfWork, report: Report, who: Principal, doctors: Iterable[str]) -> int:
    """Everyone who saw or printed an earlier version or its critical value, and the requester where the doctor has an account; how many."""
    seen = select(ReportView.user_id).where(ReportView.report_id == report.id).distinct()
    readers = {u for u in uow.s.execute(seen).scalars() if u is not None}
    names = sorted({d for d in doctors if d})
    if names:
        readers |= set(uow.s.execute(_REQUESTERS, {"t": uow.tenant_id, "names": names}).scalars())
    readers |= set(critical.readers(uow, [report.specimen_id]))
    readers.discard(who.user_id)
    uow.s.add_all(ReportNotice(report_id=report.id, version_no=report.current_no, user_id=u, at=uow.now) for u in sorted(readers))
    return len(readers)


def recall(uow: UnitOfWork, report_id: int, reason: str, who: Principal) -> None:
    """召回: the values are hidden from every reader at once (R5)."""
    if not reason.strip():
        raise UserError("invalid", say("请写明召回原因。"), field="reason")
    work = bench.lock_reported(uow, [specimen_of(uow, report_id)])
    report = lock(uow, [report_id])[0]
    before = report.state
    if report.current_no == 0:
        raise UserError("conflict", say("报告目前为“{state}”，还没有发布，不必召回。", state=rules.WORDS[State(before)]))
    move(report, State.RECALLED)
    version = version_of(uow, report_id, report.current_no)
    version.state = VersionState.RECALLED.value
    version.recalled_at, version.recalled_by, version.recall_reason = uow.now, who.name, reason.strip()
    bench.retell(work, TestState.RECALLED)
    doctors = [r.doctor for found in bench_queries.requests_of(uow, [report.specimen_id]).values() for r in found]
    _recall_notices(uow, report, who, doctors)
    infectious.withdraw(uow, report_id)
    _nonconformity(uow, report, quality.Source.RECALL, f"报告 {report.no} 召回", reason.strip())
    tell(uow, "report.recalled", report)
    uow.audit("report", report_id, "recall", before={"state": before}, after={"version_no": report.current_no}, reason=reason.strip())


def _nonconformity(uow: UnitOfWork, report: Report, source: quality.Source, title: str, why: str) -> None:
    """A recall, and an amendment that was an error, is a nonconformity (S; M22 R1)."""
    severity = quality.Severity.SERIOUS if source is quality.Source.RECALL else quality.Severity.MAJOR
    subject, url = f"report:{report.id}/{report.current_no}", f"/reports/{report.no}"
    quality.open_once(uow, quality.Mishap(source, subject, title, why, severity, report.section_id, url))


def _recall_notices(uow: UnitOfWork, report: Report, who: Principal, doctors: Iterable[str]) -> None:
    """The recalled version's readers are told anew, also those who have read an earlier notice about the same version."""
    uow.s.execute(delete(ReportNotice).where(ReportNotice.report_id == report.id, ReportNotice.version_no == report.current_no))
    _notify_readers(uow, report, who, doctors)


def cancel(uow: UnitOfWork, report_id: int, reason: str) -> None:
    """A recalled report that nothing replaces: cancelled for good."""
    if not reason.strip():
        raise UserError("invalid", say("请写明取消原因。"), field="reason")
    work = bench.lock_reported(uow, [specimen_of(uow, report_id)])
    report = lock(uow, [report_id])[0]
    move(report, State.CANCELLED)
    bench.retell(work, TestState.CANCELLED)
    tell(uow, "report.cancelled", report)
    uow.audit("report", report_id, "cancel", before={"state": State.RECALLED.value}, after={"no": report.no}, reason=reason.strip())
