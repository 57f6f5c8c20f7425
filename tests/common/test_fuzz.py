"""A small run of ``./dev fuzz``: hostile bytes never make a parser raise or take long. The large runs are the command's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fuzz.mutate import mutated, run
from tests.support.fuzz.targets import TARGETS, TOKENS, seeds


@pytest.mark.parametrize("name", TARGETS)
def test_changed_captures_do_no_harm(name: str) -> None:
    count, _, found = run(TARGETS[name], mutated(seeds(name), TOKENS[name], 250, seed=20260105))
    assert (count, [(one.what, one.data[:200]) for one in found]) == (250, [])


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_bytes_do_no_harm(name: str, data: st.DataObject) -> None:
    pieces = st.lists(st.one_of(st.sampled_from(TOKENS[name]), st.binary(max_size=12)), max_size=24)
    TARGETS[name](b"".join(data.draw(pieces)))


def test_the_engine_finds_a_planted_fault() -> None:
    def weak(data: bytes) -> None:
        if b"\x1c\r\x0b" in data:
            raise ValueError("planted")

    _, _, found = run(weak, mutated([b"\x0bMSH\x1c\r"], TOKENS["hl7"], 3000, seed=7))
    assert found and found[0].what == "ValueError: planted"
