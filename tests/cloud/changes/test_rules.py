"""Change control: every transition, both approvals, the deadline of an emergency, the boxes of a new item."""

from datetime import UTC, datetime, timedelta

import pytest

from cloud.modules.changes.rules import BOXES, Standing, State, approval_problem, may_move, open_boxes, overdue

S = State
ALLOWED = {
    *((S.DRAFT, to) for to in (S.TESTED, S.WITHDRAWN, S.ACTIVE)),
    *((S.TESTED, to) for to in (S.DRAFT, S.TESTED, S.APPROVED, S.WITHDRAWN, S.ACTIVE)),
    *((S.APPROVED, to) for to in (S.SCHEDULED, S.DRAFT, S.WITHDRAWN)),
    *((S.SCHEDULED, to) for to in (S.ACTIVE, S.DRAFT, S.WITHDRAWN)),
    (S.ACTIVE, S.RETIRED),
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("to", State)
def test_only_listed_transitions(state: State, to: State) -> None:
    assert may_move(state, to) is ((state, to) in ALLOWED)


@pytest.mark.parametrize(
    ("standing", "person", "side", "words"),
    [
        (Standing(S.TESTED, 1, None, None), 2, "section", None),
        (Standing(S.TESTED, 1, 2, None), 3, "group", None),
        (Standing(S.TESTED, 1, None, None), 1, "section", "申请人"),
        (Standing(S.TESTED, 1, None, None), 1, "group", "申请人"),
        (Standing(S.TESTED, 1, None, None), None, "group", "申请人"),
        (Standing(S.TESTED, 1, 2, None), 2, "group", "两个人"),
        (Standing(S.TESTED, 1, None, 2), 2, "section", "两个人"),
        (Standing(S.TESTED, 1, 2, None), 3, "section", "已经批准"),
        (Standing(S.DRAFT, 1, None, None), 2, "section", "测试"),
        (Standing(S.ACTIVE, 1, None, None), 2, "section", "不能批准"),
        (Standing(S.ACTIVE, 1, None, None, emergency=True), 2, "section", None),
        (Standing(S.APPROVED, 1, 2, 3), 4, "section", "不能批准"),
    ],
)
def test_who_may_approve(standing: Standing, person: int | None, side: str, words: str | None) -> None:
    problem = approval_problem(standing, person, side)
    assert (problem is None) if words is None else (problem is not None and words in problem)


def test_an_emergency_is_due_within_24_hours() -> None:
    at = datetime(2026, 5, 1, 8, tzinfo=UTC)
    assert not overdue(True, False, at, at + timedelta(hours=24))
    assert overdue(True, False, at, at + timedelta(hours=24, seconds=1))
    assert not overdue(True, True, at, at + timedelta(days=9))
    assert not overdue(False, False, at, at + timedelta(days=9))
    assert not overdue(True, False, None, at)


def test_every_box_is_mandatory() -> None:
    assert len(open_boxes({})) == len(BOXES) == 12
    assert open_boxes(dict.fromkeys((code for code, _ in BOXES), True)) == []
    assert open_boxes({code: code != "qc" for code, _ in BOXES}) == ["质控计划"]
