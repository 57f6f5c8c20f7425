"""Levey-Jennings, z and Youden charts as SVG, for the screen and for paper alike. Pure: points in, one drawing out.

A point's verdict is its shape, never only its colour: ● in control, ▲ warning, ✕ rejected, ○ left out of the statistics. Points beyond
4 SD stand at the edge with an arrow. Lines break where target or lot changed. Coordinates are user units of the viewBox.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal

from markupsafe import Markup, escape

from common.values import significant

WIDTH, LEFT, RIGHT = 1000, 78, 70
PANEL, TOP, FOOT = 176, 30, 34
SHEET, LOW = 395, 100
"""What a landscape sheet has room for at its full width, and the least a panel needs for the words of its axis."""
EDGE = Decimal(4)
FACE = "Noto Sans SC, Noto Sans CJK SC, Microsoft YaHei, sans-serif"
INK, MUTED, HIGH, WARN, ACCENT = "#1c2426", "#5f6c70", "#b3261e", "#8a5a00", "#0b6e6e"
COLOURS = (ACCENT, "#7a3e9d", "#1659b8", "#5b4a00", "#444444", "#a03060")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 4", "1 4")


@dataclass(frozen=True, slots=True)
class Dot:
    """One point. ``verdict``: ok, warn, reject or out (left out of the statistics); ``epoch`` changes with target or lot."""

    at: datetime
    level: int
    z: Decimal
    text: str
    verdict: str
    epoch: int
    note: str = ""
    lot: int = 0


@dataclass(frozen=True, slots=True)
class Panel:
    """The axis of a level and lot: its newest target in words and figures."""

    level: int
    title: str
    mean: Decimal | None
    sd: Decimal | None
    allowed: Decimal | None = None
    """Allowable total error at the target, in the item's unit: drawn as ± lines where it lies within the panel."""
    lot: int = 0
    """Two lots of one level have a panel each: one axis cannot say both their values."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened to the analyzer: a dashed line with a word."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Span:
    """The time a chart shows, in the hospital's zone."""

    start: datetime
    end: datetime
    zone: tzinfo

    def x(self, at: datetime) -> float:
        """Where a moment stands."""
        return LEFT + (WIDTH - LEFT - RIGHT) * ((at - self.start) / (self.end - self.start))


