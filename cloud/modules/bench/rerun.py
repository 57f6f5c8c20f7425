"""The verbs of reruns and reflex items (R4, R5): ask, withdraw, and what the specimens say of an item that shall be added."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal

from cloud.db.session import UnitOfWork
from cloud.modules.bench import followup, measure
from cloud.modules.bench.consequences import ask, reactive
from cloud.modules.bench.followup import FollowRow
from cloud.modules.bench.measure import Kind
from cloud.modules.bench.opening import open_tube, save, settled, store
from cloud.modules.bench.record import Work
from cloud.modules.bench.rows import TestRow
from cloud.modules.bench.rules import TestState
from common.errors import UserError
from common.say import say

MAY = frozenset({TestState.RECEIVED, TestState.HELD})
MOST_DILUTION = Decimal(100000)


def request_rerun(
    uow: UnitOfWork, specimen_id: int, revision: int | None, test_ids: Collection[int], reason: str, dilution: Decimal = Decimal(1)
) -> int:
    """Measure these tests of a tube again (none named: all that have a value), diluted by a factor; how many were asked.

    UserErrors: stale, invalid (``field``), conflict naming the item that cannot be measured again now.
    """
    if not reason.strip():
        raise UserError("invalid", say("请写明复查原因，例如：与前次相差大、仪器报警、超出线性。"), field="reason")
    if not Decimal(1) <= dilution <= MOST_DILUTION:
        raise UserError("invalid", say("稀释倍数应为 1 到 100000 的数，1 表示不稀释。"), field="dilution")
    work, _ = open_tube(uow, specimen_id, revision)
    mine = {t.id: t for t in work.tests.values()}
    if any(i not in mine for i in test_ids):
        raise UserError("not_found", say("有检验项目不属于这管标本，请刷新后重试。"))
    own = [t for t in mine.values() if t.id in work.current and not work.is_index(t.item_id)]
    measured = [t for t in own if work.current[t.id].known.source != "calc"]
    wanted = [mine[i] for i in test_ids] if test_ids else [t for t in measured if _free(work, t)]
    if not wanted:
        raise UserError("conflict", say("这管标本没有可以复查的结果；已初审的请先退回，已发布的请修改报告。"))
    for test in wanted:
        name = work.catalog.items[test.item_id].name
        if TestState(test.state) not in MAY or test not in measured:
            raise UserError("conflict", say("{item} 目前不能复查：没有测得的结果，或已初审、已发布。没有申请任何复查。", item=name))
        if work.rerun_of(test) is not None:
            raise UserError("conflict", say("{item} 已在复查中。没有申请任何复查。", item=name))
        if test.pending_id is not None:
            raise UserError("conflict", say("{item} 有两个结果待选用，请先选用。没有申请任何复查。", item=name))
    for test in wanted:
        ask(work, test, test.item_id, Kind.RERUN, reason.strip(), dilution=dilution)
    save(work, "rerun", {"items": [work.catalog.items[t.item_id].name for t in wanted], "dilution": f"{dilution:f}"}, reason=reason.strip())
    return len(wanted)


def _free(work: Work, test: TestRow) -> bool:
    """Whether a test may be measured again without anybody deciding something first."""
    return TestState(test.state) in MAY and work.rerun_of(test) is None and test.pending_id is None


def rerun_by_rule(work: Work, specimen_id: int, rule: str, codes: Collection[str], reason: str) -> int:
    """A rule has the tube's items measured once more, each rule once a tube; how many were asked. For the locked tube of a decision."""
    if any(f.rule == rule for f in work.follow.get(specimen_id, ())):
        return 0
    asked = 0
    for test in work.by_tube.get(specimen_id, ()):
        current, code = work.current.get(test.id), work.catalog.items[test.item_id].code
        if (
            code in codes
            and _free(work, test)
            and current is not None
            and current.known.source == "analyzer"
            and current.known.reported_text
        ):
            ask(work, test, test.item_id, Kind.RERUN, reason, rule=rule)
            asked += 1
    if asked:
        store(work, [specimen_id])
    return asked


def reflex_by_rule(work: Work, specimen_id: int, rule: str, codes: Collection[str], add: str, reason: str) -> bool:
    """A rule has another item added to the tube (R5): each rule once a tube, chains of two at most, nothing that is asked of it already.
    Where the hospital's reflex rules say that a doctor is asked before this item is added, it is proposed. Whether it was asked for; the
    specimens add it or say why not. For the locked tube of a decision."""
    item = work.catalog.items_by_code.get(add)
    tests = {work.catalog.items[t.item_id].code: t for t in work.by_tube.get(specimen_id, ())}
    triggers = [t for code, t in tests.items() if code in codes and t.id in work.current]
    if item is None or not triggers:
        return False
    before = work.follow.get(specimen_id, [])
    depth = 1 + max((f.depth for f in before if f.item_id in {t.item_id for t in triggers}), default=0)
    on_tube = add in tests and tests[add].state != TestState.CANCELLED
    standing = all(r.authority == "standing" for r in work.catalog.reflex_rules if r.item_id == item.id)
    kind = measure.reflex_kind("add", depth, on_tube, any(f.rule == rule for f in before), standing)
    if kind is None:
        return False
    ask(work, triggers[0], item.id, kind, f"{item.name}（{reason}）", rule=rule, depth=depth)
    store(work, [specimen_id])
    return True


