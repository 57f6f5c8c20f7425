"""加做 (M03 R6): a waiting request measured from a tube that is here already, when its age, its rest and its state allow it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.bench import service as bench
from cloud.modules.catalog import queries as md
from cloud.modules.orders import service as orders
from cloud.modules.specimens import facts, labels, service
from cloud.modules.specimens.add_on_rules import add_on_problem
from cloud.modules.specimens.facts import TubeRow, Waiting
from cloud.modules.specimens.models import Specimen
from cloud.modules.specimens.rules import State
from common.errors import UserError

WALK = (orders.ItemStatus.LABELLED, orders.ItemStatus.COLLECTED, orders.ItemStatus.RECEIVED)
GONE = ("cancelled", "refunded", "expired")


@dataclass(frozen=True, slots=True)
class Offer:
    """A waiting request beside the tube, and why it cannot be measured from it (None: it can)."""

    item: Waiting
    name: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class Table:
    """The tube, how old it is, what is left in it, and what waits for this patient."""

    tube: TubeRow
    hours: Decimal | None
    left_ml: Decimal
    offers: Sequence[Offer]


def table(uow: UnitOfWork, code: str) -> Table:
    """What could be added to a tube. UserError when nobody knows the code."""
    found = [t for t in service.find(uow, code) if t.barcode == service.recognise(uow, code).code]
    if not found:
        raise UserError("not_found", "系统里没有这个条码，请核对标签后重新扫描。")
    tube = uow.s.get_one(Specimen, (uow.tenant_id, found[0].id))
    return _table(uow, tube, found[0], facts.waiting(uow, tube.patient_id))


def add(uow: UnitOfWork, specimen_id: int, order_item_ids: Collection[int]) -> int:
    """Measure these requests from this tube too; all or none. Raises UserError naming the first that cannot be."""
    tube = uow.s.execute(select(Specimen).where(Specimen.id == specimen_id).with_for_update()).scalar_one_or_none()
    if tube is None:
        raise UserError("not_found", "这管标本不存在，请核对后重试。")
    waiting = [w for w in facts.waiting_locked(uow, order_item_ids) if w.patient_id == tube.patient_id]
    if not waiting or len(waiting) != len(set(order_item_ids)):
        raise UserError("conflict", "所选申请不属于这位患者，或已由他人打印标签。请重新扫描。")
    row = facts.tubes(uow, [specimen_id])[specimen_id]
    found = _table(uow, tube, row, waiting, together=True)
    for offer in found.offers:
        if offer.problem is not None:
            raise UserError("conflict", f"“{offer.name}”不能加做：{offer.problem}。没有加做任何项目。")
    ids = [w.order_item_id for w in waiting]
    orders.walk(uow, ids, WALK, specimen_id=tube.id, barcode=tube.barcode)
    uow.s.flush()
    bench.expect_tests(uow, [tube.id])
    uow.audit("specimen", tube.id, "add_on", after={"items": ids, "left_ml": str(found.left_ml)})
    # The analyzers' worklists hear of it as of a receipt.
    uow.emit("specimen.received", tube.barcode, {"specimen_id": tube.id, "barcode": tube.barcode, "add_on": True})
    uow.notify("bench", {"section_id": tube.section_id, "specimen_id": tube.id})
    return len(ids)


def _table(uow: UnitOfWork, tube: Specimen, row: TubeRow, waiting: Sequence[Waiting], *, together: bool = False) -> Table:
    known = md.catalog(uow)
    hours = None if tube.collected_at is None else Decimal((uow.now - tube.collected_at) / timedelta(hours=1)).quantize(Decimal("0.1"))
    there = facts.items(uow, [tube.id]).get(tube.id, [])
    used = [known.order_sets[i.order_set_id].volume_ml for i in there if i.order_set_id is not None and i.status not in GONE]
    dead = Decimal(str(known.setting("specimens", "dead_volume_ml", "0.2")))
    left = known.containers[tube.container_id].nominal_ml - dead - sum(used, Decimal(0))
    rest, offers = left, []
    for each in waiting:
        offers.append(Offer(each, each.his_name or each.his_code, _problem(known, tube, each, hours, rest)))
        if together and each.order_set_id is not None:
            rest -= known.order_sets[each.order_set_id].volume_ml
    return Table(row, hours, left, offers)


def _problem(known: md.Catalog, tube: Specimen, item: Waiting, hours: Decimal | None, left: Decimal) -> str | None:
    why = labels.refusal(known, item)
    if why is not None:
        return why
    wanted = known.order_sets[item.order_set_id or 0]
    mine, theirs = known.sections[tube.section_id], known.sections[wanted.section_id]
    shared = mine.id == theirs.id or (mine.share_group is not None and mine.share_group == theirs.share_group)
    if (wanted.container_id, wanted.specimen_type_id) != (tube.container_id, tube.specimen_type_id) or not shared:
        return "需要另一种试管、标本或另一专业组"
    items = known.items_of(wanted.id)
    stable = (
        None if any(i.stability_h is None for i in items) or not items else min(i.stability_h for i in items if i.stability_h is not None)
    )
    return add_on_problem(State(tube.state), hours, stable, left, wanted.volume_ml)


__all__ = ["Offer", "Table", "add", "table"]
