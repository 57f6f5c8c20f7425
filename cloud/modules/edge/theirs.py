"""What others did to a mapping version since a page showed it, in words (C7). Reads the audit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from cloud.db.audit import AuditLog
from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import mapping, sites
from common.say import Listed, Said, say, word

ENTITY = "edge_mapping"
MOST = 8
"""Differences that are told; more are counted."""
DONE = {"compare": "填写了打印值", "approve": "批准", "accept": "验收签名", **{str(s): w for s, w in mapping.WORDS.items()}}
SITE = {**sites.POSITIONS, **sites.PAIRS, "code": "代码在第几个组件", "qc_prefix": "质控标本号前缀"}


def newest(uow: UnitOfWork, mapping_id: int) -> int:
    """The number of a version's newest audit entry; a page keeps it and gives it back when it saves."""
    return uow.s.scalar(select(func.max(AuditLog.seq)).where(AuditLog.entity == ENTITY, AuditLog.entity_id == str(mapping_id))) or 0


def since(uow: UnitOfWork, mapping_id: int, seen: int) -> Listed:
    """Who changed what after the entry ``seen``; of a page that does not say what it saw, the newest change."""
    question = select(AuditLog).where(AuditLog.entity == ENTITY, AuditLog.entity_id == str(mapping_id), AuditLog.seq > seen)
    rows = list(uow.s.scalars(question.order_by(AuditLog.seq.desc()).limit(20 if seen else 1)))
    return Listed([_told(uow, row) for row in reversed(rows)], "；")


def _told(uow: UnitOfWork, row: AuditLog) -> Said:
    body = json.loads(row.body)
    before, after = body.get("before") or {}, body.get("after") or {}
    if row.action == "edit":
        found = [_row(uow, code, before.get(code), after.get(code)) for code in sorted(before.keys() | after.keys())]
    elif row.action == "site":
        found = _site(before, after)
    else:
        found = [word(DONE.get(row.action, row.action))]
    more = [say("另有 {n} 处", n=len(found) - MOST)] if len(found) > MOST else []
    return say("{who}：{what}", who=row.actor, what=Listed([*found[:MOST], *more]))


def _row(uow: UnitOfWork, code: str, before: Any, after: Any) -> Said:
    return say("{name} {old} → {new}", name=code, old=_meaning(uow, before), new=_meaning(uow, after))


def _meaning(uow: UnitOfWork, row: Any) -> Any:
    if row is None:
        return say("（没有）")
    item_id, factor, offset = row
    item = md.catalog(uow).items.get(item_id)
    if item is None:
        return say("未对照")
    times = "" if factor == "1" else f" × {factor}"
    plus = "" if offset == "0" else f" + {offset}"
    return f"{item.code} {item.name}{times}{plus}"


def _site(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Said]:
    old, new = sites.shown(before.get("site")), sites.shown(after.get("site"))
    pairs = [(SITE[name], old[name], new[name]) for name in SITE] + [("字符集", before.get("encoding"), after.get("encoding"))]
    return [say("{name} {old} → {new}", name=word(name), old=_flat(a), new=_flat(b)) for name, a, b in pairs if a != b]


def _flat(text: str | None) -> str:
    return "，".join((text or "—").split("\n"))
