"""Every point of a month as a list: what the number on the chart counts, and the form of methods that draw no chart.

The immediate method is worked on paper as a table of n, mean, SD, SI_up and SI_low against n2s and n3s: it is shown so here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from cloud.modules.catalog import queries as md
from cloud.modules.qc import immediate, rules
from cloud.modules.qc.immediate import Immediate
from cloud.modules.qc.queries import ChartPoint
from cloud.modules.qc.registers import Stamp
from cloud.reports.documents import Column, ListDocument
from common.say import Said, say, word
from common.values import significant

VERDICTS = {"ok": say("在控"), "warn": say("警告"), "reject": say("失控"), "out": say("失控，不计入统计")}


@dataclass(frozen=True, slots=True)
class Line:
    """A point, and what the immediate method made of it (None: not judged by it)."""

    point: ChartPoint
    grubbs: Immediate | None

    @property
    def word(self) -> Said:
        """Its verdict."""
        if self.point.state == rules.RunState.TRIAL:
            return word(rules.RUN_WORDS[rules.RunState.TRIAL])
        return VERDICTS[self.point.verdict]

    @property
    def limits(self) -> tuple[Decimal, Decimal] | None:
        """n2s and n3s of its n."""
        return None if self.grubbs is None else immediate.TABLE.get(self.grubbs.n)


def lines(points: Sequence[ChartPoint], judged: Mapping[int, Immediate]) -> list[Line]:
    """Oldest first, as they were measured."""
    return [Line(p, judged.get(p.id)) for p in points]


def judged(points: Sequence[ChartPoint]) -> dict[int, Immediate]:
    """Point → the immediate method's figures when it came: with the last twenty of its level and lot that counted then."""
    before: dict[tuple[int, str], list[Decimal]] = {}
    out: dict[int, Immediate] = {}
    for p in points:
        if p.value is None:
            continue
        mine = before.setdefault((p.level, p.lot), [])
        out[p.id] = immediate.judge([*mine[-immediate.CONVERT_AT :], p.value])
        if not p.rejected:
            mine.append(p.value)
    return out


def document(title: str, month: str, found: Sequence[Line], stamp: Stamp) -> ListDocument:
    """The list on paper or in a workbook; the columns of the immediate method only where it judged."""
    grubbs = any(line.grubbs for line in found)
    head = [Column("时间", 3), Column("水平", 2), Column("批号", 3), Column("测定值", 3, "right")]
    if grubbs:
        head += [Column(name, 2, "right") for name in ("n", "均值", "SD", "SI上限", "SI下限", "n2s", "n3s")]
    else:
        head.append(Column("z", 2, "right"))
    head += [Column("判定", 3), Column("规则", 4), Column("试剂批号", 3), Column("校准", 3), Column("操作者", 3), Column("不计入的原因", 4)]
    return ListDocument(
        hospital=stamp.hospital,
        title="室内质控数据",
        subtitle=f"{title}　{month}　{len(found)} 点",
        columns=tuple(head),
        rows=tuple(_row(line, grubbs) for line in found),
        printed_at=stamp.now,
        printed_by=stamp.by,
        landscape=True,
        signatures=("操作者", "组长审核", "日期"),
    )


def _row(line: Line, grubbs: bool) -> tuple[str, ...]:
    p = line.point
    z = "" if p.z is None else f"{p.z:+.2f}"
    middle = _grubbs(line) if grubbs else (z,)
    at = f"{p.at.astimezone(md.HOSPITAL_ZONE):%m-%d %H:%M}"
    made = p.operator or "仪器"
    return (at, f"L{p.level}", p.lot, p.raw_text, *middle, str(line.word), p.rules, p.reagent_lot, p.calibration, made, p.excluded)


def _grubbs(line: Line) -> tuple[str, ...]:
    g = line.grubbs
    if g is None or g.mean is None:
        return ("",) * 7
    said = ["" if x is None else significant(x, 4) for x in (g.mean, g.sd, g.si_up, g.si_low)]
    return (str(g.n), *said, *((str(x) for x in line.limits) if line.limits else ("", "")))
