"""A new analyzer taken on: recordings kept, a reading chosen, codes mapped, compared with the print-out, approved by two, put to use.

Nothing here touches a patient's result before ``activate``; there the catalog's channels become the version's rows, the agents get a signed
configuration that names the version, and what waited under these codes is placed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from sqlalchemy import func, select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.catalog import service as catalog
from cloud.modules.edge import configuration, mapping, retake, sandbox
from cloud.modules.edge.interpret import Said
from cloud.modules.edge.mapping import Row, State
from cloud.modules.edge.models import Agent, Connection, MappingApproval, MappingVersion, RawMessage, Recording
from cloud.web.faults import Stale
from common.errors import UserError
from common.instruments import workbook
from common.instruments.drivers import DRIVERS
from common.instruments.site import site_from_json
from common.values import parse, reported, scaled

MAX_BYTES = 10 * 1024 * 1024
MAX_RAW = 200
"""Received messages that one recording may be made of."""

# --- recordings ------------------------------------------------------------------------------------------------------


def add_recording(uow: UnitOfWork, name: str, body: bytes, analyzer_id: int | None = None, raw_ids: Sequence[int] = ()) -> Recording:
    """Keep a session; the best reading is chosen for a start."""
    if not body.strip():
        raise UserError("invalid", "文件是空的，请重新录制后上传。", field="file")
    if len(body) > MAX_BYTES:
        raise UserError("invalid", "录制文件超过 10 MB，请截取其中一段（几支标本即可）再上传。", field="file")
    _known_analyzer(uow, analyzer_id)
    body = workbook.plain(body)  # the lines of a spreadsheet are what columns are marked on
    best = sandbox.candidates(body)[0]
    sha = hashlib.sha256(body).hexdigest()
    row = Recording(
        name=name.strip()[:120] or f"录制 {uow.now:%Y-%m-%d %H:%M}", source="received" if raw_ids else "upload",
        analyzer_id=analyzer_id, body=body, sha256=sha, driver=best.driver, encoding=None, site=best.site or None,
        raw_ids=list(raw_ids), by=uow.actor.name, at=uow.now,
    )  # fmt: skip
    uow.s.add(row)
    uow.s.flush()
    uow.audit("edge_recording", row.id, "record", after={"name": row.name, "sha256": sha, "bytes": len(body), "raw": list(raw_ids)[:50]})
    return row


def record_received(uow: UnitOfWork, raw_ids: Sequence[int], name: str, analyzer_id: int | None = None) -> Recording:
    """Make a recording of messages that came already, in their order."""
    if not raw_ids or len(raw_ids) > MAX_RAW:
        raise UserError("invalid", f"请勾选 1–{MAX_RAW} 条报文。", field="raw")
    rows = uow.s.scalars(select(RawMessage).where(RawMessage.id.in_(raw_ids), RawMessage.kind == "raw").order_by(RawMessage.id)).all()
    if not rows:
        raise UserError("not_found", "所选报文不存在，请刷新页面后重选。")
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
    _known_analyzer(uow, analyzer_id)
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


def _known_analyzer(uow: UnitOfWork, analyzer_id: int | None) -> None:
    if analyzer_id is not None and analyzer_id not in md.catalog(uow).analyzers:
        raise UserError("not_found", "仪器不存在，请从列表中选择。", field="analyzer_id")


# --- versions --------------------------------------------------------------------------------------------------------


def active_rows(known: md.Catalog, analyzer_id: int) -> list[Row]:
    """What the catalog says now about an analyzer's codes."""
    rows = [c for (a, _), c in known.channels.items() if a == analyzer_id]
    return [Row(c.channel_code, c.item_id, c.factor, c.offset) for c in sorted(rows, key=lambda c: c.channel_code)]


