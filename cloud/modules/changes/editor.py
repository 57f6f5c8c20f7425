"""The formula editor behind its page: what is loaded, what the text says, what the test bench yields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from cloud.db.session import UnitOfWork
from cloud.expression import Env, ExpressionError, Kind, NotCalculable, Program, compile
from cloud.modules.catalog import queries as md
from cloud.modules.catalog import service as catalog
from cloud.modules.changes import forms
from common import values as results
from common.errors import UserError
from common.say import Listed, say

FUNCTIONS = (
    *(say("if(条件, 值, 值)"), "min( )", "max( )", say("round(值, 位数)"), "ln( )", "abs( )"),
    *(say('has("编码")'), say('grade("编码")'), say("na('原因')")),
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the editor opens with."""

    kind: str
    item: str
    row_id: int
    texts: Mapping[str, str]


def load(uow: UnitOfWork, known: md.Catalog, kind: str, item: str) -> Loaded:
    """The formula of an item, or an empty one."""
    found = known.items_by_code.get(item)
    row_id = 0
    if found is not None and kind == "calc":
        row_id = next((each.row.id for each in known.calculations if each.item_id == found.id), 0)
    elif found is not None and kind == "judge" and found.id in known.judgements:
        row_id = known.judgements[found.id].row.id
    described = catalog.KINDS[kind]
    present = catalog.present(uow, described, row_id or None) or {"item": item}
    if kind == "calc" and not row_id:
        offered = next((each for each in starting(known) if each.code == item), None)
        if offered is not None:
            present |= {"name": offered.name, "expression": offered.expression, "source": offered.source}
    texts = {each.name: forms.text_of(each, present.get(each.name)) for each in described.fields}
    return Loaded(kind, item, row_id, texts)


def starting(known: md.Catalog) -> list[md.Starting]:
    """Formulas of the starting set whose item exists and has none yet."""
    have = {known.items[each.item_id].code for each in known.calculations}
    edition = str(known.setting("formula", "egfr", "2009"))
    offered = (*md.STARTING, md.EGFR.get(edition, md.EGFR["2009"]))
    return [each for each in offered if each.code in known.items_by_code and each.code not in have]


def starting_reflexes(known: md.Catalog) -> list[md.StartingReflex]:
    """Reflex rules of the starting set whose items exist and that are not there yet."""
    have = {each.code for each in known.reflex_rules}
    return [each for each in md.STARTING_REFLEXES if each.items <= known.items_by_code.keys() and each.code not in have]


def words(known: md.Catalog) -> list[tuple[str, str]]:
    """(what is inserted, what it is) for completion: item codes first, then names and functions."""
    items = sorted((each for each in known.items.values() if each.active), key=lambda each: each.code)
    out = [(f'"{each.code}"', f"{each.name} {each.unit}".strip()) for each in items]
    out += [("sex", say("性别 '男' '女'")), ("age", say("年龄（岁）")), ("age_days", say("日龄"))]
    out += [("weight", say("体重 kg")), ("urine_volume", say("尿量 L"))]
    return out + [(each, say("函数")) for each in FUNCTIONS]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a text says: an error with its place, or its inputs and the value for the numbers typed in the test bench."""

    error: str = ""
    position: int = -1
    length: int = 0
    inputs: tuple[tuple[str, str, str, str], ...] = ()
    """(code, name, unit, typed value)."""
    names: tuple[tuple[str, str], ...] = ()
    value: str = ""
    why: str = ""
    problems: tuple[str, ...] = field(default=())


def check(known: md.Catalog, form: Mapping[str, Any]) -> Checked:
    """Check the editor's text and run it on the test bench."""
    # A browser sends its lines with two characters between them, and counts one.
    source, kind = str(form.get("expression", "")).replace("\r\n", "\n"), str(form.get("kind", "calc"))
    judge = kind == "judge"
    item = known.items_by_code.get(str(form.get("item", "")))
    try:
        if judge:
            return _judge(known, form, item)
        if kind == "calc":
            program = compile(source, md.calc_symbols(known.items.values()), Kind.NUMBER)
        else:
            program = compile(source, md.rule_symbols(known.items.values()), Kind.BOOL)
    except ExpressionError as error:
        return Checked(error=error.message, position=error.position, length=max(1, len(error.token)))
    inputs = tuple(
        (code, known.items_by_code[code].name, program.units[code], str(form.get(f"in:{code}", ""))) for code in sorted(program.references)
    )
    names = tuple((name, str(form.get(f"in:{name}", ""))) for name in sorted(program.names))
    result = _evaluate(known, program, inputs, names)
    problems: tuple[str, ...] = ()
    if kind == "calc" and item is not None:
        units = {code: unit for code, _, unit, _ in inputs}
        row = next((each.row.id for each in known.calculations if each.item_id == item.id), None)
        problems = tuple(
            catalog.kind_problems(catalog.KINDS["calc"], known, row, {"item": item.code, "expression": source, "units": units})
        )
    if isinstance(result, NotCalculable):
        return Checked(inputs=inputs, names=names, why=result.text, problems=problems)
    shown = _rounded(result, item) if isinstance(result, Decimal) else {True: "成立", False: "不成立"}.get(result, str(result))
    return Checked(inputs=inputs, names=names, value=str(shown), problems=problems)


