"""The hospital's campuses (院区): which sections work there, whose wards are there; a role given for one counts only there (M01)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from cloud.db.session import UnitOfWork
from cloud.modules.platform import rules
from cloud.modules.platform.models import Campus, UserRole, Workstation
from cloud.web.faults import Conflict, Invalid, NotFound, Stale
from common.say import say


@dataclass(frozen=True)
class Facts:
    """What the page saves."""

    code: str
    name: str
    address: str
    sections: tuple[str, ...]
    wards: tuple[str, ...]


def known(uow: UnitOfWork) -> Sequence[Campus]:
    """All of them, closed ones last."""
    return uow.s.execute(select(Campus).order_by(Campus.active.desc(), Campus.code)).scalars().all()


def at_work(uow: UnitOfWork) -> Sequence[Campus]:
    """Those that are not closed."""
    return [row for row in known(uow) if row.active]


def people(uow: UnitOfWork) -> dict[int, int]:
    """Campus → people who hold a role there."""
    query = select(UserRole.campus_id, func.count(UserRole.user_id.distinct())).where(UserRole.campus_id.is_not(None))
    return {int(campus): int(n) for campus, n in uow.s.execute(query.group_by(UserRole.campus_id)) if campus is not None}


def add(uow: UnitOfWork, new: Facts, sections: Collection[str]) -> Campus:
    """Put one on record. Raises Invalid in words, Conflict where the code is taken."""
    row = Campus(code=new.code.strip().upper(), name="")
    _check(uow, row, new, sections)
    if any(each.code == row.code for each in known(uow)):
        raise Conflict(say("院区代码 {code} 已经登记。", code=row.code))
    _fill(row, new)
    uow.s.add(row)
    uow.s.flush()
    uow.audit("campus", row.id, "add", after=_facts(row))
    return row


def change(uow: UnitOfWork, campus_id: int, version: int, new: Facts, sections: Collection[str]) -> None:
    """Name, address, sections and wards; the code stays what it was. Stale where somebody saved before."""
    row = _locked(uow, campus_id)
    if row.version != version:
        raise Stale(row.name)
    _check(uow, row, new, sections)
    before = _facts(row)
    _fill(row, new)
    if _facts(row) != before:
        uow.audit("campus", row.id, "change", before, _facts(row))


def close(uow: UnitOfWork, campus_id: int) -> None:
    """Nobody works there any more: refused while somebody's role counts there or a workstation stands there."""
    row = _locked(uow, campus_id)
    if not row.active:
        raise Conflict(say("这个院区已经停用，请刷新。"))
    held = people(uow).get(row.id, 0)
    at = uow.s.execute(select(func.count()).select_from(Workstation).where(Workstation.campus == row.code, Workstation.active)).scalar_one()
    if held or at:
        raise Conflict(say("{name}还有 {people} 人的角色、{stations} 台工作站，请先改到别处。", name=row.name, people=held, stations=at))
    row.active = False
    uow.audit("campus", row.id, "suspended", {"active": True}, {"active": False})


def of_code(uow: UnitOfWork, code: str) -> str:
    """The code of a campus as the workstation page takes it; "" stays "". Invalid for one that is not there."""
    if code and code not in {row.code for row in at_work(uow)}:
        raise Invalid(say("没有代码为 {code} 的院区。", code=code), "campus")
    return code


def _check(uow: UnitOfWork, row: Campus, new: Facts, sections: Collection[str]) -> None:
    taken = {code: each.name for each in at_work(uow) if each.id != row.id for code in each.sections}
    problem = rules.campus_problem(row.code, new.name.strip(), new.sections, sections, taken)
    if problem is not None:
        raise Invalid(problem, "code")


def _fill(row: Campus, new: Facts) -> None:
    row.name, row.address = new.name.strip()[:60], new.address.strip()[:120]
    row.sections, row.wards = sorted(set(new.sections)), sorted({w.strip() for w in new.wards} - {""})


def _facts(row: Campus) -> dict[str, object]:
    return {key: getattr(row, key) for key in ("code", "name", "address", "sections", "wards")}


def _locked(uow: UnitOfWork, campus_id: int) -> Campus:
    row = uow.s.execute(select(Campus).where(Campus.id == campus_id).with_for_update()).scalar_one_or_none()
    if row is None:
        raise NotFound("这个院区")
    return row
