"""UCUM units, as far as a clinical laboratory writes them: is this text a unit? Pure.

The grammar is UCUM's (terms, prefixes, exponents, annotations); the atoms are those of laboratory
reports. ``10*9/L`` and ``10^9/L`` are both UCUM.
"""

from __future__ import annotations

import re

# atoms that take a metric prefix, and those that do not
_METRIC_LINES = ("m g s L l mol U kat Pa Hz J W N V A K Cel eq osm [IU] [iU] B Bq Gy Sv cd rad bar m[Hg] m[H2O] t",)
_PLAIN_LINES = (
    "% 10* 10^ min h d wk mo a deg [pH] [ppm] [ppb] [ppth] [pptr] [HPF] [LPF] [CFU] [cfu] [PFU] [arb'U] [APL'U] [GPL'U] [MPL'U] [AU]",
    "[EU] [EIA'U] [Ch] [drp] [in_i] [lb_av] [degF] [titer] [KIU] mm[Hg] [beth'U] [FEU] [DDU] [copies] [kp_C] [todd'U] [dye'U]",
)
_METRIC = frozenset(atom for line in _METRIC_LINES for atom in line.split())
_PLAIN = frozenset(atom for line in _PLAIN_LINES for atom in line.split())
_PREFIXES = ("da", "Y", "Z", "E", "P", "T", "G", "M", "k", "h", "d", "c", "m", "u", "n", "p", "f", "a", "z", "y")
_ANNOTATION = re.compile(r"\{[\x21-\x7a|~]*\}")
_EXPONENT = re.compile(r"(?P<atom>10[*^]|[A-Za-z%\[\]'_0-9]*[A-Za-z%\]'])(?P<power>[+-]?[0-9]+)?")


def is_ucum(text: str) -> bool:
    """Whether the text is a UCUM unit; the empty text (a ratio, an index, a word) is one without a unit and allowed."""
    if not text:
        return True
    if len(text) > 60 or any(not 0x21 <= ord(c) <= 0x7E for c in text):
        return False
    bare = _ANNOTATION.sub("{}", text)
    return _term(bare[1:] if bare.startswith("/") else bare)


def _term(text: str) -> bool:
    """Components joined by ``.`` and ``/``; parentheses hold a term."""
    parts: list[str] = []
    depth = start = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth < 0:
            return False
        if depth == 0 and c in "./":
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return depth == 0 and all(map(_component, parts))


def _component(text: str) -> bool:
    if text.startswith("(") and text.endswith(")"):
        return _term(text[1:-1])
    if text == "{}" or (text.isdigit() and text != ""):
        return True
    match = _EXPONENT.fullmatch(text.removesuffix("{}"))
    if match is None:
        return False
    atom = match["atom"]
    return atom in _PLAIN or atom in _METRIC or any(atom.startswith(p) and atom[len(p) :] in _METRIC for p in _PREFIXES)


_MICRO = re.compile(r"(?<![A-Za-z\]'])u(?=(?:mol|g|L|l|m|s|U|IU|kat|eq|V|\[IU\]|\[iU\])(?![A-Za-z]))")
_INTERNATIONAL = re.compile(r"\[[iI]U\]")


def readable(unit: str) -> str:
    """A unit as people write it: μmol/L for umol/L, IU for [IU], nothing for the 1 of a ratio. What is stored and sent stays UCUM."""
    if unit == "1":
        return ""
    return _INTERNATIONAL.sub("IU", _MICRO.sub("μ", unit))
