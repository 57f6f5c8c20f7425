"""The verbs of the edge: make agents, map codes, empty the trays. Enrolment and configuration are verbs of their own files."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import batch, commands, interpret, lookup, placing, retake, store
from cloud.modules.edge.configuration import NewConnection, save_connection
from cloud.modules.edge.configuration import document as config_document
from cloud.modules.edge.enrolment import ca_certificate, enrol, enrolment_code, revoke
from cloud.modules.edge.models import Agent, EdgeAlarm, IgnoredCode, Observation, RawMessage
from cloud.modules.edge.rules import OPEN_FATES, REASONS, Fate, RawState
from cloud.modules.platform import service as platform
from common import ids
from common.errors import UserError
from common.say import say, word

__all__ = [
    "NewConnection",
    "Attachment",
    "attach",
    "ca_certificate",
    "close_alarm",
    "config_document",
    "create_agent",
    "discard",
    "enrol",
    "enrolment_code",
    "ignore_code",
    "reinterpret",
    "revoke",
    "save_connection",
]

CHINA = ZoneInfo("Asia/Shanghai")


def create_agent(uow: UnitOfWork, name: str, location: str = "") -> Agent:
    """A new agent, not enrolled yet."""
    if not name.strip():
        raise UserError("invalid", "请填写采集端名称。", field="name")
    agent = Agent(uuid=str(uuid.uuid4()), name=name.strip(), location=location.strip())
    uow.s.add(agent)
    uow.s.flush()
    uow.audit("agent", agent.id, "create", after={"name": agent.name, "uuid": agent.uuid})
    uow.notify("edge_registry", {})
    return agent


# --- trays -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attachment:
    """A person says whose result this is: the tube's barcode and the patient, two identifiers, and why (M06 R6)."""

    raw_id: int
    specimen_text: str
    barcode: str
    patient: str
    reason: str


def attach(uow: UnitOfWork, given: Attachment, zone: tzinfo = CHINA) -> dict[str, int]:
    """Attach what one message said of one specimen to a tube. How many observations came to each fate."""
    if not given.reason.strip():
        raise UserError("invalid", "请写明附加原因。", field="reason")
    rows = _open_rows(uow, given.raw_id, given.specimen_text)
    cur = store.cursor(uow)
    tube = lookup.tubes_by_barcode(cur, uow.tenant_id, [ids.normalise_scan(given.barcode)]).get(ids.normalise_scan(given.barcode))
    if tube is None:
        raise UserError("invalid", "没有这个条码的标本，请重新扫描。", field="barcode")
    said = given.patient.strip()
    numbers = {*tube.person.numbers, *lookup.identifiers(cur, uow, [tube.patient_id]).get(tube.patient_id, ())}
    if said != tube.person.name and said not in numbers:
        raise UserError("invalid", "第二标识与该标本的患者不一致：请输入患者姓名或患者号/就诊号，与标本核对。", field="patient")
    done = retake.place_again(uow, cur, [r.id for r in rows], zone, tube)
    platform.log_read(uow, tube.patient_id, "attach", "/edge/orphans")
    fates: dict[str, int] = {}
    for fate, _ in done.values():
        fates[fate] = fates.get(fate, 0) + 1
    if fates.get(Fate.ORPHAN) == len(rows):
        reasons = sorted({why for _, why in done.values()})
        raise UserError("conflict", say("附加未完成：{reasons}。", reasons=_why(reasons)), reasons=reasons)
    for row in rows:
        fate = done.get(row.id, ("", ""))[0]
        row.attached = fate == Fate.UNMAPPED
        if fate == Fate.MATCHED:
            row.closed_at, row.closed_by, row.close_reason = uow.now, uow.actor.name, given.reason.strip()
    uow.audit(
        "specimen",
        tube.id,
        "attach_results",
        before={"raw_message": given.raw_id, "specimen_text": given.specimen_text, "state": sorted({r.state for r in rows})},
        after={"barcode": tube.barcode, "observations": [r.id for r in rows], "fates": fates},
        reason=given.reason.strip(),
    )
    return fates


def _why(reasons: Sequence[str]) -> list[str]:
    return [word(REASONS.get(r, r)) for r in reasons]


def discard(uow: UnitOfWork, raw_id: int, specimen_text: str, reason: str) -> int:
    """Close what one message said of one specimen; it stays stored, with the reason."""
    if not reason.strip():
        raise UserError("invalid", "请写明弃用原因。", field="reason")
    rows = _open_rows(uow, raw_id, specimen_text)
    for row in rows:
        row.state, row.closed_at, row.closed_by, row.close_reason = Fate.DISCARDED, uow.now, uow.actor.name, reason.strip()
    before = {"specimen_text": specimen_text, "values": {r.code or "": r.value for r in rows}}
    uow.audit("raw_message", raw_id, "discard_results", before, {"observations": [r.id for r in rows]}, reason.strip())
    uow.notify("edge", {"what": "tray"})
    return len(rows)


def _open_rows(uow: UnitOfWork, raw_id: int, specimen_text: str) -> list[Observation]:
    same = Observation.specimen_text == specimen_text if specimen_text else Observation.specimen_text.is_(None)
    question = select(Observation).where(Observation.raw_message_id == raw_id, same, Observation.state.in_([str(f) for f in OPEN_FATES]))
    rows = list(uow.s.scalars(question.order_by(Observation.idx).with_for_update()))
    if not rows:
        raise UserError("not_found", "这条无主结果不存在或已由他人处理，请刷新页面。")
    return rows


