"""What a measurement may say (M07 R2–R8): range, dilution, corrections, serum indices, reruns, reflex, values that contradict each other.

Pure, over Decimals and frozen values. Limits are what the laboratory verified for its method (catalog); None is "no such limit", and
what is not known holds, it never passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from cloud.modules.bench.rules import Hold
from common.errors import UserError
from common.say import Listed, Said, kept, said_again, say
from common.values import Value

# --- range and dilution (R2) ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """Measuring range (AMR) of the undiluted method, upper reportable limit (CRR), and the verified dilutions as factors (1:20 = 20)."""

    low: Decimal | None = None
    high: Decimal | None = None
    crr: Decimal | None = None
    ladder: tuple[Decimal, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranged:
    """A value within what may be reported: comparator and number after dilution, or a hold that says what to run next."""

    comparator: str
    number: Decimal
    hold: Hold | None = None
    next_factor: Decimal | None = None


def in_range(comparator: str, raw: Decimal, factor: Decimal, span: Span) -> Ranged:
    """What a raw value measured at a dilution says (AC-B-1): raw × factor inside the range, a rerun above it, ``>CRR`` at the end of the
    ladder, ``<low`` below it."""
    if factor <= 0:
        raise ValueError(f"dilution {factor}")
    if span.high is not None and _above(comparator, raw, span.high):
        return _too_high(factor, span)
    if span.low is not None and _below(comparator, raw, span.low):
        if factor == 1:
            return Ranged("<", span.low)
        text = say("按 1:{factor} 稀释后低于测量范围下限 {low}，请减小稀释倍数重测。", factor=f"{factor:f}", low=f"{span.low:f}")
        return Ranged("<", span.low * factor, Hold("OVER_DILUTED", text), next_step(span.ladder, factor, down=True))
    number = raw * factor
    if span.crr is not None and _above(comparator, number, span.crr):
        return Ranged(">", span.crr)
    return Ranged(comparator, number)


def _too_high(factor: Decimal, span: Span) -> Ranged:
    assert span.high is not None
    step = next_step(span.ladder, factor)
    if step is not None:
        text = say("超出测量范围上限 {high}，请按 1:{step} 稀释后重测。", high=f"{span.high:f}", step=f"{step:f}")
        return Ranged(">", span.high * factor, Hold("OVER_RANGE", text), step)
    end = span.high * factor if span.crr is None else min(span.crr, span.high * factor)
    return Ranged(">", end)


def next_step(ladder: Iterable[Decimal], factor: Decimal, down: bool = False) -> Decimal | None:
    """The next verified dilution after (or before) this one; None at the end. Undiluted counts as the lowest step."""
    steps = sorted({Decimal(1), *ladder})
    found = [s for s in steps if (s < factor if down else s > factor)]
    return (found[-1] if down else found[0]) if found else None


def _above(comparator: str, number: Decimal, limit: Decimal) -> bool:
    """Surely above: "<500" is not, whatever the limit."""
    return comparator not in ("<", "≤") and (number > limit or (number == limit and comparator == ">"))


def _below(comparator: str, number: Decimal, limit: Decimal) -> bool:
    """Surely below: ">5" is not, whatever the limit."""
    return comparator not in (">", "≥") and (number < limit or (number == limit and comparator == "<"))


_DILUTED = re.compile(r"(?P<value>[^*×xX@]+?)\s*[*×xX@]\s*(?P<factor>[0-9]{1,6}(?:\.[0-9]{1,3})?)")


def typed_dilution(text: str) -> tuple[str, Decimal]:
    """What somebody typed as ``8600*20``: the raw value and its dilution factor; 1 where none was typed. Raises UserError for factor 0."""
    found = _DILUTED.fullmatch(text.strip())
    if found is None:
        return text, Decimal(1)
    factor = Decimal(found["factor"])
    if factor == 0:
        raise UserError("invalid", say("稀释倍数不能是 0，请核对。"))
    return found["value"].strip(), factor


_WITH_UNIT = re.compile(r"(?P<value>[<>≤≥=]{0,2}\s*[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[^0-9\s.,:<>=≤≥+-].*)")
_SAME_SIGN = str.maketrans({"µ": "u", "μ": "u", "×": None, "*": "^", " ": None})


def without_unit(text: str, unit: str, name: str) -> str:
    """A number typed (or pasted) with its unit, as the number alone. Raises UserError where it is another unit than the item's."""
    found = _WITH_UNIT.fullmatch(text.strip())
    typed = "" if found is None else found["unit"].strip()
    if found is None or not (typed == unit or "/" in typed or "%" in typed):
        return text  # no unit: what is wrong with it is said elsewhere
    if typed.translate(_SAME_SIGN).lstrip("^x") != unit.translate(_SAME_SIGN):
        right = unit or say("（无单位）")
        words = say(
            "{name}的单位是 {unit}，您填写的是“{text}”。请换算成 {unit}，只填数字；没有保存。", name=name, unit=right, text=text.strip()
        )
        raise UserError("invalid", words, given=text)
    return found["value"]


