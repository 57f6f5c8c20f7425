"""Versions of a mapping: a draft with an analyzer's codes, its rows and site changed by people; approved and put to use in approval.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import configuration, mapping, sandbox, theirs
from cloud.modules.edge.mapping import Row, State
from cloud.modules.edge.models import MappingVersion, Recording
from cloud.modules.edge.recordings import known_analyzer, read, read_now, record_received, recordings
from cloud.web.faults import Stale
from common.errors import UserError
from common.instruments.propose import replay
from common.say import Listed, say, word


def active_rows(known: md.Catalog, analyzer_id: int) -> list[Row]:
    """What the catalog says now about an analyzer's codes."""
    rows = [c for (a, _), c in known.channels.items() if a == analyzer_id]
    return [Row(c.channel_code, c.item_id, c.factor, c.offset, c.unit) for c in sorted(rows, key=lambda c: c.channel_code)]


def draft(uow: UnitOfWork, analyzer_id: int, author_id: int, recording: Recording | None = None) -> MappingVersion:
    """The analyzer's open version, or a new one that starts from what is in use; codes of the recording are added without an item."""
    known_analyzer(uow, analyzer_id)
    row = uow.s.scalars(
        select(MappingVersion).where(MappingVersion.analyzer_id == analyzer_id, MappingVersion.state.in_(mapping.OPEN)).with_for_update()
    ).first()
    if row is not None and recording is None:
        return row
    if row is not None and row.state != State.DRAFT:
        raise UserError("conflict", say("第 {number} 版对照正在审批，请先退回修改或等它启用。", number=row.number))
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
    driver, encoding, site = read_now(uow, analyzer_id)
    row = MappingVersion(
        analyzer_id=analyzer_id, number=number, author=uow.actor.name, author_id=author_id, created_at=uow.now,
        rows=[r.to_json() for r in active_rows(md.catalog(uow), analyzer_id)], driver=driver, encoding=encoding, site=site,
    )  # fmt: skip
    uow.s.add(row)
    uow.s.flush()
    uow.audit("edge_mapping", row.id, "draft", after={"analyzer": analyzer_id, "number": number, "codes": len(row.rows)})
    return row


def save_rows(uow: UnitOfWork, mapping_id: int, version: int, rows: Sequence[Row], reason: str, seen: int = 0) -> MappingVersion:
    """Change a draft. ``version``, ``seen``: what the page showed; a stale one is refused with the other person's change (C7)."""
    row = take(uow, mapping_id, State.DRAFT)
    if row.version != version:
        raise Stale(theirs.since(uow, mapping_id, seen))
    wrong = mapping.row_problems(rows)
    if wrong:
        raise UserError("invalid", say("{wrong}。", wrong=Listed(wrong, "；")))
    items = md.catalog(uow).items
    unknown = [r.code for r in rows if r.item_id is not None and (r.item_id not in items or not items[r.item_id].active)]
    if unknown:
        raise UserError("not_found", say("{unknown} 所选的检验项目不存在或已停用。", unknown=tuple(unknown)))
    before = {r["code"]: [r["item_id"], r["factor"], r["offset"]] for r in row.rows}
    row.rows, row.reason = [r.to_json() for r in rows], reason.strip()
    after = {r["code"]: [r["item_id"], r["factor"], r["offset"]] for r in row.rows}
    uow.s.flush()
    changed = [c for c in before.keys() | after.keys() if before.get(c) != after.get(c)]
    if changed:
        uow.audit("edge_mapping", row.id, "edit", {c: before.get(c) for c in changed}, {c: after.get(c) for c in changed}, reason or None)
    return row


def save_site(uow: UnitOfWork, mapping_id: int, version: int, encoding: str, site: dict[str, Any] | None, seen: int = 0) -> None:
    """What differs at this analyzer, in a draft: it takes the way of every mapping change (trial, two approvals, signed to the agent)."""
    row = take(uow, mapping_id, State.DRAFT)
    if row.version != version:
        raise Stale(theirs.since(uow, mapping_id, seen))
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
        raise UserError("conflict", say("第 {number} 版对照正在审批，请先退回修改或等它启用后再加。", number=row.number))
    rows = [r for r in map(mapping.row_of, row.rows) if r.code != code.strip()]
    return save_rows(uow, row.id, row.version, [*rows, Row(code.strip(), item_id)], reason or row.reason)


def seen_in(uow: UnitOfWork, analyzer_id: int, code: str, raw_id: int) -> None:
    """The message a code came with becomes a recording, so that its value can be compared; none when a recording has the code already."""
    if any(code.strip() in {c.code for c in sandbox.codes(read(one).said)} for one in recordings(uow, analyzer_id, 10)):
        return
    record_received(uow, [raw_id], "", analyzer_id)


def copy(uow: UnitOfWork, mapping_id: int, source_id: int) -> MappingVersion:
    """Take over what another analyzer's codes mean (M27 R6, an analyzer replaced by its like); what the draft says already stays.

    Nothing of it counts before the analyzer's own values were compared.
    """
    row = take(uow, mapping_id, State.DRAFT)
    known_analyzer(uow, source_id)
    theirs_now = active_rows(md.catalog(uow), source_id)
    if source_id == row.analyzer_id or not theirs_now:
        raise UserError("invalid", "请选择另一台已有对照的仪器。", field="source_id")
    rows = [mapping.row_of(r) for r in row.rows]
    mapped = {r.item_id for r in rows if r.item_id is not None}
    have = {r.code: n for n, r in enumerate(rows)}
    for one in theirs_now:
        at = have.get(one.code)
        if one.item_id in mapped or at is not None and rows[at].item_id is not None:
            continue
        if at is None:
            rows.append(one)
        else:
            rows[at] = replace(one, unit=rows[at].unit or one.unit)
    if not (row.driver or row.site or row.encoding):
        row.driver, row.encoding, row.site = read_now(uow, source_id)
    name = md.catalog(uow).analyzers[source_id].name
    return save_rows(uow, row.id, row.version, rows, row.reason or f"由 {name} 复制")


def take(uow: UnitOfWork, mapping_id: int, *states: State) -> MappingVersion:
    """A version, locked; refused when it is in none of these states."""
    row = uow.s.get(MappingVersion, (uow.tenant_id, mapping_id), with_for_update=True)
    if row is None:
        raise UserError("not_found", "对照版本不存在，请核对后重试。")
    if states and row.state not in states:
        raise UserError(
            "conflict",
            say(
                "第 {number} 版对照现在是“{state}”，不能这样操作，请刷新页面。",
                number=row.number,
                state=word(mapping.WORDS[State(row.state)]),
            ),
        )
    return row


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


def read_as_in_use(uow: UnitOfWork, version: MappingVersion) -> bool:
    """Whether bytes go on being read as they are now: then only what the version's codes mean can be new.

    A driver named where none was changes nothing if every recording of the analyzer was recognised as that driver's before.
    """
    driver, encoding, site = read_now(uow, version.analyzer_id)
    if (version.encoding or None, version.site or None) != (encoding, site):
        return False
    if driver is not None or version.driver is None:
        return version.driver == driver
    seen = recordings(uow, version.analyzer_id, 10)
    return bool(seen) and all(replay(one.body, None, site, encoding).driver == version.driver for one in seen)


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
        raise UserError(
            "not_found", say("没有编码为“{code}”的仪器，可选：{known}。", code=code, known=tuple(sorted(known)) or say("（还没有仪器）"))
        )
    return known[code].id
