"""The project's own set of cases: no false release, the clean ones leave, and each planted fault in a rule is caught."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from cloud.modules.autoverify import delta
from cloud.modules.autoverify.case import Case, Failure, Policy, from_json, to_json
from cloud.modules.autoverify.decision import Ready, decide, prepare
from cloud.modules.autoverify.words import _WORDS, explain, short
from cloud.modules.qc.rules import GateState
from tests.cloud.autoverify.reading import Line, build, codes, lines, policy, ready_for

LINES = lines()


def found(line: Line) -> tuple[str, ...]:
    return tuple(sorted(failure.text for failure in decide(build(line.base, line.changes), ready_for(line.changes)).failures))


AC = [line for line in LINES if line.name.startswith("AC-")]


@pytest.mark.parametrize("line", AC, ids=lambda line: "ac_" + line.name[3:].lower().replace("-", "_"))
def test_example_of_the_specification(line: Line) -> None:
    assert found(line) == line.expect


def test_every_case_comes_out_with_exactly_its_reasons() -> None:
    wrong = [f"{line.name}: {found(line)} instead of {line.expect}" for line in LINES if found(line) != line.expect]
    assert wrong == [], "\n".join(wrong)


def test_set_is_large_names_are_unique_and_every_category_is_met_both_ways() -> None:
    assert len(LINES) >= 300
    assert len({line.name for line in LINES}) == len(LINES)
    held = {failure.category for line in LINES for failure in decide(build(line.base, line.changes), ready_for(line.changes)).failures}
    assert held == set(range(15))


OF_THE_SERVICE = {
    "ENGINE": "what decides fell over: no case makes it do so",
    "REVALIDATE": "stands at the rule set, not in the case",
}
"""Reasons that ``decide`` never gives: ``deciding`` adds them, and its tests bring them out."""


def test_every_reason_with_words_is_brought_out_by_the_set_and_every_one_brought_out_has_words() -> None:
    held = {failure.code for line in LINES for failure in decide(build(line.base, line.changes), ready_for(line.changes)).failures}
    assert held == _WORDS.keys() - OF_THE_SERVICE.keys() | set(delta.CODES.values())


def test_false_release_is_zero_and_clean_cases_leave(record_property: Callable[[str, object], None]) -> None:
    must_hold = [line for line in LINES if line.expect]
    clean = [line for line in LINES if line.clean]
    released = {line.name for line in LINES if not found(line)}
    false_release = [line.name for line in must_hold if line.name in released]
    share = sum(line.name in released for line in clean) / len(clean)
    said = f"{len(LINES)} cases: {len(must_hold)} to hold, false release {len(false_release)}; {len(clean)} clean, {share:.1%} released"
    record_property("figure", f"autoverification, {said}")
    assert false_release == [] and share >= 0.95


_AGAIN: dict[int, Ready] = {}


def again_of(made: Policy) -> Ready:
    if id(made) not in _AGAIN:
        _AGAIN[id(made)] = prepare(from_json(Policy, to_json(made)), codes())
    return _AGAIN[id(made)]


def test_a_stored_case_and_policy_decide_the_same_again() -> None:
    for line in LINES:
        ready = ready_for(line.changes)
        again = again_of(ready.policy)
        assert again.policy == ready.policy
        case = build(line.base, line.changes)
        stored = from_json(Case, to_json(case))
        assert stored == case
        assert decide(stored, again) == decide(case, ready)


def test_every_reason_has_its_sentence_in_both_languages() -> None:
    messages = {rule.code: rule.message for rule in (*policy().logic, *policy().context)}
    for line in LINES:
        for failure in decide(build(line.base, line.changes), ready_for(line.changes)).failures:
            said = explain(failure, {"K": "钾"}, messages)
            assert "；" in said.zh and ";" in said.en and "{" not in said.zh + said.en
            assert said.code == failure.text


def test_how_qc_stands_is_said_in_words() -> None:
    for state in (*GateState, "none"):
        if state != GateState.OPEN:
            said = explain(Failure(5, "QC", "K", str(state)), {"K": "钾"})
            assert said.zh.isascii() is False and not re.search("（[a-z_]+）", said.zh) and "_" not in said.en, said


def test_counts_of_reasons_are_words_without_gaps() -> None:
    for code in ("STOPPED", "QC", "AV_RANGE", "CRITICAL", "MANUAL", "FLAG", "DELTA_X", "SOME_RULE"):
        for english in (False, True):
            assert short(code, english) and not set("{}") & set(short(code, english)), code
