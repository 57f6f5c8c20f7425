"""Which part of a test identifier is the vendor's code, which part of a field the specimen id.

Pure functions over one field; the choices are explained in README.md.
"""

from __future__ import annotations

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


def order_specimen(o3: str, o4: str, separator: str, roche: bool) -> str | None:
    """Specimen id of an O record when no driver says where it is (LIS02 8.4.3, 8.4.4)."""
    found = _first_id(o3, separator, roche)
    if found is not None:
        return found
    parts = o4.split(separator)
    if len(parts) >= 4 and _attribute(parts[3]):
        return _id(parts[2])
    if roche or len(parts) > 4:
        return None  # sequence^rack^position^^type^container: where the tube was, not which one it is
    return _first_id(o4, separator, False)


def _first_id(field: str, separator: str, roche: bool) -> str | None:
    if separator not in field:
        return _id(field)
    parts = field.split(separator)
    if roche and parts[1].strip():
        return _id(parts[1])
    for part in parts:
        if part.strip():
            return _id(part)
    return None


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
    if parts[1].strip():
        return _id(parts[1])
    for part in parts[2:] if not parts[0].strip() else parts:
        if part.strip():
            return _id(part)
    return None


def first_component(field: str, separator: str) -> str | None:
    """First component, trimmed; None when empty or the null mark."""
    return _id(field.split(separator, 1)[0])


CONTROL_WORDS = frozenset({"CTRL", "CONTROL", "QC", "CONTR", "QCS", "CAL", "CALIBRATOR", "PRECICONTROL"})


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
