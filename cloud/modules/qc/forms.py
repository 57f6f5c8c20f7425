"""What people type into the forms of quality control, read or refused in words."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.qc.registers import Stamp
from cloud.web.faults import Invalid
from cloud.web.view import principal
from common import values
from common.say import say

CHINA = md.HOSPITAL_ZONE


def moment(text: str, now: datetime) -> datetime:
    """A local time as the browser's field gives it; empty is now. Raises Invalid, also for the future."""
    if not text.strip():
        return now
    try:
        at = datetime.fromisoformat(text.strip()).replace(tzinfo=CHINA)
    except ValueError as error:
        raise Invalid("时间写法不对，请按 2026-01-31 08:30 填写。", "at") from error
    if at > now + timedelta(minutes=5):
        raise Invalid("时间晚于现在，请核对。", "at")
    # The field has whole minutes: what is typed for the running minute is now, so that a retest stands after its correction.
    return now if now - at < timedelta(minutes=1) else at


def number(text: str, name: str) -> Decimal | None:
    """A number, or None of nothing. Raises UserError naming the field."""
    if not text.strip():
        return None
    found = values.require(text, "numeric", name)
    if found.comparator or found.number is None:
        raise Invalid(say("{name}请填写数字，不带“{comparator}”。", name=name, comparator=found.comparator), name)
    return found.number


def day(text: str, field: str, *, end: bool = False) -> datetime | None:
    """A local date, or None of nothing; ``end``: the moment after its last one. Raises Invalid."""
    if not text.strip():
        return None
    try:
        found = date.fromisoformat(text.strip()) + timedelta(days=int(end))
    except ValueError as error:
        raise Invalid("日期写法不对，请按 2026-01-31 填写。", field) from error
    return datetime(found.year, found.month, found.day, tzinfo=CHINA)


def stamp(uow: UnitOfWork) -> Stamp:
    """For whom a document is made, by whom, when."""
    return Stamp(principal().tenant_name, principal().name, uow.now)
