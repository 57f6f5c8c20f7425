"""Result texts: numbers, limits, titres, qualitative words, absence, and their rounding."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from common.values import (
    MAX_EXPONENT,
    Rounding,
    Value,
    ValueKind,
    is_number,
    nothing,
    number,
    parse,
    plain,
    reported,
    require,
    rounded,
    scaled,
    significant,
)

D = Decimal


def test_ac_md_1_rounding() -> None:
    assert [plain(rounded(D(x), 2)) for x in ("2.345", "2.355")] == ["2.35", "2.36"]
    assert [plain(rounded(D(x), 2, Rounding.HALF_EVEN)) for x in ("2.345", "2.355")] == ["2.34", "2.36"]


@pytest.mark.parametrize(
    ("text", "sign", "number", "shown"),
    [
        ("0", "", D(0), "0"),
        ("0.00", "", D("0.00"), "0.00"),
        (" 5.30 ", "", D("5.30"), "5.30"),
        (".85", "", D("0.85"), "0.85"),
        ("5.", "", D(5), "5"),
        ("-2.1", "", D("-2.1"), "-2.1"),
        ("+1", "", D(1), "1"),
        ("1.2E3", "", D(1200), "1200"),
        ("<0.5", "<", D("0.5"), "<0.5"),
        ("＜０．５", "<", D("0.5"), "<0.5"),
        ("> 100", ">", D(100), ">100"),
        ("<=3", "≤", D(3), "≤3"),
        (">=3", "≥", D(3), "≥3"),
        ("≥ 3", "≥", D(3), "≥3"),
        ("=7", "", D(7), "7"),
    ],
)
def test_numbers(text: str, sign: str, number: Decimal, shown: str) -> None:
    value = parse(text)
    assert (value.kind, value.comparator, value.number, value.text, value.raw) == (ValueKind.NUMBER, sign, number, shown, text)


@pytest.mark.parametrize("text", [None, "", "  ", "-----", "--", "****", "*", "--.--", "***.*", "...", "－－－－"])
def test_no_result_marks(text: str | None) -> None:
    value = parse(text)
    assert value.missing and value.number is None and value.text == ""


def test_one_minus_alone_is_not_nothing() -> None:
    assert [nothing(text) for text in ("", " -- ", "*", "－－")] == [True] * 4
    assert [nothing(text) for text in ("-", "－", ".")] == [False] * 3


@pytest.mark.parametrize(("text", "number", "shown"), [("1:160", 160, "1:160"), ("1：80", 80, "1:80"), (">1:1280", 1280, ">1:1280")])
def test_titres(text: str, number: int, shown: str) -> None:
    value = parse(text, "titer")
    assert (value.kind, value.number, value.text) == (ValueKind.TITRE, D(number), shown)


@pytest.mark.parametrize(
    "text",
    ["1,5", "NEGATIVE", "阴性", "12a", "1.2.3", "NaN", "Infinity", "1e", "+-", "++++", "٣", "1e9999", "9" * 41, "1:0", "5.3 H", "-", "+"],
)
def test_what_is_not_a_number_stays_text(text: str) -> None:
    value = parse(text)
    assert (value.kind, value.number, value.text) == (ValueKind.TEXT, None, text)


@pytest.mark.parametrize(
    ("text", "grade"),
    [("-", 0), ("NEG", 0), ("negative", 0), ("阴性", 0), ("阴性（-）", 0), ("±", 1), ("+-", 1), ("+", 2), ("1+", 2), ("+1", 2), ("阳性", 2)]
    + [("2+", 3), ("+++", 4), ("+4", 5)],
)
def test_grades_of_qualitative_items(text: str, grade: int) -> None:
    assert parse(text, "semi-quant").grade == grade


def test_a_grade_is_only_read_where_the_item_has_grades() -> None:
    assert parse("+1").number == 1
    assert parse("+1", "semi-quant").number is None
    assert parse("1.020", "semi-quant").number == D("1.020")
    assert parse("5", "text").kind is ValueKind.TEXT
    assert parse("黄色", "enum").grade is None


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("1,5", "numeric", "“1,5”用了逗号，小数点请用“.”，例如 1.5"),
        ("<0,5", "numeric", "“<0,5”用了逗号，小数点请用“.”，例如 <0.5"),
        ("1，5", "numeric", "例如 1.5"),
        ("0,500", "numeric", "例如 0.500"),
        ("5,000", "numeric", "若是千位请填 5000"),
        (">1,234,567.8", "numeric", "若是千位请填 >1234567.8"),
        ("12a", "numeric", "“a”不是数字"),
        ("5.3.1", "numeric", "不是一个数"),
        ("1:160", "numeric", "是滴度"),
        ("160", "titer", "1:160 的形式"),
        ("", "numeric", "没有填写"),
        ("----", "numeric", "没有填写"),
    ],
)
def test_wrong_input_is_named(text: str, kind: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        require(text, kind, "钾")
    assert words in caught.value.message and caught.value.message.startswith("钾") and caught.value.code == "invalid"


@pytest.mark.parametrize(
    ("text", "kind", "read"),
    [
        ("1:80", "titer", ValueKind.TITRE),
        ("<0.5", "numeric", ValueKind.NUMBER),
        ("阴性", "text", ValueKind.TEXT),
        ("5", "image", ValueKind.TEXT),
        ("12", "organism", ValueKind.TEXT),
        # A list-less item of grades takes what is written, also a number or a limit.
        ("阳性", "enum", ValueKind.TEXT),
        ("<5", "semi-quant", ValueKind.NUMBER),
        *((f"{dash}5", "numeric", ValueKind.NUMBER) for dash in "−–—－"),
        ("\u30004.1\u3000", "numeric", ValueKind.NUMBER),
    ],
)
def test_what_fits_its_kind_is_taken(text: str, kind: str, read: ValueKind) -> None:
    assert require(text, kind).kind is read


def test_zero_typed_is_a_result() -> None:
    assert require("0", "numeric").number == 0


@pytest.mark.parametrize(
    ("text", "decimals", "shown"),
    [("5.34", 1, "5.3"), ("5.35", 1, "5.4"), ("12", 2, "12.00"), ("-0.04", 1, "0.0"), ("<0.04", 1, "<0.04"), ("-2.25", 1, "-2.3")]
    + [("149.5", 0, "150")],
)
def test_reported_text(text: str, decimals: int, shown: str) -> None:
    assert reported(parse(text), decimals).text == shown


def test_reported_leaves_words_and_titres() -> None:
    for text in ("1:160", "阴性", "----"):
        assert reported(parse(text), 2) == parse(text)


def test_scaling_turns_a_limit_round_when_the_factor_is_negative() -> None:
    assert scaled(parse("<5"), D(10)).text == "<50"
    assert scaled(parse("<5"), D(-1)).text == ">-5"
    assert scaled(parse("5.5"), D("0.1"), D(1)).text == "1.55"
    assert scaled(parse("阴性"), D(10)).text == "阴性"


@pytest.mark.parametrize(
    ("text", "kind", "factor", "offset", "shown"),
    [
        *(
            ("5", "numeric", "1", "0", "5"),
            ("5", "numeric", "1", "2", "7"),
            ("5", "numeric", "2", "0", "10"),
            ("5", "numeric", "0", "3", "3"),
        ),
        *(("<5", "numeric", "0.1", "0", "<0.5"), ("<5", "numeric", "-1", "0", ">-5"), ("≥5", "numeric", "-1", "10", "≤5")),
        # What is no quantity is not scaled, a titre's reciprocal too.
        *(("1:80", "titer", "2", "0", "1:80"), ("+2", "semi-quant", "2", "0", "+2"), ("-----", "numeric", "2", "0", "")),
    ],
)
def test_only_quantities_are_scaled(text: str, kind: str, factor: str, offset: str, shown: str) -> None:
    assert scaled(parse(text, kind), Decimal(factor), Decimal(offset)).text == shown


def test_a_number_is_read_up_to_its_size_and_beyond_stays_a_text() -> None:
    read = [parse(t).kind is ValueKind.NUMBER for t in ("1e30", "1e31", "1e-30", "1e-31", "9" * 31, "9" * 32)]
    assert read == [True, False, True, False, True, False]
    digits = [parse(f"0.{'1' * n}").kind is ValueKind.NUMBER for n in (38, 39)]
    assert digits == [True, False]


def test_a_titre_has_a_number_and_a_word_has_none() -> None:
    assert is_number(parse("1:80", "titer")) and is_number(parse("<0.5")) and not is_number(parse("阳性", "enum"))


def test_scaling_is_exact() -> None:
    assert scaled(parse("72.05"), D(1), D("-44.5")).number == D("27.55")


@given(st.text(max_size=60))
def test_any_text_is_read_without_an_error(text: str) -> None:
    value = parse(text)
    assert value.raw == text
    assert (value.number is None) == (value.kind in (ValueKind.TEXT, ValueKind.NONE))
    if value.number is not None:
        assert value.number.is_finite() and len(reported(value, 3).text) < 3 * MAX_EXPONENT + 50


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=6), st.integers(0, 6), st.sampled_from(Rounding))
def test_rounding_is_near_and_stable(number: Decimal, decimals: int, rounding: Rounding) -> None:
    once = rounded(number, decimals, rounding)
    assert abs(once - number) * 2 <= D(1).scaleb(-decimals)
    assert rounded(once, decimals, rounding) == once
    assert not (once.is_zero() and once.is_signed())


@given(st.decimals(min_value=-(10**6), max_value=10**6, places=4), st.sampled_from(["", "<", ">", "≤", "≥"]))
def test_printed_values_read_back_as_themselves(number: Decimal, sign: str) -> None:
    value = reported(Value("", ValueKind.NUMBER, "", sign, number), 4)
    again = parse(value.text)
    assert (again.number, again.comparator) == (value.number, sign)


@pytest.mark.parametrize(("typed", "kept"), [("阴性", "阴性"), (" 弱阳性 ", "弱阳性"), ("阳性（＋）", "阳性(+)"), ("阳性(+)", "阳性(+)")])
def test_a_qualitative_value_is_kept_as_its_list_writes_it(typed: str, kept: str) -> None:
    assert require(typed, "enum", "HBsAg", ["阴性", "弱阳性", "阳性(+)"]).text == kept


@pytest.mark.parametrize("typed", ["阳", "阴性?", "1", "-"])
def test_what_is_not_in_the_list_is_refused_with_the_list(typed: str) -> None:
    with pytest.raises(UserError, match="HBsAg只能从列表中选择：阴性、弱阳性。") as refused:
        require(typed, "semi-quant", "HBsAg", ["阴性", "弱阳性"])
    assert f"“{typed}”没有保存" in refused.value.message and refused.value.fields["given"] == typed
    assert require("4.1", "numeric", "K", ["阴性"]).text == "4.1", "a list is for qualitative items"


@pytest.mark.parametrize(
    ("number", "digits", "text"),
    [
        ("5.00461", 4, "5.005"),
        ("5.0045", 4, "5.005"),
        ("12345.6", 4, "12346"),
        ("123456.5", 3, "123457"),
        ("9999.5", 4, "10000"),
        ("0.00123456", 3, "0.00123"),
        ("1E+6", 4, "1000000"),
        ("0", 4, "0.000"),
        ("-0.00001", 4, "-0.00001000"),
    ],
)
def test_a_statistic_is_written_without_an_exponent(number: str, digits: int, text: str) -> None:
    """A mean of hCG or BNP is in the ten thousands: 1.235E+4 is no figure to a person."""
    assert significant(Decimal(number), digits) == text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        *(("4.20", "4.20"), (" -3 ", "-3"), ("−3.5", "-3.5"), ("１２．５", "12.5"), ("+2", "2"), (".5", "0.5"), ("1e2", "1e2"), ("0", "0")),
        *((text, None) for text in ("", " ", "1_000", "1e999", "NaN", "Infinity", "1,5", "1,000", "<3", "1:10", "三", "3 4", "0x1")),
    ],
)
def test_a_number_a_person_typed_is_one_or_none(text: str, read: str | None) -> None:
    assert number(text) == (None if read is None else D(read))
