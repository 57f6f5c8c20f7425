"""Tube labels, read back from PDF, ZPL and TSPL."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from PIL import Image

from cloud.reports.documents import LabelDocument
from cloud.reports.drawings import code128_modules, module_dots
from cloud.reports.fonts import default_fonts
from cloud.reports.labels import HEIGHT, WIDTH, tspl, zpl
from cloud.reports.payload import item_lines
from cloud.reports.raster import Bitmap, from_png, to_zpl_graphic
from cloud.reports.renderer import Renderer
from common.errors import UserError
from tests.cloud.reports import samples
from tests.cloud.reports.reading import codes, draw_bars, fonts, heights, pictures, texts, zpl_picture

CODES = ["126326000422", "A2026112200017", "HIS-00000042", "9"]


def test_the_label_shows_what_m05_asks_for(renderer: Renderer) -> None:
    (page,) = texts(renderer.label(samples.label()))
    for word in (
        "张伟",
        "男",
        "45岁",
        "急",
        "1/2",
        "呼吸内科12床",
        "MZ20261122001",
        "126326000422",
        "静脉血紫帽",
        "2ml",
        "血细胞分析CRP",
        "11-2208:31",
    ):
        assert word in page, word
    assert "急" not in texts(renderer.label(replace(samples.label(), urgent=False)))[0]


def test_the_label_is_one_page_of_50_by_30_mm_in_our_faces(renderer: Renderer) -> None:
    pdf = renderer.label(replace(samples.label(), patient_name=samples.RARE_NAME))
    (picture,) = pictures(pdf, 254)
    assert (abs(picture.width - 500) <= 1, abs(picture.height - 300) <= 1) == (True, True)
    assert {name.split("-")[0] for name in fonts(pdf)} == {"NotoSansCJKsc"}
    assert samples.RARE_NAME in texts(pdf)[0]
    assert renderer.label(replace(samples.label(), patient_name=samples.RARE_NAME)) == pdf


def test_labels_of_one_drawing_are_a_page_each_in_order(renderer: Renderer) -> None:
    drawing = [replace(samples.label(), number=k, total=3, barcode=code) for k, code in enumerate(CODES[:3], start=1)]
    pdf = renderer.labels(drawing)
    assert [next(part for part in ("1/3", "2/3", "3/3") if part in page) for page in texts(pdf)] == ["1/3", "2/3", "3/3"]
    assert [{text for _, text in codes(picture)} for picture in pictures(pdf, 300)] == [{code} for code in CODES[:3]]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("dpi", [203, 300, 600])
def test_a_scanner_reads_the_label_of_a_pdf(renderer: Renderer, code: str, dpi: int) -> None:
    (picture,) = pictures(renderer.label(replace(samples.label(), barcode=code)), dpi)
    assert {text for _, text in codes(picture)} == {code}


@pytest.mark.parametrize("code", CODES)
def test_a_scanner_reads_the_label_of_a_zpl_printer(renderer: Renderer, code: str) -> None:
    picture, bars = zpl_picture(zpl(replace(samples.label(), barcode=code), renderer))
    assert picture.size == (WIDTH, HEIGHT)
    assert bars["code"] == code
    band = (0, int(bars["top"]), WIDTH, int(bars["top"]) + int(bars["height"]))
    assert picture.crop(band).getextrema() == (255, 255), "the printer's bars must fall on white"
    draw_bars(picture, code128_modules(code), int(bars["left"]), int(bars["top"]), int(bars["dots"]), int(bars["height"]))
    assert {text for _, text in codes(picture)} == {code}
    assert int(bars["left"]) >= 10 * int(bars["dots"]), "quiet zone"


def test_the_zpl_picture_is_the_page_of_the_pdf(renderer: Renderer) -> None:
    """Dot for dot alike but for the bars, so what is true of the one (rare characters) is true of the other."""
    document = replace(samples.label(), patient_name=samples.RARE_NAME)
    picture, bars = zpl_picture(zpl(document, renderer))
    (page,) = [each.resize((WIDTH, HEIGHT)) for each in pictures(renderer.label(document), 203.2)]
    top, end = int(bars["top"]), int(bars["top"]) + int(bars["height"])
    for image in (picture, page):
        image.paste(255, (0, top, WIDTH, end))
    sharp = page.point([0] * 150 + [255] * 106)
    differing = sum(a != b for a, b in zip(picture.tobytes(), sharp.tobytes(), strict=True))
    black = picture.tobytes().count(0)
    assert black > 3000 and differing < black * 0.25
    other, _ = zpl_picture(zpl(samples.label(), renderer))
    assert other.crop((0, 0, 200, 40)).tobytes() != picture.crop((0, 0, 200, 40)).tobytes()


def test_zpl_is_ascii_commands_in_order(renderer: Renderer) -> None:
    job = zpl(samples.label(), renderer, copies=2).decode("ascii")
    assert re.findall(r"\^(XA|PW|LL|GFA|BY|BCN|FD|PQ|XZ)", job) == ["XA", "PW", "LL", "GFA", "BY", "BCN", "FD", "PQ", "XZ"]
    assert "^PW400^LL240" in job and "^PQ2" in job and "~" not in job


def test_signs_of_zpl_in_a_foreign_code_stay_data(renderer: Renderer) -> None:
    _, bars = zpl_picture(zpl(replace(samples.label(), barcode="A^B~C_1"), renderer))
    assert bars["code"] == "A^B~C_1"


def test_tspl_holds_the_same_dots_and_the_code(renderer: Renderer) -> None:
    job = tspl(samples.label(), renderer, copies=3)
    head, _, rest = job.partition(b"BITMAP 0,0,50,240,0,")
    assert head == b"SIZE 50 mm,30 mm\r\nGAP 2 mm,0 mm\r\nDIRECTION 1\r\nCLS\r\n"
    picture, _ = zpl_picture(zpl(samples.label(), renderer))
    assert Image.frombytes("1", (WIDTH, HEIGHT), rest[:12000]).convert("L").tobytes() == picture.tobytes()
    assert rest[12000:] == b'\r\nBARCODE 48,68,"128",64,0,0,3,3,"126326000422"\r\nPRINT 1,3\r\n'


@pytest.mark.parametrize("code", ["", "条码", "A\n1", "X" * 40])
def test_a_code_that_cannot_be_printed_is_refused(renderer: Renderer, code: str) -> None:
    with pytest.raises(UserError):
        zpl(replace(samples.label(), barcode=code), renderer)


def test_bars_take_three_dots_where_they_fit_and_never_one() -> None:
    assert module_dots("126326000422", WIDTH) == 3
    assert module_dots("HIS-000000000042", WIDTH) == 2
    with pytest.raises(UserError) as caught:
        module_dots("H" * 30, WIDTH)
    assert caught.value.code == "barcode_long"


def test_items_fill_two_lines_and_the_rest_is_counted() -> None:
    some = default_fonts()
    assert item_lines((), some) == []
    assert item_lines(("血常规", "CRP"), some) == ["血常规 CRP"]
    many = tuple(f"项目{index:02d}" for index in range(40))
    lines = item_lines(many, some)
    shown = " ".join(lines).split(" ")
    assert len(lines) == 2
    assert shown[-1] == f"…+{40 - (len(shown) - 1)}"
    assert tuple(shown[:-1]) == many[: len(shown) - 1]
    assert item_lines(("长" * 60,), some) == ["…+1"]
    for count in range(1, 30):
        assert sum(line.count("项目") for line in item_lines(many[:count], some)) + _rest(item_lines(many[:count], some)) == count


def _rest(lines: list[str]) -> int:
    found = re.search(r"…\+(\d+)", " ".join(lines))
    return int(found[1]) if found else 0


def test_the_second_line_of_items_never_touches_the_print_time(renderer: Renderer) -> None:
    document = replace(samples.label(), items=tuple(f"检验项目{index:02d}" for index in range(20)))
    (picture,) = pictures(renderer.label(document), 203.2)
    without = replace(document, items=())
    (blank,) = pictures(renderer.label(without), 203.2)
    left = next(x for x in range(blank.width) if blank.crop((x, 215, x + 1, 240)).getextrema()[0] < 128)
    assert picture.crop((left - 5, 208, left - 1, 240)).getextrema()[0] > 200
    assert picture.crop((left, 212, 400, 240)).tobytes() == blank.crop((left, 212, 400, 240)).tobytes()


def test_long_names_and_wards_are_set_narrower_and_stay_on_the_label(renderer: Renderer) -> None:
    document: LabelDocument = replace(
        samples.label(), patient_name="阿卜杜拉·买买提·托合提如孜", department="心血管内科三病区重症监护室", patient_no="ZY2026112200123456"
    )
    pdf = renderer.label(document)
    assert "阿卜杜拉·买买提·托合提如孜男45岁" in texts(pdf)[0] and "心血管内科三病区重症监护室12床" in texts(pdf)[0]
    (picture,) = pictures(pdf, 203.2)
    assert picture.crop((392, 0, 400, 240)).getextrema()[0] > 200
    assert heights(pdf, "阿卜杜拉")[0] > heights(pdf, "心血管")[1] - 1


@pytest.mark.parametrize(("width", "height"), [(8, 1), (400, 7), (13, 5), (16, 40)])
def test_zpl_run_lengths_decode_to_the_same_dots(width: int, height: int) -> None:
    row_bytes = (width + 7) // 8
    for pattern in (b"\x00", b"\xff", b"\xf0\x0f\x00", b"\x12\x34\x56\x78\x9a", b"\x00\x00\x00\x01"):
        data = (pattern * (row_bytes * height))[: row_bytes * height]
        coded = to_zpl_graphic(Bitmap(width, height, data))
        picture, _ = zpl_picture(f"{coded}^FS^FO1,1^BY2^BCN,9,N,N,N,A^FH_^FDx^FS".encode())
        assert bytes(byte ^ 0xFF for byte in picture.convert("1").tobytes()) == data


def test_a_bitmap_is_black_where_the_page_is_and_white_beyond_its_edge() -> None:
    raw = io.BytesIO()
    page = Image.new("LA", (11, 2), (255, 0))
    page.putpixel((10, 1), (0, 255))
    page.putpixel((0, 0), (200, 255))
    page.save(raw, "PNG")
    bitmap = from_png(raw.getvalue())
    assert (bitmap.width, bitmap.height, bitmap.data) == (11, 2, b"\x00\x00\x00\x20")
