"""The file of a temperature logger that travelled in a bag: read as makers write it, cut to the way, drawn. Pure.

Makers differ: an index column or none, date and time in one cell or two, comma, semicolon or tab, head and foot lines, a unit in the cell.
A line counts when it has a time and, after it, a temperature; the others are head and foot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from cloud.modules.specimens.bag_rules import Reading, temperature
from common.say import Said, say

MOST_BYTES = 1_000_000
MOST_POINTS = 240
ZONE = ZoneInfo("Asia/Shanghai")
SLACK = timedelta(minutes=2)
"""A logger's clock against ours."""
_DATE = r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})"
_TIME = r"(\d{1,2}):(\d{2})(?::(\d{2}))?"
_DAY, _CLOCK, _BOTH = re.compile(_DATE + "$"), re.compile(_TIME + "$"), re.compile(f"{_DATE}[T ]+{_TIME}(?:\\.\\d+)?$")
Point = tuple[datetime, Decimal]


class Unreadable(ValueError):
    """Why a file is no reading of this bag's way, in words."""

    def __init__(self, words: Said) -> None:
        super().__init__(words)
        self.words = words


def read(data: bytes) -> list[Point]:
    """All readings, oldest first; times on the hospital's clock. Raises Unreadable."""
    if len(data) > MOST_BYTES:
        raise Unreadable(say("文件超过 1 MB，不像温度记录，请核对。"))
    points = [point for line in _text(data).splitlines() if (point := _point(line)) is not None]
    if len(points) < 2:
        raise Unreadable(say("文件里没有读到温度：每行须有时间（如 2026-05-04 08:10）和其后的温度。请导出为 CSV 后再上传。"))
    return sorted(points)


def _text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("gb18030", "replace")


def _point(line: str) -> Point | None:
    cells = [cell.strip().strip('"') for cell in re.split(r"[,;\t]", line)]
    for n, cell in enumerate(cells):
        found, rest = _BOTH.match(cell), cells[n + 1 :]
        if found is None and _DAY.match(cell) and rest and _CLOCK.match(rest[0]):
            found, rest = _BOTH.match(f"{cell} {rest[0]}"), rest[1:]
        if found is not None:
            at = _at([int(part or 0) for part in found.groups()])
            values = [v for each in rest if (v := temperature(each)) is not None]
            return (at, values[0]) if at is not None and values else None
    return None


def _at(parts: Sequence[int]) -> datetime | None:
    try:
        return datetime(parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], tzinfo=ZONE)
    except ValueError:
        return None


def on_the_way(points: Sequence[Point], sent: datetime, opened: datetime) -> list[Point]:
    """The readings between the ward and the desk: what the logger did in its drawer is nobody's concern. Raises Unreadable for none."""
    found = [p for p in points if sent - SLACK <= p[0] <= opened + SLACK]
    if not found:
        first, last = (f"{p[0].astimezone(ZONE):%m-%d %H:%M}" for p in (points[0], points[-1]))
        way = f"{sent.astimezone(ZONE):%m-%d %H:%M}～{opened.astimezone(ZONE):%m-%d %H:%M}"
        raise Unreadable(
            say(
                "文件中的时间（{first}～{last}）不在这一袋的运送时间（{way}）内，请核对文件和记录仪的时钟。",
                first=first,
                last=last,
                way=way,
            )
        )
    return found


def span(points: Sequence[Point]) -> Reading:
    """Lowest and highest."""
    return Reading(min(t for _, t in points), max(t for _, t in points))


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most about so many, each stretch's lowest and highest among them: no excursion is smoothed away."""
    if len(points) <= most:
        return list(points)
    size = -(-len(points) * 2 // most)
    out: list[Point] = []
    for start in range(0, len(points), size):
        part = points[start : start + size]
        out += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return out


@dataclass(frozen=True, slots=True)
class Curve:
    """A picture of 640 × 140: the line, the allowed band (top, height), the points outside, and what stands beside the axes."""

    line: str
    band: tuple[float, float]
    outside: tuple[tuple[float, float], ...]
    top: Decimal
    bottom: Decimal
    first: datetime
    last: datetime


WIDTH, HEIGHT = 640, 140


def drawn(points: Sequence[Point], allowed: Reading) -> Curve | None:
    """The curve; None where there is nothing to draw."""
    if len(points) < 2:
        return None
    shown = span(points)
    bottom, top = min(shown.low, allowed.low) - 1, max(shown.high, allowed.high) + 1
    start, whole = points[0][0], (points[-1][0] - points[0][0]).total_seconds() or 1

    def x(at: datetime) -> float:
        return round((at - start).total_seconds() / whole * WIDTH, 1)

    def y(value: Decimal) -> float:
        return round(float((top - value) / (top - bottom)) * HEIGHT, 1)

    out = tuple((x(at), y(t)) for at, t in points if not allowed.low <= t <= allowed.high)
    above, below = y(allowed.high), y(allowed.low)
    return Curve(" ".join(f"{x(at)},{y(t)}" for at, t in points), (above, round(below - above, 1)), out, top, bottom, start, points[-1][0])
