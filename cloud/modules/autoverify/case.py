"""What a decision looks at: one report with all its facts, and the policy of a rule set. Frozen values, to and from JSON. Pure.

A ``Case`` is stored with its decision and decides the same again (M08 R2). Decimals are unrounded unless a name says ``reported``.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, TypeVar

from cloud.expression.builtin import CONTEXT


@dataclass(frozen=True, slots=True)
class Prior:
    """An earlier released value of the same patient, item and specimen type."""

    at: datetime
    text: str
    value: Decimal | None = None
    comparator: str = ""
    method: str = ""


@dataclass(frozen=True, slots=True)
class Range:
    """Limits of automatic release, both inclusive; None: open on that side."""

    low: Decimal | None = None
    high: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """One delta rule: absolute, percent, rate, percent_rate or rcv. ``up``/``down``: allowed rise and fall, None: not judged.

    Rules of one ``group`` must all fail for the item to fail (AND); one failing group is enough (OR). ``not_evaluable``: pass or hold.
    """

    kind: str
    up: Decimal | None = None
    down: Decimal | None = None
    per: str = "d"
    cva: Decimal | None = None
    cvi: Decimal | None = None
    z: Decimal = Decimal("1.96")
    window_h: int = 168
    group: int = 1
    not_evaluable: str = "pass"


@dataclass(frozen=True, slots=True)
class Hil:
    """Haemolysis, icterus or lipaemia (``index`` H, I, L) from ``above`` on makes the item's result unsafe."""

    index: str
    above: Decimal


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the report. ``present``: there is a result; ``value`` unrounded, ``reported`` as printed.

    ``critical``: low, high, maybe or ""; ``qc``: ok, rejected, overdue, none …; ``calibration``: ok, expired, failed, none;
    ``reagent``: ok, expired, unaccepted, none; ``moving``: ok, out (patient-based control), off.
    """

    code: str
    name: str
    numeric: bool = True
    mandatory: bool = True
    present: bool = True
    text: str = ""
    value: Decimal | None = None
    reported: Decimal | None = None
    comparator: str = ""
    flag: str = ""
    interval: bool = True
    critical: str = ""
    critical_low: Decimal | None = None
    critical_high: Decimal | None = None
    holds: tuple[str, ...] = ()
    source: str = "analyzer"
    analyzer: str = ""
    run_at: datetime | None = None
    alarms: tuple[str, ...] = ()
    amr_low: Decimal | None = None
    amr_high: Decimal | None = None
    crr_high: Decimal | None = None
    dilution: Decimal = Decimal(1)
    calibration: str = "none"
    reagent: str = "none"
    lot: str = ""
    qc: str = "none"
    moving: str = "off"
    pending: tuple[str, ...] = ()
    stability_h: int | None = None
    method: str = ""
    range: Range | None = None
    deltas: tuple[Delta, ...] = ()
    hil: tuple[Hil, ...] = ()
    priors: tuple[Prior, ...] = ()
    """Newest first."""
    inputs: tuple[str, ...] = ()
    """What a calculated value was made of."""


def awaited(item: Item) -> Item:
    """The item while its result had not come."""
    return Item(item.code, item.name, item.numeric, item.mandatory, present=False, priors=item.priors)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on duty; ``covers``: authorised for the section and all items of the report."""

    user_id: int
    name: str
    covers: bool


