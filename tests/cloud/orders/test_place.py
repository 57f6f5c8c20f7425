"""Placing orders against a real database."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import event, func, select

from cloud.db.audit import AuditLog
from cloud.db.outbox import OutboxEvent
from cloud.db.session import Database
from cloud.modules.orders import queries, rules, service
from cloud.modules.orders.messages import Action, Charge, OrderMessage, PatientId, Priority, Sex, VisitType
from cloud.modules.orders.models import LabOrder, OrderItem, ParkedCancel, Patient, PatientIdentifier, RefundRequest, Visit
from cloud.modules.orders.service import ItemStatus, OrderRefused, Placed
from cloud.web.faults import Conflict, Invalid
from tests.support.database import TestDatabase
from tests.support.orders import HIS, SOURCE, START, Clock, hospitals, item, message, person

S = ItemStatus


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def db(fresh_db: TestDatabase, clock: Clock) -> Iterator[Database]:
    with hospitals(fresh_db, clock) as made:
        yield made


def place(db: Database, what: OrderMessage, tenant: int = 1, **kw: Charge) -> Placed:
    with db.tenant(tenant, HIS) as uow:
        return service.place_order(uow, what, SOURCE, **kw)


def status_of(db: Database, number: str = "I1", tenant: int = 1) -> tuple[str, str]:
    with db.tenant(tenant) as uow:
        row = uow.s.scalars(select(OrderItem).where(OrderItem.order_item_no == number)).one()
        return row.status, row.charge_state


def count(db: Database, table: type, tenant: int = 1) -> int:
    with db.tenant(tenant) as uow:
        return uow.s.execute(select(func.count()).select_from(table)).scalar_one()


def move(db: Database, *to: ItemStatus, number: str = "I1") -> None:
    with db.tenant(1) as uow:
        found = uow.s.scalars(select(OrderItem.id).where(OrderItem.order_item_no == number)).one()
        for status in to:
            service.set_status(uow, [found], status)


def test_ac_or_1_same_message_three_times_is_one_order(db: Database) -> None:
    for _ in range(3):
        place(db, message(item("I1", "CBC"), item("I2", "GLU")))
    assert [count(db, t) for t in (Patient, Visit, LabOrder, OrderItem)] == [1, 1, 1, 2]
    with db.tenant(1) as uow:
        assert uow.s.scalars(select(OutboxEvent.topic)).all() == ["order.placed"]


def test_order_is_stored_whole(db: Database) -> None:
    placed = place(db, message(item("I1", "CBC", note="空腹"), who=person(card="C77"), priority=Priority.STAT, note="请加急"))
    with db.tenant(1) as uow:
        (row,) = queries.items(uow, placed.created)
        who = queries.patient(uow, placed.patient_id)
        assert who is not None
        assert (who.patient_no, who.name, who.sex, who.phone) == ("P001", "张三丰", "F", "13800000000")
        assert who.birth == datetime(1990, 3, 6, 16, tzinfo=UTC)
        assert (row.placer_no, row.doctor, row.dept, row.priority, row.order_note, row.note) == (
            "F1",
            "李四",
            "心内科",
            "stat",
            "请加急",
            "空腹",
        )
        assert (row.visit_no, row.visit_kind, row.ward, row.bed, row.diagnosis) == ("V-P001", VisitType.OUTPATIENT, "三病区", "05", "贫血")
        assert (row.his_code, row.his_name, row.charge, row.status) == ("CBC", "血常规", Charge.PAID, S.CONFIRMED)
        assert row.order_set_id is not None
        assert row.label_problem is None
        assert queries.identifiers(uow, placed.patient_id) == [("patient_no", "P001"), ("visit_card", "C77")]
        for code in ("P001", "C77", "V-P001", "F1", " C77 "):
            found = queries.patient_by_code(uow, code)
            assert found is not None and found.id == who.id
        assert queries.patient_by_code(uow, "nobody") is None
        assert [p.name for text in ("张三", "zsf", "zhangsan", "C77") for p in queries.search_patients(uow, text)] == ["张三丰"] * 4


def test_ac_if_5_unmapped_code_stays_visible(db: Database) -> None:
    placed = place(db, message(item("I1", "9999"), item("I2", "GLU")))
    assert placed.unmapped == [("9999", "9999")]
    assert [(p.location, p.code, p.severity.value) for p in placed.problems] == [("OBR^1^4", "204", "W")]
    with db.tenant(1) as uow:
        rows = {r.item.order_item_no: r.item for r in queries.order_list(uow, queries.Filter(unmapped=True))}
        assert set(rows) == {"I1"}
        assert rows["I1"].label_problem == "项目未对照，请先在接口对照页对照"
        assert queries.counts(uow)["unmapped"] == 1
        (code,) = queries.unmapped_codes(uow)
        assert code[:2] == (SOURCE, "9999") and code[3] == 1
        mapped = queries.items(uow, placed.created)[1].order_set_id
        assert mapped is not None
        assert service.map_code(uow, SOURCE, "9999", mapped) == 1
        assert queries.order_list(uow, queries.Filter(unmapped=True)) == []


def test_repeat_of_an_unmapped_order_warns_again(db: Database) -> None:
    place(db, message(item("I1", "9999")))
    assert [p.code for p in place(db, message(item("I1", "9999"))).problems] == ["204"]


def test_update_changes_everything_until_the_label(db: Database) -> None:
    place(db, message(item("I1", "CBC", charge=Charge.UNPAID)))
    assert status_of(db) == ("requested", "unpaid")
    place(db, message(item("I1", "GLU", Action.CHANGE, Charge.PAID), priority=Priority.STAT))
    assert status_of(db) == ("confirmed", "paid")
    with db.tenant(1) as uow:
        (row,) = uow.s.scalars(select(OrderItem))
        assert (row.his_code, row.his_name) == ("GLU", "葡萄糖")
        assert uow.s.scalars(select(LabOrder.priority)).one() == "stat"


def test_who_asked_and_for_which_day_changes_until_the_label_and_is_told_afterwards(db: Database) -> None:
    def told(doctor: str, dept: str, day: datetime | None, action: Action = Action.CHANGE) -> OrderMessage:
        whole = message(item("I1", "CBC", action), item("I2", "GLU", action))
        return replace(whole, orders=(replace(whole.orders[0], doctor=doctor, dept=dept, planned_at=day),))

    def form() -> tuple[str, str, datetime | None]:
        with db.tenant(1) as uow:
            return uow.s.execute(select(LabOrder.doctor, LabOrder.dept, LabOrder.planned_at)).one()._tuple()

    day = START + timedelta(days=2)
    place(db, told("李四", "心内科", None, Action.NEW))
    assert place(db, told("王五", "呼吸科", day)).problems == [] and form() == ("王五", "呼吸科", day)
    place(db, told("", "", None))
    assert form() == ("王五", "呼吸科", day), "what a message does not say takes nothing away"
    move(db, S.LABELLED)
    (problem,) = place(db, told("赵六", "呼吸科", START)).problems
    assert (problem.code, problem.severity) == ("206", "W") and "开单医生、计划时间未更改" in problem.text
    assert form() == ("王五", "呼吸科", day)
    assert place(db, told("王五", "呼吸科", day)).problems == []


def test_the_form_of_a_cancellation_changes_nothing_of_it(db: Database) -> None:
    place(db, message(item("I1", "CBC"), item("I2", "GLU")))
    whole = message(item("I1", "CBC", Action.CANCEL))
    place(db, replace(whole, orders=(replace(whole.orders[0], doctor="退费窗口", dept="收费处"),)))
    with db.tenant(1) as uow:
        assert tuple(uow.s.execute(select(LabOrder.doctor, LabOrder.dept)).one()) == ("李四", "心内科")


@pytest.mark.parametrize("status", list(S))
def test_a_form_is_open_while_no_item_of_it_has_its_label(status: S) -> None:
    assert rules.form_open(status) is (status in {S.REQUESTED, S.CONFIRMED, S.REJECTED, S.CANCELLED, S.REFUNDED, S.EXPIRED})


def test_after_the_label_only_priority_note_and_payment_change(db: Database) -> None:
    place(db, message(item("I1", "CBC", charge=Charge.UNPAID), visit=VisitType.INPATIENT))
    move(db, S.LABELLED)
    with pytest.raises(OrderRefused) as caught:
        place(db, message(item("I1", "GLU", Action.CHANGE), priority=Priority.STAT))
    assert [(p.location, p.code) for p in caught.value.problems] == [("OBR^1^4", "206")]
    place(db, message(item("I1", "CBC", Action.CHANGE, Charge.PAID), priority=Priority.STAT, note="改急"))
    assert status_of(db) == ("labelled", "paid")
    with db.tenant(1) as uow:
        order = uow.s.scalars(select(LabOrder)).one()
        assert (order.priority, order.note) == ("stat", "改急")


def test_a_refused_message_changes_nothing(db: Database) -> None:
    place(db, message(item("I1", "CBC")))
    move(db, S.LABELLED)
    before = count(db, AuditLog)
    with pytest.raises(OrderRefused):
        place(db, message(item("I2", "GLU"), item("I1", "GLU", Action.CHANGE), who=person(name="张三疯")))
    assert count(db, OrderItem) == 1
    assert count(db, AuditLog) == before


def test_same_item_number_of_another_patient_is_refused(db: Database) -> None:
    place(db, message(item("I1")))
    with pytest.raises(OrderRefused) as caught:
        place(db, message(item("I1"), who=person("P002", "李四", birth=date(1980, 1, 1))))
    assert (caught.value.kind, caught.value.problems[0].code) == ("item_of_other_patient", "205")
    assert count(db, Patient) == 1


def test_same_patient_number_of_another_person_is_refused(db: Database) -> None:
    place(db, message(item("I1")))
    with pytest.raises(OrderRefused) as caught:
        place(db, message(item("I2"), who=person("P001", "李四", birth=date(1980, 1, 1), sex=Sex.MALE)))
    assert (caught.value.kind, caught.value.problems[0].location) == ("patient_conflict", "PID^1^3")


def test_a_renamed_patient_is_updated_told_and_audited(db: Database) -> None:
    place(db, message(item("I1")))
    placed = place(db, message(item("I2"), who=person(name="张三封")))
    assert [p.location for p in placed.problems] == ["PID^1^5"]
    with db.tenant(1) as uow:
        patient = uow.s.scalars(select(Patient)).one()
        assert (patient.name, patient.initials) == ("张三封", "zsf")
        bodies = uow.s.scalars(select(AuditLog.body).where(AuditLog.entity == "patient", AuditLog.action == "changed")).all()
        assert len(bodies) == 1 and "张三丰" in bodies[0] and "张三封" in bodies[0]


def test_a_patient_is_found_by_another_identifier_of_the_same_name(db: Database) -> None:
    first = place(db, message(item("I1"), who=person("P001", card="C1")))
    again = place(db, message(item("I2"), who=person("P900", card="C1")))
    assert again.patient_id == first.patient_id
    other = place(db, message(item("I3"), who=person("P901", "李四", card="C1")))
    assert other.patient_id != first.patient_id
    with db.tenant(1) as uow:
        held = uow.s.scalars(select(PatientIdentifier.value).where(PatientIdentifier.patient_id == other.patient_id)).all()
        assert held == ["P901"]


def test_a_card_number_equal_to_a_patient_number_is_another_patient(db: Database) -> None:
    first = place(db, message(item("I1"), who=person("77")))
    card = replace(person("x", "王五"), ids=(PatientId("visit_card", "77"),))
    second = place(db, message(item("I2"), who=card))
    assert first.patient_id != second.patient_id


def test_a_merged_records_number_still_finds_its_orders(db: Database) -> None:
    old, new = place(db, message(item("I1"))), place(db, message(item("I2"), who=person("P002")))
    with db.tenant(1) as uow:
        uow.s.get_one(Patient, (1, old.patient_id)).merged_into = new.patient_id
    # The order stays under the record it came for and is read with the other: undoing the merge takes nothing along.
    assert place(db, message(item("I3"))).patient_id == old.patient_id
    with db.tenant(1) as uow:
        assert {i.order_item_no for i in queries.open_items(uow, new.patient_id)} == {"I1", "I2", "I3"}
    assert place(db, message(item("I1", "GLU", Action.CHANGE))).changed


@pytest.mark.parametrize(
    ("path", "charge", "expected"),
    [
        ((), Charge.UNPAID, "cancelled"),
        ((), Charge.PAID, "refunded"),
        ((S.LABELLED, S.COLLECTED), Charge.PAID, "refunded"),
        ((S.LABELLED, S.COLLECTED, S.REJECTED), Charge.PAID, "refunded"),
    ],
)
def test_cancel_before_receipt(db: Database, path: tuple[ItemStatus, ...], charge: Charge, expected: str) -> None:
    place(db, message(item("I1", charge=charge), visit=VisitType.INPATIENT))
    move(db, *path)
    placed = place(db, message(item("I1", None, Action.CANCEL, None, reason="开错")))
    assert (len(placed.cancelled), status_of(db)[0]) == (1, expected)
    again = place(db, message(item("I1", None, Action.CANCEL, None)))
    assert (again.cancelled, again.problems) == ([], [])


def test_refund_told_by_an_update(db: Database) -> None:
    place(db, message(item("I1")))
    place(db, message(item("I1", "CBC", Action.CHANGE, Charge.REFUNDED)))
    assert status_of(db) == ("refunded", "refunded")


def test_an_update_of_a_cancelled_item_is_told_and_not_used(db: Database) -> None:
    place(db, message(item("I1")))
    place(db, message(item("I1", None, Action.CANCEL, None)))
    placed = place(db, message(item("I1", "GLU")))
    assert [p.code for p in placed.problems] == ["206"]
    assert status_of(db)[0] == "refunded"


def test_ac_or_2_refund_after_receipt_waits_for_consent(db: Database) -> None:
    place(db, message(item("I1")))
    move(db, S.LABELLED, S.COLLECTED, S.RECEIVED)
    for _ in range(2):
        placed = place(db, message(item("I1", None, Action.CANCEL, None, reason="患者要求")))
        assert "pending" in placed.problems[0].text and "待检验科确认" in placed.problems[0].text
    assert status_of(db)[0] == "received"
    with db.tenant(1) as uow:
        (row,) = queries.refunds(uow)
        assert (row.reason, row.item.order_item_no, row.patient.name) == ("患者要求", "I1", "张三丰")
        service.decide_refund(uow, row.id, row.version, True, "未上机，同意")
    assert status_of(db) == ("refunded", "refunded")
    with db.tenant(1) as uow:
        assert uow.s.scalars(select(OutboxEvent.topic).where(OutboxEvent.topic == "order.refund_decided")).all()


def test_refund_refused_by_the_laboratory_and_stale_decision(db: Database) -> None:
    place(db, message(item("I1")))
    move(db, S.LABELLED, S.COLLECTED, S.RECEIVED)
    place(db, message(item("I1", None, Action.CANCEL, None)))
    with db.tenant(1) as uow:
        (row,) = queries.refunds(uow)
        for accept in (True, False):
            with pytest.raises(Invalid, match="理由"):
                service.decide_refund(uow, row.id, row.version, accept, " ")
        service.decide_refund(uow, row.id, row.version, False, "已上机")
    assert status_of(db)[0] == "received"
    with db.tenant(1) as uow, pytest.raises(Conflict):
        service.decide_refund(uow, row.id, row.version, True, "")


def test_refund_of_a_reported_item_is_never_possible(db: Database) -> None:
    place(db, message(item("I1")))
    move(db, S.LABELLED, S.COLLECTED, S.RECEIVED)
    place(db, message(item("I1", None, Action.CANCEL, None)))
    move(db, S.IN_TEST, S.REPORTED)
    with pytest.raises(OrderRefused) as caught:
        place(db, message(item("I1", None, Action.CANCEL, None)))
    assert caught.value.problems[0].code == "206"
    with db.tenant(1) as uow, pytest.raises(Conflict):
        (row,) = queries.refunds(uow)
        service.decide_refund(uow, row.id, row.version, True, "同意")
    assert count(db, RefundRequest) == 1


def test_cancel_before_its_order_waits_ten_minutes(db: Database, clock: Clock) -> None:
    cancel = message(item("I1", None, Action.CANCEL, None, reason="开错"))
    placed = place(db, cancel)
    assert (placed.parked, [p.code for p in placed.problems]) == (["I1"], ["204"])
    place(db, cancel)
    clock.now += timedelta(minutes=10)
    assert place(db, message(item("I1"))).cancelled
    assert status_of(db)[0] == "refunded"
    assert count(db, ParkedCancel) == 0


def test_a_parked_cancel_is_discarded_after_ten_minutes_with_a_trace(db: Database, clock: Clock) -> None:
    place(db, message(item("I1", None, Action.CANCEL, None)))
    with db.tenant(1) as uow:
        assert service.discard_parked(uow) == 0
    clock.now += timedelta(minutes=10, seconds=1)
    place(db, message(item("I1")))
    assert status_of(db)[0] == "confirmed"
    place(db, message(item("I9", None, Action.CANCEL, None)))
    clock.now += timedelta(minutes=11)
    with db.tenant(1) as uow:
        assert service.discard_parked(uow) == 1
    with db.tenant(1) as uow:
        assert uow.s.scalars(select(AuditLog.action).where(AuditLog.entity == "parked_cancel")).all()[-1] == "discarded"


def test_a_form_number_of_two_patients_makes_two_forms(db: Database) -> None:
    place(db, message(item("I1"), form="F1"))
    place(db, message(item("I2"), form="F1", who=person("P002", "李四")))
    assert (count(db, LabOrder), count(db, OrderItem)) == (2, 2)


def test_a_visit_number_of_two_patients_is_not_re_hung(db: Database) -> None:
    place(db, message(item("I1")))
    other = message(item("I2"), form="F2", who=person("P002", "李四"))
    assert other.visit is not None
    placed = place(db, replace(other, visit=replace(other.visit, visit_no="V-P001")))
    assert [p.location for p in placed.problems] == ["PV1^1^19"]


def test_default_charge_is_the_endpoints(db: Database) -> None:
    place(db, message(item("I1", charge=None)))
    place(db, message(item("I2", charge=None), form="F2"), default_charge=Charge.PAID)
    assert (status_of(db, "I1"), status_of(db, "I2")) == (("requested", "unpaid"), ("confirmed", "paid"))


def test_two_hospitals_hold_the_same_numbers(db: Database) -> None:
    place(db, message(item("I1")))
    place(db, message(item("I1", "GLU"), who=person(name="李四", birth=date(1980, 1, 1))), tenant=2)
    assert (count(db, OrderItem, 1), count(db, OrderItem, 2)) == (1, 1)
    with db.tenant(2) as uow:
        assert [r.patient.name for r in queries.order_list(uow, queries.Filter())] == ["李四"]


def test_status_moves_are_told_and_audited_and_wrong_ones_refused(db: Database) -> None:
    place(db, message(item("I1")))
    move(db, S.LABELLED, S.COLLECTED)
    with db.tenant(1) as uow:
        events = uow.s.scalars(select(OutboxEvent).where(OutboxEvent.topic == "order.item_status").order_by(OutboxEvent.id)).all()
        assert [(e.payload["from"], e.payload["status"]) for e in events] == [("confirmed", "labelled"), ("labelled", "collected")]
        found = events[0].payload["order_item_id"]
        assert service.set_status(uow, [found], S.COLLECTED) == []
        with pytest.raises(Conflict):
            service.set_status(uow, [found], S.REPORTED)


def test_moving_a_tubes_items_is_two_statements_and_rows_held_meanwhile_know_it(db: Database) -> None:
    numbers = [f"I{n}" for n in range(4)]
    place(db, message(*(item(number) for number in numbers)))
    seen: list[str] = []
    with db.tenant(1) as uow:
        held = uow.s.scalars(select(OrderItem).order_by(OrderItem.id)).all()
        ids, before = [row.id for row in held], [row.version for row in held]
        event.listen(db.engine, "before_cursor_execute", lambda _c, _cur, sql, *_: seen.append(sql))
        assert service.set_status(uow, ids, S.LABELLED) == ids
        assert len(seen) == 2, seen
        assert {row.status for row in held} == {"labelled"} and [row.version for row in held] == [v + 1 for v in before]
        held[0].note = "后来的备注"  # and may be changed like any other
    assert status_of(db, "I0")[0] == "labelled"


def test_order_list_filters_and_pages(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(5):
        place(db, message(item(f"I{n}"), form=f"F{n}", who=person(f"P{n}", f"张{'一二三四五'[n]}")))
    monkeypatch.setattr(queries, "PAGE", 2)
    with db.tenant(1) as uow:
        first = queries.order_list(uow, queries.Filter())
        assert [r.item.order_item_no for r in first] == ["I4", "I3"]
        assert [r.item.order_item_no for r in queries.order_list(uow, queries.Filter(), first[-1].item.id)] == ["I2", "I1"]
        assert [r.patient.name for r in queries.order_list(uow, queries.Filter(text="张三"))] == ["张三"]
        assert [r.item.order_item_no for r in queries.order_list(uow, queries.Filter(text="F1"))] == ["I1"]
        assert queries.order_list(uow, queries.Filter(status="labelled")) == []
        assert len(queries.order_list(uow, queries.Filter(day=date(2026, 5, 6)))) == 2
        assert queries.order_list(uow, queries.Filter(day=date(2026, 5, 7))) == []