def _rounded(number: Decimal, item: md.ItemRow | None) -> str:
    exact = f"{number:f}"
    return exact if item is None else f"{results.rounded(number, item.decimals, item.rounding):f} {item.unit}（{exact[:24]}）"


def _evaluate(known: md.Catalog, program: Program, inputs: Any, names: Any) -> Any:
    refs = {code: results.parse(typed, known.items_by_code[code].result_type) for code, _, _, typed in inputs}
    given = {name: _name(name, typed) for name, typed in names if typed.strip()}
    env = Env(refs, given, {"prev": lambda _code: None, "flag": lambda _code: None})
    return program.unusable_input(env, {code: name for code, name, _, _ in inputs}) or program.evaluate(env)


def _name(name: str, typed: str) -> Any:
    sexes = {"男": "M", "女": "F", "M": "M", "F": "F"}
    return sexes.get(typed.strip()) if name in ("sex", "性别") else results.parse(typed)


def _judge(known: md.Catalog, form: Mapping[str, Any], item: md.ItemRow | None) -> Checked:
    if item is None:
        return Checked(error="请先选择检验项目。")
    misread = _misread(str(form.get("expression", "")).replace("\r\n", "\n"), item)
    if misread is not None:
        return misread
    kind = catalog.KINDS["judge"]
    values, wrong = forms.values_of(kind, {"item": item.code, "branches": str(form.get("expression", ""))}, known)
    if wrong:
        return Checked(error=wrong[0].message)
    row = known.judgements.get(item.id)
    problems = tuple(catalog.kind_problems(kind, known, None if row is None else row.row.id, values))
    typed = str(form.get("in:x", ""))
    names = (("x", typed),)
    if problems or not typed.strip():
        return Checked(names=names, problems=problems)
    value = results.reported(results.parse(typed, item.result_type), item.decimals, item.rounding)
    made = md.judgement(md.JudgeRow(0, item.id, values["branches"], True, 0, True), item)
    found = made.judge(value, md.person(None, None))
    if isinstance(found, NotCalculable):
        return Checked(names=names, why=found.text)
    return Checked(names=names, value=f"{value.text} → {found[0]} {found[1]}".strip())


def _misread(source: str, item: md.ItemRow) -> Checked | None:
    """The first branch of a judgement that cannot be read, with its place in the whole text; None when all can."""
    begin = 0
    for line in source.split("\n"):
        start, begin = begin + len(line) - len(line.lstrip()), begin + len(line) + 1
        condition, arrow, _ = line.strip().rpartition("=>")
        if line.strip() and not arrow:
            return Checked(error=forms.BRANCH, position=start, length=len(line.strip()))
        if condition.strip() in ("", "*", "其他"):
            continue
        try:
            compile(condition.strip(), md.judge_symbols(item), Kind.BOOL)
        except ExpressionError as error:
            return Checked(error=error.message, position=start + error.position, length=max(1, len(error.token)))
    return None


def values(uow: UnitOfWork, known: md.Catalog, form: Mapping[str, Any]) -> tuple[str, int | None, dict[str, Any]]:
    """(kind, row, values) of what the editor holds; units are declared as the items have them now. UserError names what is wrong."""
    kind = str(form.get("kind", "calc"))
    if kind not in ("calc", "judge"):
        raise UserError("invalid", "这里只能提交计算公式和判断公式；规则请在自动审核页维护。")
    given: dict[str, Any] = {"item": form.get("item", ""), "name": form.get("name", ""), "source": form.get("source", ""), "active": "是"}
    described = catalog.KINDS[kind]
    if kind == "judge":
        given["branches"] = form.get("expression", "")
    else:
        given["expression"] = form.get("expression", "")
        program = compile(str(given["expression"]), md.calc_symbols(known.items.values()), Kind.NUMBER)
        given["units"] = dict(program.units)
    found, wrong = forms.values_of(described, given, known)
    if wrong:
        raise UserError("invalid", say("{problems}", problems=Listed((each.message for each in wrong), "")), field="item")
    return kind, load(uow, known, kind, found["item"]).row_id or None, found
