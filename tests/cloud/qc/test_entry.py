"""Control values typed by people and sent by analyzers: what they come to, what stays listed."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import models as catalog
from cloud.modules.platform.models import Alert
from cloud.modules.qc import intake, plans, record
from cloud.modules.qc.rules import RunState
from cloud.relay import drain
from cloud.worker import all_handlers
from tests.cloud.qc.shop import DAY, HOUR, NOON, T0, D, Shop, count, fields


def test_typed_values_are_judged_and_a_rejection_points_to_its_work(shop: Shop) -> None:
    tester = shop.world.lab.client("tester")
    shown = tester.get("/qc/entry").text
    assert shown.count("data-next") == 4 and "4.00 ± 0.10" in shown
    good = tester.post("/qc/entry", fields(shop, K1="4.02", K2="6.52"), htmx=True)
    assert "✓ 在控 项目K" in good.text and '"ok"' in good.headers["HX-Trigger"]
    bad = tester.post("/qc/entry", fields(shop, NA1="131", NA2="145"), htmx=True)
    assert "✕ 失控 项目NA" in bad.text and "1-3s(L1)" in bad.text and "/qc/ooc/" in bad.text and '"bad"' in bad.headers["HX-Trigger"]
    board = tester.get("/qc/today").text
    assert "✕ 失控" in board and "✓ 在控" in board
    with shop.world.lab.uow() as uow:
        assert uow.s.query(Alert).filter_by(kind="qc.rejected").one().fields["rules"] == "1-3s(L1)"


def test_a_warning_is_told_until_a_run_is_in_control_or_rejected(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        for hours, value, open_ones in (
            (0, "4.22", {"qc.warning": "1-2s(L1)"}),
            (2, "4.02", {}),
            (4, "4.22", {"qc.warning": "1-2s(L1)"}),
            (6, "4.45", {"qc.rejected": "1-3s(L1)、2-2s(L1)"}),
        ):
            shop.run(uow, "K", NOON + hours * HOUR, {1: value, 2: "6.50"})
            told = {a.kind: a.fields["rules"] for a in uow.s.query(Alert) if a.cleared_at is None}
            assert told == open_ones, hours
            uow.s.expire_all()


@pytest.mark.parametrize(("value", "words"), [("4,02", "4,02"), ("abc", "abc"), ("<4", "不能带"), ("", "还没有填写")])
def test_bad_values_are_named_and_nothing_is_stored(shop: Shop, value: str, words: str) -> None:
    answer = shop.world.lab.client("tester").post("/qc/entry", fields(shop, K1=value), htmx=True)
    assert answer.status_code == 422 and words in answer.text and count(shop) == 0


def test_a_new_lot_without_a_target_is_collected_and_judges_nothing(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        lot = plans.add_material(uow, plans.NewMaterial("QC-L1", "化学质控（虚构）水平1", 1, "LOT9"))
        run = record.record(uow, [record.Measured(shop.plans["K"], lot.id, 1, NOON, "9.99", D("9.99"), "manual")])[0]
        assert uow.s.execute(text("SELECT state FROM qc_run WHERE id = :i"), {"i": run}).scalar_one() == RunState.TRIAL
    assert count(shop, "qc_ooc") == 0
    assert "新批号，只积累不判断" in shop.world.lab.client("tester").get("/qc/entry").text


def observe(uow: UnitOfWork, analyzer: int, rows: list[tuple[str, str, str]], at: datetime, first: int = 0) -> list[int]:
    """Control observations as the edge stores them; their ids."""
    raw = uow.s.execute(text("SELECT id FROM raw_message LIMIT 1")).scalar()
    if raw is None:
        agent = uow.s.execute(text("INSERT INTO agent (tenant_id, uuid, name) VALUES (1, 'u', 'a') RETURNING id")).scalar_one()
        insert = (
            "INSERT INTO raw_message (tenant_id, agent_id, stream_uuid, seq, sha256, conn_key, received_at, body, meta, state) "
            "VALUES (1, :a, 's', 1, 'x', 'c', :now, '', '{}', 'interpreted') RETURNING id"
        )
        raw = uow.s.execute(text(insert), {"a": agent, "now": at}).scalar_one()
    out = []
    for n, (material, code, value) in enumerate(rows, first):
        insert = (
            "INSERT INTO observation (tenant_id, raw_message_id, idx, analyzer_id, specimen_text, code, value, received_at, state) "
            "VALUES (1, :raw, :n, :a, :m, :c, :v, :now, 'qc') RETURNING id"
        )
        params = {"raw": raw, "n": n, "a": analyzer, "m": material, "c": code, "v": value, "now": at}
        out.append(uow.s.execute(text(insert), params).scalar_one())
    return out


def test_what_analyzers_say_of_control_material_becomes_runs_once_and_the_rest_stays_listed(shop: Shop) -> None:
    lab, world = shop.world.lab, shop.world
    with lab.uow() as uow:
        uow.s.add(catalog.AnalyzerItemMap(analyzer_id=world.analyzer, channel_code="51", item_id=world.items["K"], factor=D("0.1")))
        ids = observe(
            uow, world.analyzer, [("qc-l1", "51", "40.1"), ("QC-L2", "51", "65.2"), ("QC-L9", "51", "1"), ("QC-L1", "99", "1")], NOON
        )
        told = {"observations": [[i, (NOON - HOUR).isoformat()] for i in ids]}
        uow.emit("qc.observed", "qc:a1", told)
        uow.emit("qc.observed", "qc:a1", told)
    drain(lab.db, 1, all_handlers())
    with lab.uow() as uow:
        rows = uow.s.execute(text("SELECT level, value, at, z FROM qc_result ORDER BY level")).all()
        assert [(r.level, r.value, r.at) for r in rows] == [(1, D("4.01"), NOON - HOUR), (2, D("6.52"), NOON - HOUR)]
        assert uow.s.execute(text("SELECT state FROM qc_run")).scalar_one() == RunState.IN_CONTROL
        assert [each.why for each in intake.unplaced(uow, NOON - DAY)] == ["通道代码未对照", "质控品编号未登记"]
        plans.add_material(uow, plans.NewMaterial("QC-L9", "另一种（虚构）", 1, "X1"))
    tester = lab.client("tester")
    assert "通道代码未对照" in tester.get("/qc/today").text
    tester.post("/qc/today/again")
    with lab.uow() as uow:
        assert [each.why for each in intake.unplaced(uow, NOON - DAY)] == ["通道代码未对照"]


def test_two_lots_under_one_code_are_told_apart_by_the_barcode_or_by_a_person(shop: Shop) -> None:
    """Never by which was registered last: the old lot goes on while the new one is measured in."""
    lab, world = shop.world.lab, shop.world
    with lab.uow() as uow:
        for code, item in (("K", "K"), ("NA", "NA")):
            uow.s.add(catalog.AnalyzerItemMap(analyzer_id=world.analyzer, channel_code=code, item_id=world.items[item]))
        new = plans.add_material(uow, plans.NewMaterial("QC-L1", "化学质控（虚构）水平1", 1, "LOT1B")).id
        old = shop.materials[1]
        rows = [
            ("QC-L1^lot1", "K", "4.01"),
            ("QC-L1-LOT1B", "K", "4.05"),
            ("LOT1", "NA", "125"),
            ("QC-L1", "K", "4.00"),
            ("QC-L1", "NA", "126"),
        ]
        one = observe(uow, world.analyzer, rows, NOON)
        intake.take(uow, {"observations": [[i, (NOON - HOUR).isoformat()] for i in one]})
        placed = uow.s.execute(text("SELECT observation_id, material_id FROM qc_result ORDER BY observation_id")).all()
        assert [tuple(row) for row in placed] == [(one[0], old), (one[1], new), (one[2], old)]
        assert [(u.why, {m.id for m in u.lots}) for u in intake.unplaced(uow, NOON - DAY)] == [(intake.SEVERAL, {old, new})] * 2
        uow.s.execute(text("UPDATE observation SET time_text = '20260504110000' WHERE id = ANY(:ids)"), {"ids": one})
        assert intake.take_again(uow) == 0
    tester = lab.client("tester")
    shown = tester.get("/qc/today").text
    assert shown.count('action="/qc/today/lot"') == 2 and "LOT1B L1" in shown
    form = {"observation": str(one[3]), "material": str(shop.materials[2])}
    assert tester.post("/qc/today/lot", form, htmx=True).status_code == 409
    assert tester.post("/qc/today/lot", {"observation": str(one[3])}, htmx=True).status_code == 422
    form["material"] = str(old)
    tester.post("/qc/today/lot", form)
    assert tester.post("/qc/today/lot", form, htmx=True).status_code == 409
    with lab.uow() as uow:
        found = uow.s.execute(text("SELECT observation_id, material_id, at FROM qc_result ORDER BY id DESC LIMIT 2")).all()
        # Both of one message, at the hour they were measured.
        assert {tuple(row) for row in found} == {(i, old, NOON - HOUR) for i in one[3:]}
        assert intake.unplaced(uow, NOON - DAY) == []


def test_what_is_placed_later_counts_when_it_was_measured(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        (one,) = observe(uow, shop.world.analyzer, [("QC-L1", "K", "4.0")], NOON)
        uow.s.execute(text("UPDATE observation SET time_text = '202605040830' WHERE id = :i"), {"i": one})
        assert intake.take_again(uow) == 0
        uow.s.add(catalog.AnalyzerItemMap(analyzer_id=shop.world.analyzer, channel_code="K", item_id=shop.world.items["K"]))
        uow.s.flush()
        assert intake.take_again(uow) == 1
        assert uow.s.execute(text("SELECT at FROM qc_result")).scalar_one() == T0 + HOUR / 2


def test_a_future_time_of_an_analyzer_is_not_believed(shop: Shop) -> None:
    with shop.world.lab.uow() as uow:
        uow.s.add(catalog.AnalyzerItemMap(analyzer_id=shop.world.analyzer, channel_code="K", item_id=shop.world.items["K"]))
        uow.s.flush()
        (one,) = observe(uow, shop.world.analyzer, [("QC-L1", "K", "4.0")], NOON)
        intake.take(uow, {"observations": [[one, (NOON + DAY).isoformat()]]})
        row = uow.s.execute(text("SELECT at, note FROM qc_result")).one()
        assert row.at == NOON and "晚于接收" in row.note
