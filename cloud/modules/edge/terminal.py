"""``jianlian analyzer propose FILE``: the readings of a recorded session side by side, its codes, and the items they could mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cloud.db.session import UnitOfWork
from cloud.modules.edge import meanings, onboarding, recordings, sandbox
from common.errors import UserError
from common.say import say

SHOWN = 12


def propose(path: Path, encoding: str | None) -> list[sandbox.Candidate]:
    """The candidates of a file. Raises UserError for one that cannot be read or is empty."""
    try:
        body = path.read_bytes()
    except OSError as error:
        raise UserError("invalid", say("文件 {path} 读不出来：{why}。请核对路径。", path=path, why=error.strerror)) from error
    if not body.strip():
        raise UserError("invalid", say("文件 {path} 是空的，请重新录制。", path=path))
    return sandbox.candidates(body, encoding)


def as_json(found: list[sandbox.Candidate]) -> str:
    """For programs."""
    return json.dumps([_document(c) for c in found], ensure_ascii=False, indent=1, default=list)


def _document(one: sandbox.Candidate) -> dict[str, Any]:
    results = [{"specimen": s.specimen, "code": s.code, "value": s.value, "unit": s.unit, "flags": s.flags, "qc": s.qc} for s in one.said]
    head = {"driver": one.driver, "site": one.site, "title": one.title, "verified": one.verified, "protocol": one.protocol}
    codes = [{"code": c.code, "name": c.name, "unit": c.unit, "count": c.count, "samples": c.samples} for c in sandbox.codes(one.said)]
    return {**head, "specimens": one.specimens, "results": results, "codes": codes, "problems": one.problems}


def lines(found: list[sandbox.Candidate]) -> Iterator[str]:
    """For a person at a terminal."""
    for n, one in enumerate(found, 1):
        mark = "" if one.driver is None or one.verified else "（未验证）"
        yield f"读法 {n}：{one.title}{mark}  协议 {one.protocol}  标本 {len(one.specimens)}  结果 {one.results}  问题 {len(one.problems)}"
        for said in one.said[:SHOWN]:
            flags = " ".join(said.flags)
            yield f"    {said.specimen or '—':<16} {said.code or '—':<12} {said.value or '':<12} {said.unit or '':<10} {flags}".rstrip()
        if len(one.said) > SHOWN:
            yield f"    … 共 {len(one.said)} 个结果"
        yield from (f"    ! {p}" for p in one.problems[:5])


def keep(uow: UnitOfWork, path: Path, analyzer: str, encoding: str | None) -> Iterator[str]:
    """Store the file as a recording of an analyzer; says what each code could mean there."""
    known = onboarding.analyzer_of(uow, analyzer)
    row = recordings.add_recording(uow, path.name, path.read_bytes(), known)
    if encoding:
        row = recordings.choose_reading(uow, row.id, row.driver, encoding, row.site, known)
    for code in sandbox.codes(recordings.read(row).said):
        named = "；".join(f"{i.code} {i.name}（{s.why}）" for i, s in meanings.suggestions(uow, code.code, code.name, code.unit))
        yield f"    {code.code:<12} {code.unit:<10} → {named or '没有相近的项目'}"
    yield f"已保存录制 {row.id}；在网页 /edge/onboard/{row.id} 继续：对照项目、与打印值比对、两人批准后启用。"