def levey_jennings(panels: Sequence[Panel], dots: Iterable[Dot], marks: Sequence[Mark], span: Span, *, paper: bool = False) -> Markup:
    """One panel a level and lot, its axis in the item's unit; for ``paper`` as low as lets the drawing have the sheet's width."""
    found = list(dots)
    each = max(LOW, min(PANEL, (SHEET - TOP - FOOT) // max(1, len(panels)))) if paper else PANEL
    height = len(panels) * each + TOP + FOOT
    body = [_marks(marks, span, TOP, height - FOOT)]
    for n, panel in enumerate(panels):
        top = TOP + n * each
        body.append(_grid(panel, top, each))
        body.append(_series([d for d in found if (d.level, d.lot) == (panel.level, panel.lot)], span, top, ACCENT, "", each))
    body.append(_days(span, height - FOOT))
    return _svg(WIDTH, height, body)


def z_chart(panels: Sequence[Panel], dots: Iterable[Dot], marks: Sequence[Mark], span: Span) -> Markup:
    """All levels on one axis of SDs; each level has its own line."""
    found = list(dots)
    height = 2 * PANEL + TOP + FOOT
    body = [_marks(marks, span, TOP, height - FOOT), _grid(Panel(0, "", None, None), TOP, 2 * PANEL)]
    for n, panel in enumerate(panels):
        colour, dash = COLOURS[n % len(COLOURS)], DASHES[n % len(DASHES)]
        body.append(_series([d for d in found if d.level == panel.level], span, TOP, colour, dash, 2 * PANEL))
        x = LEFT + n * 170
        body.append(_line(x, 12, x + 34, 12, colour, 2, dash))
        body.append(_text(x + 40, 16, panel.title, colour))
    body.append(_days(span, height - FOOT))
    return _svg(WIDTH, height, body)


def youden(pairs: Sequence[tuple[Dot, Dot]], names: tuple[str, str]) -> Markup:
    """Two levels of a run against each other: near the diagonal is systematic error, away from it random error."""
    size, low, high = 460, 46, 430

    def at(z: Decimal) -> float:
        return low + (high - low) * float((_clip(z) + EDGE) / (2 * EDGE))

    body = [
        _rect(at(Decimal(-k)), size - at(Decimal(k)), at(Decimal(k)) - at(Decimal(-k)), c) for k, c in ((3, HIGH), (2, WARN), (1, MUTED))
    ]
    body += [_line(at(-EDGE), size - at(-EDGE), at(EDGE), size - at(EDGE), MUTED, 1, "3 4")]
    body += [
        _line(low, size - at(Decimal(0)), high, size - at(Decimal(0)), INK, 1),
        _line(at(Decimal(0)), size - low, at(Decimal(0)), size - high, INK, 1),
    ]
    for a, b in pairs:
        worst = "reject" if "reject" in (a.verdict, b.verdict) else "warn" if "warn" in (a.verdict, b.verdict) else a.verdict
        body.append(_shape(at(a.z), size - at(b.z), worst, ACCENT, f"{a.text} / {b.text}"))
    body += [_text(size / 2 - 40, size - 8, f"{names[0]} z", MUTED), _text(4, 24, f"{names[1]} z", MUTED)]
    body += [_text(at(Decimal(k)) - 6, size - 28, f"{k:+d}", MUTED) for k in (-3, -2, 2, 3)]
    return _svg(size, size, body)


@dataclass(frozen=True, slots=True)
class Smoothed:
    """A patient-based value at the end of an hour, and of how many patients that hour."""

    at: datetime
    value: Decimal
    n: int
    out: bool


def moving(points: Sequence[Smoothed], limits: tuple[Decimal, Decimal], span: Span) -> Markup:
    """Patients' smoothed values hour by hour between their limits: the middle is the middle of the limits, ✕ is beyond one."""
    low, high = limits
    middle, third = (low + high) / 2, (high - low) / 6
    height = PANEL + TOP + FOOT
    body = [_text(LEFT - 8, _y(Decimal(k), TOP) + 4, _short(middle + k * third), INK, "end") for k in (-3, 0, 3)]
    for k, colour, dash in ((-3, HIGH, ""), (0, INK, "2 3"), (3, HIGH, "")):
        body.append(_line(LEFT, _y(Decimal(k), TOP), WIDTH - RIGHT, _y(Decimal(k), TOP), colour, 1.2, dash))
        body.append(_text(WIDTH - RIGHT + 6, _y(Decimal(k), TOP) + 4, {-3: "下限", 0: "中线", 3: "上限"}[k], MUTED))
    dots = [Dot(p.at, 1, (p.value - middle) / third, _short(p.value), "reject" if p.out else "ok", 0, f"n={p.n}") for p in points]
    body.append(_series(dots, span, TOP, ACCENT, "", said_z=False))
    body.append(_days(span, height - FOOT))
    return _svg(WIDTH, height, body)


# --- pieces ---------------------------------------------------------------------------------------------------------


def _svg(width: int, height: int, body: Iterable[Markup]) -> Markup:
    head = Markup('<svg xmlns="http://www.w3.org/2000/svg" class="{}" viewBox="0 0 {} {}" role="img" font-family="{}" font-size="12">')
    return head.format("lj square" if width == height else "lj", width, height, FACE) + Markup("").join(body) + Markup("</svg>")


def _clip(z: Decimal) -> Decimal:
    return max(-EDGE, min(EDGE, z))


def _y(z: Decimal, top: int, height: int = PANEL) -> float:
    """Where z stands in a panel: 4 SD at its edges, a little air between panels."""
    middle, half = top + height / 2, (height - 26) / 2
    return middle - half * float(_clip(z) / EDGE)


def _grid(panel: Panel, top: int, height: int = PANEL) -> Markup:
    out = []
    styles = {0: (INK, 1.4, ""), 1: ("#c9d2d4", 1, "2 3"), 2: (WARN, 1, "6 3"), 3: (HIGH, 1.2, "")}
    for k in range(-3, 4):
        colour, width, dash = styles[abs(k)]
        y = _y(Decimal(k), top, height)
        out.append(_line(LEFT, y, WIDTH - RIGHT, y, colour, width, dash))
        if k % 3 and (height - 26) / 8 < 13:
            continue  # lines closer than their words are high: only the middle and ±3 SD are named
        out.append(_text(WIDTH - RIGHT + 6, y + 4, "x̄" if k == 0 else f"{k:+d}SD", MUTED))
        if panel.mean is not None and panel.sd is not None:
            out.append(_text(LEFT - 8, y + 4, f"{_short(panel.mean + k * panel.sd)}", INK if k == 0 else MUTED, "end"))
    if panel.allowed is not None and panel.sd and panel.allowed / panel.sd <= EDGE:
        for z in (panel.allowed / panel.sd, -panel.allowed / panel.sd):
            y = _y(z, top, height)
            out.append(_line(LEFT, y, WIDTH - RIGHT, y, COLOURS[1], 1.2, "9 3 2 3"))
            base = clear_of(y, [_y(Decimal(k), top, height) for k in range(-3, 4)])
            # Where lines stand closer than the word is high, the word stands in front of one.
            out.append(Markup('<rect x="{}" y="{:.1f}" width="32" height="12" fill="#fff"/>').format(WIDTH - RIGHT - 34, base - 10))
            # At the right: the panel's title stands at the left.
            out.append(_text(WIDTH - RIGHT - 33, base, f"{'+' if z > 0 else '−'}TEa", COLOURS[1]))
    if panel.title:
        out.append(_text(LEFT, top + 10, panel.title, INK))
    return Markup("").join(out)


def clear_of(y: float, lines: Sequence[float]) -> float:
    """Where a word beside the line at ``y`` stands: above it, or below it where only there no other line runs through the word."""
    above, below = y - 3, y + 12
    free = [base for base in (above, below) if not any(base - 11 < line < base + 2 for line in lines)]
    return free[0] if free else above


def _short(number: Decimal) -> str:
    """As precise as target and SD are written; long ones at five significant digits."""
    said = f"{number:f}"
    return said if len(said) <= 7 else significant(number, 5)


def _series(dots: Sequence[Dot], span: Span, top: int, colour: str, dash: str, height: int = PANEL, *, said_z: bool = True) -> Markup:
    ordered = sorted(dots, key=lambda d: d.at)
    out = []
    for a, b in zip(ordered, ordered[1:], strict=False):
        if a.epoch == b.epoch:
            out.append(_line(span.x(a.at), _y(a.z, top, height), span.x(b.at), _y(b.z, top, height), colour, 1.2, dash))
    for d in ordered:
        x, y = span.x(d.at), _y(d.z, top, height)
        z = f"  z={d.z:.2f}" if said_z else ""
        said = f"{d.at.astimezone(span.zone):%m-%d %H:%M}  {d.text}{z}  {d.note}".rstrip()
        out.append(_shape(x, y, d.verdict, colour, said))
        if not said_z:
            continue
        if abs(d.z) > EDGE:
            out.append(_text(x + 7, y + (10 if d.z > 0 else -2), f"{'↑' if d.z > 0 else '↓'}{d.z:.1f}SD", HIGH))
        elif d.verdict == "reject" and d.note:
            out.append(_text(x + 7, y - 5, d.note, HIGH))
    return Markup("").join(out)


def _shape(x: float, y: float, verdict: str, colour: str, said: str) -> Markup:
    if verdict == "reject":
        shape = Markup('<path d="M{0:.1f} {1:.1f}l9 9m0 -9l-9 9" stroke="{2}" stroke-width="2.6" fill="none">').format(
            x - 4.5, y - 4.5, HIGH
        )
        return shape + _said(said) + Markup("</path>")
    if verdict == "warn":
        shape = Markup('<path d="M{0:.1f} {1:.1f}l5.5 9.5h-11z" fill="#fff4dc" stroke="{2}" stroke-width="1.8">').format(x, y - 6, WARN)
        return shape + _said(said) + Markup("</path>")
    fill = "#ffffff" if verdict == "out" else colour
    return (
        Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.6" fill="{}" stroke="{}">').format(x, y, fill, colour)
        + _said(said)
        + Markup("</circle>")
    )


def _said(text: str) -> Markup:
    return Markup("<title>{}</title>").format(text)


def _marks(marks: Sequence[Mark], span: Span, top: int, bottom: int) -> Markup:
    out = []
    for n, mark in enumerate(m for m in marks if span.start <= m.at < span.end):
        x = span.x(mark.at)
        out.append(_line(x, top - 4, x, bottom, "#7a3e9d", 1, "4 4"))
        out.append(_text(min(x + 3, WIDTH - 150), top - 6 - 12 * (n % 2), f"▼{mark.text}"[:24], "#7a3e9d"))
    return Markup("").join(out)


def _days(span: Span, y: int) -> Markup:
    """A tick a day, every other one named; many days are thinned out."""
    days = max(1, round((span.end - span.start) / timedelta(days=1)))
    step = 1 if days <= 16 else 2 if days <= 31 else -(-days // 16)
    out = [_line(LEFT, y, WIDTH - RIGHT, y, MUTED, 1)]
    for k in range(0, days, step):
        at = span.start + timedelta(days=k)
        out.append(_line(span.x(at), y, span.x(at), y + 5, MUTED, 1))
        out.append(_text(span.x(at), y + 18, f"{at.astimezone(span.zone):{'%m-%d' if k == 0 or days > 31 else '%d'}}", MUTED, "middle"))
    return Markup("").join(out)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float, dash: str = "") -> Markup:
    dashes = Markup(' stroke-dasharray="{}"').format(dash) if dash else ""
    made = Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}" stroke-width="{}"{}/>')
    return made.format(x1, y1, x2, y2, colour, width, dashes)


def _rect(x: float, y: float, size: float, colour: str) -> Markup:
    return Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="none" stroke="{}"/>').format(x, y, size, size, colour)


def _text(x: float, y: float, words: str, colour: str, anchor: str = "start") -> Markup:
    head = Markup('<text x="{:.1f}" y="{:.1f}" fill="{}" text-anchor="{}">').format(x, y, colour, anchor)
    return head + _raised(words) + Markup("</text>")


_POWER = re.compile(r"10[\^*](-?[0-9]+)")


def _raised(words: str) -> Markup:
    """10^9/L as everywhere else, ×10⁹/L: the raised digits are drawn small and higher, the CJK faces have none of their own."""
    first, *rest = _POWER.split(words)
    out = [escape(first)]
    for power, after in zip(rest[::2], rest[1::2], strict=True):
        out.append(Markup('×10<tspan dy="-4" font-size="9">{}</tspan><tspan dy="4">{}</tspan>').format(power, after))
    return Markup("").join(out)
