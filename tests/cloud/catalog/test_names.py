"""How people call a row of master data: in the titles of changes and in differences."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from cloud.modules.catalog.kind_table import KINDS
from cloud.modules.catalog.kinds import name_of
from cloud.modules.catalog.queries import Catalog

KNOWN = cast(Catalog, SimpleNamespace(items={1: SimpleNamespace(code="K", name="钾")}))


@pytest.mark.parametrize(
    ("kind", "values", "name"),
    [
        ("ri", {"item": "K", "sex": "M", "age_low": 18, "age_high": 60, "age_unit": "year"}, "钾（K） 男 18–<60岁"),
        ("ri", {"item": "K", "sex": "F", "age_low": 60, "age_high": None, "age_unit": "year"}, "钾（K） 女 ≥60岁"),
        ("ri", {"item": "K", "sex": None, "age_low": None, "age_high": 28, "age_unit": "day"}, "钾（K） <28天"),
        ("ri", {"item": "K", "age_low": 0, "age_high": 72, "age_unit": "hour"}, "钾（K） <72小时"),
        ("ri", {"item": "K", "age_low": 6, "age_high": 24}, "钾（K） 6–<24岁"),  # years, where none is said
        ("ri", {"item": "K", "age_unit": "year"}, "钾（K）"),
        ("critical", {"item": "K", "dept_class": None, "age_low": 1, "age_high": 24, "age_unit": "month"}, "钾（K） 1–<24月"),
        ("judge", {"item": "K"}, "钾（K）"),
    ],
)
def test_a_row_is_called_as_one_says_it(kind: str, values: dict[str, Any], name: str) -> None:
    assert name_of(KINDS[kind], values, KNOWN) == name
