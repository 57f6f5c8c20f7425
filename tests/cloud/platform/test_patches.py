"""The patch state on /mlps (M01 R11): what runs, and whether its makers still mend it."""

from datetime import date

import pytest

from cloud.modules.platform import patches
from cloud.modules.platform.patches import Running
from tests.support.lab import Lab


@pytest.mark.parametrize(
    ("postgres", "python", "today", "good"),
    [
        ("16.4", "3.11.7", date(2027, 10, 31), True),
        ("16.4", "3.11.7", date(2027, 11, 1), False),
        ("16.4", "3.13.1", date(2028, 11, 9), True),
        ("16.4", "3.13.1", date(2028, 11, 10), False),
        ("18", "3.14.0rc1", date(2026, 1, 1), True),
        ("9.6.24", "3.13.1", date(2026, 1, 1), False),  # not in the table: somebody must look
        ("16.4", "3.1.1", date(2026, 1, 1), False),
        ("16.4", "4.11", date(2026, 1, 1), False),
    ],
)
def test_what_its_maker_does_not_mend_is_wanting(postgres: str, python: str, today: date, good: bool) -> None:
    assert patches.mended(Running(postgres, python, "OpenSSL"), today) is good


def test_the_checklist_names_what_really_runs(lab: Lab) -> None:
    with lab.uow() as uow:
        now = patches.running(uow)
    assert patches.mended_until("PostgreSQL", now.postgres) is not None and patches.mended_until("Python", now.python) is not None
    page = lab.client("director").get("/mlps").text
    assert f"PostgreSQL {now.postgres}" in page and f"Python {now.python}" in page and now.tls in page
