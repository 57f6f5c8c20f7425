"""加做 (M03 R6): a waiting request measured from a tube that is here already, when its age, its rest and its state allow it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.catalog import queries as md
from cloud.modules.orders import queries as order_queries
from cloud.modules.orders import service as orders
from cloud.modules.specimens import facts, labels, service
from cloud.modules.specimens.add_on_rules import add_on_problem
from cloud.modules.specimens.facts import TubeRow, Waiting
from cloud.modules.specimens.models import Specimen
from cloud.modules.specimens.rules import State
from common.errors import UserError
from common.say import say, word

WALK = (orders.ItemStatus.LABELLED, orders.ItemStatus.COLLECTED, orders.ItemStatus.RECEIVED)


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
    facts.require_here(uow, specimen_id)
    people = order_queries.person_ids(uow, tube.patient_id)
    waiting = [w for w in facts.waiting_locked(uow, order_item_ids) if w.patient_id in people]
    if not waiting or len(waiting) != len(set(order_item_ids)):
        raise UserError("conflict", "所选申请不属于这位患者，或已由他人打印标签。请重新扫描。")
    row = facts.tubes(uow, [specimen_id])[specimen_id]
    found = _table(uow, tube, row, waiting, together=True)
    for offer in found.offers:
        if offer.problem is not None:
            raise UserError(
                "conflict", say("“{name}”不能加做：{problem}。没有加做任何项目。", name=offer.name, problem=word(offer.problem))
            )
    ids = [w.order_item_id for w in waiting]
    orders.walk(uow, ids, WALK, specimen_id=tube.id, barcode=tube.barcode)
    uow.s.flush()
    bench.expect_tests(uow, [tube.id])
    uow.audit("specimen", tube.id, "add_on", after={"items": ids, "left_ml": str(found.left_ml)})
    # The analyzers' worklists hear of it as of a receipt.
    uow.emit("specimen.received", tube.barcode, {"specimen_id": tube.id, "barcode": tube.barcode, "add_on": True})
    uow.notify("bench", {"section_id": tube.section_id, "specimen_id": tube.id})
    return len(ids)


TESTED = frozenset({State.TESTED, State.REVIEWED})


def on_reflex(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``reflex.wanted``: a result asks for another item. It is ordered on the same tube if that fits, with its reason; otherwise a
    person decides at the bench. Doing it again changes nothing."""
    follow = bench_queries.follow_up(uow, int(payload["follow_id"]))
    if follow is None or follow.state != "asked":
        return
    tube = uow.s.execute(select(Specimen).where(Specimen.id == follow.specimen_id).with_for_update()).scalar_one()
    known, there = md.catalog(uow), facts.items(uow, [tube.id]).get(tube.id, [])
    wanted = _smallest(known, tube, follow.item_id)
    order = next((i for i in there if i.status not in order_queries.ENDED), None)
    if wanted is None or order is None:
        why = "没有收费和采集要求与本管相同、含该项目的医嘱项目" if wanted is None else "标本没有有效的申请"
        bench.reflex_refused(uow, follow.id, f"不能自动加做：{why}。")
        return
    row = facts.tubes(uow, [tube.id])[tube.id]
    table = _table(uow, tube, row, [])
    # A result is what sets a reflex off: a measured tube is as good as one on the analyzer, as long as nothing of it was told.
    state = State.ON_ANALYZER if State(tube.state) in TESTED else State(tube.state)
    problem = _ended(uow, known, tube.id, wanted.id)
    problem = problem or add_on_problem(state, table.hours, _stable(known, wanted.id), table.left_ml, wanted.volume_ml)
    if problem is not None:
        bench.reflex_refused(uow, follow.id, f"不能自动加做：{problem}。")
        return
    rule = next((r for r in known.reflex_rules if r.code == follow.rule), None)
    free = f"反射规则“{rule.name}”约定不另收费" if rule is not None and rule.charge == "free" else ""
    made = orders.add_item(uow, order.order_item_id, wanted.id, f"RX{follow.id}", follow.reason, free)
    orders.walk(uow, [made], WALK, specimen_id=tube.id, barcode=tube.barcode)
    uow.s.flush()
    bench.expect_tests(uow, [tube.id])
    bench.reflex_added(uow, follow.id, made)
    uow.audit("specimen", tube.id, "reflex", after={"items": [made], "left_ml": str(table.left_ml)}, reason=follow.reason)
    uow.emit("specimen.received", tube.barcode, {"specimen_id": tube.id, "barcode": tube.barcode, "add_on": True})