# --- counting cells (R7) --------------------------------------------------------------------------------------------


def corrected_wbc(wbc: Decimal, nrbc_per_100: Decimal) -> Decimal:
    """White cells without the nucleated red ones counted among them: WBC × 100 / (100 + NRBC) (AC-B-2)."""
    if nrbc_per_100 < 0:
        raise UserError("invalid", say("有核红细胞数不能小于 0，请核对。"))
    return wbc * 100 / (100 + nrbc_per_100)


COUNTED = (100, 200)


def differential(counts: Mapping[str, int]) -> dict[str, Decimal]:
    """A manual differential of 100 or 200 cells as percentages. Raises UserError naming the sum of any other count (AC-B-4)."""
    negative = [name for name, n in counts.items() if n < 0]
    if negative:
        raise UserError("invalid", say("{items} 的计数不能小于 0。", items=negative))
    total = sum(counts.values())
    if total not in COUNTED:
        short = min(COUNTED, key=lambda n: abs(n - total))
        word = say("还差 {n} 个", n=short - total) if total < short else say("多了 {n} 个", n=total - short)
        raise UserError(
            "invalid", say("分类计数合计 {total}，应为 100 或 200（{word}），请核对后再保存。", total=total, word=word), total=total
        )
    return {name: Decimal(n) * 100 / total for name, n in counts.items()}


# --- haemolysis, icterus, lipaemia (R3) -----------------------------------------------------------------------------


class Index(StrEnum):
    """Serum indices."""

    HAEMOLYSIS = "H"
    ICTERUS = "I"
    LIPAEMIA = "L"


class Action(StrEnum):
    """What an index does to an item, from the mildest on."""

    NONE = "none"
    COMMENT = "comment"
    HOLD = "hold"
    REJECT = "reject"


_FORCE = (Action.NONE, Action.COMMENT, Action.HOLD, Action.REJECT)
INDEX_WORDS = {Index.HAEMOLYSIS: say("溶血"), Index.ICTERUS: say("黄疸"), Index.LIPAEMIA: say("脂血")}


@dataclass(frozen=True, slots=True)
class IndexRule:
    """From a threshold on (inclusive, mg/dL or the analyzer's unit) an index acts on an item. ``direction``: "+" falsely high, "-" low."""

    item: str
    index: Index
    threshold: Decimal
    action: Action
    direction: str = ""


@dataclass(frozen=True, slots=True)
class Interference:
    """The strongest action and the sentences behind it."""

    action: Action
    texts: tuple[str, ...] = ()


def _no_effect(given: Mapping[str, Any]) -> Said:
    return say("{index}指数 {n}（界限 {limit}）。", **given)


_EFFECTS: Mapping[str, Callable[[Mapping[str, Any]], Said]] = {
    "+": lambda given: say("{index}指数 {n}（界限 {limit}），结果可能偏高。", **given),
    "-": lambda given: say("{index}指数 {n}（界限 {limit}），结果可能偏低。", **given),
}


