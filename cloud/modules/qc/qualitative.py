"""Qualitative control: what was expected and whether an answer has the right sign. Pure."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum


class Sign(StrEnum):
    """Expected answers of a qualitative control."""

    NEGATIVE = "neg"
    WEAK = "weak"
    POSITIVE = "pos"


SIGN_WORDS = {Sign.NEGATIVE: "阴性", Sign.WEAK: "弱阳性", Sign.POSITIVE: "阳性"}

_NEGATIVE = re.compile(r"^(-|−|neg(ative)?|nr|non-?reactive|阴性?|阴性\(-\)|未检出|正常|normal)$")
_WEAK = re.compile(r"^(\+-|\+/-|±|trace|tr|weak|弱阳性?|弱阳性\(±\)|微量|灰区.*)$")
_POSITIVE = re.compile(r"^(\+{1,4}|[1-4]\+|\+[1-4]|pos(itive)?|r|reactive|阳性?|阳性\(\+\)|检出)$")


def sign_of(text: str) -> Sign | None:
    """The sign an answer says, or None when it says none: then nobody may take it for the expected one."""
    word = unicodedata.normalize("NFKC", text).strip().lower().replace(" ", "")
    for pattern, sign in ((_WEAK, Sign.WEAK), (_NEGATIVE, Sign.NEGATIVE), (_POSITIVE, Sign.POSITIVE)):
        if pattern.match(word):
            return sign
    return None


def agrees(expected: str, text: str) -> bool:
    """Whether an answer is the expected one; a weak positive control may also be found positive, never negative."""
    found = sign_of(text)
    if found is None:
        return False
    return found == expected or (expected == Sign.WEAK and found is Sign.POSITIVE)
