"""Formulas of the catalog as compiled programs: what they may name, what is wrong with one, and the starting set. No I/O.

Calculated items use the unrounded results of one tube and round last; judgements see one reported value (C3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from cloud.expression import Cause, Env, ExpressionError, Function, Kind, NotCalculable, Program, Symbol, Symbols, compile, cycle, in_order
from cloud.modules.catalog.rows import CalcRow, ItemRow, JudgeRow
from cloud.modules.catalog.rules import Age
from common.say import Listed, say
from common.values import Value

SEXES = {"M": "M", "男": "M", "F": "F", "女": "F"}
_SEX = Symbol(Kind.TEXT, label="性别", choices=SEXES)
# English and Chinese name of the same thing, with its unit.
_NAMES: Mapping[str, Symbol] = {
    **dict.fromkeys(("sex", "性别"), _SEX),
    **dict.fromkeys(("age", "年龄"), Symbol(unit="a", label="年龄")),
    **dict.fromkeys(("age_days", "日龄"), Symbol(unit="d", label="日龄")),
}
_MEASURED: Mapping[str, Symbol] = {
    **dict.fromkeys(("weight", "体重"), Symbol(unit="kg", label="体重")),
    **dict.fromkeys(("urine_volume", "尿量"), Symbol(unit="L", label="尿量")),
}
_ALIASES = {"性别": "sex", "年龄": "age", "日龄": "age_days", "体重": "weight", "尿量": "urine_volume"}
MEASURED_ITEMS = {"weight": "WEIGHT", "urine_volume": "UV24"}
"""Names that are themselves results of the tube; a hospital names the items in its setting ``formula``."""
_NUMERIC = ("numeric", "titer")
_KEPT = Context(prec=18)  # fewer digits than a result text may have, far more than any item prints
FLAGS = ("", "L", "H", "A", "?")


def calc_symbols(items: Iterable[ItemRow]) -> Symbols:
    """What a calculated item may name: results in use and the person."""
    refs = {each.code: Symbol(_kind(each), each.unit, each.name) for each in items if each.active}
    return Symbols(refs, {**_NAMES, **_MEASURED})


def rule_symbols(items: Iterable[ItemRow]) -> Symbols:
    """What logic and reflex rules may name: results, the person, the previous value, the flag."""
    base, reference = calc_symbols(items), (Kind.REF,)
    return Symbols(base.refs, base.names, {"prev": Function(reference), "flag": Function(reference, Kind.TEXT)})


def judge_symbols(item: ItemRow) -> Symbols:
    """What a judgement may name: ``x`` (its own reported value) and the person."""
    own = Symbol(_kind(item), item.unit, item.name)
    return Symbols({}, {**_NAMES, "x": own, "结果": own})


def _kind(item: ItemRow) -> Kind:
    return Kind.NUMBER if item.result_type in _NUMERIC else Kind.TEXT


def person(sex: str | None, age: Age | None) -> dict[str, Any]:
    """The values of the names that are the person's."""
    values = {"sex": sex if sex in ("M", "F") else None, "age": None if age is None else age.years}
    return with_aliases(values | {"age_days": None if age is None else age.days})


