"""What an analyzer's codes would mean here: suggestions, a value as the laboratory would report it, old against new. Reads only."""

from __future__ import annotations

from collections.abc import Sequence

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import mapping, onboarding, recordings, sandbox, suggesting
from cloud.modules.edge.interpret import Said
from cloud.modules.edge.mapping import Row
from cloud.modules.edge.models import MappingVersion
from common.values import parse, reported, scaled


def items_of(uow: UnitOfWork) -> list[md.ItemRow]:
    """Items in use, by section and print order."""
    return sorted((i for i in md.catalog(uow).items.values() if i.active), key=lambda i: (i.section_id, i.print_order, i.code))


def suggestions(uow: UnitOfWork, code: str, name: str | None, unit: str | None) -> list[tuple[md.ItemRow, suggesting.Suggestion]]:
    """Items a code could mean, with the reason."""
    known = md.catalog(uow).items
    items = [suggesting.Item(i.id, i.code, i.wst886_code or "", (i.name, i.name_en, i.abbr), i.unit) for i in known.values() if i.active]
    return [(known[s.item_id], s) for s in suggesting.suggest(code, name, unit, items)]


def said_here(known: md.Catalog, row: Row | None, sent: str) -> str:
    """A sent value as the laboratory would report it under a row: mapped and rounded, without its unit."""
    if row is None or row.item_id is None:
        return ""
    item = known.items[row.item_id]
    value = reported(scaled(parse(sent, item.result_type), row.factor, row.offset), item.decimals, item.rounding)
    return value.text


def meaning(known: md.Catalog, rows: Sequence[Row]) -> sandbox.Say:
    """What the laboratory would say of a result by these rows, in one line."""
    by_code = {r.code: r for r in rows}

    def say(one: Said) -> str:
        if one.qc:
            return "质控，不入患者结果"
        code = (one.code or "").strip()
        row = (by_code.get(f"{code}/{one.aspect}") if one.aspect else None) or (by_code.get(code) if one.main else None)
        if row is None or row.item_id is None:
            return "未对照" if one.main else ""
        if one.no_result:
            return f"{known.items[row.item_id].name} 无结果"
        item = known.items[row.item_id]
        return f"{item.name} {said_here(known, row, one.text)} {item.unit}".rstrip()

    return say


def replayed(uow: UnitOfWork, version: MappingVersion, body: bytes) -> sandbox.Replayed:
    """A session by what is in use now against this version. Reads only; not a row is written."""
    known = md.catalog(uow)
    rows = onboarding.active_rows(known, version.analyzer_id)
    old = sandbox.Way(*recordings.read_now(uow, version.analyzer_id), meaning(known, rows))
    new = sandbox.Way(version.driver, version.encoding, version.site, meaning(known, [mapping.row_of(r) for r in version.rows]))
    return sandbox.compare(body, old, new)
