"""From a signed envelope to the bench: stored once, placed right, receipted after COMMIT."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text

from cloud.modules.bench import queries as bench
from cloud.modules.bench import service as benching
from cloud.modules.edge import comparing
from cloud.modules.qc import plans
from cloud.modules.qc.plans import NewMaterial
from common import crypto
from tests.cloud.edge.world import Edge, astm

NORMAL = {"K": "4.1", "Na": "140", "GLU": "5.00", "CREA": "80"}


def test_results_reach_the_tube_and_are_receipted(edge: Edge) -> None:
    barcode = edge.tube()
    message = edge.agent.raw(astm(barcode, NORMAL))
    edge.take(message)
    assert edge.current(barcode) == {"K": "4.1", "NA": "140", "GLU": "5.00", "CREA": "80"}
    assert {f[3] for f in edge.fates()} == {"matched"}
    assert edge.receipts() == {(edge.agent.stream, 1): crypto.sha256_hex(astm(barcode, NORMAL))}
    assert edge.wire.acked == [message]


def test_ac_ed_2_the_same_message_twice_is_one_result(edge: Edge) -> None:
    barcode = edge.tube()
    body = astm(barcode, NORMAL)
    edge.take(edge.agent.raw(body, 1))
    edge.wire.sent.clear()
    # the same envelope again (lost receipt), and the analyzer's own resend under a new number
    edge.take(edge.agent.raw(body, 1), edge.agent.raw(body, 2), edge.agent.raw(body, 2))
    assert set(edge.receipts()) == {(edge.agent.stream, 1), (edge.agent.stream, 2)}
    assert edge.rows("SELECT count(*) FROM raw_message") == [(2,)]
    assert len(edge.versions(barcode)) == 4
    assert [f[3] for f in edge.fates()] == ["matched"] * 4 + ["repeat"] * 4


def test_ac_ed_4_killed_between_disk_and_ack_the_resend_is_one_result(edge: Edge) -> None:
    """The agent kept the message, died before its ACK, and keeps the analyzer's resend under the next number; no run time was sent.

    The kill itself is `tests/agent/test_crash.py`: acknowledged or not, what was on disk arrives.
    """
    barcode = edge.tube()
    body = astm(barcode, NORMAL, time="")
    edge.take(edge.agent.raw(body, 1))
    edge.take(edge.agent.raw(body, 2))
    assert set(edge.receipts()) == {(edge.agent.stream, 1), (edge.agent.stream, 2)}
    assert edge.current(barcode) == {"K": "4.1", "NA": "140", "GLU": "5.00", "CREA": "80"}
    assert len(edge.versions(barcode)) == 4
    assert [f[3] for f in edge.fates()] == ["matched"] * 4 + ["repeat"] * 4


def test_another_value_is_a_second_version_and_held(edge: Edge) -> None:
    barcode = edge.tube()
    edge.take(edge.agent.raw(astm(barcode, {"K": "4.1"})), edge.agent.raw(astm(barcode, {"K": "4.9"}, time="20260504101500")))
    assert edge.versions(barcode) == [("K", "4.1"), ("K", "4.9")]
    assert edge.rows("SELECT state FROM test WHERE current_id IS NOT NULL OR pending_id IS NOT NULL") == [("held",)]


def test_ac_ed_3_backlog_comes_in_order_without_loss_or_duplicate(edge: Edge) -> None:
    tubes = [edge.tube() for _ in range(20)]
    bodies = [astm(t, {"GLU": f"{5 + n / 100:.2f}"}, time=f"202605041{n:05d}") for t in tubes for n in range(25)]
    messages = [edge.agent.raw(b) for b in bodies]
    for i in range(0, 500, 125):
        edge.take(*messages[i : i + 125])
    assert len(edge.receipts()) == 500
    assert edge.rows("SELECT count(*), count(DISTINCT sha256) FROM raw_message") == [(500, 500)]
    assert all(len(edge.versions(t)) == 25 for t in tubes)


def test_ac_ed_5_an_unknown_sample_lies_in_the_tray(edge: Edge) -> None:
    edge.take(edge.agent.raw(astm("0007", {"K": "4.1", "XYZ": "1"})))
    assert edge.fates() == [("0007", "K", "4.1", "orphan"), ("0007", "XYZ", "1", "orphan")]
    assert edge.receipts()


def test_an_unmapped_code_is_shown_and_the_rest_processed(edge: Edge) -> None:
    barcode = edge.tube()
    edge.take(edge.agent.raw(astm(barcode, {"K": "4.1", "XYZ": "7"})))
    assert edge.fates() == [(barcode, "K", "4.1", "matched"), (barcode, "XYZ", "7", "unmapped")]


def test_a_sample_number_of_the_day_finds_its_tube(edge: Edge) -> None:
    barcode = edge.tube()
    [(number,)] = edge.rows("SELECT sample_no FROM specimen")
    edge.take(edge.agent.raw(astm(f"000{number}", {"K": "4.1"})), edge.agent.raw(astm(number, {"Na": "140"}, time="20260505100000")))
    assert edge.current(barcode) == {"K": "4.1"}
    assert [f[3] for f in edge.fates()] == ["matched", "orphan"]  # the second one is of another day


def test_qc_never_lands_on_a_patient(edge: Edge) -> None:
    barcode = edge.tube()
    qc = astm(barcode, {"K": "4.1"}).replace(b"||^^^ALL|R", b"||^^^ALL|R||||||Q")
    edge.take(edge.agent.raw(qc))
    assert [f[3] for f in edge.fates()] == ["qc"]
    assert edge.versions(barcode) == []


def test_registered_control_material_is_known_by_its_code(edge: Edge) -> None:
    barcode = edge.tube()
    with edge.lab.uow() as uow:
        for code in ("MX-1 L2", barcode):
            plans.add_material(uow, NewMaterial(code, "质控（虚构）", 2, "L1", "演示", None))
    for said in ("mx-1 l2", barcode, "MX-1", "MX-1 L2/L1"):
        edge.take(edge.agent.raw(astm(said, {"K": "4.1"})))
    found = edge.rows("SELECT state, reason FROM observation ORDER BY id")
    assert [tuple(r) for r in found] == [("qc", "qc"), ("orphan", "control_code"), ("orphan", "unknown_tube"), ("qc", "qc")]
    assert edge.versions(barcode) == []


def test_a_closed_or_unreceived_tube_takes_nothing(edge: Edge) -> None:
    states = {"rejected": "tube_closed", "cancelled": "tube_closed", "collected": "not_received", "tested": "", "conditional": ""}
    for state in states:
        edge.take(edge.agent.raw(astm(edge.tube(state=state), {"K": "4.1"})))
    found = edge.rows("SELECT state, reason FROM observation ORDER BY id")
    assert [tuple(r) for r in found] == [("orphan", why) if why else ("matched", "") for why in states.values()]


def test_another_name_is_kept_away_from_the_patient(edge: Edge) -> None:
    barcode = edge.tube("张三丰")
    edge.take(edge.agent.raw(astm(barcode, {"K": "4.1"}, patient="|||P9|李四")))
    assert [f[3] for f in edge.fates()] == ["mismatch"]
    assert edge.versions(barcode) == []


def test_a_foreign_patient_number_is_held_on_the_bench(edge: Edge) -> None:
    barcode = edge.tube()
    edge.take(edge.agent.raw(astm(barcode, {"K": "4.1"}, patient="|||X999")))
    assert edge.rows("SELECT holds->0->>'code' FROM result_version") == [("ID_MISMATCH",)]


def test_m07_bad_input_another_unit_than_the_channels_is_held(edge: Edge) -> None:
    """wrong unit: what an analyzer sends in another one is never told before somebody looked"""
    barcode = edge.tube()
    edge.take(edge.agent.raw(astm(barcode, NORMAL, units={"CREA": "mmol/L", "K": "mol/m3", "GLU": "mg/dL"})))
    found = edge.rows(
        "SELECT i.code, v.holds->0->>'code' FROM result_version v JOIN test_item i ON i.tenant_id = v.tenant_id AND i.id = v.item_id "
        "WHERE v.holds->0->>'code' IS NOT NULL ORDER BY 1"
    )
    assert [tuple(r) for r in found] == [("CREA", "UNIT"), ("GLU", "UNIT")]
    [(words,)] = edge.rows("SELECT holds->0->>'text' FROM result_version WHERE item_id = (SELECT id FROM test_item WHERE code = 'GLU')")
    assert words == "仪器发送的单位是 mg/dL，通道是按 mmol/L 设置的；请核对数值后接受或改正，并核对仪器和通道的单位。"


def test_m07_bad_input_a_run_time_in_the_future_is_flagged(edge: Edge) -> None:
    """future: accepted, with a sign on the bench (C2); the rules never release it (FUTURE_TIME)"""
    barcode = edge.tube()
    edge.take(edge.agent.raw(astm(barcode, {"K": "4.1"}, time="20990504100000")))
    assert edge.current(barcode) == {"K": "4.1"}
    assert edge.rows("SELECT instrument_flags ? 'future_time', snapshot->'alarm' FROM result_version") == [(True, ["future_time"])]
    with edge.lab.uow() as uow:
        [tube] = uow.s.execute(text("SELECT id FROM specimen WHERE barcode = :b"), {"b": barcode}).scalars()
    page = edge.lab.client("tester").fragment(f"/bench/{edge.bench.section_code}/tube/{tube}")
    assert "! 测定时间在未来" in page.text
    edge.take(edge.agent.raw(astm(barcode, {"K": "5.1"}, time="20990505100000")))
    both = edge.lab.client("tester").fragment(f"/bench/{edge.bench.section_code}/tube/{tube}/rivals").text
    assert both.count("! 测定时间在未来") == 2 and "future_time" not in both


@pytest.mark.parametrize(
    ("said", "set_up", "wanted", "factor", "other"),
    [
        ("mg/dL", "", "mmol/L", "1", "mmol/L"), ("mg/dL", "", "mmol/L", "0.0555", None), ("mg/dL", "mg/dL", "mmol/L", "0.0555", None),
        ("mmol/L", "mg/dL", "mmol/L", "0.0555", "mg/dL"), ("10*3/uL", "10^3/µL", "10^9/L", "1", None),
        ("10^9/L", "10^3/uL", "10^9/L", "1", None),
        ("", "mg/dL", "mmol/L", "1", None), ("S/CO", "COI", "", "1", "COI"), ("S/CO", "", "", "1", None), ("g/L", "", "g/L", "1", None),
    ],
)  # fmt: skip
def test_which_unit_what_was_said_does_not_agree_with(said: str, set_up: str, wanted: str, factor: str, other: str | None) -> None:
    assert comparing.other_unit(said, set_up, wanted, Decimal(factor)) == other


@pytest.mark.parametrize(
    ("said", "wanted", "factor", "right"),
    [
        ("g/L", "g/L", "1", None), ("g/L", "g/L", "0.97", None), ("mg/dL", "g/L", "0.01", None), ("10^3/uL", "10^9/L", "1", None),
        ("mg/dL", "g/L", "1", "0.01"), ("mmol/L", "umol/L", "1", "1000"), ("g/dL", "g/L", "1", "10"), ("g/L", "g/L", "10", "1"),
        ("mg/dL", "mmol/L", "1", None), ("", "g/L", "1", None), ("g/L", "", "1", None), ("S/CO", "g/L", "1", None),
    ],
)  # fmt: skip
def test_what_a_slip_of_units_is(said: str, wanted: str, factor: str, right: str | None) -> None:
    assert comparing.unit_slip(said, wanted, Decimal(factor)) == (None if right is None else Decimal(right))


def test_no_value_is_no_result_with_a_hold(edge: Edge) -> None:
    barcode = edge.tube()
    edge.take(edge.agent.raw(astm(barcode, {"K": "-----"})))
    assert edge.current(barcode) in ({"K": ""}, {})
    assert edge.rows("SELECT state FROM test t JOIN test_item i ON i.id = t.item_id WHERE i.code = 'K'") != [("received",)]


def test_the_minus_of_a_strip_is_its_negative_and_of_a_number_no_value(edge: Edge) -> None:
    """Found by hand: every negative field of a urine strip was held as "no result"."""
    with edge.lab.uow() as uow:
        uow.s.execute(text("""UPDATE test_item SET result_type = 'enum', choices = '["-", "1+", "2+"]' WHERE code = 'NA'"""))
        uow.s.execute(text("UPDATE catalog_version SET number = number + 1"))
    barcode = edge.tube()
    edge.take(edge.agent.raw(astm(barcode, {"Na": "-", "K": "-"})))
    states = dict(edge.rows("SELECT i.code, t.state FROM test t JOIN test_item i ON i.id = t.item_id WHERE i.code IN ('K', 'NA')"))
    assert edge.current(barcode)["NA"] == "-" and states == {"K": "held", "NA": "received"}
    assert edge.current(barcode).get("K", "") == ""


def test_without_run_time_only_the_same_bytes_in_a_row_are_a_resend(edge: Edge) -> None:
    barcode, other = edge.tube(), edge.tube()
    body = astm(barcode, {"K": "4.1"}, time="")
    edge.take(edge.agent.raw(body, 1), edge.agent.raw(body, 2))
    assert [f[3] for f in edge.fates()] == ["matched", "repeat"]
    edge.take(edge.agent.raw(astm(other, {"K": "4.0"}, time=""), 3))
    edge.take(edge.agent.raw(body, 4, at="2026-05-04T02:05:00+00:00"))
    assert [f[3] for f in edge.fates()][3:] == ["matched"]  # a rerun: another message lay between


@pytest.mark.parametrize(("state", "kept"), [("trial", True), ("active", True), ("read_only", True), ("closed", False)])
def test_what_machines_send_is_kept_as_long_as_the_hospital_is_not_closed(edge: Edge, state: str, kept: bool) -> None:
    """M01: on trial an agent works as ever; read-only keeps people from changing, not instruments from being heard."""
    barcode = edge.tube()
    owner = create_engine(edge.lab.settings.owner_url)
    with owner.begin() as conn:
        conn.execute(text("UPDATE tenant SET status = :s WHERE code = 'a'"), {"s": state})
    owner.dispose()
    edge.loop.registry.reload()
    edge.take(edge.agent.raw(astm(barcode, {"K": "4.1"})))
    assert bool(edge.receipts()) is kept
    assert edge.current(barcode) == ({"K": "4.1"} if kept else {})


def rerun_asked(edge: Edge, barcode: str, code: str) -> datetime:
    """A rerun of one item of the tube, a minute after the first message was taken; when it was asked for."""
    edge.lab.clock.set(datetime(2026, 5, 4, 2, 1, tzinfo=UTC))
    with edge.lab.uow() as uow:
        tube = uow.s.execute(text("SELECT id FROM specimen WHERE barcode = :b"), {"b": barcode}).scalar_one()
        tests = {t.item.code: t for t in bench.tests_of(uow, [tube])[tube]}
        benching.request_rerun(uow, tube, None, [tests[code].id], "复查")
        return uow.now


def test_a_rerun_that_gives_the_same_bytes_answers_the_question_and_shows_no_second_value(edge: Edge) -> None:
    """No run time, inside the resend window, nothing in between: only that somebody asked tells it from a resend."""
    barcode = edge.tube()
    body = astm(barcode, {"K": "4.1", "Na": "140"}, time="")
    edge.take(edge.agent.raw(body, 1))
    asked = rerun_asked(edge, barcode, "K")
    edge.take(edge.agent.raw(body, 2, at=(asked + timedelta(seconds=20)).isoformat()))  # no analyzer is so fast: a lost acknowledgement
    assert [f[3] for f in edge.fates()][2:] == ["repeat", "repeat"]
    answer = edge.agent.raw(body, 3, at=(asked + timedelta(seconds=60)).isoformat())
    edge.take(answer)
    assert [f[3] for f in edge.fates()][4:] == ["matched", "repeat"]  # sodium was not asked for
    (follow,) = edge.rows("SELECT state, outcome, second_id IS NOT NULL FROM follow_up")
    assert follow[0] == "done" and "一致" in follow[1] and follow[2]
    assert edge.current(barcode) == {"K": "4.1", "NA": "140"}
    assert edge.rows("SELECT state FROM test WHERE pending_id IS NOT NULL") == []
    # Its own resend, and the envelope again, change nothing.
    seen = edge.versions(barcode)
    edge.take(answer, edge.agent.raw(body, 4, at=(asked + timedelta(seconds=75)).isoformat()))
    assert edge.versions(barcode) == seen and [f[3] for f in edge.fates()][6:] == ["repeat", "repeat"]


def test_what_an_analyzer_said_before_the_question_never_answers_it(edge: Edge) -> None:
    """The cloud was away: the resend comes long after the question, but it was taken before."""
    barcode = edge.tube()
    body = astm(barcode, {"K": "4.1"}, time="")
    edge.take(edge.agent.raw(body, 1))
    rerun_asked(edge, barcode, "K")
    edge.take(edge.agent.raw(body, 2, at="2026-05-04T02:00:15+00:00"))
    assert [f[3] for f in edge.fates()] == ["matched", "repeat"]
    assert edge.rows("SELECT state FROM follow_up") == [("asked",)]


def test_a_late_message_proves_a_rerun_whatever_the_order_of_arrival(edge: Edge) -> None:
    barcode, other = edge.tube(), edge.tube()
    body = astm(barcode, {"K": "4.1"}, time="")
    edge.take(edge.agent.raw(body, 1))
    edge.take(edge.agent.raw(body, 3))
    assert [f[3] for f in edge.fates()] == ["matched", "repeat"]
    edge.take(edge.agent.raw(astm(other, {"K": "4.0"}, time=""), 2))
    assert sorted(f[3] for f in edge.fates()) == ["matched", "matched", "matched"]


def test_an_older_value_never_becomes_current_after_a_newer_one(edge: Edge) -> None:
    barcode = edge.tube()
    edge.take(edge.agent.raw(astm(barcode, {"K": "4.9"}, time="20260504110000"), 2))
    edge.take(edge.agent.raw(astm(barcode, {"K": "4.1"}, time="20260504100000"), 1))
    assert edge.versions(barcode) == [("K", "4.1"), ("K", "4.9")]
    assert edge.current(barcode) == {"K": "4.9"}


# --- receipts and commits --------------------------------------------------------------------------------------------


def test_no_receipt_and_no_puback_before_the_commit(edge: Edge) -> None:
    barcode = edge.tube()
    seen: list[tuple[int, int]] = []

    def committing(_session: Any) -> None:
        seen.append((len(edge.wire.sent), len(edge.wire.acked)))

    event.listen(edge.lab.db._maker, "before_commit", committing)
    edge.take(edge.agent.raw(astm(barcode, NORMAL)))
    assert seen and seen[0] == (0, 0)
    assert edge.receipts() and edge.wire.acked


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_unknown_commit_gets_no_receipt_and_the_retry_no_duplicate(edge: Edge, when: str) -> None:
    """The backend dies at COMMIT: once before it happened, once after. Either way the batch is tried again and is stored once."""
    barcode = edge.tube()
    failed: list[int] = []

    def dying(session: Any) -> None:
        if not failed:
            failed.append(len(edge.wire.sent))
            raw = session.connection().connection.driver_connection
            if when == "after":
                raw.execute("COMMIT")
            raw.close()

    event.listen(edge.lab.db._maker, "before_commit", dying)
    edge.take(edge.agent.raw(astm(barcode, NORMAL)))
    assert failed == [0]
    assert edge.loop.counts["database_away"] == 1
    assert list(edge.receipts()) == [(edge.agent.stream, 1)]
    assert len(edge.versions(barcode)) == 4
    assert edge.rows("SELECT count(*) FROM raw_message") == [(1,)]


def test_when_the_database_stays_away_nothing_is_acknowledged(edge: Edge) -> None:
    message = edge.agent.raw(astm(edge.tube(), NORMAL))
    edge.loop.registry.reload()

    def dying(session: Any) -> None:
        session.connection().connection.driver_connection.close()
        edge.loop.stop.set()

    event.listen(edge.lab.db._maker, "before_commit", dying)
    edge.take(message)
    assert edge.wire.acked == [] and edge.wire.sent == []
