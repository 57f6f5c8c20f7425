"""M10 *Bad input*, a test a line of the specification, on its pages: refused in words, nothing typed is lost, no clock stops."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from cloud.modules.critical import queries
from tests.cloud.bench.world import World, build
from tests.cloud.critical.test_critical import FOUND, call, confirmed, state, version
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer


@pytest.fixture(scope="module")
def world(pg: TestServer, schema_template: TestDatabase) -> Iterator[World]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    world = build(lab)
    lab.clock.set(FOUND)
    yield world
    lab.db.dispose()
    pg.drop(made.name)


def refused_call(world: World, more: dict[str, str], words: str, attempts: int = 0) -> str:
    """A call that does not count: the page with its reason, and the event as untold as before."""
    event = confirmed(world)
    form = call() | more | {"version": version(world, event)}
    answer = world.lab.client("tester").post(f"/critical/phone/{event}", form, htmx=True)
    assert answer.status_code == 200 and words in answer.text and answer.headers["HX-Trigger"] == '{"sound":"bad"}'
    with world.lab.uow() as uow:
        line = queries.one(uow, event)
        assert line is not None and line.event.received_at is None and state(world, event) in ("confirmed", "notifying")
        assert len(line.told_by("phone")) == attempts
    return answer.text


def test_m10_bad_input_read_back_mismatch(world: World) -> None:
    """read-back mismatch: the attempt is kept, the value is asked for anew"""
    page = refused_call(world, {"readback": "5.8"}, "复述“5.8”与危急值 6.8 不一致，未登记为已接收。请重新告知并再次复述。", attempts=1)
    assert 'value="王护士"' in page and 'name="readback" value=""' in page


def test_m10_bad_input_receiver_name_missing(world: World) -> None:
    """receiver name missing"""
    page = refused_call(world, {"receiver": " "}, "请填写接听人的姓名，再登记。")
    assert 'name="readback" value="6.8"' in page and 'value="内科一病区"' in page


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("2026-05-04T10:01:59", "接收时间早于发现时间，请核对后再登记。"),
        ("2026-05-04T10:30:00", "接收时间在将来，请核对后再登记。"),
    ],
)
def test_m10_bad_input_time_of_receipt_before_found_is_refused(world: World, at: str, words: str) -> None:
    """time of receipt before found → refuse; nor may it lie in the future"""
    page = refused_call(world, {"at": at}, words)
    assert f'value="{at}"' in page and "<details open>" in page and 'name="readback" value="6.8"' in page


def test_m10_bad_input_limit_low_above_high(world: World) -> None:
    """limit low>high: refused where limits are made, with everything typed"""
    form = {"item": "NA", "dept_class": "ICU", "low": "160", "high": "120", "age_unit": "year", "reason": "ICU 单列"}
    answer = world.lab.client("leader").post("/md/edit/critical/0", form)
    assert answer.status_code == 422 and "危急值下限 160 不小于上限 120。" in answer.text
    assert all(f'value="{each}"' in answer.text for each in ("160", "120", "ICU", "ICU 单列"))
    with world.lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM catalog_change")).scalar_one() == 0
