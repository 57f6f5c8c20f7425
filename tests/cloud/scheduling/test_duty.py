"""Duty: who stands where at a moment, over midnight, and nobody in two places."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy import text

from cloud.modules.catalog.models import Section
from cloud.modules.scheduling import queries
from cloud.modules.scheduling.rules import Hours, Stretch, around, day_of, on_duty, overlapping, too_long_alone
from tests.support.lab import Lab

ZONE = ZoneInfo("Asia/Shanghai")
NIGHT, DAY = Hours(time(20), time(8)), Hours(time(8), time(17))


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=ZONE)


def test_the_night_belongs_to_the_day_it_began() -> None:
    night = Stretch(1, NIGHT, date(2026, 11, 23), date(2026, 11, 23))
    assert [on_duty(night, each, ZONE) for each in (at(23, 19, 59), at(23, 20), at(24, 7, 59), at(24, 8))] == [False, True, True, False]
    day = Stretch(1, DAY, date(2026, 11, 23), date(2026, 11, 24))
    assert [on_duty(day, each, ZONE) for each in (at(23, 7), at(23, 8), at(24, 16, 59), at(24, 17), at(25, 9))] == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_overlap_is_found_across_midnight_and_only_for_the_same_person() -> None:
    night = Stretch(1, NIGHT, date(2026, 11, 23), date(2026, 11, 23))

    def clash(hours: Hours, day: int, user: int = 1) -> bool:
        return any(overlapping(Stretch(user, hours, date(2026, 11, day), date(2026, 11, day)), [night], ZONE))

    assert clash(Hours(time(7), time(15)), 24)
    assert not clash(DAY, 24) and not clash(DAY, 23)
    assert clash(Hours(time(17), time(21)), 23)
    assert not clash(Hours(time(7), time(15)), 24, user=2)


def test_a_night_that_runs_is_of_the_day_it_began() -> None:
    found = [day_of(NIGHT, each, ZONE).day for each in (at(23, 12), at(23, 20), at(24, 0), at(24, 7, 59), at(24, 8), at(24, 20))]
    assert found == [23, 23, 23, 23, 24, 24]
    assert [day_of(DAY, each, ZONE).day for each in (at(24, 0), at(24, 8), at(24, 23))] == [24, 24, 24]


def test_what_is_left_around_a_day() -> None:
    first, last = date(2026, 11, 23), date(2026, 11, 25)
    assert around(first, last, date(2026, 11, 24)) == ((first, first), (last, last))
    assert around(first, last, first) == (None, (date(2026, 11, 24), last)) and around(first, last, last) == (
        (first, date(2026, 11, 24)),
        None,
    )
    assert around(first, first, first) == (None, None)


def test_somebody_on_a_long_plan_stands_alone_for_one_night(lab: Lab) -> None:
    """A colleague is ill: the plan of a year had to be taken back and written anew in three pieces, as nobody may stand in two places."""
    lab.clock.set(datetime(2026, 11, 24, 12, 30, tzinfo=UTC))
    tester = lab.users[(lab.a, "tester")]
    with lab.uow() as uow:
        section = Section(code="CHEM", name="生化组")
        uow.s.add(section)
        uow.s.flush()
        section_id = section.id
    leader = lab.client("leader")
    leader.post("/sch/shifts", {"code": "N", "name": "夜班", "start": "20:00", "end": "08:00"})
    with lab.uow() as uow:
        shift = uow.s.execute(text("SELECT id FROM shift")).scalar_one()
    plan = {"user": tester, "section": section_id, "shift": shift, "first": "2026-11-01", "last": "2027-10-31", "phone": "8001"}
    assert leader.post("/sch/duty", plan).status_code == 303
    page = leader.get("/sch/duty").text
    [url] = re.findall(r'action="(/sch/duty/[0-9]+/alone)"', page)
    assert 'name="day" required value="2026-11-24"' in page
    assert page.index("检验者一号") < page.index("<optgroup") < page.index("临床医生一号"), "who works here first"
    for who, day, status in (
        ("scheduler", "2026-11-24", 403), ("leader", "", 422), ("leader", "2026-10-31", 422), ("leader", "2027-11-01", 422)
    ):  # fmt: skip
        assert lab.client(who).post(url, {"day": day}).status_code == status, (who, day)
    assert leader.post(url, {"day": "2026-11-24"}).status_code == 303
    with lab.uow() as uow:
        assert queries.alone(uow, tester, uow.now) == {section_id}
        assert queries.alone(uow, tester, at(25, 7, 59)) == {section_id} and queries.alone(uow, tester, at(25, 8)) == frozenset()
        assert all(queries.alone(uow, tester, moment) == frozenset() for moment in (at(24, 19, 59), at(23, 22), at(25, 22)))
        assert all([d.user_id for d in queries.duty(uow, moment)] == [tester] for moment in (at(23, 22), at(24, 22), at(25, 22)))
        kept = [(d.first.isoformat(), d.last.isoformat(), d.alone, d.phone) for d in queries.planned(uow)]
        said = uow.s.execute(text("SELECT count(*) FROM audit_log WHERE entity = 'duty' AND action IN ('assign', 'shorten')")).scalar()
    assert kept == [
        ("2026-11-01", "2026-11-23", False, "8001"),
        ("2026-11-24", "2026-11-24", True, "8001"),
        ("2026-11-25", "2027-10-31", False, "8001"),
    ]
    assert said == 4
    # The piece itself can only be taken back; the rest of the plan can be split again, on its first day too.
    _before, again = re.findall(r'action="(/sch/duty/[0-9]+/alone)"', leader.get("/sch/duty").text)
    assert again != url and leader.post(again, {"day": "2026-11-25"}).status_code == 303
    assert leader.post(again, {"day": "2026-11-26"}).status_code == 404
    with lab.uow() as uow:
        assert [(d.first.day, d.alone) for d in queries.planned(uow)] == [(1, False), (24, True), (25, True), (26, False)]
        own = uow.s.execute(text("SELECT id FROM duty WHERE last = '2027-10-31' AND cancelled_at IS NULL")).scalar_one()
        uow.s.execute(text("UPDATE duty SET user_id = :u WHERE id = :d"), {"u": lab.users[(lab.a, "leader")], "d": own})
    assert leader.post(f"/sch/duty/{own}/alone", {"day": "2026-11-26"}).status_code == 409, "nobody flags themselves"


def test_nobody_is_alone_for_longer_than_sixteen_hours() -> None:
    day = date(2026, 11, 23)
    assert not too_long_alone(Hours(time(16), time(8)), day, ZONE) and not too_long_alone(NIGHT, day, ZONE)
    assert too_long_alone(Hours(time(16), time(8, 1)), day, ZONE) and too_long_alone(Hours(time(8), time(8)), day, ZONE)


def test_pages_put_on_duty_refuse_overlaps_and_take_back(lab: Lab) -> None:
    lab.clock.set(datetime(2026, 11, 23, 2, 0, tzinfo=UTC))
    with lab.uow() as uow:
        section = Section(code="CHEM", name="生化组")
        uow.s.add(section)
        uow.s.flush()
        section_id = section.id
    leader, user = lab.client("leader"), lab.users[(lab.a, "verifier")]
    assert leader.post("/sch/shifts", {"code": "D", "name": "白班", "start": "08:00", "end": "17:00"}).status_code == 303
    assert leader.post("/sch/shifts", {"code": "D", "name": "白班", "start": "08:00", "end": "17:00"}).status_code == 409
    with lab.uow() as uow:
        shift = uow.s.execute(text("SELECT id FROM shift")).scalar_one()
    form = {"user": user, "section": section_id, "shift": shift, "first": "2026-11-23", "last": "2026-11-25"}
    assert leader.post("/sch/duty", form).status_code == 303
    assert leader.post("/sch/duty", form).status_code == 409
    assert leader.post("/sch/duty", form | {"shift": 99}).status_code == 404
    assert leader.post("/sch/duty", form | {"last": "2026-11-22"}).status_code == 422
    assert lab.client("tester").post("/sch/duty", form).status_code == 403
    alone = form | {"user": lab.users[(lab.a, "leader")], "alone": "1"}
    assert lab.client("scheduler").post("/sch/duty", alone).status_code == 403
    assert leader.post("/sch/duty", alone).status_code == 409  # not for oneself
    assert leader.post("/sch/duty", alone | {"user": lab.users[(lab.a, "tester")]}).status_code == 303
    with lab.uow() as uow:
        assert queries.alone(uow, lab.users[(lab.a, "tester")], uow.now) == {section_id}
        assert queries.alone(uow, user, uow.now) == frozenset()
        uow.s.execute(text("DELETE FROM duty WHERE alone"))
    with lab.uow() as uow:
        assert [d.user_id for d in queries.duty(uow, uow.now, [section_id])] == [user]
        duty = uow.s.execute(text("SELECT id FROM duty")).scalar_one()
    assert "审核者一号" in leader.get("/sch/duty").text
    assert leader.post(f"/sch/duty/{duty}/cancel", {"reason": ""}).status_code == 422
    assert leader.post(f"/sch/duty/{duty}/cancel", {"reason": "病假"}).status_code == 303
    with lab.uow() as uow:
        assert queries.duty(uow, uow.now) == []
    with lab.uow(lab.b) as uow:
        assert queries.planned(uow) == []
