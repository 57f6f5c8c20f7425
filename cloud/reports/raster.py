"""One-bit bitmaps for label and ticket printers: from a rendered page to packed rows, and the ZPL form of them. Pure.

Why bitmaps: printers differ in the Chinese fonts they hold, if any, and none holds the rare characters of names (生僻字). What our faces
draw, every printer that can print a picture prints. Only bar codes go as the printer's own command, so that bars fall on whole dots.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import groupby

from PIL import Image

# Text is drawn with soft edges; a dot is black from this darkness on. Lower would thin the strokes of small Chinese text.
_BLACK_BELOW = 150
# Counts of the ZPL run-length form (^GF, "Alternative Data Compression Scheme"): G–Y are 1–19, g–z are 20–400 in steps of 20.
_ONES = "GHIJKLMNOPQRSTUVWXY"
_TWENTIES = "ghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Bitmap:
    """Packed rows, most significant bit left, a set bit is black; a row is filled up with white to whole bytes."""

    width: int
    height: int
    data: bytes

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return (self.width + 7) // 8

    def rows(self) -> list[bytes]:
        """The rows from top to bottom."""
        return [self.data[start : start + self.row_bytes] for start in range(0, len(self.data), self.row_bytes)]

    def image(self) -> Image.Image:
        """The bitmap as a one-bit picture, black on white."""
        return Image.frombytes("1", (self.width, self.height), bytes(byte ^ 0xFF for byte in self.data))


def from_png(png: bytes) -> Bitmap:
    """A rendered page as dots, one a pixel."""
    with Image.open(io.BytesIO(png)) as picture:
        flat = Image.new("L", picture.size, 255)
        flat.paste(picture.convert("L"), mask=picture.getchannel("A") if "A" in picture.getbands() else None)
    dots = flat.point([0 if level < _BLACK_BELOW else 255 for level in range(256)]).convert("1")
    return Bitmap(flat.width, flat.height, _padded(bytes(byte ^ 0xFF for byte in dots.tobytes()), flat.width))


def to_zpl_graphic(bitmap: Bitmap) -> str:
    """The ^GFA field of a bitmap, run-length coded: some 5 kB a label where plain hex takes 24 kB."""
    total = len(bitmap.data)
    body, before = [], None
    for row in bitmap.rows():
        coded = ":" if row == before else _zpl_row(row)
        body.append(coded)
        before = row
    return f"^GFA,{total},{total},{bitmap.row_bytes},{''.join(body)}"


def _zpl_row(row: bytes) -> str:
    digits = row.hex().upper()
    kept = digits.rstrip("0")
    ended = "" if len(kept) == len(digits) else ","
    return "".join(_zpl_run(char, len(list(run))) for char, run in groupby(kept)) + ended


def _zpl_run(char: str, count: int) -> str:
    if count == 1:
        return char
    text = ""
    while count >= 20:
        step = min(count // 20, len(_TWENTIES))
        text += _TWENTIES[step - 1]
        count -= 20 * step
    return text + (_ONES[count - 1] if count else "") + char


def _padded(data: bytes, width: int) -> bytes:
    spare = -width % 8
    if not spare:
        return data
    row = (width + 7) // 8
    mask = 0xFF << spare & 0xFF
    fixed = bytearray(data)
    for end in range(row - 1, len(fixed), row):
        fixed[end] &= mask
    return bytes(fixed)
