"""Excel in and out, safely: no cell we write is ever a formula, and what we read is only texts.

A text that begins like a formula (= + - @) stays a text in Excel, also after somebody edits the cell or saves it as CSV and opens it again.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from common.errors import UserError
from common.say import say

TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_ROWS = 20_000
MAX_BYTES = 10_000_000
_UNPACKED = 200_000_000
# What XML 1.0 cannot hold would make the whole file unreadable; that something stood there stays visible.
_ILLEGAL = {code: "\ufffd" for code in range(32) if code not in (9, 10, 13)}
_HEAD = "FFE8EEF4"


@dataclass(frozen=True)
class Page:
    """One sheet of a workbook: lines above the head, the head, rows and lines below them."""

    title: str
    head: Sequence[str]
    rows: Iterable[Sequence[Any]]
    above: Sequence[str] = ()
    below: Sequence[str] = ()
    widths: Sequence[int] | None = None  # in characters; else each column's follows its head


def workbook(pages: Iterable[Page]) -> bytes:
    """An .xlsx file. Heads stay in sight; numbers stay numbers, texts are always texts."""
    # Imported here: it costs 6 MB, with numpy beside it 16, in each process, and few ever write a sheet.
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    for page in pages:
        sheet = book.create_sheet(_title(page.title))
        if page.head:
            sheet.freeze_panes = f"A{len(page.above) + 2}"
        for n, width in enumerate(page.widths or [max(10, min(40, 2 * len(word) + 4)) for word in page.head]):
            sheet.column_dimensions[_letter(n)].width = width
        for line in page.above:
            sheet.append([_cell(sheet, line)])
        if page.head:
            sheet.append([_cell(sheet, word, head=True) for word in page.head])
        for row in page.rows:
            sheet.append([_cell(sheet, value) for value in row])
        for line in page.below:
            sheet.append([_cell(sheet, line)])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def write(title: str, head: Sequence[str], rows: Iterable[Sequence[Any]], notes: Sequence[str] = ()) -> bytes:
    """A workbook with one sheet, and notes on a second one."""
    return workbook([Page(title, head, rows), *([Page("说明", (), [[note] for note in notes])] if notes else [])])


def read(data: bytes) -> list[list[str]]:
    """The first sheet as texts, row by row, empty rows at the end left out. UserError when it is no .xlsx or too large."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    if len(data) > MAX_BYTES:
        raise UserError("invalid", say("文件超过 {most} MB，请分成几个文件。", most=MAX_BYTES // 1000000), field="file")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(each.file_size for each in packed.infolist()) > _UNPACKED:
                raise UserError("invalid", "文件展开后过大，请分成几个文件。", field="file")
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        rows = [[_text(value) for value in row] for row in book.worksheets[0].iter_rows(values_only=True, max_row=MAX_ROWS + 2)]
    except UserError:
        raise
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, OSError, IndexError, TypeError) as error:
        raise UserError("invalid", "这不是能读的 Excel 文件（.xlsx），请用下载的模板另存。", field="file") from error
    while rows and not any(rows[-1]):
        rows.pop()
    if len(rows) > MAX_ROWS + 1:
        raise UserError("invalid", say("超过 {most} 行，请分成几个文件。", most=MAX_ROWS), field="file")
    return rows


def _cell(sheet: Any, value: Any, head: bool = False) -> Any:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font, PatternFill

    if isinstance(value, datetime):
        value = value.strftime("%Y-%m-%d %H:%M")
    elif isinstance(value, date):
        value = value.isoformat()
    if isinstance(value, bool):
        value = "是" if value else "否"
    if value is None:
        value = ""
    number = isinstance(value, int | float | Decimal)
    cell = WriteOnlyCell(sheet, value=None)
    if number:
        cell.value = value
    else:
        text = str(value).translate(_ILLEGAL)[:32_000]
        cell.value = text
        cell.data_type = "s"
        # A leading apostrophe as Excel itself keeps it: the cell is a text for good, what is read back is unchanged.
        if text[:1] in ("=", "+", "-", "@", "\t", "\r"):
            cell.style = "Normal"
            cell.quotePrefix = True
    if head:
        cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor=_HEAD)
    return cell


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, float):
        # 3.5 was typed as 3.5: repr gives the shortest text that is the same number.
        return repr(int(value)) if value.is_integer() else repr(value)
    return str(value).strip()


def _title(text: str) -> str:
    return "".join(c for c in text if c not in r"[]:*?/\\")[:31] or "Sheet1"


def _letter(n: int) -> str:
    return chr(65 + n) if n < 26 else chr(64 + n // 26) + chr(65 + n % 26)