def with_aliases(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values under the Chinese names too."""
    return {**values, **{chinese: values[name] for chinese, name in _ALIASES.items() if name in values}}


# --- calculated items --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Calculation:
    """A calculated item ready to run; ``problem`` is why it cannot be (its results then say so)."""

    row: CalcRow
    program: Program | None
    labels: Mapping[str, str]
    problem: str = ""

    @property
    def item_id(self) -> int:
        """The item it yields."""
        return self.row.item_id

    @property
    def inputs(self) -> frozenset[str]:
        """Codes of the items it reads."""
        return frozenset() if self.program is None else self.program.references

    def evaluate(self, env: Env) -> Decimal | NotCalculable:
        """The unrounded value, or why there is none: every input must be an exact number, whether or not a branch reads it."""
        if self.program is None:
            return NotCalculable(Cause.STATED, self.problem)
        result = self.program.unusable_input(env, self.labels) or self.program.evaluate(env)
        return _KEPT.plus(result) if isinstance(result, Decimal) else result  # type: ignore[return-value]


def calculation(row: CalcRow, items: Mapping[str, ItemRow]) -> Calculation:
    """Compile one; never raises, for a catalog must load whatever became of an item since."""
    labels = {code: each.name for code, each in items.items()}
    try:
        program = compile(row.expression, calc_symbols(items.values()), Kind.NUMBER)
    except ExpressionError as error:
        return Calculation(row, None, labels, error.message)
    wrong = unit_problems(row.units, program, items)
    return Calculation(row, None, labels, wrong[0]) if wrong else Calculation(row, program, labels)


def calculations(rows: Iterable[CalcRow], items: Mapping[str, ItemRow], by_id: Mapping[int, ItemRow]) -> tuple[Calculation, ...]:
    """All of a catalog's, each after those whose results it uses."""
    made = {by_id[row.item_id].code: calculation(row, items) for row in rows if row.item_id in by_id}
    uses = {code: each.inputs for code, each in made.items()}
    if cycle(uses):  # refused when saved; should one slip in, nothing is calculated from it and nothing is lost
        return tuple(Calculation(each.row, None, each.labels, "公式循环引用") for each in made.values())
    return tuple(made[code] for code in in_order(uses))


def unit_problems(units: Mapping[str, str], program: Program, items: Mapping[str, ItemRow]) -> list[str]:
    """A formula is written for units; an item that changed its unit since must not be calculated with (M02)."""
    out: list[str] = []
    for code in sorted(program.references):
        declared, present = units.get(code), items[code].unit
        if declared is None:
            out.append(
                say(
                    "公式没有声明 {name}（{code}）的单位，项目现为 {present}。",
                    name=items[code].name,
                    code=code,
                    present=present or say("无单位"),
                )
            )
        elif declared != present:
            out.append(
                say(
                    "公式按 {name}（{code}）的单位 {declared} 书写，项目现为 {present}。",
                    name=items[code].name,
                    code=code,
                    declared=declared or say("无单位"),
                    present=present or say("无单位"),
                )
            )
    return out


def calc_problems(
    code: str, expression: str, units: Mapping[str, str], items: Mapping[str, ItemRow], others: Mapping[str, Iterable[str]]
) -> list[str]:
    """What is wrong with a formula about to be saved; ``others``: item code → codes its formula uses. ExpressionError for its text."""
    program = compile(expression, calc_symbols(items.values()), Kind.NUMBER)
    out = unit_problems(units, program, items)
    circle = cycle({**{k: set(v) for k, v in others.items()}, code: program.references})
    if circle:
        out.append(say("公式循环引用：{circle}。", circle=Listed(circle, " → ")))
    return out


# --- judgements --------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judgement:
    """结果判断公式 ready to run: (condition or None for the default, text, flag), first true wins."""

    row: JudgeRow
    branches: tuple[tuple[Program | None, str, str], ...]
    problem: str = ""

    def judge(self, value: Value, names: Mapping[str, Any]) -> tuple[str, str] | NotCalculable:
        """(text, flag) for a reported value, or why it cannot be told: a condition without an answer stops, it is not skipped."""
        # The plain reference lets a limit (<0.05) be compared where it decides.
        env = Env(names={**names, "x": value, "结果": value})
        for condition, text, flag in self.branches:
            found = True if condition is None else condition.evaluate(env)
            if isinstance(found, NotCalculable):
                return found
            if found is True:
                return text, flag
        return NotCalculable(Cause.STATED, self.problem or "判断公式没有默认分支")


def judgement(row: JudgeRow, item: ItemRow) -> Judgement:
    """Compile one; never raises."""
    try:
        return Judgement(row, compile_branches(row.branches, item))
    except (ExpressionError, AttributeError, KeyError, TypeError) as error:
        return Judgement(row, (), str(error))


def compile_branches(branches: Sequence[Any], item: ItemRow) -> tuple[tuple[Program | None, str, str], ...]:
    """The branches' conditions as programs; raises ExpressionError."""
    symbols = judge_symbols(item)
    return tuple(
        (compile(each["when"], symbols, Kind.BOOL) if each.get("when") else None, each["text"], each.get("flag", "")) for each in branches
    )


def judge_problems(branches: Sequence[Any], item: ItemRow) -> list[str]:
    """What is wrong with the branches of a judgement about to be saved. ExpressionError for a condition's text."""
    compile_branches(branches, item)
    out = []
    if not branches or branches[-1].get("when"):
        out.append("最后一个分支必须是默认分支（不写条件）。")
    if any(not each.get("when") for each in branches[:-1]):
        out.append("只有最后一个分支可以不写条件。")
    if any(not str(each.get("text", "")).strip() for each in branches):
        out.append("每个分支都要写结果文字。")
    if any(each.get("flag", "") not in FLAGS for each in branches):
        out.append("提示只能是 L、H、A、? 或空。")
    return out


# --- starting set ------------------------------------------------------------------------------------------------------------------------


def _ckd_epi(factor: str, male: str, female: str, steep: str, yearly: str, woman: str) -> str:
    kappa = "if(sex = '女', 0.7, 0.9)"
    ratio = f'"CREA" / 88.4 / {kappa}'
    return (
        f"if(age < 18, na('仅适用于 18 岁及以上'),\n  {factor} × min({ratio}, 1)^if(sex = '女', {female}, {male})\n"
        f"  × max({ratio}, 1)^-{steep} × {yearly}^age × if(sex = '女', {woman}, 1))"
    )


@dataclass(frozen=True, slots=True)
class Starting:
    """A formula of the starting set, by the usual codes and units; a laboratory approves or replaces it."""

    code: str
    name: str
    expression: str
    units: Mapping[str, str]
    source: str = "起始公式（占位，待本实验室确认）"


_MMOL = "mmol/L"
STARTING = (
    Starting("GLO", "球蛋白 = TP − ALB", '"TP" - "ALB"', {"TP": "g/L", "ALB": "g/L"}),
    Starting("A/G", "白球比", '"ALB" / ("TP" - "ALB")', {"TP": "g/L", "ALB": "g/L"}),
    Starting("IBIL", "间接胆红素 = TBIL − DBIL", '"TBIL" - "DBIL"', {"TBIL": "umol/L", "DBIL": "umol/L"}),
    Starting(
        "LDL",
        "LDL-C（Friedewald）",
        'if("TG" < 4.5, "TC" - "HDL" - "TG" / 2.2, na(\'TG≥4.5\'))',
        {"TC": _MMOL, "HDL": _MMOL, "TG": _MMOL},
        "Friedewald 1972，mmol/L",
    ),
    Starting("AG", "阴离子间隙 = Na − Cl − HCO3", '"NA" - "CL" - "HCO3"', {"NA": _MMOL, "CL": _MMOL, "HCO3": _MMOL}),
    Starting("CA_CORR", "校正钙", '"CA" + 0.02 × (40 - "ALB")', {"CA": _MMOL, "ALB": "g/L"}),
    Starting("UTP24", "24 小时尿蛋白 = 浓度 × 尿量", '"UTP" × urine_volume', {"UTP": "g/L"}),
)
EGFR = {
    "2009": Starting(
        "EGFR", "eGFR（CKD-EPI 2009）", _ckd_epi("141", "-0.411", "-0.329", "1.209", "0.993", "1.018"), {"CREA": "umol/L"},
        "CKD-EPI 2009（Levey 等），肌酐 umol/L",
    ),
    "2021": Starting(
        "EGFR", "eGFR（CKD-EPI 2021）", _ckd_epi("142", "-0.302", "-0.241", "1.200", "0.9938", "1.012"), {"CREA": "umol/L"},
        "CKD-EPI 2021（Inker 等），肌酐 umol/L",
    ),
}  # fmt: skip
