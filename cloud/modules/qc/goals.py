"""The allowable total error of a plan: its own where the leader set one, else the item's of the master data (approved there by two)."""

from __future__ import annotations

from decimal import Decimal

from cloud.modules.catalog import queries as md
from cloud.modules.qc import metrics
from cloud.modules.qc.models import QcPlan


def allowed(plan: QcPlan, item: md.ItemRow, value: Decimal) -> Decimal | None:
    """TEa at a value, in the item's unit; None when neither plan nor item has one."""
    if plan.tea_percent is not None:
        return metrics.Tea(plan.tea_percent, plan.tea_absolute, plan.tea_below).allowed(value)
    return md.allowed_error(item.tea, value)


def allowed_percent(plan: QcPlan, item: md.ItemRow, mean: Decimal) -> Decimal | None:
    """TEa at this concentration, in percent of it."""
    found = allowed(plan, item, mean)
    return None if found is None or mean == 0 else 100 * found / abs(mean)
