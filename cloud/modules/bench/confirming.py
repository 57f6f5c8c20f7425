"""待复检 (M07 R5): a screen that stays reactive is told as 待复检, never as positive, and its tube goes to a confirmatory laboratory.

A row follows it: waits to be sent, is sent, is back with the other laboratory's words, which become the report's by an amendment; or it
ends without any, and the report goes on saying 待复检.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import measure, rows
from cloud.modules.bench.consequences import reactive
from cloud.modules.bench.measure import Kind
from cloud.modules.bench.models import Confirmation
from cloud.modules.bench.opening import fresh, must_be_open, open_test, save, settled, to
from cloud.modules.bench.record import Work
from cloud.modules.bench.rows import NewVersion, TestRow
from cloud.modules.bench.rules import CONFIRMING_MOVES, CONFIRMING_WORDS, Confirming, Perm, TestState
from cloud.modules.catalog import queries as md
from cloud.modules.platform import alerts
from cloud.reports.documents import Column, ListDocument
from cloud.web.faults import Conflict, Invalid, NotFound, Stale
from common.errors import UserError
from common.say import say

PAGE = 100
EXPORT_MOST = 5000
_OUT = (Confirming.WAITING.value, Confirming.SENT.value)
UNSENT, UNANSWERED = timedelta(hours=24), timedelta(days=14)
"""[C] A screen that needs a confirmation leaves within a day and is back within two weeks."""


def send_to_confirm(uow: UnitOfWork, test_id: int, version: int, reason: str, may_decide: bool) -> int:
    """The duplicate is reactive too (or cannot be made): the report says 待复检 and the tube is to be sent. Returns the tube.

    UserErrors: conflict (nothing is to be confirmed, not by this person), stale, invalid (``reason``).
    """
    work, test = open_test(uow, test_id)
    name = work.catalog.items[test.item_id].name
    must_be_open(test, name)
    fresh(test, version, name)
    follow = work.rerun_of(test)
    if follow is None or follow.kind is not Kind.CONFIRM:
        raise UserError("conflict", say("{item} 没有等待的复检确证，请刷新后重试。", item=name))
    if not may_decide:
        raise UserError("conflict", say("{item} 报待复检并送确证，须由高年资或组长决定。", item=name))
    if not reason.strip():
        raise UserError("invalid", say("请写明理由，例如：双份复检均有反应。"), field="reason")
    if test.pending_id is not None and not reactive(work, test, test.pending_id):
        raise UserError("conflict", say("{item} 的复检结果没有反应：请选用其中一个结果。", item=name))
    shown = [v for v in work.versions.get(test.id, ()) if v.id in (test.current_id, test.pending_id)]
    seen = [v.known.reported_text for v in sorted(shown, key=lambda v: v.id)]
    read = work.reader.read(test.item_id, None, measure.TO_CONFIRM, work.tubes[test.specimen_id])
    read = replace(read, comparator="", value=None, reported_text=measure.TO_CONFIRM, flag="", critical=False, holds=())
    no = max((v.known.version_no for v in work.versions.get(test.id, ())), default=0) + 1
    made = NewVersion(test, no, work.tubes[test.specimen_id].patient_id, "manual", read, uow.now, entered_by=uow.actor.user_id,
                      reason=reason.strip()[:200])  # fmt: skip
    rows.insert_versions(uow, [made])
    follow.settle(uow, "done", f"{'、'.join(seen)}，报{measure.TO_CONFIRM}并送确证：{reason.strip()}")
    to(test, TestState.RECEIVED)
    test.notes = measure.without(test.notes, measure.NoteCode.CONFIRM, measure.NoteCode.ANOTHER)
    test.current_id, test.pending_id = made.id, None
    work.current[test.id] = made
    row = _row_of(work, test, seen, reason.strip()[:200])
    settled(work, test.specimen_id)
    save(work, "to_confirm", {"item": name, "value": measure.TO_CONFIRM, "confirmation": row.id}, {"value": seen}, reason.strip())
    return test.specimen_id


def _row_of(work: Work, test: TestRow, seen: Sequence[str], reason: str) -> Confirmation:
    """A new row; or the one that is out, told of what was measured since: one tube is sent once."""
    uow, query = work.uow, select(Confirmation).where(Confirmation.test_id == test.id, Confirmation.state.in_(_OUT))
    row = uow.s.scalars(query.order_by(Confirmation.id).with_for_update()).first()
    if row is None:
        row = Confirmation(
            specimen_id=test.specimen_id, section_id=work.tubes[test.specimen_id].section_id, test_id=test.id, item_id=test.item_id,
            screened="、".join(seen), reason=reason, asked_at=uow.now, asked_by=uow.actor.name,
        )  # fmt: skip
        uow.s.add(row)
    else:
        row.screened, row.reason = "、".join([row.screened, *seen]), reason
    uow.s.flush()
    return row


def sent(uow: UnitOfWork, row_id: int, version: int, lab: str, carrier: str) -> None:
    """The tube is on its way to the confirmatory laboratory."""
    row = _open(uow, row_id, version, Confirming.SENT)
    if not lab.strip():
        raise Invalid(say("请填写确证实验室，例如：市疾控中心。"), "lab")
    row.state, row.lab, row.carrier = Confirming.SENT.value, lab.strip()[:100], carrier.strip()[:60]
    row.sent_at, row.sent_by = uow.now, uow.actor.name
    uow.audit("confirmation", row.id, "sent", after={"lab": row.lab, "carrier": row.carrier, "specimen": row.specimen_id})


def back(uow: UnitOfWork, row_id: int, version: int, report_no: str, conclusion: str) -> None:
    """The confirmatory laboratory's report is here; ours is amended by it."""
    row = _open(uow, row_id, version, Confirming.BACK)
    if not report_no.strip():
        raise Invalid(say("请填写确证报告号。"), "report_no")
    if not conclusion.strip():
        raise Invalid(say("请填写确证结论，例如：HIV-1 抗体阳性、阴性、不确定。"), "conclusion")
    row.state, row.report_no, row.conclusion = Confirming.BACK.value, report_no.strip()[:60], conclusion.strip()[:200]
    row.back_at, row.back_by = uow.now, uow.actor.name
    uow.audit("confirmation", row.id, "returned", after={"report_no": row.report_no, "conclusion": row.conclusion})


