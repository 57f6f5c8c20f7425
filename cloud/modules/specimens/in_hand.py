"""The tube lies there before the order does (体检, 外院, downtime): request, label, collection and receipt in one act.

All steps are walked in their order by the rules that hold when they come one by one, each with its event row, audit entry and outbox event;
only the round trips are fewer. Sending the same form again returns the first outcome and writes nothing (C6). A tube that was too long on
its way is written down and not received: whether it is conceded (a senior) or rejected is decided on the tube, as at the counter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import service as bench
from cloud.modules.catalog import queries as md
from cloud.modules.orders import service as orders
from cloud.modules.orders.messages import Registration
from cloud.modules.specimens import facts, labels, rules, steps
from cloud.modules.specimens.facts import TubeRow
from cloud.modules.specimens.labels import ZONE
from cloud.modules.specimens.models import LabelJob, Specimen, SpecimenEvent
from cloud.modules.specimens.rules import Finding, State, Tube
from common import ids
from common.errors import UserError
from common.say import say, word

OLDEST = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class InHand:
    """What the form adds to a registration. ``barcode``: the code already on the tube, empty where we print it; ``collector`` in words."""

    registration: Registration
    identifiers: Collection[str]
    barcode: str = ""
    collected_at: datetime | None = None
    collector: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """The tubes as received, and the label job where labels are to be printed. ``limit``: minutes they were allowed to be on their way, of
    tubes that took longer and are not received."""

    tubes: tuple[TubeRow, ...]
    job_id: int | None = None
    again: bool = False
    limit: int | None = None


_WALK = (State.LABELLED, State.COLLECTED, State.RECEIVED)
_ITEM_WALK = (orders.ItemStatus.LABELLED, orders.ItemStatus.COLLECTED, orders.ItemStatus.RECEIVED)
_OF_ITEMS = text("SELECT DISTINCT specimen_id FROM order_item WHERE tenant_id = :t AND id = ANY(:ids) AND specimen_id IS NOT NULL")


def take_in(uow: UnitOfWork, form: InHand) -> Taken:
    """Register, label, collect and receive. UserErrors: invalid (a field), conflict (unpaid, not the same person, code in use)."""
    checked = sorted(set(form.identifiers) & set(steps.IDENTIFIERS))
    if len(checked) < 2:
        raise UserError("invalid", "请核对标签与申请单的两项身份信息（例如姓名和出生日期）并勾选，再登记。", field="identifiers")
    chosen = md.catalog(uow).order_sets_by_code
    collected = _collected_at(uow, form)
    limit = _too_late(uow, collected, [chosen[c].id for c in form.registration.order_sets if c in chosen])
    placed = orders.register(uow, form.registration)
    if not placed.created:
        return _again(uow, placed.known, limit)
    asked = facts.waiting_locked(uow, placed.created)
    tubes, refused = labels.merged(uow, asked)
    if refused:
        item, why = refused[0]
        raise UserError("conflict", say("“{item}”{why}。没有登记。", item=item.his_name or item.his_code, why=word(why)))
    codes = _codes(uow, form.barcode, tubes)
    to = State.RECEIVED if limit is None else State.COLLECTED
    made = _make(uow, tubes, codes, collected, to, {each.order_item_id: each for each in asked})
    for row, tube in zip(made, tubes, strict=True):
        _walk(uow, row, tube, checked, form.collector.strip())
    for row, tube in zip(made, tubes, strict=True):
        items, steps_of = [each.order_item_id for each in tube.asked], _ITEM_WALK[: _WALK.index(to) + 1]
        orders.walk(uow, items, steps_of, specimen_id=row.id, barcode=row.barcode, placed=placed)
    if to is State.RECEIVED:
        bench.expect_tests(uow, [row.id for row in made])
    found = facts.tubes(uow, [row.id for row in made])
    job = None if form.barcode.strip() else steps.label_job(uow, [row.id for row in made])[1]
    return Taken(tuple(found[row.id] for row in made), None if job is None else job.id, limit=limit)


def _again(uow: UnitOfWork, item_ids: Sequence[int], limit: int | None) -> Taken:
    specimens = list(uow.s.execute(_OF_ITEMS, {"t": uow.tenant_id, "ids": list(item_ids)}).scalars())
    if not specimens:
        raise UserError("conflict", "这张登记单已经提交过，但还没有标本。请在“打印标签”页继续。")
    return Taken(tuple(facts.tubes(uow, specimens).values()), again=True, limit=limit)


def _collected_at(uow: UnitOfWork, form: InHand) -> datetime:
    at = form.collected_at or uow.now
    if at > uow.now + timedelta(minutes=5):
        raise UserError("invalid", "采集时间不能在将来，请核对。", field="collected_at")
    if at < uow.now - OLDEST:
        raise UserError("invalid", say("采集时间已过 {days} 天，标本不能这样登记。请核对时间。", days=OLDEST.days), field="collected_at")
    return at


def _too_late(uow: UnitOfWork, collected: datetime, order_sets: Iterable[int | None]) -> int | None:
    """The transport limit in minutes where it has passed."""
    limit = steps.transport_limit(uow, order_sets)
    return int(limit / timedelta(minutes=1)) if limit is not None and uow.now - collected > limit else None


def _codes(uow: UnitOfWork, typed: str, tubes: Sequence[Tube]) -> list[str]:
    """The code on the tube when it is one of the hospital's pre-printed ones, else fresh ones to print."""
    if not typed.strip():
        return labels.barcodes(uow, len(tubes))
    if len(tubes) != 1:
        raise UserError(
            "invalid", say("所选项目需要 {n} 管标本，一个条码不够。请分开登记，或留空条码由系统打印标签。", n=len(tubes)), field="barcode"
        )
    scan = steps.recognise(uow, typed)
    wrong = rules.scan_problem(scan)
    if wrong is not None:
        raise UserError("invalid", wrong[1], field="barcode")
    own = ids.parse_accession(scan.code)
    if scan.kind is not ids.CodeKind.TUBE or (own is not None and own.site == facts.hospital(uow)[0]):
        # A number of our own that was not given out yet would be given out again one day.
        raise UserError("invalid", "这不是预印条码。预印条码须符合本院的前缀规则；没有预印条码请留空，由系统打印标签。", field="barcode")
    if steps.exists(uow, scan.code):
        raise UserError("conflict", say("条码 {code} 已经用在另一管标本上，请换一张条码。", code=scan.code), field="barcode")
    return [scan.code]


