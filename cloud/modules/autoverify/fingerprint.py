"""One hash over everything a section's reports are judged by: a change after the validation makes it invalid (7.4.1.5, R5)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify.case import Expression
from cloud.modules.catalog import queries as md

_kept: dict[tuple[str, int, int, int], str] = {}


def of_section(uow: UnitOfWork, section_id: int) -> str:
    """SHA-256 over items, limits, rules, formulas, channels and drivers of a section, as the catalog stands now."""
    catalog = md.catalog(uow)
    key = (*uow.place, section_id, catalog.number)
    if key not in _kept:
        _kept[key] = hashlib.sha256(json.dumps(_parts(catalog, section_id), sort_keys=True, default=str).encode()).hexdigest()
    return _kept[key]


def policy_hash(policy: Mapping[str, Any]) -> str:
    """SHA-256 of what a set itself says."""
    return hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).hexdigest()


def of_set(uow: UnitOfWork, section_id: int, policy: Mapping[str, Any]) -> str:
    """One hash over a set and everything it judges by."""
    return hashlib.sha256(f"{of_section(uow, section_id)} {policy_hash(policy)}".encode()).hexdigest()


def logic_of(catalog: md.Catalog, section_id: int) -> list[Expression]:
    """The catalog's logic rules that hold in a section."""
    return [
        Expression(rule.code, rule.expression, rule.message or rule.name, rule.action)
        for rule in catalog.logic_rules
        if rule.active and rule.section_id in (None, section_id)
    ]


def _parts(catalog: md.Catalog, section_id: int) -> dict[str, Any]:
    items = {i.id: i for i in catalog.items.values() if i.section_id == section_id and i.active}

    def of_items(rows: Any) -> list[Any]:
        return [repr(row) for item in sorted(items) for row in _each(rows.get(item))]

    judged = (
        "code",
        "result_type",
        "unit",
        "decimals",
        "rounding",
        "method",
        "amr_low",
        "amr_high",
        "crr_high",
        "stability_h",
        "mandatory",
    )
    channels = [c for c in catalog.channels.values() if c.item_id in items]
    return {
        "items": [[str(getattr(items[i], name)) for name in judged] for i in sorted(items)],
        "intervals": of_items(catalog.intervals),
        "critical": of_items(catalog.criticals),
        "delta": of_items(catalog.deltas),
        "range": of_items(catalog.av_ranges),
        "hil": of_items(catalog.hil_limits),
        "calc": sorted(repr(c.row) for c in catalog.calculations if c.item_id in items),
        "judge": [repr(catalog.judgements[i].row) for i in sorted(items) if i in catalog.judgements],
        "logic": [[e.code, e.source, *([] if e.action == "hold" else [e.action, e.message])] for e in logic_of(catalog, section_id)],
        "channels": sorted(repr(c) for c in channels),
        "drivers": sorted({f"{a}:{catalog.analyzers[a].driver}:{catalog.analyzers[a].model}" for a in {c.analyzer_id for c in channels}}),
    }


def _each(rows: Any) -> Iterable[Any]:
    if rows is None:
        return ()
    return rows if isinstance(rows, tuple) else (rows,)
