"""Which rules of a set its validation cases meet: each expression both where it holds and where it does not, each pattern where it shows
(M08 R5). Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cloud.expression import NotCalculable, Program
from cloud.modules.autoverify.case import Case, Pattern
from cloud.modules.autoverify.decision import Ready, Verdict, environment
from cloud.modules.autoverify.rules import Uncovered
from cloud.modules.autoverify.variants import COVERED, Expected

CLEAN = "干净的报告"
"""What lets every rule pass: the name of the case variants make of it."""
SPOKEN = {10: "LOGIC", 11: "CONTEXT"}


@dataclass(frozen=True, slots=True)
class Met:
    """A case that came out as it must."""

    case: Case
    verdict: Verdict
    expected: Expected


def uncovered(ready: Ready, cases: Sequence[Met], codes: Collection[str]) -> Uncovered:
    """``codes``: the items in use; a pattern of items this laboratory does not have can never show and is not asked for."""
    shown = {(f.category, f.code, f.item) for m in cases if m.expected.reason for f in m.verdict.failures if m.expected.names(f.text)}
    held = {(category, item) for category, code, item in shown if code == SPOKEN.get(category)}
    rules = [(n, rule.code, program) for n, some in ((10, ready.logic), (11, ready.context)) for rule, program in some]
    holds = [code for n, code, _ in rules if (n, code) not in held]
    holds += [p.code for p in ready.policy.patterns if possible(p, codes) and (13, p.code, "") not in shown]
    passes = [code for n, code, program in rules if not any(_silent(m, n, code, program) for m in cases)]
    if not any(m.verdict.released for m in cases):
        passes.insert(0, CLEAN)
    return Uncovered(COVERED - {category for category, *_ in shown}, tuple(holds), tuple(passes))


def possible(pattern: Pattern, codes: Collection[str]) -> bool:
    """Whether a tube of these items could ever show it."""
    there = {e.item for e in pattern.elements} & set(codes)
    return len(there) >= pattern.least and set(pattern.required) <= there


def _silent(met: Met, category: int, code: str, program: Program) -> bool:
    """Whether the rule was judged in the case and let it pass."""
    if any(f.category == category and f.item == code for f in met.verdict.failures):
        return False
    return judged(met.case, program)


def judged(case: Case, program: Program) -> bool:
    """Whether a rule could be judged in a case at all: its items have results and it came to an answer."""
    items = {item.code: item for item in case.items if item.present}
    return program.references <= items.keys() and not isinstance(program.evaluate(environment(case, items)), NotCalculable)


__all__ = ["Met", "Uncovered", "judged", "possible", "uncovered"]
