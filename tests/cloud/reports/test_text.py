"""Printed text: local time, units, cleaning; the documents' stored form; fonts."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.reports.documents import Amendment, Change, ReportImage, canonical_json, report_from_json, to_json
from cloud.reports.fonts import default_fonts, find_fonts
from cloud.reports.text import clean, local, unit_parts, unit_text, written
from common.errors import UserError
from tests.cloud.reports import samples


def test_times_are_shown_in_shanghai() -> None:
    moment = datetime(2026, 12, 31, 16, 5, 9, tzinfo=UTC)
    assert local(moment) == "2027-01-01 00:05"
    assert local(moment, seconds=True) == "2027-01-01 00:05:09"
    assert local(None) == ""
    with pytest.raises(ValueError):
        local(datetime(2026, 1, 1))  # noqa: DTZ001 - the fault under test


@pytest.mark.parametrize("unit", ["10^9/L", "10*9/L", "×10⁹/L", "10⁹/L", "×10^9/L", "x10^9/L", "X10*9/L"])
def test_powers_of_ten_read_alike_however_they_are_spelled(unit: str) -> None:
    assert unit_parts(unit) == (("", "×10"), ("sup", "9"), ("", "/L"))


def test_other_units() -> None:
    assert unit_parts("") == ()
    assert unit_parts("mmol/L") == (("", "mmol/L"),)
    assert unit_parts("10^-3") == (("", "×10"), ("sup", "−3"))
    assert unit_parts("mL/min/1.73m²") == (("", "mL/min/1.73m"), ("sup", "2"))
    assert unit_parts("pCO₂") == (("", "pCO"), ("sub", "2"))
    assert unit_parts("10 mg/L") == (("", "10 mg/L"),)


@given(st.text())
def test_clean_text_has_no_control_character_and_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert not [char for char in once if char != "\n" and (ord(char) < 32 or 127 <= ord(char) < 160)]


def test_line_ends_become_one_kind() -> None:
    assert clean("a\r\nb\rc\td\x07") == "a\nb\nc d"


def test_a_stored_report_comes_back_equal_and_its_bytes_are_one() -> None:
    document = replace(
        samples.report(3),
        images=(ReportImage("图", b"\x00\xff"),),
        comments=("一", "二"),
        version=2,
        amendment=Amendment(samples.report().reported_at, "录入", (Change("钾", "1", "2"),)),
    )
    stored = json.loads(json.dumps(to_json(document)))
    assert report_from_json(stored) == document
    assert canonical_json(report_from_json(stored)) == canonical_json(document)
    assert canonical_json(replace(document, age="46岁")) != canonical_json(document)
    assert canonical_json(document).decode().startswith('{"accreditation_no":')
    bare = to_json(samples.report(0))
    assert report_from_json(bare) == samples.report(0)


def test_the_same_moment_in_another_zone_gives_the_same_bytes() -> None:
    moved = replace(samples.report(1), reported_at=samples.report().reported_at.astimezone())
    assert canonical_json(moved) == canonical_json(samples.report(1))


def test_rare_characters_of_names_are_in_the_faces() -> None:
    assert default_fonts().missing(["张伟阿·" + samples.RARE_NAME + "㐱𦙶𫖮𫍯"]) == []


def test_every_sign_a_report_needs_is_drawn() -> None:
    assert default_fonts().missing(["↑↓危*±≤≥<>–—−×÷·•％%‰℃µμαβγδΔ①⑳◆※→／（）【】“”、。²³₂⁹⁻"]) == []


def test_missing_characters_are_listed_once_in_order() -> None:
    assert default_fonts().missing(["好\ue001坏\ue000", "\ue001"]) == ["\ue001", "\ue000"]


def test_widths_are_those_of_the_faces() -> None:
    some = default_fonts()
    assert some.width("检验") == pytest.approx(2.0)
    assert some.width("0000") == pytest.approx(4 * some.width("1"))
    assert 0 < some.width("i") < some.width("m") < 1
    assert some.width("a", bold=True) != some.width("a")
    assert some.width("") == 0


def test_a_machine_without_the_faces_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.reports.fonts._PLACES", (str(tmp_path),))
    with pytest.raises(UserError, match="fonts-noto-cjk"):
        find_fonts()
    (tmp_path / "NotoSansCJK-Regular.ttc").touch()
    with pytest.raises(UserError):
        find_fonts()


def test_only_the_renderer_imports_typst() -> None:
    """Typst maps 80 MB: a web process that builds a document or a payload must not pull it in."""
    names = "cloud.reports." + ", cloud.reports.".join(("documents", "text", "payload", "fonts", "drawings", "raster"))
    script = f"import sys; import {names}, cloud.ports.printing, cloud.ports.s3; sys.exit('typst' in sys.modules or 'boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("3.1 10^9/L", "3.1 ×10⁹/L"),
        ("5.1×10^12/L", "5.1×10¹²/L"),
        ("5.1x10*9/L", "5.1×10⁹/L"),
        ("5.1 X10^9/L", "5.1 ×10⁹/L"),
        ("3.2 ×10⁹/L", "3.2 ×10⁹/L"),
        # A power that is a number itself is not multiplied.
        ("≥10^5 CFU/mL", "≥10⁵ CFU/mL"),
        ("菌落 10^5/mL", "菌落 10⁵/mL"),
        ("110^9/L", "110^9/L"),
        ("10^9", "10^9"),
        ("12 umol/L；5 uL", "12 μmol/L；5 uL"),
        ("Fungi；bug/L；GUL", "Fungi；bug/L；GUL"),
    ],
)
def test_units_inside_a_text_are_written_as_people_do(text: str, wanted: str) -> None:
    assert written(text) == wanted and written(wanted) == wanted


def test_a_unit_as_one_text() -> None:
    assert [unit_text(u) for u in ("10^9/L", "x10*12/L", "umol/L", "")] == ["×10⁹/L", "×10¹²/L", "μmol/L", ""]
