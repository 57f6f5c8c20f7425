"""Compiled expressions: what names they may use, what an evaluation is given, and how inputs are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from cloud.expression.types import Cause, Kind, NotCalculable, Result
from common.values import Value, ValueKind


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name or a quoted reference: its kind, its unit as declared (UCUM, "" = none), and how it is called in sentences.

    ``choices`` of a TEXT symbol: what may be compared with it → what is meant (``{"M": "M", "男": "M"}``); empty = anything.
    """

    kind: Kind = Kind.NUMBER
    unit: str = ""
    label: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Function:
    """A function the caller provides; ``params`` are checked when compiling, ``required`` of them must be given."""

    params: tuple[Kind, ...]
    returns: Kind = Kind.NUMBER
    required: int | None = None


@dataclass(frozen=True, slots=True)
class Symbols:
    """All a text may name: ``refs`` in double quotes (item codes), ``names`` bare, ``functions`` besides the built-in ones."""

    refs: Mapping[str, Symbol] = field(default_factory=dict)
    names: Mapping[str, Symbol] = field(default_factory=dict)
    functions: Mapping[str, Function] = field(default_factory=dict)


Given = Value | Decimal | int | str | bool | NotCalculable | None


@dataclass(frozen=True, slots=True)
class Env:
    """What one evaluation is given; absent = missing, never 0. ``functions`` get evaluated arguments (the name for REF parameters)."""

    refs: Mapping[str, Given] = field(default_factory=dict)
    names: Mapping[str, Given] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., Given]] = field(default_factory=dict)


class Stop(Exception):
    """Carries the cause out of an evaluation that ends without a value."""

    def __init__(self, why: NotCalculable) -> None:
        super().__init__(why.cause)
        self.why = why


Run = Callable[[Env], Any]


@dataclass(frozen=True, slots=True)
class Program:
    """A checked expression. ``references``: quoted names it reads, ``names``: bare ones, ``units``: of the references."""

    source: str
    kind: Kind
    references: frozenset[str]
    names: frozenset[str]
    units: Mapping[str, str]
    run: Run = field(repr=False, compare=False)

    def evaluate(self, env: Env) -> Result:
        """The value, or why there is none. Never raises for data."""
        try:
            result: Result = self.run(env)
        except Stop as stop:
            return stop.why
        return result

    def unusable_input(self, env: Env, labels: Mapping[str, str] | None = None) -> NotCalculable | None:
        """The first quoted input that is missing, no number or only a limit, whether or not this evaluation would reach it (M02)."""
        for code in sorted(self.references):
            try:
                read_value(env.refs.get(code), Kind.NUMBER, (labels or {}).get(code, code))
            except Stop as stop:
                return stop.why
        return None


def read_value(given: Given, kind: Kind, label: str) -> Any:
    """An input as the kind the expression needs; raises Stop with the cause."""
    if isinstance(given, NotCalculable):
        raise Stop(given)
    if given is None or (isinstance(given, Value) and given.missing):
        raise Stop(NotCalculable(Cause.MISSING, label))
    if kind is Kind.TEXT:
        return given.text if isinstance(given, Value) else str(given)
    if kind is Kind.BOOL:
        return bool(given)
    if isinstance(given, Value):
        if given.number is None:
            raise Stop(NotCalculable(Cause.NOT_NUMERIC, label))
        if given.comparator:
            raise Stop(NotCalculable(Cause.CENSORED, label))
        return given.number
    if isinstance(given, bool) or not isinstance(given, Decimal | int):
        raise Stop(NotCalculable(Cause.NOT_NUMERIC, label))
    return Decimal(given)


def limit_of(given: Given) -> tuple[Decimal, str] | None:
    """Number and comparator of a limit such as ``<0.5``; None for anything else."""
    if isinstance(given, Value) and given.kind in (ValueKind.NUMBER, ValueKind.TITRE) and given.comparator and given.number is not None:
        return given.number, given.comparator
    return None
