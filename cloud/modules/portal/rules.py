"""Rules of the portal: whose patients a clinician sees without a reason, and what is drawn in a trend (M15)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from common.values import significant

TREND_POINTS = 20


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "portal:read"


class Show(StrEnum):
    """Filters of the clinician's list."""

    ALL = "all"
    UNREAD = "unread"
    CORRECTED = "corrected"
    ABNORMAL = "abnormal"
    CRITICAL = "critical"


def treats(own_places: Collection[str], patient_places: Iterable[str]) -> bool:
    """R1: a treating relation is a ward or department shared with one of the patient's visits."""
    own = {p for p in own_places if p}
    return any(p in own for p in patient_places if p)


@dataclass(frozen=True, slots=True)
class Point:
    """One told value of an item. ``method`` keeps unlike methods apart."""

    at: datetime
    value: Decimal
    text: str
    mark: str = ""
    method: str = ""
    low: Decimal | None = None
    high: Decimal | None = None


def lines(points: Sequence[Point]) -> list[list[Point]]:
    """The points as unbroken stretches, oldest first: the line breaks where the method changed (R3, AC-CL-2)."""
    out: list[list[Point]] = []
    for point in sorted(points, key=lambda p: p.at)[-TREND_POINTS:]:
        if out and out[-1][-1].method == point.method:
            out[-1].append(point)
        else:
            out.append([point])
    return out


@dataclass(frozen=True, slots=True)
class Drawn:
    """A point in the picture's coordinates."""

    x: float
    y: float
    point: Point


@dataclass(frozen=True, slots=True)
class Picture:
    """A trend ready to be drawn as SVG; the band is the newest interval."""

    stretches: list[list[Drawn]]
    band: tuple[float, float] | None
    ticks: list[tuple[float, str]]
    breaks: list[float]


WIDTH, HEIGHT, PAD = 640.0, 220.0, 34.0


def draw(points: Sequence[Point]) -> Picture | None:
    """Scale points into a 640 × 220 picture; None when there is nothing to draw."""
    stretches = lines(points)
    every = [p for s in stretches for p in s]
    if not every:
        return None
    low, high = every[-1].low, every[-1].high
    shown = [p.value for p in every] + [v for v in (low, high) if v is not None]
    bottom, top = min(shown), max(shown)
    margin = (top - bottom) / 10 or abs(top) / 10 or Decimal(1)
    bottom, top = bottom - margin, top + margin

    def y(value: Decimal) -> float:
        return round(HEIGHT - PAD - float((value - bottom) / (top - bottom)) * (HEIGHT - 2 * PAD), 1)

    first, span = every[0].at, (every[-1].at - every[0].at).total_seconds()

    def x(at: datetime) -> float:
        share = (at - first).total_seconds() / span if span else 0.5
        return round(PAD + 14 + share * (WIDTH - 2 * PAD - 14), 1)

    placed = [[Drawn(x(p.at), y(p.value), p) for p in s] for s in stretches]
    band = None
    if low is not None or high is not None:
        band = (y(high) if high is not None else PAD / 2, y(low) if low is not None else HEIGHT - PAD)
    step = (top - bottom) / 4
    ticks = [(y(v), significant(v, 4)) for v in (bottom + step * k for k in range(5))]
    breaks = [round((a[-1].x + b[0].x) / 2, 1) for a, b in zip(placed, placed[1:], strict=False)]
    return Picture(placed, band, ticks, breaks)