def draft(uow: UnitOfWork, analyzer_id: int, author_id: int, recording: Recording | None = None) -> MappingVersion:
    """The analyzer's open version, or a new one that starts from what is in use; codes of the recording are added without an item."""
    _known_analyzer(uow, analyzer_id)
    row = uow.s.scalars(
        select(MappingVersion).where(MappingVersion.analyzer_id == analyzer_id, MappingVersion.state.in_(mapping.OPEN)).with_for_update()
    ).first()
    if row is not None and recording is None:
        return row
    if row is not None and row.state != State.DRAFT:
        raise UserError("conflict", f"第 {row.number} 版对照正在审批，请先退回修改或等它启用。")
    if row is None:
        row = _new_version(uow, analyzer_id, author_id)
    if recording is not None:
        row.driver, row.encoding, row.site = recording.driver, recording.encoding, recording.site
        rows = [mapping.row_of(r) for r in row.rows]
        have = {r.code: r for r in rows}
        for code in sandbox.codes(read(recording).said):
            if code.code not in have:
                rows.append(Row(code.code, None, unit=code.unit))
            elif code.unit and not have[code.code].unit:
                rows[rows.index(have[code.code])] = replace(have[code.code], unit=code.unit)
        row.rows = [r.to_json() for r in rows]
        uow.s.flush()
    return row


def _new_version(uow: UnitOfWork, analyzer_id: int, author_id: int) -> MappingVersion:
    number = 1 + (uow.s.scalar(select(func.max(MappingVersion.number)).where(MappingVersion.analyzer_id == analyzer_id)) or 0)
    active = active_version(uow, analyzer_id)
    known = md.catalog(uow)
    row = MappingVersion(
        analyzer_id=analyzer_id, number=number, author=uow.actor.name, author_id=author_id, created_at=uow.now,
        rows=[r.to_json() for r in active_rows(known, analyzer_id)],
        driver=active.driver if active else known.analyzers[analyzer_id].driver,
        encoding=active.encoding if active else None, site=active.site if active else None,
    )  # fmt: skip
    uow.s.add(row)
    uow.s.flush()
    uow.audit("edge_mapping", row.id, "draft", after={"analyzer": analyzer_id, "number": number, "codes": len(row.rows)})
    return row


def active_version(uow: UnitOfWork, analyzer_id: int) -> MappingVersion | None:
    """The version in use; None before the first one (then the catalog's channels stand alone)."""
    return uow.s.scalars(
        select(MappingVersion).where(MappingVersion.analyzer_id == analyzer_id, MappingVersion.state == State.ACTIVE)
    ).one_or_none()


def read(recording: Recording) -> sandbox.Candidate:
    """The recording by its chosen reading."""
    return sandbox.chosen(recording.body, recording.driver, recording.encoding, recording.site)


def save_rows(uow: UnitOfWork, mapping_id: int, version: int, rows: Sequence[Row], reason: str) -> MappingVersion:
    """Change a draft. ``version``: what the page showed; a stale one is refused with the other person's change (C7)."""
    row = take(uow, mapping_id, State.DRAFT)
    if row.version != version:
        raise Stale
    wrong = mapping.row_problems(rows)
    if wrong:
        raise UserError("invalid", "；".join(wrong) + "。")
    items = md.catalog(uow).items
    unknown = [r.code for r in rows if r.item_id is not None and (r.item_id not in items or not items[r.item_id].active)]
    if unknown:
        raise UserError("not_found", f"{'、'.join(unknown)} 所选的检验项目不存在或已停用。")
    before = {r["code"]: [r["item_id"], r["factor"], r["offset"]] for r in row.rows}
    row.rows, row.reason = [r.to_json() for r in rows], reason.strip()
    after = {r["code"]: [r["item_id"], r["factor"], r["offset"]] for r in row.rows}
    uow.s.flush()
    changed = [c for c in before.keys() | after.keys() if before.get(c) != after.get(c)]
    if changed:
        uow.audit("edge_mapping", row.id, "edit", {c: before.get(c) for c in changed}, {c: after.get(c) for c in changed}, reason or None)
    return row


