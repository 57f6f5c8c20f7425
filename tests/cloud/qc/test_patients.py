"""Patient-based control hour by hour, the chart on paper, and TEa from the master data."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from pypdf import PdfReader
from sqlalchemy import text

from cloud import relay
from cloud.modules.catalog import service as catalog
from cloud.modules.platform.models import Alert
from cloud.modules.qc import charts, moving, patients, queries
from cloud.modules.qc.models import QcMovingPoint
from cloud.worker import all_handlers
from common.errors import UserError
from tests.cloud.bench.world import build
from tests.cloud.qc.shop import T0, D, Shop, open_shop
from tests.support import lab as labs
from tests.support.database import TestDatabase

HOUR = timedelta(hours=1)


@pytest.fixture
def shop(fresh_db: TestDatabase) -> Iterator[Shop]:
    lab = labs.make(fresh_db, labs.Clock(T0))
    made = open_shop(build(lab))
    yield made
    lab.db.dispose()


def numbers(words: str) -> list[Decimal]:
    return [D(w) for w in words.split()]


def measured(shop: Shop, *values: str) -> None:
    """A patient's potassium each, at the clock's time."""
    world = shop.world
    with world.lab.uow() as uow:
        for value in values:
            world.send(uow, world.tube(uow), {"K": value}, uow.now)


def hours(shop: Shop) -> list[tuple[int, Decimal | None, bool]]:
    with shop.world.lab.uow() as uow:
        return [(r.n, r.value, r.out) for r in uow.s.query(QcMovingPoint).order_by(QcMovingPoint.hour)]


def work(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        patients.work(uow)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"low": D(5)}, "控制下限 5 不小于控制上限 5"),
        ({"size": 1}, "窗口人数"),
        ({"weight": D(0)}, "权重"),
        ({"weight": D("1.01")}, "权重"),
        ({"trunc_low": D(4), "trunc_high": D(4)}, "截断下限"),
        ({"high": D("NaN")}, "普通的数字"),
        ({}, None),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_words(change: dict[str, Decimal], words: str | None) -> None:
    setting = moving.Setting(**({"kind": moving.Kind.AVERAGE, "low": D(3), "high": D(5)} | change))
    found = moving.problem(setting)
    assert found is None if words is None else found is not None and words in found


def test_what_an_hour_adds_is_what_the_whole_row_would_give() -> None:
    row = numbers("4.1 4.3 9.9 3.9 4.0 4.4 4.2 3.8")
    for kind in moving.Kind:
        setting = moving.Setting(kind, D(3), D(5), size=3, weight=D("0.2"), trunc_high=D(9))
        z, earlier = None, list[Decimal]()
        for cut in (row[:2], row[2:3], row[3:6], row[6:]):
            z = moving.at_the_end(earlier, cut, z, setting)
            earlier += cut
            whole = moving.smooth(earlier, setting)
            assert z == (whole[-1] if whole else None), kind


def test_patients_are_smoothed_hour_by_hour_told_and_cleared(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        patients.save(uow, shop.plans["K"], moving.Setting(moving.Kind.AVERAGE, D("3.8"), D("4.4"), size=3, trunc_high=D(8)), True, None)
    measured(shop, "4.0", "4.1", "<2.0")
    work(shop)
    assert hours(shop) == [], "an hour that has not ended says nothing"
    lab.clock.advance(hours=1)
    work(shop)
    work(shop)
    assert hours(shop) == [(2, None, False)], "two of three patients, and the censored one does not count"
    measured(shop, "4.2", "8.9")
    lab.clock.advance(hours=1)
    work(shop)
    assert hours(shop)[-1] == (2, D("4.1"), False)
    lab.clock.advance(hours=3)
    work(shop)
    assert len(hours(shop)) == 2, "hours without patients have no point"
    measured(shop, "4.9", "4.8")
    lab.clock.advance(hours=1)
    work(shop)
    with lab.uow() as uow:
        told = uow.s.query(Alert).filter_by(kind="qc.moving").one()
        assert told.cleared_at is None and told.fields["value"] == "4.633"
        pair = (shop.world.items["K"], shop.world.analyzer)
        assert queries.moving_out(uow, [pair]) == {pair}, "M08 category 5 reads this"
    assert "✕ 超出界限" in lab.client("tester").get("/qc/moving").text
    measured(shop, "4.0", "3.9", "4.1")
    lab.clock.advance(hours=1)
    work(shop)
    with lab.uow() as uow:
        assert uow.s.query(Alert).filter_by(kind="qc.moving").one().cleared_at is not None
        assert queries.moving_out(uow, [pair]) == set()


def test_the_page_sets_it_suggests_limits_and_shows_a_stale_save(shop: Shop) -> None:
    lab, plan = shop.world.lab, shop.plans["K"]
    measured(shop, *(f"{4 + n % 7 / 10}" for n in range(101)))
    lab.clock.advance(minutes=1)
    leader = lab.client("leader")
    shown = leader.get(f"/qc/moving?plan={plan}").text
    assert "按近 30 天患者结果" in shown and 'name="version" value=""' in shown
    form = {"plan": plan, "kind": "ewma", "size": 20, "weight": "0.2", "low": "3.9", "high": "4.5", "active": "1", "version": ""}
    assert lab.client("tester").post("/qc/moving", form).status_code == 403
    refused = leader.post("/qc/moving", form | {"low": "4.6"}, htmx=True)
    assert refused.status_code == 422 and "控制下限 4.6 不小于控制上限 4.5" in refused.text
    assert leader.post("/qc/moving", form | {"low": ""}, htmx=True).status_code == 422
    assert leader.post("/qc/moving", form).status_code == 303
    assert "EWMA" in leader.get("/qc/moving").text
    stale = leader.post("/qc/moving", form | {"high": "4.6"}, htmx=True)
    assert stale.status_code == 409 and "已被他人修改" in stale.text


def test_the_chart_prints_with_figures_faults_and_room_for_a_signature(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        for n in range(5):
            shop.good(uow, "K", T0 + n * 20 * HOUR)
        shop.bad(uow, "K", T0 + 100 * HOUR)
    lab.clock.set(T0 + timedelta(days=10))
    reader = lab.client("tester")
    for view, words in (("lj", "L-J 图"), ("z", "Z 分数图"), ("youden", "Youden 图")):
        asked = reader.post("/qc/lj/print", {"plan": shop.plans["K"], "month": "2026-05", "view": view})
        assert asked.status_code == 303
        relay.drain(lab.db, lab.a, all_handlers())
        made = reader.get(f"{asked.headers['Location']}/file")
        assert made.status_code == 200, reader.get(asked.headers["Location"]).text
        pages = PdfReader(io.BytesIO(made.data)).pages
        said = pages[0].extract_text()
        assert words in said and "组长审核" in said and "甲医院" in said and "1-3s(L1)" in said and len(pages) == 1
    assert reader.post("/qc/lj/print", {"plan": 999}).status_code == 404


def test_tea_of_the_master_data_counts_where_the_plan_has_none(shop: Shop) -> None:
    """Piecewise: 0.2 up to 4.5, 6 % above; level 1 (4.00) is judged by the first step, level 2 (6.50) by the second."""
    lab = shop.world.lab
    with lab.uow() as uow:
        tea = """'{"steps": [{"to": "4.5", "abs": "0.2"}, {"pct": "6.0"}]}'"""
        uow.s.execute(text(f"UPDATE test_item SET tea = {tea} WHERE code = 'K'"))
        catalog.changed(uow)
        uow.s.execute(text("UPDATE qc_plan SET tea_percent = NULL, bias_percent = 1"))
        for n in range(12):
            shop.good(uow, "K", T0 - timedelta(days=n) - timedelta(hours=n % 2))
    with lab.uow() as uow:
        found = {r.level: r for r in queries.sigma_rows(uow)}
        tea1, tea2 = found[1].tea, found[2].tea
        assert tea1 is not None and tea2 is not None and abs(tea1 - 5) < D("0.05") and tea2 == 6
        assert found[1].sigma is not None
        drawn = charts.draw(uow, shop.plan(uow, "K"), charts.Asked.of("2026-05", "lj", uow.now))
        assert {x.panel.level: x.tea for x in drawn.levels} == {1: D("5"), 2: D("6")}
        assert "+TEa" in drawn.picture and "TEa ±0.2" in drawn.picture


def test_a_plan_that_is_not_there(shop: Shop) -> None:
    with shop.world.lab.uow() as uow, pytest.raises(UserError, match="质控计划不存在"):
        patients.save(uow, 999, moving.Setting(moving.Kind.MEDIAN, D(3), D(5)), True, None)
