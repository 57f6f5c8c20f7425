"""Changes of told reports: amend with a reason (the old version stays), recall. Nothing told is ever overwritten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.bench import service as bench
from cloud.modules.bench.queries import TestLine
from cloud.modules.bench.service import TestState
from cloud.modules.catalog import queries as md
from cloud.modules.platform import service as platform
from cloud.modules.platform import signing
from cloud.modules.platform.signing import Desk
from cloud.modules.reports import document, rules
from cloud.modules.reports.issue import details, freeze, lock, move, names_of, sign, specimen_of, tell, version_of
from cloud.modules.reports.models import Report, ReportNotice, ReportView
from cloud.modules.reports.rules import State, VersionState
from cloud.reports.documents import Amendment, Change
from cloud.web.principal import Principal
from common.errors import UserError


@dataclass(frozen=True)
class AmendRequest:
    """A change of a told report: item id → new value, with the reason's class and words."""

    report_id: int
    version_no: int
    changes: Mapping[int, str]
    reason: str
    why: str


def amend(uow: UnitOfWork, asked: AmendRequest, who: Principal, desk: Desk) -> int:
    """A new version that says what changed and why; the old one stays, 已被替代. Returns how many people are told (R4)."""
    window = platform.require_signing(uow, who)
    work = bench.lock_reported(uow, [specimen_of(uow, asked.report_id)])
    report = lock(uow, [asked.report_id])[0]
    if report.current_no != asked.version_no:
        raise UserError("stale", f"您打开之后该报告已由他人修改为第 {report.current_no} 版，请按现行版重新核对。")
    before = details(uow, work, [report.specimen_id])[report.specimen_id]
    tests = {t.item.id: t for t in before.tests}
    old = {str(i): _told(tests[i]) for i in asked.changes if i in tests}
    new = {str(i): v.strip() for i, v in asked.changes.items() if i in tests and v.strip() and v.strip() != old[str(i)]}
    problem = rules.amend_problem(State(report.state), asked.reason, asked.why, old, new)
    if problem is not None:
        raise UserError("conflict" if not rules.may_move(State(report.state), State.AMENDED) else "invalid", problem)
    for i, value in new.items():
        bench.check_entry(uow, int(i), value)
    bench.amend(work, {tests[int(i)].id: (v, asked.why.strip()) for i, v in new.items()})
    after = details(uow, work, [report.specimen_id])[report.specimen_id]
    first = version_of(uow, report.id, report.current_no)
    changes = tuple(Change(t.item.name, _with_unit(tests[t.item.id]), _with_unit(t)) for t in after.tests if str(t.item.id) in new)
    if all(c.before == c.after for c in changes):
        raise UserError("invalid", "内容没有变化，无需修改。")
    first.state = VersionState.SUPERSEDED.value
    move(report, State.AMENDED)
    report.current_no += 1
    names = names_of(uow, {who.user_id, report.tester_id or 0})
    word = f"{rules.REASON_WORDS[rules.Reason(asked.reason)]}：{asked.why.strip()}"
    issue = document.Issue(
        str(report.no),
        report.current_no,
        who.tenant_name,
        md.catalog(uow).sections[report.section_id].name,
        f"{desk.base_url}/reports/verify/{report.no}",
        Amendment(first.released_at, word, changes),
    )
    signed = document.Signed(report.tester_id or 0, names.get(report.tester_id or 0, ""), who.user_id, names[who.user_id], uow.now)
    made = document.build(after, issue, signed)
    freeze(uow, report, made, who, asked.reason, asked.why.strip())
    sign(uow, "amend", [(report.id, signing.content_hash(made))], who, window, desk.signer)
    told = _notify_readers(uow, report, who)
    tell(uow, "report.amended", report)
    detail = {"version_no": report.current_no, "changes": [[c.item, c.before, c.after] for c in changes]}
    uow.audit("report", report.id, "amend", before={"version_no": first.version_no}, after=detail, reason=word)
    return told


def _told(test: TestLine) -> str:
    return test.current.reported_text if test.current is not None else ""


def _with_unit(test: TestLine) -> str:
    return f"{test.current.reported_text} {test.current.unit}".strip() if test.current is not None else document.NO_RESULT


def _notify_readers(uow: UnitOfWork, report: Report, who: Principal) -> int:
    readers = uow.s.execute(
        select(ReportView.user_id).where(ReportView.report_id == report.id, ReportView.user_id != who.user_id).distinct()
    ).scalars()
    notices = [ReportNotice(report_id=report.id, version_no=report.current_no, user_id=u, at=uow.now) for u in readers if u is not None]
    uow.s.add_all(notices)
    return len(notices)


def recall(uow: UnitOfWork, report_id: int, reason: str, who: Principal) -> None:
    """召回: the values are hidden from every reader at once (R5)."""
    if not reason.strip():
        raise UserError("invalid", "请写明召回原因。", field="reason")
    work = bench.lock_reported(uow, [specimen_of(uow, report_id)])
    report = lock(uow, [report_id])[0]
    before = report.state
    move(report, State.RECALLED)
    version_of(uow, report_id, report.current_no).state = VersionState.RECALLED.value
    bench.retell(work, TestState.RECALLED)
    _notify_readers(uow, report, who)
    tell(uow, "report.recalled", report)
    uow.audit("report", report_id, "recall", before={"state": before}, after={"version_no": report.current_no}, reason=reason.strip())
