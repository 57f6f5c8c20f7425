"""MLLP blocks come out of any stream that holds them, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.protocol.hl7 import mllp
from common.protocol.hl7.mllp import Block, BlockProblem, Deframer

ONE = b"MSH|^~\\&|A|B\rPID|1\r"
TWO = b"MSH|^~\\&|A|B\rOBX|1|NM|GLU||5.6\r"


def fed(data: bytes, *cuts: int) -> list[Block]:
    """Feed data cut at the given places, then close."""
    deframer, blocks, at = Deframer(), [], 0
    for cut in (*sorted(cuts), len(data)):
        blocks += deframer.receive(data[at:cut])
        at = cut
    return blocks + deframer.close()


def messages(data: bytes, *cuts: int) -> list[tuple[bytes, BlockProblem | None]]:
    return [(block.message, block.problem) for block in fed(data, *cuts)]


def test_a_block_comes_back_as_it_was_framed() -> None:
    (block,) = fed(mllp.frame(ONE))
    assert block == Block(b"\x0b" + ONE + b"\x1c\r", ONE, None)
    assert block.complete


@pytest.mark.parametrize("cut", range(len(mllp.frame(ONE) + mllp.frame(TWO)) + 1))
def test_every_cut_gives_the_same_messages(cut: int) -> None:
    assert messages(mllp.frame(ONE) + mllp.frame(TWO), cut) == [(ONE, None), (TWO, None)]


@given(st.lists(st.integers(0, 80), max_size=12))
def test_many_cuts_give_the_same_messages(cuts: list[int]) -> None:
    assert messages(mllp.frame(ONE) + mllp.frame(TWO), *cuts) == [(ONE, None), (TWO, None)]


def test_byte_by_byte() -> None:
    data = mllp.frame(ONE) + mllp.frame(TWO)
    assert messages(data, *range(len(data))) == [(ONE, None), (TWO, None)]


def test_fs_without_cr_ends_a_block_at_once() -> None:
    deframer = Deframer()
    assert [b.message for b in deframer.receive(b"\x0b" + ONE + b"\x1c")] == [ONE]
    assert not deframer.waiting
    assert [b.message for b in deframer.receive(b"\x0b" + TWO + b"\x1c")] == [TWO]


def test_missing_vt_is_taken_and_told() -> None:
    for cut in range(len(ONE) + 2):
        assert messages(ONE + b"\x1c\r" + mllp.frame(TWO), cut) == [(ONE, BlockProblem.NO_START), (TWO, None)]


def test_missing_fs_ends_at_the_next_vt_or_in_silence() -> None:
    found = messages(b"\x0b" + ONE + mllp.frame(TWO))
    assert found == [(ONE, BlockProblem.NO_END), (TWO, None)]
    deframer = Deframer()
    assert deframer.receive(b"\x0b" + ONE) == []
    assert deframer.waiting
    (block,) = deframer.idle()
    assert (block.message, block.complete) == (ONE, False)
    assert not deframer.waiting


def test_text_outside_blocks_is_kept_as_stray() -> None:
    found = messages(b"hello\r" + mllp.frame(ONE) + b"\r\n" + b"tail")
    assert found == [(b"hello\r", BlockProblem.STRAY), (ONE, None), (b"tail", BlockProblem.STRAY)]


def test_blanks_between_blocks_are_nothing() -> None:
    assert messages(b"\r\n" + mllp.frame(ONE) + b"\n\n" + mllp.frame(TWO) + b"\r") == [(ONE, None), (TWO, None)]


def test_a_block_above_the_limit_is_refused_without_filling_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mllp, "MAX_BLOCK", 200_000)
    deframer = Deframer()
    blocks = deframer.receive(b"\x0b" + ONE)
    for _ in range(100):
        blocks += deframer.receive(b"x" * 10_000)
        assert len(deframer._buffer) <= 200_000 + 10_000
    blocks += deframer.receive(b"\x1c\r" + mllp.frame(TWO))
    assert [b.problem for b in blocks] == [BlockProblem.TOO_LARGE, None]
    assert blocks[0].message.startswith(b"MSH")
    assert blocks[1].message == TWO


def test_ten_megabytes_are_kept_whole() -> None:
    big = ONE + b"Z" * (10 << 20)
    deframer, blocks = Deframer(), []
    data = mllp.frame(big)
    for at in range(0, len(data), 1 << 16):
        blocks += deframer.receive(data[at : at + (1 << 16)])
    assert [b.message for b in blocks] == [big]


def test_a_commit_answer_is_known() -> None:
    (block,) = fed(b"\x0b\x06\x1c\r")
    assert mllp.is_commit(block)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_noise_never_raises_and_nothing_but_blanks_is_dropped(data: bytes, cuts: list[int]) -> None:
    kept = b"".join(block.raw for block in fed(data, *cuts))
    drop = b" \t\r\n\x00\x0b\x1c"
    assert bytes(c for c in kept if c not in drop) == bytes(c for c in data if c not in drop)


def test_commit_answers_of_release_2_come_back_as_commits() -> None:
    for accepted, raw in ((True, b"\x0b\x06\x1c\r"), (False, b"\x0b\x15\x1c\r")):
        assert mllp.commit(accepted) == raw
        (block,) = Deframer().receive(raw)
        assert mllp.is_commit(block)


@pytest.mark.parametrize("cut", range(len(mllp.frame(TWO)) + 1))
def test_an_end_mark_inside_a_line_ends_nothing(cut: int) -> None:
    """Or 5.6 would come out as a whole 5."""
    damaged = TWO.replace(b"5.6", b"5\x1c6")
    assert messages(mllp.frame(damaged) + mllp.frame(ONE), cut) == [(damaged, None), (ONE, None)]


@pytest.mark.parametrize("end", [b"\x1c", b"\x1c\x0b", b"\x1c\r"])
def test_a_last_line_without_its_cr_still_ends_with_the_mark(end: bytes) -> None:
    assert messages(b"\x0b" + ONE.rstrip(b"\r") + end) == [(ONE.rstrip(b"\r"), None)]