def interference(item: str, indices: Mapping[Index, Decimal], rules: Iterable[IndexRule], expected: bool = False) -> Interference:
    """What the indices do to an item (AC-B-5). ``expected``: the analyzer measures indices; one that it did not send holds."""
    strongest, texts = Action.NONE, list[str]()
    mine = [r for r in rules if r.item == item]
    for index in sorted({r.index for r in mine}):
        value = indices.get(index)
        if value is None:
            if expected:
                strongest = max(strongest, Action.HOLD, key=_FORCE.index)
                texts.append(say("没有收到{index}指数，请目测标本性状后再处理。", index=INDEX_WORDS[index]))
            continue
        reached = [r for r in mine if r.index is index and value >= r.threshold]
        if not reached:
            continue
        worst = max(reached, key=lambda r: (_FORCE.index(r.action), r.threshold))
        strongest = max(strongest, worst.action, key=_FORCE.index)
        given = {"index": INDEX_WORDS[index], "n": f"{value:f}", "limit": f"{worst.threshold:f}"}
        texts.append(_EFFECTS.get(worst.direction, _no_effect)(given))
    return Interference(strongest, tuple(texts))


# --- reruns (R4) ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RerunRule:
    """How far a rerun may lie from the first value: absolute or per cent of the first, whichever is larger."""

    absolute: Decimal = Decimal(0)
    percent: Decimal = Decimal(0)


def first_stands(first: Decimal, second: Decimal, rule: RerunRule) -> bool:
    """Whether the rerun confirms the first value; otherwise a senior decides. The original is kept either way."""
    return abs(second - first) <= max(rule.absolute, abs(first) * rule.percent / 100)


def confirms(first: Value, second: Value, rule: RerunRule) -> bool:
    """``first_stands`` for two values as reported; a limit or a word confirms nothing by itself."""
    if first.number is None or second.number is None or first.comparator or second.comparator:
        return False
    return first_stands(first.number, second.number, rule)


def completes(first: Value, second: Value, dilution: Decimal) -> bool:
    """Whether a diluted value says the number of one that said only "more than" (R2): no two values that differ, and no senior's matter.

    A second limit, or a number below the first, is none: it may not have been diluted at all.
    """
    if first.number is None or second.number is None or dilution <= 1:
        return False
    return first.comparator in (">", "≥") and not second.comparator and second.number >= first.number


@dataclass(frozen=True, slots=True)
class Side:
    """One of two rival values as a person compares them."""

    value: Value
    flag: str = ""
    critical: bool = False
    alarms: tuple[str, ...] = ()


def undisputed(first: Side, second: Side, rule: RerunRule) -> bool:
    """Whether two rivals say the same to a clinician: inside the difference rule, the same flag, neither critical nor alarmed. Only
    such pairs are marked together by one key; every other is chosen by itself."""
    quiet = not (first.critical or second.critical or first.alarms or second.alarms)
    return quiet and first.flag == second.flag and confirms(first.value, second.value, rule)


def difference(first: Value, second: Value) -> tuple[Decimal, Decimal | None] | None:
    """How far the second lies from the first: (absolute, per cent of the first to one decimal); None where one is a limit or a word."""
    if first.number is None or second.number is None or first.comparator or second.comparator:
        return None
    apart = second.number - first.number
    return apart, None if first.number == 0 else (apart * 100 / abs(first.number)).quantize(Decimal("0.1"))


# --- reflex (R5) ----------------------------------------------------------------------------------------------------

MAX_DEPTH = 2


class Kind(StrEnum):
    """What is done on top of a result (``follow_up.kind``): measured again, added, proposed, confirmed before anything is told."""

    RERUN = "rerun"
    ADD = "add"
    SUGGEST = "suggest"
    CONFIRM = "confirm"


AGAIN = frozenset({Kind.RERUN, Kind.CONFIRM})
KIND_WORDS = {Kind.RERUN: say("复查"), Kind.ADD: say("加做"), Kind.SUGGEST: say("建议加做"), Kind.CONFIRM: say("复检确证")}


TO_CONFIRM = "待复检"
"""What the report says of a reactive screen before a confirmatory laboratory has answered."""


