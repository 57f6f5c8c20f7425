"""Breakpoints under change control: editions and their rows, each with its fields and checks."""

from __future__ import annotations

from collections.abc import Sequence

from cloud.modules.catalog import breakpoints
from cloud.modules.catalog import rule_models as r
from cloud.modules.catalog.kind_checks import number
from cloud.modules.catalog.kinds import Field, Kind, Values
from cloud.modules.catalog.queries import Catalog
from common.say import say


def _edition(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """An edition: once a standard and year."""
    code = (values.get("standard"), values.get("edition"))
    same = next((each for each in known.breakpoint_sets.values() if (each.standard, each.edition) == code and each.id != target), None)
    out: list[str] = (
        [say("{name} 已有第 {row} 行，请修改那一行。", name=same.name, row=same.id)] if same is not None and same.active else []
    )
    if not 1980 <= (values.get("edition") or 0) <= 2100:
        out.append(say("版本（年）{year} 不是年份。", year=values.get("edition")))
    return out


def _breakpoint(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """A breakpoint: limits in order and on their scale, one row an organism, drug, method and site of an edition."""
    edition = next((each for each in known.breakpoint_sets.values() if each.code == values.get("set")), None)
    if edition is None:
        return []
    limits = [number(values.get(name)) for name in ("s", "sdd", "r")]
    out: list[str] = [*breakpoints.problems(str(values["method"]), edition.standard, *limits)]
    if values["method"] == "disk" and (number(values.get("disk_ug")) or 0) <= 0:
        out.append(say("纸片法要填写纸片含量（µg）。"))
    name = ("organism", "drug", "method", "site", "route")
    mine = [values.get(each) or "" for each in name]
    for row in known.breakpoints.get(edition.id, ()):
        if row.id != target and [getattr(row, each) for each in name] == mine:
            out.append(say("与已有的第 {row} 行条件完全相同，请修改那一行。", row=row.id))
    if any(each is not values and [each.get(n) or "" for n in ("set", *name)] == [values.get("set"), *mine] for each in batch):
        out.append(say("本批中另有一行的版本、菌名、药物、方法和部位与它相同。"))
    return out


_LEVELS = (("species", "种"), ("complex", "复合群"), ("genus", "属"), ("group", "组群"))

BREAKPOINTS = (
    Kind(
        "breakpoint_set",
        "折点版本",
        r.BreakpointSet,
        (
            Field("standard", "标准", "choice", required=True, choices=(("CLSI", "CLSI"), ("EUCAST", "EUCAST"))),
            Field("edition", "版本（年）", "int", required=True),
            Field("effective", "启用日期", "date", required=True, hint="从这一天起的药敏结果按这一版解释"),
            Field("source", "来源", required=True),
            Field("active", "在用", "bool", default=True),
        ),
        ("standard", "edition"),
        _edition,
    ),
    Kind(
        "breakpoint",
        "折点",
        r.Breakpoint,
        (
            Field("set", "折点版本", "breakpoint_set", required=True, hint="例如 CLSI-2026"),
            Field("level", "菌名级别", "choice", required=True, choices=_LEVELS, default="species"),
            Field("organism", "菌名", required=True),
            Field("drug", "药物代码", "code", required=True, hint="WHONET，例如 TZP"),
            Field("drug_name", "药物"),
            Field("method", "方法", "choice", required=True, choices=(("mic", "MIC"), ("disk", "纸片"))),
            Field("disk_ug", "纸片含量 µg", "decimal"),
            Field("site", "部位", hint="例如 脑脊液、尿；空着为一般"),
            Field("route", "给药途径"),
            Field("s", "敏感", "decimal", hint="MIC 为 ≤，抑菌圈为 ≥"),
            Field("sdd", "剂量依赖（远端）", "decimal", hint="SDD 范围中离敏感最远的值"),
            Field("r", "耐药", "decimal", hint="MIC 为 ≥，抑菌圈为 ≤；EUCAST 为 > 和 <"),
            Field("note", "说明"),
            Field("active", "在用", "bool", default=True),
        ),
        ("set", "organism", "drug", "method"),
        _breakpoint,
    ),
)
