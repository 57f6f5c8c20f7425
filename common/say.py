"""Sentences for people that keep what they were filled with, so that a page can say them in the reader's language.

``say("缺少必报项目：{items}。", items=names)`` is the Chinese sentence (a ``str``: log it, store it, match it), and it remembers its
key and its values. The web layer looks the key up in ``en.po`` and fills it again (``cloud/web/i18n.py``); a value that is itself a
``say`` (a state word, another sentence) is translated too, a plain text (a name, a result, what somebody typed) never is. A tuple or
list of values is joined with 、 in Chinese. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

SEPARATORS = {"、": ", ", "；": "; ", "，": ", ", " 或 ": " or ", "": " "}


class Said(str):
    """A filled Chinese sentence with its key and values."""

    __slots__ = ("key", "values")
    key: str
    values: Mapping[str, Any]

    def in_words_of(self, translate: Callable[[str], str], english: bool = True) -> str:
        """The sentence filled from another catalogue's form of its key."""
        plain = {name: _shown(value, translate, english) for name, value in self.values.items()}
        return translate(self.key).format(**plain) if plain else translate(self.key)


class Listed(tuple[Any, ...]):
    """Values shown one after the other with a separator of their own."""

    separator: str

    def __new__(cls, values: Any, separator: str = "、") -> Listed:
        made = super().__new__(cls, values)
        made.separator = separator
        return made


def say(key: str, /, **values: Any) -> Said:
    """The Chinese sentence ``key`` filled with ``{name}`` values. Raises KeyError for a value the sentence needs and did not get."""
    return _filled(key, values)


def _filled(key: str, values: Mapping[str, Any]) -> Said:
    plain = {name: _shown(value, str, english=False) for name, value in values.items()}
    made = Said(key.format(**plain) if plain else key)
    made.key, made.values = key, values
    return made


def word(text: str) -> Said:
    """A text that is its own key: a literal of another file, looked up as it stands."""
    if isinstance(text, Said):
        return text
    made = Said(text)
    made.key, made.values = text, {}
    return made


def kept(value: Any) -> Any:
    """A value as JSON data: a sentence with its key and values, so that ``said_again`` makes it for another reader; others as they are."""
    if isinstance(value, Said):
        return {"say": value.key, "with": {name: kept(each) for name, each in value.values.items()}}
    if isinstance(value, (tuple, list)):
        return {"list": [kept(each) for each in value], "between": getattr(value, "separator", "、")}
    return value if value is None or isinstance(value, (str, int, float, dict)) else str(value)


def said_again(data: Any) -> Any:
    """What ``kept`` was given."""
    if isinstance(data, dict) and data.keys() == {"say", "with"}:
        return _filled(data["say"], {name: said_again(each) for name, each in data["with"].items()})
    if isinstance(data, dict) and data.keys() == {"list", "between"}:
        return Listed((said_again(each) for each in data["list"]), data["between"])
    return data


def _shown(value: Any, translate: Callable[[str], str], english: bool) -> str:
    if isinstance(value, Said):
        return value.in_words_of(translate, english) if english else str(value)
    if isinstance(value, (tuple, list)):
        separator = getattr(value, "separator", "、")
        return (SEPARATORS.get(separator, separator) if english else separator).join(_shown(v, translate, english) for v in value)
    return str(value)


__all__ = ["Listed", "Said", "kept", "said_again", "say", "word"]
