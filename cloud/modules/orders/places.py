"""Whose request it is (M01): of the place where it is examined, or of the ward that asked for it; another campus's is absent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places as catalog
from cloud.modules.catalog import queries as md
from cloud.web.faults import NotFound

ITEM = """(:everywhere OR v.ward = ANY(:own_wards) OR v.dept = ANY(:own_wards) OR o.dept = ANY(:own_wards) OR EXISTS (
  SELECT 1 FROM order_set own WHERE own.tenant_id = i.tenant_id AND own.id = i.order_set_id AND own.section_id = ANY(:own_sections)))"""
"""For statements that list items ``i`` with their request ``o`` and visit ``v``, with ``binds``."""
_FROM = f"""
SELECT EXISTS (SELECT 1 FROM order_item i JOIN lab_order o ON o.tenant_id = i.tenant_id AND o.id = i.order_id
LEFT JOIN visit v ON v.tenant_id = o.tenant_id AND v.id = o.visit_id WHERE i.tenant_id = :t AND {ITEM} AND {{which}})
"""
_REFUND = "i.id = (SELECT r.order_item_id FROM refund_request r WHERE r.tenant_id = :t AND r.id = :id)"
_VERBAL = "i.order_id = (SELECT w.order_id FROM verbal_order w WHERE w.tenant_id = :t AND w.id = :id)"
_PAIR = "o.patient_id IN (SELECT unnest(ARRAY[m.keep_id, m.other_id]) FROM patient_merge m WHERE m.tenant_id = :t AND m.id = :id)"
PAIR = f"""(:everywhere OR EXISTS (SELECT 1 FROM order_item i JOIN lab_order o ON o.tenant_id = i.tenant_id AND o.id = i.order_id
  LEFT JOIN visit v ON v.tenant_id = o.tenant_id AND v.id = o.visit_id
  WHERE i.tenant_id = m.tenant_id AND o.patient_id IN (m.keep_id, m.other_id) AND {ITEM}))"""
"""For statements that list pairs of records ``m``: one of the two has a request of the own place."""
_ASKED = {
    what: text(_FROM.format(which=which))
    for what, which in (("item", "i.id = :id"), ("refund", _REFUND), ("verbal", _VERBAL), ("pair", _PAIR))
}


def binds(uow: UnitOfWork) -> Mapping[str, object]:
    """The values of ``ITEM``."""
    return catalog.binds(uow)


def covers(uow: UnitOfWork, order_set_id: int | None, wards: Iterable[str]) -> bool:
    """Whether a request for this set from one of these wards is of the place of the person at work."""
    wanted = None if order_set_id is None else md.catalog(uow).order_sets.get(order_set_id)
    return catalog.covers(uow, None if wanted is None else wanted.section_id, tuple(wards))


def require_item(uow: UnitOfWork, item_id: int) -> None:
    """Refuse another place's item."""
    _require(uow, "item", item_id, "这个申请项目")


def require_refund(uow: UnitOfWork, refund_id: int) -> None:
    """The same by a refund request."""
    _require(uow, "refund", refund_id, "退费申请")


def require_verbal(uow: UnitOfWork, verbal_id: int) -> None:
    """The same by a verbal request: one of its items is enough."""
    _require(uow, "verbal", verbal_id, "这条口头申请")


def require_pair(uow: UnitOfWork, merge_id: int) -> None:
    """The same by a pair of records that may be one person's: a request of one of them is enough."""
    _require(uow, "pair", merge_id, "这条合并记录")


def _require(uow: UnitOfWork, what: str, row_id: int, name: str) -> None:
    if uow.actor.reach is None:
        return
    if not uow.s.execute(_ASKED[what], {"t": uow.tenant_id, "id": row_id, **catalog.binds(uow)}).scalar_one():
        raise NotFound(name)
