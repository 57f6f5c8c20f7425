"""Calibrations and faults: what counts at a moment, what is refused, what the pages do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from cloud.modules.equipment import queries, service
from cloud.modules.equipment.rules import Calibrated, holds, in_force, next_due
from common.errors import UserError
from tests.cloud.bench.world import build
from tests.support.lab import Lab

T0 = datetime(2026, 11, 1, tzinfo=UTC)


def test_ac_eqp_1_due_is_last_plus_interval() -> None:
    assert next_due(date(2025, 11, 30), 12) == date(2026, 11, 30)
    assert next_due(date(2026, 11, 30), 12) == date(2027, 11, 30)
    assert next_due(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert next_due(date(2026, 12, 15), 1) == date(2027, 1, 15)


def test_the_latest_calibration_counts_passed_or_not() -> None:
    def made(n: int, item: int | None, days: int, passed: bool = True) -> Calibrated:
        return Calibrated(n, item, T0 + timedelta(days=days), T0 + timedelta(days=days + 10), passed)

    whole, own, failed, other = made(1, None, 0), made(2, 7, 2), made(3, 7, 4, False), made(4, 8, 5)
    every = [whole, own, failed, other]
    assert in_force(every, 7, T0 - timedelta(seconds=1)) is None
    assert in_force(every, 7, T0) is whole
    assert in_force(every, 7, T0 + timedelta(days=3)) is own
    assert in_force(every, 7, T0 + timedelta(days=6)) is failed
    assert not holds(failed, T0 + timedelta(days=6)) and not holds(None, T0)
    assert holds(own, own.valid_until) and not holds(own, own.valid_until + timedelta(seconds=1))


def test_calibrations_and_faults_of_an_analyzer(lab: Lab) -> None:
    lab.clock.set(datetime(2026, 11, 22, 0, 0, tzinfo=UTC))
    world = build(lab)
    with lab.uow() as uow:
        now = uow.now
        with pytest.raises(UserError, match="晚于现在"):
            service.calibrate(uow, world.analyzer, None, "C1", now + timedelta(hours=1), now + timedelta(days=9), True)
        with pytest.raises(UserError, match="有效期"):
            service.calibrate(uow, world.analyzer, None, "C1", now, now, True)
        service.calibrate(uow, world.analyzer, None, "C1", now, now + timedelta(days=9), True)
        with pytest.raises(UserError, match="已用过"):
            service.calibrate(uow, world.analyzer, None, "C1", now, now + timedelta(days=9), True)
        fault = service.report_fault(uow, world.analyzer, "吸样针堵塞")
        found = queries.calibrations(uow, [world.analyzer])[world.analyzer]
        assert holds(in_force(found, world.items["K"], now), now)
    lab.clock.advance(hours=1)
    with lab.uow() as uow:
        service.end_fault(uow, fault.id, "更换后验证合格")
        uow.s.flush()
        [seen] = queries.faults(uow, [world.analyzer], now)[world.analyzer]
        assert [seen.at(now + timedelta(minutes=m)) for m in (-1, 0, 59, 60)] == [False, True, True, False]
        with pytest.raises(UserError, match="已结束"):
            service.end_fault(uow, fault.id, "再次")
    with lab.uow(lab.b) as uow:
        assert queries.calibrations(uow, [world.analyzer]) == {} and queries.open_faults(uow) == []


def test_pages(lab: Lab) -> None:
    world = build(lab)
    tester = lab.client("tester")
    form = {"analyzer": world.analyzer, "item": "", "certificate": "C9", "done_at": "2026-01-01T08:00", "valid_until": "2199-01-01T08:00"}
    assert tester.post("/eq/calibrations", form | {"passed": "1"}).status_code == 303
    assert tester.post("/eq/calibrations", form | {"passed": "1"}).status_code == 409
    assert tester.post("/eq/calibrations", form | {"done_at": ""}).status_code == 422
    assert tester.post("/eq/faults", {"analyzer": world.analyzer, "symptom": ""}).status_code == 422
    assert tester.post("/eq/faults", {"analyzer": world.analyzer, "symptom": "漏液"}).status_code == 303
    shown = tester.get("/eq/due").text
    assert "C9" in shown and "漏液" in shown
    with lab.uow() as uow:
        fault = queries.open_faults(uow)[0].id
    assert tester.post(f"/eq/faults/{fault}/end", {"repair": "已换"}).status_code == 303
    assert lab.client("nurse").get("/eq/due").status_code == 403
