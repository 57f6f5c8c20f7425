"""Queue tickets, read back from PDF and ESC/POS."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud.reports.drawings import code128_modules
from cloud.reports.renderer import Renderer
from cloud.reports.tickets import WIDTH, escpos
from common.errors import UserError
from tests.cloud.reports import samples
from tests.cloud.reports.reading import codes, draw_bars, escpos_parts, fonts, pictures, texts


def test_the_ticket_shows_number_class_service_and_who_is_ahead(renderer: Renderer) -> None:
    (page,) = texts(renderer.ticket(samples.ticket()))
    for word in (
        "示例市第一人民医院",
        "N042",
        "普通",
        "采血排队号",
        "张*",
        "前面等候12人",
        "预计等候5–10分钟",
        "请到门诊二楼采血大厅候诊",
        "Q126326N00424",
    ):
        assert word in page, word
    assert "2026-11-2208:05:09" in page and "离线" not in page


def test_a_ticket_of_an_offline_kiosk_says_so(renderer: Renderer) -> None:
    (page,) = texts(renderer.ticket(replace(samples.ticket(), number="N800", offline=True)))
    assert "离线" in page and "本号有效" in page


def test_the_pdf_is_80_mm_wide_in_our_faces_and_scans(renderer: Renderer) -> None:
    pdf = renderer.ticket(replace(samples.ticket(), patient_name=samples.RARE_NAME))
    (picture,) = pictures(pdf, 254)
    assert abs(picture.width - 800) <= 1
    assert codes(pictures(pdf, 203)[0]) == {("Code128", "Q126326N00424")}
    assert {name.split("-")[0] for name in fonts(pdf)} == {"NotoSansCJKsc"}
    assert samples.RARE_NAME in texts(pdf)[0]


def test_the_number_is_the_largest_thing_on_the_ticket(renderer: Renderer) -> None:
    """At least 14 mm high: read at arm's length without glasses (ARCHITECTURE 6)."""
    pieces, _ = escpos_parts(escpos(samples.ticket(), renderer))
    rows = [any(value == 0 for value in pieces[0].crop((0, y, WIDTH, y + 1)).tobytes()) for y in range(pieces[0].height)]
    longest = run = 0
    for black in rows:
        run = run + 1 if black else 0
        longest = max(longest, run)
    assert longest >= 14 * 8


def test_escpos_is_picture_code_picture_cut(renderer: Renderer) -> None:
    job = escpos(samples.ticket(), renderer)
    pieces, bars = escpos_parts(job)
    assert [piece.width for piece in pieces] == [WIDTH] * len(pieces)
    assert bars["code"] == "{BQ126326N00424"
    assert 1 <= int(bars["before"]) < len(pieces)
    dots = int(bars["w"])
    modules = 11 * (len("Q126326N00424") + 2) + 13
    assert dots * (modules + 20) <= WIDTH and dots >= 2


def test_the_dots_of_the_ticket_with_its_bars_scan(renderer: Renderer) -> None:
    pieces, bars = escpos_parts(escpos(samples.ticket(), renderer))
    paper = pieces[0].crop((0, 0, WIDTH, 200))
    paper.paste(255, (0, 0, WIDTH, 200))
    draw_bars(paper, code128_modules(str(bars["code"])[2:]), 60, 40, int(bars["w"]), int(bars["h"]))
    assert codes(paper) == {("Code128", "Q126326N00424")}


def test_rare_characters_change_the_dots(renderer: Renderer) -> None:
    plain, rare = (escpos(replace(samples.ticket(), patient_name=name), renderer) for name in ("张*", "𠮷*"))
    assert plain != rare and len(plain) == len(rare)


def test_long_tickets_go_in_pieces_a_cheap_printer_can_hold(renderer: Renderer) -> None:
    pieces, _ = escpos_parts(escpos(replace(samples.ticket(), notes=tuple(f"第{index}条说明" for index in range(30))), renderer))
    assert max(piece.height for piece in pieces) <= 512 and len(pieces) > 3


@pytest.mark.parametrize("change", [{"patient_name": "\ue000"}, {"code": "号码"}, {"code": ""}])
def test_what_cannot_be_printed_is_refused(renderer: Renderer, change: dict[str, str]) -> None:
    with pytest.raises(UserError):
        escpos(replace(samples.ticket(), **change), renderer)
