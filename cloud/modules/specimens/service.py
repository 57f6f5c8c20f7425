"""The verbs of tubes: plan, label, collect, receive, reject, and what follows them. No flask, no commit.

A scan is answered, not refused with an exception: the person at the counter must see what the code is and what to do (``Answer``).
Everything that cannot be done from a form raises UserError. Every change writes its event row, its audit entry and its outbox event.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import service as bench
from cloud.modules.catalog import queries as md
from cloud.modules.orders import queries as order_queries
from cloud.modules.orders import service as orders
from cloud.modules.specimens import facts, labels, rules, ward
from cloud.modules.specimens.facts import Person, TubeRow, Waiting
from cloud.modules.specimens.in_hand import InHand, Taken, take_in
from cloud.modules.specimens.labels import ZONE, Plan
from cloud.modules.specimens.models import LabelJob, Rejection, RejectionItem, Specimen, SpecimenEvent
from cloud.modules.specimens.rules import Finding, State
from cloud.modules.specimens.steps import IDENTIFIERS, label_job, recognise, take_number, transport_limit
from cloud.reports.documents import LabelDocument
from common import ids
from common.errors import UserError
from common.say import say, word

__all__ = [
    "IDENTIFIERS", "Answer", "Finding", "InHand", "LabelDocument", "LabelJob", "Person", "Plan", "State", "Taken", "TubeRow", "Waiting",
    "move", "note", "recognise", "take_in",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What one scan came to. ``first`` is the earlier event a double scan repeats; ``left`` how many tubes the patient still waits for."""

    finding: Finding
    text: str
    code: str
    tube: TubeRow | None = None
    first: tuple[datetime, str] | None = None
    left: int = 0

    @property
    def sound(self) -> str:
        """ok, warn (nothing is wrong with the tube), bad."""
        return {Finding.OK: "ok", Finding.DOUBLE: "warn"}.get(self.finding, "bad")


# --- finding ------------------------------------------------------------------------------------------------------------------------------


def find_person(uow: UnitOfWork, code: str) -> Person | None:
    """The patient a scan names: ticket, card, patient or visit number, identity card, one of their tubes, or their request form."""
    scan = recognise(uow, code)
    if not scan.code:
        return None
    if scan.kind is ids.CodeKind.TICKET and scan.ok:
        day = datetime.strptime(scan.code[2:7], "%y%j").replace(tzinfo=ZONE).date()
        return _here(uow, facts.person_by_ticket(uow, day, ids.ticket_number(scan.code[7], int(scan.code[8:12]))))
    # A HIS may number its patients in small letters, which the folding of scans (C10) would hide.
    plain = code.strip()
    found = facts.person_by_code(uow, scan.code) or facts.person_by_code(uow, plain)
    # A request's number comes last: no number of a person is ever taken for it.
    return _here(uow, found or facts.person_by_request(uow, (scan.code, plain)))


def person(uow: UnitOfWork, patient_id: int) -> Person | None:
    """A patient by id."""
    return _here(uow, facts.person(uow, patient_id))


def _here(uow: UnitOfWork, found: Person | None) -> Person | None:
    return found if found is not None and facts.person_is_here(uow, found.id) else None


def is_tube_scan(scan: ids.Scan) -> bool:
    """Whether a scan looks like a tube's code, sound or not (a patient's card of twelve digits would be told by a prefix rule)."""
    return scan.kind is ids.CodeKind.TUBE


def hospital(uow: UnitOfWork) -> tuple[int, str]:
    """The site digit of this hospital's codes, and its name."""
    return facts.hospital(uow)


def find(uow: UnitOfWork, code: str) -> list[TubeRow]:
    """Tubes by barcode, today's sample number, patient number, card or name."""
    today = uow.now.astimezone(ZONE).date()
    return facts.find(uow, ids.normalise_scan(code), today, md.catalog(uow).sections)


def _locked(uow: UnitOfWork, code: str) -> Specimen | None:
    return uow.s.scalars(select(Specimen).where(Specimen.barcode == code).with_for_update()).one_or_none()