# --- codes -----------------------------------------------------------------------------------------------------------


def ignore_code(uow: UnitOfWork, analyzer_id: int, code: str, reason: str, zone: tzinfo = CHINA) -> int:
    """Say that a code is no result."""
    if not reason.strip() or not code.strip():
        raise UserError("invalid", "请写明为什么该代码无需报告。", field="reason")
    if analyzer_id not in md.catalog(uow).analyzers:
        raise UserError("not_found", "仪器不存在，请核对后重试。")
    known = uow.s.scalars(select(IgnoredCode).where(IgnoredCode.analyzer_id == analyzer_id, IgnoredCode.code == code.strip())).one_or_none()
    if known is None:
        row = IgnoredCode(analyzer_id=analyzer_id, code=code.strip(), reason=reason.strip(), by=uow.actor.name, at=uow.now)
        uow.s.add(row)
        uow.s.flush()
        uow.audit("ignored_code", row.id, "ignore", after={"analyzer": analyzer_id, "code": code.strip()}, reason=reason.strip())
    return retake.take_up_code(uow, analyzer_id, code.strip(), zone)


# --- raw messages ----------------------------------------------------------------------------------------------------


def reinterpret(uow: UnitOfWork, raw_id: int, reason: str, zone: tzinfo = CHINA) -> str:
    """Read a stored message again with today's drivers and settings; only what was not known before is added. The new state."""
    raw = uow.s.get(RawMessage, (uow.tenant_id, raw_id), with_for_update=True)
    if raw is None or raw.kind != "raw":
        raise UserError("not_found", "报文不存在，请核对后重试。")
    if raw.cleared_at is not None:
        raise UserError("conflict", "报文原文已过保存期并清除，不能重新解析；已读出的结果仍在。")
    cur = store.cursor(uow)
    link = lookup.links(cur, uow.tenant_id, [raw.agent_id]).get((raw.agent_id, raw.conn_key))
    row = store.RawRow(
        raw.agent_id, raw.stream_uuid, raw.seq, raw.kind, raw.sha256, raw.boot_uuid, raw.mono_ns, raw.connection_id, raw.conn_key,
        raw.agent_at, raw.received_at, raw.body, raw.meta, raw.state, list(raw.problems), raw.id,
    )  # fmt: skip
    before = {"state": raw.state, "problems": raw.problems}
    said, seen = batch.read(row, link, md.catalog(uow))
    if seen and raw.state != RawState.INTERPRETED:
        batch.tell_tubes(uow, row, link, seen)
    placed = placing.place(uow, cur, [batch.to_heard(row, link, _new(uow, raw_id, said), False)], zone)
    if said and link is not None:
        store.spoke(cur, uow.tenant_id, [link.id], raw.received_at)
    raw.state, raw.problems, raw.connection_id = row.state, row.problems, None if link is None else link.id
    after = {"state": row.state, "problems": row.problems, "observations": placed.fates}
    uow.audit("raw_message", raw_id, "reinterpret", before, after, reason or None)
    uow.notify("edge", {"what": "tray"})
    return str(raw.state)


def _new(uow: UnitOfWork, raw_id: int, said: list[interpret.Said]) -> list[interpret.Said]:
    """What this message was not known to say: a result already stored keeps what a person decided about it."""
    rows = uow.s.execute(select(Observation.specimen_text, Observation.code, Observation.value).where(Observation.raw_message_id == raw_id))
    known = {tuple(row) for row in rows}
    return [s for s in said if (s.specimen, s.code, s.value) not in known]


def on_deferred(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``edge.deferred``: a message too large for the stream is read here, in the worker."""
    raw = uow.s.get(RawMessage, (uow.tenant_id, payload["raw_id"]))
    if raw is not None and raw.state == RawState.DEFERRED:
        reinterpret(uow, raw.id, "")


# --- alarms ----------------------------------------------------------------------------------------------------------


def close_alarm(uow: UnitOfWork, alarm_id: int, reason: str) -> None:
    """A person looked at it; the next one of its kind opens a new alarm."""
    alarm = uow.s.get(EdgeAlarm, (uow.tenant_id, alarm_id), with_for_update=True)
    if alarm is None or alarm.closed_at is not None:
        raise UserError("not_found", "报警不存在或已关闭。")
    if not reason.strip():
        raise UserError("invalid", "请写明处理情况。", field="reason")
    alarm.closed_at, alarm.closed_by, alarm.close_reason = uow.now, uow.actor.name, reason.strip()
    uow.audit("edge_alarm", alarm_id, "close", {"count": alarm.count}, {}, reason.strip())
    uow.notify("edge", {"what": "alarm", "agent": alarm.agent_id})


def expire(uow: UnitOfWork) -> None:
    """Daily: delivered downlinks are forgotten after a week, lines of live tails after an hour."""
    commands.forget(uow)
    uow.s.execute(
        text("DELETE FROM downlink WHERE tenant_id = :t AND sent_at < CAST(:now AS timestamptz) - interval '7 days'"),
        {"t": uow.tenant_id, "now": uow.now},
    )
