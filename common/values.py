"""Results as typed values: what an instrument or a person wrote, read without guessing, rounded and printed exactly.

Numbers are Decimal, never float; ``0`` is a result, only None and the instruments' own "no result" marks are absence (spec C3, M06).
A text that is not a number stays what it is: nothing here turns an unreadable value into a readable one. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from enum import StrEnum

from common.errors import UserError
from common.say import say

# Long enough for any measured quantity (a viral load has ten digits), short enough that no text can make us compute for minutes.
MAX_DIGITS = 40
MAX_EXPONENT = 30
_EXACT = Context(prec=MAX_DIGITS + 2 * MAX_EXPONENT)

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0x2212: 0x2D, 0x2013: 0x2D, 0x2014: 0x2D}
_COMPARATORS = {"<": "<", ">": ">", "<=": "≤", "=<": "≤", "≤": "≤", "⩽": "≤", ">=": "≥", "=>": "≥", "≥": "≥", "⩾": "≥", "=": ""}
_SIGN = r"(?P<sign><=|>=|=<|=>|[<>=≤≥⩽⩾])?"
_NUMBER = re.compile(_SIGN + r"\s*(?P<digits>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?)")
# What nearly every analyzer sends: digits and a point. Read at once, without asking what else it might be.
_DIGITS = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII)
_WORDS = frozenset({"text", "image", "organism"})
_TITRE = re.compile(_SIGN + r"\s*1\s*[:∶]\s*(?P<digits>[0-9]{1,9})")
_COMMA = re.compile(r"[<>≤≥=]{0,2}[+-]?[0-9]+,[0-9]+")
_GROUPS = re.compile(r"[<>≤≥=]{0,2}[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?")
# "-----", "****", "--.--", "...": an instrument's way to print "no value"; a single "-" is a negative strip field.
_NOTHING = re.compile(r"(?=(?:.*[-*.]){2})[-*.\s]+|\*")


class ValueKind(StrEnum):
    """What a result text turned out to be."""

    NUMBER = "number"
    TITRE = "titre"
    TEXT = "text"
    NONE = "none"


class Rounding(StrEnum):
    """四舍五入, or GB/T 8170 (修约, half to even)."""

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"


@dataclass(frozen=True, slots=True)
class Value:
    """One result. ``number`` of a titre 1:160 is 160; ``text`` is the value as it may be printed, ``raw`` as it came."""

    raw: str
    kind: ValueKind
    text: str
    comparator: str = ""
    number: Decimal | None = None

    @property
    def missing(self) -> bool:
        """Whether there is no result at all."""
        return self.kind is ValueKind.NONE

    @property
    def grade(self) -> int | None:
        """0 阴性 … 5 ++++ for a qualitative text, None for anything else."""
        return _GRADES.get(_word(self.text)) if self.kind is ValueKind.TEXT else None


_GRADES: dict[str, int] = {
    **dict.fromkeys(("-", "(-)", "NEG", "NEGATIVE", "NONREACTIVE", "NORM", "NORMAL"), 0),
    **dict.fromkeys(("阴性", "阴性(-)", "阴性-", "未检出", "未检测到", "未见", "未见异常", "未见明显异常", "未发现", "正常", "无"), 0),
    **dict.fromkeys(("±", "(±)", "+-", "+/-", "TRACE", "TR", "弱阳性", "弱阳性(±)", "可疑", "微量", "±阳性", "灰区"), 1),
    **dict.fromkeys(("+", "1+", "+1", "(+)", "POS", "POSITIVE", "阳性", "阳性(+)", "阳性+", "检出", "REACTIVE"), 2),
    **dict.fromkeys(("++", "2+", "+2", "(++)", "阳性(++)"), 3),
    **dict.fromkeys(("+++", "3+", "+3", "(+++)", "阳性(+++)"), 4),
    **dict.fromkeys(("++++", "4+", "+4", "(++++)", "阳性(++++)"), 5),
}


def nothing(text: str) -> bool:
    """Whether an instrument says that it has no result: "----", "*". One "-" alone is a strip's negative."""
    plain = text.translate(_FULL_WIDTH).strip()
    return not plain or _NOTHING.fullmatch(plain) is not None


def parse(text: str | None, result_type: str = "numeric") -> Value:
    """Read a result as it came. Never raises: what is neither number nor titre nor absence is TEXT, as it stands.

    ``result_type`` is the item's (M02): for semi-quant and enum items ``+1`` is a grade, for numeric ones a number.
    """
    raw = "" if text is None else text
    if _DIGITS.fullmatch(raw) and result_type not in _WORDS:
        number = Decimal(raw)
        return Value(raw, ValueKind.NUMBER, format(number, "f"), "", number)
    plain = raw.translate(_FULL_WIDTH).strip()
    if nothing(plain):
        return Value(raw, ValueKind.NONE, "")
    if result_type in _WORDS:
        return Value(raw, ValueKind.TEXT, raw.strip())
    if result_type in ("semi-quant", "enum") and _word(plain) in _GRADES:
        return Value(raw, ValueKind.TEXT, plain)
    return _titre(raw, plain) or _number(raw, plain) or Value(raw, ValueKind.TEXT, raw.strip())


