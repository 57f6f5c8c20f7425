"""Small rules of printed text: local time, units, what may stand on a page. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from common.units import readable

SHANGHAI = ZoneInfo("Asia/Shanghai")

_SUPERSCRIPT = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+−", strict=True))
_SUBSCRIPT = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+−", strict=True))
# Raised and lowered signs that the CJK faces do not draw: the page draws the plain sign raised or lowered instead.
SMALL_SIGNS = re.compile(f"[{''.join(_SUPERSCRIPT)}]+|[{''.join(_SUBSCRIPT)}]+")
_POWER = re.compile(r"10[\^*]([+-]?[0-9]+)")
_LEADING_POWER = re.compile(f"^[xX×]?10(?=[{''.join(_SUPERSCRIPT)}])")
_TIMES = re.compile(r"(?<=[0-9] )[xX]?(?=10[\^*][0-9]+/)|(?<=[0-9])[xX](?=10[\^*][0-9]+/)")
_POWER_IN_TEXT = re.compile(r"(?<![0-9.])10[\^*]([+-]?[0-9]+)(?=/| ?[A-Za-zμ])")
_MICRO = re.compile(r"\bu(?=(?:mol|g|U|IU|kat|L)/)")
# Signs that look the same to every reader and of which the faces have only the other one.
_SAME = str.maketrans("\u223c\u2219\u22c5\u2217\u2010\u2011\u00a0\u202f", "~··*--  ")
_DIRTY = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\xa0\u200b\u200e\u200f\u2010\u2011\u2028\u2029\u202f\u2217\u2219\u223c\u22c5\ufeff]")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028\u2029\ufeff]")


def local(moment: datetime | None, seconds: bool = False) -> str:
    """A time as it is printed, in Asia/Shanghai; an absent time is empty. Raises ValueError for a time without zone."""
    if moment is None:
        return ""
    if moment.tzinfo is None:
        raise ValueError("a time without zone cannot be printed")
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def clean(text: str) -> str:
    """Text as it may stand on a page: line ends become one kind, other control characters go, look-alikes become the drawable one."""
    if not _DIRTY.search(text):
        return text
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return _CONTROL.sub("", lines).translate(_SAME)


def written(text: str) -> str:
    """``clean``, with the powers and units inside it as people write them: 5.3 10^9/L as 5.3 ×10⁹/L, ≥10^5 CFU as ≥10⁵ CFU, umol/L as
    μmol/L. Only between a number and its unit a sign of multiplication is added: elsewhere the power is a number itself."""
    spelled = _POWER_IN_TEXT.sub(lambda found: f"10{_raise(found[1])}", _TIMES.sub("×", clean(text)))
    return _MICRO.sub("μ", spelled)


@lru_cache(maxsize=1000)
def unit_parts(unit: str) -> tuple[tuple[str, str], ...]:
    """A unit as runs of [style, text], style "" or "sup": ``10^9/L``, ``10*9/L`` and ``×10⁹/L`` all read ×10⁹/L, ``umol/L`` μmol/L."""
    return runs(unit_text(unit))


def unit_text(unit: str) -> str:
    """The same as one text, for the cells of a list."""
    return _LEADING_POWER.sub("×10", _POWER.sub(lambda found: f"10{_raise(found[1])}", clean(readable(unit))))


def runs(text: str) -> tuple[tuple[str, str], ...]:
    """Text cut into runs of [style, text], style "", "sup" or "sub"."""
    parts: list[tuple[str, str]] = []
    end = 0
    for found in SMALL_SIGNS.finditer(text):
        if found.start() > end:
            parts.append(("", text[end : found.start()]))
        table, style = (_SUPERSCRIPT, "sup") if found[0][0] in _SUPERSCRIPT else (_SUBSCRIPT, "sub")
        parts.append((style, "".join(table[char] for char in found[0])))
        end = found.end()
    if end < len(text):
        parts.append(("", text[end:]))
    return tuple(parts)


def _raise(digits: str) -> str:
    names = {plain: small for small, plain in _SUPERSCRIPT.items()} | {"-": "⁻"}
    return "".join(names[char] for char in digits)
