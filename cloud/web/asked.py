"""What a browser may ask with: numbers the database can hold. Anything larger is no number, and an address with it does not exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.routing import IntegerConverter, Map

LARGEST = 2**63 - 1
"""A bigint of PostgreSQL, which every id is."""


def number(text: str) -> int:
    """A whole number that the database can hold, as a person writes one: ``1_000`` is none. Raises ValueError."""
    value = int(text)
    if abs(value) > LARGEST or "_" in text:
        raise ValueError(text[:40])
    return value


class Parameters(ImmutableMultiDict[str, str]):
    """``get(name, type=int)`` takes what is no such number for absent, as it does with letters."""

    def get(self, key: str, default: Any = None, type: Callable[[str], Any] | None = None) -> Any:  # type: ignore[override]
        """See werkzeug's."""
        return super().get(key, default, number if type is int else type)  # type: ignore[arg-type]

    def getlist(self, key: str, type: Callable[[str], Any] | None = None) -> list[Any]:
        """See werkzeug's."""
        return super().getlist(key, number if type is int else type)  # type: ignore[arg-type]


class Id(IntegerConverter):
    """``<int:…>`` of an address."""

    def __init__(self, map: Map, *args: Any, **kwargs: Any) -> None:
        super().__init__(map, *args, **{"max": LARGEST, **kwargs})


def init(app: Flask) -> None:
    """Before any route is added, after htmx_flask has put its own kind of request."""
    app.request_class = type("Asked", (app.request_class,), {"parameter_storage_class": Parameters})
    app.url_map.converters["int"] = Id
