"""Lists of the platform as printable registers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from cloud.db.audit import AuditLog
from cloud.db.session import UnitOfWork
from cloud.modules.platform import audit_words, glass_rules, queries, rules
from cloud.modules.platform.glass import Look
from cloud.modules.platform.permission_words import word
from cloud.reports.documents import Column, ListDocument
from cloud.web import sheet

ZONE = ZoneInfo("Asia/Shanghai")


STATE_WORDS = {"pending": "待启用", "active": "在用", "locked": "锁定", "suspended": "停用", "left": "离职"}


def rights(uow: UnitOfWork, hospital: str, by: str) -> bytes:
    """权限矩阵 as a workbook: permission × role, and who holds which role. Cells are texts, never formulas."""
    roles, held = queries.roles(uow), sorted(queries.matrix(uow).items())
    above = [f"{hospital} · 权限矩阵 · {uow.now.astimezone(ZONE):%Y-%m-%d %H:%M} · {by}"]
    grid = [[word(p, False), p, *("✓" if r.code in holders else "" for r in roles)] for p, holders in held]
    people = [
        [p.employee_no, p.name, p.dept, p.title, STATE_WORDS[p.status], p.roles, "、".join(p.sections), "、".join(p.wards)]
        for p in queries.people_and_roles(uow)
    ]
    head = ("工号", "姓名", "科室", "职称", "账号状态", "角色", "专业组", "病区或科室范围")
    pages = [
        sheet.Page("权限与角色", ["权限", "代码", *(r.name for r in roles)], grid, above, (), [30, 24, *(11 for _ in roles)]),
        sheet.Page("人员与角色", head, people, above, (), [12, 12, 16, 12, 10, 40, 20, 20]),
    ]
    uow.audit("role", "matrix", "export", after={"permissions": len(held), "people": len(people)})
    return sheet.workbook(pages)


def failed(rows: Sequence[Any], hospital: str, by: str, now: datetime) -> ListDocument:
    """登录失败: who, why, from where, how often."""
    columns = (Column("工号", 3), Column("原因", 6), Column("地址", 4), Column("次数", 2, "right"), Column("最近", 4))
    lines = tuple(
        (r.employee_no, str(rules.LOGIN_WORDS.get(r.outcome, r.outcome)), r.ip, str(r.n), f"{r.last.astimezone(ZONE):%Y-%m-%d %H:%M}")
        for r in rows
    )
    return ListDocument(hospital, "登录失败（近 30 天）", columns, lines, now, by)


def dormant(rows: Sequence[Any], hospital: str, by: str, now: datetime) -> ListDocument:
    """90 天以上没有登录的账号."""
    columns = (Column("工号", 3), Column("姓名", 3), Column("科室", 4), Column("最近登录", 3))
    lines = tuple((r.employee_no, r.name, r.dept, f"{r.last.astimezone(ZONE):%Y-%m-%d}") for r in rows)
    return ListDocument(hospital, "90 天以上没有登录的账号", columns, lines, now, by)


def privileged(rows: Sequence[AuditLog], hospital: str, by: str, now: datetime) -> ListDocument:
    """管理操作: what administrators did, newest first."""
    columns = (Column("时间", 3), Column("人员", 3), Column("对象", 4), Column("操作", 3), Column("原因", 6))
    lines = tuple(
        (
            f"{r.at.astimezone(ZONE):%Y-%m-%d %H:%M}",
            r.actor,
            f"{audit_words.object_word(r.entity, False)} {r.entity_id}",
            audit_words.action_word(r.entity, r.action, False),
            str(json.loads(r.body).get("reason") or ""),
        )
        for r in rows
    )
    return ListDocument(hospital, "管理操作", columns, lines, now, by)


def breaks(looks: Sequence[Look], hospital: str, by: str, now: datetime) -> ListDocument:
    """破例查看登记: who looked past a wall, why, and what the reviewer said."""
    columns = (
        Column("时间", 3),
        Column("人员", 4),
        Column("内容", 3),
        Column("患者", 4),
        Column("原因", 6),
        Column("打开页数", 2, "right"),
    )
    rows = tuple(
        (
            f"{b.at.astimezone(ZONE):%Y-%m-%d %H:%M}",
            f"{b.who} {b.employee_no} {b.dept}".strip(),
            str(glass_rules.GLASS_WORDS[b.kind]),
            f"{b.patient} {b.patient_no}",
            b.reason,
            str(b.reads),
            f"{glass_rules.VERDICT_WORDS[glass_rules.Verdict(b.verdict)]} {b.reviewer} {b.note}".strip() if b.reviewed_at else "待复核",
        )
        for b in looks
    )
    return ListDocument(
        hospital=hospital,
        title="破例查看登记",
        columns=(*columns, Column("复核", 4)),
        rows=rows,
        printed_at=now,
        printed_by=by,
        landscape=True,
        signatures=("复核人", "科主任"),
    )
