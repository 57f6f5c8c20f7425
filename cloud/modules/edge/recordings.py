"""Recordings of an analyzer's sessions, and how each is to be read. Nothing here touches a patient's result."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import configuration, sandbox
from cloud.modules.edge.mapping import State
from cloud.modules.edge.models import Connection, MappingVersion, RawMessage, Recording
from common.errors import UserError
from common.instruments import workbook
from common.instruments.drivers import DRIVERS
from common.instruments.site import site_from_json
from common.say import say

MAX_BYTES = 10 * 1024 * 1024
MAX_RAW = 200
"""Received messages that one recording may be made of."""


def add_recording(uow: UnitOfWork, name: str, body: bytes, analyzer_id: int | None = None, raw_ids: Sequence[int] = ()) -> Recording:
    """Keep a session; the reading in use at its analyzer is chosen for a start, where another does not find more."""
    if not body.strip():
        raise UserError("invalid", "文件是空的，请重新录制后上传。", field="file")
    if len(body) > MAX_BYTES:
        raise UserError("invalid", "录制文件超过 10 MB，请截取其中一段（几支标本即可）再上传。", field="file")
    known_analyzer(uow, analyzer_id)
    body = workbook.plain(body)  # the lines of a spreadsheet are what columns are marked on
    best, encoding = sandbox.candidates(body)[0], None
    if analyzer_id is not None:
        driver, now, site = read_now(uow, analyzer_id)
        used = sandbox.chosen(body, driver, now, site)
        if used.results >= best.results and (driver or now or site):
            best, encoding = used, now
    sha = hashlib.sha256(body).hexdigest()
    row = Recording(
        name=name.strip()[:120] or f"录制 {uow.now:%Y-%m-%d %H:%M}", source="received" if raw_ids else "upload",
        analyzer_id=analyzer_id, body=body, sha256=sha, driver=best.driver, encoding=encoding, site=best.site or None,
        raw_ids=list(raw_ids), by=uow.actor.name, at=uow.now,
    )  # fmt: skip
    uow.s.add(row)
    uow.s.flush()
    uow.audit("edge_recording", row.id, "record", after={"name": row.name, "sha256": sha, "bytes": len(body), "raw": list(raw_ids)[:50]})
    return row


def record_received(uow: UnitOfWork, raw_ids: Sequence[int], name: str, analyzer_id: int | None = None) -> Recording:
    """Make a recording of messages that came already, in their order."""
    if not raw_ids or len(raw_ids) > MAX_RAW:
        raise UserError("invalid", say("请勾选 1–{most} 条报文。", most=MAX_RAW), field="raw")
    whole = select(RawMessage).where(RawMessage.id.in_(raw_ids), RawMessage.kind == "raw", RawMessage.cleared_at.is_(None))
    rows = uow.s.scalars(whole.order_by(RawMessage.id)).all()
    if not rows:
        raise UserError("not_found", "所选报文不存在或已过保存期，请刷新页面后重选。")
    # ASTM and HL7 messages end themselves; lines of a one-way printer may lack their end.
    plain = [workbook.plain(r.body) for r in rows]
    body = b"".join(one if one.endswith((b"\r", b"\n", b"\x03", b"\x04", b"\x1c")) else one + b"\r" for one in plain)
    if analyzer_id is None:
        ids = {uow.s.scalar(select(Connection.analyzer_id).where(Connection.id == r.connection_id)) for r in rows}
        analyzer_id = ids.pop() if len(ids) == 1 else None
    return add_recording(uow, name or f"{rows[0].conn_key} {len(rows)} 条报文", body, analyzer_id, [r.id for r in rows])


def choose_reading(
    uow: UnitOfWork, recording_id: int, driver: str | None, encoding: str | None, site: dict[str, Any] | None, analyzer_id: int | None
) -> Recording:
    """Say how this session is to be read and of which analyzer it is. The site row is checked."""
    row = _recording(uow, recording_id)
    if driver is not None and driver not in DRIVERS:
        raise UserError("invalid", "驱动不存在，请从列表中选择。", field="driver")
    if encoding is not None and encoding not in configuration.ENCODINGS:
        raise UserError("invalid", "字符集不在列表中，请重新选择。", field="encoding")
    if site:
        site_from_json(site)
    known_analyzer(uow, analyzer_id)
    before = {"driver": row.driver, "encoding": row.encoding, "site": row.site, "analyzer": row.analyzer_id}
    row.driver, row.encoding, row.site, row.analyzer_id = driver, encoding or None, site or None, analyzer_id
    uow.s.flush()
    after = {"driver": row.driver, "encoding": row.encoding, "site": row.site, "analyzer": row.analyzer_id}
    if before != after:
        uow.audit("edge_recording", row.id, "choose", before, after)
    return row


def _recording(uow: UnitOfWork, recording_id: int) -> Recording:
    row = uow.s.get(Recording, (uow.tenant_id, recording_id), with_for_update=True)
    if row is None:
        raise UserError("not_found", "录制不存在，请核对后重试。")
    return row


def known_analyzer(uow: UnitOfWork, analyzer_id: int | None) -> None:
    """Raises UserError when the hospital has no such analyzer."""
    if analyzer_id is not None and analyzer_id not in md.catalog(uow).analyzers:
        raise UserError("not_found", "仪器不存在，请从列表中选择。", field="analyzer_id")


def active_version(uow: UnitOfWork, analyzer_id: int) -> MappingVersion | None:
    """The version in use; None before the first one (then the catalog's channels stand alone)."""
    return uow.s.scalars(
        select(MappingVersion).where(MappingVersion.analyzer_id == analyzer_id, MappingVersion.state == State.ACTIVE)
    ).one_or_none()


def read_now(uow: UnitOfWork, analyzer_id: int) -> tuple[str | None, str | None, dict[str, Any] | None]:
    """How an analyzer's bytes are read now: driver, character set, site row; before its first version as the catalog says."""
    active = active_version(uow, analyzer_id)
    if active is None:
        return md.catalog(uow).analyzers[analyzer_id].driver, None, None
    return active.driver, active.encoding or None, active.site or None


def read(recording: Recording) -> sandbox.Candidate:
    """The recording by its chosen reading."""
    return sandbox.chosen(recording.body, recording.driver, recording.encoding, recording.site)


def recordings(uow: UnitOfWork, analyzer_id: int | None = None, limit: int = 100) -> list[Recording]:
    """Recordings, newest first."""
    question = select(Recording)
    if analyzer_id is not None:
        question = question.where(Recording.analyzer_id == analyzer_id)
    return list(uow.s.scalars(question.order_by(Recording.id.desc()).limit(limit)))


def recording_of(uow: UnitOfWork, recording_id: int) -> Recording | None:
    """One recording."""
    return uow.s.get(Recording, (uow.tenant_id, recording_id))
