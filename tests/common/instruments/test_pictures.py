"""Graphs beside results: what is drawn is what was sent, and what cannot be read is said."""

from __future__ import annotations

import base64
import os
import struct
import zlib
from pathlib import Path

import pytest

from common.instruments.decode import decode
from common.instruments.pictures import Picture, is_picture, of_result, pictures
from common.instruments.reading import Result

BMP = b"BM" + bytes(60)


def oru(value: str) -> bytes:
    lines = ["MSH|^~\\&|X|Y|||20260504100000||ORU^R01|1|P|2.3.1", "PID|1", "OBR|1||T1|A", f"OBX|1|ED|15008^WBC Histogram||{value}||||||F"]
    return ("\r".join(lines) + "\r").encode()


def m_record(values: list[float], kind: str = "HISTOGRAM") -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = base64.b64encode(packer.compress(struct.pack(f"<{len(values)}f", *values)) + packer.flush()).decode()
    lines = ["H|\\^&|||X|||||||P|1", "P|1", "O|1|T1||^^^DIF|R", f"M|1|{kind}|RBC|Res|FLOATLE-stream/deflate:base64^{data}", "L|1|N"]
    return ("\r".join(lines) + "\r").encode()


def test_a_picture_of_hl7_is_the_file_that_was_sent() -> None:
    [found] = pictures(decode(oru("^Image^BMP^Base64^" + base64.b64encode(BMP).decode())))
    assert (found.specimen_id, found.title, found.media, found.data) == ("T1", "WBC Histogram", "image/bmp", BMP)


def test_one_byte_a_bar_is_a_curve() -> None:
    [found] = pictures(decode(oru("^Application^Octet-stream^Base64^" + base64.b64encode(bytes(range(10, 74))).decode())))
    assert found.points[0] == (0.0, 10.0) and found.points[-1] == (63.0, 73.0) and found.path(10, 10).startswith("M0.0")


@pytest.mark.parametrize("data", ["", "%%%", "AAAA"])
def test_what_is_no_picture_is_said(data: str) -> None:
    [found] = pictures(decode(oru(f"^Image^BMP^Base64^{data}")))
    assert found.problem and not found.data and not found.points


def test_a_histogram_of_an_m_record_has_its_axes_taken_off() -> None:
    head = [0.0, 30.0, 0.0, 9.0, 2.0, 10.0, 20.0, 0.0, 2.0, 3.0]
    [found] = pictures(decode(m_record([*head, 1.0, 2.0, 3.0, 7.0, 8.0, 9.0])))
    assert found == Picture("T1", "RBC Res", points=((1.0, 7.0), (2.0, 8.0), (3.0, 9.0)))
    assert found.box() == (1.0, 3.0, 0.0, 9.0)


@pytest.mark.parametrize("values", [[0.0], [0.0, 30.0, 0.0, 9.0, 0.0, 0.0, 2.0, 9.0, 1.0], [0.0, 1.0, 0.0, 1.0, 1e9, 0.0]])
def test_counts_that_do_not_agree_draw_nothing(values: list[float]) -> None:
    [found] = pictures(decode(m_record(values)))
    assert found.problem and not found.points


def test_a_matrix_is_single_events() -> None:
    [found] = pictures(decode(m_record([0.0, 9.0, 0.0, 9.0, 0.0, 0.0, 3.0, 2.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "MATRIX")))
    assert found.scatter and found.points == ((1.0, 3.0), (2.0, 4.0)) and found.path(10, 10).count("M") == 2


def test_the_recorded_cell_counter_draws_its_three_graphs() -> None:
    folder = Path(os.environ.get("JIANLIAN_SHARED", Path(__file__).parents[4] / "shared"))
    file = folder / "captures" / "horiba_yumizen-h500_astm_qc-histogram.txt"
    if not file.exists():
        pytest.skip("the shared captures are not here")
    found = pictures(decode(file.read_bytes()))
    assert [(p.title, len(p.points), p.scatter) for p in found] == [
        ("RBC/PLT RbcAlongRes", 254, False), ("RBC/PLT PltAlongRes", 255, False), ("LMNE LMNEResAbs", 5383, True),
    ]  # fmt: skip


def test_a_plain_value_is_no_picture() -> None:
    assert not is_picture(None) and not is_picture("5.6") and not is_picture("A^B^C^D^E") and is_picture("^Image^BMP^Base64^x")


def result(value: str, aspect: str = "ST") -> Picture | None:
    return of_result(Result("HIST", value, aspect=aspect), "T1")


PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60) + b"IEND\xaeB`\x82").decode()


@pytest.mark.parametrize(
    "value",
    [PNG, f"^Image^PNG^Base64^{PNG}", f"^Image^PNG^BASE64^{PNG}", base64.b64decode(PNG).hex(), f"^I^P^Hex^{base64.b64decode(PNG).hex()}"],
)
def test_a_picture_is_found_in_every_dress(value: str) -> None:
    found = result(value)
    assert found is not None and (found.media, found.data, found.problem) == ("image/png", base64.b64decode(PNG), "")


@pytest.mark.parametrize("gap", [",", ";", " ", "^", "~"])
def test_a_curve_sent_point_by_point_is_drawn(gap: str) -> None:
    found = result(gap.join(str(n / 2) for n in range(40)))
    assert found is not None and found.points[:2] == ((0.0, 0.0), (1.0, 0.5)) and len(found.points) == 40


@pytest.mark.parametrize(
    "value", ["PNG&R&20260504&R&2026_05_04_10_00_T1_WDF.PNG", "\\\\PC\\IMG\\T1_WDF.bmp", "C:/IMG/T1_WDF.jpg^App^Image^JPEG"]
)
def test_a_file_that_stayed_at_the_analyzer_is_named(value: str) -> None:
    found = result(value)
    assert found is not None and found.elsewhere and "T1_WDF." in found.problem and "IMG" not in found.problem


def test_a_cut_picture_says_so_and_is_kept() -> None:
    found = result(f"^Image^PNG^Base64^{PNG[:60]}")
    assert found is not None and found.data and "不完整" in found.problem


@pytest.mark.parametrize(
    "value",
    ["5.60", "Qk", "Qk1A", "1:320", "1,2,3", "E. coli", "^^^", "< 0.5 ^ x", "12.5.2026 negativ", "见备注 report.pdf", "424D", "1 " * 10],
)
def test_a_result_is_no_picture(value: str) -> None:
    assert result(value) is None and not is_picture(value)
