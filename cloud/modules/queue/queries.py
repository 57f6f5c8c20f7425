"""Read-only looks at the queue: what a hall's screen, a window and the board show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.queue import rules, store
from cloud.modules.queue.models import QueueWindow, TicketJob
from cloud.modules.queue.rules import Klass, Ticket, Window

NEXT = 5
LONG_WAIT = timedelta(minutes=30)
CROWDED = 15


@dataclass(frozen=True, slots=True)
class Row:
    """A ticket of today with its patient's name (None while nobody is known)."""

    id: int
    no: str
    klass: str
    service: str
    state: str
    name: str | None
    patient_no: str | None
    checkin_at: datetime
    eff_at: datetime
    window_id: int | None
    window_no: int | None
    called_at: datetime | None
    calls: int
    pass_count: int
    offline: bool
    patient_id: int | None

    @property
    def masked(self) -> str:
        """The name for a public screen."""
        return rules.mask(self.name or "")


_ROWS = """
SELECT q.id, q.no, q.klass, q.service, q.state, p.name, p.patient_no, q.checkin_at, q.eff_at, q.window_id, w.no, q.called_at, q.calls,
       q.pass_count, q.offline, q.patient_id
FROM queue_ticket q LEFT JOIN patient p ON p.tenant_id = q.tenant_id AND p.id = q.patient_id
LEFT JOIN queue_window w ON w.tenant_id = q.tenant_id AND w.id = q.window_id
WHERE q.tenant_id = :t AND q.hall = :hall AND q.day = :day
"""
_OPEN = text(_ROWS + " AND q.state NOT IN ('done', 'expired', 'cancelled', 'booked') ORDER BY q.id LIMIT 500")
_ONE = text(_ROWS.replace("q.hall = :hall AND q.day = :day", "q.id = :id"))


def open_tickets(uow: UnitOfWork, hall: str) -> list[Row]:
    """Today's tickets of a hall that are not finished."""
    return [Row(*row) for row in uow.s.execute(_OPEN, {"t": uow.tenant_id, "hall": hall, "day": store.today(uow)})]


def ticket(uow: UnitOfWork, ticket_id: int) -> Row | None:
    """One ticket."""
    row = uow.s.execute(_ONE, {"t": uow.tenant_id, "id": ticket_id}).first()
    return None if row is None else Row(*row)


def windows(uow: UnitOfWork, hall: str | None = None) -> list[QueueWindow]:
    """Windows, by hall and number."""
    query = select(QueueWindow).order_by(QueueWindow.hall, QueueWindow.no)
    return list(uow.s.scalars(query if hall is None else query.where(QueueWindow.hall == hall)))


def window(uow: UnitOfWork, window_id: int) -> QueueWindow | None:
    """One window."""
    return uow.s.get(QueueWindow, (uow.tenant_id, window_id))


@dataclass(frozen=True, slots=True)
class Hall:
    """A hall at this moment: who is called where, who comes next, who was passed."""

    hall: str
    windows: list[QueueWindow]
    called: list[Row]
    waiting: list[Row]
    passed: list[Row]
    held: list[Row]

    @property
    def next(self) -> list[Row]:
        """The next few."""
        return self.waiting[:NEXT]


def hall(uow: UnitOfWork, name: str, services: tuple[str, ...] | None = None) -> Hall:
    """A hall as its screens show it; ``services`` narrows the line to what one window serves."""
    rows = {each.id: each for each in open_tickets(uow, name)}
    day, k = store.today(uow), store.priority_every(uow)
    order: list[Row] = []
    for service in services or tuple(rules.SERVICE_WORDS):
        line = rules.order_of(store.waiting(uow, name, day, [service]), store.run_of_p(uow, name, day, service), k)
        order += [rows[each.id] for each in line if each.id in rows]
    called = [each for each in rows.values() if each.state in (Ticket.CALLED, Ticket.SERVING)]
    called.sort(key=lambda each: each.called_at or each.checkin_at, reverse=True)
    passed = [each for each in rows.values() if each.state == Ticket.PASSED]
    held = [each for each in rows.values() if each.state == Ticket.HELD]
    return Hall(name, windows(uow, name), called, order, passed, held)


def halls(uow: UnitOfWork) -> list[str]:
    """Names of the halls that have a window."""
    return sorted(set(uow.s.scalars(select(QueueWindow.hall))))


@dataclass(frozen=True, slots=True)
class Board:
    """One line of a hall in figures; ``alerts`` are sentences."""

    hall: str
    service: str
    waiting: int
    by_class: dict[Klass, int]
    open_windows: int
    longest: timedelta
    mean_minutes: float
    eta: tuple[int, int] | None
    alerts: tuple[str, ...]


def board(uow: UnitOfWork) -> list[Board]:
    """All halls and lines with somebody waiting or a window open."""
    out = []
    for name in halls(uow):
        here = hall(uow, name)
        for service in rules.SERVICE_WORDS:
            line = [each for each in here.waiting if each.service == service]
            open_ = store.open_windows(uow, name, service)
            if line or open_:
                out.append(_board(uow, name, service, line, open_, here.windows))
    return out


def _board(uow: UnitOfWork, name: str, service: str, line: list[Row], open_: int, all_windows: list[QueueWindow]) -> Board:
    mean = store.mean_service_minutes(uow, name, service)
    minutes = rules.eta_minutes(len(line), open_, mean)
    longest = max((uow.now - each.checkin_at for each in line), default=timedelta())
    idle = [each.no for each in all_windows if each.state == Window.OPEN and service in each.services]
    alerts = []
    if longest > LONG_WAIT:
        alerts.append(f"有人已等 {int(longest / timedelta(minutes=1))} 分钟")
    if line and open_ == 0:
        alerts.append("有人等候，没有开放的窗口")
    elif line and len(line) / open_ > CROWDED:
        alerts.append(f"每个窗口前有 {len(line) // open_} 人，建议加开窗口")
    if line and idle:
        alerts.append(f"{'、'.join(map(str, idle))} 号窗口空闲而有人等候")
    by_class = {klass: sum(each.klass == klass for each in line) for klass in Klass}
    eta = None if minutes is None else rules.eta_range(minutes)
    return Board(name, service, len(line), by_class, open_, longest, mean, eta, tuple(alerts))


def ticket_job(uow: UnitOfWork, job_id: int) -> TicketJob | None:
    """A ticket to print, with what the worker made of it."""
    return uow.s.get(TicketJob, (uow.tenant_id, job_id))


@dataclass(frozen=True, slots=True)
class KioskAgent:
    """An agent as the kiosk's door sees it."""

    id: int
    state: str
    certificate: str | None
    kiosk: dict[str, object] | None


_AGENT = text("SELECT id, state, certificate, kiosk FROM agent WHERE tenant_id = :t AND uuid = :u")


def kiosk_agent(uow: UnitOfWork, uuid: str) -> KioskAgent | None:
    """The registered agent of this name in this hospital (edge publishes these columns)."""
    row = uow.s.execute(_AGENT, {"t": uow.tenant_id, "u": uuid}).first()
    return None if row is None else KioskAgent(*row)
