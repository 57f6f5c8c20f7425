"""A web process goes on with the pages it started with, whatever is laid over its files meanwhile."""

from __future__ import annotations

import jinja2
import pytest

from tests.support.lab import Lab


def test_pages_are_read_at_the_start_and_never_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_self: object, _environment: object, name: str) -> object:
        raise AssertionError(f"{name} is read from disk while people work")

    monkeypatch.setattr(jinja2.FileSystemLoader, "get_source", gone)
    assert lab.client("tester").get("/login").status_code == 200
    for role, path in (("tester", "/bench"), ("nurse", "/queue/window"), ("clinician", "/clinic"), ("receiver", "/sp/receive")):
        assert lab.client(role).get(path).status_code in (200, 303), path
