"""Opening a tube for a change and writing it back: the same few steps of every verb of the bench."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import measure, rows, rules
from cloud.modules.bench.consequences import settle
from cloud.modules.bench.record import Work
from cloud.modules.bench.rows import TestRow
from cloud.modules.bench.rules import ReviewItem, TestState, TubeState
from common import values
from common.errors import UserError
from common.say import say


def open_tube(uow: UnitOfWork, specimen_id: int, revision: int | None = None) -> tuple[Work, int]:
    """The tube, locked, and its revision. UserErrors: not_found; stale, when another revision was looked at."""
    work = Work(uow, [specimen_id])
    if specimen_id not in work.tubes:
        raise UserError("not_found", say("该标本不存在，请核对条码后重试。"))
    found = work.revisions[specimen_id]
    if revision is not None and found != revision:
        raise UserError(
            "stale", say("您打开之后，标本 {tube} 又有新的变化，已为您刷新，请核对后再操作。", tube=work.tubes[specimen_id].barcode)
        )
    return work, found


def open_test(uow: UnitOfWork, test_id: int) -> tuple[Work, TestRow]:
    """The tube of a test, locked, and the test. UserError not_found."""
    specimen_id = uow.s.execute(
        text("SELECT specimen_id FROM test WHERE tenant_id = :t AND id = :i"), {"t": uow.tenant_id, "i": test_id}
    ).scalar_one_or_none()
    if specimen_id is None:
        raise UserError("not_found", say("该检验项目不存在，请核对后重试。"))
    work = Work(uow, [specimen_id])
    return work, next(t for t in work.tests.values() if t.id == test_id)


def must_be_open(test: TestRow, name: str) -> None:
    """UserError conflict for a test that is cancelled or told."""
    state = TestState(test.state)
    if state is TestState.CANCELLED:
        raise UserError("conflict", say("{item} 已取消，不能录入结果。", item=name))
    if state not in rules.OPEN_STATES:
        raise UserError(
            "conflict", say("{item} {state}，不能直接改动；请在报告页走“修改报告”。", item=name, state=rules.STATE_WORDS[state])
        )


def fresh(test: TestRow, version: int, name: str) -> None:
    """UserError stale for a test that changed since it was shown."""
    if test.version != version:
        raise UserError(
            "stale",
            say(
                "您打开之后，{item} 又有新的变化（现为“{state}”），请核对后再操作。",
                item=name,
                state=rules.STATE_WORDS[TestState(test.state)],
            ),
        )


def to(test: TestRow, to: TestState) -> None:
    """Move a test by the table. UserError conflict."""
    state = TestState(test.state)
    if not rules.may_move(state, to):
        raise UserError(
            "conflict", say("该项目目前为“{state}”，不能改为“{to}”。", state=rules.STATE_WORDS[state], to=rules.STATE_WORDS[to])
        )
    test.state, test.dirty = to.value, True


def review_item(work: Work, test: TestRow) -> ReviewItem:
    """A test as the reviewer must find it."""
    item = work.catalog.items[test.item_id]
    never = any(n.code is measure.NoteCode.HIL_REJECT for n in measure.notes_from(test.notes))
    key = "Alt+X" if test.pending_id is not None else "F8" if never else "F6"
    return ReviewItem(item.name, TestState(test.state), item.mandatory, work.waits(test), key)


def contradictions(work: Work, specimen_id: int) -> list[measure.Contradiction]:
    """Values of the tube that cannot all be right (R8)."""
    found: dict[str, Decimal] = {}
    for test in work.by_tube.get(specimen_id, ()):
        current, item = work.current.get(test.id), work.catalog.items[test.item_id]
        if current is None or test.state == TestState.CANCELLED or item.result_type != "numeric":
            continue
        value = values.parse(current.known.reported_text)
        if value.number is not None and not value.comparator:
            found[item.code] = measure.comparable(item.code, value.number, current.known.unit)
    return measure.contradictions(found)


def settled(work: Work, specimen_id: int) -> None:
    """A person decided what held a tube: where all its values are there, those who wait for whole tubes hear of it."""
    if work.sums(specimen_id).state in (TubeState.READY.value, TubeState.HELD.value):
        work.uow.emit("result.settled", work.tubes[specimen_id].barcode, {"specimen_id": specimen_id})


def store(work: Work, specimen_ids: Sequence[int], told: Sequence[int] = ()) -> None:
    """Write tests, follow-ups and the tubes' sums back, and which versions are ``told`` now; open pages hear of it."""
    work.save_follow()
    rows.save(work.uow, work.tests.values(), [work.sums(i) for i in specimen_ids], told)
    for i in specimen_ids:
        work.uow.notify("bench", {"section_id": work.tubes[i].section_id, "specimen_id": i})


def save(work: Work, action: str, after: dict[str, Any], before: Any = None, reason: str | None = None) -> None:
    """Run what follows from the change, write everything back, audit it."""
    specimen_ids = list(work.tubes)
    work.alert(settle(work, specimen_ids))
    store(work, specimen_ids)
    for i in specimen_ids:
        work.uow.audit("specimen", i, f"bench:{action}", before=before, after=after, reason=reason)
