"""A process that waits for its schema begins when it is there, and goes on without it when it never comes."""

from __future__ import annotations

import pytest

from cloud.db import awaited, migrate
from tests.support.lab import Lab


def test_the_schema_of_this_release_is_waited_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    url = lab.db.engine.url.render_as_string(hide_password=False)
    assert not awaited.schema(url, 0.3)  # tables laid down for tests name no release
    answers = iter((None, "0001", migrate.newest()))
    monkeypatch.setattr(awaited, "_version", lambda _dsn: next(answers))
    monkeypatch.setattr(awaited, "_LOOK_S", 0.01)
    assert awaited.schema(url, 30)


def test_a_database_that_never_comes_holds_nobody_for_ever() -> None:
    assert not awaited.schema("postgresql+psycopg://nobody@127.0.0.1:1/none", 0.3)
