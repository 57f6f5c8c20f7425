"""Keeping out of a process what a library would load for a part of itself that we do not use."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(name: str) -> Iterator[None]:
    """While this lasts, importing ``name`` fails as if it were not installed, unless it is loaded already. For imports at the start of a
    process: another thread would be told the same."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
