"""A message as somebody may read it who must not know whose it is (00-conventions C1, permission ``interfaces:raw``). Pure.

Masked field by field, so that the structure — what an interface engineer looks for — stays visible.
"""

from __future__ import annotations

import re

from cloud.modules.interfaces.charset import Undecodable, decode

# Segment → fields that tell of a person, their health or their address.
SECRET = {
    "PID": {2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 14, 18, 19, 20, 21, 23, 28},
    "PV1": {19, 50},
    "NK1": set(range(2, 40)),
    "IN1": set(range(2, 50)),
    "GT1": set(range(2, 50)),
    "DG1": {3, 4},
    "NTE": {3},
    "OBX": {5},
    "OBR": {13, 31},
    "ZPI": set(range(1, 50)),
}
_WORD = re.compile(r"[^\s^~&|]")


def text_of(raw: bytes) -> str:
    """The message for a page, a segment a line; undecodable bytes as \\xNN, never dropped."""
    try:
        text = decode(raw).text
    except Undecodable:
        text = raw.decode("utf-8", "backslashreplace")
    return re.sub(r"\r\n|\r|\n", "\n", text).strip("\n\x0b\x1c")


def mask(text: str) -> str:
    """The same with every character of a secret field replaced by *, separators kept. What is no segment is masked whole."""
    lines = text.split("\n")
    sep = lines[0][3] if lines and lines[0].startswith("MSH") and len(lines[0]) > 3 else "|"
    return "\n".join(_line(line, sep) for line in lines)


def _line(line: str, sep: str) -> str:
    parts = line.split(sep)
    name = parts[0]
    if name == "MSH":
        return line
    if not re.fullmatch(r"[A-Z][A-Z0-9]{2}", name):
        return _WORD.sub("*", line)
    secret = SECRET.get(name, set())
    return sep.join(_WORD.sub("*", part) if number in secret else part for number, part in enumerate(parts))