def save_site(uow: UnitOfWork, mapping_id: int, version: int, encoding: str, site: dict[str, Any] | None) -> None:
    """What differs at this analyzer, in a draft: it takes the way of every mapping change (trial, two approvals, signed to the agent)."""
    row = take(uow, mapping_id, State.DRAFT)
    if row.version != version:
        raise Stale
    if encoding not in configuration.ENCODINGS:
        raise UserError("invalid", "字符集不在列表中，请重新选择。", field="encoding")
    before = {"encoding": row.encoding, "site": row.site}
    row.encoding, row.site = encoding or None, site
    uow.s.flush()
    after = {"encoding": row.encoding, "site": row.site}
    if before != after:
        uow.audit("edge_mapping", row.id, "site", before, after)


def add_code(uow: UnitOfWork, analyzer_id: int, code: str, item_id: int, author_id: int, reason: str) -> MappingVersion:
    """One click on an unmapped code: the code joins the analyzer's draft."""
    row = draft(uow, analyzer_id, author_id)
    if row.state != State.DRAFT:
        raise UserError("conflict", f"第 {row.number} 版对照正在审批，请先退回修改或等它启用后再加。")
    rows = [r for r in map(mapping.row_of, row.rows) if r.code != code.strip()]
    return save_rows(uow, row.id, row.version, [*rows, Row(code.strip(), item_id)], reason or row.reason)


def take(uow: UnitOfWork, mapping_id: int, *states: State) -> MappingVersion:
    """A version, locked; refused when it is in none of these states."""
    row = uow.s.get(MappingVersion, (uow.tenant_id, mapping_id), with_for_update=True)
    if row is None:
        raise UserError("not_found", "对照版本不存在，请核对后重试。")
    if states and row.state not in states:
        raise UserError("conflict", f"第 {row.number} 版对照现在是“{mapping.WORDS[State(row.state)]}”，不能这样操作，请刷新页面。")
    return row


# --- what the laboratory would say -------------------------------------------------------------------------------------


def said_here(known: md.Catalog, row: Row | None, sent: str) -> str:
    """A sent value as the laboratory would report it under a row: mapped and rounded, without its unit."""
    if row is None or row.item_id is None:
        return ""
    item = known.items[row.item_id]
    value = reported(scaled(parse(sent, item.result_type), row.factor, row.offset), item.decimals, item.rounding)
    return value.text


def meaning(known: md.Catalog, rows: Sequence[Row]) -> sandbox.Say:
    """What the laboratory would say of a result by these rows, in one line."""
    by_code = {r.code: r for r in rows}

    def say(one: Said) -> str:
        if one.qc:
            return "质控，不入患者结果"
        code = (one.code or "").strip()
        row = (by_code.get(f"{code}/{one.aspect}") if one.aspect else None) or (by_code.get(code) if one.main else None)
        if row is None or row.item_id is None:
            return "未对照" if one.main else ""
        if one.no_result:
            return f"{known.items[row.item_id].name} 无结果"
        item = known.items[row.item_id]
        return f"{item.name} {said_here(known, row, one.text)} {item.unit}".rstrip()

    return say


def replayed(uow: UnitOfWork, version: MappingVersion, body: bytes) -> sandbox.Replayed:
    """A session by what is in use now against this version. Reads only; not a row is written."""
    known = md.catalog(uow)
    active = active_version(uow, version.analyzer_id)
    old = sandbox.Way(
        active.driver if active else known.analyzers[version.analyzer_id].driver,
        active.encoding if active else None,
        active.site if active else None,
        meaning(known, active_rows(known, version.analyzer_id)),
    )
    new = sandbox.Way(version.driver, version.encoding, version.site, meaning(known, [mapping.row_of(r) for r in version.rows]))
    return sandbox.compare(body, old, new)


# --- change control ----------------------------------------------------------------------------------------------------