def _by_id(uow: UnitOfWork, specimen_id: int) -> Specimen:
    found = uow.s.get(Specimen, (uow.tenant_id, specimen_id), with_for_update=True)
    if found is None:
        raise UserError("not_found", "这管标本不存在，请核对后重试。")
    facts.require_here(uow, specimen_id)
    return found


# --- one step of a tube -------------------------------------------------------------------------------------------------------------------


def move(
    uow: UnitOfWork, tube: Specimen, to: State, place: str = "", detail: dict[str, Any] | None = None, reason: str | None = None
) -> None:
    """One step by the table, with its event row and audit entry. Raises UserError 409 naming the state for a step that is not in it."""
    uow.s.add(step(uow, tube, to, place, detail, reason))


def step(
    uow: UnitOfWork, tube: Specimen, to: State, place: str = "", detail: dict[str, Any] | None = None, reason: str | None = None
) -> SpecimenEvent:
    """``move``, with its event row still to be written."""
    if not rules.may_move(tube.state, to):
        now = word(rules.STATE_WORDS[State(tube.state)])
        raise UserError(
            "conflict",
            say(
                "标本 {barcode} 当前“{now}”，不能改为“{to}”。请刷新后再试。", barcode=tube.barcode, now=now, to=word(rules.STATE_WORDS[to])
            ),
            state=tube.state,
        )
    before, tube.state = tube.state, to.value
    event = _event(uow, tube.id, to.value, place, detail)
    uow.audit("specimen", tube.id, to.value, {"state": before}, {"state": to.value, **(detail or {})}, reason)
    uow.notify("specimen", {"id": tube.id})
    return event


def _event(uow: UnitOfWork, specimen_id: int, kind: str, place: str, detail: dict[str, Any] | None) -> SpecimenEvent:
    at, by = uow.now, uow.actor
    return SpecimenEvent(specimen_id=specimen_id, kind=kind, at=at, actor=by.name, place=place or by.workstation, detail=detail or {})


def _note(uow: UnitOfWork, specimen_id: int, kind: str, place: str, detail: dict[str, Any]) -> None:
    uow.s.add(_event(uow, specimen_id, kind, place, detail))


def note(uow: UnitOfWork, specimen_id: int, kind: str, place: str, detail: dict[str, Any]) -> None:
    """Something that happened to a tube without changing its state: stored, taken out."""
    _note(uow, specimen_id, kind, place, detail)
    uow.notify("specimen", {"id": specimen_id})


def emit(uow: UnitOfWork, topic: str, tube: Specimen, **more: Any) -> None:
    """What happened to a tube, for other modules."""
    uow.emit(f"specimen.{topic}", tube.barcode, {"specimen_id": tube.id, "barcode": tube.barcode, **more})


def _first_event(uow: UnitOfWork, specimen_id: int, kinds: Collection[str]) -> tuple[datetime, str] | None:
    asked = (SpecimenEvent.specimen_id == specimen_id) & SpecimenEvent.kind.in_(kinds)
    row = uow.s.scalars(select(SpecimenEvent).where(asked).order_by(SpecimenEvent.id).limit(1)).first()
    return None if row is None else (row.at, row.actor)


# --- labels -------------------------------------------------------------------------------------------------------------------------------


def plan_tubes(uow: UnitOfWork, person: Person) -> Plan:
    """What labelling this patient now would give; changes nothing."""
    return labels.plan(uow, person, facts.waiting(uow, person.id))


def print_labels(
    uow: UnitOfWork, patient_id: int, order_item_ids: Collection[int], identifiers: Collection[str], place: str = ""
) -> tuple[list[LabelDocument], LabelJob]:
    """Make the tubes of these items and their labels (planned → labelled). Two identifiers must have been checked with the patient.

    The label job is what the worker renders (PDF, ZPL). UserErrors: invalid (identifiers), not_found, conflict (labelled by somebody
    else meanwhile, unpaid, not mapped): then nothing is made.
    """
    checked = sorted(set(identifiers) & set(IDENTIFIERS))
    if len(checked) < 2:
        raise UserError("invalid", "请先与患者核对两项身份信息（例如姓名和出生日期），再打印标签。", field="identifiers")
    person = facts.person(uow, patient_id)
    if person is None:
        raise UserError("not_found", "这位患者不存在，请重新扫描。")
    items = facts.waiting_locked(uow, order_item_ids)
    _check_labellable(items, order_queries.person_ids(uow, patient_id), order_item_ids)
    plan = labels.plan(uow, person, items)
    if plan.refused:
        item, why = plan.refused[0]
        raise UserError("conflict", say("“{item}”{why}。没有打印任何标签。", item=item.his_name or item.his_code, why=word(why)))
    made = _make_tubes(uow, plan, checked, place)
    return label_job(uow, [each.id for each in made])


