"""Rules of what arrives from instruments (M07 R4, RELIABILITY R3, R4): a repeat, a rerun's answer, another value, a late one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from cloud.modules.bench.rules import OPEN_STATES, TOLD_STATES, Hold, TestState
from common.say import say

S = TestState


@dataclass(frozen=True, slots=True)
class Incoming:
    """One result for one item of one tube, as the intake hands it over.

    ``seq`` orders messages of one ``stream`` (RELIABILITY R4); without it the order of arrival counts. ``no_result`` marks what the
    instrument sent instead of a value ("----"). ``holds`` are the intake's own reasons to look (e.g. ID_MISMATCH). ``factor`` and
    ``offset`` are those of the channel (M02). ``taken_at``: when the agent took it from the instrument, however late it came here.
    """

    specimen_id: int
    item_id: int
    observation_id: int | None
    analyzer_id: int | None
    raw_text: str
    unit: str | None = None
    flags: tuple[str, ...] = ()
    run_at: datetime | None = None
    stream: str | None = None
    seq: int | None = None
    no_result: bool = False
    holds: tuple[Hold, ...] = ()
    factor: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)
    taken_at: datetime | None = None


class Outcome(StrEnum):
    """What became of one Incoming; the intake sets the observation's state from it."""

    RECORDED = "recorded"
    HELD = "held"
    REPEAT = "repeat"
    LATE = "late"  # the report is out: kept beside it, for a person to decide
    NOT_ORDERED = "not_ordered"
    NO_VALUE = "no_value"  # "-----" beside a value that is there already
    REFUSED = "refused"  # tube cancelled, rejected, or item cancelled


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answer for one Incoming, in the order given."""

    observation_id: int | None
    outcome: Outcome
    test_id: int | None = None
    version_id: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """A version a test already has."""

    version_no: int
    analyzer_id: int | None
    source: str
    raw_text: str
    reported_text: str
    unit: str
    run_at: datetime | None
    at: datetime
    stream: str | None = None
    seq: int | None = None


SOONEST_RERUN = timedelta(seconds=60)
"""[C] No analyzer measures again faster than this; a resend after a lost acknowledgement comes within it (LIS01: 15 s to an answer)."""


WHOLE_MINUTE = timedelta(seconds=60)


def answers_rerun(asked_at: datetime | None, taken_at: datetime) -> bool:
    """Whether what an instrument said then can be what a rerun asked for: asked, and long enough before."""
    return asked_at is not None and taken_at - asked_at >= SOONEST_RERUN


def measured_before(asked_at: datetime, run_at: datetime | None, taken_at: datetime, first_run_at: datetime | None = None) -> bool:
    """Whether a value was measured before the question and only came after it: another value, never the rerun's answer.

    By the run's own time where it is known, else by when it was taken from the instrument. Analyzers that say whole minutes get that
    much; a run no later than the first value's by the same clock (``first_run_at``) is before the question however wrong that clock is.
    """
    if run_at is None:
        return taken_at < asked_at
    if first_run_at is not None and run_at <= first_run_at:
        return True
    return run_at < asked_at - WHOLE_MINUTE


def same_measurement(known: Known, new: Incoming, at: datetime, window: timedelta, rerun: bool = False) -> bool:
    """The same clinical key and value (R3): a repeat that must not show twice.

    Where the instrument sends no run time, the same value inside the analyzer's resend window counts as the same run, unless it is the
    answer to a ``rerun``: the same value twice is what a good rerun gives.
    """
    if known.source != "analyzer" or known.analyzer_id != new.analyzer_id or known.raw_text.strip() != new.raw_text.strip():
        return False
    if known.run_at is not None and new.run_at is not None:
        return known.run_at == new.run_at
    return not rerun and abs(at - known.at) <= window


def equal_value(known: Known, reported_text: str, unit: str) -> bool:
    """The same reported value in the same unit."""
    return known.reported_text == reported_text and known.unit == unit


def is_older(known: Known, new: Incoming) -> bool:
    """True when the newcomer was sent before what is known: it may join the history, never become current (R4)."""
    return known.stream is not None and known.stream == new.stream and None not in (known.seq, new.seq) and new.seq < known.seq  # type: ignore[operator]


def differs_hold(old: str, new: str) -> Hold:
    """R3: another value for the same item is a new version, held."""
    return Hold("DIFFERENT", say("同一项目先后得到两个结果：{old} 与 {new}，请选用其中一个。", old=old, new=new))


@dataclass(frozen=True, slots=True)
class Decision:
    """What a newcomer does to its test: whether it is written, counts, and how the test stands afterwards."""

    outcome: Outcome
    state: TestState
    current: bool = False
    other_waits: bool = False
    holds: tuple[Hold, ...] = ()

    @property
    def written(self) -> bool:
        """Whether a new version is kept."""
        return self.outcome in (Outcome.RECORDED, Outcome.HELD, Outcome.LATE)


def decide(
    state: TestState,
    known: Sequence[Known],
    current: Known | None,
    new: Incoming,
    reported_text: str,
    unit: str,
    holds: tuple[Hold, ...],
    at: datetime,
    window: timedelta,
    asked: bool = False,
    rerun: bool = False,
    follow: str = "",
) -> Decision:
    """R3 and R4 for one result from an instrument: a repeat writes nothing, another value is a held version, nothing is overwritten.

    ``asked``: a rerun was asked for; then an equal value is an answer too, and the first one counts until somebody chose. ``rerun``: so
    long before that this can be its answer. ``follow``: the state of an open rerun, whose first value stays; once its answer waits beside
    that (back), what comes takes neither one's place: nobody knows whether it was diluted.
    """
    if state is S.CANCELLED:
        return Decision(Outcome.REFUSED, state)
    if any(same_measurement(each, new, at, window, rerun) for each in known):
        return Decision(Outcome.REPEAT, state)
    if asked and state in OPEN_STATES and current is not None and current.reported_text:
        return Decision(Outcome.HELD, S.HELD, other_waits=True, holds=(*holds, rerun_hold(current.reported_text, reported_text)))
    if current is not None and equal_value(current, reported_text, unit):
        return Decision(Outcome.REPEAT, state)
    if state in TOLD_STATES or state is S.RECALLED:
        return Decision(Outcome.LATE, state, other_waits=True, holds=(*holds, late_hold(reported_text)))
    # A value after "-----" is the first value.
    if current is None or not current.reported_text:
        return Decision(Outcome.HELD if holds else Outcome.RECORDED, S.HELD if holds else S.RECEIVED, current=True, holds=holds)
    older = is_older(current, new)
    stays = older or bool(follow) or current.source == "manual"
    old, late = (reported_text, current.reported_text) if older else (current.reported_text, reported_text)
    return Decision(Outcome.HELD, S.HELD, current=not stays, other_waits=follow != "back", holds=(*holds, differs_hold(old, late)))


def rerun_hold(first: str, second: str) -> Hold:
    """Both values of a rerun stand side by side until one is chosen."""
    return Hold("RERUN", say("首次 {first}，复查 {second}，请选用其中一个并写明理由。", first=first, second=second))


def late_hold(value: str) -> Hold:
    """A value that came after its report was told."""
    return Hold("LATE", say("报告发布后又收到结果 {value}。如需更改，请修改报告；否则写明原因后忽略。", value=value))


INFORMATIVE_FLAGS = frozenset({"", "N", "H", "L", "HH", "LL", "A", "AA", ">", "<", "U", "D", "B", "W", "NEG", "POS"})


def alarm_flags(flags: Iterable[str]) -> tuple[str, ...]:
    """The instrument's flags that say more than high or low: shown with a sign, never swallowed."""
    return tuple(flag for flag in flags if flag.strip().upper() not in INFORMATIVE_FLAGS)
