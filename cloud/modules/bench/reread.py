"""Past results read again by another catalog: what a change of master data would have said differently. Reads only, changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.expression import Env
from cloud.modules.bench import facts
from cloud.modules.bench.facts import Tube
from cloud.modules.bench.reading import Reader, unrounded
from cloud.modules.bench.rules import STATE_WORDS, TestState, mark
from cloud.modules.catalog import queries as md
from common import say, values


@dataclass(frozen=True, slots=True)
class Said:
    """What a report says of one item."""

    text: str
    flag: str
    critical: bool
    ref_text: str

    @property
    def mark(self) -> str:
        """The sign beside it."""
        return mark(self.flag, self.critical)


@dataclass(frozen=True, slots=True)
class Difference:
    """One past result that would be told differently."""

    barcode: str
    at: datetime
    item_id: int
    old: Said
    new: Said


_RESULTS = text("""
SELECT t.specimen_id, t.item_id, v.analyzer_id, v.raw_text, v.snapshot->'map' AS map, coalesce(v.snapshot->>'dilution', '1') AS dilution,
       v.source, v.released_at
FROM test t JOIN result_version v ON v.tenant_id = t.tenant_id AND v.id = t.current_id
WHERE t.tenant_id = :t AND t.specimen_id = ANY(:ids) AND v.released_at IS NOT NULL
""")
_LATEST = text("""
SELECT DISTINCT specimen_id FROM (
  SELECT t.specimen_id FROM result_version v JOIN test t ON t.tenant_id = v.tenant_id AND t.id = v.test_id
  WHERE v.tenant_id = :t AND v.item_id = ANY(:items) AND v.released_at IS NOT NULL ORDER BY v.id DESC LIMIT :n
) s
""")
_OPEN = text("""
SELECT count(*) FROM test WHERE tenant_id = :t AND item_id = ANY(:items) AND state IN ('expected','received','held','reviewed','no_result')
""")


_WAITING = text("""
SELECT t.id, t.item_id, t.section_id, t.state, s.barcode, s.sample_no, s.sample_day, s.received_at
FROM test t JOIN specimen s ON s.tenant_id = t.tenant_id AND s.id = t.specimen_id
WHERE t.tenant_id = :t AND t.item_id = ANY(:items) AND t.state IN ('expected','received','held','reviewed','no_result') AND t.id > :after
ORDER BY t.id LIMIT :n
""")


def open_tests(uow: UnitOfWork, item_ids: Iterable[int], after: int, limit: int) -> Sequence[Any]:
    """Those of ``open_count`` one by one, oldest first, after the test with this number."""
    return uow.s.execute(_WAITING, {"t": uow.tenant_id, "items": list(item_ids), "after": after, "n": limit}).all()


def state_word(state: str) -> say.Said:
    """A test's state in words."""
    return STATE_WORDS[TestState(state)]


def open_count(uow: UnitOfWork, item_ids: Iterable[int]) -> int:
    """Tests of these items whose report is not out: the next reading judges them by the new rows."""
    return int(uow.s.execute(_OPEN, {"t": uow.tenant_id, "items": list(item_ids)}).scalar_one())


def latest_told(uow: UnitOfWork, before: md.Catalog, after: md.Catalog, item_ids: Iterable[int], limit: int) -> list[int]:
    """Tubes of the last told results of these items, of what is calculated from them, or of their inputs."""
    touched = _with_dependents(after, _with_dependents(before, set(item_ids)))
    sources = touched | _inputs(before, touched) | _inputs(after, touched)
    return [row[0] for row in uow.s.execute(_LATEST, {"t": uow.tenant_id, "items": sorted(sources), "n": limit})]


def reread(
    uow: UnitOfWork, before: md.Catalog, after: md.Catalog, item_ids: Iterable[int], specimen_ids: Iterable[int]
) -> tuple[int, list[Difference]]:
    """Told reports read by both catalogs: (how many, differences of these items and what is calculated from them)."""
    touched, ids = _with_dependents(after, _with_dependents(before, set(item_ids))), list(specimen_ids)
    tubes = facts.tubes(uow, ids)
    rows: dict[int, list[Any]] = {}
    for row in uow.s.execute(_RESULTS, {"t": uow.tenant_id, "ids": ids}):
        rows.setdefault(row.specimen_id, []).append(row)
    readers = Reader(before, uow.now), Reader(after, uow.now)
    out: list[Difference] = []
    for specimen_id, results in rows.items():
        tube = tubes[specimen_id]
        old, new = (_told(reader, tube, results, touched) for reader in readers)
        at = max(row.released_at for row in results)
        nothing = Said("", "", False, "")
        out += [
            Difference(tube.barcode, at, item_id, old.get(item_id, nothing), new.get(item_id, nothing))
            for item_id in sorted(old.keys() | new.keys())
            if old.get(item_id) != new.get(item_id)
        ]
    return len(rows), out


def _with_dependents(catalog: md.Catalog, items: set[int]) -> set[int]:
    found = set(items)
    for each in catalog.calculations:  # in order, so that what uses a calculated item comes after it
        if {catalog.items_by_code[code].id for code in each.inputs} & found:
            found.add(each.item_id)
    return found


def _inputs(catalog: md.Catalog, items: set[int]) -> set[int]:
    return {catalog.items_by_code[code].id for each in catalog.calculations if each.item_id in items for code in each.inputs}


def _told(reader: Reader, tube: Tube, results: Sequence[Any], touched: set[int]) -> dict[int, Said]:
    catalog = reader.catalog
    exact: dict[int, values.Value] = {}
    out: dict[int, Said] = {}
    for row in results:
        factor, offset = (Decimal(str(each)) for each in (row.map or ("1", "0")))
        if row.source == "calc":
            continue
        item, dilution = catalog.items[row.item_id], Decimal(row.dilution)
        exact[row.item_id] = unrounded(values.scaled(values.parse(row.raw_text, item.result_type), factor, offset), item, dilution)
        if row.item_id in touched:
            out[row.item_id] = _said(reader, row.item_id, row.analyzer_id, row.raw_text, tube, factor, offset, dilution)
    for each in catalog.calculations:
        if each.item_id in exact:
            continue
        inputs = {code: exact.get(catalog.items_by_code[code].id) for code in each.inputs}
        if not any(inputs.values()):
            continue
        result = each.evaluate(Env(inputs, md.person(tube.sex, reader.age(tube)) | _measured(catalog, exact)))
        if isinstance(result, Decimal):
            exact[each.item_id] = values.parse(f"{result:f}")
            if each.item_id in touched:
                out[each.item_id] = _said(reader, each.item_id, None, f"{result:f}", tube)
        elif each.item_id in touched:
            out[each.item_id] = Said(f"无法计算（{result.text}）", "", False, "")
    return out


def _measured(catalog: md.Catalog, exact: Mapping[int, values.Value]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, code in md.MEASURED_ITEMS.items():
        item = catalog.items_by_code.get(catalog.setting("formula", name, code))
        found[name] = None if item is None else exact.get(item.id)
    return md.with_aliases(found)


def _said(
    reader: Reader,
    item_id: int,
    analyzer_id: int | None,
    raw: str,
    tube: Tube,
    factor: Decimal = Decimal(1),
    offset: Decimal = Decimal(0),
    dilution: Decimal = Decimal(1),
) -> Said:
    r = reader.read(item_id, analyzer_id, raw, tube, factor, offset, dilution)
    return Said(r.reported_text, r.flag, r.critical, r.ref_text)
