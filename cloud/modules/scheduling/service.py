"""Verbs of scheduling: define a shift, put somebody on duty, take it back."""

from __future__ import annotations

from datetime import date, time, timedelta

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.platform import queries as people
from cloud.modules.scheduling.models import Duty, Shift
from cloud.modules.scheduling.rules import ALONE_MOST, Hours, Stretch, around, overlapping, too_long_alone
from common.errors import UserError
from common.say import say

MAX_DAYS = 400


def add_shift(uow: UnitOfWork, code: str, name: str, start: time, end: time) -> Shift:
    """A new shift; the hours of one in use never change (make another one)."""
    code, name = code.strip(), name.strip()
    if not code or not name:
        raise UserError("invalid", say("请填写班次的代码和名称。"), field="code")
    if uow.s.execute(select(Shift.id).where(Shift.code == code)).first() is not None:
        raise UserError("conflict", say("班次代码 {code} 已存在，请换一个。", code=code))
    row = Shift(code=code, name=name, start=start, end=end)
    uow.s.add(row)
    uow.s.flush()
    uow.audit("shift", row.id, "create", after={"code": code, "start": str(start), "end": str(end)})
    return row


def assign(
    uow: UnitOfWork, user_id: int, section_id: int, shift_id: int, first: date, last: date, phone: str = "", *, alone: bool = False
) -> Duty:
    """Put a person on duty on each day first … last. Refused where they would stand in two places (H1), naming the other duty.

    ``alone``: 单人值班, tests and verifies alone (M09 R1); nobody flags themselves.
    """
    shift = uow.s.execute(select(Shift).where(Shift.id == shift_id, Shift.active)).scalar_one_or_none()
    if shift is None:
        raise UserError("not_found", say("没有这个班次，请从列表中选择。"))
    if section_id not in md.catalog(uow).sections:
        raise UserError("not_found", say("该专业组不存在。"))
    if not people.exists(uow, user_id):
        raise UserError("not_found", say("该人员不存在，请从列表中选择。"))
    if not first <= last or (last - first).days > MAX_DAYS:
        raise UserError("invalid", say("请填写起止日期，止不早于起，且不超过 {n} 天。", n=MAX_DAYS), field="last")
    if alone:
        _may_be_alone(uow, user_id, shift, first)
    new = Stretch(user_id, Hours(shift.start, shift.end), first, last)
    query = select(Duty, Shift).join(Shift, (Shift.tenant_id == Duty.tenant_id) & (Shift.id == Duty.shift_id))
    found = uow.s.execute(query.where(Duty.user_id == user_id, Duty.cancelled_at.is_(None), Duty.last >= first - timedelta(days=1))).all()
    others = [Stretch(d.user_id, Hours(s.start, s.end), d.first, d.last) for d, s in found]
    clash = next(overlapping(new, others, md.HOSPITAL_ZONE), None)
    if clash is not None:
        hours = f"{clash.hours.start:%H:%M}–{clash.hours.end:%H:%M}"
        said = say("此人 {first} 至 {last} 已有 {hours} 的班，时间重叠。", first=clash.first, last=clash.last, hours=hours)
        raise UserError("conflict", said)
    row = Duty(
        user_id=user_id,
        section_id=section_id,
        shift_id=shift_id,
        first=first,
        last=last,
        phone=phone.strip(),
        alone=alone,
        by_id=uow.actor.user_id,
    )
    uow.s.add(row)
    uow.s.flush()
    uow.audit(
        "duty",
        row.id,
        "assign",
        after={"user": user_id, "section": section_id, "shift": shift.code, "first": str(first), "last": str(last), "alone": alone},
    )
    return row


def leave_alone(uow: UnitOfWork, duty_id: int, day: date) -> Duty:
    """单人值班 for one day of a duty that was planned with others: it stands by itself, what is before and after stays as it was."""
    row = uow.s.execute(select(Duty).where(Duty.id == duty_id).with_for_update()).scalar_one_or_none()
    if row is None or row.cancelled_at is not None:
        raise UserError("not_found", say("该值班安排不存在或已撤回，请刷新后重试。"))
    if row.alone:
        raise UserError("conflict", say("已登记为单人值班。"))
    if not row.first <= day <= row.last:
        raise UserError("invalid", say("该班排在 {first} 至 {last}，请填写其中的一天。", first=row.first, last=row.last), field="day")
    shift = uow.s.get_one(Shift, (uow.tenant_id, row.shift_id))
    _may_be_alone(uow, row.user_id, shift, day)
    before, after = around(row.first, row.last, day)
    kept = {"user_id": row.user_id, "section_id": row.section_id, "shift_id": row.shift_id, "phone": row.phone}
    span = {"first": str(row.first), "last": str(row.last)}
    if before is None:
        row.cancelled_at = uow.now
        uow.audit("duty", duty_id, "cancel", before=span, reason="单人值班")
    else:
        row.last = before[1]
        uow.audit("duty", duty_id, "shorten", before=span, after={"last": str(row.last)})
    made = Duty(**kept, first=day, last=day, alone=True, by_id=uow.actor.user_id)
    rest = [] if after is None else [Duty(**kept, first=after[0], last=after[1], by_id=row.by_id)]
    uow.s.add_all([made, *rest])
    uow.s.flush()
    for each in (made, *rest):
        told = {"user": each.user_id, "section": each.section_id, "first": str(each.first), "last": str(each.last), "alone": each.alone}
        uow.audit("duty", each.id, "assign", after=told | {"shift": shift.code})
    return made


def _may_be_alone(uow: UnitOfWork, user_id: int, shift: Shift, first: date) -> None:
    if uow.actor.user_id == user_id:
        raise UserError("conflict", say("不能给自己登记单人值班。"))
    if too_long_alone(Hours(shift.start, shift.end), first, md.HOSPITAL_ZONE):
        raise UserError("invalid", say("单人值班不超过 {n} 小时，请换一个班次。", n=ALONE_MOST // timedelta(hours=1)), field="alone")


def cancel(uow: UnitOfWork, duty_id: int, reason: str) -> None:
    """Take a duty back, with the reason."""
    row = uow.s.execute(select(Duty).where(Duty.id == duty_id).with_for_update()).scalar_one_or_none()
    if row is None or row.cancelled_at is not None:
        raise UserError("not_found", say("该值班安排不存在或已撤回，请刷新后重试。"))
    if not reason.strip():
        raise UserError("invalid", say("请写明撤回原因。"), field="reason")
    row.cancelled_at = uow.now
    uow.audit("duty", duty_id, "cancel", reason=reason.strip())
