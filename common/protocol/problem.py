"""A problem found while reading bytes: a sentence for a person, a stable code for programs.

``Problem`` is a ``str`` so that it goes into JSON, logs and pages as it is; ``code`` lets a page
show another language or count kinds. Sentences are Chinese with the English term in brackets.
"""

from __future__ import annotations


class Problem(str):
    """One sentence about one thing that is wrong or could not be placed."""

    code: str

    def __new__(cls, code: str, text: str) -> Problem:
        self = super().__new__(cls, text)
        self.code = code
        return self


SHOWN = 160
"""Characters of the instrument's own text quoted in a sentence."""


def quote(text: str | bytes) -> str:
    """The instrument's text on one line, shortened, safe to print."""
    if isinstance(text, bytes):
        text = text[: 4 * SHOWN + 4].decode("utf-8", "backslashreplace")  # at most four bytes a character: longer stays longer
    shown = text if len(text) <= SHOWN else text[:SHOWN] + "…"
    if shown.isprintable():
        return shown
    return "".join([_SHOWN.get(ch) or (ch if ch.isprintable() else f"\\x{ord(ch):02x}") for ch in shown])


_SHOWN = {chr(n): chr(n) if chr(n).isprintable() else f"\\x{n:02x}" for n in range(128)}
