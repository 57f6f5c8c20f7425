"""Which part of a test identifier is the vendor's code, which part of a field the specimen id.

Pure functions over one field; the choices are explained in README.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

RESULT_TYPES = frozenset({"F", "I", "P", "S"})
"""Fourth components that name the kind of result (final, interpretation, preliminary, SI), no code."""


def vendor_code(field: str, separator: str, position: int | str | None = None) -> str | None:
    """Vendor's code in an ASTM test id (LIS02 7.5.3: the fourth component is the local code).

    ``position`` is a driver's component number or ``whole``. Where the parts do not tell which of
    them is the code, the whole field is, so that two tests never share a code.
    """
    if separator not in field:
        return field.strip() or None
    parts = field.split(separator)
    if position is not None:
        if isinstance(position, int) and position <= len(parts) and parts[position - 1].strip():
            return parts[position - 1].strip()
        if position == "whole":
            return _whole(field, separator)
    if not (parts[0] or parts[1] or (len(parts) > 2 and parts[2])):
        for part in parts[3:]:
            if part.strip():
                return part.strip()
        return None
    return _mixed(field, parts, separator)


class _Codes(dict[str, str | None]):
    """Codes by test id: an analyzer sends the same ids again and again."""

    def __init__(self, separator: str, position: int | str | None) -> None:
        super().__init__()
        self._how = separator, position

    def __missing__(self, field: str) -> str | None:
        if len(self) >= _REMEMBERED:
            self.clear()
        code = self[field] = vendor_code(field, *self._how)
        return code


_REMEMBERED = 4096


@lru_cache(64)
def vendor_codes(separator: str, position: int | str | None) -> Mapping[str, str | None]:
    """``vendor_code`` of each test id one kind of analyzer sends."""
    return _Codes(separator, position)


def _mixed(field: str, parts: list[str], separator: str) -> str | None:
    filled = [part for part in parts if part.strip()]
    if not filled:
        return None
    if len(filled) == 1:
        return filled[0].strip()
    fourth = parts[3].strip() if len(parts) > 3 else ""
    if fourth in RESULT_TYPES and parts[0].strip():
        return parts[0].strip()
    if fourth and not any(part.strip() for part in parts[5:]):
        return fourth
    if len(parts) == 3 and parts[0].strip() and parts[1].strip() and parts[2].strip():
        return parts[0].strip()  # code^text^system as HL7 writes it
    return _whole(field, separator)


def _whole(field: str, separator: str) -> str | None:
    text = field.strip()
    return text if text.strip(separator + " ") else None


ASPECTS = RESULT_TYPES | {
    *("C", "M", "DOSE", "RLU", "INDX", "INDEX", "INTR", "INTERP", "COFF", "CUTOFF", "CONC", "RAW", "SIGNAL", "RESP", "MAIN"),
    *("AREA", "TIME", "RT", "HEIGHT", "QUAL", "QUANT", "QN", "QL", "INTERPRETATION", "RESULT", "VALUE", "TEXT", "COI", "S/CO"),
}
"""Words that say which statement about a test a row makes; such rows share the test's code."""


def ambiguous(fields: list[str], separator: str) -> bool:
    """Do test ids that share a code differ in a word that names something else (antibiotic, target, unit)?

    Numbers (dilution, replicate) and the words for a kind of statement do not count.
    """
    rows = [field.split(separator) for field in dict.fromkeys(fields)]
    if len(rows) < 2:
        return False
    for at in range(max(len(row) for row in rows)):
        words = {row[at].strip() for row in rows if at < len(row)} - {""}
        named = {word for word in words if (word.upper() if len(word) > 1 else word) not in ASPECTS and not _numeric(word)}
        if len(words) > 1 and len(named) > 1:
            return True
    return False


def _numeric(word: str) -> bool:
    return not any(char.isalpha() for char in word)


