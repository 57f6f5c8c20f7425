"""Frames: the standard's own arithmetic, round trips, and everything lines do to them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import LocalError
from common.protocol.astm.framing import build_frames, checksum
from common.protocol.astm.unframe import restore_controls, unframe

RECORDS = b"H|\\^&|||Acme|||||||P|1\rP|1\rO|1|S1||^^^A\rR|1|^^^A|5.1|u||N||F\rL|1|N\r"
TEXT = st.lists(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x4E10, exclude_characters="\x7f"), max_size=60), min_size=1, max_size=8
).map(lambda lines: "".join("R|" + line + "\r" for line in lines).encode("utf-8"))


def stream(frames: list[bytes]) -> bytes:
    return b"\x05" + b"".join(frames) + b"\x04"


def test_checksum_is_the_sum_from_the_frame_number_through_etx() -> None:
    assert checksum(b"1H|\\^&\r\x03") == b"E5"
    assert build_frames(b"H|\\^&\r") == [b"\x021H|\\^&\r\x03E5\r\n"]


@pytest.mark.parametrize(
    ("body", "digits"),
    [(b"1H|\\^&\r\x03", b"E5"), (b"3R|1|^^^GLU|5.60|mmol/L||N||F\r\x03", b"35"), (b"1H|\\^&|||LIS\r\x17", b"55")],
)
def test_ac_ed_1_checksums_of_the_spec(body: bytes, digits: bytes) -> None:
    assert checksum(body) == digits


def test_ac_ed_2_a_frame_sent_again_is_one_frame() -> None:
    frames = build_frames(RECORDS, per_record=True)
    assert unframe(stream(frames[:4] + frames[3:]))[0].text == RECORDS


def test_long_text_is_cut_with_etb_and_numbers_run_modulo_eight() -> None:
    frames = build_frames(b"x" * 2401, limit=240)
    assert [frame[1:2] for frame in frames] == [b"%d" % (n & 7) for n in range(1, 12)]
    assert all(frame[242:243] == b"\x17" for frame in frames[:-1])
    assert frames[-1] == b"\x023x\x03" + checksum(b"3x\x03") + b"\r\n"


def test_one_record_a_frame() -> None:
    frames = build_frames(RECORDS, per_record=True)
    assert [frame[2:3] for frame in frames] == [b"H", b"P", b"O", b"R", b"L"]
    assert all(frame[-6:-5] == b"\r" and frame[-5:-4] == b"\x03" for frame in frames)


@pytest.mark.parametrize(("limit", "start"), [(0, 1), (240, 8), (240, -1)])
def test_impossible_frames_are_our_own_fault(limit: int, start: int) -> None:
    with pytest.raises(LocalError):
        build_frames(b"x", limit, start)


@given(TEXT, st.integers(1, 300), st.booleans())
@settings(max_examples=200, deadline=None)
def test_what_is_framed_comes_back(text: bytes, limit: int, per_record: bool) -> None:
    links = unframe(stream(build_frames(text, limit, per_record=per_record)))
    assert [link.text for link in links] == [text]
    assert links[0].problems == []


@given(TEXT, st.integers(1, 40), st.data())
@settings(max_examples=200, deadline=None)
def test_a_frame_sent_twice_counts_once(text: bytes, limit: int, data: st.DataObject) -> None:
    frames = build_frames(text, limit)
    again = data.draw(st.integers(0, len(frames) - 1))
    links = unframe(stream(frames[: again + 1] + frames[again:]))
    assert links[0].text == text
    assert links[0].problems == []


@given(TEXT, st.integers(5, 40), st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_frame_and_its_repetition_read_as_the_good_one(text: bytes, limit: int, data: st.DataObject) -> None:
    frames = build_frames(text, limit)
    at = data.draw(st.integers(0, len(frames) - 1))
    good = frames[at]
    bad = good[:-4] + (b"00" if good[-4:-2] != b"00" else b"11") + good[-2:]
    links = unframe(stream([*frames[:at], bad, good, *frames[at + 1 :]]))
    assert links[0].text == text
    assert [problem.code for problem in links[0].problems] == ["frame.checksum"]


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(data: bytes) -> None:
    unframe(data)
    unframe(b"\x05\x021H|" + data)


@given(TEXT, st.integers(5, 60), st.integers(1, 6), st.data())
@settings(max_examples=200, deadline=None)
def test_lost_frames_are_told(text: bytes, limit: int, count: int, data: st.DataObject) -> None:
    frames = build_frames(text, limit)
    if len(frames) < count + 2:
        return
    at = data.draw(st.integers(1, len(frames) - count - 1))
    links = unframe(stream(frames[:at] + frames[at + count :]))
    assert "frame.gap" in [problem.code for problem in links[0].problems]


VARIANTS = {
    "LF only behind the checksum": lambda frame: frame.replace(b"\r\n", b"\n") if frame.endswith(b"\r\n") else frame,
    "nothing behind the checksum": lambda frame: frame[:-2],
    "lower-case checksum": lambda frame: frame[:-4] + frame[-4:].lower(),
    "CR doubled before ETX": lambda frame: _resum(frame[1:-4].replace(b"\r\x03", b"\r\r\x03")),
    "no CR before ETX": lambda frame: _resum(frame[1:-4].replace(b"\r\x03", b"\x03")),
    "host answers in the stream": lambda frame: frame + b"\x06",
}


def _resum(body: bytes) -> bytes:
    return b"\x02" + body + checksum(body) + b"\r\n"


@pytest.mark.parametrize("name", VARIANTS)
def test_habits_of_instruments_are_no_problem(name: str) -> None:
    frames = [VARIANTS[name](frame) for frame in build_frames(RECORDS, per_record=True)]
    links = unframe(stream(frames))
    assert links[0].problems == []
    assert [line for line in links[0].text.split(b"\r") if line] == RECORDS.split(b"\r")[:-1]


def test_numbers_that_skip_zero_are_no_gap() -> None:
    lines = [b"H|\\^&\r"] + [b"R|%d|^^^T|1\r" % n for n in range(1, 20)] + [b"L|1\r"]
    frames = [build_frames(line, start=n % 7 + 1)[0] for n, line in enumerate(lines)]
    links = unframe(stream(frames))
    assert links[0].problems == []
    assert links[0].gaps == {}


def test_each_transfer_phase_is_its_own_text() -> None:
    data = stream(build_frames(RECORDS)) + stream(build_frames(RECORDS, per_record=True))
    assert [link.text for link in unframe(data)] == [RECORDS, RECORDS]


def test_decimal_control_codes_written_as_hex() -> None:
    """0x13 and 0x10 where 13 (CR) and 10 (LF) were meant; the checksums are those of the right bytes."""
    data = stream(build_frames(RECORDS, per_record=True)).replace(b"\r", b"\x13").replace(b"\n", b"\x10")
    link = unframe(data)[0]
    assert link.text == RECORDS
    assert [problem.code for problem in link.problems] == ["frame.controls"]


def test_text_outside_frames_is_told() -> None:
    frames = build_frames(RECORDS, per_record=True)
    frames[3] = frames[3][1:]  # its STX was lost
    link = unframe(stream(frames))[0]
    codes = [problem.code for problem in link.problems]
    assert "frame.stray" in codes
    assert b"R|1" not in link.text


@pytest.mark.parametrize(
    "text",
    [
        b"^E\n^B1H|\\^&\nL|1\n^C" + checksum(b"1H|\\^&\rL|1\r\x03") + b"\n^D\n",
        b"<ENQ><STX>1H|\\^&<CR>L|1<CR><ETX>" + checksum(b"1H|\\^&\rL|1\r\x03") + b"<CR><LF><EOT>",
    ],
)
def test_logs_that_write_control_characters_as_text(text: bytes) -> None:
    link = unframe(restore_controls(text))[0]
    assert link.text.replace(b"\n", b"\r") == b"H|\\^&\rL|1\r"
    assert link.problems == []


def test_a_component_that_starts_with_b_is_not_a_control_character() -> None:
    text = b"H|\\^&\rR|1|^^^^BASO%^1|0.4\rR|2|^^^^BE^1|1\rL|1\r"
    assert restore_controls(text) == text
