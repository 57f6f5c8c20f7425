"""What follows when values of a tube change: formulas run, serum indices speak about other items, results set off others (R3, R5).

Works on the locked tube in memory; the caller writes tests and tube back. Doing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import text

from cloud.expression import Cause, Env, ExpressionError, NotCalculable, Program, compile
from cloud.expression import Kind as Typed
from cloud.modules.bench import followup, measure
from cloud.modules.bench.calculate import calculate, exact
from cloud.modules.bench.followup import FollowRow
from cloud.modules.bench.measure import Action, Index, IndexRule, Kind, Note, NoteCode
from cloud.modules.bench.past import last_told
from cloud.modules.bench.rows import NewVersion, TestRow, VersionRow
from cloud.modules.bench.rules import TestState
from cloud.modules.catalog import queries as md
from common import values
from common.say import say
from common.values import Value

if TYPE_CHECKING:
    from cloud.modules.bench.record import Work

_JUDGED = frozenset({TestState.RECEIVED, TestState.HELD, TestState.REVIEWED})
_SETTLED = frozenset({TestState.RECEIVED, TestState.REVIEWED})


def settle(work: Work, specimen_ids: Iterable[int]) -> list[NewVersion]:
    """Run all of it for these tubes; the new calculated versions."""
    ids = list(specimen_ids)
    new = calculate(work, ids)
    for i in ids:
        if work.catalog.hil_limits:
            interfere(work, i)
        if work.catalog.reflex_rules:
            reflect(work, i)
    return new


# --- serum indices ---------------------------------------------------------------------------------------------------


def interfere(work: Work, specimen_id: int) -> None:
    """Judge every item of the tube by its indices: comment, hold, or not told at all; formulas stand on what may be told."""
    tests = {work.catalog.items[t.item_id].code: t for t in work.by_tube.get(specimen_id, ())}
    measured = {index: tests.get(f"{md.HIL_PREFIX}{index.value}") for index in Index}
    indices = {index: n for index, test in measured.items() if test is not None and (n := _number(work, test)) is not None}
    # An index that was asked of the analyzer and did not come holds; one that is still coming is waited for by autoverification.
    silent = any(t is not None and t.state != TestState.EXPECTED and i not in indices for i, t in measured.items())
    rejected: dict[str, str] = {}
    for code, test in tests.items():
        current = work.current.get(test.id)
        if TestState(test.state) not in _JUDGED or current is None or code.startswith(md.HIL_PREFIX):
            continue
        limits = work.catalog.hil_limits.get(test.item_id, ())
        found = measure.interference(code, indices, _rules(code, limits), silent and bool(limits))
        key = f"{current.id}:" + ",".join(f"{i.value}{n:f}" for i, n in sorted(indices.items()))
        told = next((row.message for row in limits if row.message), "")
        _beside(work, test, measure.beside(measure.notes_from(test.notes), found, key, told))
        if found.action is Action.REJECT:
            rejected[code] = work.catalog.items[test.item_id].name
    for formula in work.catalog.calculations if rejected else ():
        code = work.catalog.items[formula.item_id].code
        names = [rejected[i] for i in formula.inputs if i in rejected]
        if names and code in tests and TestState(tests[code].state) in _JUDGED:
            words = say("所用的{items}因标本性状不能报告。", items=names)
            _beside(work, tests[code], [Note(NoteCode.HIL_REJECT, words, words)])


def _rules(code: str, limits: Iterable[md.HilRow]) -> list[IndexRule]:
    out = []
    for row in limits:
        out.append(IndexRule(code, Index(row.index_kind), row.above, Action(row.action), row.direction))
        if row.reject_above is not None:
            out.append(IndexRule(code, Index(row.index_kind), row.reject_above, Action.REJECT, row.direction))
    return out


def _number(work: Work, test: TestRow) -> Decimal | None:
    current = work.current.get(test.id)
    return None if current is None else values.parse(current.known.reported_text).number


def _beside(work: Work, test: TestRow, notes: list[Note]) -> None:
    """Put the notes beside the test; a hold they bring or take away moves it."""
    stored = [n.to_json() for n in notes]
    held = any(n.holds for n in measure.notes_from(test.notes))
    if stored != test.notes:
        test.notes, test.dirty = stored, True
    if any(n.holds for n in notes) and test.state != TestState.HELD:
        test.state, test.dirty = TestState.HELD.value, True
    elif held and not any(n.holds for n in notes) and test.state == TestState.HELD and _free(work, test):
        test.state, test.dirty = TestState.RECEIVED.value, True


def _free(work: Work, test: TestRow) -> bool:
    """Nothing else holds it."""
    current = work.current.get(test.id)
    return current is not None and not current.held and test.pending_id is None and work.rerun_of(test) is None


# --- reflex ----------------------------------------------------------------------------------------------------------

_programs: dict[tuple[object, ...], Program | None] = {}


def reflect(work: Work, specimen_id: int) -> None:
    """Ask for what the tube's standing results set off, each rule once a tube, with its reason; what is added holds the tube until then."""
    tests = {work.catalog.items[t.item_id].code: t for t in work.by_tube.get(specimen_id, ())}
    stand = {code for code, t in tests.items() if TestState(t.state) in _SETTLED and t.id in work.current}
    before = work.follow.get(specimen_id, [])
    for rule in work.catalog.reflex_rules:
        known = any(f.rule == rule.code and (f.open or rule.action != Kind.CONFIRM.value) for f in before)
        if known:
            continue
        program = _program(work, rule)
        if program is None or not program.references or not program.references <= stand:
            continue
        if program.evaluate(_environment(work, specimen_id, tests)) is not True:
            continue
        triggers = [tests[code] for code in sorted(program.references)]
        depth = 1 + max((f.depth for f in before if f.item_id in {t.item_id for t in triggers}), default=0)
        wanted = work.catalog.items[rule.item_id]
        target = tests.get(wanted.code)
        if rule.action == Kind.CONFIRM.value and target is not None and _confirmed(work, target):
            continue
        on_tube = target is not None and target.state != TestState.CANCELLED
        kind = measure.reflex_kind(rule.action, depth, on_tube, known, rule.authority == "standing")
        if kind is None:
            continue
        said = "，".join(f"{work.catalog.items[t.item_id].name} {work.current[t.id].known.reported_text}" for t in triggers)
        reason = f"{wanted.name}（{rule.name}：{said}）" + (rule.message or "")
        ask(
            work,
            target if kind in measure.AGAIN and target is not None else triggers[0],
            rule.item_id,
            kind,
            reason,
            rule=rule.code,
            depth=depth,
        )


