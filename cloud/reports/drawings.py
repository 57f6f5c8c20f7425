"""Drawings handed to the templates as SVG: Code 128, QR, pictures. Pure; the text under a bar code is set by the page, in its own face."""

from __future__ import annotations

import base64
import io
from itertools import groupby

from cloud.spared import without
from common.errors import UserError
from common.say import say

with without("PIL"):  # their bitmaps, 7 MB: we take the bars as SVG, and pictures are seldom
    import barcode
    import qrcode  # type: ignore[import-untyped]
    from qrcode.constants import ERROR_CORRECT_M  # type: ignore[import-untyped]

MASK = 2  # every third column is turned over: long runs of one colour do not occur in addresses
QUIET_MODULES = 10  # clear space on each side, ISO/IEC 15417 section 4.3


def code128_modules(code: str) -> str:
    """The bars of a code as 1 and 0, a character a module, without the quiet zones. Raises UserError for text Code 128 cannot carry."""
    if not code or not (code.isascii() and code.isprintable()):
        raise UserError("barcode_text", say("条码内容“{code}”含有条码不能表示的字符，请检查编号。", code=code), text=code)
    return "".join(barcode.Code128(code).build())


def module_dots(code: str, width_dots: int, most: int = 3, least: int = 2) -> int:
    """How many printer dots one module may take so that code and quiet zones fit the width. Raises UserError when none does."""
    modules = len(code128_modules(code)) + 2 * QUIET_MODULES
    dots = min(most, width_dots // modules)
    if dots < least:
        raise UserError("barcode_long", say("编号“{code}”太长，标签上放不下可扫描的条码，请缩短编号或换大标签。", code=code), text=code)
    return dots


def code128_svg(code: str) -> str:
    """The bars as an SVG one unit a module wide and one unit high, to be stretched by the page; quiet zones are the page's."""
    modules = code128_modules(code)
    return _svg(len(modules), 1, _bars(modules, 0))


def qr_svg(text: str) -> str:
    """A QR code (error correction M) as an SVG one unit a module, without the quiet zone of four modules."""
    matrix = qr_matrix(text)
    return _svg(len(matrix), len(matrix), "".join(_bars("".join("1" if dark else "0" for dark in row), y) for y, row in enumerate(matrix)))


def qr_matrix(text: str) -> list[list[bool]]:
    """The dark modules of a QR code, row by row."""
    # One mask instead of the best of eight: any mask reads, and trying them all takes as long as setting half a report.
    code = qrcode.QRCode(error_correction=ERROR_CORRECT_M, border=0, mask_pattern=MASK)
    code.add_data(text)
    code.make(fit=True)
    return [[bool(dark) for dark in row] for row in code.get_matrix()]


def picture_svg(data: bytes) -> str:
    """A PNG or JPEG as an SVG of its own size (Typst reads bytes only as text or drawing). Raises UserError for anything else.

    A drawing we made ourselves (see bench.pictures) is one already; what an analyzer sends is never taken for SVG.
    """
    if data.startswith(b"<svg "):
        return data.decode()
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
            (width, height), kind = picture.size, picture.get_format_mimetype()
    except UnidentifiedImageError as error:
        raise UserError("picture_format", "报告图像不是 PNG 或 JPEG 格式，无法打印，请重新上传。") from error
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{width}" height="{height}">'
        f'<image width="{width}" height="{height}" xlink:href="data:{kind};base64,{base64.b64encode(data).decode("ascii")}"/></svg>'
    )


def _bars(modules: str, y: int) -> str:
    path, x = [], 0
    for value, run in groupby(modules):
        width = len(list(run))
        if value == "1":
            path.append(f"M{x} {y}h{width}v1h-{width}z")
        x += width
    return "".join(path)


def _svg(width: int, height: int, path: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'preserveAspectRatio="none" shape-rendering="crispEdges"><path d="{path}"/></svg>'
    )
