"""Every planted fault in a rule is caught by the project's own set of cases."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from cloud.modules.autoverify import decision
from cloud.modules.autoverify.case import Expression, Item
from tests.cloud.autoverify import mutants
from tests.cloud.autoverify.reading import build, lines, ready_for
from tests.cloud.autoverify.test_partial import CODES, PARTS

CASES = [(build(line.base, line.changes), ready_for(line.changes), line.expect) for line in lines()]
# Cases that hold catch most faults: they are tried first.
CASES.sort(key=lambda case: not case[2])
STEP = 6
LEAVING = [(case, decision.prepare(policy, CODES), failures, leaves) for case, policy, failures, leaves in PARTS]
# A rule's action, whether its expression is true, the items there, whether it holds.
HOLDS = (
    ("hold", True, "K", True),
    ("hold", False, "K", False),
    ("pass", True, "K", False),
    ("pass", False, "K", True),
    ("reflex", True, "K", True),
    ("reflex", True, "K NA", False),
    ("reflex", False, "K", False),
    ("hold", True, "K NA", True),
)


def holds(rules: Any, action: str, true: bool, codes: str) -> bool:
    """What the rules' module says of an expression with this action; a reflex adds NA."""
    rule = Expression("R", '"K" > 5', "", action, "NA" if action == "reflex" else "")
    return bool(rules._holds(rule, true, {code: Item(code, code) for code in codes.split()}))


@pytest.mark.parametrize(("action", "true", "codes", "expect"), HOLDS)
def test_whether_an_expression_holds(action: str, true: bool, codes: str, expect: bool) -> None:
    assert holds(decision, action, true, codes) is expect


def survives(mutant: mutants.Mutant) -> bool:
    """Whether every case still comes out as it must."""
    with mutants.planted(mutant) as decide:
        try:
            rules: Any = sys.modules[decide.__module__]
            return (
                all(rules.part(case, ready, failures) == leaves for case, ready, failures, leaves in LEAVING)
                and all(holds(rules, *given) is expect for *given, expect in HOLDS)
                and all(tuple(sorted(f.text for f in decide(case, ready).failures)) == expect for case, ready, expect in CASES)
            )
        except Exception:
            return False


def alive(step: int, say: Callable[[str], None]) -> list[str]:
    """The faults nobody catches, of every ``step``-th one."""
    every = [mutant for mutant in mutants.every() if str(mutant) not in mutants.EQUIVALENT]
    chosen = [m for n, m in enumerate(every) if n % step == 0 or m.where == "CHECKS"]
    left = [str(mutant) for mutant in chosen if survives(mutant)]
    caught = len(chosen) - len(left)
    say(f"{len(every)} faults can be planted, {len(chosen)} were, {caught} caught; {len(mutants.EQUIVALENT)} are no faults")
    return left


def test_planted_faults_are_caught() -> None:
    """A sixth of all, and each dropped category; ``python -m tests.cloud.autoverify.test_mutants`` plants every one (minutes)."""
    assert sum(1 for _ in mutants.every()) >= 150
    left = alive(STEP, print)
    assert left == [], "\n".join(left)


if __name__ == "__main__":
    survivors = alive(1, print)
    print("\n".join(survivors))
    sys.exit(bool(survivors))
