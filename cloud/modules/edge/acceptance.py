"""The acceptance record (M27 R2): every mapped item's value here beside what the analyzer printed, differences named, signed.

A line keeps what a person typed; its verdict is worked out again by the version's rows whenever it counts, so that a changed factor can
never stand behind an old "equal".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import approval, comparing, interpret, mapping, meanings, onboarding
from cloud.modules.edge.comparing import Check
from cloud.modules.edge.interpret import Said
from cloud.modules.edge.mapping import Row, State
from cloud.modules.edge.models import MappingVersion, PrintCheck, Recording
from common.errors import UserError
from common.instruments import propose as instruments

MAX_LINES = 400
"""Lines of one recording a person is shown for typing."""


@dataclass(frozen=True, slots=True)
class Line:
    """One result of a recording, ready to be compared."""

    idx: int
    specimen: str
    code: str
    sent: str
    unit: str
    item: md.ItemRow
    here: str
    level: str
    check: PrintCheck | None
    why: str


def lines(uow: UnitOfWork, version: MappingVersion, recording: Recording) -> list[Line]:
    """Every mapped result of a recording by this version; without QC material and aspects that have no code of their own."""
    known = md.catalog(uow)
    done = {(c.recording_id, c.idx): c for c in checks(uow, version.id)}
    out = []
    for one, row in _mapped(version, recording):
        assert row.item_id is not None
        item = known.items[row.item_id]
        here = meanings.said_here(known, row, one.text)
        check = done.get((recording.id, one.idx))
        why = ""
        if check is not None:
            why = comparing.compare(here, check.printed, check.unit, item.unit).why
        unit = one.unit or row.unit
        level = (check.level if check else None) or _level(
            one, item, comparing.likely_level(here, [(i.low, i.high) for i in known.intervals.get(item.id, ())])
        )
        out.append(Line(one.idx, one.specimen or "", row.code, one.value or "", unit, item, here, level, check, why))
    return out[:MAX_LINES]


def _mapped(version: MappingVersion, recording: Recording) -> list[tuple[Said, Row]]:
    reading = instruments.replay(recording.body, version.driver, version.site or None, version.encoding)
    by_code = {r.code: r for r in map(mapping.row_of, version.rows) if r.item_id is not None}
    out = []
    for one in interpret.observations(reading):
        code = (one.code or "").strip()
        row = (by_code.get(f"{code}/{one.aspect}") if one.aspect else None) or (by_code.get(code) if one.main else None)
        if row is not None and not one.qc:
            out.append((one, row))
    return out


def _level(one: Said, item: md.ItemRow, likely: str) -> str:
    """What the form begins with: the analyzer's flag, where it sends none (one-way printers) what every reference interval says."""
    if item.result_type != "numeric":
        return ""
    flags = {f.strip().upper() for f in one.flags}
    return "low" if flags & {"L", "LL"} else "high" if flags & {"H", "HH"} else likely


def checks(uow: UnitOfWork, mapping_id: int) -> list[PrintCheck]:
    """All lines of a version's record."""
    return list(
        uow.s.scalars(select(PrintCheck).where(PrintCheck.mapping_id == mapping_id).order_by(PrintCheck.recording_id, PrintCheck.idx))
    )


@dataclass(frozen=True, slots=True)
class Typed:
    """What a person read off the print-out for one line. Blank: not compared."""

    idx: int
    printed: str
    unit: str
    level: str


def type_in(uow: UnitOfWork, mapping_id: int, recording_id: int, typed: Iterable[Typed]) -> list[str]:
    """Keep what was typed and compare it; the differences in words. A blank takes an earlier line away."""
    version = onboarding.take(uow, mapping_id)
    if version.accepted_at is not None or version.state in (State.RETIRED, State.REFUSED):
        raise UserError("conflict", "验收记录已签名或该版本已停用，不能再填写。")
    recording = uow.s.get(Recording, (uow.tenant_id, recording_id))
    if recording is None:
        raise UserError("not_found", "录制不存在，请刷新页面。")
    by_idx = {line.idx: line for line in lines(uow, version, recording)}
    said: list[str] = []
    for each in typed:
        line = by_idx.get(each.idx)
        if line is not None:
            said += _keep(uow, version, recording, line, each)
    uow.s.flush()
    uow.audit("edge_mapping", version.id, "compare", after={"recording": recording_id, "differences": said[:20]})
    return said


