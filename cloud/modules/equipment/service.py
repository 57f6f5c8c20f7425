"""Verbs of equipment: record a calibration, report a fault, end it after verification."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.equipment.models import Calibration, EquipmentFault
from common.errors import UserError
from common.say import say


def calibrate(
    uow: UnitOfWork, analyzer_id: int, item_id: int | None, certificate: str, done_at: datetime, valid_until: datetime, passed: bool
) -> Calibration:
    """Record a calibration. A certificate dated after now, or a number used twice on the analyzer, is refused."""
    catalog = md.catalog(uow)
    if analyzer_id not in catalog.analyzers or (item_id is not None and item_id not in catalog.items):
        raise UserError("not_found", "该仪器或项目不存在，请刷新后重试。")
    if not certificate.strip():
        raise UserError("invalid", "请填写校准记录号。", field="certificate")
    if done_at > uow.now:
        raise UserError("invalid", "校准时间晚于现在，请核对。", field="done_at")
    if valid_until <= done_at:
        raise UserError("invalid", "有效期须晚于校准时间。", field="valid_until")
    same = select(Calibration.id).where(Calibration.analyzer_id == analyzer_id, Calibration.certificate == certificate.strip())
    if uow.s.execute(same).first() is not None:
        raise UserError("conflict", say("校准记录号 {certificate} 在该仪器上已用过，请核对。", certificate=certificate.strip()))
    row = Calibration(
        analyzer_id=analyzer_id,
        item_id=item_id,
        certificate=certificate.strip(),
        done_at=done_at,
        valid_until=valid_until,
        passed=passed,
        by_id=uow.actor.user_id,
    )
    uow.s.add(row)
    uow.s.flush()
    uow.audit(
        "calibration",
        row.id,
        "record",
        after={"analyzer": analyzer_id, "item": item_id, "passed": passed, "until": valid_until.isoformat()},
    )
    return row


def report_fault(uow: UnitOfWork, analyzer_id: int, symptom: str) -> EquipmentFault:
    """An analyzer is out of order: from now on nothing of it is released without a person."""
    if analyzer_id not in md.catalog(uow).analyzers:
        raise UserError("not_found", "该仪器不存在，请刷新后重试。")
    if not symptom.strip():
        raise UserError("invalid", "请写明故障现象。", field="symptom")
    row = EquipmentFault(analyzer_id=analyzer_id, started_at=uow.now, symptom=symptom.strip()[:300], reported_by=uow.actor.user_id)
    uow.s.add(row)
    uow.s.flush()
    uow.audit("equipment_fault", row.id, "report", after={"analyzer": analyzer_id}, reason=symptom.strip())
    return row


def end_fault(uow: UnitOfWork, fault_id: int, repair: str) -> None:
    """The analyzer was repaired and verified."""
    row = uow.s.execute(select(EquipmentFault).where(EquipmentFault.id == fault_id).with_for_update()).scalar_one_or_none()
    if row is None or row.ended_at is not None:
        raise UserError("conflict", "该故障已结束，请刷新。")
    if not repair.strip():
        raise UserError("invalid", "请写明维修和验证情况。", field="repair")
    row.ended_at, row.repair, row.ended_by = uow.now, repair.strip()[:300], uow.actor.user_id
    uow.audit("equipment_fault", fault_id, "end", reason=repair.strip())