def _smallest(known: md.Catalog, tube: Specimen, item_id: int) -> md.OrderSetRow | None:
    """The order set with the fewest items that has this one and is drawn into such a tube for such a section."""
    fits = [s for s in known.order_sets.values() if s.active and item_id in known.set_items.get(s.id, ()) and _same_tube(known, tube, s)]
    return min(fits, key=lambda s: (len(known.set_items[s.id]), s.id), default=None)


def _same_tube(known: md.Catalog, tube: Specimen, wanted: md.OrderSetRow) -> bool:
    mine, theirs = known.sections[tube.section_id], known.sections[wanted.section_id]
    shared = mine.id == theirs.id or (mine.share_group is not None and mine.share_group == theirs.share_group)
    return (wanted.container_id, wanted.specimen_type_id) == (tube.container_id, tube.specimen_type_id) and shared


def _stable(known: md.Catalog, order_set_id: int) -> int | None:
    """Hours in which all items of an order set may be measured; None: one of them has none on file."""
    hours = [i.stability_h for i in known.items_of(order_set_id)]
    return None if not hours or None in hours else min(h for h in hours if h is not None)


def _table(uow: UnitOfWork, tube: Specimen, row: TubeRow, waiting: Sequence[Waiting], *, together: bool = False) -> Table:
    known = md.catalog(uow)
    hours = None if tube.collected_at is None else Decimal((uow.now - tube.collected_at) // timedelta(seconds=1)) / 3600
    there = facts.items(uow, [tube.id]).get(tube.id, [])
    used = [known.order_sets[i.order_set_id].volume_ml for i in there if i.order_set_id is not None and i.status not in order_queries.ENDED]
    dead = Decimal(str(known.setting("specimens", "dead_volume_ml", "0.2")))
    left = known.containers[tube.container_id].nominal_ml - dead - sum(used, Decimal(0))
    rest, offers = left, []
    for each in waiting:
        ended = None if each.order_set_id is None else _ended(uow, known, tube.id, each.order_set_id)
        offers.append(Offer(each, each.his_name or each.his_code, ended or _problem(known, tube, each, hours, rest)))
        if together and each.order_set_id is not None:
            rest -= known.order_sets[each.order_set_id].volume_ml
    return Table(row, hours, left, offers)


def _ended(uow: UnitOfWork, known: md.Catalog, specimen_id: int, order_set_id: int) -> str | None:
    """A test that was cancelled with its request does not come back: whatever came for it since was turned away."""
    ended = bench_queries.ended_items(uow, specimen_id) & set(known.set_items.get(order_set_id, ()))
    return say("{items}在这管标本上已经取消，请重新采集", items=[known.items[i].name for i in sorted(ended)]) if ended else None


def _problem(known: md.Catalog, tube: Specimen, item: Waiting, hours: Decimal | None, left: Decimal) -> str | None:
    why = labels.refusal(known, item)
    if why is not None:
        return why
    wanted = known.order_sets[item.order_set_id or 0]
    if not _same_tube(known, tube, wanted):
        return "需要另一种试管、标本或另一专业组"
    return add_on_problem(State(tube.state), hours, _stable(known, wanted.id), left, wanted.volume_ml)


__all__ = ["Offer", "Table", "add", "on_reflex", "table"]
