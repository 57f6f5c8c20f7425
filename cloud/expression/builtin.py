"""Comparison, logic and the built-in functions. ``<0.5`` compared with 0.9 is true; where a limit cannot tell, there is no value."""

from __future__ import annotations

import decimal
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cloud.expression.program import Env, Given, Run, Stop, limit_of
from cloud.expression.types import Cause, Kind, NotCalculable
from common.values import Value

# 40 digits: far more than any quantity has; a bounded exponent, so that no text can make us compute for minutes.
CONTEXT = decimal.Context(
    prec=40,
    Emax=400,
    Emin=-400,
    rounding=decimal.ROUND_HALF_EVEN,
    traps=[decimal.DivisionByZero, decimal.InvalidOperation, decimal.Overflow],
)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "≤": operator.le,
    ">": operator.gt,
    "≥": operator.ge,
    "=": operator.eq,
    "≠": operator.ne,
}
_MIRROR = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}


def truth(value: Any) -> bool:
    """A condition's value."""
    return value is True


Look = Callable[[Env], Given]


def compare(sign: str, left: tuple[Run, Look | None], right: tuple[Run, Look | None]) -> Run:
    """A comparison; a side that is a plain reference or name (``Look`` gives it unread) may be a limit, decided where every value it
    allows gives the same answer."""
    test = _OPERATORS[sign]

    def run(env: Env) -> bool:
        a = None if left[1] is None else limit_of(left[1](env))
        b = None if right[1] is None else limit_of(right[1](env))
        known = None
        if a is not None and b is None:
            known = limit_compare(a[1], a[0], sign, right[0](env))
        elif b is not None and a is None:
            known = limit_compare(b[1], b[0], _MIRROR.get(sign, sign), left[0](env))
        # Reading a limit as a number says that it is none.
        return test(left[0](env), right[0](env)) if known is None else known

    return run


def limit_compare(comparator: str, limit: Decimal, sign: str, other: Decimal) -> bool | None:
    """Whether ``x sign other`` for every x that ``comparator limit`` allows; None when it depends on x."""
    if comparator in (">", "≥"):
        return limit_compare(_MIRROR[comparator], -limit, _MIRROR.get(sign, sign), -other)
    below = limit < other or (limit == other and comparator == "<")  # every x < other
    at_most = limit <= other  # every x ≤ other
    if sign == "<":
        return True if below else None
    if sign == "≤":
        return True if at_most else None
    if sign == ">":
        return False if at_most else None
    if sign == "≥":
        return False if below else None
    return (sign == "≠") if below else None


def logic(any_of: bool, runs: Sequence[Run]) -> Run:
    """and / or: one decisive side decides, even when the other has no value; otherwise what is missing is said."""

    def run(env: Env) -> bool:
        why: Stop | None = None
        for each in runs:
            try:
                if truth(each(env)) is any_of:
                    return any_of
            except Stop as stop:
                why = why or stop
        if why is not None:
            raise why
        return not any_of

    return run


@dataclass(frozen=True, slots=True)
class Built:
    """A built-in function: how many arguments, of what kind, what it yields, and how it is made of them."""

    low: int
    high: int | None
    param: Kind
    returns: Kind
    make: Callable[[Sequence[Run]], Run]


def _choose(pick: Callable[[Sequence[Decimal]], Decimal]) -> Callable[[Sequence[Run]], Run]:
    return lambda runs: lambda env: pick([each(env) for each in runs])


def _one(function: Callable[[Decimal], Decimal], name: str) -> Callable[[Sequence[Run]], Run]:
    def apply(number: Decimal) -> Decimal:
        try:
            return function(number)
        except decimal.Overflow:
            raise Stop(NotCalculable(Cause.OVERFLOW)) from None
        except decimal.DecimalException:
            raise Stop(NotCalculable(Cause.DOMAIN, name)) from None

    return lambda runs: lambda env: apply(runs[0](env))


def _ln(number: Decimal) -> Decimal:
    if number <= 0:
        raise decimal.InvalidOperation
    return CONTEXT.ln(number)


def _known(given: Given) -> bool:
    return given is not None and not isinstance(given, NotCalculable) and not (isinstance(given, Value) and given.missing)


def _grade(env: Env, code: str) -> Decimal:
    given = env.refs.get(code)
    if not _known(given):
        raise Stop(NotCalculable(Cause.MISSING, code))
    if not isinstance(given, Value) or given.grade is None:
        raise Stop(NotCalculable(Cause.NOT_NUMERIC, code))
    return Decimal(given.grade)


BUILTIN: dict[str, Built] = {
    "min": Built(1, None, Kind.NUMBER, Kind.NUMBER, _choose(min)),
    "max": Built(1, None, Kind.NUMBER, Kind.NUMBER, _choose(max)),
    "abs": Built(1, 1, Kind.NUMBER, Kind.NUMBER, _one(abs, "abs")),
    "ln": Built(1, 1, Kind.NUMBER, Kind.NUMBER, _one(_ln, "ln")),
    "has": Built(1, 1, Kind.REF, Kind.BOOL, lambda runs: lambda env: _known(env.refs.get(runs[0](env)))),
    "grade": Built(1, 1, Kind.REF, Kind.NUMBER, lambda runs: lambda env: _grade(env, runs[0](env))),
}
