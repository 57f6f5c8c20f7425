"""A month's chart as a document to print and sign: the drawing, each level's figures, what was not in control, what happened."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from cloud.modules.catalog import queries as md
from cloud.modules.qc import charts
from cloud.modules.qc.charts import Asked, Drawn
from cloud.modules.qc.plans import NOTE_KINDS
from cloud.modules.qc.targets import Stats
from cloud.reports.documents import ChartDocument, Column, Table
from common.values import significant

SIGNS = {"reject": "×", "out": "○", "warn": "▲"}
ODD_MOST = 200


def chart_document(drawn: Drawn, asked: Asked, hospital: str, by: str, now: datetime) -> ChartDocument:
    """As the page shows it."""
    tables = [_figures(drawn)]
    if drawn.odd:
        tables.append(_odd(drawn))
    if drawn.notes:
        rows = tuple((_at(at), NOTE_KINDS.get(kind, kind), words, who) for at, kind, words, who in drawn.notes)
        tables.append(Table("标注", (Column("时间", 2), Column("类别", 2), Column("内容", 8), Column("记录人", 2)), rows))
    if drawn.again:
        tables.append(_again(drawn))
    return ChartDocument(
        hospital=hospital,
        title=f"室内质控图（{charts.VIEWS[asked.view]}）",
        subtitle=f"{drawn.title}　{asked.text}　{drawn.n} 点",
        chart_svg=str(drawn.picture),
        tables=tuple(tables),
        printed_at=now,
        printed_by=by,
        notes=(
            "● 在控　▲ 警告　× 失控　○ 失控但不计入统计（有记录的原因）　↑↓ 超出 4SD　▼ 换批、校准、保养　−·· TEa 允许总误差",
            "TEa、偏倚与规则须经本实验室批准后方可使用。",
        ),
        signatures=("绘图", "组长审核", "日期"),
    )


def _again(drawn: Drawn) -> Table:
    head = (Column("时间", 2), Column("现判", 2), Column("规则", 3), Column("原判", 8))
    rows = (
        (_at(a.at), str(a.word), a.rules, "；".join(f"{_at(at)} 前 {was} {broken}" for at, was, broken in a.before)) for a in drawn.again
    )
    return Table("迟到质控引起的改判", head, tuple(rows))


def _figures(drawn: Drawn) -> Table:
    numbers = ("n", "均值", "SD", "CV%")
    head = (Column("水平、批号", 3), *(Column(w, 2, "right") for w in ("靶值", "±SD")), *(Column(f"全部 {w}", 2, "right") for w in numbers))
    head = (*head, *(Column(f"计入 {w}", 2, "right") for w in numbers), Column("TEa%", 2, "right"), Column("σ", 2, "right"))
    rows = tuple(
        (
            f"L{x.panel.level} {x.lot}".strip(),
            _said(x.panel.mean),
            _said(x.panel.sd),
            *_stats(x.raw),
            *_stats(x.kept),
            _two(x.tea),
            _two(x.sigma),
        )
        for x in drawn.levels
    )
    return Table("", head, rows)


def _odd(drawn: Drawn) -> Table:
    left = (Column("时间", 3), Column("水平", 1), Column("测定值", 2, "right"), Column("z", 2, "right"), Column("规则", 5))
    head = (*left, Column("试剂批号", 3), Column("操作者", 3), Column("不计入的原因", 5))
    rows = tuple(
        (
            _at(p.at),
            f"L{p.level}",
            p.raw_text,
            f"{p.z:+.2f}" if p.z is not None else "—",
            f"{SIGNS[p.verdict]} {p.rules}",
            p.reagent_lot,
            p.operator or "仪器",
            p.excluded,
        )
        for p in drawn.odd[:ODD_MOST]
    )
    more = "" if len(drawn.odd) <= ODD_MOST else f"（前 {ODD_MOST} 个，共 {len(drawn.odd)} 个）"
    return Table(f"警告与失控{more}", head, rows)


def _stats(s: Stats | None) -> tuple[str, str, str, str]:
    return ("0", "", "", "") if s is None else (str(s.n), significant(s.mean, 4), "—" if s.sd is None else significant(s.sd, 3), _two(s.cv))


def _said(value: Decimal | None) -> str:
    return "—" if value is None else f"{value:f}"


def _two(value: Decimal | None) -> str:
    return "—" if value is None else f"{value:.2f}"


def _at(at: datetime) -> str:
    return f"{at.astimezone(md.HOSPITAL_ZONE):%m-%d %H:%M}"