def approve(uow: UnitOfWork, mapping_id: int, user_id: int) -> MappingVersion:
    """One person's approval; with the second one the version is approved. Never its author's (C12)."""
    row = take(uow, mapping_id, State.TESTED)
    if row.author_id == user_id:
        raise UserError("conflict", "自己制作的对照不能自己批准，请另外两人批准。")
    given = uow.s.scalars(select(MappingApproval).where(MappingApproval.mapping_id == row.id)).all()
    if any(a.user_id == user_id for a in given):
        raise UserError("conflict", "您已经批准过，还需要另一人批准。")
    uow.s.add(MappingApproval(mapping_id=row.id, user_id=user_id, by=uow.actor.name, at=uow.now))
    uow.audit("edge_mapping", row.id, "approve", after={"number": row.number, "approvals": len(given) + 1})
    if len(given) + 1 >= mapping.APPROVALS:
        move(uow, row, State.APPROVED)
    uow.s.flush()
    return row


def send_back(uow: UnitOfWork, mapping_id: int, reason: str, *, refuse: bool = False) -> MappingVersion:
    """Back to draft, or refused for good; approvals given so far no longer count."""
    if not reason.strip():
        raise UserError("invalid", "请写明退回原因。", field="reason")
    row = take(uow, mapping_id, *mapping.OPEN)
    if row.state == State.DRAFT and not refuse:
        raise UserError("conflict", "这份对照已经是草稿。")
    given = uow.s.scalars(select(MappingApproval).where(MappingApproval.mapping_id == row.id)).all()
    for each in given:
        uow.s.delete(each)
    return move(uow, row, State.REFUSED if refuse else State.DRAFT, reason.strip(), {"approvals": [a.by for a in given]})


def activate(uow: UnitOfWork, mapping_id: int, zone: tzinfo) -> int:
    """approved → active: channels, agents, waiting results. How many results left the trays and lists at once."""
    row = take(uow, mapping_id, State.APPROVED)
    before = active_version(uow, row.analyzer_id)
    if before is not None:
        move(uow, before, State.RETIRED, retired_at=uow.now)
    move(uow, row, State.ACTIVE, active_at=uow.now)
    rows = [mapping.row_of(r) for r in row.rows]
    known = md.catalog(uow)
    fresh = mapping.changes(active_rows(known, row.analyzer_id), rows)
    channels = {r.code: (r.item_id, r.factor, r.offset) for r in rows if r.item_id is not None}
    catalog.set_channels(uow, row.analyzer_id, channels, f"对照第 {row.number} 版", driver=row.driver)
    uow.s.flush()
    for agent_id in sorted(set(uow.s.scalars(select(Connection.agent_id).where(Connection.analyzer_id == row.analyzer_id)))):
        agent = uow.s.get(Agent, (uow.tenant_id, agent_id), with_for_update=True)
        if agent is not None:
            configuration.changed(uow, agent)
    uow.emit("edge.mapping_active", f"mapping:{row.id}", {"analyzer_id": row.analyzer_id, "number": row.number})
    uow.notify("edge", {"what": "mapping"})
    return sum(retake.take_up_code(uow, row.analyzer_id, c.code, zone) for c in fresh if c.after is not None)


def move(
    uow: UnitOfWork, row: MappingVersion, to: State, reason: str = "", before: dict[str, Any] | None = None, **values: Any
) -> MappingVersion:
    """Change the state by the table, with its audit entry and notice."""
    old = State(row.state)
    if not mapping.may_move(old, to):
        raise UserError("conflict", f"“{mapping.WORDS[old]}”的对照不能变为“{mapping.WORDS[to]}”。")
    row.state = to
    for name, value in values.items():
        setattr(row, name, value)
    uow.s.flush()
    uow.audit("edge_mapping", row.id, str(to), {"state": old, **(before or {})}, {"state": to, "number": row.number}, reason or None)
    uow.notify("edge", {"what": "mapping"})
    return row


# --- what pages choose from ----------------------------------------------------------------------------------------------


