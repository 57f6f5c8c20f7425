"""What a laboratory must not save, kind by kind: sentences that name the field, the other row and what to do."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from cloud.expression import ExpressionError, Symbols, compile
from cloud.expression import Kind as ValueKind
from cloud.modules.catalog import formulas
from cloud.modules.catalog.kinds import Values
from cloud.modules.catalog.queries import Catalog, ItemRow
from cloud.modules.catalog.rows import LogicRow, ReflexRow
from cloud.modules.catalog.rules import Ages, Interval, ambiguous_ages, describe, overlapping, problems
from common.say import Listed, say, word
from common.units import is_ucum
from common.values import LISTED
from common.values import number as typed

WST886 = re.compile(r"[0-9]{7}[A-D]")
_LOINC = re.compile(r"[0-9]{1,7}-[0-9]")


def number(value: Any) -> Decimal | None:
    """A plain number or None."""
    return None if value in (None, "") else Decimal(str(value))


def _item(known: Catalog, values: Values) -> ItemRow | None:
    return known.items_by_code.get(str(values.get("item", "")))


def _ordered(values: Values, low: str, high: str, word: str) -> list[str]:
    a, b = number(values.get(low)), number(values.get(high))
    return [say("{what}下限 {a} 不小于上限 {b}。", what=word, a=f"{a:f}", b=f"{b:f}")] if a is not None and b is not None and a >= b else []


def _ages(values: Values) -> list[str]:
    below = any((number(values.get(name)) or 0) < 0 for name in ("age_low", "age_high"))
    out = _ordered(values, "age_low", "age_high", "年龄")
    if below:
        out.append("年龄不能小于 0。")
    return out


def _unique(known_codes: dict[str, int], target: int | None, values: Values, batch: Sequence[Values], field: str = "code") -> list[str]:
    code = values.get(field)
    if code in known_codes and known_codes[code] != target:
        return [say("编码“{code}”已被第 {row} 行使用。", code=code, row=known_codes[code])]
    return [say("编码“{code}”在本批中重复。", code=code)] if any(each is not values and each.get(field) == code for each in batch) else []


def item(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """An item: UCUM, decimals, ranges in order, codes in form and unique."""
    out = _unique({code: row.id for code, row in known.items_by_code.items()}, target, values, batch)
    if '"' in values["code"] or any(c in values["code"] for c in "“”\n"):
        out.append("编码里不能有引号（公式里要用引号引用它）。")
    if not is_ucum(values.get("unit") or ""):
        out.append(say("单位“{unit}”不是 UCUM 写法，例如 mmol/L、10^9/L、g/(24.h)、[IU]/L。", unit=values["unit"]))
    decimals = values.get("decimals")
    if decimals is None or not 0 <= decimals <= 6:
        out.append(say("小数位数 {decimals} 不在 0 到 6 之间。", decimals=decimals))
    if values.get("wst886_code") and not WST886.fullmatch(values["wst886_code"]):
        out.append(say("WS/T 886 代码“{code}”应为 7 位数字加 A–D，例如 0100101A。", code=values["wst886_code"]))
    if values.get("loinc") and not _LOINC.fullmatch(values["loinc"]):
        out.append(say("LOINC“{code}”应为数字、连字符、校验位，例如 2823-3。", code=values["loinc"]))
    out += _ordered(values, "amr_low", "amr_high", "分析测量范围")
    high, top = number(values.get("amr_high")), number(values.get("crr_high"))
    if high is not None and top is not None and top < high:
        out.append(say("可报告上限 {top} 小于分析测量范围上限 {high}。", top=f"{top:f}", high=f"{high:f}"))
    if any((typed(str(each)) or 0) <= 1 for each in values.get("dilutions") or ()):
        out.append("稀释梯度要是大于 1 的倍数，例如 2,5,10。")
    return out + _choices(values) + _tea(values.get("tea") or {}) + _left_behind(known, target, values) + _other_unit(known, target, values)


def _choices(values: Values) -> list[str]:
    """What a qualitative item is typed from (M07 R6): each word once, and no list for what is a number."""
    listed, choices = values.get("result_type") in LISTED, list(values.get("choices") or ())
    if choices and not listed:
        return [say("只有定性、半定量项目有可选结果；这个项目请留空。")]
    if values.get("result_type") == "enum" and not choices:
        return [say("定性项目请填写可选结果，例如 阴性,阳性；手工录入只能从中选。")]
    twice = sorted({each for each in choices if choices.count(each) > 1})
    return [say("可选结果“{twice}”写了两次。", twice=tuple(twice))] if twice else []


def _tea(tea: Any) -> list[str]:
    try:
        steps = tea.get("steps", ())
        limits = [Decimal(str(each["to"])) for each in steps if "to" in each]
        sizes = [Decimal(str(each["abs"] if "abs" in each else each["pct"])) for each in steps]
    except (AttributeError, KeyError, TypeError, ArithmeticError):
        return ["允许总误差写不对：每段一行，例如 “≤3.3: 0.2” 或 “6.0%”。"]
    if limits != sorted(set(limits)) or any(size <= 0 for size in sizes):
        return ["允许总误差各段的上限要依次增大，误差要大于 0。"]
    return ["只有最后一段可以不写上限。"] if any("to" not in each for each in steps[:-1]) else []


def _left_behind(known: Catalog, target: int | None, values: Values) -> list[str]:
    """Formulas and rules that could be read before and no longer can: one such rule would stop every result of the laboratory."""
    if target is None or target not in known.items:
        return []
    was, active = known.items[target], bool(values.get("active", True))
    now = replace(was, code=str(values["code"]), result_type=str(values["result_type"]), active=active)
    if (was.code, was.result_type, was.active) == (now.code, now.result_type, now.active):
        return []
    before, after = known.items.values(), [now if each.id == target else each for each in known.items.values()]
    users = [known.items[each.item_id].name for each in known.calculations if _breaks(each.row.expression, before, after, calculates=True)]
    rules: list[LogicRow | ReflexRow] = [*known.logic_rules, *known.reflex_rules]
    users += [each.name for each in rules if _breaks(each.expression, before, after)]
    users += [each.name for each in known.reflex_rules if not active and each.item_id == target and each.name not in users]
    out: list[str] = []
    if users and not active:
        out.append(say("公式 {users} 还在使用这个项目，请先修改公式。", users=tuple(users)))
    elif users:
        out.append(say("公式和规则 {users} 按原编码和结果类型使用这个项目，改后不能再读；请另建项目，或先修改它们。", users=tuple(users)))
    if not active and was.active:
        sets = [known.order_sets[key] for key, members in known.set_items.items() if target in members]
        out += _ordered_by([each.name for each in sets if each.active])
    return out


def _other_unit(known: Catalog, target: int | None, values: Values) -> list[str]:
    """An item in use keeps its unit: limits, formulas and past results are numbers of it, and none of them would change along.

    The way to another unit is a new item with limits of its own; a unit nobody counts in yet may be corrected.
    """
    was = None if target is None else known.items.get(target)
    if was is None or (values.get("unit") or "") == was.unit:
        return []
    kept = (
        ("参考区间", known.intervals), ("危急值", known.criticals), ("差值规则", known.deltas), ("自动审核范围", known.av_ranges),
    )  # fmt: skip
    users = [say("{what} {n} 行", what=word(what), n=len(rows[was.id])) for what, rows in kept if rows.get(was.id)]
    channels = sum(each.item_id == was.id for each in known.channels.values())
    users += [say("仪器通道 {n} 个", n=channels)] if channels else []
    if was.id in known.judgements:
        users.append(say("结果判断公式"))
    users += [
        say("公式“{name}”", name=each.row.name)
        for each in known.calculations
        if each.item_id == was.id or was.code in each.row.units or was.code in each.inputs
    ]
    rules: list[LogicRow | ReflexRow] = [*known.logic_rules, *known.reflex_rules]
    users += [say("规则“{name}”", name=each.name) for each in rules if was.code in _references(known, each.expression)]
    if not users:
        return []
    return [
        say(
            "单位不能从 {before} 改为 {after}：{users}都按原单位书写，改后会被错读。请另建新单位的项目，停用这一个。",
            before=was.unit or say("无单位"),
            after=values.get("unit") or say("无单位"),
            users=Listed(users, "、"),
        )
    ]


def _references(known: Catalog, expression: str) -> Collection[str]:
    try:
        return compile(expression, formulas.rule_symbols(known.items.values()), ValueKind.BOOL).references
    except ExpressionError:
        return ()


def _breaks(expression: str, before: Iterable[ItemRow], after: Iterable[ItemRow], calculates: bool = False) -> bool:
    symbols, kind = (formulas.calc_symbols, ValueKind.NUMBER) if calculates else (formulas.rule_symbols, ValueKind.BOOL)
    return _reads(expression, symbols(before), kind) and not _reads(expression, symbols(after), kind)


def _reads(expression: str, symbols: Symbols, kind: ValueKind) -> bool:
    try:
        compile(expression, symbols, kind)
    except ExpressionError:
        return False
    return True


def retiring(kind: str, known: Catalog, target: int, values: Values) -> list[str]:
    """Why a row cannot be retired, in sentences: others still use it."""
    gone = {**values, "active": False}
    if kind == "item":
        return _left_behind(known, target, gone)
    column = {"specimen": "specimen_type_id", "container": "container_id"}.get(kind)
    return [] if column is None else _in_use(known, target, gone, column)


def interval(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """A reference interval: in order, and never ambiguous beside another row, saved or of this batch."""
    new = as_interval(known, target or 0, values)
    if new is None:
        return []
    out = problems(new)
    others = list(known.intervals.get(new.item_id, ()))
    others += [found for n, each in enumerate(batch, 1) if each is not values and (found := as_interval(known, -n, each))]
    for other in overlapping(new, others):
        where = say("已有的第 {row} 行", row=other.id) if other.id > 0 else say("本批第 {row} 条", row=-other.id)
        out.append(
            say(
                "与{where}（{conditions}，{shown}）重叠，请修改其中一行的条件。", where=where, conditions=describe(other), shown=other.shown
            )
        )
    return out


def as_interval(known: Catalog, id: int, values: Values) -> Interval | None:
    """Plain values as the interval of the rules; None without an item."""
    found = _item(known, values)
    if found is None:
        return None
    specimen = next((each.id for each in known.specimen_types.values() if each.code == values.get("specimen")), None)
    analyzer = next((each.id for each in known.analyzers.values() if each.code == values.get("analyzer")), None)
    return Interval(
        id=id,
        item_id=found.id,
        specimen_type_id=specimen,
        analyzer_id=analyzer,
        age_unit=values.get("age_unit") or "year",
        low=number(values.get("low")),
        high=number(values.get("high")),
        text=values.get("text") or "",
        gest_low=values.get("gest_low"),
        gest_high=values.get("gest_high"),
        age_low=values.get("age_low"),
        age_high=values.get("age_high"),
        method=values.get("method") or None,
        phase=values.get("phase") or None,
        sex=values.get("sex") or None,
    )


def _ambiguous_ages(rows: Sequence[Any], target: int | None, values: Values) -> list[str]:
    """Rows alike but for their ages: which one counts must be clear for every patient."""
    mine = Ages(values.get("age_low"), values.get("age_high"), values.get("age_unit") or "year")
    for row in rows:
        theirs = Ages(row.age_low, row.age_high, row.age_unit)
        if row.id != target and mine == theirs:
            return [say("与已有的第 {row} 行条件完全相同，请修改那一行。", row=row.id)]
        if row.id != target and ambiguous_ages(mine, theirs):
            return [say("与已有的第 {row} 行年龄范围重叠，同一患者会同时适合两行，请修改其中一行的年龄。", row=row.id)]
    return []


def _beside(batch: Sequence[Values], values: Values, *names: str) -> list[tuple[int, Values]]:
    """(row number, values) of the batch's other rows that are the same in these fields."""
    mine = [values.get(each) or None for each in names]
    return [(n, each) for n, each in enumerate(batch, 1) if each is not values and [each.get(name) or None for name in names] == mine]