def order_specimen(o3: str, o4: str, separator: str, roche: bool) -> str | None:
    """Specimen id of an O record when no driver says where it is (LIS02 8.4.3, 8.4.4)."""
    found = _first_id(o3, separator, roche)
    if found is not None:
        return found
    parts = o4.split(separator)
    if len(parts) >= 4 and _attribute(parts[3]):
        return _id(parts[2])
    counted = len(parts) > 1 and parts[0].strip().isdigit() and len(parts[0].strip()) <= 4
    if roche or len(parts) > 4 or counted or not any(char.isdigit() for char in parts[0] or o4):
        return None  # sequence^rack^position^^type^container: where the tube was, not which one it is
    return _first_id(o4, separator, False)


def _first_id(field: str, separator: str, roche: bool) -> str | None:
    if separator not in field:
        return _id(field)
    parts = field.split(separator)
    if len(parts) >= 4 and _attribute(parts[3]):  # rack^tube^id^attribute
        return _id(parts[2])
    if roche and parts[1].strip():
        return _id(parts[1])
    first = parts[0].strip()
    if first.isdigit() and len(first) <= 4:  # a sequence or rack number, when the one long text behind it is the id
        longer = [part for part in parts[1:] if _like_an_id(part.strip())]
        if len(longer) == 1:
            return _id(longer[0])
    for part in parts:
        if part.strip():
            return _id(part)
    return None


def _like_an_id(text: str) -> bool:
    """At least five characters with a digit, and no date."""
    dated = len(text) in (8, 14) and text.isdigit() and text[:2] in ("19", "20")
    return len(text) >= 5 and any(char.isdigit() for char in text) and not dated


def _id(text: str) -> str | None:
    text = text.strip()
    return None if not text or text == '""' else text


def _attribute(text: str) -> bool:
    """Sysmex sample number attribute: M manual, A automatic, B barcode, C host."""
    return text.strip() in ("M", "A", "B", "C")


def query_specimen(item: str, separator: str) -> str | None:
    """Specimen id in one repeat of Q.3: ``patient^specimen``, ``^^id``, or ``rack^tube^id^attribute``."""
    if separator not in item:
        return _id(item)
    parts = item.split(separator)
    if len(parts) >= 4 and _attribute(parts[3]):
        return _id(parts[2])
    placed = [part.strip() for part in parts[1:] if part.strip()]
    first = parts[0].strip()
    if len(placed) >= 2 and len(first) > 5 and all(part.isdigit() and len(part) <= 4 for part in placed):
        return _id(first)  # id^rack^position
    second = parts[1].strip()
    if first.isdigit() and second.isdigit() and max(len(first), len(second)) <= 4:  # rack^tube^id
        longer = [part.strip() for part in parts[2:] if _like_an_id(part.strip())]
        if len(longer) == 1:
            return _id(longer[0])
    if second:
        return _id(second)
    for part in parts[2:] if not parts[0].strip() else parts:
        if part.strip():
            return _id(part)
    return None


def first_component(field: str, separator: str) -> str | None:
    """First component, trimmed; None when empty or the null mark."""
    return _id(field.split(separator, 1)[0])


CONTROL_WORDS = frozenset({"CTRL", "CONTROL", "QC", "QC #", "QCLEVEL", "CONTR", "QCS", "CAL", "CALIBRATOR", "PRECICONTROL"})


_CONTROL_ID = re.compile(r"(?:QC|CTRL|CONTROL)(?:[-_ #].*|\d{0,2}|L\d)", re.IGNORECASE)
_CONTROL_BEGINS = frozenset("QqCc")


def control_id(text: str | None) -> bool:
    """Is an id (of a specimen or in the place of a patient) plainly one of control material: ``QC``, ``QC2``, ``QC-…``, ``CTRL_L1``?"""
    return text is not None and text[:1] in _CONTROL_BEGINS and _CONTROL_ID.fullmatch(text) is not None


def control_word(field: str, separators: str) -> bool:
    """Does one component of the field say that this is control material?"""
    if not field:
        return False
    text = field.upper()
    if "C" not in text:
        return False
    for separator in separators:
        text = text.replace(separator, "\x00")
    return any(part.strip() in CONTROL_WORDS for part in text.split("\x00"))