def _keep(uow: UnitOfWork, version: MappingVersion, recording: Recording, line: Line, typed: Typed) -> list[str]:
    if not typed.printed.strip():
        if line.check is not None:
            uow.s.delete(line.check)
        return []
    if typed.level not in comparing.LEVEL_WORDS:
        raise UserError("invalid", "水平请选低、正常、高。", field="level")
    result = comparing.compare(line.here, typed.printed, typed.unit, line.item.unit)
    row = line.check or PrintCheck(
        mapping_id=version.id, recording_id=recording.id, idx=line.idx, code=line.code, item_id=line.item.id, specimen_text=line.specimen
    )
    row.code, row.item_id, row.decoded, row.printed = line.code, line.item.id, line.here, typed.printed.strip()
    row.unit, row.level, row.equal, row.by, row.at = typed.unit.strip(), typed.level, result.equal, uow.actor.name, uow.now
    uow.s.add(row)
    return [] if result.equal else [f"{line.specimen or '—'} {line.item.name}（{line.code}）：{result.why}"]


def judge_again(uow: UnitOfWork, version: MappingVersion) -> list[PrintCheck]:
    """Every line by the rows of this moment; a line whose code is no longer mapped, or no longer read, is taken out."""
    kept = []
    for recording_id, group in _by_recording(checks(uow, version.id)).items():
        recording = uow.s.get(Recording, (uow.tenant_id, recording_id))
        assert recording is not None
        by_idx = {line.idx: line for line in lines(uow, version, recording)}
        for check in group:
            line = by_idx.get(check.idx)
            if line is None:
                uow.s.delete(check)
                continue
            check.decoded, check.code, check.item_id = line.here, line.code, line.item.id
            check.equal = comparing.compare(line.here, check.printed, check.unit, line.item.unit).equal
            kept.append(check)
    uow.s.flush()
    return kept


def _by_recording(rows: Sequence[PrintCheck]) -> dict[int, list[PrintCheck]]:
    out: dict[int, list[PrintCheck]] = {}
    for row in rows:
        out.setdefault(row.recording_id, []).append(row)
    return out


def set_tested(uow: UnitOfWork, mapping_id: int) -> MappingVersion:
    """draft → tested: every item whose code or reading is new was compared with the print-out by today's rows, and nothing differs."""
    version = onboarding.take(uow, mapping_id, State.DRAFT)
    if not any(r["item_id"] is not None for r in version.rows):
        raise UserError("invalid", "还没有对照任何项目。")
    judge_again(uow, version)
    _refuse(uow, test_problems(uow, version), "不能标为已试验")
    return approval.move(uow, version, State.TESTED, tested_at=uow.now, tested_by=uow.actor.name)


def fresh_rows(uow: UnitOfWork, version: MappingVersion) -> list[Row]:
    """What a version's trial has to compare: codes that mean something new; all of them once bytes are read another way."""
    rows = [r for r in map(mapping.row_of, version.rows) if r.item_id is not None]
    if onboarding.read_as_in_use(uow, version):
        fresh = {c.code for c in mapping.changes(onboarding.base_rows(uow, version), rows)}
        rows = [r for r in rows if r.code in fresh]
    return rows


def test_problems(uow: UnitOfWork, version: MappingVersion) -> list[tuple[int, str]]:
    """What still keeps a draft from being tested: (item, why)."""
    return comparing.test_problems(fresh_rows(uow, version), _facts(checks(uow, version.id)))