def items_of(uow: UnitOfWork) -> list[md.ItemRow]:
    """Items in use, by section and print order."""
    return sorted((i for i in md.catalog(uow).items.values() if i.active), key=lambda i: (i.section_id, i.print_order, i.code))


def suggestions(uow: UnitOfWork, code: str, name: str | None, unit: str | None) -> list[tuple[md.ItemRow, mapping.Suggestion]]:
    """Items a code could mean, with the reason."""
    known = md.catalog(uow).items
    items = [mapping.Item(i.id, i.code, i.wst886_code or "", (i.name, i.name_en, i.abbr), i.unit) for i in known.values() if i.active]
    return [(known[s.item_id], s) for s in mapping.suggest(code, name, unit, items)]


def versions(uow: UnitOfWork, analyzer_id: int | None = None, limit: int = 100) -> list[MappingVersion]:
    """Mapping versions, open ones first, then the newest."""
    question = select(MappingVersion)
    if analyzer_id is not None:
        question = question.where(MappingVersion.analyzer_id == analyzer_id)
    rows = uow.s.scalars(question.order_by(MappingVersion.id.desc()).limit(limit)).all()
    return sorted(rows, key=lambda r: r.state not in mapping.OPEN)


def open_versions(uow: UnitOfWork) -> dict[int, MappingVersion]:
    """Versions in change control by analyzer."""
    return {r.analyzer_id: r for r in uow.s.scalars(select(MappingVersion).where(MappingVersion.state.in_(mapping.OPEN)))}


def recordings(uow: UnitOfWork, analyzer_id: int | None = None, limit: int = 100) -> list[Recording]:
    """Recordings, newest first."""
    question = select(Recording)
    if analyzer_id is not None:
        question = question.where(Recording.analyzer_id == analyzer_id)
    return list(uow.s.scalars(question.order_by(Recording.id.desc()).limit(limit)))


def approvals(uow: UnitOfWork, mapping_id: int) -> list[MappingApproval]:
    """Who approved a version."""
    return list(uow.s.scalars(select(MappingApproval).where(MappingApproval.mapping_id == mapping_id).order_by(MappingApproval.id)))


def recording_of(uow: UnitOfWork, recording_id: int) -> Recording | None:
    """One recording."""
    return uow.s.get(Recording, (uow.tenant_id, recording_id))


def version_of(uow: UnitOfWork, mapping_id: int) -> MappingVersion | None:
    """One version."""
    return uow.s.get(MappingVersion, (uow.tenant_id, mapping_id))


def base_rows(uow: UnitOfWork, version: MappingVersion) -> list[Row]:
    """What a version is compared with: what is in use; for one in use or retired, the version before it."""
    if version.state in mapping.OPEN or version.state == State.REFUSED:
        return active_rows(md.catalog(uow), version.analyzer_id)
    before = uow.s.scalars(
        select(MappingVersion)
        .where(MappingVersion.analyzer_id == version.analyzer_id, MappingVersion.number < version.number)
        .where(MappingVersion.active_at.is_not(None))
        .order_by(MappingVersion.number.desc())
    ).first()
    return [] if before is None else [mapping.row_of(r) for r in before.rows]


def read_as(version: MappingVersion, recording: Recording) -> sandbox.Candidate:
    """A recording by a version's reading."""
    return sandbox.chosen(recording.body, version.driver, version.encoding, version.site)


def channel_counts(uow: UnitOfWork) -> dict[int, int]:
    """Mapped codes by analyzer."""
    out: dict[int, int] = {}
    for analyzer_id, _ in md.catalog(uow).channels:
        out[analyzer_id] = out.get(analyzer_id, 0) + 1
    return out


def analyzer_of(uow: UnitOfWork, code: str) -> int:
    """An analyzer by its code. Raises UserError naming those there are."""
    known = md.catalog(uow).analyzers_by_code
    if code not in known:
        raise UserError("not_found", f"没有编码为“{code}”的仪器，可选：{'、'.join(sorted(known)) or '（还没有仪器）'}。")
    return known[code].id