def end(uow: UnitOfWork, row_id: int, version: int, reason: str, may_decide: bool) -> None:
    """There will be no answer: the tube cannot be sent, or was refused there. The report stays as it was told; a new tube begins anew."""
    row = _open(uow, row_id, version, Confirming.ENDED)
    if not may_decide:
        raise Conflict(say("确证只能由高年资或组长结束。"))
    if not reason.strip():
        raise Invalid(say("请写明原因，例如：标本量不足，确证实验室退回，已请病区重采。"), "reason")
    row.state, row.conclusion = Confirming.ENDED.value, reason.strip()[:200]
    row.back_at, row.back_by = uow.now, uow.actor.name
    uow.audit("confirmation", row.id, "ended", after={"specimen": row.specimen_id}, reason=row.conclusion)


def _open(uow: UnitOfWork, row_id: int, version: int, to: Confirming) -> Confirmation:
    row = uow.s.get(Confirmation, (uow.tenant_id, row_id), with_for_update=True)
    if row is None:
        raise NotFound("这条确证记录")
    if to not in CONFIRMING_MOVES[Confirming(row.state)]:
        raise Conflict(say("这条确证记录已为“{state}”，请刷新。", state=CONFIRMING_WORDS[Confirming(row.state)]))
    if row.version != version:
        raise Stale
    return row


def unanswered(uow: UnitOfWork, test_ids: Collection[int]) -> set[int]:
    """Those of these tests that are told as 待复检 and of which no confirmatory laboratory has spoken."""
    rows = uow.s.execute(select(Confirmation.test_id, Confirmation.state).where(Confirmation.test_id.in_(list(test_ids)))).all()
    return {row.test_id for row in rows} - {row.test_id for row in rows if row.state == Confirming.BACK}


