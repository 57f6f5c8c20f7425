"""08:00: calibrations that hold no longer, or soon will not, are told, one alert an analyzer (automation calendar)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloud.modules.catalog import queries as md
from cloud.modules.equipment import service, watch
from cloud.modules.equipment.rules import SOON, Calibrated, Perm, lapsing
from cloud.modules.platform import alerts
from tests.cloud.bench.world import World, build
from tests.support.lab import Lab

NOW = datetime(2026, 5, 4, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def done(id_: int, item: int | None, days_ago: float, valid: timedelta, passed: bool = True) -> Calibrated:
    return Calibrated(id_, item, NOW - days_ago * DAY, NOW + valid, passed)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ([], (0, 0, None)),
        ([done(1, 7, 1, SOON)], (0, 0, None)),
        ([done(1, 7, 1, SOON - timedelta(seconds=1))], (0, 1, NOW + SOON - timedelta(seconds=1))),
        ([done(1, 7, 1, timedelta(0))], (0, 1, NOW)),
        ([done(1, 7, 1, -timedelta(seconds=1))], (1, 0, None)),
        ([done(1, 7, 1, 90 * DAY, passed=False)], (1, 0, None)),
        # A later one, of the item or of all, stands for it; an earlier one of all does not.
        ([done(1, 7, 9, -DAY), done(2, 7, 1, 90 * DAY)], (0, 0, None)),
        ([done(1, 7, 9, -DAY), done(2, None, 1, 90 * DAY)], (0, 0, None)),
        ([done(1, None, 9, 90 * DAY), done(2, 7, 1, -DAY)], (1, 0, None)),
        # One of all that is over is one, however many items it stands for.
        ([done(1, None, 1, -DAY), done(2, 7, 9, 90 * DAY), done(3, 8, 9, 90 * DAY)], (1, 0, None)),
        ([done(1, 7, 1, 3 * DAY), done(2, 8, 1, 2 * DAY), done(3, 9, 1, -DAY)], (1, 2, NOW + 2 * DAY)),
        # Not done yet: no calibration.
        ([done(1, 7, -1, 90 * DAY)], (0, 0, None)),
    ],
)
def test_what_ends(found: list[Calibrated], wanted: tuple[int, int, datetime | None]) -> None:
    assert lapsing(found, NOW) == wanted


def told(world: World) -> list[tuple[str, int, dict[str, object]]]:
    with world.lab.uow() as uow:
        watch.look(uow)
        found = alerts.visible(uow, frozenset({str(Perm.READ)}))
        return [(a.message, a.level, a.fields) for a in found if a.kind == watch.KIND]


def test_it_is_told_until_it_is_calibrated_again(lab: Lab) -> None:
    world = build(lab)
    analyzer_id = world.analyzer
    with world.lab.uow() as uow:
        name = md.catalog(uow).analyzers[analyzer_id].name
        service.calibrate(uow, analyzer_id, None, "C1", uow.now - 10 * DAY, uow.now + 3 * DAY - timedelta(hours=1), True)
    [(words, level, fields)] = told(world)
    assert "天内到期" in words and level == alerts.Level.NOTICE and fields == {"analyzer": name, "n": 1, "days": 3}
    assert name in world.lab.client("tester").get("/alerts").text
    with world.lab.uow() as uow:
        service.calibrate(uow, analyzer_id, None, "C2", uow.now - DAY, uow.now + 300 * DAY, False)
    [(words, level, fields)] = told(world)
    assert "未通过" in words and level == alerts.Level.WARNING and fields == {"analyzer": name, "n": 1}
    with world.lab.uow() as uow:
        service.calibrate(uow, analyzer_id, None, "C3", uow.now - timedelta(hours=1), uow.now + 300 * DAY, True)
    assert told(world) == []
