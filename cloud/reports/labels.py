"""Tube labels for label printers, 50 × 30 mm at 203 dpi: ZPL (Zebra and most others) and TSPL (TSC, Gprinter 佳博 and relatives).

The text goes as one bitmap (see raster), the bar code as the printer's own Code 128 command. Bytes only; sending is the print port's.
"""

from __future__ import annotations

from cloud.reports.documents import LabelDocument
from cloud.reports.drawings import code128_modules, module_dots
from cloud.reports.raster import from_png, to_zpl_graphic
from cloud.reports.renderer import LABEL_DOTS, Renderer

WIDTH, HEIGHT = LABEL_DOTS, 240
BARS_TOP, BARS_HEIGHT = 68, 64  # the white band that label.typ leaves (8.5 mm, 8 mm)


def zpl(document: LabelDocument, renderer: Renderer, copies: int = 1) -> bytes:
    """The label as ZPL II, ASCII only. Raises UserError for a code or a character that cannot be printed."""
    dots, left = _bars(document.barcode)
    graphic = to_zpl_graphic(from_png(renderer.label_bitmap(document)))
    lines = [
        "^XA",
        f"^PW{WIDTH}^LL{HEIGHT}^LH0,0^LS0",
        f"^FO0,0{graphic}^FS",
        # Mode A lets the printer change code sets itself; ^FH_ with hex escapes keeps ^ and ~ of a foreign code from being commands.
        f"^FO{left},{BARS_TOP}^BY{dots}^BCN,{BARS_HEIGHT},N,N,N,A^FH_^FD{_escaped(document.barcode)}^FS",
        f"^PQ{copies}",
        "^XZ",
        "",
    ]
    return "\n".join(lines).encode("ascii")


def tspl(document: LabelDocument, renderer: Renderer, copies: int = 1) -> bytes:
    """The label as TSPL/TSPL2; the bitmap is binary, 0 is black there."""
    dots, left = _bars(document.barcode)
    bitmap = from_png(renderer.label_bitmap(document))
    head = f"SIZE 50 mm,30 mm\r\nGAP 2 mm,0 mm\r\nDIRECTION 1\r\nCLS\r\nBITMAP 0,0,{bitmap.row_bytes},{bitmap.height},0,"
    code = document.barcode.replace('"', '\\["]')
    tail = f'\r\nBARCODE {left},{BARS_TOP},"128",{BARS_HEIGHT},0,0,{dots},{dots},"{code}"\r\nPRINT 1,{copies}\r\n'
    return head.encode("ascii") + bytes(byte ^ 0xFF for byte in bitmap.data) + tail.encode("ascii")


def _bars(code: str) -> tuple[int, int]:
    """Dots a module and the left edge that centres the bars."""
    dots = module_dots(code, WIDTH)
    return dots, (WIDTH - dots * len(code128_modules(code))) // 2


def _escaped(code: str) -> str:
    return "".join(f"_{ord(char):02X}" if char in "^~_>" else char for char in code)
