"""Critical values: found once, told with an equal read-back, every attempt kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from sqlalchemy import text

from cloud.modules.critical import queries, rules, service
from cloud.modules.critical.rules import Light, State
from common.errors import UserError
from tests.cloud.bench.world import World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase

RUN = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)
ALLOWED = {
    ("detected", "confirmed"),
    ("detected", "false_alarm"),
    ("confirmed", "notifying"),
    ("confirmed", "received"),
    ("confirmed", "escalated"),
    ("confirmed", "false_alarm"),
    ("notifying", "received"),
    ("notifying", "escalated"),
    ("escalated", "received"),
    ("received", "doctor_acknowledged"),
    ("received", "handled"),
    ("doctor_acknowledged", "handled"),
    ("handled", "closed"),
}


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = labs.make(fresh_db)
    yield build(lab)
    lab.db.dispose()


@pytest.mark.parametrize(("state", "to"), list(product(State, State)))
def test_every_pair_of_states_is_decided(state: State, to: State) -> None:
    assert rules.may_move(state, to) is ((state.value, to.value) in ALLOWED)


@pytest.mark.parametrize(
    ("told", "readback", "equal"),
    [
        ("6.8", "6.8", True),
        ("6.8", "6.80", True),
        ("6.8", " ６．８ ", True),
        ("6.8", "5.8", False),
        ("6.8", "68", False),
        ("6.8", "", False),
        ("<2.0", "2.0", False),
        ("<2.0", "<2", True),
        ("6.8", "六点八", False),
    ],
)
def test_ac_cv_4_a_readback_is_equal_or_refused(told: str, readback: str, equal: bool) -> None:
    assert rules.readback_equal(told, readback) is equal


@pytest.mark.parametrize(
    ("kind", "ward", "minutes"),
    [
        ("emergency", "", 10),
        ("inpatient", "ICU", 10),
        ("inpatient", "心内科监护室", 10),
        ("inpatient", "内科", 15),
        ("outpatient", "", 30),
        (None, "", 30),
    ],
)
def test_how_many_minutes_there_are(kind: str | None, ward: str, minutes: int) -> None:
    assert rules.notify_minutes(kind, ward) == minutes


@pytest.mark.parametrize(("spent", "light"), [(0, Light.OK), (4.9, Light.OK), (5, Light.SOON), (10, Light.SOON), (10.1, Light.LATE)])
def test_the_clock_warns_at_half_time_and_is_late_after_the_limit(spent: float, light: Light) -> None:
    assert rules.clock(RUN, None, 10, RUN + timedelta(minutes=spent)).light is light


def test_the_clock_stops_at_receipt() -> None:
    assert rules.clock(RUN, RUN + timedelta(minutes=4), 10, RUN + timedelta(hours=9)).light is Light.OK


def test_ac_cv_4_readback_5_8_for_6_8_is_refused_and_logged(world: World) -> None:
    tester = world.lab.client("tester")
    with world.lab.uow() as uow:
        world.send(uow, world.tube(uow), {"K": "6.8"}, RUN)
        event = queries.board(uow)[0].event
    assert tester.post(f"/critical/{event.id}/confirm", {"version": event.version}, htmx=True).status_code == 200
    answer = tester.post(
        f"/critical/phone/{event.id}", {"version": event.version + 1, "receiver": "内科 王护士", "readback": "5.8"}, htmx=True
    )
    assert answer.status_code == 200 and "不一致" in answer.text and answer.headers["HX-Trigger"] == '{"sound":"bad"}'
    with world.lab.uow() as uow:
        line = queries.one(uow, event.id)
        assert line is not None and line.event.state == "confirmed"
        assert [(a.readback, a.ok, a.by_name) for a in line.attempts] == [("5.8", False, "检验者一号")]
        actions = uow.s.execute(text("SELECT action FROM audit_log WHERE entity = 'critical' ORDER BY seq")).scalars().all()
        assert actions == ["detect", "confirm", "readback_refused"]
    good = {"version": event.version + 1, "receiver": "内科 王护士", "readback": "6.8"}
    assert "复述一致" in tester.post(f"/critical/phone/{event.id}", good, htmx=True).text
    with world.lab.uow() as uow:
        line = queries.one(uow, event.id)
        assert line is not None and (line.event.state, line.event.received_by) == ("received", "内科 王护士")


def test_nothing_is_told_before_it_is_confirmed_and_nothing_twice(world: World) -> None:
    with world.lab.uow() as uow:
        world.send(uow, world.tube(uow), {"K": "6.8"}, RUN)
        event = queries.board(uow)[0].event
        with pytest.raises(UserError, match="待复核"):
            service.tell(uow, event.id, event.version, "王", "6.8")
        service.confirm(uow, event.id, event.version)
        uow.s.flush()
        with pytest.raises(UserError, match="已由他人处理"):
            service.confirm(uow, event.id, event.version - 1)
        with pytest.raises(UserError, match="不能改为"):
            service.confirm(uow, event.id, event.version)
        assert "姓名" in str(service.tell(uow, event.id, event.version, " ", "6.8"))
