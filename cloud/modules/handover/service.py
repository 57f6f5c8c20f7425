"""Verbs of the shift's start and end: write the note (each pause saves), sign it away, take it back, sign for it; the day log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.handover import rules
from cloud.modules.handover.models import DayEntry, HandoverNote
from cloud.modules.handover.rules import Figure, Kind, State
from cloud.modules.platform import alerts, signing
from cloud.modules.platform import service as platform
from cloud.modules.platform.signing import Act, Desk
from cloud.web.principal import Principal
from common.errors import UserError
from common.say import say

MOST = 8000


def write(uow: UnitOfWork, section_id: int, version: int, words: str, figures: Sequence[Figure] | None = None) -> HandoverNote:
    """Keep the note as typed; saving what stands there writes nothing. ``figures``: what it was written from just now.

    ``version`` 0: no note was shown. UserErrors: stale, with the other's words; conflict, when it is signed already.
    """
    if len(words) > MOST:
        raise UserError("invalid", say("交班内容最多 {n} 字，请精简。", n=MOST), field="text")
    new = _begin(uow, section_id)
    row = _open(uow, section_id)
    assert row is not None, "it was just begun, or there already"
    if not new and row.version != version:
        shown = row.text if len(row.text) <= 120 else f"{row.text[:120]}…"
        said = say("您打开之后，{who} 已修改交班内容：“{text}”。您输入的没有保存，仍在框中，请核对后再保存。", who=row.writer, text=shown)
        raise UserError("stale", said)
    if row.state != State.WRITING:
        raise UserError("conflict", say("交班记录目前为“{state}”，不能修改；交班人可以撤回后再改。", state=rules.WORDS[State(row.state)]))
    # Line ends of a form are CR LF; what is stored and signed is one form.
    words = words.replace("\r\n", "\n").strip()
    before = row.text
    if words == before and figures is None and not new:
        return row
    row.text, row.writer, row.written_at = words, uow.actor.name, uow.now
    if figures is not None:
        row.figures = [f.to_json() for f in figures]
    uow.s.flush()
    uow.audit("handover", row.id, "write", before={"text": before}, after={"text": words})
    return row


def give(uow: UnitOfWork, section_id: int, version: int, figures: Sequence[Figure], who: Principal, desk: Desk) -> None:
    """The shift that ends signs: text and what is open now are frozen."""
    row = _locked(uow, section_id, version)
    problem = rules.give_problem(State(row.state), row.text)
    if problem is not None:
        raise UserError("conflict", problem)
    window = platform.require_signing(uow, who)
    row.state, row.giver_id, row.giver, row.given_at = State.GIVEN.value, who.user_id, who.name, uow.now
    row.given_figures = [f.to_json() for f in figures]
    row.content_sha256 = signing.content_hash(content(row))
    signing.sign(uow, Act("handover", "give", who.user_id, window), [(row.id, row.content_sha256)], desk.signer)
    uow.audit("handover", row.id, "give", after={"text": row.text, "sha256": row.content_sha256})


def take_back(uow: UnitOfWork, section_id: int, version: int, reason: str) -> None:
    """The giver writes in what changed before anybody signed for it; the first signature stays in the audit."""
    row = _locked(uow, section_id, version)
    if row.state != State.GIVEN:
        raise UserError("conflict", say("交班记录目前为“{state}”，不能撤回。", state=rules.WORDS[State(row.state)]))
    if row.giver_id != uow.actor.user_id:
        raise UserError("conflict", say("只有交班人 {who} 可以撤回。", who=row.giver))
    if not reason.strip():
        raise UserError("invalid", say("请写明撤回的原因。"), field="reason")
    row.state, row.given_at, row.giver_id, row.giver, row.content_sha256 = State.WRITING.value, None, None, "", ""
    uow.audit("handover", row.id, "take_back", reason=reason.strip())


def receive(uow: UnitOfWork, section_id: int, version: int, remark: str, who: Principal, desk: Desk) -> None:
    """The next shift signs for what was handed over, with what it found otherwise."""
    row = _locked(uow, section_id, version)
    problem = rules.receive_problem(State(row.state), row.giver_id, who.user_id)
    if problem is not None:
        raise UserError("conflict", problem)
    window = platform.require_signing(uow, who)
    row.state, row.receiver_id, row.receiver, row.received_at = State.RECEIVED.value, who.user_id, who.name, uow.now
    row.remark = remark.strip()[:1000]
    signing.sign(uow, Act("handover", "receive", who.user_id, window), [(row.id, row.content_sha256)], desk.signer)
    uow.audit("handover", row.id, "receive", after={"remark": row.remark})
    alerts.clear(uow, "handover.untaken", f"note:{row.id}")


def content(row: HandoverNote) -> dict[str, object]:
    """What both signatures are over."""
    return {
        "note": row.id,
        "section": row.section_id,
        "text": row.text,
        "figures": row.given_figures,
        "giver": row.giver_id,
        "given_at": None if row.given_at is None else row.given_at.isoformat(),
    }


def _begin(uow: UnitOfWork, section_id: int) -> bool:
    """Open the section's note unless one is open; two people who begin at once meet on the index, not in an error."""
    values = {"tenant_id": uow.tenant_id, "section_id": section_id, "opened_at": uow.now, "written_at": uow.now, "writer": uow.actor.name}
    open_one = (
        insert(HandoverNote)
        .values(**values)
        .on_conflict_do_nothing(index_elements=["tenant_id", "section_id"], index_where=text("state <> 'received'"))
    )
    return uow.s.execute(open_one.returning(HandoverNote.id)).first() is not None


