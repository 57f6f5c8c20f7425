"""Bytes as a person may see them: control characters by name, the patient's fields hidden. Pure; for pages and the live tail."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

CONTROL = {
    0x00: "NUL", 0x01: "SOH", 0x02: "STX", 0x03: "ETX", 0x04: "EOT", 0x05: "ENQ", 0x06: "ACK", 0x0A: "LF", 0x0B: "VT", 0x0D: "CR",
    0x15: "NAK", 0x17: "ETB", 0x1C: "FS", 0x1D: "GS", 0x1E: "RS", 0x7F: "DEL",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a raw message: a control character by name, or text."""

    text: str
    control: bool = False


def readable(data: bytes, encoding: str | None) -> list[list[Piece]]:
    """Raw bytes as lines of pieces; a line ends after CR, LF or EOT. Bytes that are no text show as <XX>."""
    lines: list[list[Piece]] = [[]]
    text = data.decode(encoding or "utf-8", "backslashreplace")
    plain: list[str] = []
    for at, char in enumerate(text):
        code = ord(char)
        if code >= 0x20 and code != 0x7F:
            plain.append(char)
            continue
        if plain:
            lines[-1].append(Piece("".join(plain)))
            plain.clear()
        lines[-1].append(Piece(CONTROL.get(code, f"{code:02X}"), True))
        follows = text[at + 1 : at + 2]
        if char in "\n\x04" or (char == "\r" and follows not in ("\n", "\x03", "\x17")):
            lines.append([])
    if plain:
        lines[-1].append(Piece("".join(plain)))
    return [line for line in lines if line]


MASK = "▇▇▇"
_PATIENT = re.compile(r"^(?:[0-7])?(P|PID|NK1|PV1)(?=[^A-Za-z0-9])")


def mask_lines(lines: Sequence[Sequence[Piece]]) -> list[list[Piece]]:
    """Raw lines with the patient's fields hidden: of P (ASTM) and PID, NK1, PV1 (HL7) records all but the first two fields.

    A record that a frame cuts (ETB) goes on in the next line and stays hidden there.
    """
    out: list[list[Piece]] = []
    open_record = False
    for line in lines:
        at = next((n for n, p in enumerate(line) if not p.control), None)
        found = None if at is None else _PATIENT.match(line[at].text)
        masked = list(line)
        if at is not None and (found is not None or open_record):
            text = _mask(line[at].text, found.end()) if found is not None else MASK
            masked[at] = Piece(text)
            open_record = any(p.control and p.text == "ETB" for p in line)
        out.append(masked)
    return out


def _mask(text: str, end: int) -> str:
    separator = text[end : end + 1]
    fields = text.split(separator)
    return separator.join(f if at < 2 or not f.strip() else MASK for at, f in enumerate(fields))


def tail_text(data: bytes, encoding: str | None) -> list[str]:
    """Whole lines as text for a live tail: ⟨STX⟩ for a control character, the patient's fields and all that is not ASCII hidden."""
    found = []
    for line in mask_lines(readable(data, encoding)):
        parts = [f"⟨{piece.text}⟩" if piece.control else _NOT_ASCII.sub(MASK, piece.text) for piece in line]
        found.append("".join(parts))
    return found


_NOT_ASCII = re.compile(r"[^\x00-\x7f▇]+")  # in a format whose fields nobody described a name may stand anywhere
