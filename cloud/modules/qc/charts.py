"""A month's chart of a plan: from rows to panels, points and the table beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from markupsafe import Markup

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.equipment import queries as equipment
from cloud.modules.qc import chart, goals, metrics, months, queries
from cloud.modules.qc import points as listed
from cloud.modules.qc.chart import Dot, Mark, Panel, Span
from cloud.modules.qc.immediate import Immediate
from cloud.modules.qc.models import QcPlan
from cloud.modules.qc.plans import NOTE_KINDS
from cloud.modules.qc.points import Line
from cloud.modules.qc.queries import ChartPoint
from cloud.modules.qc.rules import Method
from cloud.modules.qc.targets import Stats, stats
from cloud.modules.reagents import queries as reagents
from common.say import say
from common.units import readable
from common.values import significant

Translate = Callable[[str], str]

RARE = timedelta(days=730)
"""How far back the values of an immediate method may lie: it is for tests that are seldom made."""
VIEWS = {"lj": "L-J 图", "z": "Z 分数图", "youden": "Youden 图"}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which month, drawn how."""

    month: date
    view: str

    @classmethod
    def of(cls, month: str, view: str, now: datetime) -> Asked:
        """From the address; what makes no sense is this month, by level."""
        today = now.astimezone(md.HOSPITAL_ZONE).date().replace(day=1)
        try:
            found = date.fromisoformat(f"{month}-01")
        except ValueError:
            found = today
        return cls(min(found, today), view if view in VIEWS else "lj")

    @property
    def text(self) -> str:
        """As an address says it."""
        return f"{self.month:%Y-%m}"

    @property
    def before(self) -> str:
        """The month before."""
        return f"{self.month - timedelta(days=1):%Y-%m}"

    @property
    def after(self) -> str:
        """The month after."""
        return f"{self.month + timedelta(days=32):%Y-%m}"


@dataclass(frozen=True, slots=True)
class Level:
    """The figures of a level and lot in the month: all values, those that count, and TEa (% at the target) with the sigma these come to."""

    panel: Panel
    lot: str
    raw: Stats | None
    kept: Stats | None
    tea: Decimal | None
    sigma: Decimal | None


@dataclass(frozen=True, slots=True)
class Drawn:
    """The drawing, each level's figures, the points that were not in control, what happened, and which verdicts a late run changed."""

    picture: Markup
    title: str
    levels: Sequence[Level]
    odd: Sequence[ChartPoint]
    trial: int
    notes: Sequence[tuple[datetime, str, str, str]]
    n: int
    again: Sequence[queries.Again] = ()
    lines: Sequence[Line] = ()
    """Every point of the month, also those that no chart shows."""


def draw(uow: UnitOfWork, plan: QcPlan, asked: Asked, translate: Translate = str, *, paper: bool = False) -> Drawn:
    """Five statements (the immediate method one more) and the catalog, whatever lies in the years before.

    ``translate`` puts its words into the reader's language; ``paper`` is for a sheet to sign.
    """
    start, end = months.bounds(asked.month, md.HOSPITAL_ZONE)
    known = md.catalog(uow)
    points = queries.chart_points(uow, plan.id, start, end)
    happened = _happened(uow, plan, start, end)
    item = known.items[plan.item_id]
    panels = [_panel(plan, item, level, lot, points, translate) for level, lot in _axes(plan, points)]
    dots = [_dot(p) for p in points if p.z is not None]
    span = Span(start, end, md.HOSPITAL_ZONE)
    marks = [Mark(at, f"{NOTE_KINDS.get(kind, kind)} {words}") for at, kind, words, _ in happened]
    levels = list(dict.fromkeys(p.level for p in panels))
    if asked.view == "youden" and len(levels) >= 2:
        picture = chart.youden(_pairs(points, *levels[:2]), (f"L{levels[0]}", f"L{levels[1]}"))
    elif asked.view == "z":
        named = [Panel(level, translate(say("水平 {level}", level=level)), None, None) for level in levels]
        picture = chart.z_chart(named, dots, marks, span)
    else:
        picture = chart.levey_jennings(panels, dots, marks, span, paper=paper)
    return Drawn(
        picture,
        f"{known.analyzers[plan.analyzer_id].name} · {item.name}",
        [_level(plan, item, p, points) for p in panels],
        [p for p in points if p.verdict != "ok"],
        sum(p.state == "trial" for p in points),
        happened,
        len(dots),
        queries.judged_again(uow, plan.id, start, end),
        listed.lines(points, _immediate(uow, plan, points, start)),
    )