def _make(
    uow: UnitOfWork, tubes: Sequence[Tube], codes: Sequence[str], collected: datetime, to: State, asked: Mapping[int, facts.Waiting]
) -> list[Specimen]:
    known, day, made = md.catalog(uow), uow.now.astimezone(ZONE).date(), []
    for tube, code in zip(tubes, codes, strict=True):
        first, priority = tube.first, rules.tube_priority(tube.first.priority)
        row = Specimen(
            barcode=code, patient_id=first.patient_id, visit_id=first.visit_id, specimen_type_id=first.specimen_type_id,
            container_id=first.container_id, section_id=first.section_id, state=to.value, priority=priority,
            volume_ml=tube.volume_ml, tube_k=tube.k, tube_n=tube.n, labelled_at=uow.now, label_prints=1, collected_at=collected,
            prep=labels.preparation(known, (asked[each.order_item_id] for each in tube.asked)).value,
        )  # fmt: skip
        if to is State.RECEIVED:
            row.received_at, row.receiver_id, row.sample_day = uow.now, uow.actor.user_id, day
            row.sample_no = steps.take_number(uow, known.sections[first.section_id], priority, day)
        made.append(row)
    uow.insert(*made)
    return made


def _walk(uow: UnitOfWork, row: Specimen, tube: Tube, identifiers: list[str], collector: str) -> None:
    """The steps to where the tube stands, with what each records; the table must allow every one."""
    details: dict[State, dict[str, Any]] = {
        State.LABELLED: {"identifiers": identifiers, "items": [each.order_item_id for each in tube.asked], "barcode": row.barcode},
        State.COLLECTED: {"in_hand": True, "collector": collector, "at": row.collected_at.isoformat() if row.collected_at else None},
        State.RECEIVED: {"sample_no": row.sample_no},
    }
    state, steps_done = State.PLANNED, []
    for to in _WALK[: _WALK.index(State(row.state)) + 1]:
        if not rules.may_move(state, to):
            raise UserError(
                "conflict", say("标本不能从“{state}”改为“{to}”。", state=word(rules.STATE_WORDS[state]), to=word(rules.STATE_WORDS[to]))
            )
        # Collected when and by whom the paper says; written down now, by who registers it.
        at = row.collected_at if to is State.COLLECTED and row.collected_at is not None else uow.now
        who = collector if to is State.COLLECTED and collector else uow.actor.name
        steps_done.append(
            SpecimenEvent(specimen_id=row.id, kind=to.value, at=at, actor=who, place=uow.actor.workstation, detail=details[to])
        )
        uow.audit("specimen", row.id, to.value, {"state": state.value}, {"state": to.value, **details[to]})
        uow.emit(f"specimen.{to.value}", row.barcode, {"specimen_id": row.id, "barcode": row.barcode})
        state = to
    uow.insert(*steps_done)
    uow.notify("specimen", {"id": row.id})
    if state is State.RECEIVED:
        uow.notify("bench", {"section_id": row.section_id, "specimen_id": row.id})


__all__ = ["Finding", "InHand", "LabelJob", "Taken", "take_in"]
