"""Positional formats described by marked columns, site differences as rows, and proposals for an unknown recording."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.errors import UserError
from common.instruments.layout import describe
from common.instruments.propose import propose, replay, telegrams
from common.instruments.reading import Reading

FOLDER = Path(__file__).resolve().parents[2] / "captures"
COLUMNS = [
    {"role": "sequence", "start": 0, "end": 4},
    {"role": "specimen", "start": 4, "end": 14},
    {"role": "date", "start": 14, "end": 22},
    {"role": "value", "start": 22, "end": 28, "code": "K"},
    {"role": "flag", "start": 28, "end": 29, "code": "K"},
    {"role": "value", "start": 29, "end": 35, "code": "NA", "decimals": 1},
    {"role": "unit", "start": 35, "end": 41, "code": "NA"},
]
ONE = "0001 S2600001 20260105  4.21H  1402mmol/L"


def stored(telegram: str, marks: list[dict[str, object]], **more: object) -> dict[str, object]:
    """A site row as it comes back from a JSON column."""
    row: dict[str, object] = json.loads(json.dumps({"layout": describe(telegram, marks, **more)}))  # type: ignore[arg-type]
    return row


def facts(reading: Reading) -> list[tuple[object, ...]]:
    return [
        (specimen.specimen_id, result.code, result.value, result.unit, tuple(result.flags), result.time)
        for message in reading.messages
        for specimen in message.specimens
        for result in specimen.results
    ]


def codes(reading: Reading) -> list[str]:
    return [problem.code for problem in reading.problems]


WANTED = [("S2600001", "K", "4.21", None, ("H",), "20260105"), ("S2600001", "NA", "1402", "mmol/L", (), "20260105")]


@pytest.mark.parametrize(
    ("telegram", "data"),
    [
        ("stx", f"\x02{ONE}\x03"),
        ("stx", f"\x05\x02{ONE}\x035A\r\n\x04"),
        ("line", f"{ONE}\r\n"),
        ("whole", ONE),
    ],
)
def test_marked_columns_are_read(telegram: str, data: str) -> None:
    reading = replay(data.encode(), None, stored(telegram, COLUMNS))
    assert facts(reading) == WANTED
    assert codes(reading) == []
    assert reading.messages[0].specimens[0].results[1].decimals == 1


def test_several_telegrams_and_fixed_length() -> None:
    second = ONE.replace("S2600001", "S2600002")
    for telegram, data, more in (
        ("line", f"{ONE}\r\n{second}\r\n", {}),
        ("length", ONE + second, {"length": len(ONE)}),
        ("stx", f"\x02{ONE}\x03\x02{second}\x03", {}),
    ):
        reading = replay(data.encode(), None, stored(telegram, COLUMNS, **more))
        assert [one[0] for one in facts(reading)] == ["S2600001", "S2600001", "S2600002", "S2600002"]
        assert codes(reading) == []


def test_a_cut_telegram_is_never_read() -> None:
    site = stored("stx", COLUMNS)
    whole = f"\x02{ONE}\x03".encode()
    for at in range(1, len(whole)):
        reading = replay(whole[:at], None, site)
        assert facts(reading) == []
        assert at == 1 or codes(reading) == ["message.cut"]
    line = replay(ONE[:25].encode(), None, stored("line", COLUMNS))
    assert (facts(line), codes(line)) == ([], ["message.cut"])


def test_what_no_mark_covers_is_said() -> None:
    reading = replay((ONE + " 7.35").encode(), None, stored("line", COLUMNS))
    assert facts(reading) == WANTED
    assert codes(reading) == ["layout.left"]
    assert "7.35" in reading.problems[0]


def test_text_of_another_kind_is_kept_whole() -> None:
    reading = replay(f"READY\r\n{ONE}\r\n".encode(), None, stored("line", COLUMNS, starts="0"))
    assert (facts(reading), codes(reading)) == (WANTED, ["layout.other"])
    quiet = replay(f"READY\r\n{ONE}\r\n".encode(), None, stored("line", COLUMNS, starts="0", quiet=["READY"]))
    assert (facts(quiet), codes(quiet)) == (WANTED, [])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separated_fields(separator: str) -> None:
    line = separator.join(["S1", "GLU", "5.6", "mmol/L", "H"])
    marks: list[dict[str, object]] = [{"role": "specimen", "start": 0}, {"role": "ignore", "start": 1}]
    marks += [{"role": role, "start": at, "code": "GLU"} for role, at in (("value", 2), ("unit", 3), ("flag", 4))]
    reading = replay(line.encode(), None, stored("line", marks, separator=separator))
    assert (facts(reading), codes(reading)) == ([("S1", "GLU", "5.6", "mmol/L", ("H",), None)], [])


def test_repeated_groups_on_one_line_and_one_a_line() -> None:
    marks: list[dict[str, object]] = [{"role": "specimen", "start": 0, "end": 6}]
    group = {"start": 6, "width": 9, "parts": [("code", 0, 3), ("value", 3, 8), ("flag", 8, 9)]}
    reading = replay(b"\x02S00001041  123 044  101*\x03", None, stored("stx", marks, repeat=group))
    assert [one[1:5] for one in facts(reading)] == [("041", "123", None, ()), ("044", "101", None, ("*",))]
    assert codes(reading) == []
    odd = replay(b"\x02S00001041  123 044\x03", None, stored("stx", marks, repeat=group))
    assert (len(facts(odd)), codes(odd)) == (1, ["layout.left"])
    lines = {"start": 0, "width": 20, "parts": [("code", 0, 4), ("value", 4, 10), ("unit", 10, 20)], "line": 1, "lines": True}
    ticket = replay(b"\x02S00001\rWBC   6.2 10^9/L\rRBC   4.5 10^12/L\r\x03", None, stored("stx", marks, repeat=lines))
    assert [one[1:4] for one in facts(ticket)] == [("WBC", "6.2", "10^9/L"), ("RBC", "4.5", "10^12/L")]


TICKETS = "#S 4711 2026\n WBC   6.1 10^9/L  H\n RBC   4.5 10^12/L\n-----\n#S 4712 2026\n WBC   7.2 10^9/L\n"
BELOW: list[dict[str, object]] = [{"role": "specimen", "start": 3, "end": 7}, {"role": "date", "start": 8}]
A_LINE = {
    "start": 1,
    "width": 30,
    "parts": [("code", 0, 4), ("value", 4, 10), ("unit", 10, 18), ("flag", 18, 30)],
    "line": 1,
    "lines": True,
}


def test_results_below_headings_belong_to_their_heading() -> None:
    layout = stored("head", BELOW, repeat=A_LINE, starts="#S", quiet=["---"])
    reading = replay(TICKETS.encode(), None, layout)
    assert [one[:5] for one in facts(reading)] == [
        ("4711", "WBC", "6.1", "10^9/L", ("H",)), ("4711", "RBC", "4.5", "10^12/L", ()), ("4712", "WBC", "7.2", "10^9/L", ()),
    ]  # fmt: skip
    assert codes(reading) == []
    assert [len(lines) for lines in telegrams(TICKETS.encode(), "head", None, "#S")] == [4, 2]


@pytest.mark.parametrize("damaged", [TICKETS.replace("#S 4712 2026\n", "?S 4712 2026\n"), TICKETS.replace("#S 4712 2026\n", "")])
def test_a_heading_that_was_damaged_or_lost_gives_its_results_to_nobody(damaged: str) -> None:
    reading = replay(damaged.encode(), None, stored("head", BELOW, repeat=A_LINE, starts="#S", quiet=["---"]))
    assert [one[:3] for one in facts(reading) if one[1] in ("WBC", "RBC")] == [("4711", "WBC", "6.1"), ("4711", "RBC", "4.5")]
    assert "specimen.uncertain" in codes(reading) and "layout.left" in codes(reading), "and that is said, with the text"


def test_what_stands_before_the_first_heading_is_nobodys() -> None:
    reading = replay(b" WBC   6.1 10^9/L\n" + TICKETS.encode(), None, stored("head", BELOW, repeat=A_LINE, starts="#S", quiet=["---"]))
    assert (len(facts(reading)), codes(reading)) == (3, ["frame.stray"])


def test_checksums_and_control_material() -> None:
    marks = [*COLUMNS, {"role": "qc", "start": 41, "end": 42, "text": "Q"}]
    body = (ONE + "Q").encode()
    right = b"%02X" % (sum(body) & 0xFF)
    reading = replay(b"\x02" + body + right + b"\x03", None, stored("stx", marks, checksum="sum"))
    assert (reading.messages[0].kind, codes(reading)) == ("qc", [])
    wrong = replay(b"\x02" + body + b"00\x03", None, stored("stx", marks, checksum="sum"))
    assert codes(wrong) == ["layout.checksum"]


@pytest.mark.parametrize(
    ("telegram", "marks", "more", "word"),
    [
        ("card", COLUMNS, {}, "card"),
        ("line", [{"role": "specimen", "start": 0, "end": 4}], {}, "结果值"),
        ("line", [{"role": "value", "start": 0, "end": 4}], {}, "项目代码"),
        ("line", [{"role": "value", "start": 4, "end": 4, "code": "K"}], {}, "起止"),
        ("line", [{"role": "colour", "start": 4, "end": 5, "code": "K"}], {}, "colour"),
        ("length", COLUMNS, {}, "字符数"),
        ("line", [{"rule": "value"}], {}, "rule"),
        ("head", COLUMNS, {}, "表头行"),
        ("line", [*COLUMNS, {"role": "specimen", "start": 50, "end": 60}], {}, "不止一处"),
        ("line", [], {"repeat": {"start": 0, "width": 4, "parts": [("value", 2, 6)]}}, "宽"),
    ],
)
def test_a_wrong_description_is_named(telegram: str, marks: list[dict[str, object]], more: dict[str, object], word: str) -> None:
    with pytest.raises(UserError, match=word):
        describe(telegram, marks, **more)  # type: ignore[arg-type]


def test_site_differences_need_no_driver_of_their_own() -> None:
    data = b"H|\\^&|||Acme\rP|1|P1||PAT9\rO|1|SEQ1^B77|R2|^^^G|R\rR|1|^^^G|5.1\rL|1|N\r"
    site = {"specimen": [["O", 3, 2]], "patient": [["P", 5, 1]], "codes": {"G": "GLU"}, "units": {"GLU": "mmol/L"}, "qc_prefix": "B77"}
    reading = replay(data, None, site)
    assert facts(reading) == [("B77", "GLU", "5.1", "mmol/L", (), None)]
    assert (reading.messages[0].kind, reading.messages[0].specimens[0].patient_id, reading.driver) == ("qc", "PAT9", None)
    hl7 = b"MSH|^~\\&|A|B|||2026||ORU^R01|1|P|2.3.1\rPID|1|P1|P2\rOBR|1|O1|O2^X9|t\rOBX|1|NM|G||5.1\r"
    overlaid = replay(hl7, None, {"specimen": [["OBR", 3, 2]], "patient": [["PID", 2, 1]], "encoding": "gb18030"})
    assert (overlaid.messages[0].specimens[0].specimen_id, overlaid.messages[0].specimens[0].patient_id) == ("X9", "P1")


def test_a_site_lies_over_the_named_driver() -> None:
    data = (FOLDER / "sysmex_xn.bin").read_bytes()
    before, after = replay(data, "sysmex_xn"), replay(data, "sysmex_xn", {"codes": {"WBC": "白细胞"}})
    assert after.driver == before.driver == "sysmex_xn"
    assert [one[1] for one in facts(after)] == ["白细胞" if one[1] == "WBC" else one[1] for one in facts(before)]


def test_a_wrong_site_is_named() -> None:
    for site, word in (({"colour": 1}, "colour"), ({"specimen": [["O", "x", 1]]}, "写法"), ({"reply": {"tune": 1}}, "tune")):
        with pytest.raises(UserError, match=word):
            replay(b"", None, site)


def test_proposals_begin_with_the_recognised_model() -> None:
    best, *others = propose((FOLDER / "sysmex_xn.bin").read_bytes())
    assert (best.driver, best.recognised, best.unplaced) == ("sysmex_xn", True, 0)
    assert all(one.rank <= best.rank for one in others)


def test_an_unknown_positional_recording_gets_columns_to_confirm() -> None:
    data = b"\x02  1 2026-01-05 08:12 S2600123  WBC  6.21 RBC 4.55\x03\x02  2 2026-01-05 08:13 S2600124  WBC  7.00 RBC 4.15\x03"
    best = propose(data)[0]
    stored_row = json.loads(json.dumps(best.site))
    assert facts(replay(data, None, stored_row)) == [
        ("S2600123", "WBC", "6.21", None, (), "2026-01-05 08:12"),
        ("S2600123", "RBC", "4.55", None, (), "2026-01-05 08:12"),
        ("S2600124", "WBC", "7.00", None, (), "2026-01-05 08:13"),
        ("S2600124", "RBC", "4.15", None, (), "2026-01-05 08:13"),
    ]
    assert telegrams(data)[1] == ["  2 2026-01-05 08:13 S2600124  WBC  7.00 RBC 4.15"]


LIST = b"""Sample      Date       Na     K     Cl
--------------------------------------
B26000001  05/01/26   140   4.1   99
B26000002  05/01/26    98   3.9   97 L
B26000003  05/01/26  1141  12.6  ----
Printed by the night shift
B26000004  05/01/26   139   4.0
"""


def test_the_columns_of_a_list_are_guessed_by_all_its_lines() -> None:
    reading = replay(LIST, None, propose(LIST)[0].site)
    assert facts(reading) == [
        ("B26000001", "Na", "140", None, (), "05/01/26"),
        ("B26000001", "K", "4.1", None, (), "05/01/26"),
        ("B26000001", "Cl", "99", None, (), "05/01/26"),
        ("B26000002", "Na", "98", None, (), "05/01/26"),
        ("B26000002", "K", "3.9", None, (), "05/01/26"),
        ("B26000002", "Cl", "97", None, ("L",), "05/01/26"),
        ("B26000003", "Na", "1141", None, (), "05/01/26"),
        ("B26000003", "K", "12.6", None, (), "05/01/26"),
        ("B26000003", "Cl", "----", None, (), "05/01/26"),
    ]
    assert [problem.code for problem in reading.problems] == ["message.cut", "message.cut"], reading.problems


def test_a_column_that_ends_at_one_place_takes_wider_numbers_than_were_seen() -> None:
    layout = propose(LIST)[0].site
    later = replay(b"B26000009  05/01/26 12345 100.6   99\n", None, layout)
    assert [(code, value) for _, code, value, *_ in facts(later)] == [("Na", "12345"), ("K", "100.6"), ("Cl", "99")]


def test_a_heading_names_the_fields_of_a_separated_file() -> None:
    head = "标本号;日期;姓名;GLU;单位;UREA\n"
    rows = "26010500001;2026-01-05 08:00;王小明;5.6;mmol/L;4.1\n26010500002;2026-01-05 08:01;李四;>30.0;mmol/L;\n"
    data = (head + rows + "total;2\n").encode()
    assert [(who, code, value, unit) for who, code, value, unit, *_ in facts(replay(data, None, propose(data)[0].site))] == [
        ("26010500001", "GLU", "5.6", "mmol/L"),
        ("26010500001", "UREA", "4.1", None),
        ("26010500002", "GLU", ">30.0", "mmol/L"),
        ("26010500002", "UREA", None, None),
    ]


def test_tickets_of_several_lines_are_guessed_by_all_of_them() -> None:
    ticket = "\x02ID: {}\rNa  {:>5} mmol/L\rK   {:>5} mmol/L\r\x03"
    data = (ticket.format("1234567", "98", "4.1") + ticket.format("1234568", "140", "13.1")).encode()
    assert [row[:4] for row in facts(replay(data, None, propose(data)[0].site))] == [
        ("1234567", "Na", "98", "mmol/L"),
        ("1234567", "K", "4.1", "mmol/L"),
        ("1234568", "Na", "140", "mmol/L"),
        ("1234568", "K", "13.1", "mmol/L"),
    ]


@pytest.mark.parametrize("head", ["标本号,项目,结果,单位,标志\n", ""])
def test_a_result_a_line_is_guessed_with_its_code(head: str) -> None:
    rows = [
        ("26010500001", "GLU", "5.6", "mmol/L", ""),
        ("26010500001", "UREA", "14.1", "mmol/L", "H"),
        ("26010500002", "K", "4.0", "mmol/L", ""),
    ]
    data = (head + "".join(",".join(row) + "\n" for row in rows)).encode()
    found = [(who, code, value, unit, flags) for who, code, value, unit, flags, *_ in facts(replay(data, None, propose(data)[0].site))]
    assert found == [(who, code, value, unit, (flag,) if flag else ()) for who, code, value, unit, flag in rows]


def test_a_result_a_line_in_columns() -> None:
    data = b"B2600001  GLU     5.6 mmol/L\nB2600001  UREA   14.1 mmol/L\nB2600002  K     104.0 mmol/L\n"
    assert [row[:4] for row in facts(replay(data, None, propose(data)[0].site))] == [
        ("B2600001", "GLU", "5.6", "mmol/L"),
        ("B2600001", "UREA", "14.1", "mmol/L"),
        ("B2600002", "K", "104.0", "mmol/L"),
    ]


def test_proposals_never_raise() -> None:
    for data in (b"", b"\x02", b"\x02\x03", b"\xff" * 40, b"1,2,3,4", b"a;b;c;d;5"):
        propose(data)