_LIST = text("""
SELECT c.id, c.version, c.state, c.screened, c.reason, c.asked_at, c.asked_by, c.lab, c.carrier, c.sent_at, c.sent_by, c.report_no,
       c.conclusion, c.back_at, c.back_by, c.item_id, c.specimen_id, s.barcode, s.sample_no, s.patient_id, p.name, p.patient_no
FROM confirmation c JOIN specimen s ON s.tenant_id = c.tenant_id AND s.id = c.specimen_id
JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
WHERE c.tenant_id = :t AND c.section_id = :s AND (c.state IN ('waiting','sent')) = :open
  AND (CAST(:before AS bigint) IS NULL OR c.id < :before)
ORDER BY c.id DESC LIMIT :n
""")


def listed(uow: UnitOfWork, section_id: int, open_only: bool, before: int | None = None, limit: int = PAGE) -> list[Line]:
    """A section's confirmations that are still out, or those that are back or ended; newest first."""
    given = {"t": uow.tenant_id, "s": section_id, "open": open_only, "before": before, "n": limit}
    items = md.catalog(uow).items
    return [Line(r, items[r.item_id].name, items[r.item_id].sensitive) for r in uow.s.execute(_LIST, given)]


HEADS = (
    ("待复检", 3), ("条码", 3), ("患者", 3), ("项目", 3), ("初筛与复检", 4), ("决定", 3), ("确证实验室", 4), ("送出", 3), ("确证报告号", 3),
    ("结论", 4), ("回报", 3),
)  # fmt: skip


def document(found: Iterable[Line], section: md.SectionRow, hospital: str, by: str, now: datetime) -> ListDocument:
    """The register for paper or Excel."""

    def at(when: datetime | None, who: str) -> str:
        return "" if when is None else f"{when.astimezone(md.HOSPITAL_ZONE):%m-%d %H:%M} {who}"

    lines = (
        (
            at(r.asked_at, ""), r.barcode, r.name, each.item, r.screened, f"{r.asked_by} {r.reason}", f"{r.lab} {r.carrier}".strip(),
            at(r.sent_at, r.sent_by), r.report_no, r.conclusion, at(r.back_at, r.back_by),
        )
        for each in found for r in (each.row,)
    )  # fmt: skip
    columns = tuple(Column(word, wide) for word, wide in HEADS)
    return ListDocument(hospital, f"{section.name}确证送检登记", columns, tuple(lines), now, by, landscape=True)


_LATE = text("""
SELECT s.code, s.name, c.state, count(*) AS n FROM confirmation c JOIN section s ON s.tenant_id = c.tenant_id AND s.id = c.section_id
WHERE c.tenant_id = :t AND (c.state = 'waiting' AND c.asked_at < :unsent OR c.state = 'sent' AND c.sent_at < :unanswered)
GROUP BY s.code, s.name, c.state
""")


def look(uow: UnitOfWork) -> None:
    """Job: tubes that were not sent within a day, and those of which nothing is heard for two weeks."""
    words = {
        Confirming.WAITING: "%(section)s：%(n)s 份待复检标本超过 24 小时没有送确证",
        Confirming.SENT: "%(section)s：%(n)s 份送确证标本 14 天没有回报",
    }
    late = uow.s.execute(_LATE, {"t": uow.tenant_id, "unsent": uow.now - UNSENT, "unanswered": uow.now - UNANSWERED})
    found = [
        alerts.Alert(
            "bench.confirm", f"{r.code}:{r.state}", alerts.Level.WARNING, words[Confirming(r.state)], f"/bench/confirm?section={r.code}",
            Perm.ENTER, {"section": r.name, "n": r.n}, at=(r.code,),
        )
        for r in late
    ]  # fmt: skip
    alerts.sync(uow, "bench.confirm", found)


@dataclass(frozen=True, slots=True)
class Line:
    """A confirmation as listed."""

    row: Any
    item: str
    sensitive: bool


__all__ = ["Line", "back", "document", "end", "listed", "look", "send_to_confirm", "sent", "unanswered"]