def _axes(plan: QcPlan, points: Sequence[ChartPoint]) -> list[tuple[int, int]]:
    """(level, lot) of each panel: a level's lots in the order they came; a level without a point has one, too."""
    counts = [p for p in points if p.z is not None or (plan.method == Method.IMMEDIATE and p.value is not None)]
    judged = list(dict.fromkeys((p.level, p.material_id) for p in counts))
    bare = [(level, 0) for level in plan.levels if all(level != known for known, _ in judged)]
    return sorted([*judged, *bare], key=lambda axis: axis[0])


Happened = list[tuple[datetime, str, str, str]]


def _happened(uow: UnitOfWork, plan: QcPlan, start: datetime, end: datetime) -> Happened:
    """What people wrote on the chart, and what reagents and equipment know by themselves."""
    lots = reagents.changes(uow, plan.analyzer_id, plan.item_id, start, end)
    work = equipment.done(uow, plan.analyzer_id, plan.item_id, start, end)
    known: Happened = [(at, "lot", words, "") for at, words in lots] + [(at, kind, words, "") for at, kind, words in work]
    return sorted([*queries.notes(uow, plan, start, end), *known])


def _immediate(uow: UnitOfWork, plan: QcPlan, points: Sequence[ChartPoint], start: datetime) -> dict[int, Immediate]:
    if plan.method != Method.IMMEDIATE:
        return {}
    return listed.judged([*queries.chart_points(uow, plan.id, start - RARE, start), *points])


def _level(plan: QcPlan, item: md.ItemRow, panel: Panel, points: Sequence[ChartPoint]) -> Level:
    mine = [p for p in points if p.level == panel.level and panel.lot in (0, p.material_id)]
    raw, kept = _stats(plan, mine, raw=True), _stats(plan, mine, raw=False)
    at = panel.mean if panel.mean is not None else None if kept is None else kept.mean
    tea = None if at is None else goals.allowed_percent(plan, item, at)
    sigma = None
    if tea is not None and plan.bias_percent is not None and kept is not None and kept.cv is not None:
        sigma = metrics.sigma(tea, plan.bias_percent, kept.cv)
    return Level(panel, next((p.lot for p in mine if panel.lot), ""), raw, kept, tea, sigma)


def _panel(plan: QcPlan, item: md.ItemRow, level: int, lot: int, points: Sequence[ChartPoint], translate: Translate) -> Panel:
    mine = (p for p in reversed(points) if (p.level, p.material_id) == (level, lot))
    last = next((p for p in mine if p.mean is not None and p.sd is not None), None)
    if last is None or last.mean is None or last.sd is None:
        return Panel(level, translate(say("水平 {level}（本月无靶值）", level=level)), None, None, lot=lot)
    tea = goals.allowed(plan, item, last.mean)
    cv = f"  CV {100 * last.sd / abs(last.mean):.2f}%" if last.mean else ""
    target = f"{last.mean:f} ± {last.sd:f} {readable(item.unit)}{cv}{_tea(tea)}"
    title = say("水平 {level}  批号 {lot}  靶值 {target}", level=level, lot=last.lot, target=target)
    return Panel(level, translate(title), last.mean, last.sd, tea, lot)


def _tea(tea: Decimal | None) -> str:
    return "" if tea is None else f"  TEa ±{Decimal(significant(tea, 4)).normalize():f}"


def _dot(p: ChartPoint) -> Dot:
    assert p.z is not None
    return Dot(
        p.at,
        p.level,
        p.z,
        p.raw_text,
        p.verdict,
        p.target_id or 0,
        p.rules if p.verdict in ("reject", "out", "warn") else "",
        p.material_id,
    )


def _pairs(points: Sequence[ChartPoint], a: int, b: int) -> list[tuple[Dot, Dot]]:
    by_run: dict[int, dict[int, Dot]] = {}
    for p in points:
        if p.z is not None:
            by_run.setdefault(p.run_id, {})[p.level] = _dot(p)
    return [(run[a], run[b]) for run in by_run.values() if a in run and b in run]


def _stats(plan: QcPlan, points: Sequence[ChartPoint], *, raw: bool) -> Stats | None:
    every = plan.method == Method.IMMEDIATE  # its first two judge nothing, and belong to the twenty all the same
    kept = [p for p in points if p.value is not None and (every or p.state != "trial") and (raw or p.verdict != "out")]
    return stats([p.value for p in kept if p.value is not None])
