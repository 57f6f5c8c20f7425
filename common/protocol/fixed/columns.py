"""Fixed-width telegrams of Sysmex CA (coagulation) and KX-21 between STX and ETX: cut by columns only."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_CA = re.compile(rb"[DR]1\d{6}[A-Z ][\d ]{6}[\d ]{4}[\d ]{6}")
_KX = re.compile(
    rb"D1[A-Z]\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d[\dA-Za-z -]{19}(?:[\d* +.-]{4}[\d* +-]){17}[\d* +.-]{3,6}[\x03\x04\r\n]*$"
)
"""A whole KX-21 telegram: date, id, eighteen values; the letters D1U alone begin telegrams of other Sysmex models."""

LAYOUTS = ((4, 2, 13, 1, 11), (6, 2, 15, 1, 15))
"""Widths of rack, position, specimen id, attribute and name: CA-500 manual, CA-600/1500."""
FIXED = 19
"""Characters before the rack: type, 1, three numbers, mark, date (6), time (4)."""
ITEM = 9
"""Code (3), value (5), flag (1)."""


@dataclass(slots=True)
class Telegram:
    """One telegram by its columns, as sent. ``kind``: ``D`` data, ``R`` order inquiry."""

    kind: str
    date: str
    time: str
    position: str
    specimen: str
    attribute: str
    name: str
    mark: str = "U"
    items: list[tuple[str, str, str]] = field(default_factory=list)
    rest: str = ""
    head: str = ""
    """Everything before the items, as sent: an answer repeats it."""


def looks_like_ca(data: bytes) -> bool:
    """Is it a CA telegram (``D1``/``R1`` then numbers in their columns)?"""
    return _CA.match(data.lstrip(b"\r\n\x05\x02\x00 ")) is not None


def looks_like_kx(data: bytes) -> bool:
    """Is it a KX-21 telegram?"""
    body = data.lstrip(b"\r\n\x05\x02\x00 ")
    return _KX.match(body) is not None and not looks_like_ca(data)


def read_ca(text: str) -> Telegram | None:
    """Cut one telegram by the layout its length fits; None when it fits none (cut or unknown)."""
    best = None
    for widths in LAYOUTS:
        start = FIXED + sum(widths)
        body = text[start:]
        if len(text) < start or not all(body[at : at + 3].isdigit() for at in range(0, len(body) - 2, ITEM)):
            continue
        if len(body) % ITEM == 0:
            return _cut_ca(text, widths)
        if len(body) > ITEM and best is None:
            best = widths
    return _cut_ca(text, best) if best else None


def _cut_ca(text: str, widths: tuple[int, int, int, int, int]) -> Telegram:
    parts = []
    at = FIXED
    for width in widths:
        parts.append(text[at : at + width])
        at += width
    rack, place, specimen, attribute, name = parts
    body = text[at:]
    end = len(body) - len(body) % ITEM
    items = [(body[pos : pos + 3], body[pos + 3 : pos + 8], body[pos + 8]) for pos in range(0, end, ITEM)]
    telegram = Telegram(text[0], text[9:15], text[15:19], rack + "^" + place, specimen, attribute, name, text[8], items, body[end:])
    telegram.head = text[:at]
    return telegram


def write_ca(head: str, codes: list[str]) -> str:
    """The S telegram that answers an inquiry: its head, then a parameter code and six blanks a test.

    Results of one assay (041 seconds, 044 INR) are ordered together by the code that ends in 0.
    """
    ordered = dict.fromkeys(code[:2] + "0" if len(code) == 3 and code.isdigit() else code[:3].ljust(3) for code in codes)
    return "S" + head[1:] + "".join(code + " " * (ITEM - 3) for code in ordered)


KX_FIRST = 29
"""Column of the first value (0 is the D); each has four characters and a flag."""
KX_WIDTH = 5


def read_kx(text: str, codes: tuple[str, ...]) -> Telegram:
    """KX-21 sample telegram: specimen id in columns 10–21, then values in the order of ``codes``."""
    items = []
    for number, code in enumerate(codes):
        at = KX_FIRST + number * KX_WIDTH
        piece = text[at : at + KX_WIDTH]
        if len(piece) < 4:
            break
        items.append((code, piece[:4], piece[4:]))
    telegram = Telegram("D", text[3:10], "", "", text[10:22], "", "", text[2:3], items)
    telegram.rest = text[KX_FIRST + len(codes) * KX_WIDTH :]
    return telegram