def say_beside(work: Work, specimen_id: int, said: Sequence[tuple[str, str, str]]) -> bool:
    """What the rules say of a tube now, as (rule, item code, words), stands beside the values; what they no longer say goes. Changed?"""
    changed = False
    for test in work.by_tube.get(specimen_id, ()):
        code = work.catalog.items[test.item_id].code
        others = measure.without(test.notes, measure.NoteCode.RULE)
        notes = [*others, *(measure.Note(measure.NoteCode.RULE, text, text, rule).to_json() for rule, item, text in said if item == code)]
        if notes != test.notes:
            test.notes, test.dirty, changed = notes, True, True
    if changed:
        store(work, [specimen_id])
    return changed


def withdraw(uow: UnitOfWork, follow_id: int, reason: str, may_decide: bool) -> int:
    """Not measured again, not added: why. The first value stands as it did. Returns the tube. UserErrors."""
    if not reason.strip():
        raise UserError("invalid", say("请写明不做的理由。"), field="reason")
    work, row = _open(uow, follow_id)
    if row.kind is Kind.CONFIRM and not may_decide:
        raise UserError("conflict", say("复检确证只能由高年资或组长撤销。"))
    if row.state == "back":
        raise UserError("conflict", say("复查结果已回，请选用其中一个。"))
    test = next(t for t in work.tests.values() if t.id == row.test_id)
    if row.kind is Kind.CONFIRM and test.current_id is not None and reactive(work, test, test.current_id):
        name = work.catalog.items[test.item_id].name
        raise UserError("conflict", say("{item} 有反应，不能撤销确证：请选“报待复检并送确证”，或登记无结果（F8）。", item=name))
    row.settle(uow, "cancelled", f"不做：{reason.strip()}")
    test.notes, test.dirty = measure.without(test.notes, measure.NoteCode.CONFIRM), True
    current = work.current.get(test.id)
    held = (current is not None and current.held) or any(n.holds for n in measure.notes_from(test.notes))
    if row.again and test.state == TestState.HELD and not held and test.pending_id is None:
        test.state = TestState.RECEIVED.value
    settled(work, row.specimen_id)
    save(work, "withdraw", {"item": work.catalog.items[row.item_id].name, "kind": row.kind.value}, reason=reason.strip())
    return row.specimen_id


def add_reflex(uow: UnitOfWork, follow_id: int, agreed: str = "") -> int:
    """A person takes a proposed item on (or tries again what the specimens refused); returns the tube. ``agreed``: who of the requesters
    wants it, needed where they have not agreed beforehand (R5). UserErrors: conflict, invalid (``agreed``)."""
    work, row = _open(uow, follow_id)
    if row.again or not (row.kind is Kind.SUGGEST or row.state == "refused"):
        raise UserError("conflict", say("该项目已在加做，或不是加做建议。"))
    rule = next((r for r in work.catalog.reflex_rules if r.code == row.rule), None)
    if row.kind is Kind.SUGGEST and (rule is None or rule.authority != "standing"):
        if not agreed.strip():
            words = say("加做须开单医生同意：请写明哪位医生、何时同意的，例如：张医生 10:20 电话。")
            raise UserError("invalid", words, field="agreed")
        row.reason = f"{row.reason[:200]}；同意加做：{agreed.strip()[:80]}"
    row.kind, row.state, row.outcome, row.dirty = Kind.ADD, "asked", "", True
    payload = {"follow_id": row.id, "specimen_id": row.specimen_id, "item_id": row.item_id, "dilution": "1", "reason": row.reason}
    uow.emit("reflex.wanted", work.tubes[row.specimen_id].barcode, payload)
    save(work, "reflex", {"item": work.catalog.items[row.item_id].name}, reason=row.reason)
    return row.specimen_id


def reflex_added(uow: UnitOfWork, follow_id: int, order_item_id: int) -> None:
    """The specimens added the item to the tube: it is expected now."""
    work, row = _open(uow, follow_id)
    row.settle(uow, "done", "已加做")
    save(work, "reflex_added", {"item": work.catalog.items[row.item_id].name, "order_item": order_item_id}, reason=row.reason)


def reflex_refused(uow: UnitOfWork, follow_id: int, why: str) -> None:
    """It cannot be added by itself: a person decides (another tube, or not at all)."""
    work, row = _open(uow, follow_id)
    row.settle(uow, "refused", why)
    save(work, "reflex_refused", {"item": work.catalog.items[row.item_id].name}, reason=why)


def _open(uow: UnitOfWork, follow_id: int) -> tuple[Work, FollowRow]:
    found = followup.one(uow, follow_id)
    if found is None:
        raise UserError("not_found", say("这条复查或加做记录不存在，请刷新后重试。"))
    work, _ = open_tube(uow, found.specimen_id)
    row = next(f for f in work.follow[found.specimen_id] if f.id == follow_id)
    if not row.open:
        raise UserError(
            "conflict", say("{what}已由 {who} 处理（{outcome}），请刷新。", what=row.word, who=row.settled_name or "—", outcome=row.outcome)
        )
    return work, row
