"""Today's board as somebody narrows it: one condition shows, counts and exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.qc import queries
from cloud.modules.qc.queries import Tile

LIGHTS = {"bad": "不能发布", "warn": "注意", "ok": "在控"}


@dataclass(frozen=True, slots=True)
class Board:
    """``every``: the section's tiles; ``shown``: of these by analyzer what the light leaves; ``counts``: how many each light would."""

    section: md.SectionRow | None
    light: str
    every: Sequence[Tile]
    shown: Mapping[int, Sequence[Tile]]
    counts: Mapping[str, int]


def load(uow: UnitOfWork, section_code: str, light: str) -> Board:
    """``section_code``, ``light``: as the address says; what is none of them narrows nothing."""
    known = md.catalog(uow)
    section, light = known.sections_by_code.get(section_code), light if light in LIGHTS else ""
    tiles = {a: t for a, t in queries.tiles(uow).items() if queries.here(uow, a)}
    found = {a: t for a, t in tiles.items() if section is None or known.analyzers[a].section_id == section.id}
    every = [t for tiles in found.values() for t in tiles]
    shown = {a: mine for a, tiles in found.items() if (mine := [t for t in tiles if light in ("", t.light)])}
    return Board(section, light, every, shown, {name: sum(t.light == name for t in every) for name in LIGHTS})