def _check_labellable(items: list[Waiting], people: Collection[int], asked: Collection[int]) -> None:
    if not asked:
        raise UserError("invalid", "没有选择要打印的项目。")
    if len(items) != len(set(asked)) or any(each.patient_id not in people for each in items):
        raise UserError("conflict", "有项目已由他人打印标签或已取消，请刷新后核对再打印。")


def _make_tubes(uow: UnitOfWork, plan: Plan, identifiers: list[str], place: str) -> list[Specimen]:
    made, known = [], md.catalog(uow)
    for tube, code in zip(plan.tubes, labels.barcodes(uow, len(plan.tubes)), strict=True):
        first = tube.first
        row = Specimen(
            barcode=code,
            patient_id=first.patient_id,
            visit_id=first.visit_id,
            specimen_type_id=first.specimen_type_id,
            container_id=first.container_id,
            section_id=first.section_id,
            state=State.PLANNED.value,
            priority=rules.tube_priority(first.priority),
            volume_ml=tube.volume_ml,
            tube_k=tube.k,
            tube_n=tube.n,
            labelled_at=uow.now,
            label_prints=1,
            prep=labels.preparation(known, (plan.items[each.order_item_id] for each in tube.asked)).value,
        )
        uow.s.add(row)
        uow.s.flush()
        item_ids = [each.order_item_id for each in tube.asked]
        orders.set_status(uow, item_ids, orders.ItemStatus.LABELLED, specimen_id=row.id, barcode=code)
        move(uow, row, State.LABELLED, place, {"identifiers": identifiers, "items": item_ids, "barcode": code})
        emit(uow, "labelled", row)
        made.append(row)
    return made


def reprint(uow: UnitOfWork, specimen_id: int, reason: str) -> tuple[list[LabelDocument], LabelJob]:
    """The same label again; asks why, voids nothing (M05)."""
    tube = _by_id(uow, specimen_id)
    if not reason.strip():
        raise UserError("invalid", "请写明补打标签的原因，例如标签破损。", field="reason")
    if State(tube.state) in (State.CANCELLED, State.REJECTED, State.DISCARDED):
        raise UserError("conflict", say("标本“{state}”，不能补打标签。", state=word(rules.STATE_WORDS[State(tube.state)])))
    tube.label_prints += 1
    _note(uow, tube.id, "reprint", "", {"reason": reason.strip(), "copy": tube.label_prints})
    uow.audit("specimen", tube.id, "reprint", None, {"prints": tube.label_prints}, reason.strip())
    return label_job(uow, [tube.id])


# --- collection ---------------------------------------------------------------------------------------------------------------------------


def collect(uow: UnitOfWork, code: str, patient_id: int, place: str = "") -> Answer:
    """Scan a tube closed: collected. The patient was named first by ticket, card or wristband; another patient's tube is refused."""
    scan = recognise(uow, code)
    wrong = rules.scan_problem(scan)
    tube = None if wrong else _locked(uow, scan.code)
    if tube is None:
        return _nobody(uow, scan, wrong)
    if (other := facts.elsewhere(uow, tube.id)) is not None:
        return Answer(Finding.SECTION, other, scan.code)
    problem = rules.collect_problem(State(tube.state), order_queries.same_person(uow, tube.patient_id, patient_id))
    if problem is not None:
        first = _first_event(uow, tube.id, (State.COLLECTED,)) if problem[0] is Finding.DOUBLE else None
        return Answer(*problem, scan.code, _row(uow, tube.id), first, _left(uow, patient_id))
    tube.collected_at, tube.collector_id = uow.now, uow.actor.user_id
    move(uow, tube, State.COLLECTED, place)
    _set_items(uow, tube, orders.ItemStatus.COLLECTED)
    emit(uow, "collected", tube)
    uow.s.flush()
    ward.drawn_again(uow, tube.id)
    left = _left(uow, patient_id)
    words = "全部采集完成。" if left == 0 else say("已采集，还有 {left} 管。", left=left)
    return Answer(Finding.OK, words, scan.code, _row(uow, tube.id), None, left)


