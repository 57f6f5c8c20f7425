"""Breakpoints: which row counts, what it says of a MIC or a zone, what a laboratory cannot save. Figures are invented or those of AC-MB."""

from datetime import date
from decimal import Decimal

import pytest

from cloud.modules.catalog.breakpoints import choose, dilution, in_force, interpret, problems, rounded_up
from cloud.modules.catalog.rows import BreakpointRow, BreakpointSetRow

D = Decimal


def row(id: int = 1, level: str = "species", organism: str = "E. coli", **more: object) -> BreakpointRow:
    given = {"drug": "TZP", "method": "mic", "site": "", "s": None, "sdd": None, "r": None} | more
    limits = {name: None if given[name] is None else D(str(given[name])) for name in ("s", "sdd", "r")}
    plain = {name: str(given[name]) for name in ("drug", "method", "site")}
    return BreakpointRow(
        id=id, set_id=1, level=level, organism=organism, drug_name="", disk_ug=None, route="", note="", placeholder=False, **plain, **limits
    )


OLD, NEW, CEF, CIP = row(s=16, r=128), row(s=8, sdd=16, r=32), row(s=2, sdd=8, r=16), row(s="0.25", r=1)


@pytest.mark.parametrize(
    ("breakpoint", "value", "comparator", "said"),
    [
        (OLD, "16", "", "S"),  # AC-MB-1
        (NEW, "16", "", "SDD"),
        (OLD, "32", "", "I"),
        (NEW, "32", "", "R"),
        (CEF, "2", "", "S"),  # AC-MB-2
        (CEF, "4", "", "SDD"),
        (CEF, "8", "", "SDD"),
        (CEF, "16", "", "R"),
        (CEF, "1.5", "", "S"),
        (CEF, "3", "", "SDD"),
        (CIP, "0.25", "≤", "S"),  # AC-MB-3
        (CIP, "0.5", "", "I"),
        (CIP, "2", ">", "R"),
        (CIP, "0.5", "≤", None),  # below 0.5 may be S or I: a person says
        (CIP, "0.25", ">", "I"),  # the next doubling, 0.5
        (row(s=8), "16", "", None),  # only "susceptible" is defined
        (row(s=8), "8", "", "S"),
        # At least so much: resistant where that is, else it may be anything above.
        *((CEF, "16", "≥", "R"), (CEF, "32", ">=", "R"), (CEF, "8", "≥", None), (CEF, "2", ">=", None), (row(s=8), "8", "≥", None)),
        *((row(r=4), "4", "", "R"), (row(r=4), "2", "", "I"), (row(r=4), "1", "≤", None)),
        (row(s=2, sdd=4, r=16), "8", "", "I"),  # beyond what a higher dose reaches
        (row(s=512, r=2048), "1024", ">", "I"),  # the scale ends there
        (row(s=1, r=4), "1", ">", "I"),  # the next doubling and no more
    ],
)
def test_a_mic_is_read_by_its_breakpoint(breakpoint: BreakpointRow, value: str, comparator: str, said: str | None) -> None:
    assert interpret(breakpoint, "CLSI", D(value), comparator) == said


@pytest.mark.parametrize(
    ("standard", "mm", "said"),
    [("CLSI", "21", "S"), ("CLSI", "20", "I"), ("CLSI", "15", "I"), ("CLSI", "14", "R"), ("EUCAST", "14", "I"), ("EUCAST", "13", "R")],
)
def test_a_zone_is_read_the_other_way_round(standard: str, mm: str, said: str) -> None:
    assert interpret(row(method="disk", s=21, r=14), standard, D(mm)) == said


@pytest.mark.parametrize(("mm", "said"), [("18", "S"), ("17", "SDD"), ("15", "SDD"), ("14", "I"), ("13", "I"), ("12", "R")])
def test_a_zone_that_a_higher_dose_reaches(mm: str, said: str) -> None:
    assert interpret(row(method="disk", s=18, sdd=15, r=12), "CLSI", D(mm)) == said


@pytest.mark.parametrize(
    ("limits", "mm", "said"), [({"s": 18}, "18", "S"), ({"s": 18}, "17", None), ({"r": 12}, "12", "R"), ({"r": 12}, "13", "I")]
)
def test_a_zone_with_one_limit(limits: dict[str, int], mm: str, said: str | None) -> None:
    assert interpret(row(method="disk", **limits), "CLSI", D(mm)) == said


