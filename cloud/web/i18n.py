"""Chinese first: messages are written in Chinese, English comes from ``en.po`` beside each module's templates.

Templates say ``_('…')``. Rules and services say ``say("…{name}…", name=…)`` (``common/say.py``) where a sentence has values in it, and
raise it as the message of a ``UserError``: the error page and every ``{{ _(problem) }}`` then show it in the reader's language. The key,
with its ``{name}``s, is the msgid in ``en.po``; a test holds that each has its English.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.messages.pofile import read_po
from flask import Flask, current_app, g, has_request_context
from flask.templating import Environment
from jinja2 import nodes
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

from common.english import ENGLISH
from common.say import SEPARATORS, Listed, Said, said_again
from common.units import readable
from common.values import significant

LAYOUT = "web"
"""The folder of the templates of no module."""


@dataclass(frozen=True)
class English:
    """The English of our sentences; what has none stays as it is."""

    words: dict[str, str]
    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Folder → its words alone: one Chinese word is "Lock" on a button of the layout and "Locked" among the states of an account."""

    def gettext(self, message: str) -> str:
        """In English."""
        return self.words.get(message, message)

    def on_page(self, template: str | None, message: str) -> str:
        """In English, as the module says it whose template asks."""
        folder, _, rest = (template or "").partition("/")
        return self.own.get(folder if rest else LAYOUT, {}).get(message) or self.gettext(message)


class Pages(Environment):
    """The templates in one language: what ``_('…')`` says without values is put in when a template is compiled, not when it is filled.

    A page says some hundred fixed words; looking them up one by one, request after request, was half of the time it took to fill it.
    """

    words: Callable[[str | None, str], str] = staticmethod(lambda _template, message: message)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Fixed(functools.partial(self.words, name)).visit(super()._parse(source, name, filename))
        return tree

    def speaking(self, words: Callable[[str | None, str], str], say: Callable[..., str]) -> Pages:
        """The same templates in another language."""
        other = self.overlay()
        assert isinstance(other, Pages)
        other.words, other.globals = words, {**self.globals, "_": say}
        return other


class _Fixed(NodeTransformer):
    """Puts the words themselves where a template asks for fixed ones."""

    def __init__(self, words: Callable[[str], str]) -> None:
        self.words = words

    def visit_Call(self, node: nodes.Call, *args: Any, **kwargs: Any) -> nodes.Node:
        """``_('…')`` alone; one with values is filled when the page is."""
        self.generic_visit(node, *args, **kwargs)
        asks = isinstance(node.node, nodes.Name) and node.node.name == "_" and len(node.args) == 1
        if not asks or node.kwargs or node.dyn_args or node.dyn_kwargs or not isinstance(node.args[0], nodes.Const):
            return node
        return nodes.Const(self.words(node.args[0].value), lineno=node.lineno)


@functools.cache
def load(folders: tuple[Path, ...]) -> English:
    """What agent and cloud both say, and all ``en.po`` of the folders, as one English catalogue (a later folder's word wins)."""
    words, own = dict(ENGLISH), dict[str, dict[str, str]]()
    for path in (folder / "en.po" for folder in folders):
        if path.exists():
            with path.open("rb") as f:
                found = {str(m.id): str(m.string) for m in read_po(f, locale="en") if m.id and m.string and not m.fuzzy}
            words |= found
            own[path.parent.name] = found
    return English(words, own)


def locale() -> str:
    """'zh' or 'en' of this request."""
    return str(g.get("locale", "zh")) if has_request_context() else "zh"


def gettext(message: str, **values: Any) -> str:
    """The message in the reader's language, filled with ``%(name)s`` values; a ``say`` sentence is filled again from its own."""
    if locale() == "en" and message:  # the empty key is the catalogue's own header
        message = in_english(message)
    return message % {name: _field(value) for name, value in values.items()} if values else message


def _field(value: Any) -> Any:
    """A value to fill a message with; sentences kept as data (an alert's) are said in the reader's language."""
    said = said_again(value) if isinstance(value, dict) else value
    if isinstance(said, Listed):
        return joined(said, said.separator)
    return gettext(said) if isinstance(said, Said) else said


def in_english(message: str) -> str:
    """The message in English whatever the page's language; as it is where the catalogue has none."""
    english = current_app.extensions["english"].gettext
    return message.in_words_of(english) if isinstance(message, Said) else str(english(message))


def joined(texts: Iterable[str], between: str = "、") -> str:
    """The texts one after the other in the reader's language."""
    return (SEPARATORS.get(between, between) if locale() == "en" else between).join(gettext(text) for text in texts if text)


def local_time(value: datetime | None, form: str = "%Y-%m-%d %H:%M") -> str:
    """An aware time on the hospital's wall clock (C2)."""
    if value is None:
        return ""
    return value.astimezone(ZoneInfo(current_app.extensions["jianlian"].settings.timezone)).strftime(form)


_POWER = re.compile(r"10[\^*](-?\d+)")


def unit_as_written(unit: str | None) -> Markup:
    """A unit on a page: 10^9/L as ×10⁹/L, umol/L as μmol/L."""
    written = str(escape(readable(unit or "")))
    return Markup(_POWER.sub(r"×10<sup>\1</sup>", written))


def day_hour(value: datetime | None) -> str:
    """The hour of today, with its day where it is of another: 11:35 alone would be read as today's."""
    if value is None:
        return ""
    site = current_app.extensions["jianlian"]
    zone = ZoneInfo(site.settings.timezone)
    then, now = value.astimezone(zone), site.db.clock().astimezone(zone)
    return then.strftime("%H:%M" if then.date() == now.date() else "%m-%d %H:%M" if then.year == now.year else "%Y-%m-%d %H:%M")


def midnight(now: datetime) -> datetime:
    """Today's first moment in the hospital's time zone."""
    zone = ZoneInfo(current_app.extensions["jianlian"].settings.timezone)
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


def init(app: Flask, folders: list[Path]) -> None:
    """Wire gettext and the time filters into the templates."""
    english = app.extensions["english"] = load(tuple(folders))
    app.jinja_env.globals["_"] = _chinese
    app.jinja_env.filters["time"] = local_time
    # 1E+2 is no number to a person.
    app.jinja_env.filters["plain"] = lambda v: f"{v.normalize():f}"
    app.jinja_env.filters["digits"] = significant
    app.jinja_env.filters["words"] = joined
    app.jinja_env.filters["unit"] = unit_as_written
    app.jinja_env.filters["either"] = lambda limits: joined(limits.split(" 或 "), " 或 ")
    app.jinja_env.filters["hm"] = day_hour
    assert isinstance(app.jinja_env, Pages)
    app.extensions["pages"] = {"zh": app.jinja_env, "en": app.jinja_env.speaking(english.on_page, gettext)}


def _chinese(message: str, **values: Any) -> str:
    """``gettext`` where the page is in Chinese: the message is its own word."""
    return message % {name: _field(value) for name, value in values.items()} if values else message


def pages() -> Pages:
    """The templates in the reader's language."""
    found: Pages = current_app.extensions["pages"][locale()]
    return found
