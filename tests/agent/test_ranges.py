"""Ranges behave like a set."""

from hypothesis import given
from hypothesis import strategies as st

from agent.ranges import Ranges

STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=80)


@given(STEPS)
def test_ranges_behave_like_a_set(steps: list[tuple[bool, int]]) -> None:
    ranges = Ranges()
    model: set[int] = set()
    for put, number in steps:
        (ranges.add if put else ranges.remove)(number)
        (model.add if put else model.discard)(number)
    assert {n for a, b in ranges.pairs() for n in range(a, b + 1)} == model
    assert (ranges.count, ranges.first, ranges.last) == (len(model), min(model, default=None), max(model, default=None))
    assert all(number in ranges for number in model)
    pairs = ranges.pairs()
    assert all(b + 1 < c for (_, b), (c, _) in zip(pairs, pairs[1:], strict=False)), "ranges that touch are one"


@given(STEPS, st.integers(1, 5))
def test_a_limited_list_never_says_less(steps: list[tuple[bool, int]], limit: int) -> None:
    ranges = Ranges(number for put, number in steps if put)
    pairs = ranges.pairs(limit)
    assert len(pairs) <= limit
    assert {n for a, b in pairs for n in range(a, b + 1)} >= {n for a, b in ranges.pairs() for n in range(a, b + 1)}
