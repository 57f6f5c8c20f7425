"""Reads printed bytes back: text and fonts of a PDF, pictures of its pages, bar codes in a picture, dots of printer languages."""

from __future__ import annotations

import io
import re
from typing import Any

import pypdfium2
import zxingcpp
from PIL import Image
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

_ONES = {letter: count for count, letter in enumerate("GHIJKLMNOPQRSTUVWXY", start=1)}
_TWENTIES = {letter: 20 * count for count, letter in enumerate("ghijklmnopqrstuvwxyz", start=1)}


def texts(pdf: bytes) -> list[str]:
    """The text of each page, blanks taken out."""
    return [re.sub(r"\s+", "", page.get_textpage().get_text_range()) for page in pypdfium2.PdfDocument(pdf)]


def fonts(pdf: bytes) -> set[str]:
    """The names of all fonts of a PDF, without the subset prefix."""
    names = set()
    for page in PdfReader(io.BytesIO(pdf)).pages:
        resources: Any = page["/Resources"]
        for font in resources.get("/Font", DictionaryObject()).values():
            names.add(str(font.get_object()["/BaseFont"]).lstrip("/").split("+")[-1])
    return names


def pictures(pdf: bytes, dpi: int = 203) -> list[Image.Image]:
    """Each page as a picture."""
    document = pypdfium2.PdfDocument(pdf)
    return [document[number].render(scale=dpi / 72).to_pil().convert("L") for number in range(len(document))]


def heights(pdf: bytes, text: str) -> tuple[float, float]:
    """Bottom and top of the first place where a text stands on the first page, in points from the lower edge."""
    page = pypdfium2.PdfDocument(pdf)[0].get_textpage()
    found = page.search(text).get_next()
    assert found is not None, f"{text} is not on the page"
    first, count = found
    boxes = [page.get_charbox(index) for index in range(first, first + count)]
    return min(box[1] for box in boxes), max(box[3] for box in boxes)


def codes(picture: Image.Image) -> set[tuple[str, str]]:
    """What a scanner reads: (format, text)."""
    return {(result.format.name, result.text) for result in zxingcpp.read_barcodes(picture)}


def zpl_picture(job: bytes) -> tuple[Image.Image, dict[str, int | str]]:
    """The label a ZPL printer would print but for its bars, and the parameters of its ^BC command."""
    text = job.decode("ascii")
    graphic = re.search(r"\^GFA,(\d+),(\d+),(\d+),([^^]*)\^FS", text)
    bars = re.search(r"\^FO(\d+),(\d+)\^BY(\d+)\^BCN,(\d+),N,N,N,A\^FH_\^FD([^^]*)\^FS", text)
    assert graphic and bars
    row_bytes = int(graphic[3])
    rows = _zpl_rows(graphic[4], row_bytes)
    assert len(rows) * row_bytes == int(graphic[1]) == int(graphic[2])
    picture = Image.frombytes("1", (row_bytes * 8, len(rows)), bytes(byte ^ 0xFF for byte in b"".join(rows))).convert("L")
    code = re.sub(r"_([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), bars[5])
    return picture, {"left": int(bars[1]), "top": int(bars[2]), "dots": int(bars[3]), "height": int(bars[4]), "code": code}


def _zpl_rows(data: str, row_bytes: int) -> list[bytes]:
    rows: list[bytes] = []
    line, count = "", 0
    for char in data:
        if char == ":":
            rows.append(rows[-1] if rows else bytes(row_bytes))
        elif char == ",":
            line = line.ljust(row_bytes * 2, "0")
        elif char in _ONES or char in _TWENTIES:
            count += _ONES.get(char, 0) + _TWENTIES.get(char, 0)
        else:
            line, count = line + char * max(count, 1), 0
        if len(line) == row_bytes * 2:
            rows.append(bytes.fromhex(line))
            line = ""
    assert not line and not count
    return rows


def draw_bars(picture: Image.Image, modules: str, left: int, top: int, dots: int, height: int) -> None:
    """Draw bars as the printer does: every module on whole dots."""
    for index, bar in enumerate(modules):
        if bar == "1":
            picture.paste(0, (left + index * dots, top, left + (index + 1) * dots, top + height))


def escpos_parts(job: bytes) -> tuple[list[Image.Image], dict[str, int | str]]:
    """The pictures of an ESC/POS job in order, and its bar code: a printer's reading of exactly the commands we send."""
    pieces: list[Image.Image] = []
    bars: dict[str, int | str] = {}
    at = 0
    while at < len(job):
        head = job[at : at + 3]
        if head[:2] == b"\x1b@":
            at += 2
        elif head[:2] == b"\x1ba" or head[:2] in (b"\x1dh", b"\x1dw", b"\x1dH"):
            bars[head[:2].decode()[1]] = head[2]
            at += 3
        elif head == b"\x1dv0":
            width, height = int.from_bytes(job[at + 4 : at + 6], "little"), int.from_bytes(job[at + 6 : at + 8], "little")
            data = job[at + 8 : at + 8 + width * height]
            assert job[at + 3] == 0 and len(data) == width * height
            pieces.append(Image.frombytes("1", (width * 8, height), bytes(byte ^ 0xFF for byte in data)).convert("L"))
            at += 8 + width * height
        elif head == b"\x1dkI":
            length = job[at + 3]
            bars |= {"code": job[at + 4 : at + 4 + length].decode("ascii"), "before": len(pieces)}
            at += 4 + length
        elif head == b"\x1dVB":
            assert at + 4 == len(job), "the cut comes last"
            at += 4
        else:
            raise AssertionError(f"unknown command {head!r} at {at}")
    return pieces, bars
