"""Tubes on PostgreSQL: labels, collection, receipt, rejection, each with its event, audit entry and outbox event."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text

from cloud.db.session import Actor, UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.catalog import service as catalog
from cloud.modules.catalog.models import SavedSetting, Section
from cloud.modules.specimens import facts, follow, late, service, strays
from cloud.modules.specimens.models import LabelJob, Rejection, Specimen, SpecimenEvent, StrayTube
from cloud.modules.specimens.rules import Finding
from cloud.modules.specimens.service import Answer
from common import ids
from common.errors import UserError
from tests.support.hospital import MORNING, Hospital
from tests.support.ordering import Placed, place

NURSE = Actor("护士一号", 7, workstation="W3")
DESK = Actor("接收员一号", 8, workstation="R1")


def act(hospital: Hospital, fn: Callable[[UnitOfWork], Any], actor: Actor = NURSE, tenant: int | None = None) -> Any:
    return hospital.act(fn, actor, tenant)


def ordered(hospital: Hospital, *codes: str, **more: Any) -> Placed:
    done: Placed = act(hospital, lambda uow: place(uow, *codes, **more))
    return done


def labelled(hospital: Hospital, *codes: str, **more: Any) -> list[str]:
    return relabelled(hospital, ordered(hospital, *codes, **more))


def relabelled(hospital: Hospital, order: Placed) -> list[str]:
    documents, _job = act(hospital, lambda u: service.print_labels(u, order.patient_id, order.item_ids, ["name", "birth"]))
    return [each.barcode for each in documents]


def collected(hospital: Hospital, *codes: str, **more: Any) -> list[str]:
    tubes = labelled(hospital, *codes, **more)
    for code in tubes:
        assert collect(hospital, code).finding is Finding.OK
    return tubes


def collect(hospital: Hospital, code: str) -> Answer:
    def run(uow: UnitOfWork) -> Answer:
        person = facts.person_by_code(uow, code)
        assert person is not None
        return service.collect(uow, code, person.id)

    answer: Answer = act(hospital, run)
    return answer


def receive(hospital: Hospital, code: str, **more: Any) -> Answer:
    answer: Answer = act(hospital, lambda u: service.receive(u, code, **more), DESK)
    return answer


def one(hospital: Hospital, barcode: str) -> Specimen:
    found: Specimen = act(hospital, lambda u: u.s.scalars(select(Specimen).where(Specimen.barcode == barcode)).one())
    return found


def rows(hospital: Hospital, sql: str, **values: Any) -> list[Any]:
    found: list[Any] = act(hospital, lambda u: u.s.execute(text(sql), values).all())
    return found


def statuses(hospital: Hospital, placed: Placed) -> list[str]:
    return [r[0] for r in rows(hospital, "SELECT status FROM order_item WHERE id = ANY(:ids) ORDER BY id", ids=placed.item_ids)]


# --- labels ------------------------------------------------------------------------------------------------------------------------------


def test_ac_sp_2_on_real_orders(hospital: Hospital) -> None:
    assert len(labelled(hospital, "1004", "1005", "1001", "1006", "1007")) == 5

    def share(uow: UnitOfWork) -> None:
        for section in uow.s.scalars(select(Section).where(Section.code.in_(["CHEM", "IMM"]))):
            section.share_group = "生化免疫"

    act(hospital, share)
    order = ordered(hospital, "1004", "1005", "1001", "1006", "1007", patient_no="P200")
    documents, _job = act(hospital, lambda u: service.print_labels(u, order.patient_id, order.item_ids, ["name", "birth"]))
    assert [d.items for d in documents] == [("PT",), ("TP", "HBSAG"), ("CBC",), ("A1C",)]
    assert [d.container.split()[0] for d in documents] == ["蓝", "黄", "紫", "紫"]
    assert [(d.number, d.total) for d in documents] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_is_asked_for_twice_is_named_once_on_its_tube(hospital: Hospital) -> None:
    order = ordered(hospital, "1002", "1002", patient_no="P300")
    ((document,), _job) = act(hospital, lambda u: service.print_labels(u, order.patient_id, order.item_ids, ["name", "birth"]))
    assert document.items == ("LYTES",)


def test_barcodes_count_up_within_the_day_and_start_again(hospital: Hospital) -> None:
    first, second = labelled(hospital, "1001", "1002")
    assert (first, second) == ("126326000018", "126326000026")
    hospital.clock.advance(days=1)
    assert labelled(hospital, "1001", patient_no="P2") == [ids.accession_number(1, datetime(2026, 11, 23, tzinfo=UTC).date(), 1)]


def test_the_day_of_a_barcode_is_the_hospitals(hospital: Hospital) -> None:
    hospital.clock.set(datetime(2026, 11, 22, 16, 30, tzinfo=UTC))  # already the 23rd in Shanghai
    assert labelled(hospital, "1001")[0].startswith("126327")


def test_a_label_tells_who_what_and_where(hospital: Hospital) -> None:
    order = ordered(hospital, "1002", kind="inpatient", ward="呼吸科", bed="12", priority="stat", name="𠮷田㼆", sex="F")
    ((document,), job) = act(hospital, lambda u: service.print_labels(u, order.patient_id, order.item_ids, ["name", "wristband"]))
    assert (document.patient_name, document.sex, document.age) == ("𠮷田㼆", "女", "46岁")
    assert (document.department, document.bed, document.urgent, document.volume) == ("呼吸科", "12", True, "0.7 ml")
    assert document.items == ("LYTES",) and document.container.startswith("黄")
    stored = act(hospital, lambda u: u.s.get_one(LabelJob, (hospital.a, job.id)).documents)
    assert stored[0]["barcode"] == document.barcode


def test_labelling_writes_event_audit_and_outbox_together(hospital: Hospital) -> None:
    (code,) = labelled(hospital, "1001")
    tube = one(hospital, code)
    assert tube.state == "labelled"
    ((kind, actor, place_, detail),) = rows(
        hospital, "SELECT kind, actor, place, detail FROM specimen_event WHERE specimen_id = :i", i=tube.id
    )
    assert (kind, actor, place_, detail["identifiers"]) == ("labelled", "护士一号", "W3", ["birth", "name"])
    assert rows(hospital, "SELECT payload FROM outbox_event WHERE topic = 'specimen.labelled'") == [
        ({"barcode": code, "specimen_id": tube.id},)
    ]
    assert rows(hospital, "SELECT count(*) FROM audit_log WHERE entity = 'specimen' AND action = 'labelled'") == [(1,)]


@pytest.mark.parametrize("identifiers", [[], ["name"], ["name", "name"], ["name", "made-up"]])
def test_two_identifiers_or_no_label(hospital: Hospital, identifiers: list[str]) -> None:
    order = ordered(hospital, "1001")
    with pytest.raises(UserError, match="核对两项身份信息"):
        act(hospital, lambda u: service.print_labels(u, order.patient_id, order.item_ids, identifiers))
    assert rows(hospital, "SELECT count(*) FROM specimen") == [(0,)]


def test_an_unpaid_item_stops_the_whole_print(hospital: Hospital) -> None:
    order = ordered(hospital, "1001", paid=False)
    plan = act(hospital, lambda u: service.plan_tubes(u, facts.person(u, order.patient_id)))
    assert plan.tubes == () and "未缴费" in plan.refused[0][1]
    with pytest.raises(UserError, match="未缴费"):
        act(hospital, lambda u: service.print_labels(u, order.patient_id, order.item_ids, ["name", "birth"]))


def test_an_urgent_or_inpatient_order_need_not_be_paid(hospital: Hospital) -> None:
    assert labelled(hospital, "1001", paid=False, priority="stat")
    assert labelled(hospital, "1001", paid=False, kind="inpatient", patient_no="P2")


def test_an_unmapped_item_is_named_and_keeps_waiting(hospital: Hospital) -> None:
    order = ordered(hospital, "1001", "9999")
    plan = act(hospital, lambda u: service.plan_tubes(u, facts.person(u, order.patient_id)))
    assert len(plan.tubes) == 1 and [w.his_code for w, _ in plan.refused] == ["9999"] and "未对照" in plan.refused[0][1]


def test_items_of_another_patient_are_refused(hospital: Hospital) -> None:
    mine, other = ordered(hospital, "1001"), ordered(hospital, "1001", patient_no="P2")
    with pytest.raises(UserError, match="没有打印|刷新"):
        act(hospital, lambda u: service.print_labels(u, mine.patient_id, other.item_ids, ["name", "birth"]))


def test_two_windows_never_label_the_same_items(hospital: Hospital) -> None:
    order = ordered(hospital, "1001", "1002", "1007")
    results: list[Any] = []
    gate = threading.Barrier(6)

    def window() -> None:
        gate.wait()
        try:
            results.append(act(hospital, lambda u: service.print_labels(u, order.patient_id, order.item_ids, ["name", "birth"]))[0])
        except UserError as error:
            results.append(error)

    threads = [threading.Thread(target=window) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [r for r in results if not isinstance(r, UserError)]
    assert len(won) == 1 and len(results) == 6
    assert all("他人" in r.message for r in results if isinstance(r, UserError))
    assert rows(hospital, "SELECT count(*), count(DISTINCT barcode) FROM specimen") == [(3, 3)]


def test_reprint_asks_why_and_voids_nothing(hospital: Hospital) -> None:
    (code,) = labelled(hospital, "1001")
    tube = one(hospital, code)
    with pytest.raises(UserError, match="原因"):
        act(hospital, lambda u: service.reprint(u, tube.id, "  "))
    documents, _job = act(hospital, lambda u: service.reprint(u, tube.id, "标签破损"))
    assert documents[0].barcode == code and one(hospital, code).label_prints == 2 and one(hospital, code).state == "labelled"


# --- collection --------------------------------------------------------------------------------------------------------------------------


def test_tubes_are_scanned_closed_one_by_one(hospital: Hospital) -> None:
    order = ordered(hospital, "1001", "1002")
    codes = [d.barcode for d in act(hospital, lambda u: service.print_labels(u, order.patient_id, order.item_ids, ["name", "birth"]))[0]]
    assert [collect(hospital, code).left for code in codes] == [1, 0]
    assert statuses(hospital, order) == ["collected", "collected"]
    assert one(hospital, codes[0]).collector_id == 7 and one(hospital, codes[0]).collected_at == MORNING


def test_another_patients_tube_is_refused_loudly(hospital: Hospital) -> None:
    (code,) = labelled(hospital, "1001")
    other = ordered(hospital, "1001", patient_no="P2")
    answer = act(hospital, lambda u: service.collect(u, code, other.patient_id))
    assert answer.finding is Finding.OTHER_PATIENT and answer.sound == "bad" and one(hospital, code).state == "labelled"


def test_collecting_twice_tells_the_first_time(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1001")
    hospital.clock.advance(minutes=5)
    answer = collect(hospital, code)
    assert answer.finding is Finding.DOUBLE and answer.first == (MORNING, "护士一号") and answer.sound == "warn"


# --- receipt -----------------------------------------------------------------------------------------------------------------------------


def test_received_tube_has_number_tests_and_statuses(hospital: Hospital) -> None:
    order = ordered(hospital, "1002")
    (document,), _ = act(hospital, lambda u: service.print_labels(u, order.patient_id, order.item_ids, ["name", "birth"]))
    collect(hospital, document.barcode)
    answer = receive(hospital, document.barcode)
    assert answer.finding is Finding.OK and answer.tube is not None and answer.tube.sample_no == "C0001"
    assert statuses(hospital, order) == ["received"]
    tests = "SELECT i.code FROM test t JOIN test_item i ON i.id = t.item_id WHERE t.specimen_id = :s ORDER BY i.code"
    assert [r[0] for r in rows(hospital, tests, s=answer.tube.id)] == ["K", "NA"]
    assert rows(hospital, "SELECT count(*) FROM outbox_event WHERE topic = 'specimen.received' AND key = :k", k=document.barcode) == [(1,)]


def test_sample_numbers_per_section_priority_and_day(hospital: Hospital) -> None:
    tubes = collected(hospital, "1002", "1001")
    urgent = collected(hospital, "1002", patient_no="P2", priority="stat")
    assert [a.tube.sample_no for c in (*tubes, *urgent) if (a := receive(hospital, c)).tube] == ["C0001", "H0001", "C8001"]
    hospital.clock.advance(days=1)
    (next_day,) = collected(hospital, "1002", patient_no="P3")
    answer = receive(hospital, next_day)
    assert answer.tube is not None and answer.tube.sample_no == "C0001"


def test_ac_sp_5_a_second_receipt_shows_the_first_and_changes_nothing(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1002")
    receive(hospital, code)
    counts = "SELECT (SELECT count(*) FROM outbox_event), (SELECT count(*) FROM specimen_event), (SELECT max(version) FROM specimen)"
    before = rows(hospital, counts)
    audit = rows(hospital, "SELECT count(*) FROM audit_log")
    hospital.clock.advance(minutes=10)
    answer = receive(hospital, code)
    assert answer.finding is Finding.DOUBLE and answer.first == (MORNING, "接收员一号") and answer.sound == "warn"
    assert rows(hospital, counts) == before
    assert rows(hospital, "SELECT count(*) FROM audit_log") == audit


def test_the_same_tube_at_two_desks_is_received_once(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1002")
    found: list[Finding] = []
    gate = threading.Barrier(6)

    def desk() -> None:
        gate.wait()
        found.append(receive(hospital, code).finding)

    threads = [threading.Thread(target=desk) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted([Finding.OK, *[Finding.DOUBLE] * 5])


def test_a_scan_comes_as_scanners_send_it(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1002")
    full_width = "".join(chr(ord(c) + 0xFEE0) for c in code)
    assert receive(hospital, f" ]C0{full_width}\r\n").finding is Finding.OK


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        ("126326000422", Finding.UNKNOWN),
        ("126326000423", Finding.CHECK_DIGIT),
        ("NONSENSE", Finding.UNKNOWN),
        (ids.ticket_code(1, MORNING.date(), "N", 1), Finding.WRONG_KIND),
        (ids.patient_card(1, MORNING.date(), 1), Finding.WRONG_KIND),
    ],
)
def test_bad_scans_each_have_their_own_answer(hospital: Hospital, code: str, finding: Finding) -> None:
    answer = receive(hospital, code)
    assert answer.finding is finding and answer.sound == "bad" and answer.tube is None


def test_another_hospitals_tube_is_unknown(hospital: Hospital) -> None:
    placed = act(hospital, lambda u: place(u, "1002", kind="inpatient"), tenant=hospital.b)
    docs, _ = act(hospital, lambda u: service.print_labels(u, placed.patient_id, placed.item_ids, ["name", "birth"]), tenant=hospital.b)
    assert receive(hospital, docs[0].barcode).finding is Finding.UNKNOWN


def test_two_hospitals_may_hold_the_same_barcode(hospital: Hospital) -> None:
    (mine,) = collected(hospital, "1002")
    act(hospital, lambda u: place(u, "1002", kind="inpatient"), tenant=hospital.b)
    with hospital.db.tenant(hospital.b, NURSE) as uow:
        tube = uow.s.scalars(select(Specimen)).first()
        assert tube is None
    assert receive(hospital, mine).finding is Finding.OK


def test_a_tube_of_another_section_says_where_it_belongs(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1002")
    answer = receive(hospital, code, sections=frozenset({"HEM"}))
    assert answer.finding is Finding.SECTION and "生化" in answer.text
    assert receive(hospital, code, sections=frozenset({"HEM", "CHEM"})).finding is Finding.OK


def test_a_tube_too_long_on_the_way(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1002")
    act(hospital, lambda u: u.s.add(SavedSetting(key="specimens", value={"transport_minutes": 120})))
    hospital.clock.advance(minutes=121)
    answer = receive(hospital, code)
    assert answer.finding is Finding.LATE and "121 分钟" in answer.text and one(hospital, code).state == "collected"
    # M05: limit[item]. A request's own limit counts instead, the shortest of a tube's.
    assert [late_codes(hospital), own_limit(hospital, 180), late_codes(hospital)] == [{code}, None, set()]
    assert receive(hospital, code).finding is Finding.OK
    own_limit(hospital, 30)
    (other,) = collected(hospital, "1002", patient_no="P-2", name="李四")
    hospital.clock.advance(minutes=31)
    assert late_codes(hospital) == {other}
    answer = receive(hospital, other)
    assert answer.finding is Finding.LATE and "超过送检时限 30 分钟" in answer.text


def own_limit(hospital: Hospital, minutes: int) -> None:
    """The transport limit of all that was ordered so far."""

    def run(uow: UnitOfWork) -> None:
        uow.s.execute(text("UPDATE order_set SET transport_minutes = :m WHERE id IN (SELECT order_set_id FROM order_item)"), {"m": minutes})
        catalog.changed(uow)

    act(hospital, run)


def late_codes(hospital: Hospital) -> set[str]:
    return {r.barcode for r in act(hospital, lambda u: late.rows(u, late.Late.ON_THE_WAY))}


def test_a_tube_whose_order_was_cancelled_yesterday(hospital: Hospital) -> None:
    (code,) = labelled(hospital, "1002")
    act(hospital, lambda u: service.void(u, one(hospital, code).id, "医生取消"))
    hospital.clock.advance(days=1)
    answer = receive(hospital, code)
    assert answer.finding is Finding.CANCELLED and answer.first == (MORNING, "护士一号")


def test_a_cancellation_counts_before_its_event_has_run(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1002")
    act(hospital, lambda u: u.s.execute(text("UPDATE order_item /* by hand */ SET status = 'cancelled'")))
    assert receive(hospital, code).finding is Finding.CANCELLED


def test_not_collected_is_not_received(hospital: Hospital) -> None:
    (code,) = labelled(hospital, "1002")
    assert receive(hospital, code).finding is Finding.NOT_COLLECTED


def test_a_hospitals_own_barcodes_are_taken_by_prefix(hospital: Hospital) -> None:
    act(
        hospital, lambda u: u.s.add(SavedSetting(key="specimens", value={"barcode_rules": [{"prefix": "TJ", "kind": "tube", "length": 8}]}))
    )
    (code,) = collected(hospital, "1002")
    act(hospital, lambda u: u.s.execute(text("UPDATE specimen SET barcode = 'TJ000001' WHERE barcode = :c"), {"c": code}))
    assert receive(hospital, "tj000001").finding is Finding.OK


def test_a_stray_tube_is_put_aside_once(hospital: Hospital) -> None:
    act(hospital, lambda u: strays.register(u, "126326000422", "送检篮里"), DESK)
    act(hospital, lambda u: strays.register(u, "126326000422"), DESK)
    found = act(hospital, lambda u: u.s.scalars(select(StrayTube)).all())
    assert [(s.code, s.note, s.actor) for s in found] == [("126326000422", "送检篮里", "接收员一号")]


# --- rejection and what follows ----------------------------------------------------------------------------------------------------------


def reason(hospital: Hospital, code: str) -> int:
    found: int = act(hospital, lambda u: next(r.id for r in md.catalog(u).reject_reasons.values() if r.code == code))
    return found


def test_a_rejected_tube_asks_for_another(hospital: Hospital) -> None:
    order = ordered(hospital, "1002")
    (first,), _ = act(hospital, lambda u: service.print_labels(u, order.patient_id, order.item_ids, ["name", "birth"]))
    collect(hospital, first.barcode)
    row = act(hospital, lambda u: service.reject(u, first.barcode, reason(hospital, "HEMO"), "重度"), DESK)
    assert one(hospital, first.barcode).state == "rejected" and statuses(hospital, order) == ["rejected"]
    ((payload,),) = rows(hospital, "SELECT payload FROM outbox_event WHERE topic = 'specimen.rejected'")
    assert payload["reason_code"] == "HEMO" and payload["note"] == "重度"
    answer = receive(hospital, first.barcode)
    assert answer.finding is Finding.REJECTED
    (again,), _ = act(hospital, lambda u: service.print_labels(u, order.patient_id, order.item_ids, ["name", "birth"]))
    assert again.barcode != first.barcode and statuses(hospital, order) == ["labelled"]
    act(hospital, lambda u: service.confirm_rejection(u, row.id))
    act(hospital, lambda u: service.confirm_rejection(u, row.id), DESK)
    read = act(hospital, lambda u: u.s.get_one(Rejection, (hospital.a, row.id)))
    assert read.ward_read_by == "护士一号"


def test_rejecting_needs_a_reason_of_the_list_and_a_tube_on_the_way(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1002")
    with pytest.raises(UserError, match="选择拒收原因"):
        act(hospital, lambda u: service.reject(u, code, 999_999))
    act(hospital, lambda u: service.reject(u, code, reason(hospital, "CLOT")))
    with pytest.raises(UserError) as caught:
        act(hospital, lambda u: service.reject(u, code, reason(hospital, "CLOT")))
    assert caught.value.code == "conflict" and "已拒收" in caught.value.message


def test_conditional_receipt_keeps_its_caveat(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1002")
    receive(hospital, code)
    with pytest.raises(UserError, match="说明"):
        act(hospital, lambda u: service.accept_conditionally(u, one(hospital, code).id, ""))
    act(hospital, lambda u: service.accept_conditionally(u, one(hospital, code).id, "轻度溶血，钾结果仅供参考"))
    assert (one(hospital, code).state, one(hospital, code).caveat) == ("conditional", "轻度溶血，钾结果仅供参考")


def test_a_tube_too_long_on_the_way_is_taken_in_by_a_senior_and_nothing_else_is_passed_over(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1002")
    act(hospital, lambda u: u.s.add(SavedSetting(key="specimens", value={"transport_minutes": 120})))
    hospital.clock.advance(minutes=121)
    hospital.rows("UPDATE order_item SET charge_state = 'unpaid' RETURNING id")
    assert receive(hospital, code).finding is Finding.UNPAID
    with pytest.raises(UserError, match="未缴费"):
        act(hospital, lambda u: service.accept_conditionally(u, one(hospital, code).id, "采集后 121 分钟送达"))
    hospital.rows("UPDATE order_item SET charge_state = 'paid' RETURNING id")
    assert receive(hospital, code).finding is Finding.LATE
    act(hospital, lambda u: service.accept_conditionally(u, one(hospital, code).id, "采集后 121 分钟送达"))
    tube = one(hospital, code)
    assert (tube.state, tube.caveat, tube.received_at is not None, tube.sample_no is not None) == (
        "conditional",
        "采集后 121 分钟送达",
        True,
        True,
    )
    kinds = [r.kind for r in hospital.rows("SELECT kind FROM specimen_event WHERE specimen_id = :i ORDER BY id", i=tube.id)]
    assert kinds[-2:] == ["received", "conditional"]
    assert [r.status for r in hospital.rows("SELECT status FROM order_item")] == ["received"]
    assert hospital.rows("SELECT count(*) AS n FROM test")[0].n > 0


def test_events_of_orders_void_the_tube_when_nothing_is_left(hospital: Hospital) -> None:
    order = ordered(hospital, "1002", "1003")
    (document,), _ = act(hospital, lambda u: service.print_labels(u, order.patient_id, order.item_ids, ["name", "birth"]))
    tube = one(hospital, document.barcode)
    for n, item in enumerate(order.item_ids):
        act(
            hospital,
            lambda u, i=item: u.s.execute(text("UPDATE order_item /* by hand */ SET status = 'cancelled' WHERE id = :i"), {"i": i}),
        )
        act(hospital, lambda u: follow.on_item_status(u, {"status": "cancelled", "specimen_id": tube.id, "reason": "退费"}))
        assert one(hospital, document.barcode).state == ("labelled" if n == 0 else "cancelled")
    act(hospital, lambda u: follow.on_item_status(u, {"status": "cancelled", "specimen_id": tube.id}))
    assert rows(hospital, "SELECT count(*) FROM specimen_event WHERE kind = 'cancelled'") == [(1,)]


def test_results_and_release_move_the_tube_on(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1002")
    receive(hospital, code)
    tube = one(hospital, code)
    act(hospital, lambda u: u.s.execute(text("UPDATE test /* by hand */ SET state = 'received' WHERE id = (SELECT min(id) FROM test)")))
    act(hospital, lambda u: follow.on_result(u, {"specimen_id": tube.id}))
    assert one(hospital, code).state == "on_analyzer"
    act(hospital, lambda u: u.s.execute(text("UPDATE test /* by hand */ SET state = 'received'")))
    act(hospital, lambda u: follow.on_result(u, {"specimen_id": tube.id}))
    act(hospital, lambda u: follow.on_result(u, {"specimen_id": tube.id}))
    assert one(hospital, code).state == "tested"
    act(hospital, lambda u: follow.on_released(u, {"report_id": 0, "specimen_id": tube.id}))
    assert one(hospital, code).state == "released"
    kinds = [e.kind for e in act(hospital, lambda u: u.s.scalars(select(SpecimenEvent).order_by(SpecimenEvent.id)).all())]
    assert kinds == ["labelled", "collected", "received", "on_analyzer", "tested", "reviewed", "released"]