def _left(uow: UnitOfWork, patient_id: int) -> int:
    return len(facts.tubes_of(uow, patient_id, (State.LABELLED,)))


def open_tubes(uow: UnitOfWork, patient_id: int) -> list[TubeRow]:
    """A patient's labelled tubes, those of today's collection with them, in draw order."""
    since = uow.now - timedelta(hours=12)
    rows = facts.tubes_of(uow, patient_id, (State.LABELLED, State.COLLECTED))
    recent = [r for r in rows if r.state == State.LABELLED or (r.collected_at is not None and r.collected_at > since)]
    return sorted(recent, key=lambda r: (r.labelled_at or uow.now, r.tube_k))


# --- receipt ------------------------------------------------------------------------------------------------------------------------------


def receive(uow: UnitOfWork, code: str, sections: frozenset[str] = frozenset(), place: str = "") -> Answer:
    """Scan a tube in: M05's checks in their order, then sample number, bench tests, order items. ``sections`` empty: the central desk."""
    scan = recognise(uow, code)
    wrong = rules.scan_problem(scan)
    tube = None if wrong else _locked(uow, scan.code)
    if tube is None:
        return _nobody(uow, scan, wrong)
    if (other := facts.elsewhere(uow, tube.id)) is not None:
        return Answer(Finding.SECTION, other, scan.code)
    items = facts.items(uow, [tube.id]).get(tube.id, [])
    problem = rules.receive_problem(_known(uow, tube, items), sections, uow.now, transport_limit(uow, [i.order_set_id for i in items]))
    if problem is not None:
        return _refused(uow, tube, scan.code, problem)
    _take(uow, tube, items, place)
    return Answer(Finding.OK, "已核收", scan.code, _row(uow, tube.id))


def _take(uow: UnitOfWork, tube: Specimen, items: list[facts.Item], place: str) -> None:
    """The receipt itself: sample number, order items, bench tests."""
    tube.received_at, tube.receiver_id = uow.now, uow.actor.user_id
    tube.sample_day = uow.now.astimezone(ZONE).date()
    number = tube.sample_no = take_number(uow, md.catalog(uow).sections[tube.section_id], tube.priority, tube.sample_day)
    move(uow, tube, State.RECEIVED, place, {"sample_no": number})
    _set_items(uow, tube, orders.ItemStatus.RECEIVED, items)
    emit(uow, "received", tube)
    uow.s.flush()
    bench.expect_tests(uow, [tube.id])
    uow.notify("bench", {"section_id": tube.section_id, "specimen_id": tube.id})


def _known(uow: UnitOfWork, tube: Specimen, items: list[facts.Item]) -> rules.Known:
    section = md.catalog(uow).sections[tube.section_id]
    alive = [each for each in items if each.status not in order_queries.ENDED]
    unpaid = any(rules.must_pay_first(each.visit_kind, each.priority, each.charge_state) for each in alive)
    # The HIS may have cancelled the last item a moment ago; the event that voids the tube need not have run yet.
    gone = bool(items) and not alive and State(tube.state) in rules.BEFORE_TESTED
    state = State.CANCELLED if gone else State(tube.state)
    return rules.Known(state, unpaid, section.code, section.name, tube.collected_at)


def _refused(uow: UnitOfWork, tube: Specimen, code: str, problem: tuple[Finding, str]) -> Answer:
    kinds = {
        Finding.DOUBLE: (State.RECEIVED,),
        Finding.CANCELLED: (State.CANCELLED,),
        Finding.REJECTED: (State.REJECTED, State.LOST, State.DISCARDED),
    }.get(problem[0], ())
    return Answer(*problem, code, _row(uow, tube.id), _first_event(uow, tube.id, kinds) if kinds else None)


