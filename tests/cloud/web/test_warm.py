"""A web process that has just started answers its first scan from what it prepared."""

from __future__ import annotations

import pytest
from jinja2 import Environment
from sqlalchemy.exc import OperationalError

from cloud.app import warm_up
from cloud.modules.catalog import queries as catalog
from tests.support.lab import Lab


def test_the_first_scan_finds_page_and_catalog_ready(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = lab.client("receiver")
    warm_up(lab.app)

    def late(*_given: object, **_named: object) -> object:
        raise AssertionError("a scan waits for this")

    monkeypatch.setattr(Environment, "compile", late)
    monkeypatch.setattr(catalog, "_load", late)
    answer = receiver.post("/sp/receive", {"code": "NOSUCHTUBE"}, htmx=True)
    assert answer.status_code == 404 and "NOSUCHTUBE" in answer.get_data(as_text=True)


def test_without_a_database_it_starts_cold(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_db: object) -> list[int]:
        raise OperationalError("SELECT", None, Exception("no server"))

    monkeypatch.setattr("cloud.app.hospitals.open_tenants", away)
    warm_up(lab.app)
