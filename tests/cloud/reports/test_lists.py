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
