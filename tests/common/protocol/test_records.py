"""Records of LIS02: delimiters from H, escapes after splitting, messages and their ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.protocol.astm.records import (
    DEFAULT,
    Delimiters,
    RecordMessage,
    escape,
    read_delimiters,
    split_messages,
    unescape,
)
from common.protocol.astm.unframe import LinkText


def split(text: bytes, encoding: str | None = None) -> list[RecordMessage]:
    return split_messages(LinkText(text, framed=False), encoding)


def codes(message: RecordMessage) -> list[str]:
    return [problem.code for problem in message.problems]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("H|\\^&|||x", Delimiters()),
        ("H|@^\\|x", Delimiters("|", "@", "^", "\\")),
        ("H|`^&||", Delimiters("|", "`", "^", "&")),
        ("H!~*$!!!", Delimiters("!", "~", "*", "$")),
        ("H|\\^|||x", Delimiters()),
        ("H||||x", Delimiters()),
        ("H|^~\\&|x", Delimiters("|", "~", "^", "\\")),
        ("H", Delimiters()),
    ],
)
def test_delimiters_come_from_the_header(header: str, expected: Delimiters) -> None:
    assert read_delimiters(header) == expected


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("Type &F& Screen", "Type | Screen"),
        ("a&R&b&S&c&E&d", "a\\b^c&d"),
        ("&X41&&X4243&", "ABC"),
        ("&H&bold&N&", "bold"),
        ("&Z99&", "&Z99&"),
        ("AT&T", "AT&T"),
        ("a&b&c", "a&b&c"),
        ("&F", "&F"),
        ("&XZZ&", "&XZZ&"),
        ("", ""),
    ],
)
def test_escapes(sent: str, meant: str) -> None:
    assert unescape(sent, DEFAULT) == meant


@given(st.text(max_size=60))
def test_what_is_escaped_comes_back(text: str) -> None:
    wire = escape(text)
    assert not set(wire) & {"|", "\\", "^", "\r", "\n"}
    assert unescape(wire, DEFAULT) == text


def test_an_escaped_delimiter_does_not_split() -> None:
    message = split(b"H|\\^&\rR|1|^^^A&F&B|1&S&2\rL|1\r")[0]
    assert message.records[1][2] == "^^^A&F&B"
    assert message.escaped


def test_messages_end_with_l_and_begin_with_h() -> None:
    first, second = split(b"H|\\^&\rL|1|N\rH!~*$\rL!1\r")
    assert (first.has_end, second.has_end) == (True, True)
    assert second.delimiters.field == "!"
    assert codes(first) == codes(second) == []


def test_a_message_without_l_is_cut() -> None:
    first, second = split(b"H|\\^&\rP|1\rH|\\^&\rL|1\r")
    assert codes(first) == ["message.cut"]
    assert codes(second) == []


def test_the_unfinished_last_record_is_not_read() -> None:
    message = split(b"H|\\^&\rO|1|S\rR|1|^^^A|5.")[0]
    assert [record[0] for record in message.records] == ["H", "O"]
    assert codes(message) == ["record.cut", "message.cut"]


def test_an_l_without_cr_ends_the_message() -> None:
    assert codes(split(b"H|\\^&\rP|1\rL|1|N")[0]) == []
    assert codes(split(b"H|\\^&\nP|1\nL")[0]) == []


def test_text_that_is_no_record_is_told() -> None:
    message = split(b"H|\\^&\rC|1|I|one\rtwo|G\rL|1\r")[0]
    assert codes(message) == ["record.text"]


def test_records_without_a_header_are_read_and_told() -> None:
    message = split(b"O|1|S1||A\nL|1\n")[0]
    assert message.records[0] == ["O", "1", "S1", "", "A"]
    assert codes(message) == ["message.head"]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "latin-1"])
def test_encodings_are_found_out(encoding: str) -> None:
    text = "H|\\^&\rP|1||X||{}\rR|1|^^^A|1|µm3\rL|1\r".format("Müller" if encoding == "latin-1" else "张伟测试")
    if encoding == "gb18030":
        text = text.replace("µ", "μ")
    message = split(text.encode(encoding))[0]
    assert message.encoding == encoding
    assert message.records == [line.split("|") for line in text.split("\r")[:-1]]


def test_undecodable_bytes_stay_visible() -> None:
    message = split("H|\\^&\rP|1||X||王小明李雷\rL|1\r".encode().replace("小".encode(), b"\xe5\xff"))[0]
    assert "charset.bytes" in codes(message)
    assert "\\xff" in message.records[1][5]