def open_problems(uow: UnitOfWork, version: MappingVersion) -> list[tuple[int, str]]:
    """What still keeps the record from being signed: (item, why)."""
    items = md.catalog(uow).items
    numeric = frozenset(i.id for i in items.values() if i.result_type == "numeric")
    return comparing.acceptance_problems([mapping.row_of(r) for r in version.rows], _facts(checks(uow, version.id)), numeric)


def sign(uow: UnitOfWork, mapping_id: int, window: str) -> MappingVersion:
    """Sign the record; refused while an item was not compared, differs, or lacks a level (M27 R2). ``window``: the signing window's id."""
    version = onboarding.take(uow, mapping_id, State.TESTED, State.APPROVED, State.ACTIVE)
    if version.accepted_at is not None:
        raise UserError("conflict", "验收记录已经签名。")
    judge_again(uow, version)
    _refuse(uow, open_problems(uow, version), "不能验收")
    text = json.dumps(document(uow, version), ensure_ascii=False, sort_keys=True, default=str)
    version.accepted_at, version.accepted_by = uow.now, uow.actor.name
    version.accepted_hash = hashlib.sha256(text.encode()).hexdigest()
    uow.s.flush()
    uow.audit("edge_mapping", version.id, "accept", after={"hash": version.accepted_hash, "signing": window, "kind": "内部签名"})
    uow.notify("edge", {"what": "mapping"})
    return version


def document(uow: UnitOfWork, version: MappingVersion) -> dict[str, Any]:
    """The record as it is signed: the version's rows and every compared value."""
    lines = [
        [c.recording_id, c.idx, c.specimen_text, c.code, c.item_id, c.decoded, c.printed, c.unit, c.level, c.equal, c.by, c.at.isoformat()]
        for c in checks(uow, version.id)
    ]
    head = {"analyzer": version.analyzer_id, "mapping": version.number, "driver": version.driver, "site": version.site}
    return {**head, "rows": version.rows, "lines": lines}


def still_signed(uow: UnitOfWork, version: MappingVersion) -> bool:
    """Whether what was signed is what stands there now."""
    text = json.dumps(document(uow, version), ensure_ascii=False, sort_keys=True, default=str)
    return version.accepted_hash == hashlib.sha256(text.encode()).hexdigest()


def _facts(rows: Iterable[PrintCheck]) -> list[Check]:
    return [Check(c.item_id, c.level, c.equal) for c in rows]


def _refuse(uow: UnitOfWork, problems: Sequence[tuple[int, str]], what: str) -> None:
    if problems:
        raise UserError("conflict", f"{what}：{in_words(uow, problems)}。")


def in_words(uow: UnitOfWork, problems: Sequence[tuple[int, str]], most: int = 8) -> str:
    """Problems by the names of their items."""
    items = md.catalog(uow).items
    said = "；".join(f"{items[i].name}（{items[i].code}）{why}" for i, why in problems[:most] if i in items)
    return said + (f"；另有 {len(problems) - most} 处" if len(problems) > most else "")


@dataclass(frozen=True, slots=True)
class Summary:
    """How far a record is."""

    items: int
    compared: int
    lines: int
    different: int


def summary(uow: UnitOfWork, version: MappingVersion) -> Summary:
    """Counts of a version's record."""
    done = checks(uow, version.id)
    items = {r["item_id"] for r in version.rows if r["item_id"] is not None}
    return Summary(len(items), len({c.item_id for c in done} & items), len(done), sum(not c.equal for c in done))


def record_lines(uow: UnitOfWork, version: MappingVersion) -> list[tuple[PrintCheck, md.ItemRow | None, str]]:
    """The record's lines with their items and the difference in words."""
    items = md.catalog(uow).items
    out = []
    for check in checks(uow, version.id):
        item = items.get(check.item_id)
        why = "" if check.equal or item is None else comparing.compare(check.decoded, check.printed, check.unit, item.unit).why
        out.append((check, item, why))
    return out
