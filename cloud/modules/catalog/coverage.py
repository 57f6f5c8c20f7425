"""Which reference interval applies to whom, over the whole of life: what the coverage map draws, and the gaps it shows. Pure.

A life is cut at every age limit of the rows; between two cuts the choice is the same, so one look at the start of each piece tells it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from cloud.modules.catalog.rules import SEX_WORDS, Age, AgeUnit, Interval, NoInterval, Subject, choose
from common.say import Said, say

# Hours of a mean year and month (Gregorian), so that 12 months are a year and a limit in any unit has its place on one axis.
YEAR, MONTH, DAY = 8766, 730.5, 24
LIFE = 110 * YEAR
SEXES = ("M", "F")


@dataclass(frozen=True, slots=True)
class Piece:
    """From ``start`` to before ``end`` (hours after birth) one choice: an interval, or the reason why none."""

    start: int
    end: int
    found: Interval | NoInterval

    @property
    def text(self) -> Said:
        """The ages in words, in the unit they are spoken in."""
        return say("{young}–{old}", young=age_of(self.start).text(), old="" if self.end >= LIFE else age_of(self.end).text())


@dataclass(frozen=True, slots=True)
class Lane:
    """One line of the map: a sex under given conditions, from birth to the end of life."""

    sex: str
    subject: Subject
    pieces: tuple[Piece, ...]


def age_of(hours: int) -> Age:
    """The age so many hours after birth, by mean months."""
    months = int(hours / MONTH)
    return Age(hours, hours // DAY, months, months // 12)


def hours_of(count: int, unit: str) -> int:
    """The first hour of an age."""
    factor = {AgeUnit.HOUR: 1, AgeUnit.DAY: DAY, AgeUnit.MONTH: MONTH, AgeUnit.YEAR: YEAR}[AgeUnit(unit)]
    return ceil(count * factor)


def lanes(intervals: Sequence[Interval], method: str | None = None) -> list[Lane]:
    """A lane a sex for people without special conditions, and for every analyzer or specimen that has rows of its own."""
    conditions = {(None, None)} | {(each.analyzer_id, each.specimen_type_id) for each in intervals}
    cuts = sorted({0, LIFE, *(hours for each in intervals for hours in _limits(each) if hours < LIFE)})
    out = []
    for analyzer_id, specimen_id in sorted(conditions, key=lambda pair: (pair[0] or 0, pair[1] or 0)):
        for sex in SEXES:
            subject = Subject(None, sex, specimen_id, analyzer_id, method)
            out.append(Lane(sex, subject, tuple(_pieces(intervals, subject, cuts))))
    general = [each for each in out if each.subject.analyzer_id is None and each.subject.specimen_type_id is None]
    # Where every row belongs to a specimen or an analyzer, the lane without one says nothing.
    own = [each for each in out if each not in general]
    empty = all(not isinstance(piece.found, Interval) for each in general for piece in each.pieces)
    return own if own and empty else out


def _limits(interval: Interval) -> list[int]:
    return [hours_of(each, interval.age_unit) for each in (interval.age_low, interval.age_high) if each is not None]


def _pieces(intervals: Sequence[Interval], subject: Subject, cuts: Sequence[int]) -> list[Piece]:
    out: list[Piece] = []
    for start, end in zip(cuts, cuts[1:], strict=False):
        found = choose(intervals, replace(subject, age=age_of(start)))
        if out and out[-1].found == found:
            out[-1] = replace(out[-1], end=end)
        else:
            out.append(Piece(start, end, found))
    return out


def gaps(intervals: Sequence[Interval], method: str | None = None) -> list[Said]:
    """Who has no interval, in words (男 0小时–18岁); empty when everybody has one."""
    found = [(each.sex, piece.text) for each in lanes(intervals, method) for piece in each.pieces if not isinstance(piece.found, Interval)]
    return list(dict.fromkeys(say("{sex} {ages}", sex=SEX_WORDS[sex], ages=text) for sex, text in found))


# The axis gives each part of life the room its rows need: 72 h, 28 d, 24 months, 18 years, the rest.
_AXIS = ((0, 0.0), (72, 0.10), (28 * DAY, 0.22), (2 * YEAR, 0.40), (18 * YEAR, 0.62), (LIFE, 1.0))
TICKS = (
    *((0, say("出生")), (72, say("{n}小时", n=72)), (28 * DAY, say("{n}天", n=28)), (ceil(6 * MONTH), say("{n}月", n=6))),
    *((n * YEAR, say("{n}岁", n=n)) for n in (2, 6, 12, 18, 40, 60, 80)),
)


def place(hours: int) -> float:
    """Where an age stands on the axis, 0 to 1."""
    for (low, a), (high, b) in zip(_AXIS, _AXIS[1:], strict=False):
        if hours <= high:
            return a + (b - a) * (hours - low) / (high - low)
    return 1.0