def _open(uow: UnitOfWork, section_id: int) -> HandoverNote | None:
    query = select(HandoverNote).where(HandoverNote.section_id == section_id, HandoverNote.state != State.RECEIVED.value)
    return uow.s.execute(query.with_for_update()).scalar_one_or_none()


def _locked(uow: UnitOfWork, section_id: int, version: int) -> HandoverNote:
    row = _open(uow, section_id)
    if row is None:
        raise UserError("not_found", say("本组没有未完成的交班记录，请刷新后重试。"))
    if row.version != version:
        raise UserError("stale", say("您打开之后，{who} 已修改交班记录，请刷新核对后再签名。", who=row.writer))
    return row


# --- the day log ----------------------------------------------------------------------------------------------------


def note_down(uow: UnitOfWork, section_id: int, kind: str, words: str) -> int:
    """Write an entry into today's log."""
    if kind not in tuple(Kind):
        raise UserError("invalid", say("请选择日志的类别。"), field="kind")
    if not words.strip():
        raise UserError("invalid", say("请填写日志内容。"), field="words")
    day: date = uow.now.astimezone(md.HOSPITAL_ZONE).date()
    row = DayEntry(
        section_id=section_id,
        day=day,
        at=uow.now,
        by_id=uow.actor.user_id,
        by_name=uow.actor.name,
        kind=kind,
        words=words.strip()[:2000],
    )
    uow.s.add(row)
    uow.s.flush()
    uow.audit("day_entry", row.id, "create", after={"section": section_id, "kind": kind, "words": row.words})
    return row.id


def withdraw(uow: UnitOfWork, section_id: int, entry_id: int, reason: str) -> None:
    """Take an entry back: it stays readable, struck through, with the reason."""
    query = select(DayEntry).where(DayEntry.id == entry_id, DayEntry.section_id == section_id)
    row = uow.s.execute(query.with_for_update()).scalar_one_or_none()
    if row is None:
        raise UserError("not_found", say("这条日志不存在，请刷新后重试。"))
    if row.withdrawn_at is not None:
        raise UserError("conflict", say("这条日志已由 {who} 撤回。", who=row.withdrawn_by))
    if row.by_id != uow.actor.user_id:
        raise UserError("conflict", say("只有记录人 {who} 可以撤回自己的日志。", who=row.by_name))
    if not reason.strip():
        raise UserError("invalid", say("请写明撤回的原因。"), field="reason")
    row.withdrawn_at, row.withdrawn_by, row.withdrawn_why = uow.now, uow.actor.name, reason.strip()[:300]
    uow.audit("day_entry", entry_id, "withdraw", reason=reason.strip())


__all__ = ["content", "give", "note_down", "receive", "take_back", "withdraw", "write"]