def _nobody(uow: UnitOfWork, scan: ids.Scan, wrong: tuple[Finding, str] | None) -> Answer:
    if wrong is not None:
        return Answer(*wrong, scan.code)
    if scan.code and find_person(uow, scan.code) is not None:
        return Answer(*rules.PATIENTS_NUMBER, scan.code)
    return Answer(Finding.UNKNOWN, "系统里没有这个条码。请核对标签；确实是送来的标本，请登记为无主标本。", scan.code)


def _row(uow: UnitOfWork, specimen_id: int) -> TubeRow:
    uow.s.flush()
    return facts.tubes(uow, [specimen_id])[specimen_id]


def _set_items(uow: UnitOfWork, tube: Specimen, to: orders.ItemStatus, items: list[facts.Item] | None = None, reason: str = "") -> None:
    rows = facts.items(uow, [tube.id]).get(tube.id, []) if items is None else items
    alive = [each.order_item_id for each in rows if each.status not in order_queries.ENDED]
    orders.set_status(uow, alive, to, reason=reason, barcode=tube.barcode)


def accept_conditionally(uow: UnitOfWork, specimen_id: int, caveat: str) -> None:
    """让步接收: a senior takes an imperfect tube; the caveat is printed on the report (7.2.6.2).

    One that the counter refused because it was too long on its way is received by it, every other check still holding.
    """
    tube = _by_id(uow, specimen_id)
    if not caveat.strip():
        raise UserError("invalid", "请写明让步接收的说明，它会印在报告上。", field="caveat")
    if State(tube.state) in rules.ON_THE_WAY:
        items = facts.items(uow, [tube.id]).get(tube.id, [])
        problem = rules.receive_problem(_known(uow, tube, items), frozenset(), uow.now, None)
        if problem is not None:
            raise UserError("conflict", problem[1])
        _take(uow, tube, items, "")
    move(uow, tube, State.CONDITIONAL, detail={"caveat": caveat.strip()}, reason=caveat.strip())
    tube.caveat = caveat.strip()


def mark(uow: UnitOfWork, specimen_id: int, issue: rules.Issue, why: str | None) -> None:
    """Set one thing about a tube that was found with others of it (``why``), or take it back (None); a tube that is told or gone stays."""
    tube = uow.s.get_one(Specimen, (uow.tenant_id, specimen_id), with_for_update=True)
    now = [i.value for i in rules.Issue if (i is issue and why is not None) or (i is not issue and i.value in tube.issues)]
    if now == tube.issues or State(tube.state) not in rules.MAY_NOTE | rules.ON_THE_WAY:
        return
    before, tube.issues = list(tube.issues), now
    _note(uow, tube.id, "issues", "", {"issues": now, "note": why or ""})
    uow.audit("specimen", tube.id, "issues", {"issues": before}, {"issues": now}, why)
    uow.notify("bench", {"section_id": tube.section_id, "specimen_id": tube.id})


def note_issues(uow: UnitOfWork, specimen_id: int, issues: Sequence[str]) -> None:
    """What the receiver (or who has it in hand) sees on a tube; the whole list replaces the one before. UserErrors invalid, conflict."""
    wrong = [i for i in issues if i not in tuple(rules.Issue)]
    if wrong:
        raise UserError("invalid", say("请从列表中选择标本性状。"), field="issue")
    tube = _by_id(uow, specimen_id)
    if State(tube.state) not in rules.MAY_NOTE:
        raise UserError("conflict", say("标本“{state}”，不能登记性状。", state=rules.STATE_WORDS[State(tube.state)]))
    now = [i.value for i in rules.Issue if i.value in issues]
    if now == tube.issues:
        return
    before, tube.issues = list(tube.issues), now
    _note(uow, tube.id, "issues", "", {"issues": now})
    uow.audit("specimen", tube.id, "issues", {"issues": before}, {"issues": now})
    uow.notify("bench", {"section_id": tube.section_id, "specimen_id": tube.id})


# --- what goes wrong ----------------------------------------------------------------------------------------------------------------------


