"""Printed registers and worklists."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud.reports.documents import Column, ListDocument
from cloud.reports.renderer import Renderer
from common.errors import UserError
from tests.cloud.reports import samples
from tests.cloud.reports.reading import fonts, pictures, texts

LIST = ListDocument(
    hospital="示例市第一人民医院",
    title="临床生化组工作单",
    columns=(Column("序号", 1, "right"), Column("样本号", 2), Column("条码", 3), Column("姓名", 2), Column("项目", 6)),
    rows=tuple((str(index), f"S{index}e", f"B{index}e", "张伟", "钾、钠、氯") for index in range(100)),
    printed_at=samples.report().reported_at,
    printed_by="李明",
    subtitle="2026-11-22 白班",
    signatures=("操作者", "复核者"),
)


def test_all_rows_are_printed_once_with_title_and_columns_on_each_page(renderer: Renderer) -> None:
    pages = texts(renderer.list(LIST))
    assert len(pages) > 1
    for number, page in enumerate(pages, start=1):
        for word in (
            "临床生化组工作单",
            "示例市第一人民医院",
            "样本号",
            f"第{number}页／共{len(pages)}页",
            "打印时间2026-11-2210:12:00",
            "李明",
        ):
            assert word in page
    together = "".join(pages)
    assert all(together.count(f"S{index}e") == 1 and together.count(f"B{index}e") == 1 for index in range(100))
    assert "共100条" in pages[-1] and "操作者" in pages[-1] and "复核者" in pages[-1]


def test_a_list_without_rows_says_so(renderer: Renderer) -> None:
    (page,) = texts(renderer.list(replace(LIST, rows=())))
    assert "（无记录）" in page and "共0条" in page


def test_landscape_faces_and_equal_bytes(renderer: Renderer) -> None:
    wide = replace(LIST, landscape=True)
    first = renderer.list(wide)
    assert pictures(first, 72)[0].width > pictures(first, 72)[0].height
    assert {name.split("-")[0] for name in fonts(first)} == {"NotoSansCJKsc"}
    assert renderer.list(wide) == first


def test_rows_must_fit_the_columns_and_the_faces(renderer: Renderer) -> None:
    with pytest.raises(ValueError, match="column"):
        renderer.list(replace(LIST, rows=(("1", "2"),)))
    with pytest.raises(UserError, match="U\\+E000"):
        renderer.list(replace(LIST, rows=(("1", "2", "3", "\ue000", "5"),)))


def test_a_sheet_with_nothing_but_signatures_says_what_it_belongs_to(renderer: Renderer) -> None:
    for count in range(30, 60):
        pages = texts(renderer.list(replace(LIST, rows=LIST.rows[:count], notes=("须经本实验室批准",))))
        if len(pages) > 1 and f"S{count - 1}e" not in pages[-1]:
            break
    else:
        pytest.fail("no number of rows leaves a sheet to the signatures")
    assert "操作者" in pages[-1] and "临床生化组工作单" in pages[-1] and "2026-11-22白班" in pages[-1]
    assert pages[0].count("临床生化组工作单") == 1


def test_the_watermark_is_whole_on_a_narrow_sheet(renderer: Renderer) -> None:
    for wide in (False, True):
        (page,) = texts(renderer.list(replace(LIST, rows=LIST.rows[:3], landscape=wide, watermark="演示甲检验 2026-11-28 20:23")))
        assert page.count("演示甲检验2026-11-2820:23") == 2


def test_rows_to_be_written_into_are_as_high_as_handwriting(renderer: Renderer) -> None:
    plain, by_hand = (len(texts(renderer.list(replace(LIST, by_hand=by_hand)))) for by_hand in (False, True))
    assert by_hand > plain


def test_units_in_cells_are_raised(renderer: Renderer) -> None:
    row = ("1", "S", "B", "张伟", "白细胞 3.1 10^9/L")
    (page,) = texts(renderer.list(replace(LIST, rows=(row,), subtitle="尿素 8.1 umol/L")))
    assert "^" not in page and "3.1×109/L" in page and "μmol/L" in page
