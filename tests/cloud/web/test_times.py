"""Times on pages: an hour alone means today's."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from flask import Flask

from cloud.web.i18n import day_hour

NOW = datetime(2026, 1, 1, 3, 0, tzinfo=UTC)  # 11:00 in Shanghai


@pytest.mark.parametrize(
    ("then", "shown"),
    [
        (datetime(2026, 1, 1, 3, 35, tzinfo=UTC), "11:35"),
        (datetime(2025, 12, 31, 16, 0, tzinfo=UTC), "00:00"),  # today's first minute there, yesterday in UTC
        (datetime(2025, 12, 31, 15, 59, tzinfo=UTC), "2025-12-31 23:59"),
        (datetime(2026, 1, 1, 15, 59, tzinfo=UTC), "23:59"),
        (datetime(2026, 1, 1, 16, 0, tzinfo=UTC), "01-02 00:00"),
        (None, ""),
    ],
)
def test_the_hour_of_another_day_stands_with_its_day(then: datetime | None, shown: str) -> None:
    app = Flask("times")
    app.extensions["jianlian"] = SimpleNamespace(settings=SimpleNamespace(timezone="Asia/Shanghai"), db=SimpleNamespace(clock=lambda: NOW))
    with app.app_context():
        assert day_hour(then) == shown
