"""Escape sequences between two escape characters, as ASTM records (LIS02 6.6) and HL7 (2.7) both have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from common.protocol.charset import decode_bytes


def decode(text: str, mark: str, sequence: Callable[[str], str | None]) -> str:
    """Replace every ``mark body mark`` that ``sequence`` knows; others, and a lone mark, stay as sent."""
    parts = text.split(mark)
    if len(parts) < 3:
        return text
    out = [parts[0]]
    at = 1
    while at < len(parts):
        known = sequence(parts[at]) if at + 1 < len(parts) else None
        if known is None:
            out.append(mark + parts[at])
            at += 1
        else:
            out.append(known + parts[at + 1])
            at += 2
    return "".join(out)


def encode(text: str, mark: str, special: Mapping[str, str]) -> str:
    """The text as it may stand in a field: characters of ``special`` by their letter, control characters as ``Xhh``."""
    out = []
    for char in text:
        if char in special:
            out.append(f"{mark}{special[char]}{mark}")
        elif char < " ":
            out.append(f"{mark}X{ord(char):02X}{mark}")
        else:
            out.append(char)
    return "".join(out)


def hex_text(digits: str, encoding: str | None = None) -> str | None:
    """Text of ``Xhh…``; None when the digits are none."""
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        return None
    return decode_bytes(raw, None, encoding).text