def reflex_kind(action: str, depth: int, on_tube: bool, known: bool, standing: bool = True) -> Kind | None:
    """What a rule that is true sets off, or None. Chains end at depth 2; a rule speaks once a tube; what is on the tube is not added.

    ``action`` of the catalog: add, suggest, repeat, confirm; ``on_tube``: its item is asked of this tube already; ``known``: it has spoken
    (a confirmation: one is open). ``standing``: the requesters have agreed beforehand; else what would be added is proposed.
    """
    if action == "confirm":
        # It adds nothing, so no chain grows by it: however often it was put aside, what is still reactive is still to be confirmed.
        return Kind.CONFIRM if on_tube and not known else None
    if known or depth > MAX_DEPTH:
        return None
    if action == "repeat":
        return Kind.RERUN if on_tube else None
    return None if on_tube else Kind(action) if standing else Kind.SUGGEST


# --- what stands beside a value -------------------------------------------------------------------------------------


class NoteCode(StrEnum):
    """Why something stands beside a value. HIL and CONFIRM are accepted by a person; HIL_REJECT never is; HIL_COMMENT, RULE (what a
    rule of the autoverification says) and ANOTHER (a value that came while two others waited for a choice) are only told."""

    HIL = "HIL"
    HIL_REJECT = "HIL_REJECT"
    HIL_COMMENT = "HIL_COMMENT"
    CONFIRM = "CONFIRM"
    RULE = "RULE"
    ANOTHER = "ANOTHER"


HOLDING = frozenset({NoteCode.HIL, NoteCode.HIL_REJECT, NoteCode.CONFIRM})
NOT_BY_KEY = frozenset({NoteCode.HIL_REJECT, NoteCode.CONFIRM})
_CLEARS = {
    NoteCode.HIL: say("目视确认后接受（F6，注明在报告上），或复查（Alt+R）、重采。"),
    NoteCode.HIL_REJECT: say("此值不能报告：登记无结果（F8），或复查、重采。"),
    NoteCode.CONFIRM: say("复检结果回来后由高年资或组长选用。"),
}
_NOTE_OF = {Action.COMMENT: NoteCode.HIL_COMMENT, Action.HOLD: NoteCode.HIL, Action.REJECT: NoteCode.HIL_REJECT}


@dataclass(frozen=True, slots=True)
class Note:
    """``text`` for the bench, ``told`` for the report; ``key``: what it was said about, so that an acceptance holds for that alone."""

    code: NoteCode
    text: str
    told: str = ""
    key: str = ""
    settled: bool = False

    @property
    def holds(self) -> bool:
        """Whether a person must act before the tube leaves."""
        return self.code in HOLDING and not self.settled

    @property
    def clears(self) -> str:
        """What a person does so that it holds no longer."""
        return _CLEARS.get(self.code, "")

    def to_json(self) -> dict[str, object]:
        """As stored in ``test.notes``."""
        words = {"text": str(self.text), "told": str(self.told), "said": kept(self.text)}
        return {"code": self.code.value, **words, "key": self.key, "settled": self.settled}


def notes_from(stored: Iterable[Mapping[str, Any]]) -> list[Note]:
    """Notes as they were stored."""
    return [Note(NoteCode(n["code"]), said_again(n.get("said", n["text"])), n["told"], n["key"], n["settled"]) for n in stored]


def another(value: str, version_id: int) -> Note:
    """A value that is none of the two a person may choose from: never out of sight until the choice is made."""
    return Note(NoteCode.ANOTHER, say("另收到结果 {value}，不在待选的两个之中，选用前请核对历次结果。", value=value), key=str(version_id))


def without(stored: Iterable[dict[str, Any]], *codes: NoteCode) -> list[dict[str, Any]]:
    """Stored notes without those of these codes."""
    return [n for n in stored if n["code"] not in codes]


def beside(before: Sequence[Note], found: Interference, key: str, told: str) -> list[Note]:
    """The notes of a test after its interference was judged anew; what a person accepted of the same values stays accepted."""
    others = [n for n in before if n.code in (NoteCode.CONFIRM, NoteCode.RULE, NoteCode.ANOTHER)]
    if found.action is Action.NONE:
        return others
    code = _NOTE_OF[found.action]
    settled = code is NoteCode.HIL and any(n.code is code and n.key == key and n.settled for n in before)
    # A figure stands on the report as well: the clinician sees how strongly the tube was haemolysed.
    text = say("{texts}", texts=Listed(found.texts, ""))
    return [*others, Note(code, text, told or str(text), key, settled)]


