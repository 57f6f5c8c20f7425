"""What the rules in use would say of past reports: asked before and within a change of master data, and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import facts, sets
from cloud.modules.autoverify.decision import decide
from cloud.modules.bench import queries as bench


@dataclass(frozen=True, slots=True)
class Would:
    """What the section's set says of a past report, and why it would hold."""

    released: bool
    codes: tuple[str, ...]


def would(uow: UnitOfWork, specimen_ids: Sequence[int]) -> dict[int, Would]:
    """Past reports judged by their section's deciding set and the catalog as this transaction sees it; without a set: left out."""
    details = bench.details_of(uow, specimen_ids)
    deciding = sets.deciding(uow, {d.tube.section_id for d in details.values()})
    ready = {section: loaded[0].ready for section, loaded in deciding.items() if not loaded[0].shadow}
    found = {i: d for i, d in details.items() if d.tube.section_id in ready}
    out = {}
    for i, case in facts.cases(uow, found, past=True).items():
        verdict = decide(case, ready[found[i].tube.section_id])
        out[i] = Would(verdict.released, tuple(sorted({f"{f.code} {f.item}".strip() for f in verdict.failures})))
    return out


def compared(before: Mapping[int, Would], after: Mapping[int, Would], barcodes: Mapping[int, str]) -> dict[str, Any]:
    """How many were judged, would be held now or released now, and which with the reasons that came or went."""
    turned = [i for i in before if i in after and before[i].released != after[i].released]
    return {
        "av_judged": len(before),
        "av_held": sum(before[i].released for i in turned),
        "av_released": sum(after[i].released for i in turned),
        "av": [
            {
                "barcode": barcodes.get(i, ""),
                "held": before[i].released,
                "why": sorted(set(after[i].codes) ^ set(before[i].codes))[:5],
            }
            for i in turned
        ],
    }