@pytest.mark.parametrize(("mm", "fine"), [(6, True), (5, False), (50, True), (51, False)])
def test_a_zone_lies_between_the_disk_and_the_next_one(mm: int, fine: bool) -> None:
    assert bool(problems("disk", "CLSI", D(mm), None, None)) is not fine


def test_eucast_calls_resistant_only_what_lies_beyond() -> None:
    same = row(s=8, r=8)
    assert [interpret(same, "EUCAST", D(v)) for v in ("8", "16")] == ["S", "R"] and interpret(row(s=4, r=8), "EUCAST", D(8)) == "I"


def test_the_narrowest_name_and_the_site_come_first() -> None:
    group, genus, species = row(1, "group", "Enterobacterales"), row(2, "genus", "Escherichia"), row(3)
    urine = row(4, "group", "Enterobacterales", site="尿")
    names = ("E. coli", "", "Escherichia", "Enterobacterales")
    rows = [group, genus, species, urine]
    assert choose(rows, names, "TZP", "mic") is species
    assert choose([group, genus, urine], names, "TZP", "mic", "尿") is genus, "the name before the site"
    assert choose([group, urine], names, "TZP", "mic", "尿") is urine and choose([group, urine], names, "TZP", "mic") is group
    assert choose(rows, ("K. oxytoca", "", "Klebsiella", ""), "TZP", "mic") is None, "no breakpoint: a value without a category"
    assert choose(rows, names, "TZP", "disk") is None and choose(rows, names, "FEP", "mic") is None


def test_the_edition_of_the_day() -> None:
    def edition(id: int, year: int, from_: date, active: bool = True) -> BreakpointSetRow:
        return BreakpointSetRow(id, "CLSI", year, from_, "", False, active)

    sets = [edition(1, 2024, date(2024, 3, 1)), edition(2, 2026, date(2026, 3, 1)), edition(3, 2027, date(2026, 4, 1), active=False)]
    days = [in_force(sets, each) for each in (date(2024, 2, 29), date(2026, 2, 28), date(2026, 3, 1), date(2027, 1, 1))]
    assert [None if each is None else each.edition for each in days] == [None, 2024, 2026, 2026]


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        ("0.06", "0.0625"),
        ("0.12", "0.125"),
        ("0.03", "0.03125"),
        ("0.015", "0.015625"),
        ("0.25", "0.25"),
        ("1024", "1024"),
        ("20", None),
        ("3", None),
    ],
)
def test_dilutions_are_written_short(written: str, exact: str | None) -> None:
    assert dilution(D(written)) == (None if exact is None else D(exact))


def test_between_two_dilutions_the_higher_counts() -> None:
    assert [rounded_up(D(v)) for v in ("1.5", "0.06", "0.07", "2000")] == [D(2), D("0.0625"), D("0.125"), D(1024)]


@pytest.mark.parametrize(
    ("method", "standard", "limits", "words"),
    [
        ("mic", "CLSI", (None, None, None), "敏感和耐药界限至少填写一项"),
        ("mic", "CLSI", ("3", None, "8"), "MIC 3 不是倍比稀释值"),
        ("mic", "CLSI", ("16", None, "8"), "敏感 < 剂量依赖 < 耐药"),
        ("mic", "CLSI", ("8", "4", "16"), "次序不对"),
        ("mic", "CLSI", ("8", None, "8"), "次序不对"),
        ("disk", "CLSI", ("14", None, "21"), "耐药 < 剂量依赖 < 敏感"),
        ("disk", "CLSI", ("5", None, None), "抑菌圈 5 mm 不在 6–50 mm 之间"),
        ("disk", "CLSI", ("51", None, "14"), "抑菌圈 51 mm 不在 6–50 mm 之间"),
        ("mic", "EUCAST", ("4", "8", "16"), "EUCAST 没有剂量依赖"),
    ],
)
def test_what_cannot_be_breakpoints(method: str, standard: str, limits: tuple[str | None, ...], words: str) -> None:
    s, sdd, r = (None if each is None else D(each) for each in limits)
    assert any(words in each for each in problems(method, standard, s, sdd, r))


def test_good_figures_pass() -> None:
    assert not problems("mic", "CLSI", D(2), D(8), D(16)) and not problems("mic", "EUCAST", D(8), None, D(8))
    assert not problems("disk", "CLSI", D(21), None, D(14)) and not problems("mic", "CLSI", D("0.12"), None, None)