def ask(
    work: Work, test: TestRow, item_id: int, kind: Kind, reason: str, *, dilution: Decimal = Decimal(1), rule: str = "", depth: int = 0
) -> FollowRow:
    """Ask for a rerun, an added item or a confirmation: one row, its audit entry and its event; the test waits."""
    uow, current = work.uow, work.current.get(test.id)
    row = FollowRow(
        0, test.specimen_id, test.id, item_id, kind, "asked", rule, depth, reason[:300], dilution, None if current is None else current.id,
        None, uow.now, uow.actor.user_id, uow.actor.name,
    )  # fmt: skip
    tube = work.tubes[test.specimen_id]
    followup.insert(uow, row, tube.section_id)
    work.follow.setdefault(test.specimen_id, []).append(row)
    test.dirty = True
    if row.again and test.state in (TestState.RECEIVED, TestState.REVIEWED):
        test.state = TestState.HELD.value
    if kind is Kind.CONFIRM:
        words = say("{what}之前不得报告：{reason}", what=measure.KIND_WORDS[kind], reason=reason)
        test.notes = [*test.notes, Note(NoteCode.CONFIRM, words).to_json()]
    item = work.catalog.items[item_id]
    after = {"item": item.name, "kind": kind.value, "rule": rule, "dilution": f"{dilution:f}"}
    uow.audit("specimen", test.specimen_id, "bench:follow_up", after=after, reason=reason[:300])
    payload = {
        "follow_id": row.id,
        "specimen_id": test.specimen_id,
        "item_id": item_id,
        "dilution": f"{dilution:f}",
        "reason": reason[:300],
    }
    # The analyzers hear of a rerun, the specimens of an item that shall be added.
    if row.again:
        uow.emit("result.rerun", tube.barcode, payload)
    elif kind is Kind.ADD:
        uow.emit("reflex.wanted", tube.barcode, payload)
    return row


def _program(work: Work, rule: md.ReflexRow) -> Program | None:
    """The rule ready to run; None for one that an item's change left unreadable: an alert says so, and no result waits for it."""
    key = (*work.uow.place, work.catalog.number, rule.id, rule.expression)
    if key not in _programs:
        try:
            _programs[key] = compile(rule.expression, md.rule_symbols(work.catalog.items.values()), Typed.BOOL)
        except ExpressionError:
            _programs[key] = None
    return _programs[key]


_CONFIRMED = text("SELECT 1 FROM confirmation WHERE tenant_id = :t AND test_id = :i AND state = 'back' LIMIT 1")


def _confirmed(work: Work, test: TestRow) -> bool:
    """Whether the confirmatory laboratory has spoken: what it says may be told."""
    return work.uow.s.execute(_CONFIRMED, {"t": work.uow.tenant_id, "i": test.id}).first() is not None


def reactive(work: Work, test: TestRow, version_id: int) -> bool:
    """Whether a rule says that this value of a test must be confirmed before it is told (R5)."""
    version = next((v for v in work.versions.get(test.id, ()) if v.id == version_id), None)
    return version is not None and reacts(work, test, version)


def reacts(work: Work, test: TestRow, version: VersionRow | NewVersion) -> bool:
    """The same of a value that may be a new one."""
    rules = [r for r in work.catalog.reflex_rules if r.action == Kind.CONFIRM.value and r.item_id == test.item_id]
    if not rules or _confirmed(work, test):
        return False
    stood, tests = work.current.get(test.id), {work.catalog.items[t.item_id].code: t for t in work.by_tube[test.specimen_id]}
    work.current[test.id] = version
    try:
        programs = (_program(work, r) for r in rules)
        return any(p is not None and p.evaluate(_environment(work, test.specimen_id, tests)) is True for p in programs)
    finally:
        if stood is None:
            del work.current[test.id]
        else:
            work.current[test.id] = stood


def _environment(work: Work, specimen_id: int, tests: Mapping[str, TestRow]) -> Env:
    tube = work.tubes[specimen_id]
    found: dict[str, Value] = {code: v for code, t in tests.items() if (v := exact(work, t)) is not None}

    def flag(code: str) -> str:
        test = tests.get(code)
        current = None if test is None else work.current.get(test.id)
        return "" if current is None else current.flag

    def prev(code: str) -> Decimal | NotCalculable:
        item = work.catalog.items_by_code[code].id
        last = last_told(work.uow, tube.patient_id, [item]).get(item)
        return NotCalculable(Cause.MISSING, f"prev {code}") if last is None else last

    return Env(found, md.person(tube.sex, work.reader.age(tube)), {"flag": flag, "prev": prev})


__all__ = ["ask", "reactive", "settle"]
