"""A report in, a decision out: every category is evaluated, every failure listed, in an order that explains. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from cloud.expression import Cause, Env, Function, Kind, NotCalculable, Program, Symbol, Symbols, compile
from cloud.modules.autoverify import categories, mixup
from cloud.modules.autoverify.case import Action, Case, Expression, Failure, Item, Policy
from common.values import Value, ValueKind

Check = Callable[[Case, Policy], Iterable[Failure]]
CHECKS: tuple[Check, ...] = (
    categories.reach,
    categories.complete,
    categories.specimen,
    categories.analyzer,
    categories.validity,
    categories.quality,
    categories.range_settled,
    categories.limits,
    categories.critical,
    categories.changes,
    categories.pending,
    categories.identity,
    categories.authorised,
)
"""What the set decides at all, then categories 1–9 and 12–14; 10 and 11 are the expressions of the rule set."""
NAMES = {
    "sex": Symbol(Kind.TEXT, choices={"M": "M", "男": "M", "F": "F", "女": "F"}, label="性别"),
    "age": Symbol(label="年龄"),
    "dept": Symbol(Kind.TEXT, label="科室"),
    "ward": Symbol(Kind.TEXT, label="病区"),
    "visit": Symbol(Kind.TEXT, label="就诊类型"),
    "diagnosis": Symbol(Kind.TEXT, label="诊断"),
    "drugs": Symbol(Kind.TEXT, label="用药"),
}
FUNCTIONS = {"prev": Function((Kind.REF,)), "said": Function((Kind.TEXT,), Kind.BOOL)}
"""``prev("K")``: the last released value; ``said('华法林')``: diagnosis or drugs contain the word."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A policy with its expressions compiled; immutable, kept and shared."""

    policy: Policy
    logic: tuple[tuple[Expression, Program], ...]
    context: tuple[tuple[Expression, Program], ...]
    acting: tuple[tuple[Expression, Program], ...] = ()
    """Expressions that do more than hold, or something else (actions.py)."""

    @property
    def messages(self) -> dict[str, str]:
        """Code of each expression → its own words."""
        return {e.code: e.message for e in (*self.policy.logic, *self.policy.context)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say: nothing failed, or all that did."""

    failures: tuple[Failure, ...]
    cleared: tuple[str, ...] = ()
    """Where not the whole may leave: the items that may, in the report's order, if the set allows a part (R1)."""

    @property
    def released(self) -> bool:
        """Whether the report may leave by itself."""
        return not self.failures


def symbols(codes: Mapping[str, bool]) -> Symbols:
    """What an expression may name: items (code → numeric), the patient's names, ``prev`` and ``said``."""
    return Symbols({c: Symbol(Kind.NUMBER if n else Kind.TEXT, label=c) for c, n in codes.items()}, NAMES, FUNCTIONS)


def prepare(policy: Policy, codes: Mapping[str, bool]) -> Ready:
    """Compile the policy's expressions; raises ExpressionError naming position and token."""
    known = symbols(codes)
    logic, context = (tuple((e, compile(e.source, known, Kind.BOOL)) for e in each) for each in (policy.logic, policy.context))
    acting = tuple(each for each in (*logic, *context) if each[0].action not in (Action.HOLD, Action.MUST))
    holds = [tuple(each for each in some if each[0].action != Action.COMMENT) for some in (logic, context)]
    return Ready(policy, holds[0], holds[1], acting)


def decide(case: Case, ready: Ready) -> Verdict:
    """Evaluate everything. Stops come first, then suspicions about the tube, then the rest by category."""
    failures = [Failure(0, "STOPPED", "", stop) for stop in case.stops]
    for check in CHECKS:
        failures += check(case, ready.policy)
    failures += _expressions(case, ready)
    return Verdict(tuple(sorted(failures, key=_order)), part(case, ready, failures))


WHOLE = frozenset({0, 8, 13, 14})
"""Categories that speak of the tube and not of one item: stops, critical values, identity or contamination, who answers for it."""


def part(case: Case, ready: Ready, failures: Iterable[Failure]) -> tuple[str, ...]:
    """The items that may leave although others are held or still to come (R1): none where the set does not allow it, where anything speaks
    against the whole tube or still could, or where it cannot be said which item a failure means. A calculated value stays with what it is
    made of, and what a rule compares with an item that is not there yet waits for it."""
    held: set[str] = set()
    # By category too: a hospital's rule and one of the set may have one code and name other items.
    both = ((10, ready.logic), (11, ready.context))
    rules = {(n, rule.code): () if rule.whole else program.references for n, some in both for rule, program in some}
    for failure in failures:
        named = rules.get((failure.category, failure.item), ()) if failure.category in (10, 11) else {failure.item} - {""}
        if failure.category in WHOLE or not named:
            return ()
        held |= set(named)
    coming = [item for item in case.items if not item.present]
    if not ready.policy.partial or not held or (coming and mixup.may_turn(case, ready.policy, coming)):
        return ()
    late = {item.code for item in coming}
    for _, program in (*ready.logic, *ready.context, *ready.acting):
        if program.references & late:
            held |= program.references
    present = [item for item in case.items if item.present]
    for _ in present:  # no calculation stands on more steps than there are items
        held |= {item.code for item in present if held & set(item.inputs)}
    return tuple(item.code for item in present if item.code not in held)


def _order(failure: Failure) -> int:
    return {0: 0, 13: 1}.get(failure.category, failure.category + 1)


def _expressions(case: Case, ready: Ready) -> list[Failure]:
    items = {item.code: item for item in case.items if item.present}
    env = environment(case, items)
    out = []
    for category, code, rules in ((10, "LOGIC", ready.logic), (11, "CONTEXT", ready.context)):
        for rule, program in rules:
            if not program.references <= items.keys():
                continue  # an item that nobody ordered or that has no result: the rule does not apply
            found = program.evaluate(env)
            if isinstance(found, NotCalculable):
                if not _previous_is_missing(found):
                    out.append(Failure(category, f"{code}_NE", rule.code, found.text))
            elif _holds(rule, found is True, items):
                out.append(Failure(category, code, rule.code))
    return out


def _holds(rule: Expression, true: bool, items: Mapping[str, Item]) -> bool:
    """Whether an expression that could be judged keeps the report: true ones do, what must be so to pass when it is not; a reflex only
    until the item it adds has its result."""
    if rule.action == Action.MUST:
        return not true
    return true and not (rule.action == Action.REFLEX and rule.add in items)


def _previous_is_missing(found: NotCalculable) -> bool:
    """No earlier value is no fault of this report."""
    return found.cause is Cause.MISSING and found.subject.startswith("prev")


def environment(case: Case, items: Mapping[str, Item]) -> Env:
    """What expressions may name, with the values of a report."""

    def prev(code: str) -> Decimal | NotCalculable:
        item = items.get(code)
        prior = item.priors[0] if item is not None and item.priors else None
        if prior is None or prior.value is None:
            return NotCalculable(Cause.MISSING, f"prev {code}")
        # "<0.5" is no 0.5: what cannot be compared holds, where an earlier value that is not there does not.
        return NotCalculable(Cause.CENSORED, f"prev {code}") if prior.comparator else prior.value

    def said(word: str) -> bool | NotCalculable:
        if word in f"{case.diagnosis} {case.drugs or ''}":
            return True
        return NotCalculable(Cause.MISSING, "用药信息") if case.drugs is None else False

    names = {"sex": case.sex or None, "age": case.age_years, "dept": case.dept, "ward": case.ward, "visit": case.visit}
    names |= {"diagnosis": case.diagnosis, "drugs": case.drugs}
    return Env({code: _value(item) for code, item in items.items()}, names, {"prev": prev, "said": said})


def _value(item: Item) -> Value:
    kind = ValueKind.TEXT if item.value is None else ValueKind.NUMBER
    return Value(item.text, kind, item.text, item.comparator, item.value)
