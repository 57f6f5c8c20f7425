"""Queue tickets for 80 mm ESC/POS printers: a raster picture, the printer's own Code 128, the rest of the picture, the cut.

Chinese code pages of such printers (GB18030, GBK, Big5) differ and lack rare characters, so the text goes as a picture (see raster).
Seven commands are all it takes, and they are the ones every 80 mm printer knows; they are written here rather than through
python-escpos, which writes to the console while it makes them. Bytes only; sending is the print port's.
"""

from __future__ import annotations

from cloud.reports.documents import TicketDocument
from cloud.reports.drawings import QUIET_MODULES, code128_modules
from cloud.reports.raster import Bitmap, from_png
from cloud.reports.renderer import TICKET_DOTS, Renderer

WIDTH = TICKET_DOTS
BARS_HEIGHT = 104
_WHITE_ROWS_OF_A_GAP = 90  # the white band that ticket.typ leaves for the bars is the only one as high
_PICTURE_ROWS = 512  # rows of one picture command; cheap printers have no room for a whole ticket

_INIT = b"\x1b@"  # ESC @
_CENTRE, _LEFT = b"\x1ba\x01", b"\x1ba\x00"  # ESC a n
_NO_TEXT = b"\x1dH\x00"  # GS H: the digits stand in the picture
_CUT = b"\x1dVB\x00"  # GS V 66: feed to the cutter, then cut partly


def escpos(document: TicketDocument, renderer: Renderer) -> bytes:
    """The ticket as ESC/POS. Raises UserError for a code or a character that cannot be printed."""
    above, below = _split(from_png(renderer.ticket_bitmap(document)))
    return b"".join([_INIT, _picture(above), _CENTRE, _barcode(document.code), _LEFT, _picture(below), _CUT])


def _barcode(code: str) -> bytes:
    """GS h, GS w, GS k 73: Code 128 in code set B, which every printer knows ("{" is its escape)."""
    code128_modules(code)  # refuses what Code 128 cannot carry
    data = b"{B" + code.replace("{", "{{").encode("ascii")
    modules = 11 * (len(code) + 2) + 13 + 2 * QUIET_MODULES
    dots = max(2, min(3, WIDTH // modules))
    return b"\x1dh" + bytes([BARS_HEIGHT]) + b"\x1dw" + bytes([dots]) + _NO_TEXT + b"\x1dkI" + bytes([len(data)]) + data


def _picture(bitmap: Bitmap) -> bytes:
    """GS v 0, in pieces."""
    rows = bitmap.rows()
    pieces = [rows[start : start + _PICTURE_ROWS] for start in range(0, len(rows), _PICTURE_ROWS)]
    sizes = [bitmap.row_bytes.to_bytes(2, "little") + len(piece).to_bytes(2, "little") for piece in pieces]
    return b"".join(b"\x1dv0\x00" + size + b"".join(piece) for size, piece in zip(sizes, pieces, strict=True))


def _split(bitmap: Bitmap) -> tuple[Bitmap, Bitmap]:
    """The picture above and below the band that is left white for the bars; white rows at the end are not printed."""
    rows = bitmap.rows()
    last = max(index for index, row in enumerate(rows) if any(row)) + 1
    run, best = 0, (0, 0)
    for index, row in enumerate(rows[:last]):
        run = 0 if any(row) else run + 1
        best = max(best, (run, index + 1))
    height, end = best
    assert height >= _WHITE_ROWS_OF_A_GAP, "the ticket template leaves a white band for the bars"
    return _part(bitmap, 0, end - height), _part(bitmap, end, last)


def _part(bitmap: Bitmap, first: int, last: int) -> Bitmap:
    data = bitmap.data[first * bitmap.row_bytes : last * bitmap.row_bytes]
    return Bitmap(bitmap.width, last - first, data)
