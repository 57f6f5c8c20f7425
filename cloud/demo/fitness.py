"""What makes a laboratory fit to release, for the demo: authorisations, duty, calibrations and reagent lots on board. All invented."""

from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import models as catalog
from cloud.modules.equipment.models import Calibration
from cloud.modules.personnel.models import Authorization
from cloud.modules.platform.models import Role, User, UserRole
from cloud.modules.reagents.models import OpenPack, ReagentLot, ReagentLotItem
from cloud.modules.scheduling.models import Duty, Shift

CHINA = ZoneInfo("Asia/Shanghai")
TESTERS = ("tester", "verifier", "senior", "leader")
VERIFIERS = ("verifier", "senior", "leader")
DAY, NIGHT = ("D", "白班", time(7, 30), time(17, 30)), ("N", "夜班", time(17, 30), time(7, 30))
BACK, AHEAD = timedelta(days=60), timedelta(days=365)


def seed(uow: UnitOfWork) -> None:
    """Once a hospital: who may verify, who is on duty, what is calibrated and on board."""
    if uow.s.execute(select(Authorization.id)).first() is not None:
        return
    today = uow.now.astimezone(CHINA).date()
    people = _people(uow)
    _authorise(uow, people, today)
    _duty(uow, people, today)
    _analyzers(uow, today)
    uow.audit("tenant", uow.tenant_id, "seed_fitness")


def _people(uow: UnitOfWork) -> dict[str, list[int]]:
    """Role → its people, by employee number."""
    query = (
        select(Role.code, User.id)
        .join(UserRole, (UserRole.tenant_id == Role.tenant_id) & (UserRole.role_id == Role.id))
        .join(User, (User.tenant_id == UserRole.tenant_id) & (User.id == UserRole.user_id))
        .order_by(User.employee_no)
    )
    out: dict[str, list[int]] = {}
    for code, user in uow.s.execute(query):
        out.setdefault(code, []).append(user)
    return out


def _authorise(uow: UnitOfWork, people: dict[str, list[int]], today: date) -> None:
    until = today + AHEAD
    for function, roles in (("test", TESTERS), ("verify", VERIFIERS)):
        users = {user for role in roles for user in people.get(role, ())}
        uow.s.add_all(
            Authorization(
                user_id=user,
                function=function,
                first=today - BACK,
                until=until,
                competency_until=until,
                licence_until=until,
                granted_at=uow.now,
            )
            for user in sorted(users)
        )


def _duty(uow: UnitOfWork, people: dict[str, list[int]], today: date) -> None:
    """A tester and a verifier by day and by night in every section: two of each where there are two, else the same faces."""
    shifts = [Shift(code=code, name=name, start=start, end=end) for code, name, start, end in (DAY, NIGHT)]
    uow.s.add_all(shifts)
    uow.s.flush()
    sections = uow.s.execute(select(catalog.Section.id).order_by(catalog.Section.id)).scalars().all()
    for role in ("tester", "verifier"):
        hands = people.get(role, [])
        for n, shift in enumerate(shifts):
            uow.s.add_all(
                Duty(
                    user_id=hands[n % len(hands)],
                    section_id=section,
                    shift_id=shift.id,
                    first=today - BACK,
                    last=today + AHEAD,
                    phone="8001",
                )
                for section in sections
                if hands
            )


def _analyzers(uow: UnitOfWork, today: date) -> None:
    done, until = uow.now - BACK, uow.now + AHEAD
    channels: dict[int, set[int]] = {}
    for analyzer, item in uow.s.execute(select(catalog.AnalyzerItemMap.analyzer_id, catalog.AnalyzerItemMap.item_id)):
        channels.setdefault(analyzer, set()).add(item)
    for analyzer, code in uow.s.execute(select(catalog.Analyzer.id, catalog.Analyzer.code).order_by(catalog.Analyzer.id)).all():
        if analyzer not in channels:
            continue
        uow.s.add(Calibration(analyzer_id=analyzer, certificate=f"CAL-{code}-1", done_at=done, valid_until=until, passed=True))
        lot = ReagentLot(
            product=f"{code} 试剂（虚构）",
            lot_no=f"R{analyzer:04d}",
            expiry=today + AHEAD,
            open_days=500,
            state="available",
            evidence="演示数据，虚构的批间验证",
            accepted_at=done,
        )
        uow.s.add(lot)
        uow.s.flush()
        uow.s.add_all(ReagentLotItem(lot_id=lot.id, item_id=item) for item in sorted(channels[analyzer]))
        uow.s.add(OpenPack(lot_id=lot.id, analyzer_id=analyzer, opened_at=done, expires_at=until))
