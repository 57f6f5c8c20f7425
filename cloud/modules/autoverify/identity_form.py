"""Mix-up weights and contamination patterns as a person writes them, a line each, and back. Pure.

``MCV 1`` is an item's weight; ``K > 5.5 20%`` a sign of a contamination: above 5.5, or risen by more than 20 % since the last value; either
may be missing (``K > - 20%``, ``K > 5.5``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from decimal import Decimal

from cloud.modules.autoverify.case import Element, Pattern
from common.errors import UserError
from common.say import say

_WEIGHT = re.compile(r"(\S+)\s+(\d+(?:\.\d+)?)")
_SIGN = re.compile(r"(\S+)\s*([<>])\s*(-|\d+(?:\.\d+)?)(?:\s+(\d+(?:\.\d+)?)\s*%)?")


def weights(text: str, known: Collection[str], field: str = "weights") -> dict[str, Decimal]:
    """Item → weight. UserError invalid, naming the line."""
    out = {}
    for line in _lines(text):
        found = _WEIGHT.fullmatch(line)
        if found is None:
            raise UserError("invalid", say("“{line}”看不懂，请写成“项目代码 权重”，例如 MCV 1。", line=line), field=field)
        out[_code(found[1], known, field)] = Decimal(found[2])
    return out


def pattern(code: str, text: str, required: str, least: str, known: Collection[str]) -> Pattern:
    """A contamination. UserErrors invalid: a line, an item or a count that cannot be."""
    name = code.strip().upper()
    if not re.fullmatch(r"[A-Z][A-Z0-9_]{1,30}", name):
        raise UserError("invalid", say("请填写污染类型的代码（字母开头），例如 CONTAM_EDTA。"), field="code")
    elements = tuple(_element(line, known) for line in _lines(text))
    must = tuple(_code(each, known, "required") for each in required.split())
    missing = [each for each in must if each not in {e.item for e in elements}]
    if missing:
        raise UserError("invalid", say("必须出现的项目 {items} 不在上面的各行中。", items=missing), field="required")
    if not least.isdecimal() or not 1 <= int(least) <= len(elements):
        raise UserError("invalid", say("至少几项应为 1 到 {n} 的整数。", n=len(elements)), field="least")
    return Pattern(name, elements, must, int(least))


def _element(line: str, known: Collection[str]) -> Element:
    found = _SIGN.fullmatch(line)
    if found is None or (found[3] == "-" and found[4] is None):
        words = say("“{line}”看不懂，请写成“项目代码 > 界限 变化%”，例如 K > 5.5 20%。", line=line)
        raise UserError("invalid", words, field="elements")
    limit = None if found[3] == "-" else Decimal(found[3])
    return Element(_code(found[1], known, "elements"), found[2] == ">", limit, None if found[4] is None else Decimal(found[4]))


def _code(typed: str, known: Collection[str], field: str) -> str:
    if typed not in known:
        raise UserError("invalid", say("没有在用的项目 {code}，请核对代码。", code=typed), field=field)
    return typed


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.replace("；", "\n").replace("＞", ">").replace("＜", "<").splitlines() if line.strip()]


def weight_lines(found: Mapping[str, Decimal]) -> str:
    """Weights as they are written."""
    return "\n".join(f"{code} {weight:f}" for code, weight in found.items())


def sign_lines(found: Pattern) -> str:
    """A pattern's elements as they are written."""
    return "\n".join(_written(each) for each in found.elements)


def _written(each: Element) -> str:
    limit = "-" if each.limit is None else f"{each.limit:f}"
    return f"{each.item} {'>' if each.up else '<'} {limit}" + ("" if each.change is None else f" {each.change:f}%")


__all__ = ["pattern", "sign_lines", "weight_lines", "weights"]
