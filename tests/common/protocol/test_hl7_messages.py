"""HL7: delimiters, escapes, building, splitting a stream into messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.protocol.hl7.messages import Raw, escape, parse, unescape, write_message
from common.protocol.hl7.split import split_stream

ORU = b"MSH|^~\\&|Acme|A1|LIS|Lab|20260105||ORU^R01|7|P|2.3.1||||2||ASCII|||\rPID|1||P1\rOBR|1||S1|x\rOBX|1|NM|A||1|u|||||F\r"


@given(st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), max_size=60))
def test_what_is_escaped_comes_back(text: str) -> None:
    wire = escape(text)
    assert not set(wire) & {"|", "^", "~", "&"}
    assert unescape(wire) == text


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("\\F\\\\S\\\\R\\\\E\\\\T\\", "|^~\\&"),
        ("a\\.br\\b", "a\nb"),
        ("\\X4142\\", "AB"),
        ("\\Z03BC\\g/L", "μg/L"),
        ("\\Zab\\", "\\Zab\\"),
        ("C:\\dir\\x", "C:\\dir\\x"),
        ("\\H\\x\\N\\", "x"),
    ],
)
def test_escapes(sent: str, meant: str) -> None:
    assert unescape(sent) == meant


def test_delimiters_come_from_msh() -> None:
    message = parse("MSH^~|\\&^Acme^A1^^^2026^^ORU~R01^1^P^2.3.1\rOBX^1^NM^WBC~White^^5\r")
    assert message.type == "ORU^R01"
    assert message.segments[1].component(3, 2) == "White"
    assert message.msh.get(1) == "^"


@given(st.lists(st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), max_size=20), max_size=6))
def test_written_fields_are_read_back(fields: list[str]) -> None:
    message = parse(write_message([["MSH", "A"], ["ZZ1", *fields]]))
    assert [message.segments[1].text(n + 1) for n in range(len(fields))] == fields


def test_components_repeats_and_raw_text() -> None:
    data = write_message([["MSH", "A"], ["PID", [("a", "b^c"), (("x", "y"), "z")], Raw("1^2"), None]])
    assert data.split(b"\r")[1] == b"PID|a^b\\S\\c~x&y^z|1^2|"


def test_a_charset_that_lacks_a_character_never_writes_a_question_mark() -> None:
    data = write_message([["MSH", "王"]], encoding="latin-1")
    assert b"?" not in data
    assert parse(data).msh.text(3) == "王"


@pytest.mark.parametrize(
    "data",
    [
        b"\x0b" + ORU + b"\x1c\r",
        ORU,
        ORU.replace(b"\r", b"\n"),
        ORU.replace(b"\r", b"\r\n"),
        ORU.replace(b"\r", b"\r\n\r\n"),
        b"\x0b" + ORU + b"\x1c",
        ORU + b"\x1c\r",
        b"\xef\xbb\xbf" + ORU,
        b"\x0b" + ORU[:-1] + b"\x1c\r",
    ],
)
def test_every_way_to_end_lines_and_blocks(data: bytes) -> None:
    found, problems = split_stream(data)
    assert problems == []
    assert [[segment.name for segment in one.message.segments] for one in found] == [["MSH", "PID", "OBR", "OBX"]]
    assert found[0].problems == []


def test_two_blocks_and_text_between_them() -> None:
    found, problems = split_stream(b"\x0b" + ORU + b"\x1c\rnoise\x0b" + ORU + b"\x1c\r")
    assert len(found) == 2
    assert [problem.code for problem in problems] == ["block.stray"]


def test_a_block_cut_by_the_next_one() -> None:
    found, _ = split_stream(b"\x0b" + ORU[:-6] + b"\x0b" + ORU + b"\x1c\r")
    assert [[problem.code for problem in one.problems] for one in found] == [["message.cut", "segment.cut"], []]


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    split_stream(data)
    split_stream(b"\x0bMSH|^~\\&|" + data)
