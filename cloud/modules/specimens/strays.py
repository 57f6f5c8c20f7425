"""无主标本: tubes whose code nobody knows, put aside on purpose and closed by whoever finds out whose they are (M05)."""

from __future__ import annotations

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.platform import queries as platform
from cloud.modules.specimens.models import StrayTube
from common import ids
from common.errors import UserError
from common.say import say

SHOWN = 50


def opened(uow: UnitOfWork) -> list[StrayTube]:
    """Open ones, the newest of them: those put aside at another campus's workstations are looked for there."""
    query = select(StrayTube).where(StrayTube.closed_at.is_(None), StrayTube.place.not_in(platform.workstations_elsewhere(uow)))
    return list(uow.s.scalars(query.order_by(StrayTube.id.desc()).limit(SHOWN)))


def register(uow: UnitOfWork, code: str, note: str = "", place: str = "") -> StrayTube:
    """登记为无主标本: put an unknown tube aside; the same code is registered once."""
    code = ids.normalise_scan(code)
    if not code:
        raise UserError("invalid", "没有条码可登记。")
    open_ = (StrayTube.code == code) & StrayTube.closed_at.is_(None)
    row = uow.s.scalars(select(StrayTube).where(open_)).first()
    if row is None:
        row = StrayTube(code=code, note=note.strip(), at=uow.now, actor=uow.actor.name, place=place or uow.actor.workstation)
        uow.s.add(row)
        uow.s.flush()
        uow.audit("stray_tube", row.id, "register", after={"code": code, "note": note.strip()})
    return row


def close(uow: UnitOfWork, stray_id: int, outcome: str) -> None:
    """Somebody found out whose tube it is, or what became of it; it leaves the list."""
    row = uow.s.execute(select(StrayTube).where(StrayTube.id == stray_id).with_for_update()).scalar_one_or_none()
    if row is None or row.place in platform.workstations_elsewhere(uow):
        raise UserError("not_found", say("这管无主标本不在清单里，请刷新页面。"))
    if row.closed_at is not None:
        raise UserError("conflict", say("这管无主标本已由 {who} 结案。", who=row.closed_by))
    if not outcome.strip():
        raise UserError("invalid", say("请写明这管标本是谁的、怎样处理了。"), field="outcome")
    row.closed_at, row.closed_by, row.outcome = uow.now, uow.actor.name, outcome.strip()[:200]
    uow.audit("stray_tube", row.id, "close", after={"outcome": row.outcome})