def _twice(batch: Sequence[Values], values: Values, *names: str) -> list[str]:
    return [say("与本批第 {row} 条条件完全相同，请只留一行。", row=n) for n, _ in _beside(batch, values, *names)[:1]]


def _ambiguous_batch(batch: Sequence[Values], values: Values, *names: str) -> list[str]:
    """As ``_ambiguous_ages``, beside the rows of the same proposal."""
    mine = Ages(values.get("age_low"), values.get("age_high"), values.get("age_unit") or "year")
    for n, each in _beside(batch, values, *names):
        theirs = Ages(each.get("age_low"), each.get("age_high"), each.get("age_unit") or "year")
        if mine == theirs or ambiguous_ages(mine, theirs):
            return [say("与本批第 {row} 条适合同一患者（年龄重叠），请修改其中一行。", row=n)]
    return []


def critical(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """Critical limits: in order, one row a condition, and no autoverification range beyond them."""
    found = _item(known, values)
    out = _ordered(values, "low", "high", "危急值") + _ages(values)
    low, high = number(values.get("low")), number(values.get("high"))
    if low is None and high is None:
        out.append("下限和上限至少填写一项。")
    if found is None:
        return out
    out += _ambiguous_ages(
        [r for r in known.criticals.get(found.id, ()) if (r.dept_class or None) == (values.get("dept_class") or None)], target, values
    )
    out += _ambiguous_batch(batch, values, "item", "dept_class")
    for each in known.av_ranges.get(found.id, ()):
        out += _beyond(each.low, each.high, low, high)
    return out


def _beyond(av_low: Decimal | None, av_high: Decimal | None, low: Decimal | None, high: Decimal | None) -> list[str]:
    out: list[str] = []
    if low is not None and (av_low is None or av_low < low):
        out.append(
            say("自动审核下限 {limit} 越过危急值下限 {low}。", limit=say("（无）") if av_low is None else f"{av_low:f}", low=f"{low:f}")
        )
    if high is not None and (av_high is None or av_high > high):
        out.append(
            say(
                "自动审核上限 {limit} 越过危急值上限 {high}。", limit=say("（无）") if av_high is None else f"{av_high:f}", high=f"{high:f}"
            )
        )
    return out


def av_range(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """An autoverification range: never beyond critical, inside the measuring range."""
    found = _item(known, values)
    out = _ordered(values, "low", "high", "自动审核范围") + _ages(values)
    low, high = number(values.get("low")), number(values.get("high"))
    if low is None and high is None:
        out.append("下限和上限至少填写一项。")
    if found is None:
        return out
    for each in known.criticals.get(found.id, ()):
        out += _beyond(low, high, each.low, each.high)
    top = found.crr_high if found.crr_high is not None else found.amr_high
    if low is not None and found.amr_low is not None and low < found.amr_low:
        out.append(say("下限 {low} 低于分析测量范围下限 {amr_low}。", low=f"{low:f}", amr_low=f"{found.amr_low:f}"))
    if high is not None and top is not None and high > top:
        out.append(say("上限 {high} 高于可报告上限 {top}。", high=f"{high:f}", top=f"{top:f}"))
    rows = [r for r in known.av_ranges.get(found.id, ()) if (r.sex or None) == (values.get("sex") or None)]
    return out + _ambiguous_ages(rows, target, values) + _ambiguous_batch(batch, values, "item", "sex")


def delta(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """A delta rule: a limit above zero in at least one direction (or CVs for RCV), a window."""
    out = []
    if values.get("kind") == "rcv":
        if any((number(values.get(name)) or 0) <= 0 for name in ("cva", "cvi", "z")):
            out.append("RCV 要填写 CVa、CVi（%）和 Z，且都大于 0。")
    elif number(values.get("limit_up")) is None and number(values.get("limit_down")) is None:
        out.append("上升和下降的界限至少填写一项。")
    if any((limit := number(values.get(name))) is not None and limit <= 0 for name in ("limit_up", "limit_down")):
        out.append("差值界限要大于 0。")
    if (values.get("window_h") or 0) <= 0:
        out.append("时间窗要大于 0 小时。")
    return out


def _expression(known: Catalog, text: str) -> list[str]:
    try:
        compile(text, formulas.rule_symbols(known.items.values()), ValueKind.BOOL)
    except ExpressionError as error:
        return [error.message]
    return []


def logic(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """A logic rule: its condition compiles."""
    return _unique({each.code: each.id for each in known.logic_rules}, target, values, batch) + _expression(known, values["expression"])


def reflex(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """A reflex rule: its condition compiles."""
    return _unique({each.code: each.id for each in known.reflex_rules}, target, values, batch) + _expression(known, values["expression"])


def judge(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """A judgement: conditions compile, the last branch is the default."""
    found = _item(known, values)
    if found is None:
        return []
    taken = known.judgements.get(found.id)
    out: list[str] = (
        [say("该项目已有第 {row} 行判断公式，请修改那一行。", row=taken.row.id)] if taken is not None and taken.row.id != target else []
    )
    out += _twice(batch, values, "item")
    try:
        return out + formulas.judge_problems(values.get("branches") or [], found)
    except ExpressionError as error:
        return [*out, error.message]


def calc(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """A calculated item: compiles, units as declared, no circle (AC-MD-7)."""
    found = _item(known, values)
    if found is None:
        return []
    others = {known.items[each.item_id].code: set(each.inputs) for each in known.calculations if each.item_id != found.id}
    taken = next((each for each in known.calculations if each.item_id == found.id), None)
    out: list[str] = (
        [say("该项目已有第 {row} 行公式，请修改那一行。", row=taken.row.id)] if taken is not None and taken.row.id != target else []
    )
    out += _twice(batch, values, "item")
    for each in batch:
        if each is not values and each.get("item") in known.items_by_code:
            try:
                program = compile(each["expression"], formulas.calc_symbols(known.items.values()))
            except ExpressionError:
                continue
            others[each["item"]] = set(program.references)
    try:
        return out + formulas.calc_problems(found.code, values["expression"], values.get("units") or {}, known.items_by_code, others)
    except ExpressionError as error:
        return [*out, error.message]


def hil(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """A HIL threshold: not negative, one an index; what is not told lies above what is held."""
    found = _item(known, values)
    above, reject = number(values.get("above")), number(values.get("reject_above"))
    out = ["HIL 阈值不能小于 0。"] if above is not None and above < 0 else []
    if above is not None and reject is not None and reject <= above:
        out.append(say("不报告界限 {reject} 要大于界限 {above}。", reject=f"{reject:f}", above=f"{above:f}"))
    rows = [] if found is None else known.hil_limits.get(found.id, ())
    same = next((row for row in rows if row.id != target and row.index_kind == values.get("index_kind")), None)
    if same is not None:
        out.append(say("与已有的第 {row} 行条件完全相同，请修改那一行。", row=same.id))
    return out + _twice(batch, values, "item", "index_kind")


def order_set(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """An order set: members exist, a volume that fits its tube."""
    out = _unique({code: row.id for code, row in known.order_sets_by_code.items()}, target, values, batch) + _ages(values)
    missing = [code for code in values.get("members") or () if code not in known.items_by_code]
    if missing:
        out.append(say("没有编码为 {missing} 的检验项目。", missing=tuple(missing)))
    retired = [code for code in values.get("members") or () if code not in missing and not known.items_by_code[code].active]
    if retired and values.get("active", True):
        out.append(say("项目 {retired} 已停用，不能开立；请从医嘱项目中去掉。", retired=tuple(retired)))
    if not values.get("members"):
        out.append("至少要有一个检验项目。")
    for name, what in (("tat_minutes", say("TAT 目标")), ("transport_minutes", say("送检时限"))):
        if values.get(name) is not None and values[name] <= 0:
            out.append(say("{what} {value} 分钟要大于 0；不限请留空。", what=what, value=values[name]))
    volume = number(values.get("volume_ml"))
    tube = next((each for each in known.containers.values() if each.code == values.get("container")), None)
    if volume is not None and (volume <= 0 or (tube is not None and volume > tube.nominal_ml)):
        out.append(
            say("需要量 {volume} ml 要大于 0，且不超过容器的 {most} ml。", volume=f"{volume:f}", most=tube.nominal_ml if tube else "—")
        )
    return out


def channel(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """A channel: one meaning a code, a factor that is not zero."""
    analyzer = next((each.id for each in known.analyzers.values() if each.code == values.get("analyzer")), 0)
    same = known.channel(analyzer, values["channel_code"])
    out: list[str] = (
        [say("该仪器的通道码“{code}”已由第 {row} 行使用。", code=values["channel_code"], row=same.id)]
        if same is not None and same.id != target
        else []
    )
    out += _twice(batch, values, "analyzer", "channel_code")
    if number(values.get("factor")) == 0:
        out.append("换算系数不能为 0。")
    unit = values.get("unit") or ""
    return out if is_ucum(unit) else [*out, say("仪器单位“{unit}”不是 UCUM 写法。", unit=unit)]


def comment(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """A comment template: its code is its own."""
    return _unique({each.code: each.id for each in known.comments}, target, values, batch)


def reject_reason(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """A reject reason: its code is its own."""
    return _unique({each.code: each.id for each in known.reject_reasons.values()}, target, values, batch)


def layout(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """A report layout: one a section, words that fit the page, a logo that was uploaded."""
    section = known.sections_by_code.get(values.get("section") or "")
    place = None if section is None else section.id
    same = next((each for each in known.layouts if each.section_id == place and each.id != target), None)
    whose = word("全院") if section is None else section.name
    out: list[str] = []
    if same is not None and values.get("active", True):
        out.append(say("{whose}已有报告格式“{name}”，请修改那一个。", whose=whose, name=same.name))
    if len(values.get("subtitle") or "") > 40:
        out.append(say("院名下的一行最多 40 个字。"))
    for name, called in (("tester_word", "检验者称谓"), ("verifier_word", "审核者称谓")):
        if not 2 <= len((values.get(name) or "").strip()) <= 6:
            out.append(say("{what}须为 2 到 6 个字。", what=word(called)))
    lines = [line for line in (values.get("remarks") or "").splitlines() if line.strip()]
    if len(lines) > 4 or any(len(line) > 80 for line in lines):
        out.append(say("固定备注最多 4 条，每条最多 80 个字。"))
    if values.get("logo") and not re.fullmatch(r"[0-9a-f]{64}", values["logo"]):
        out.append(say("院徽请在“报告格式”页上传，不要手工填写。"))
    return out


def _in_use(known: Catalog, target: int | None, values: Values, column: str) -> list[str]:
    if target is None or values.get("active", True):
        return []
    return _ordered_by([each.name for each in known.order_sets.values() if each.active and getattr(each, column) == target])


def _ordered_by(users: Sequence[str]) -> list[str]:
    return [say("医嘱项目 {users} 还在使用它，请先修改这些医嘱项目。", users=tuple(users[:5]))] if users else []


def specimen(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """A kind of specimen: its code is its own; none that is ordered goes."""
    out = _unique({each.code: each.id for each in known.specimen_types.values()}, target, values, batch)
    return out + _in_use(known, target, values, "specimen_type_id")


def container(known: Catalog, target: int | None, values: Values, batch: Sequence[Values]) -> list[str]:
    """A container: its code is its own, it holds something, it has its place in the order of draw."""
    out = _unique({each.code: each.id for each in known.containers.values()}, target, values, batch)
    if (number(values.get("nominal_ml")) or 0) <= 0:
        out.append(say("标称量要大于 0 ml。"))
    if not 1 <= (values.get("draw_order") or 0) <= 99:
        out.append(say("采集次序要在 1 到 99 之间。"))
    return out + _in_use(known, target, values, "container_id")
