"""Accession numbers, ticket codes and the recognition of scans."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ids import (
    Accession,
    CodeKind,
    CodeProblem,
    PrefixRule,
    accession_number,
    badge_code,
    bag_code,
    luhn_digit,
    luhn_valid,
    normalise_scan,
    parse_accession,
    patient_card,
    recognise,
    report_number,
    ticket_code,
    ticket_number,
)

DAY = date(2026, 11, 22)
DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))
SEQUENCES = st.integers(1, 99_999)


def test_ac_sp_1_accession_number_and_wrong_check_digit() -> None:
    assert DAY.timetuple().tm_yday == 326
    assert accession_number(1, DAY, 42) == "126326000422"
    assert recognise("126326000422").ok
    assert parse_accession("126326000422") == Accession(1, 26, 326, 42)
    assert parse_accession("126326000423") is None
    refused = recognise("126326000423")
    assert (refused.kind, refused.problem, refused.ok) == (CodeKind.TUBE, CodeProblem.CHECK_DIGIT, False)


def test_luhn_agrees_with_the_published_example() -> None:
    assert luhn_digit("7992739871") == 3
    assert luhn_valid("79927398713")
    assert not luhn_valid("79927398710")
    assert not luhn_valid("3")
    assert not luhn_valid("７９９２７３９８７１３")
    with pytest.raises(ValueError):
        luhn_digit("12a")


@given(st.integers(0, 9), DAYS, SEQUENCES)
def test_every_accession_number_parses_back(site: int, day: date, sequence: int) -> None:
    code = accession_number(site, day, sequence)
    assert len(code) == 12
    assert parse_accession(code) == Accession(site, day.year % 100, day.timetuple().tm_yday, sequence)


@given(DAYS, SEQUENCES, st.integers(0, 11), st.integers(1, 9))
def test_one_wrong_digit_is_always_caught(day: date, sequence: int, place: int, change: int) -> None:
    code = accession_number(1, day, sequence)
    wrong = code[:place] + str((int(code[place]) + change) % 10) + code[place + 1 :]
    assert parse_accession(wrong) is None
    assert recognise(wrong).problem is CodeProblem.CHECK_DIGIT


@pytest.mark.parametrize(("site", "sequence"), [(10, 1), (-1, 1), (1, 0), (1, 100_000)])
def test_numbers_outside_their_field_are_errors(site: int, sequence: int) -> None:
    with pytest.raises(ValueError):
        accession_number(site, DAY, sequence)


@pytest.mark.parametrize(
    ("body", "exists"), [("00000", False), ("26000", False), ("26365", True), ("26366", False), ("28366", True), ("28367", False)]
)
def test_a_day_that_does_not_exist_is_refused(body: str, exists: bool) -> None:
    digits = f"1{body}00001"
    code = digits + str(luhn_digit(digits))
    assert (parse_accession(code) is not None) is exists
    assert recognise(code).problem is (None if exists else CodeProblem.DATE)


def test_each_kind_is_told_by_its_prefix() -> None:
    assert recognise(ticket_code(1, DAY, "N", 42)).kind is CodeKind.TICKET
    assert recognise(report_number(1, DAY, 42)).kind is CodeKind.REPORT
    assert recognise(bag_code(1, DAY, 42)).kind is CodeKind.BAG
    assert recognise(badge_code(1, DAY, 42)).kind is CodeKind.BADGE
    assert recognise(patient_card(1, DAY, 42)).kind is CodeKind.CARD
    for code in (ticket_code(1, DAY, "N", 42), report_number(1, DAY, 42), bag_code(1, DAY, 42), patient_card(1, DAY, 42)):
        assert recognise(code).ok
        wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
        assert recognise(wrong).problem is CodeProblem.CHECK_DIGIT


def test_ticket_numbers_as_called_and_as_printed() -> None:
    assert ticket_number("N", 1) == "N001"
    assert ticket_number("E", 1000) == "E1000"
    code = ticket_code(1, DAY, "N", 42)
    assert code.startswith("Q126326N0042") and len(code) == 13
    with pytest.raises(ValueError):
        ticket_code(1, DAY, "X", 1)
    with pytest.raises(ValueError):
        ticket_code(1, DAY, "N", 10_000)
    with pytest.raises(ValueError):
        ticket_code(12, DAY, "N", 1)


@given(st.integers(0, 9), DAYS, st.sampled_from("EPAN"), st.integers(1, 9_999))
def test_ticket_codes_are_sound_and_a_wrong_class_is_caught(site: int, day: date, klass: str, number: int) -> None:
    code = ticket_code(site, day, klass, number)
    assert recognise(code).ok
    for other in "EPAN".replace(klass, ""):
        assert recognise(code.replace(klass, other)).problem is CodeProblem.CHECK_DIGIT


def test_an_impossible_day_on_a_ticket_is_named() -> None:
    good = ticket_code(1, date(2028, 12, 31), "N", 42)  # day 366 exists in 2028 only
    assert recognise(good).ok
    codes = [f"Q126366N0042{digit}" for digit in range(10)]
    assert [recognise(code).problem for code in codes].count(CodeProblem.DATE) == 1


@pytest.mark.parametrize(
    "typed",
    [
        " 126326000422\r\n",
        "１２６３２６０００４２２",
        "\u3000126326000422\u3000",
        "]C1126326000422",
        "\ufeff126326000422\t",
        "126326\u200b000422",
    ],
)
def test_scans_are_normalised(typed: str) -> None:
    assert normalise_scan(typed) == "126326000422"
    assert recognise(typed).ok


def test_letters_become_upper_case_and_inner_blanks_stay() -> None:
    assert normalise_scan("ｑ126326ｎ00427") == "Q126326N00427"
    assert normalise_scan("ab 12") == "AB 12"
    assert normalise_scan("") == ""


@given(st.text())
def test_any_text_has_an_answer_and_normalising_twice_changes_nothing(text: str) -> None:
    scan = recognise(text)
    assert scan.code == normalise_scan(text)
    assert normalise_scan(scan.code).upper() == normalise_scan(scan.code)


@pytest.mark.parametrize("text", ["", "HELLO", "12632600042", "1263260004222", "Q126326X00427", "X126326000422", "张伟"])
def test_other_text_is_unknown(text: str) -> None:
    assert recognise(text).kind is CodeKind.UNKNOWN
    assert not recognise(text).ok


def test_the_hospitals_own_prefixes_come_first() -> None:
    rules = [
        PrefixRule("88", CodeKind.TUBE, length=10),
        PrefixRule("k", CodeKind.CARD),
        PrefixRule("77", CodeKind.TUBE, length=12, luhn=True),
    ]
    assert recognise("8812345678", rules).kind is CodeKind.TUBE
    assert recognise("881234567", rules).kind is CodeKind.UNKNOWN
    assert recognise("k0012", rules).kind is CodeKind.CARD
    digits = "77000000001"
    assert recognise(digits + str(luhn_digit(digits)), rules).ok
    assert recognise(digits + str((luhn_digit(digits) + 1) % 10), rules).problem is CodeProblem.CHECK_DIGIT


def test_an_identity_card_counts_as_a_patient_card_only_with_its_check_character() -> None:
    # An invented number in an area code that does not exist.
    assert recognise("99000019900101001" + _id_check("99000019900101001")).kind is CodeKind.CARD
    wrong = "0" if _id_check("99000019900101001") != "0" else "1"
    assert recognise("99000019900101001" + wrong).kind is CodeKind.UNKNOWN


def _id_check(body: str) -> str:
    """ISO 7064 MOD 11-2 written as its recurrence, not as the table of weights under test."""
    total = 0
    for char in body:
        total = (total + int(char)) * 2 % 11
    return "10X98765432"[total]