def require(text: str, result_type: str, name: str = "结果", choices: Sequence[str] = ()) -> Value:
    """Read what a person typed for an item; raises UserError naming the wrong input (M07: 1,5 and letters in numbers are refused).

    ``choices``: the item's list, which its qualitative values come from and nothing else (M07 R6); they are kept as the list writes them.
    """
    value = parse(text, result_type)
    if value.missing:
        words = say("{name}没有填写，请输入结果；确实没有结果时请选“无结果”并写明原因。", name=name)
        raise UserError("invalid", words, given=text)
    if choices and result_type in LISTED:
        return parse(_of_list(text, name, choices), result_type)
    if result_type == "numeric" and value.kind is not ValueKind.NUMBER:
        raise UserError("invalid", _why_no_number(value, name), given=text)
    if result_type == "titer" and value.kind is not ValueKind.TITRE:
        raise UserError("invalid", say("{name}“{text}”不是滴度，请写成 1:160 的形式。", name=name, text=value.text), given=text)
    return value


LISTED = ("enum", "semi-quant")
"""Kinds of result that come from a list."""


def _of_list(text: str, name: str, choices: Sequence[str]) -> str:
    typed = _word(text.translate(_FULL_WIDTH).strip())
    found = next((each for each in choices if _word(each.translate(_FULL_WIDTH).strip()) == typed), None)
    if found is None:
        words = say("{name}只能从列表中选择：{choices}。“{text}”没有保存。", name=name, choices=tuple(choices), text=text.strip())
        raise UserError("invalid", words, field="value", given=text)
    return found


def number(text: str) -> Decimal | None:
    """A number that a person typed for anything but a result (a limit, a factor, a temperature), read as a result would be: full-width
    digits are digits; ``1_000``, ``1e999``, ``NaN``, ``1,5`` and ``<3`` are none."""
    value = parse(text)
    return value.number if value.kind is ValueKind.NUMBER and not value.comparator else None


def is_number(value: Value) -> bool:
    """Whether the value has a number one can compare (a titre counts by its reciprocal)."""
    return value.number is not None


def rounded(number: Decimal, decimals: int, rounding: Rounding | str = Rounding.HALF_UP) -> Decimal:
    """The number with exactly ``decimals`` places (AC-MD-1). Never a negative zero."""
    mode = ROUND_HALF_EVEN if Rounding(rounding) is Rounding.HALF_EVEN else ROUND_HALF_UP
    result = number.quantize(Decimal(1).scaleb(-decimals), rounding=mode, context=_EXACT)
    return abs(result) if result.is_zero() else result


def reported(value: Value, decimals: int, rounding: Rounding | str = Rounding.HALF_UP) -> Value:
    """The value as the report says it; flags are judged on this one (C3).

    A limit (``<0.05``) keeps its own digits: rounding it would say something else, or nothing (``<0.0``).
    """
    if value.kind is not ValueKind.NUMBER or value.number is None:
        return value
    number = value.number if value.comparator else rounded(value.number, decimals, rounding)
    return replace(value, number=number, text=f"{value.comparator}{plain(number)}")


def scaled(value: Value, factor: Decimal, offset: Decimal = Decimal(0)) -> Value:
    """raw·factor + offset of a mapping; a negative factor turns a limit round. Texts, titres and absence pass unchanged."""
    if value.kind is not ValueKind.NUMBER or value.number is None or (factor == 1 and offset == 0):
        return value
    number = _EXACT.add(_EXACT.multiply(value.number, factor), offset)
    sign = value.comparator.translate(_TURNED) if factor < 0 else value.comparator
    return replace(value, comparator=sign, number=number, text=f"{sign}{plain(number)}")


def plain(number: Decimal) -> str:
    """Digits without an exponent."""
    return format(number, "f")


def significant(number: Decimal, digits: int) -> str:
    """A statistic with so many significant digits, half up, without an exponent; digits before the point are never cut."""
    places = max(0, digits - 1 - number.adjusted()) if number else digits - 1
    return plain(rounded(number, places))


_TURNED = str.maketrans("<>≤≥", "><≥≤")


def _titre(raw: str, text: str) -> Value | None:
    match = _TITRE.fullmatch(text)
    if match is None or int(match["digits"]) == 0:
        return None
    sign = _COMPARATORS[match["sign"]] if match["sign"] else ""
    return Value(raw, ValueKind.TITRE, f"{sign}1:{int(match['digits'])}", sign, Decimal(match["digits"]))


def _number(raw: str, text: str) -> Value | None:
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > MAX_DIGITS:
        return None
    number = Decimal(match["digits"])
    if abs(number.adjusted()) > MAX_EXPONENT:
        return None
    sign = _COMPARATORS[match["sign"]] if match["sign"] else ""
    return Value(raw, ValueKind.NUMBER, f"{sign}{plain(number)}", sign, number)


def _word(text: str) -> str:
    return text.translate(_FULL_WIDTH).replace(" ", "").upper()


def _why_no_number(value: Value, name: str) -> str:
    if value.kind is ValueKind.TITRE:
        return say("{name}“{text}”是滴度，这个项目要填数值。", name=name, text=value.text)
    plain_text = value.raw.translate(_FULL_WIDTH).strip()
    if _GROUPS.fullmatch(plain_text):
        # Five thousand or five: nobody is told one of them as the right one.
        whole = plain_text.replace(",", "")
        return say("{name}“{text}”用了逗号：若是千位请填 {whole}，若是小数点请用“.”。没有保存。", name=name, text=plain_text, whole=whole)
    if _COMMA.fullmatch(plain_text):
        right = plain_text.replace(",", ".")
        return say("{name}“{text}”用了逗号，小数点请用“.”，例如 {right}。", name=name, text=plain_text, right=right)
    wrong = next((c for c in plain_text if c not in "0123456789.+-<>=≤≥eE"), "")
    if wrong:
        return say("{name}“{text}”里的“{wrong}”不是数字，请改正后再保存。", name=name, text=plain_text, wrong=wrong)
    return say("{name}“{text}”不是一个数，请改正后再保存。", name=name, text=plain_text)
