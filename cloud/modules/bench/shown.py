"""A tube on the bench as pages, reports and rules read it: its tests with what counts, what waits, and what was before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from cloud.modules.bench import measure, pictures, rules
from cloud.modules.bench.facts import Request, Tube
from cloud.modules.bench.followup import FollowRow
from cloud.modules.bench.pictures import Print
from cloud.modules.bench.rules import TestState
from cloud.modules.catalog import queries as md
from cloud.modules.qc import queries as qc
from common import values
from common.say import say

_FUTURE = say("测定时间在未来")


@dataclass(frozen=True, slots=True)
class Shown:
    """A result version as pages and reports show it."""

    id: int
    test_id: int
    version_no: int
    source: str
    analyzer_id: int | None
    raw_text: str
    comparator: str
    value: Decimal | None
    reported_text: str
    unit: str
    flag: str
    critical: bool
    ref_text: str
    instrument_flags: list[str]
    holds: list[dict[str, Any]]
    run_at: datetime | None
    at: datetime
    entered_by: int | None
    reason: str
    released_at: datetime | None
    snapshot: dict[str, Any]

    @property
    def why(self) -> list[rules.Hold]:
        """Why it waited for a person, for a reader in any language."""
        return [rules.Hold.stored(each) for each in self.holds]

    @property
    def empty(self) -> bool:
        """Whether it says nothing that could be told."""
        return not self.reported_text

    @property
    def mark(self) -> str:
        """↑ ↓ 危↑ …"""
        return rules.mark(self.flag, self.critical)

    @property
    def alarms(self) -> list[str]:
        """The instrument's own warnings, and what the intake noticed of its clock in words."""
        return [_FUTURE if each == "future_time" else each for each in self.snapshot.get("alarm", ())]


