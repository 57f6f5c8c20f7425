"""The live stream: what is committed is told to every page, and a page that may have missed something is told to look anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloud.web import live
from tests.support.database import TestDatabase
from tests.support.lab import Lab

OPEN = ": open\nid: 1\n\n"
LOOK = "event: bench\ndata: {}\n\n"


@pytest.fixture
def hub(lab: Lab) -> Iterator[live.Hub]:
    made = live.Hub(lab.settings.database_url)
    yield made
    made.close()


def listening(hub: live.Hub, tenant: int) -> Iterator[str]:
    """An open stream whose hub listens by now: it says so to who was there before."""
    stream = hub.subscribe(tenant, ["bench"])
    assert next(stream) == OPEN
    assert next(stream) == LOOK
    return stream


def tell(lab: Lab, tenant: int, **what: int) -> None:
    with lab.uow(tenant) as uow:
        uow.notify("bench", what)


def test_a_notice_reaches_its_hospital_and_no_other(lab: Lab, hub: live.Hub) -> None:
    ours, theirs = listening(hub, lab.a), hub.subscribe(lab.b, ["bench"])
    assert next(theirs) == OPEN
    tell(lab, lab.a, specimen_id=7)
    tell(lab, lab.b, specimen_id=8)
    assert '"specimen_id":7' in next(ours)
    assert '"specimen_id":8' in next(theirs)


def test_a_page_that_opened_just_after_a_notice_looks_anew(lab: Lab, hub: live.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was rendered before: what was committed in between nobody would tell it."""
    first = listening(hub, lab.a)
    tell(lab, lab.a, specimen_id=7)
    next(first)
    late, other = hub.subscribe(lab.a, ["bench", "queue", "bench"]), hub.subscribe(lab.b, ["bench"])
    assert [next(late), next(late)] == [OPEN, LOOK]
    monkeypatch.setattr(live, "BEAT_S", 0.01)
    assert [next(late), next(other), next(other)] == [": beat\n\n", OPEN, ": beat\n\n"]


def test_a_browser_that_lost_its_stream_looks_anew(lab: Lab, hub: live.Hub) -> None:
    listening(hub, lab.a)
    again = hub.subscribe(lab.b, ["bench"], again=True)
    assert [next(again), next(again)] == [OPEN, LOOK]


def test_the_listener_comes_back_after_its_connection_broke(lab: Lab, hub: live.Hub, fresh_db: TestDatabase) -> None:
    from sqlalchemy import create_engine, text

    stream = listening(hub, lab.a)
    engine = create_engine(fresh_db.admin_url)
    with engine.begin() as conn:
        ended = conn.execute(
            text(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        ).scalar()
    engine.dispose()
    assert ended == 1
    assert next(stream) == LOOK
    tell(lab, lab.a, specimen_id=9)
    assert '"specimen_id":9' in next(stream)


def test_the_stream_is_asked_for_with_one_or_several_channels(lab: Lab) -> None:
    client = lab.client("tester")
    for query in ("ch=bench,alert", "ch=bench&ch=alert"):
        answer = client.get(f"/live?{query}", buffered=False)
        assert answer.mimetype == "text/event-stream"
        hub = lab.app.extensions["jianlian"].extras["live"]
        body = iter(answer.response)
        assert next(body) in (OPEN, OPEN.encode())
        assert {channel for (_tenant, channel), streams in hub._streams.items() if streams} == {"bench", "alert"}
        answer.close()
    hub.close()
