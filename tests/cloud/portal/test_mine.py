"""The clinician's list of the own wards: nothing unread is hidden behind what was read, and its number is that of the start page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from cloud.modules.catalog import service as catalog
from cloud.modules.portal import queries
from tests.cloud.bench.world import World, build
from tests.cloud.reports.test_pages import released
from tests.support import lab as labs
from tests.support.database import TestDatabase
from tests.support.lab import Client

HIGH = {"K": "6.0", "NA": "140", "GLU": "5.0", "CREA": "80"}


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = labs.make(fresh_db, labs.Clock())
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET wards = '{内科一病区}' WHERE employee_no IN ('clinician1', 'nurse1')"))
    yield build(lab)
    lab.db.dispose()


def unread(client: Client) -> int:
    """What the start page says."""
    found = re.search(r'href="/clinic\?show=unread"><b class="n">\D*(\d+)</b>', client.get("/").text)
    return int(found[1]) if found else 0


def listed(client: Client, show: str) -> list[str]:
    """The reports of the list, in its order."""
    return re.findall(r'href="/clinic/report/(\w+)"', client.get(f"/clinic?show={show}").text)


def test_what_is_unread_stands_on_the_page_before_what_was_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "PAGE", 2)
    told = []
    for _ in range(4):
        told.append(released(world))
        world.lab.clock.advance(minutes=1)
    doctor = world.lab.client("clinician")
    assert unread(doctor) == 4
    assert "未读的共 4 份" in doctor.get("/clinic").text
    for no in told[2:]:
        assert doctor.get(f"/clinic/report/{no}").status_code == 200
    # The newest two were read: the older two are what the page is for.
    assert unread(doctor) == 2
    assert listed(doctor, "unread") == listed(doctor, "all") == [told[1], told[0]]
    for no in told[:2]:
        doctor.get(f"/clinic/report/{no}")
    assert unread(doctor) == 0 and listed(doctor, "unread") == []
    assert listed(doctor, "all") == [told[3], told[2]]
    # The list is of the last seven days, and so is its number; another ward has neither.
    world.lab.clock.advance(days=8)
    assert listed(world.lab.client("clinician"), "all") == []


def test_a_report_older_than_the_list_is_not_counted(world: World) -> None:
    no = released(world)
    world.lab.clock.advance(days=6, hours=23)
    assert (unread(world.lab.client("clinician")), listed(world.lab.client("clinician"), "unread")) == (1, [no])
    world.lab.clock.advance(hours=2)
    assert (unread(world.lab.client("clinician")), listed(world.lab.client("clinician"), "unread")) == (0, [])


def test_an_amended_report_is_news_for_whoever_read_the_first(world: World) -> None:
    no = released(world)
    doctor = world.lab.client("clinician")
    doctor.get(f"/clinic/report/{no}")
    with world.lab.uow() as uow:
        uow.s.execute(
            text(
                "INSERT INTO report_notice (tenant_id, report_id, version_no, user_id, at, kind) "
                "SELECT r.tenant_id, r.id, r.current_no, u.id, :now, 'changed' FROM report r "
                "JOIN app_user u ON u.tenant_id = r.tenant_id AND u.employee_no = 'clinician1'"
            ),
            {"now": uow.now},
        )
    assert unread(doctor) == 1 and listed(doctor, "unread") == [no]


def test_of_what_may_not_be_seen_no_filter_tells_that_it_is_abnormal(world: World) -> None:
    plain, secret = released(world, HIGH), released(world, HIGH | {"K": "6.0", "GLU": "9.9"})
    assert set(listed(world.lab.client("nurse"), "abnormal")) == {plain, secret}
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE test_item SET sensitive = true WHERE code = 'GLU'"))
        catalog.changed(uow)
    # Each tube has the item: of none the nurse learns whether something is remarkable.
    assert listed(world.lab.client("nurse"), "abnormal") == []
    assert set(listed(world.lab.client("clinician"), "abnormal")) == {plain, secret}
    assert set(listed(world.lab.client("nurse"), "all")) == {plain, secret}


def test_a_correction_stands_on_the_start_page_until_it_is_acknowledged_however_old_the_report(world: World) -> None:
    """Among a hundred unread reports nobody saw that the one already acted on had been corrected."""

    def waits(client: Client) -> int:
        found = re.search(r'href="/clinic\?show=corrected"><b class="n">\D*(\d+)</b>', client.get("/").text)
        return int(found[1]) if found else 0

    no, other = released(world), released(world)
    doctor, nurse = world.lab.client("clinician"), world.lab.client("nurse")
    for seen in (no, other):
        assert doctor.get(f"/clinic/report/{seen}").status_code == 200
    assert (waits(doctor), listed(doctor, "corrected")) == (0, [])
    world.lab.clock.advance(days=8)
    senior = world.lab.client("senior")
    world.lab.sign(senior)
    form = {"version": 1, f"v-{world.items['GLU']}": "13.2", "reason": "result", "why": "小数点录入错误"}
    assert senior.post(f"/reports/{no}/amend", form, htmx=True).status_code == 204
    doctor, nurse = world.lab.client("clinician"), world.lab.client("nurse")
    assert (waits(doctor), listed(doctor, "corrected")) == (1, [no])
    assert (waits(nurse), listed(nurse, "corrected")) == (0, []), "who never saw it reads the right one first"
    assert doctor.post(f"/clinic/report/{no}/ack", htmx=True).status_code < 400
    assert (waits(doctor), listed(doctor, "corrected")) == (0, [])
