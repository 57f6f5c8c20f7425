"""Validation cases made from one clean report: each breaks one category, and what must come out is known by how it was broken. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from cloud.expression.program import Program
from cloud.modules.autoverify.case import Case, Delta, Identity, Item, Pattern, Prior, awaited
from cloud.modules.autoverify.decision import Ready, Verdict, decide

COVERED = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14})
"""Categories every set has; 10 and 11 exist when the set has such expressions."""


PART = "PART"


@dataclass(frozen=True, slots=True)
class Expected:
    """What must come out of a case: a ``reason`` among those found (``code item``; none: released), and the items that may leave before
    the rest (none of them: nothing; None: not said)."""

    reason: str = ""
    part: tuple[str, ...] | None = None

    @classmethod
    def of(cls, stored: Sequence[str]) -> Expected:
        """As kept with a case: ``["QC K", "PART NA CL"]``."""
        reasons = [each for each in stored if each.split()[:1] != [PART]]
        parts = [tuple(each.split()[1:]) for each in stored if each.split()[:1] == [PART]]
        return cls(reasons[0] if reasons else "", parts[0] if parts else None)

    def stored(self) -> list[str]:
        """The other way round."""
        return ([self.reason] if self.reason else []) + ([] if self.part is None else [" ".join((PART, *self.part))])

    def names(self, reason: str) -> bool:
        """Whether a reason found is the one that must be there: the same, or beginning with it."""
        return reason == self.reason or reason.startswith(self.reason + " ")

    def met_by(self, verdict: Verdict, partial: bool) -> bool:
        """Whether a verdict is what must come out; parts count where the set allows them."""
        if partial and self.part is not None and set(self.part) != set(verdict.cleared):
            return False
        return any(self.names(f.text) for f in verdict.failures) if self.reason else verdict.released


@dataclass(frozen=True, slots=True)
class Made:
    """A case and what must come out of it."""

    name: str
    case: Case
    expected: Expected


FACTORS = tuple(Decimal(f) for f in ("0.01", "0.1", "0.3", "0.6", "1.5", "3", "10", "100"))
"""What values are multiplied by until a logic rule speaks."""


def variants(clean: Case, ready: Ready) -> Iterator[Made]:
    """One case a category, and one an expression, from a report that passes; nothing from one without a number of an analyzer."""
    policy = ready.policy
    numbers = [i for i in clean.items if i.present and i.numeric and i.source == "analyzer" and i.value is not None and not i.comparator]
    if not numbers:
        return
    one = numbers[0]
    rest = _others(clean, one.code)
    yield Made("干净的报告", clean, Expected())
    yield Made("1 没有年龄", replace(clean, age_years=None), Expected("DEMOG", ()))
    yield Made("1 无参考区间", _with(clean, replace(one, interval=False)), Expected(f"NO_RI {one.code}", rest))
    yield Made("2 让步接收", replace(clean, caveat="让步接收"), Expected("CAVEAT", ()))
    yield Made("2 未空腹", replace(clean, fed=True), Expected("FED", ()))
    yield Made("3 仪器报警", _with(clean, replace(one, alarms=("ALARM",))), Expected(f"FLAG {one.code}", rest))
    yield Made("4 校准过期", _with(clean, replace(one, calibration="expired")), Expected(f"CAL_EXPIRED {one.code}", rest))
    yield Made("4 试剂未验证", _with(clean, replace(one, reagent="unaccepted")), Expected(f"REAGENT_UNACCEPTED {one.code}", rest))
    yield Made("5 质控失控", _with(clean, replace(one, qc="rejected")), Expected(f"QC {one.code}", rest))
    yield Made("6 超测量范围", _with(clean, replace(one, amr_high=_less(one))), Expected(f"AMR {one.code}", rest))
    # No range, the set's own or the catalog's, reaches past a critical limit: a limit below the value puts it outside of any.
    yield Made("7 超自动审核范围", _with(clean, replace(one, critical_high=_less(one))), Expected(f"AV_RANGE {one.code}"))
    yield Made("8 危急值", _with(clean, replace(one, critical="high")), Expected(f"CRITICAL {one.code}", ()))
    if one.code not in policy.deltas:
        moved = replace(one, deltas=(Delta("absolute", Decimal(0), Decimal(0)),), priors=(_prior(one, clean),))
        yield Made("9 差值", _with(clean, moved), Expected(f"DELTA_ABS {one.code}"))
    yield Made("12 待复查", _with(clean, replace(one, pending=("rerun",))), Expected(f"PENDING {one.code}", rest))
    yield Made("13 血型改变", _with_group(clean, policy.identity), Expected("ID_SUSPECT", ()))
    yield Made("14 无人值班", replace(clean, authoriser=None), Expected("AUTH_NONE", ()))
    yield Made("停用", replace(clean, stops=("验证用例",)), Expected("STOPPED", ()))
    yield from _late(clean, ready)
    for n, code, rules in ((10, "LOGIC", ready.logic), (11, "CONTEXT", ready.context)):
        for rule, program in rules:
            expected = Expected(f"{code} {rule.code}")
            tries = _tries(clean, program, rule.source)
            broken = next((c for c in tries if expected.met_by(decide(c, ready), False)), None)
            if broken is not None:  # an expression that needs more than this gets its case from a person
                yield Made(f"{n} {rule.code}", broken, expected)
                yield Made(f"{n} {rule.code} 不触发", clean, Expected())
    for pattern in policy.patterns:
        shown = _contaminated(clean, one, pattern)
        if Expected(pattern.code).met_by(decide(shown, ready), False):
            yield Made(f"13 {pattern.code}", shown, Expected(pattern.code, ()))


def _contaminated(clean: Case, one: Item, pattern: Pattern) -> Case:
    """The report with every sign of a contamination; items that were not asked for are put beside it."""
    at = one.run_at or clean.at
    for sign in pattern.elements:
        had = next((i for i in clean.items if i.code == sign.item), replace(one, code=sign.item, name=sign.item))
        if sign.limit is not None:
            value = sign.limit + max(abs(sign.limit) / 10, Decimal("0.1")) * (1 if sign.up else -1)
            shown = replace(had, value=value, reported=value, text=f"{value:f}")
        else:
            change = (sign.change or Decimal(0)) / 100 * Decimal("1.1") * (1 if sign.up else -1)
            value = had.value if had.value else Decimal(100)
            shown = replace(had, value=value, priors=(Prior(at - timedelta(hours=1), "", value / (1 + change), "", had.method),))
        rest = tuple(i for i in clean.items if i.code != sign.item)
        clean = replace(clean, items=(*rest, replace(shown, comparator="", present=True, numeric=True)))
    return clean


def _others(clean: Case, *codes: str) -> tuple[str, ...]:
    """The items that have nothing to do with these: neither they nor calculated from them."""
    gone = set(codes)
    while more := {i.code for i in clean.items if gone & set(i.inputs)} - gone:
        gone |= more
    return tuple(i.code for i in clean.items if i.code not in gone)


def _late(clean: Case, ready: Ready) -> Iterator[Made]:
    """One item is not there yet: what nothing compares with it leaves, what a rule compares with it waits."""
    policy = ready.policy
    about_tube = {e.item for p in policy.patterns for e in p.elements} | {*policy.identity.weights, *policy.identity.fixed}
    about_tube |= set(policy.identity.only)
    programs = [program.references for _, program in (*ready.logic, *ready.context, *ready.acting)]
    free = [i for i in clean.items if i.code not in about_tube]
    alone = [i for i in free if not any(i.code in named for named in programs)]
    for name, item in (("1 一项未出", alone[-1:]), ("1 逻辑相关项目未出", [i for i in free if i not in alone][:1])):
        for late in item:
            with_it = {code for named in programs if late.code in named for code in named}
            case = _with(clean, replace(awaited(late), mandatory=True))
            yield Made(name, case, Expected(f"MISSING {late.code}", _others(clean, late.code, *with_it)))


def _tries(clean: Case, program: Program, source: str) -> Iterator[Case]:
    """The report with values far off, one item or two against each other, and with the words that an expression asks for."""
    items = [i for i in clean.items if i.code in program.references and i.numeric and i.value is not None]
    words = re.findall(r"'([^']*)'", source)
    told = replace(clean, diagnosis=" ".join(words), drugs=" ".join(words))
    starts = [told] if words else [clean]
    starts += [replace(told, **{name: word}) for name in ("dept", "ward", "visit", "sex") if name in program.names for word in words]
    starts += [replace(told, age_years=Decimal(a)) for a in ("0.01", "10", "120") if "age" in program.names]
    if "prev(" in source:
        changed = [replace(i, priors=(Prior(clean.at - timedelta(days=1), "1", i.value * 3, "", i.method),)) for i in items if i.value]
        starts += [_with(start, one) for start in starts for one in changed]
    for start in starts:
        yield start
        for item, factor in itertools.product(items, FACTORS):
            yield _with(start, _scaled(item, factor))
        for (a, b), factor in itertools.product(itertools.permutations(items, 2), FACTORS):
            yield _with(_with(start, _scaled(a, factor)), _scaled(b, 1 / factor))


def _scaled(item: Item, factor: Decimal) -> Item:
    value = (item.value or Decimal(0)) * factor
    return replace(item, value=value, reported=value, text=f"{value:f}")


def _with(case: Case, changed: Item) -> Case:
    return replace(case, items=tuple(changed if i.code == changed.code else i for i in case.items))


def _less(item: Item) -> Decimal:
    return (item.value or Decimal(0)) - Decimal("0.001")


def _prior(item: Item, case: Case) -> Prior:
    value = (item.value or Decimal(0)) + 1
    return Prior((item.run_at or case.at) - timedelta(days=1), f"{value:f}", value, "", item.method)


def _with_group(case: Case, identity: Identity) -> Case:
    code = next(iter(identity.fixed), "ABO")
    at = case.items[0].run_at or case.at
    group = Item(code, code, numeric=False, text="A", source="calculated", run_at=at, stability_h=1000000, priors=(Prior(at, "B"),))
    return replace(case, items=(*case.items, group))