@dataclass(frozen=True, slots=True)
class Case:
    """A whole report at the moment of its decision. ``stops``: what is suspended; ``indices``: HIL as measured."""

    specimen_id: int
    at: datetime
    items: tuple[Item, ...]
    patient_no: str = ""
    patient_name: str = ""
    sex: str = ""
    age_years: Decimal | None = None
    """Age at collection; None: neither birth date nor age text."""
    ordered: bool = True
    dept: str = ""
    ward: str = ""
    visit: str = ""
    diagnosis: str = ""
    drugs: str | None = ""
    """What the requests said of drugs that matter; None: nobody said anything, and what asks for it cannot be judged."""
    specimen_type: str = ""
    specimen_state: str = "received"
    specimen_issues: tuple[str, ...] = ()
    caveat: str = ""
    fed: bool = False
    """The request says that the patient had eaten before something that needs a fasting patient."""
    collected_at: datetime | None = None
    received_at: datetime | None = None
    indices: Mapping[str, Decimal] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    authoriser: Person | None = None
    operator: Person | None = None
    stops: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every item that must be there has a result."""
        return all(item.present or not item.mandatory for item in self.items)


def anonymous(case: Case) -> Case:
    """The same report of nobody, for what is kept or taken out: whether there is a name and a number is all that a rule reads of them."""
    no, name = "0" if case.patient_no else "", "（匿名）" if case.patient_name else ""
    return replace(case, specimen_id=0, patient_no=no, patient_name=name)


class Action(StrEnum):
    """What an expression does (M08, Rule.action). True: hold the report; hold it and measure the items once more; have another item
    added and hold until it is there; only say something. ``MUST`` (pass) the other way round: a report leaves only where it is true."""

    HOLD = "hold"
    MUST = "pass"
    RERUN = "rerun"
    REFLEX = "reflex"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True)
class Expression:
    """A rule in the expression language; the items it names decide whether it applies."""

    code: str
    source: str
    message: str = ""
    action: str = "hold"
    add: str = ""
    """The item a reflex adds."""
    whole: bool = False
    """Its level (M08, Rule.level): it speaks of the report and not only of the items it names; no part leaves where it holds."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a rule set decides (M08, RuleSet.scope): codes of analyzers and items, names of departments. An empty one: all of them."""

    analyzers: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    depts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """One sign of a contamination: beyond ``limit`` (``up``: above, else below), or changed by ``change`` % against the last value."""

    item: str
    up: bool
    limit: Decimal | None = None
    change: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A known contamination: every ``required`` item and at least ``least`` elements show it."""

    code: str
    elements: tuple[Element, ...]
    required: tuple[str, ...]
    least: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Mix-up score: an item's failed delta adds its weight, a near miss (``near`` of its limit) half; at ``threshold`` it is suspect."""

    weights: Mapping[str, Decimal] = field(default_factory=dict)
    fixed: Mapping[str, Decimal] = field(default_factory=dict)
    """Items that never change in a person (blood group): any difference adds the weight."""
    only: Mapping[str, str] = field(default_factory=dict)
    """Item → the one sex it exists in; the other sex adds the threshold."""
    threshold: Decimal = Decimal(2)
    near: Decimal = Decimal("0.8")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a rule set decides by, besides the limits that come with each item (``ranges`` and ``deltas`` here replace those)."""

    ranges: Mapping[str, Range] = field(default_factory=dict)
    deltas: Mapping[str, tuple[Delta, ...]] = field(default_factory=dict)
    logic: tuple[Expression, ...] = ()
    context: tuple[Expression, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    identity: Identity = field(default_factory=Identity)
    manual: bool = False
    """Whether values typed by hand may leave without an eye."""
    stability_h: int | None = None
    """Where the item names none; None: an item without holds."""
    pattern_days: int = 30
    """How old a value a contamination may be compared with."""
    partial: bool = False
    """Whether the items that pass may leave as a preliminary report while others are held or still to come (R1)."""
    reach: Reach = field(default_factory=Reach)
    part_after_min: int = 10
    """How long a tube with results still to come must have been quiet before its part leaves [C]: not a version for every result."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One reason to hold: category 0–14, code, item, and the figures; ``text`` as stored and listed."""

    category: int
    code: str
    item: str = ""
    figures: str = ""

    @property
    def text(self) -> str:
        """``DELTA_PCT CREA 75.0>50``."""
        return " ".join(part for part in (self.code, self.item, self.figures) if part)


T = TypeVar("T")


_PLAIN = frozenset({type(None), str, int, bool})


def to_json(value: Any) -> Any:
    """A value of this module as JSON data; what stands at its default is left out. A report of twenty items is some thousand values."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is Decimal:
        return format(value, "f")
    if kind is datetime:
        return value.isoformat()
    if kind is tuple or kind is list:
        return [to_json(v) for v in value]
    if isinstance(value, Mapping):
        return {k: to_json(v) for k, v in value.items()}
    if kind in _KEPT:
        return _kept(value)
    return _fields(value, kind)


def _fields(value: Any, kind: type) -> dict[str, Any]:
    out = {}
    for name, default in _plan(kind):
        found = getattr(value, name)
        if found is not default and found != default:
            out[name] = found if type(found) in _PLAIN else to_json(found)
    return out


_KEPT = frozenset({Delta, Range, Hil})


@lru_cache(4096)
def _kept(value: Any) -> dict[str, Any]:
    """Limits that come with an item are the same values in report after report. Nobody changes what is returned."""
    return _fields(value, type(value))


@cache
def _plan(kind: type) -> tuple[tuple[str, Any], ...]:
    """Each field of a class with its default."""
    return tuple((f.name, f.default_factory() if callable(f.default_factory) else f.default) for f in fields(kind))


def from_json(kind: type[T], data: Any) -> T:
    """The value again, exactly; raises TypeError or ValueError for data of another shape."""
    made: T = _read(kind, data)
    return made


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _read(kind: Any, data: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return None if data is None else _read(next(a for a in typing.get_args(kind) if a is not type(None)), data)
    if origin is tuple:
        return tuple(_read(typing.get_args(kind)[0], each) for each in data)
    if origin is Mapping:
        return {k: _read(typing.get_args(kind)[1], v) for k, v in data.items()}
    if is_dataclass(kind):
        hints = _hints(typing.cast(type, kind))
        if strange := set(data) - hints.keys():
            raise TypeError(f"{', '.join(sorted(strange))}")
        return kind(**{name: _read(hints[name], each) for name, each in data.items()})  # type: ignore[operator]
    if kind is Decimal:
        return _finite(Decimal(data))
    if kind is datetime:
        return _aware(datetime.fromisoformat(data))
    if kind in (str, int, bool) and type(data) is not kind:
        raise TypeError(f"{data!r}")
    return data


def _finite(number: Decimal) -> Decimal:
    # Within what expressions count in: a pasted 1e999999999 could not even be written out.
    if not number.is_finite() or abs(number.adjusted()) > CONTEXT.Emax:
        raise ValueError(f"{number}")
    return number


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment}")
    return moment
