"""Verbs of reagents: register a lot, move it, open a pack on an analyzer, take it off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.reagents.models import OpenPack, ReagentLot, ReagentLotItem
from cloud.modules.reagents.rules import WORDS, LotState, may_move, open_problem, open_until
from common.errors import UserError
from common.say import say, word


def add_lot(uow: UnitOfWork, product: str, lot_no: str, expiry: date, open_days: int, items: Sequence[int]) -> ReagentLot:
    """Register a lot for its items; it waits for acceptance. An expired one is refused."""
    product, lot_no = product.strip(), lot_no.strip()
    if not product or not lot_no:
        raise UserError("invalid", "请填写试剂名称和批号。", field="lot_no")
    if expiry < uow.now.astimezone(md.HOSPITAL_ZONE).date():
        raise UserError("invalid", say("批号 {lot} 已于 {expiry} 过期，不能入库。", lot=lot_no, expiry=expiry), field="expiry")
    if open_days < 1:
        raise UserError("invalid", "开瓶稳定期至少 1 天。", field="open_days")
    known = md.catalog(uow).items
    if not items or any(i not in known for i in items):
        raise UserError("invalid", "请选择该试剂用于哪些检验项目。", field="items")
    same = uow.s.execute(select(ReagentLot.expiry).where(ReagentLot.product == product, ReagentLot.lot_no == lot_no)).scalar_one_or_none()
    if same is not None:
        differs = say("（效期 {same}，与本次填写的 {expiry} 不同，请核对包装）", same=same, expiry=expiry) if same != expiry else ""
        raise UserError("conflict", say("{product} 批号 {lot} 已登记{differs}。", product=product, lot=lot_no, differs=differs))
    row = ReagentLot(product=product, lot_no=lot_no, expiry=expiry, open_days=open_days)
    uow.s.add(row)
    uow.s.flush()
    uow.s.add_all(ReagentLotItem(lot_id=row.id, item_id=i) for i in sorted(set(items)))
    uow.audit(
        "reagent_lot", row.id, "create", after={"product": product, "lot": lot_no, "expiry": str(expiry), "items": sorted(set(items))}
    )
    return row


def move_lot(uow: UnitOfWork, lot_id: int, to: LotState, evidence: str) -> None:
    """Accept, verify (批间验证), recall or scrap a lot, with what shows it."""
    row = uow.s.execute(select(ReagentLot).where(ReagentLot.id == lot_id).with_for_update()).scalar_one_or_none()
    if row is None:
        raise UserError("not_found", "该批号不存在，请刷新后重试。")
    state = LotState(row.state)
    if not may_move(state, to):
        raise UserError(
            "conflict", say("批号 {lot} 目前为“{state}”，不能改为“{to}”。", lot=row.lot_no, state=word(WORDS[state]), to=word(WORDS[to]))
        )
    if not evidence.strip():
        raise UserError("invalid", "请写明依据，例如批间验证记录号或原因。", field="evidence")
    row.state, row.evidence = to.value, evidence.strip()[:300]
    if to is LotState.AVAILABLE:
        row.accepted_by, row.accepted_at = uow.actor.user_id, uow.now
    uow.audit("reagent_lot", lot_id, to.value, before={"state": state.value}, after={"state": to.value}, reason=evidence.strip())


def open_pack(uow: UnitOfWork, lot_id: int, analyzer_id: int, opened_at: datetime | None = None) -> OpenPack:
    """Load a pack: until it is taken off, results of the lot's items on this analyzer are bound to it."""
    lot = uow.s.execute(select(ReagentLot).where(ReagentLot.id == lot_id)).scalar_one_or_none()
    if lot is None or analyzer_id not in md.catalog(uow).analyzers:
        raise UserError("not_found", "该批号或仪器不存在，请刷新后重试。")
    problem = open_problem(LotState(lot.state), lot.expiry, uow.now.astimezone(md.HOSPITAL_ZONE).date())
    if problem is not None:
        raise UserError("conflict", f"{lot.product} {lot.lot_no}：{problem}")
    opened_at = opened_at or uow.now
    row = OpenPack(
        lot_id=lot_id,
        analyzer_id=analyzer_id,
        opened_at=opened_at,
        opened_by=uow.actor.user_id,
        expires_at=open_until(lot.expiry, opened_at, lot.open_days, md.HOSPITAL_ZONE),
    )
    uow.s.add(row)
    uow.s.flush()
    uow.audit("open_pack", row.id, "open", after={"lot": lot.lot_no, "analyzer": analyzer_id, "expires": row.expires_at.isoformat()})
    return row


def remove_pack(uow: UnitOfWork, pack_id: int) -> None:
    """Take a pack off."""
    row = uow.s.execute(select(OpenPack).where(OpenPack.id == pack_id).with_for_update()).scalar_one_or_none()
    if row is None or row.removed_at is not None:
        raise UserError("conflict", "该试剂已不在机上，请刷新。")
    row.removed_at = uow.now
    uow.audit("open_pack", pack_id, "remove")
