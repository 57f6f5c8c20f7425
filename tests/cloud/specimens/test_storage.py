"""The archive: a tube's place is known, it is kept as long as it must be, and two persons sign before it is gone."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import select, text

from cloud.db.session import Actor
from cloud.modules.catalog import models as catalog
from cloud.modules.catalog import service as catalog_service
from cloud.modules.specimens import discard, follow, storage, storage_queries, track
from cloud.modules.specimens import storage_rules as rules
from cloud.modules.specimens.models import Specimen
from cloud.modules.specimens.rules import STATE_WORDS, State
from cloud.modules.specimens.storage_printing import register_document
from cloud.modules.specimens.storage_rules import BatchState, Stay
from common import ids
from common.errors import UserError
from tests.cloud.catalog.seed import seed
from tests.cloud.specimens.test_service import DESK, act, collected, receive
from tests.support.hospital import MORNING, Hospital
from tests.support.lab import Lab
from tests.support.ordering import place as place_order

KEEPER, SECOND = Actor("接收员一号", 8, workstation="R1"), Actor("组长一号", 9, workstation="R2")


# --- rules ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slot", "cols", "name"), [(0, 10, "A1"), (9, 10, "A10"), (10, 10, "B1"), (49, 10, "E10"), (39, 40, "A40")])
def test_positions_read_and_typed_are_the_same(slot: int, cols: int, name: str) -> None:
    assert rules.position(slot, cols) == name and rules.slot_of(name, 26, cols) == slot
    assert rules.slot_of(f"{name[0]}0{name[1:]}", 26, cols) == slot


@pytest.mark.parametrize("text", ["F1", "A11", "A0", "", "1A", "AA1", "A100", "RK01", "126326000422"])
def test_what_is_no_position_of_the_rack(text: str) -> None:
    assert rules.slot_of(text, 5, 10) is None


@pytest.mark.parametrize(
    ("taken", "last", "want"),
    [((), None, 0), ((0,), 0, 1), ((0, 1, 3), 1, 2), ((0,), 4, 4), ((0, 5), 5, 1), (range(6), 5, None), ((), 5, 5), ((3, 4, 5), 5, 0)],
)
def test_the_next_place_goes_on_from_the_last_and_wraps(taken: Any, last: int | None, want: int | None) -> None:
    assert rules.following(set(taken), 6, last) == want
    assert rules.looks_like_position("B12") and not rules.looks_like_position("RK01")


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_decided_for_storing(state: State) -> None:
    problem = rules.store_problem(state)
    here = ["received", "centrifuged", "aliquoted", "conditional", "on_analyzer", "tested", "reviewed", "released", "archived"]
    assert (problem is None) is (state in here)
    assert problem is None or STATE_WORDS[state] in problem
    gone = state in ("rejected", "cancelled", "lost", "discarded")
    assert problem is None or ("医疗废物" if gone else "还没有核收") in problem


def test_a_tube_is_kept_by_its_type_and_a_sensitive_one_until_a_person_decides() -> None:
    assert (rules.keep_hours({}, "SER"), rules.keep_hours({}, "UR"), rules.keep_hours({"": 200}, "SER")) == (168, 24, 200)
    assert rules.keep_hours({"SER": 240}, "SER") == 240
    assert rules.keep_until(MORNING, 24, False) == MORNING + timedelta(days=1)
    assert rules.keep_until(MORNING, 24, True) is None


@pytest.mark.parametrize(
    ("stay", "word"),
    [
        (Stay(State.ARCHIVED, MORNING, "", False), None),
        (Stay(State.ARCHIVED, MORNING + timedelta(seconds=1), "", False), "未到"),
        (Stay(State.ARCHIVED, None, "", False), "专人"),
        (Stay(State.ARCHIVED, MORNING, "纠纷", False), "纠纷"),
        (Stay(State.ARCHIVED, MORNING, "", True), "取出"),
        (Stay(State.TESTED, MORNING, "", False), "已检测"),
        (Stay(State.ARCHIVED, MORNING, "", False, told=False), "召回"),
    ],
)
def test_when_a_tube_may_be_discarded(stay: Stay, word: str | None) -> None:
    problem = rules.discard_problem(stay, MORNING)
    assert problem is None if word is None else problem is not None and word in problem


@pytest.mark.parametrize(("state", "to"), list(product(BatchState, BatchState)))
def test_every_step_of_a_batch_is_decided(state: BatchState, to: BatchState) -> None:
    allowed = {("open", "signed"), ("open", "cancelled"), ("signed", "done"), ("signed", "open"), ("signed", "cancelled")}
    assert (rules.batch_problem(state, to) is None) is ((state.value, to.value) in allowed)


def test_two_persons_are_told_apart_by_id() -> None:
    assert rules.second_problem(8, 9) is None
    assert "重新登录" in str(rules.second_problem(None, 8))
    assert "同一人" in str(rules.second_problem(8, 8)) and "重新登录" in str(rules.second_problem(8, None))


# --- storing and finding --------------------------------------------------------------------------------------------


def rack(hospital: Hospital, code: str = "RK01", rows: int = 2, cols: int = 3) -> int:
    made: int = act(hospital, lambda u: storage.make_rack(u, storage.NewRack(code, "", "2 号冰箱 3 层", "2–8 ℃", rows, cols)).id, KEEPER)
    return made


def received(hospital: Hospital, no: str, code: str = "1002") -> str:
    barcode = collected(hospital, code, patient_no=no, name=f"病人{no}")[0]
    assert receive(hospital, barcode).text == "已核收"
    return barcode


def released(hospital: Hospital, no: str, code: str = "1002") -> str:
    barcode = received(hospital, no, code)
    act(hospital, lambda u: u.s.execute(text("UPDATE specimen /* by hand */ SET state = 'released' WHERE barcode = :c"), {"c": barcode}))
    return barcode


def scan(hospital: Hospital, rack_id: int | None, code: str, slot: int | None = None, move: bool = False) -> storage.Scanned:
    answer: storage.Scanned = act(hospital, lambda u: storage.scan(u, rack_id, slot, code, move), KEEPER)
    return answer


def state(hospital: Hospital, barcode: str) -> str:
    return str(hospital.rows("SELECT state FROM specimen WHERE barcode = :c", c=barcode)[0].state)


def id_of(hospital: Hospital, barcode: str) -> int:
    return int(hospital.rows("SELECT id FROM specimen WHERE barcode = :c", c=barcode)[0].id)


def test_tubes_go_into_a_rack_scan_after_scan_and_are_found_again(hospital: Hospital) -> None:
    here = rack(hospital)
    tubes = [released(hospital, f"S{n}") for n in range(3)]
    opened = scan(hospital, None, "rk01")
    assert opened.sound == "ok" and opened.rack is not None and opened.rack.id == here
    first = scan(hospital, here, tubes[0])
    assert (first.sound, first.position, state(hospital, tubes[0])) == ("ok", "A1", "archived")
    chosen = scan(hospital, here, "B2", first.slot)
    assert chosen.slot == 4 and "B2" in chosen.text
    assert scan(hospital, here, tubes[1], chosen.slot).position == "B2"
    assert scan(hospital, here, tubes[2], 4).position == "B3"
    again = scan(hospital, here, tubes[1], 5)
    assert (again.sound, again.position) == ("warn", "B2")
    found = scan(hospital, None, tubes[2])
    assert (found.sound, found.position) == ("ok", "B3") and found.rack is not None and found.rack.place == "2 号冰箱 3 层"
    assert "已有标本" in scan(hospital, here, "A1").text and "没有位置" in scan(hospital, here, "C1").text
    kinds = hospital.rows("SELECT kind FROM specimen_event WHERE specimen_id = :i ORDER BY id", i=id_of(hospital, tubes[0]))
    assert kinds[-1].kind == "archived"


def test_bad_scans_at_the_archive_say_what_to_do_and_change_nothing(hospital: Hospital) -> None:
    here = rack(hospital, rows=1, cols=1)
    waiting = collected(hospital, "1002")[0]
    for code, word in (
        (waiting, "还没有核收"),
        ("126326000423", "校验位"),
        (ids.accession_number(1, date(2026, 11, 22), 99_999), "系统里没有"),
        ("Q126326N00428", "排队小票"),
        ("NOSUCH", "系统里没有"),
    ):
        answer = scan(hospital, here, code)
        assert answer.sound == "bad" and word in answer.text, (code, answer.text)
    assert scan(hospital, here, released(hospital, "F1")).sound == "ok"
    full = scan(hospital, here, released(hospital, "F2"))
    assert full.sound == "bad" and "已满" in full.text
    lone = received(hospital, "F3")
    assert scan(hospital, None, lone).sound == "warn"
    assert hospital.rows("SELECT count(*) AS n FROM stored_tube")[0].n == 1


@pytest.mark.parametrize(
    ("code", "place", "rows", "word"),
    [("A1", "x", 5, "字母"), ("", "x", 5, "字母"), ("126326000422", "x", 5, "字母"), ("RK9", "", 5, "冰箱"), ("RK9", "x", 0, "行数")],
)
def test_a_rack_that_would_be_mistaken_is_refused(hospital: Hospital, code: str, place: str, rows: int, word: str) -> None:
    with pytest.raises(UserError, match=word):
        act(hospital, lambda u: storage.make_rack(u, storage.NewRack(code, place=place, rows=rows)))


def test_a_rack_code_is_taken_once(hospital: Hospital) -> None:
    rack(hospital)
    with pytest.raises(UserError, match="已经有了"):
        rack(hospital, "rk01")
    assert act(hospital, lambda u: storage.rack_by_code(u, "RK01"), KEEPER, hospital.b) is None


def test_a_tube_waiting_for_its_report_is_archived_where_it_stands(hospital: Hospital) -> None:
    here, tube = rack(hospital), received(hospital, "R1")
    assert scan(hospital, here, tube).sound == "ok" and state(hospital, tube) == "received"
    act(hospital, lambda u: u.s.execute(text("UPDATE specimen /* by hand */ SET state = 'released' WHERE barcode = :c"), {"c": tube}))
    act(hospital, lambda u: storage.on_released(u, {"specimen_id": id_of(hospital, tube)}))
    assert state(hospital, tube) == "archived"
    (stay,) = hospital.rows("SELECT keep_until FROM stored_tube")
    assert stay.keep_until == MORNING + timedelta(hours=168)


def test_an_aliquot_is_told_archived_and_kept_with_its_parent(hospital: Hospital) -> None:
    """M05 storage: the aliquots of a track line have no report of their own, and end as every tube does."""
    tube = received(hospital, "R-9")
    events = [{"tube": code, "parent": tube, "step": "aliquoted", "said": "", "place": ""} for code in ("AL-1", "AL-2")]
    act(hospital, lambda u: track.on_seen(u, {"device": "LINE", "at": u.now.isoformat(), "events": events[:1]}))
    rack_id = rack(hospital, "RK07")
    assert scan(hospital, rack_id, "AL-1").sound == "ok" and state(hospital, "AL-1") == "aliquoted"
    for handler in (follow.on_released, storage.on_released):
        act(hospital, lambda u, h=handler: h(u, {"specimen_id": id_of(hospital, tube)}))
    assert (state(hospital, tube), state(hospital, "AL-1")) == ("released", "archived")
    kept = "SELECT keep_until FROM stored_tube WHERE specimen_id = :i"
    assert hospital.rows(kept, i=id_of(hospital, "AL-1"))[0][0] is not None
    # The line makes another one after the report: archived where it is stored.
    act(hospital, lambda u: track.on_seen(u, {"device": "LINE", "at": u.now.isoformat(), "events": events[1:]}))
    assert scan(hospital, rack_id, "AL-2").sound == "ok" and state(hospital, "AL-2") == "archived"
    # Of a sensitive tube: kept until a person decides, like its parent.
    act(hospital, lambda u: u.s.execute(text("UPDATE test_item SET sensitive = true")))
    act(hospital, lambda u: catalog_service.changed(u))
    act(hospital, lambda u: track.on_seen(u, {"device": "LINE", "at": u.now.isoformat(), "events": [events[0] | {"tube": "AL-3"}]}))
    assert scan(hospital, rack_id, "AL-3").sound == "ok"
    assert hospital.rows(kept, i=id_of(hospital, "AL-3")) == [(None,)]


def test_a_tube_is_moved_only_on_purpose(hospital: Hospital) -> None:
    here, there, tube = rack(hospital), rack(hospital, "RK02"), released(hospital, "M1")
    scan(hospital, here, tube)
    asked = scan(hospital, there, tube)
    assert asked.sound == "warn" and asked.elsewhere and "RK01 A1" in asked.text
    moved = scan(hospital, there, tube, move=True)
    assert moved.sound == "ok" and moved.rack is not None and moved.rack.code == "RK02"
    assert act(hospital, lambda u: storage.taken(u, here)) == set()


def test_taking_out_needs_a_reason_and_putting_back_keeps_the_time(hospital: Hospital) -> None:
    here, tube = rack(hospital), released(hospital, "T1")
    scan(hospital, here, tube)
    specimen = id_of(hospital, tube)
    with pytest.raises(UserError, match="原因"):
        act(hospital, lambda u: storage.take_out(u, specimen, " "), KEEPER)
    act(hospital, lambda u: storage.take_out(u, specimen, "复查"), KEEPER)
    with pytest.raises(UserError, match="不在任何架上"):
        act(hospital, lambda u: storage.take_out(u, specimen, "复查"), KEEPER)
    (out,) = act(hospital, lambda u: storage_queries.out(u, u.now))
    assert (out.barcode, out.position, out.taken_why) == (tube, "A1", "复查")
    hospital.clock.advance(hours=25)
    act(hospital, discard.daily)
    alerts = "SELECT count(*) AS n FROM alert WHERE kind = 'specimen.taken_out' AND cleared_at IS NULL"
    assert hospital.rows(alerts)[0].n == 1
    assert scan(hospital, here, tube).sound == "ok"
    place = act(hospital, lambda u: storage_queries.place(u, specimen))
    assert place.keep_until == MORNING + timedelta(hours=168) and place.taken_at is None
    act(hospital, discard.daily)
    assert hospital.rows(alerts)[0].n == 0


# --- discarding -----------------------------------------------------------------------------------------------------


def filled(hospital: Hospital, n: int = 3) -> list[str]:
    here = rack(hospital)
    tubes = [released(hospital, f"D{i}") for i in range(n)]
    for tube in tubes:
        assert scan(hospital, here, tube).sound == "ok"
    return tubes


def version(hospital: Hospital, batch_id: int) -> int:
    return int(hospital.rows("SELECT version FROM discard_batch WHERE id = :i", i=batch_id)[0].version)


def test_nothing_is_discarded_before_its_time_and_then_by_two_persons(hospital: Hospital) -> None:
    tubes = filled(hospital)
    hospital.clock.advance(hours=167)
    assert act(hospital, discard.propose, KEEPER) is None
    hospital.clock.advance(hours=1)
    act(hospital, discard.daily)
    act(hospital, discard.daily)
    (batch,) = hospital.rows("SELECT id FROM discard_batch")
    assert hospital.rows("SELECT count(*) AS n FROM alert WHERE kind = 'specimen.discard' AND cleared_at IS NULL")[0].n == 1
    lines = act(hospital, lambda u: storage_queries.lines(u, batch.id))
    assert [(line.barcode, line.position) for line in lines] == list(zip(tubes, ("A1", "A2", "A3"), strict=True))

    def sign(actor: Actor, v: int | None = None, method: str = "高压灭菌", run: str = "第 7 锅 134 ℃ 30 min") -> None:
        act(hospital, lambda u: discard.sign_first(u, batch.id, version(hospital, batch.id) if v is None else v, method, run), actor)

    with pytest.raises(UserError, match="处理方式"):
        sign(KEEPER, method="")
    with pytest.raises(UserError, match="灭菌记录"):
        sign(KEEPER, run=" ")
    with pytest.raises(UserError, match="又有变化"):
        sign(KEEPER, v=99)
    with pytest.raises(UserError, match="待第一人签字"):
        act(hospital, lambda u: discard.sign_second(u, batch.id, version(hospital, batch.id)), SECOND)
    sign(KEEPER)
    with pytest.raises(UserError, match="同一人"):
        act(hospital, lambda u: discard.sign_second(u, batch.id, version(hospital, batch.id)), KEEPER)
    assert {state(hospital, t) for t in tubes} == {"archived"}
    # One is asked for again between the two signatures: it stays, and the batch says why.
    act(hospital, lambda u: storage.take_out(u, id_of(hospital, tubes[1]), "医生要求复查"), DESK)
    done = act(hospital, lambda u: discard.sign_second(u, batch.id, version(hospital, batch.id)), SECOND)
    assert done == (2, 1)
    assert [state(hospital, t) for t in tubes] == ["discarded", "archived", "discarded"]
    with pytest.raises(UserError, match="已销毁"):
        act(hospital, lambda u: discard.sign_second(u, batch.id, version(hospital, batch.id)), SECOND)
    register = act(hospital, lambda u: storage_queries.register(u, date(2026, 11, 1), date(2026, 12, 31)))
    made = register_document(register, (date(2026, 11, 1), date(2026, 12, 31)), "甲医院", "x", MORNING)
    assert [r[1] for r in made.rows] == [tubes[0], tubes[2]] and made.rows[0][7:9] == (KEEPER.name, SECOND.name)
    assert "第 7 锅" in made.rows[0][6]
    refused = scan(hospital, None, tubes[0])
    assert refused.sound == "warn" and "不在任何架" in refused.text


def test_a_held_or_sensitive_tube_is_never_proposed(hospital: Hospital) -> None:
    def sensitive(uow: Any) -> None:
        for item in uow.s.scalars(select(catalog.TestItem).where(catalog.TestItem.code == "HBSAG")):
            item.sensitive = True

    act(hospital, sensitive)
    here = rack(hospital)
    held, private, plain = released(hospital, "H1"), released(hospital, "H2", "1005"), released(hospital, "H3")
    for tube in (held, private, plain):
        assert scan(hospital, here, tube).sound == "ok"
    act(hospital, lambda u: storage.hold(u, id_of(hospital, held), "医疗纠纷封存"), SECOND)
    hospital.clock.advance(days=400)
    batch = act(hospital, discard.propose, KEEPER)
    assert [line.barcode for line in act(hospital, lambda u: storage_queries.lines(u, batch.id))] == [plain]
    act(hospital, lambda u: storage.hold(u, id_of(hospital, held), ""), SECOND)
    act(hospital, lambda u: storage.hold(u, id_of(hospital, private), "", u.now), SECOND)
    second = act(hospital, discard.propose, KEEPER)
    assert [line.barcode for line in act(hospital, lambda u: storage_queries.lines(u, second.id))] == [held, private]
    with pytest.raises(UserError, match="不能缩短"):
        act(hospital, lambda u: storage.hold(u, id_of(hospital, held), "", MORNING), SECOND)


def test_a_list_that_changes_must_be_signed_again(hospital: Hospital) -> None:
    filled(hospital, 2)
    hospital.clock.advance(days=8)
    batch = act(hospital, discard.propose, KEEPER).id
    line = act(hospital, lambda u: storage_queries.lines(u, batch))[0].id
    old = version(hospital, batch)
    with pytest.raises(UserError, match="为什么留下"):
        act(hospital, lambda u: discard.keep(u, batch, [line], ""), KEEPER)
    assert act(hospital, lambda u: discard.keep(u, batch, [line], "临床要求复查"), KEEPER) == 1
    with pytest.raises(UserError, match="又有变化"):
        act(hospital, lambda u: discard.sign_first(u, batch, old, "医疗废物交接", ""), KEEPER)
    act(hospital, lambda u: discard.sign_first(u, batch, version(hospital, batch), "医疗废物交接", ""), KEEPER)
    with pytest.raises(UserError, match="撤回签字"):
        act(hospital, lambda u: discard.keep(u, batch, [line], "x"), KEEPER)
    act(hospital, lambda u: discard.withdraw(u, batch, version(hospital, batch)), KEEPER)
    with pytest.raises(UserError, match="作废的原因"):
        act(hospital, lambda u: discard.cancel(u, batch, version(hospital, batch), ""), KEEPER)
    act(hospital, lambda u: discard.cancel(u, batch, version(hospital, batch), "重新列单"), KEEPER)
    again = act(hospital, discard.propose, KEEPER)
    assert len(act(hospital, lambda u: storage_queries.lines(u, again.id))) == 2


def test_a_laboratorys_own_retention_counts(hospital: Hospital) -> None:
    act(hospital, lambda u: u.s.add(catalog.SavedSetting(key="specimens", value={"retention_h": {"": 240}})))
    filled(hospital, 1)
    assert hospital.rows("SELECT keep_until FROM stored_tube")[0].keep_until == MORNING + timedelta(hours=240)


# --- pages ----------------------------------------------------------------------------------------------------------


def test_the_pages_of_the_archive(lab: Lab) -> None:
    lab.clock.set(MORNING)
    with lab.uow() as uow:
        seed(uow)
    desk, leader = lab.client("receiver"), lab.client("leader")
    assert "还没有样本架" in desk.get("/sp/archive/racks").text
    assert desk.post("/sp/archive/racks", {"code": "rk01", "place": "2 号冰箱", "rows": 2, "cols": 4}, htmx=True).status_code == 204
    refused = desk.post("/sp/archive/racks", {"code": "A1", "place": "x", "rows": 2, "cols": 4}, htmx=True)
    assert refused.status_code == 422 and "字母开头" in refused.text
    opened = desk.post("/sp/archive", {"code": "RK01"}, htmx=True)
    assert "A1" in opened.text and "下一格" in opened.text
    with lab.uow() as uow:
        placed = place_order(uow, "1002", patient_no="PG1")
        from cloud.modules.specimens import service

        service.print_labels(uow, placed.patient_id, placed.item_ids, ["name", "birth"])
        tube = uow.s.scalars(select(Specimen)).one()
        uow.s.flush()
        uow.s.execute(text("UPDATE specimen /* by hand */ SET state = 'released' WHERE id = :i"), {"i": tube.id})
        rack_id, barcode, specimen = storage.rack_by_code(uow, "RK01").id, tube.barcode, tube.id  # type: ignore[union-attr]
    stored = desk.post("/sp/archive", {"code": barcode, "rack": rack_id}, htmx=True)
    assert "已存入" in stored.text and '"ok"' in stored.headers["HX-Trigger"] and barcode[-6:] in stored.text
    assert "RK01" in leader.get(f"/sp/find?code={barcode}").text
    shown = desk.post("/sp/archive", {"code": barcode}, htmx=True)
    assert "取出" in shown.text and "2 号冰箱" in shown.text
    assert "已登记取出" in desk.post("/sp/archive/take", {"specimen_id": specimen, "why": "复查"}, htmx=True).text
    assert barcode in desk.get("/sp/archive/out").text
    assert desk.post("/sp/archive", {"code": barcode, "rack": rack_id}, htmx=True).status_code == 200
    assert "没有保存期已到" in desk.post("/sp/discard", {}, htmx=True).text
    lab.clock.advance(days=8)
    desk, leader = lab.client("receiver"), lab.client("leader")
    url = desk.post("/sp/discard", {}, htmx=True).headers["HX-Redirect"]
    assert barcode in desk.get(url).text
    assert desk.post(f"{url}/sign", {"version": 1, "method": "医疗废物交接"}, htmx=True).status_code == 204
    assert "换一位同事" in desk.get(url).text and "第二人签字并销毁" in leader.get(url).text
    assert leader.post(f"{url}/second", {"version": 2}, htmx=True).status_code == 204
    assert "已销毁" in leader.get(url).text
    assert leader.post(f"{url}/nonsense", {}, htmx=True).status_code == 404
    assert leader.post("/sp/discard/register", {"kind": "xlsx"}, htmx=True).headers["HX-Redirect"].startswith("/lists/")
    assert leader.post("/sp/discard/register", {"kind": "pdf", "first": "2026-13-01"}, htmx=True).status_code == 422
    assert lab.client("nurse").get("/sp/archive").status_code == 403
