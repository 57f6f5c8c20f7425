"""A spreadsheet (.xlsx) an analyzer's program wrote, as tab-separated lines: every sheet, a row a line. Pure.

Numbers are written as the cell shows them where that only adds digits ("4.10" for 4.1 under the format 0.00), never with fewer.
"""

from __future__ import annotations

import re
import zipfile
from datetime import datetime, time
from io import BytesIO
from typing import Any

_MAGIC = b"PK\x03\x04"
_UNPACKED = 64 << 20  # a packed file of a few kilobytes can hold gigabytes
_FIXED = re.compile(r"[#,0]*0\.(0+)")
_MOST = 100_000  # cells


def plain(data: bytes) -> bytes:
    """The lines of a workbook in UTF-8; the bytes as they are when they are none, or cannot be read as one."""
    if data[:4] != _MAGIC:
        return data
    try:
        text = _text(data)
    except Exception:  # openpyxl raises whatever a broken part makes Python raise; the file is then kept whole as unknown
        return data
    return text or data


def _text(data: bytes) -> bytes:
    with zipfile.ZipFile(BytesIO(data)) as packed:
        if sum(each.file_size for each in packed.infolist()) > _UNPACKED:
            raise ValueError("too large when unpacked")
    from openpyxl import load_workbook  # costs 15 MB, and an agent never needs it

    book = load_workbook(BytesIO(data), read_only=True, data_only=True)
    lines, cells = [], 0
    for sheet in book.worksheets:
        for row in sheet.iter_rows():
            shown = [_shown(cell) for cell in row]
            cells += len(shown)
            if cells > _MOST:
                raise ValueError("too many cells")
            if any(shown):
                lines.append("\t".join(shown).rstrip("\t"))
    return "".join(f"{line}\r\n" for line in lines).encode()


def _shown(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(" ") if value.time() != time() else value.date().isoformat()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value, str(cell.number_format or ""))
    return re.sub(r"[\t\r\n]+", " ", str(value)).strip()


def _number(value: int | float, form: str) -> str:
    text, found = repr(value), _FIXED.fullmatch(form)
    if found is None or "e" in text:
        return text
    whole, _, part = text.partition(".")
    return f"{whole}.{part.ljust(len(found.group(1)), '0')}"


__all__ = ["plain"]
