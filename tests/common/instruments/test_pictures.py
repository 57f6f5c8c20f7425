"""Graphs beside results: what is drawn is what was sent, and what cannot be read is said."""

from __future__ import annotations

import base64
import os
import struct
import zlib
from pathlib import Path

import pytest

from common.instruments.decode import decode
from common.instruments.pictures import Picture, is_picture, pictures

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
