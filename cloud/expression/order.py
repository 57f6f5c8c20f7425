"""Formulas that use each other's results: who is calculated first, and who goes round in a circle."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter


def cycle(uses: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """A circle among formulas, as the codes in order of use with the first repeated; empty when there is none."""
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        return tuple(reversed(error.args[1]))
    return ()


def in_order(uses: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The formulas' codes so that each comes after those it uses; names that are no formula are left out. Raises CycleError."""
    return tuple(code for code in TopologicalSorter({code: sorted(uses[code]) for code in sorted(uses)}).static_order() if code in uses)
