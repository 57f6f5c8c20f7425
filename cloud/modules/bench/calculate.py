"""Calculated items: whenever a value of a tube changes, the formulas that read it run again on the unrounded values that count.

A formula waits while an input is still expected. Once none is, it yields a value or 无法计算 with the cause, which holds. What a person
or an instrument gave for a calculated item stays: a formula replaces only what a formula said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cloud.expression import Env, NotCalculable
from cloud.modules.bench import rows, rules
from cloud.modules.bench.reading import Reading, unrounded
from cloud.modules.bench.rows import NewVersion, TestRow, VersionRow
from cloud.modules.bench.rules import Hold, TestState
from cloud.modules.catalog import queries as md
from common import values
from common.say import say

if TYPE_CHECKING:
    from cloud.modules.bench.record import Work

SOURCE = "calc"
_OPEN = frozenset({TestState.EXPECTED, TestState.RECEIVED, TestState.HELD, TestState.REVIEWED})
_TELLING = rules.TOLD_STATES | {TestState.RECALLED}


Said = tuple[str, str, bool]
"""Interval, flag and whether critical."""


def calculate(
    work: Work, specimen_ids: Iterable[int], told: bool = False, reason: str = "", judged: Mapping[int, Said] | None = None
) -> list[NewVersion]:
    """Run the formulas of these tubes, insert what changed, point the tests at it, and return it. ``told``: a report is being amended,
    maybe a recalled one, all of which is told again. ``judged``: version → how it was judged: an equal value judged otherwise is new."""
    new = found(work, specimen_ids, told, reason, judged)
    rows.insert_versions(work.uow, new)
    for version in new:
        test = version.test
        test.current_id, test.dirty = version.id, True
        if not told:
            test.state = (TestState.HELD if version.holds else TestState.RECEIVED).value
    return new


def found(
    work: Work, specimen_ids: Iterable[int], told: bool = False, reason: str = "", judged: Mapping[int, Said] | None = None
) -> list[NewVersion]:
    """What ``calculate`` would insert; only ``work`` knows of it."""
    if not work.catalog.calculations:
        return []
    new = []
    states = _TELLING if told else _OPEN
    for specimen_id in specimen_ids:
        tests = {each.item_id: each for each in work.by_tube.get(specimen_id, ())}
        for formula in work.catalog.calculations:
            test = tests.get(formula.item_id)
            if test is not None and TestState(test.state) in states and _ours(work, test):
                version = _run(work, formula, test, tests, reason, judged or {})
                if version is not None:
                    work.current[test.id] = version  # the next formula may read it
                    new.append(version)
    return new


def _ours(work: Work, test: TestRow) -> bool:
    current = work.current.get(test.id)
    return test.pending_id is None and (current is None or _source(current) == SOURCE)


def _source(version: VersionRow | NewVersion) -> str:
    return version.known.source


def _run(
    work: Work, formula: md.Calculation, test: TestRow, tests: Mapping[int, TestRow], reason: str, judged: Mapping[int, Said]
) -> NewVersion | None:
    names = {name: work.catalog.setting("formula", name, code) for name, code in md.MEASURED_ITEMS.items()}
    used = set() if formula.program is None else formula.program.names
    measured = {name: code for name, code in names.items() if used & set(md.with_aliases({name: None}))}
    codes = formula.inputs | set(measured.values())
    found = {code: tests.get(item.id) for code in codes if (item := work.catalog.items_by_code.get(code)) is not None}
    if any(each is not None and each.state == TestState.EXPECTED and each.current_id is None and each.id not in work.current
           for each in found.values()):  # fmt: skip
        return None
    inputs = {code: None if each is None else exact(work, each) for code, each in found.items()}
    tube = work.tubes[test.specimen_id]
    people = md.person(tube.sex, work.reader.age(tube))
    result = formula.evaluate(Env(inputs, people | md.with_aliases({name: inputs.get(code) for name, code in measured.items()})))
    before = work.current.get(test.id)
    if before is None and isinstance(result, NotCalculable) and test.state in _TELLING:
        return None  # told as having no result, and it still has none
    reading = _reading(work, test, result)
    if before is not None and before.known.raw_text == reading.raw_text and before.known.reported_text == reading.reported_text:
        said = (reading.ref_text, reading.flag, reading.critical)
        if judged.get(before.id, said) == said:
            return None
    used_values = {code: None if value is None else value.raw for code, value in inputs.items()}
    frozen: dict[str, Any] = {"formula": {"id": formula.row.id, "version": formula.row.version, "name": formula.row.name,
                                          "expression": formula.row.expression, "inputs": used_values}}  # fmt: skip
    reading = replace(reading, snapshot=reading.snapshot | frozen)
    no = max((v.known.version_no for v in (*work.versions.get(test.id, ()), *work.new.get(test.id, ()))), default=0) + 1
    version = NewVersion(test, no, tube.patient_id, SOURCE, reading, work.uow.now, holds=reading.holds, reason=reason)
    work.new.setdefault(test.id, []).append(version)
    return version


def _reading(work: Work, test: TestRow, result: Decimal | NotCalculable) -> Reading:
    tube = work.tubes[test.specimen_id]
    if isinstance(result, Decimal):
        return work.reader.read(test.item_id, None, f"{result:f}", tube)
    blank = work.reader.read(test.item_id, None, "", tube)
    hold = Hold("CALC", say("无法计算：{why}。补齐或更正所用项目后会自动重算，也可接受“无法计算”，或登记“无结果”。", why=result.text))
    return replace(blank, raw_text=str(result.text), reported_text=f"无法计算（{result.text}）", missing=False, holds=(hold,))


def exact(work: Work, test: TestRow) -> values.Value | None:
    """The unrounded value that counts for a test: as sent or typed, mapped, not rounded (C3)."""
    current = work.current.get(test.id)
    if current is None or not current.known.reported_text:
        return None
    used: dict[str, Any] = (
        current.reading.snapshot if isinstance(current, NewVersion) else {"map": current.map, "dilution": current.dilution}
    )
    item, mapped = work.catalog.items[test.item_id], used.get("map")
    value = values.parse(current.known.raw_text, item.result_type)
    if mapped:
        value = values.scaled(value, Decimal(str(mapped[0])), Decimal(str(mapped[1])))
    return unrounded(value, item, Decimal(str(used.get("dilution", 1))))
