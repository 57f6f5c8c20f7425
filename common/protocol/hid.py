"""What a USB reader (barcode scanner, card reader, small meter) types as a keyboard: boot reports to lines of text. Pure.

A report is eight bytes: shift keys, a reserved byte, up to six keys that are down (USB HID 1.11, appendix B; usage page 7 of the
HID usage tables). A key counts when it was not down in the report before; Enter and Tab end a line. Layout: US, as readers ship.
"""

from __future__ import annotations

REPORT = 8
_SHIFT = 0x22  # left or right
_ERRORS = (1, 2, 3)  # usages that say "too many keys" and the like
_ENDS = (0x28, 0x2B, 0x58)  # Enter, Tab, Enter of the number block
_PLAIN = "abcdefghijklmnopqrstuvwxyz1234567890"
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()"
_MARKS = {
    0x2C: "  ", 0x2D: "-_", 0x2E: "=+", 0x2F: "[{", 0x30: "]}", 0x31: "\\|", 0x33: ";:",
    0x34: "'\"", 0x35: "`~", 0x36: ",<", 0x37: ".>", 0x38: "/?",
}  # fmt: skip
_BLOCK = dict(zip(range(0x54, 0x64), "/*-+\x001234567890.", strict=True))  # the number block; its Enter ends a line
MOST = 4096  # characters of a line


class Keyboard:
    """Makes lines of reports; a read may hold part of a report or several."""

    def __init__(self) -> None:
        self._rest = b""
        self._down: frozenset[int] = frozenset()
        self._text: list[str] = []
        self.unknown = 0  # keys without a character, counted

    @property
    def waiting(self) -> bool:
        """True while a line is begun."""
        return bool(self._text)

    def receive(self, data: bytes) -> list[str]:
        """The lines that ended in these bytes."""
        self._rest += data
        lines = []
        while len(self._rest) >= REPORT:
            report, self._rest = self._rest[:REPORT], self._rest[REPORT:]
            lines += self._take(report)
        return lines

    def idle(self) -> str:
        """The reader fell silent in the middle of a line: what there is of it; half a report is forgotten."""
        text = "".join(self._text)
        self._rest, self._down = b"", frozenset()
        self._text.clear()
        return text

    def _take(self, report: bytes) -> list[str]:
        keys = [key for key in report[2:] if key]
        if any(key in _ERRORS for key in keys):
            return []
        lines = []
        for key in keys:
            if key in self._down:
                continue
            if key in _ENDS or len(self._text) >= MOST:
                if self._text:
                    lines.append("".join(self._text))
                self._text.clear()
            if key not in _ENDS:
                self._press(key, bool(report[0] & _SHIFT))
        self._down = frozenset(keys)
        return lines

    def _press(self, key: int, shift: bool) -> None:
        if 4 <= key < 4 + len(_PLAIN):
            self._text.append((_UPPER if shift else _PLAIN)[key - 4])
        elif key in _MARKS:
            self._text.append(_MARKS[key][shift])
        elif key in _BLOCK:
            self._text.append(_BLOCK[key])
        else:
            self.unknown += 1


__all__ = ["REPORT", "Keyboard"]
