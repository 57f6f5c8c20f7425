"""A ticket as a one-page PDF, 80 mm wide, made by hand: an agent carries no typesetter.

The Chinese face is Adobe's standard STSong-Light, which isn't embedded; viewers put their own Song or Hei in its place
(PDF 32000-1, 9.7.5.2). Bars are drawn as rectangles, so that they scan whatever the viewer does.
"""

from __future__ import annotations

from agent.kiosk.code128 import modules
from agent.kiosk.tickets import Paper

MM = 72 / 25.4
WIDTH = 80 * MM
_MARGIN, _MODULE = 4 * MM, 0.33 * MM


def ticket_pdf(paper: Paper) -> bytes:
    """The ticket."""
    small = [*paper.lines(), paper.printed_at]
    height = 70 * MM + len(small) * 5.2 * MM
    draw: list[str] = []
    y = height - 9 * MM
    y = _line(draw, paper.hospital, 13, y, 7)
    y = _line(draw, f"采血排队　{paper.hall}".strip("　"), 10, y, 17)
    y = _line(draw, paper.number, 52, y, 9)
    for text in small[:-1]:
        y = _line(draw, text, 10, y, 5.2)
    y = _bars(draw, paper.code, y)
    y = _line(draw, paper.code, 9, y, 5.2)
    _line(draw, small[-1], 9, y, 5.2)
    return _file("\n".join(draw).encode("ascii"), height)


def _line(draw: list[str], text: str, size: float, y: float, after_mm: float) -> float:
    x = max(_MARGIN, (WIDTH - _width(text) * size) / 2)
    draw.append(f"BT /F1 {size} Tf {x:.2f} {y:.2f} Td <{text.encode('utf-16-be').hex().upper()}> Tj ET")
    return y - after_mm * MM


def _width(text: str) -> float:
    """In ems: Latin signs of this face are half as wide as Chinese ones."""
    return sum(0.5 if char < "\u2000" else 1.0 for char in text)


def _bars(draw: list[str], code: str, y: float) -> float:
    height = 14 * MM
    bars = modules(code)
    x = (WIDTH - len(bars) * _MODULE) / 2
    start = 0
    for place in range(1, len(bars) + 1):
        if place == len(bars) or bars[place] != bars[start]:
            if bars[start]:
                draw.append(f"{x + start * _MODULE:.3f} {y - height:.2f} {(place - start) * _MODULE:.3f} {height:.2f} re f")
            start = place
    return y - height - 5 * MM


def _file(content: bytes, height: float) -> bytes:
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH:.2f} {height:.2f}] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>".encode(),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UTF16-H /DescendantFonts [6 0 R] >>",
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /DW 1000 /W [1 95 500 814 939 500] "
        b"/CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 4 >> /FontDescriptor 7 0 R >>",
        b"<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [-25 -254 1000 880] /ItalicAngle 0 "
        b"/Ascent 752 /Descent -271 /CapHeight 737 /StemV 58 >>",
    ]
    out, places = bytearray(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n"), []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)