@dataclass(frozen=True, slots=True)
class TestLine:
    """One item of one tube with what counts, what waits, and what was before."""

    __test__ = False

    id: int
    specimen_id: int
    item: md.ItemRow
    state: TestState
    version: int
    no_result_reason: str
    order_item_id: int | None
    current: Shown | None
    pending: Shown | None
    notes: list[measure.Note] = field(default_factory=list)
    follow: list[FollowRow] = field(default_factory=list)
    history: list[Past] = field(default_factory=list)

    @property
    def word(self) -> str:
        """The state in words."""
        return rules.STATE_WORDS[self.state]

    @property
    def index(self) -> bool:
        """Whether it is a serum index: shown with the tube, on no report."""
        return self.item.code.startswith(md.HIL_PREFIX)

    @property
    def waits(self) -> list[FollowRow]:
        """What is still to be done on top of it."""
        return [f for f in self.follow if f.open]

    @property
    def rerun(self) -> FollowRow | None:
        """The open rerun or confirmation."""
        return next((f for f in self.waits if f.again), None)

    @property
    def completed(self) -> bool:
        """Whether what waits is the diluted number of a value beyond the range: whoever tests chooses it, without writing why."""
        if self.rerun is None or self.rerun.kind is not measure.Kind.RERUN or self.current is None or self.pending is None:
            return False
        first, second = (values.parse(v.reported_text) for v in (self.current, self.pending))
        return measure.completes(first, second, self.rerun.dilution)

    @property
    def next_dilution(self) -> Decimal | None:
        """The dilution its hold asks to measure it at, None where it asks for none."""
        codes = {h["code"] for h in self.current.holds} if self.current is not None and self.state is TestState.HELD else set()
        if self.current is None or not codes & {"OVER_RANGE", "OVER_DILUTED"}:
            return None
        ladder = [Decimal(str(each)) for each in self.item.dilutions]
        return measure.next_step(ladder, Decimal(str(self.current.snapshot.get("dilution") or 1)), down="OVER_DILUTED" in codes)

    @property
    def by_key(self) -> bool:
        """Whether one key may accept its holds."""
        return self.pending is None and self.rerun is None and not any(n.code in measure.NOT_BY_KEY for n in self.notes)

    @property
    def suppressed(self) -> str:
        """Why its value must not be told at all; "" when it may."""
        return next((n.told or n.text for n in self.notes if n.code is measure.NoteCode.HIL_REJECT), "")

    @property
    def others(self) -> list[str]:
        """Values that came and cannot be chosen, in sentences."""
        return [n.text for n in self.notes if n.code is measure.NoteCode.ANOTHER]

    @property
    def told(self) -> list[str]:
        """What the report says beside the value."""
        return [n.told for n in self.notes if n.told and not n.holds]


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier told value of the same patient and item."""

    at: datetime
    reported_text: str
    flag: str
    critical: bool
    value: Decimal | None
    unit: str = ""
    method: str = ""
    low: Decimal | None = None
    high: Decimal | None = None
    ref_text: str = ""

    @property
    def mark(self) -> str:
        """↑ ↓ 危↑ …"""
        return rules.mark(self.flag, self.critical)


@dataclass(frozen=True, slots=True)
class Detail:
    """A tube as the bench opens it."""

    tube: Tube
    age: str
    state: str
    revision: int
    tests: list[TestLine]
    requests: list[Request]
    pictures: list[pictures.Shown] = field(default_factory=list)
    prints: list[Print] = field(default_factory=list)
    """What its report prints beside the results."""
    gates: Mapping[int, qc.Gate] = field(default_factory=dict)
    """Test id → its quality control, where the tube was opened to be looked at."""
    hidden: int = 0
    """Sensitive tests left out, because the reader may not see them."""

    @property
    def unasked(self) -> list[TestLine]:
        """Open tests whose request was cancelled or refunded a moment ago: they end with it (``ending``), nothing of them is told."""
        asked = {r.order_item_id for r in self.requests}
        mine = [t for t in self.tests if t.order_item_id is not None and t.order_item_id not in asked]
        return [t for t in mine if t.state in rules.OPEN_STATES]

    @property
    def held(self) -> list[TestLine]:
        """Tests that wait for a decision."""
        return [t for t in self.tests if t.state is TestState.HELD or t.pending is not None]

    @property
    def indices(self) -> list[TestLine]:
        """Serum indices that were measured."""
        return [t for t in self.tests if t.index and t.current is not None]

    @property
    def may_have_none(self) -> list[TestLine]:
        """Tests that may be said to have no result, first those that are held or never came: for them one asks."""
        first = {TestState.HELD: 0, TestState.EXPECTED: 1, TestState.RECEIVED: 2}
        return sorted((t for t in self.tests if t.state in first and not t.index), key=lambda t: first[t.state])

    @property
    def valueless(self) -> list[TestLine]:
        """Held tests of which the analyzer said that it has no result: mostly a whole strip of them, and one reason for all."""
        return [t for t in self.tests if t.state is TestState.HELD and t.pending is None and t.current is not None and t.current.empty]

    @property
    def unmeasured(self) -> list[TestLine]:
        """Tests nothing was said of at all: an empty tube has a whole profile of them."""
        return [t for t in self.tests if t.state is TestState.EXPECTED and t.current is None and not t.index]

    @property
    def repeatable(self) -> list[TestLine]:
        """Tests that may be measured again, first those that are held."""
        may = [t for t in self.tests if t.state in (TestState.RECEIVED, TestState.HELD) and not t.index and t.rerun is None]
        found = [t for t in may if t.current is not None and t.current.source != "calc" and t.pending is None]
        return sorted(found, key=lambda t: t.state != TestState.HELD)

    @property
    def again_at(self) -> tuple[Decimal, list[TestLine]]:
        """What a rerun begins with: the lowest dilution that a hold asks for, and the held tests that want just that one; a tube is diluted
        once for all that are measured from it."""
        held = [t for t in self.repeatable if t.state is TestState.HELD]
        factor = min((n for t in held if (n := t.next_dilution) is not None), default=None)
        return factor or Decimal(1), [t for t in held if t.next_dilution == factor]

    @property
    def rivals(self) -> int:
        """How many tests have two values to choose from."""
        return sum(t.pending is not None and t.state in rules.OPEN_STATES for t in self.tests)

    @property
    def ahead(self) -> list[TestLine]:
        """What a preliminary report could tell now, while something else of the tube is open."""
        return [t for t in self.tests if t.state is TestState.RECEIVED and not t.waits and t.pending is None and not t.index]

    @property
    def acceptable(self) -> list[TestLine]:
        """Held tests with a value and no rival: one key accepts them together."""
        alone = [t for t in self.held if t.state is TestState.HELD and t.by_key]
        return [t for t in alone if t.current is not None and t.current.reported_text]