def reject(uow: UnitOfWork, code: str, reason_id: int, note: str = "", place: str = "") -> Rejection:
    """拒收: the ward is told, the order items wait for a new tube, the reason feeds its indicator (M05).

    A clot is often seen only after receipt: until its first value such a tube goes back the same way, as cancelled.
    """
    reason = md.catalog(uow).reject_reasons.get(reason_id)
    if reason is None:
        raise UserError("invalid", "请选择拒收原因。", field="reason")
    tube = _locked(uow, recognise(uow, code).code)
    if tube is None:
        raise UserError("not_found", "系统里没有这个条码，请核对后重试。")
    facts.require_here(uow, tube.id)
    to = rules.refused_as(State(tube.state))
    if to is State.CANCELLED and (tube.parent_id is not None or facts.has_values(uow, tube.id)):
        raise UserError("conflict", say("这管标本已有结果或是分杯，不能退回重采；请在检验工作台登记无结果并写明原因。"))
    move(uow, tube, to or State.REJECTED, place, {"reason": reason.code, "note": note.strip()}, reason.name)
    row = Rejection(specimen_id=tube.id, reason_id=reason.id, note=note.strip(), at=uow.now, by_id=uow.actor.user_id)
    uow.s.add(row)
    uow.s.flush()
    items = facts.items(uow, [tube.id]).get(tube.id, [])
    alive = [each for each in items if each.status not in order_queries.ENDED]
    uow.s.add_all(RejectionItem(rejection_id=row.id, order_item_id=each.order_item_id) for each in alive)
    _set_items(uow, tube, orders.ItemStatus.REJECTED, items, reason.name)
    emit(uow, "rejected", tube, reason_code=reason.code, reason=reason.name, note=note.strip(), indicator=reason.indicator)
    uow.s.flush()
    ward.tell_rejected(uow, tube, row.id, reason.name, "、".join(each.name for each in items))
    return row


def confirm_rejection(uow: UnitOfWork, rejection_id: int) -> None:
    """The ward has read a rejection; the first reader counts."""
    row = uow.s.get(Rejection, (uow.tenant_id, rejection_id), with_for_update=True)
    if row is None:
        raise UserError("not_found", "这条拒收通知不存在。")
    facts.require_here(uow, row.specimen_id)
    ward.read(uow, row)


def void(uow: UnitOfWork, specimen_id: int, reason: str) -> None:
    """A printed label that was never used is waste from now on; its requests wait for a new one."""
    tube, why = _by_id(uow, specimen_id), reason.strip()
    if not why:
        raise UserError("invalid", "请写明作废标签的原因，例如打印多余、贴错试管。", field="reason")
    if State(tube.state) is not State.LABELLED:
        now = word(rules.STATE_WORDS[State(tube.state)])
        raise UserError("conflict", say("标本当前“{now}”，不能作废标签；已采集的请拒收，找不到的请登记丢失。", now=now))
    move(uow, tube, State.CANCELLED, detail={"reason": why}, reason=why)
    _set_items(uow, tube, orders.ItemStatus.CONFIRMED, reason=why)
    emit(uow, "cancelled", tube, reason=why)


_NOWHERE = text("""
UPDATE stored_tube SET returns = false, taken_at = coalesce(taken_at, :now),
  taken_by = CASE WHEN taken_at IS NULL THEN :by ELSE taken_by END,
  taken_why = CASE WHEN taken_at IS NULL THEN :why ELSE taken_why END
WHERE tenant_id = :t AND specimen_id = :s AND (taken_at IS NULL OR returns)
""")


def mark_lost(uow: UnitOfWork, specimen_id: int, searched: str) -> None:
    """A tube that cannot be found, with what was searched. Of one that gave no value yet the requests wait for another tube.

    Its place in a rack is free again, and nobody waits for it to be put back.
    """
    where = searched.strip()
    if not where:
        raise UserError("invalid", "请写明已经找过哪些地方。", field="searched")
    tube = _by_id(uow, specimen_id)
    again = State(tube.state) in rules.BEFORE_TESTED and not facts.has_values(uow, tube.id)
    move(uow, tube, State.LOST, detail={"searched": where}, reason=where)
    if again:
        _set_items(uow, tube, orders.ItemStatus.REJECTED, reason=where)
    emit(uow, "lost", tube, reason=where, again=again)
    why = f"丢失：{where}"[:200]
    uow.s.execute(_NOWHERE, {"t": uow.tenant_id, "s": tube.id, "now": uow.now, "by": uow.actor.name, "why": why})
    ward.tell_lost(uow, tube, searched.strip())
