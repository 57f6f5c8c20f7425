"""The queue's rows: counters under a row lock, the waiting line as values, number blocks for kiosks; the inside of the verbs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.queue import rules
from cloud.modules.queue.models import NumberLease, QueueCounter, QueueTicket, QueueWindow
from cloud.modules.queue.rules import Klass, Ticket, Waiting, Window
from common.errors import UserError
from common.say import say, word

ZONE = ZoneInfo("Asia/Shanghai")
DEFAULT_SERVICE_MINUTES = 3.0
LEASE_SPACE = ((800, 999), (5000, 9999))  # R11: numbers kiosks give without us; online numbers step over them
LEASE_SIZE = 50
_NEXT = text("""
INSERT INTO queue_counter (tenant_id, hall, day, prefix, last) VALUES (:t, :hall, :day, :prefix, 1)
ON CONFLICT (tenant_id, hall, day, prefix) DO UPDATE SET last = queue_counter.last + 1 RETURNING last
""")
_LINE = text("""
INSERT INTO queue_counter (tenant_id, hall, day, prefix) VALUES (:t, :hall, :day, :prefix)
ON CONFLICT (tenant_id, hall, day, prefix) DO NOTHING
""")


def today(uow: UnitOfWork) -> date:
    """The hospital's day."""
    return uow.now.astimezone(ZONE).date()


def count(uow: UnitOfWork, hall: str, day: date, prefix: str) -> int:
    """The next number of a row; the row stays locked until COMMIT."""
    values = {"t": uow.tenant_id, "hall": hall, "day": day, "prefix": prefix}
    return int(uow.s.execute(_NEXT, values).scalar_one())


def next_number(uow: UnitOfWork, hall: str, day: date, klass: Klass) -> int:
    """The next number of a class; it steps over the kiosks' blocks and rolls on above them."""
    used = count(uow, hall, day, klass.value)
    first, last = LEASE_SPACE[0]
    number = used if used < first else used + (last - first + 1)
    if number >= LEASE_SPACE[1][0]:
        raise UserError("conflict", say("{kind}号今天已经发完，请到导诊台处理。", kind=word(rules.KLASS_WORDS[klass])))
    return number


def lock_line(uow: UnitOfWork, hall: str, day: date, service: str) -> QueueCounter:
    """The row that whoever calls from this line holds until COMMIT: two windows never get one ticket (R7)."""
    key = {"hall": hall, "day": day, "prefix": f"line:{service}"}
    uow.s.execute(_LINE, {"t": uow.tenant_id, **key})
    return uow.s.scalars(select(QueueCounter).filter_by(**key).with_for_update().execution_options(populate_existing=True)).one()


def lock_person(uow: UnitOfWork, patient_id: int) -> None:
    """Two kiosks and one card: the second waits here until the first has committed, and then finds its ticket."""
    uow.s.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"queue:{uow.tenant_id}:{patient_id}"})


def waiting(uow: UnitOfWork, hall: str, day: date, services: Iterable[str]) -> list[Waiting]:
    """The waiting tickets of some services, as the rules see them."""
    query = select(QueueTicket.id, QueueTicket.klass, QueueTicket.seq, QueueTicket.eff_at, QueueTicket.place).where(
        QueueTicket.hall == hall, QueueTicket.day == day, QueueTicket.state == Ticket.WAITING, QueueTicket.service.in_(list(services))
    )
    return [Waiting(i, Klass(k), s, e, p) for i, k, s, e, p in uow.s.execute(query)]


def mean_service_minutes(uow: UnitOfWork, hall: str, service: str) -> float:
    """Mean of the last 20 service times of this line today or before; three minutes until there is one."""
    spent = (QueueTicket.done_at - QueueTicket.serving_at).label("spent")
    done = (QueueTicket.hall == hall) & (QueueTicket.service == service) & (QueueTicket.state == Ticket.DONE)
    recent = select(spent).where(done, QueueTicket.day >= today(uow) - timedelta(days=7), QueueTicket.serving_at.is_not(None))
    last = recent.order_by(QueueTicket.done_at.desc()).limit(20).subquery()
    mean = uow.s.execute(select(func.avg(last.c.spent))).scalar()
    return DEFAULT_SERVICE_MINUTES if mean is None else mean.total_seconds() / 60


def open_windows(uow: UnitOfWork, hall: str, service: str) -> int:
    """Windows that serve this line now."""
    rows = uow.s.scalars(select(QueueWindow).where(QueueWindow.hall == hall, QueueWindow.state.in_((Window.OPEN, Window.BUSY))))
    return sum(service in each.services for each in rows)


def run_of_p(uow: UnitOfWork, hall: str, day: date, service: str) -> int:
    """How many P were called in a row in this line."""
    key = {"hall": hall, "day": day, "prefix": f"line:{service}"}
    return uow.s.scalars(select(QueueCounter.consecutive_p).filter_by(**key)).one_or_none() or 0


def priority_every(uow: UnitOfWork) -> int:
    """K of R3."""
    return int(md.catalog(uow).setting("queue", "k", rules.RUN_OF_P))


def lease(uow: UnitOfWork, hall: str, kiosk: str, day: date, have: Collection[int] = (), more: bool = False) -> list[tuple[int, int]]:
    """A kiosk's number blocks of one day: those it has (by first number), and one more when it has none or asks for ``more``.

    A kiosk that lost its book has none, and gets a block nobody gave numbers from; the lost one is never handed out again.
    """
    lock_line(uow, hall, day, "lease")  # two kiosks asking together get blocks of their own
    rows = list(uow.s.scalars(select(NumberLease).where(NumberLease.hall == hall, NumberLease.day == day).order_by(NumberLease.id)))
    mine = [each for each in rows if each.kiosk == kiosk]
    kept = [each for each in mine if each.first in have]
    for each in kept:
        each.confirmed = True
    if more or not kept:
        offered = next((each for each in mine if not each.confirmed), None)
        kept.append(offered or _new_block(uow, hall, kiosk, day, rows))
    return [(each.first, each.last) for each in kept]


def _new_block(uow: UnitOfWork, hall: str, kiosk: str, day: date, rows: list[NumberLease]) -> NumberLease:
    size = int(md.catalog(uow).setting("queue", "lease_size", LEASE_SIZE))
    first = _free_block({(each.first, each.last) for each in rows}, size)
    row = NumberLease(hall=hall, day=day, kiosk=kiosk, first=first, last=first + size - 1)
    uow.s.add(row)
    uow.s.flush()
    after = {"hall": hall, "day": day.isoformat(), "kiosk": kiosk, "first": first, "last": row.last}
    uow.audit("number_lease", row.id, "lease", after=after)
    return row


def _free_block(taken: set[tuple[int, int]], size: int) -> int:
    for low, high in LEASE_SPACE:
        first = low
        while first + size - 1 <= high:
            clash = [last for start, last in taken if start <= first + size - 1 and first <= last]
            if not clash:
                return first
            first = max(clash) + 1
    raise UserError("conflict", "离线号段已经用完，请信息管理组在排队设置里调整号段大小。")


def is_leased(uow: UnitOfWork, hall: str, day: date, number: int) -> bool:
    """Whether a number belongs to some kiosk's block."""
    found = select(NumberLease.id).where(NumberLease.hall == hall, NumberLease.day == day)
    return uow.s.execute(found.where(NumberLease.first <= number, NumberLease.last >= number)).first() is not None


def local_day(at: datetime) -> date:
    """The hospital's day of an instant."""
    return at.astimezone(ZONE).date()
