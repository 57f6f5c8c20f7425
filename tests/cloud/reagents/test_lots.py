"""Reagent lots: not on board before they are verified, bound to the moment of measuring, expired on board."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from cloud.modules.reagents import queries, service
from cloud.modules.reagents.rules import TRANSITIONS, LotState, may_move, open_problem, open_until
from common.errors import UserError
from tests.cloud.bench.world import build
from tests.support.lab import Lab

ZONE = ZoneInfo("Asia/Shanghai")


def test_ac_rg_2_an_open_pack_ends_with_its_lot_or_its_stability() -> None:
    opened = datetime(2026, 11, 22, 8, 0, tzinfo=ZONE)
    assert open_until(date(2026, 12, 1), opened, 14, ZONE) == datetime(2026, 12, 1, 23, 59, tzinfo=ZONE)
    assert open_until(date(2027, 3, 31), opened, 14, ZONE) == datetime(2026, 12, 6, 8, 0, tzinfo=ZONE)


def test_states_exhaustively() -> None:
    allowed = {(a, b) for a, to in TRANSITIONS.items() for b in to}
    assert all(may_move(a, b) is ((a, b) in allowed) for a in LotState for b in LotState)
    assert (LotState.QUARANTINE, LotState.AVAILABLE) not in allowed and (LotState.RECALLED, LotState.AVAILABLE) not in allowed


def test_only_verified_and_unexpired_lots_go_on_board() -> None:
    today = date(2026, 11, 22)
    assert open_problem(LotState.AVAILABLE, today, today) is None
    assert open_problem(LotState.AVAILABLE, date(2026, 11, 21), today)
    assert all(open_problem(s, today, today) for s in LotState if s is not LotState.AVAILABLE)


def test_what_was_on_board_when(lab: Lab) -> None:
    lab.clock.set(datetime(2026, 11, 22, 0, 0, tzinfo=UTC))
    world = build(lab)
    item = world.items["K"]
    with lab.uow() as uow:
        with pytest.raises(UserError, match="过期"):
            service.add_lot(uow, "钾", "OLD", date(2026, 11, 21), 14, [item])
        lot = service.add_lot(uow, "钾", "A1", date(2027, 3, 31), 14, [item])
        with pytest.raises(UserError, match="批间验证"):
            service.open_pack(uow, lot.id, world.analyzer)
        service.move_lot(uow, lot.id, LotState.PENDING, "验收单 1")
        with pytest.raises(UserError, match="依据"):
            service.move_lot(uow, lot.id, LotState.AVAILABLE, " ")
        service.move_lot(uow, lot.id, LotState.AVAILABLE, "批间验证 1")
        pack = service.open_pack(uow, lot.id, world.analyzer)
        with pytest.raises(UserError, match="已登记"):
            service.add_lot(uow, "钾", "A1", date(2027, 4, 30), 14, [item])
    opened = lab.clock()
    lab.clock.advance(hours=2)
    with lab.uow() as uow:
        service.remove_pack(uow, pack.id)
    with lab.uow() as uow:
        [found] = queries.on_board(uow, [world.analyzer], opened)[(world.analyzer, item)]
        assert found.lot_no == "A1" and found.usable
        assert [found.at(opened + timedelta(minutes=m)) for m in (-1, 0, 119, 120)] == [False, True, True, False]
        service.move_lot(uow, lot.id, LotState.RECALLED, "召回通知 1")
        uow.s.flush()
        assert not queries.on_board(uow, [world.analyzer], opened)[(world.analyzer, item)][0].usable
    with lab.uow(lab.b) as uow:
        assert queries.on_board(uow, [world.analyzer], opened) == {}
        assert queries.lots(uow) == []


def test_lots_beyond_a_page_are_reached_and_go_on_board(lab: Lab) -> None:
    """Expired ones, of which a cupboard has more every month, stand behind those that may be used and hide none."""
    world = build(lab)
    with lab.uow() as uow:
        lot = service.add_lot(uow, "钾", "NEW", date(2027, 3, 31), 14, [world.items["K"]])
        for to in (LotState.PENDING, LotState.AVAILABLE):
            service.move_lot(uow, lot.id, to, "记录 1")
        old = """INSERT INTO reagent_lot (tenant_id, product, lot_no, expiry, open_days, state)
                 SELECT :t, '旧', 'OLD' || n, date '2020-01-01' + n, 14, 'available' FROM generate_series(1, 230) n"""
        uow.s.execute(text(old), {"t": lab.a})
    tester = lab.client("tester")
    first, last = tester.get("/rg/open").text, tester.get("/rg/open?from=200").text
    assert "NEW" in first and "1–100" in first and 'href="/rg/open?from=100"' in first and "上一页" not in first
    assert "OLD230" in last and "201–231" in last and 'href="/rg/open?from=100"' in last and "下一页" not in last
    assert f'<option value="{lot.id}">' in last and last.count("OLD230") == 1


def test_pages(lab: Lab) -> None:
    world = build(lab)
    leader, tester = lab.client("leader"), lab.client("tester")
    form = {"product": "钾", "lot_no": "A1", "expiry": "2199-01-01", "open_days": "14", "items": world.items["K"]}
    assert tester.post("/rg/lots", form).status_code == 303
    assert tester.post("/rg/lots", form | {"expiry": "x"}).status_code == 422
    with lab.uow() as uow:
        lot = queries.lots(uow)[0].id
    assert tester.post(f"/rg/lots/{lot}", {"to": "pending_verify", "evidence": "x"}).status_code == 403
    for to in ("pending_verify", "available"):
        assert leader.post(f"/rg/lots/{lot}", {"to": to, "evidence": "记录 1"}).status_code == 303
    assert tester.post("/rg/open", {"lot": lot, "analyzer": world.analyzer}).status_code == 303
    assert "生化仪一号" in tester.get("/rg/open").text
    with lab.uow() as uow:
        pack = queries.packs(uow)[0].id
    assert tester.post(f"/rg/open/{pack}/remove").status_code == 303
    assert tester.post(f"/rg/open/{pack}/remove").status_code == 409