# --- values that contradict each other (R8) -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two or more values of one tube that cannot all be right."""

    items: tuple[str, ...]
    text: str


def sentence(found: Iterable[Contradiction]) -> str:
    """What a person is told: what does not fit, and what to do."""
    return say("{texts} 请复查；确认无误请写明理由再初审。", texts=Listed((each.text for each in found), " "))


Values = Mapping[str, Decimal]
DIFFERENTIAL = ("NEUT%", "LYMPH%", "MONO%", "EO%", "BASO%")
_PER_CENT = {("HCT", "L/L"): Decimal(100), ("HGB", "g/dL"): Decimal(10)}


def comparable(code: str, number: Decimal, unit: str) -> Decimal:
    """A reported number in the unit the rules below are written in (haematocrit in %, haemoglobin in g/L)."""
    return number * _PER_CENT.get((code, unit), Decimal(1))


def contradictions(values: Values) -> list[Contradiction]:
    """What is wrong between the values (item code → reported number); a rule whose items are not all there says nothing."""
    found = []
    for items, check in _LOGIC:
        if all(code in values for code in items):
            text = check(*(values[code] for code in items))
            if text:
                found.append(Contradiction(tuple(items), text))
    return found


def _at_least(whole: Said, part: Said) -> Callable[[Decimal, Decimal], str]:
    return lambda a, b: say("{part} {b} 大于{whole} {a}，请核对。", part=part, b=b, whole=whole, a=a) if b > a else ""


def _lipids(tc: Decimal, hdl: Decimal, ldl: Decimal) -> str:
    # WS/T 616—2018: HDL-C and LDL-C together must not exceed total cholesterol.
    return say("HDL-C 与 LDL-C 之和 {n} 大于总胆固醇 {tc}，请核对。", n=hdl + ldl, tc=tc) if hdl + ldl > tc else ""


def _hundred(*shares: Decimal) -> str:
    total = sum(shares, Decimal(0))
    right = Decimal("99.5") <= total <= Decimal("100.5")
    return "" if right else say("白细胞分类合计 {n}%，应在 99.5–100.5% 之间，请核对。", n=total)


def _three(hgb: Decimal, hct: Decimal) -> str:
    # Haemoglobin in g/dL times three is about the haematocrit in per cent.
    words = say("血红蛋白 {hgb} 与红细胞压积 {hct}% 不相称（Hb×3/10 与 Hct 相差超过 3），请核对标本。", hgb=hgb, hct=hct)
    return words if abs(hgb * 3 / 10 - hct) > 3 else ""


def _mchc(mchc: Decimal) -> str:
    return say("MCHC {n} 大于 370，请排除冷凝集、脂血或溶血。", n=mchc) if mchc > 370 else ""


def _inr(pt: Decimal, inr: Decimal) -> str:
    # A prothrombin time of 10–14 s belongs to an INR near 1 with every reagent; far apart they cannot be of one measurement.
    if (inr >= Decimal("1.5") and pt < 14) or (inr <= Decimal("1.0") and pt > 16):
        return say("PT {pt} s 与 INR {inr} 不相称，请核对 ISI 与曲线。", pt=pt, inr=inr)
    return ""


_LOGIC: Sequence[tuple[Sequence[str], Callable[..., str]]] = (
    (("TP", "ALB"), _at_least(say("总蛋白"), say("白蛋白"))),
    (("TBIL", "DBIL"), _at_least(say("总胆红素"), say("直接胆红素"))),
    (("TC", "HDL-C", "LDL-C"), _lipids),
    (DIFFERENTIAL, _hundred),
    (("HGB", "HCT"), _three),
    (("MCHC",), _mchc),
    (("TPSA", "FPSA"), _at_least(say("总 PSA"), say("游离 PSA"))),
    (("PT", "INR"), _inr),
)
