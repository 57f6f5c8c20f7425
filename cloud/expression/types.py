"""What expressions are made of: kinds, the reasons for no value, and the error of a wrong text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from common.errors import UserError
from common.say import Said, say, word


class Kind(StrEnum):
    """What an expression yields. ``REF`` stands only as a parameter: the function gets the quoted name, not its value."""

    NUMBER = "number"
    TEXT = "text"
    BOOL = "bool"
    REF = "ref"
    NEVER = "never"  # na('…'): fits everywhere, for it never yields a value


class Cause(StrEnum):
    """Why there is no value."""

    MISSING = "missing"
    NOT_NUMERIC = "not_numeric"
    CENSORED = "censored"
    DIVISION = "division"
    DOMAIN = "domain"
    OVERFLOW = "overflow"
    STATED = "stated"


_ZH: dict[Cause, Callable[[str], Said]] = {
    Cause.MISSING: lambda subject: say("缺少 {subject}", subject=subject),
    Cause.NOT_NUMERIC: lambda subject: say("{subject} 不是数值", subject=subject),
    Cause.CENSORED: lambda subject: say("{subject} 只有界限，没有确切数值", subject=subject),
    Cause.DIVISION: lambda subject: say("除数为 0"),
    Cause.DOMAIN: lambda subject: say("{subject} 在此数值下没有意义", subject=subject),
    Cause.OVERFLOW: lambda subject: say("数值过大"),
    Cause.STATED: word,
}
_EN = {
    Cause.MISSING: "{subject} is missing",
    Cause.NOT_NUMERIC: "{subject} is not a number",
    Cause.CENSORED: "{subject} is only a limit, not an exact number",
    Cause.DIVISION: "division by zero",
    Cause.DOMAIN: "{subject} has no meaning for this number",
    Cause.OVERFLOW: "the number is too large",
    Cause.STATED: "{subject}",
}


@dataclass(frozen=True, slots=True)
class NotCalculable:
    """No value, and why; ``subject`` names the input or the operation (for ``STATED`` it is the sentence the formula's author wrote)."""

    cause: Cause
    subject: str = ""

    @property
    def text(self) -> Said:
        """The cause, to stand behind 无法计算."""
        return _ZH[self.cause](self.subject)

    @property
    def english(self) -> str:
        """The cause in English."""
        return _EN[self.cause].format(subject=self.subject)


Result = Decimal | str | bool | NotCalculable


class _Twice(Said):
    """A sentence that brings its English along: what stands wrong in a formula has too many forms for a catalogue."""

    __slots__ = ()

    def __new__(cls, chinese: str, english: str) -> _Twice:
        made = super().__new__(cls, chinese)
        made.key, made.values = chinese, {"english": english}
        return made

    def in_words_of(self, translate: Callable[[str], str], english: bool = True) -> str:
        """The English as it is."""
        return f"The formula is wrong at {self.values['english']}" if english else str(self)


class ExpressionError(UserError):
    """A text that is no expression: where (``position`` from 0, ``line`` and ``column`` from 1), what stands there, and why, twice."""

    def __init__(self, source: str, position: int, token: str, chinese: str, english: str) -> None:
        position = max(0, min(position, len(source)))
        before = source[:position]
        self.position, self.token, self.reason, self.reason_en = position, token, chinese, english
        self.line = before.count("\n") + 1
        self.column = position - (before.rfind("\n") + 1) + 1
        where = f"第 {self.line} 行第 {self.column} 列" if "\n" in source else f"第 {self.column} 个字符"
        shown = f"“{token}”" if token else "（结尾）"
        self.english = f"line {self.line}, column {self.column}, {token!r}: {english}"
        super().__init__("invalid", _Twice(f"公式有误：{where} {shown}：{chinese}", self.english), position=position, token=token)
