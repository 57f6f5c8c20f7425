"""Acknowledgements, written and read."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.modules.interfaces import hl7_ack
from cloud.modules.interfaces.hl7_in import Refused, parse_order
from cloud.modules.interfaces.hl7_wire import Header, parse
from cloud.modules.orders.messages import Problem, Severity
from tests.cloud.interfaces.messages import order

NOW = datetime(2026, 5, 6, 0, 9, 10, tzinfo=UTC)
WARNING = Problem("OBR^2^4", "204", "项目 9999 未对照", Severity.WARNING)
FAULT = Problem("PID^1^3", "101", "缺少患者标识 PID-3")


def segments(raw: bytes, encoding: str = "utf-8") -> list[list[str]]:
    return [line.split("|") for line in raw.decode(encoding).rstrip("\r").split("\r")]


def test_positive_answer_swaps_sender_and_receiver_and_echoes() -> None:
    header = parse_order(order(control="M-1")).header
    msh, msa = segments(hl7_ack.build(header, "AA", [], NOW, "A1"))
    assert msh[2:6] == ["LIS", "LAB", "HIS", "H1"]
    assert (msh[6], msh[8], msh[9], msh[10], msh[11], msh[17]) == (
        "20260506080910", "ACK^O21^ACK", "A1", "P", "2.5.1", "UNICODE UTF-8"
    )  # fmt: skip
    assert msa == ["MSA", "AA", "M-1", ""]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_fault_names_the_field_in_the_character_set_of_the_request(encoding: str) -> None:
    charset = "GBK" if encoding == "gb18030" else "UTF-8"
    header = parse_order(order(charset=charset, encoding=encoding)).header
    msh, msa, err = segments(hl7_ack.build(header, "AE", [FAULT], NOW, "A1"), encoding)
    assert msh[17] == charset
    assert msa == ["MSA", "AE", "M1", "缺少患者标识 PID-3"]
    assert err == ["ERR", "", "PID^1^3", "101^Required field missing^HL70357", "E", "", "", "", "缺少患者标识 PID-3"]


def test_unknown_item_is_accepted_with_a_warning() -> None:
    header = parse_order(order()).header
    _, msa, err = segments(hl7_ack.build(header, "AA", [WARNING], NOW, "A1"))
    assert (msa[1], err[2], err[3], err[4]) == ("AA", "OBR^2^4", "204^Unknown key identifier^HL70357", "W")


@pytest.mark.parametrize("version", ["2.3.1", "2.4"])
def test_old_versions_say_it_in_msa_3_and_err_1(version: str) -> None:
    header = parse_order(order(version=version, kind="ORM^O01")).header
    msh, msa, err = segments(hl7_ack.build(header, "AE", [FAULT], NOW, "A1"))
    assert (msh[8], msh[11]) == ("ACK^O01", version)
    assert msa[3] == "缺少患者标识 PID-3"
    assert err == ["ERR", "PID^1^3^101&Required field missing&HL70357"]


def test_other_separators_are_answered_in_kind() -> None:
    raw = order().replace(b"|", b"#")
    answer = hl7_ack.build(parse_order(raw).header, "AA", [WARNING], NOW, "A1").decode()
    assert answer.startswith("MSH#^~\\&#LIS#LAB#HIS#H1#")
    assert "\rMSA#AA#M1#" in answer


@pytest.mark.parametrize("raw", [b"", b"garbage", b"MSH", b"PID|1||P1"])
def test_unreadable_bytes_get_an_answer_that_can_be_read(raw: bytes) -> None:
    with pytest.raises(Refused) as caught:
        parse_order(raw)
    answer = hl7_ack.build(caught.value.header, caught.value.code, caught.value.problems, NOW, "A1")
    read = hl7_ack.read(answer)
    assert read is not None
    assert (read.code, read.control_id) == ("AE", "")


def test_mislabelled_request_is_answered_in_what_it_really_is() -> None:
    raw = order(charset="UTF-8", encoding="gb18030", name="张三丰李四光")
    answer = hl7_ack.build(parse_order(raw).header, "AE", [FAULT], NOW, "A1")
    assert "缺少患者标识" in answer.decode("gb18030")
    assert segments(answer, "gb18030")[0][17] == "GB18030"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"MSH|^~\\&|H|1|L|2|||ACK|9|P|2.4\rMSA|AA|77\r", ("AA", "77", "")),
        (b"MSH|^~\\&|H|1|L|2|||ACK|9|P|2.4\nMSA|ae| 77 |no bed\n", ("AE", "77", "no bed")),
        (
            "MSH|^~\\&|H|1|L|2|||ACK|9|P|2.5.1\rMSA|AR|77|拒绝\rERR||PID^1^3|101^x|E||||没有此人\r".encode("gb18030"),
            ("AR", "77", "拒绝；PID^1^3；没有此人"),
        ),
    ],
)
def test_reading_an_answer(raw: bytes, expected: tuple[str, str, str]) -> None:
    answer = hl7_ack.read(raw)
    assert answer is not None
    assert (answer.code, answer.control_id, answer.text) == expected


@pytest.mark.parametrize(
    "raw", [b"", b"MSH|^~\\&|H", b"MSH|^~\\&|H|1|L|2|||ACK|9|P|2.4\r", b"MSA|AA|77\r", b"MSH|^~\\&|H\rMSA||77\r", b"\xff\x80\x80"]
)
def test_no_answer(raw: bytes) -> None:
    assert hl7_ack.read(raw) is None


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.sampled_from(["utf-8", "gb18030"]))
def test_any_text_survives_escaping(text: str, encoding: str) -> None:
    raw = f"MSH|^~\\&|A|B|C|D|||ACK|1|P|2.5.1||||||{encoding}\rNTE|1|L|{hl7_ack.escape(text)}\r".encode(encoding)
    note = parse(raw).first("NTE")
    assert note is not None
    expected = "".join(" " if ord(c) < 32 and c not in "\r\n" else c for c in text).replace("\r\n", "\n").replace("\r", "\n").strip()
    if not any(0xE000 <= ord(c) <= 0xF8FF for c in text):
        assert note.text(3) == expected or '""' in text


def test_header_without_charset_is_answered_in_utf_8() -> None:
    assert "缺少" in hl7_ack.build(Header(), "AE", [FAULT], NOW, "A1").decode()
