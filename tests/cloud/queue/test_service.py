"""The queue on PostgreSQL: numbers, calls from many windows at once, passing, identity at the window, tickets of an offline kiosk."""

import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from cloud.db.session import Actor
from cloud.modules.catalog.models import SavedSetting
from cloud.modules.queue import rules, service, store, windows
from cloud.modules.queue.models import QueueTicket, QueueWindow
from cloud.modules.queue.rules import Klass
from cloud.modules.specimens import service as specimens
from common.errors import PeerError, UserError
from tests.support.hospital import MORNING, Hospital
from tests.support.ordering import place

HALL = "1F"


def nurse(n: int = 1) -> Actor:
    return Actor(f"护士{n}", 100 + n, workstation=f"W{n}")


def arrive(h: Hospital, no: str, *codes: str, **more: Any) -> service.CheckedIn:
    """A patient with paid orders checks in."""
    if not h.rows("SELECT 1 FROM patient WHERE patient_no = :n", n=no):
        h.act(lambda u: place(u, *(codes or ("1001",)), patient_no=no, name=more.pop("name", f"张小{no[-1]}"), **more))
    found: service.CheckedIn = h.act(lambda u: service.check_in(u, no, HALL))
    return found


def window(h: Hospital, n: int = 1, services: tuple[str, ...] = ("blood",)) -> int:
    def make(uow: Any) -> int:
        row = QueueWindow(hall=HALL, no=n, services=list(services))
        uow.s.add(row)
        uow.s.flush()
        windows.open_window(uow, row.id)
        return int(row.id)

    made: int = h.act(make, nurse(n))
    return made


def call(h: Hospital, window_id: int, n: int = 1) -> str | None:
    found = h.act(lambda u: windows.call_next(u, window_id), nurse(n))
    return None if found is None else str(found.no)


def finish(h: Hospital, window_id: int, n: int = 1) -> None:
    def run(uow: Any) -> None:
        ticket = windows.current(uow, window_id)
        assert ticket is not None
        windows.serve(uow, window_id, service.code_of(uow, ticket), ["name", "birth"])
        windows.done(uow, window_id)

    h.act(run, nurse(n))


def ticket(h: Hospital, no: str) -> QueueTicket:
    found: QueueTicket = h.act(lambda u: u.s.scalars(select(QueueTicket).where(QueueTicket.no == no)).one())
    return found


def let_pass(h: Hospital, window_id: int) -> str:
    for _ in range(2):
        h.clock.advance(seconds=30)
        h.act(lambda u: windows.recall(u, window_id), nurse())
    h.clock.advance(seconds=30)
    return str(h.act(lambda u: windows.pass_ticket(u, window_id), nurse()).no)


# --- check-in ----------------------------------------------------------------------------------------------------------------------------


def test_numbers_count_up_per_class(hospital: Hospital) -> None:
    first, second, urgent = arrive(hospital, "P1"), arrive(hospital, "P2"), arrive(hospital, "P3", priority="stat")
    assert [t.ticket.no for t in (first, second, urgent)] == ["N001", "N002", "E001"]
    assert [first.ahead, second.ahead, urgent.ahead] == [0, 1, 0]
    assert second.eta is None  # no window is open


def test_the_day_begins_again_at_one(hospital: Hospital) -> None:
    assert arrive(hospital, "P1").ticket.no == "N001"
    hospital.clock.advance(days=1)
    assert arrive(hospital, "P2").ticket.no == "N001"


def test_waiting_again_gives_the_same_number(hospital: Hospital) -> None:
    first = arrive(hospital, "P1")
    again = arrive(hospital, "P1")
    assert again.repeated and again.ticket.id == first.ticket.id and not first.repeated


def test_the_same_key_twice_is_one_ticket(hospital: Hospital) -> None:
    hospital.act(lambda u: place(u, "1001", patient_no="P1"))
    both = [hospital.act(lambda u: service.check_in(u, "P1", HALL, ticket_key="k-1")) for _ in range(2)]
    assert both[0].ticket.id == both[1].ticket.id and both[1].repeated


def test_one_card_at_two_kiosks_gets_one_number(hospital: Hospital) -> None:
    hospital.act(lambda u: place(u, "1001", patient_no="P1"))
    numbers: list[str] = []
    gate = threading.Barrier(6)

    def kiosk() -> None:
        gate.wait()
        numbers.append(hospital.act(lambda u: service.check_in(u, "P1", HALL)).ticket.no)

    threads = [threading.Thread(target=kiosk) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert numbers == ["N001"] * 6
    assert hospital.rows("SELECT count(*) FROM queue_ticket") == [(1,)]


def test_unpaid_is_told_to_pay_and_gets_no_number(hospital: Hospital) -> None:
    hospital.act(lambda u: place(u, "1001", patient_no="P1", paid=False))
    with pytest.raises(UserError, match="未缴费") as caught:
        hospital.act(lambda u: service.check_in(u, "P1", HALL))
    assert caught.value.code == "conflict" and hospital.rows("SELECT count(*) FROM queue_ticket") == [(0,)]


def test_nobody_and_no_order_have_words_of_their_own(hospital: Hospital) -> None:
    with pytest.raises(UserError, match="没有找到您的信息"):
        hospital.act(lambda u: service.check_in(u, "NOBODY", HALL))
    order = hospital.act(lambda u: place(u, "1001", patient_no="P1"))
    hospital.act(
        lambda u: u.s.execute(text("UPDATE order_item /* by hand */ SET status = 'reported' WHERE id = ANY(:i)"), {"i": order.item_ids})
    )
    with pytest.raises(UserError, match="没有查到需要采集"):
        hospital.act(lambda u: service.check_in(u, "P1", HALL))


def test_tubes_labelled_on_the_ward_count_as_something_to_do(hospital: Hospital) -> None:
    order = hospital.act(lambda u: place(u, "1001", patient_no="P1", kind="inpatient"))
    hospital.act(lambda u: specimens.print_labels(u, order.patient_id, order.item_ids, ["name", "birth"]))
    assert hospital.act(lambda u: service.check_in(u, "P1", HALL)).ticket.no == "N001"


def test_priority_needs_its_proof(hospital: Hospital) -> None:
    hospital.act(lambda u: place(u, "1001", patient_no="P1"))
    with pytest.raises(UserError, match="依据"):
        hospital.act(lambda u: service.check_in(u, "P1", HALL, klass=Klass.PRIORITY))
    given = hospital.act(lambda u: service.check_in(u, "P1", HALL, klass=Klass.PRIORITY, proof="soldier"))
    assert given.ticket.no == "P001"


def test_another_hospitals_patient_is_nobody(hospital: Hospital) -> None:
    hospital.act(lambda u: place(u, "1001", patient_no="P1"), tenant=hospital.b)
    with pytest.raises(UserError, match="没有找到"):
        hospital.act(lambda u: service.check_in(u, "P1", HALL))


def test_online_numbers_step_over_the_kiosks_blocks(hospital: Hospital) -> None:
    day = MORNING.date()
    hospital.act(lambda u: store.next_number(u, HALL, day, Klass.NORMAL))
    hospital.act(lambda u: u.s.execute(text("UPDATE queue_counter SET last = 798 WHERE prefix = 'N'")))
    assert [hospital.act(lambda u: store.next_number(u, HALL, day, Klass.NORMAL)) for _ in range(2)] == [799, 1000]
    hospital.act(lambda u: u.s.execute(text("UPDATE queue_counter SET last = 4798 WHERE prefix = 'N'")))
    assert hospital.act(lambda u: store.next_number(u, HALL, day, Klass.NORMAL)) == 4999
    with pytest.raises(UserError, match="已经发完"):
        hospital.act(lambda u: store.next_number(u, HALL, day, Klass.NORMAL))


# --- calling -----------------------------------------------------------------------------------------------------------------------------


def test_ac_q_1_through_the_database(hospital: Hospital) -> None:
    start = hospital.clock().replace(hour=0, minute=0)  # 08:00 in Shanghai
    plan = [("N", 0), ("N", 5), ("A", 10), ("P", 20), ("P", 22), ("P", 24), ("P", 25), ("E", 28)]
    for n, (klass, minute) in enumerate(plan):
        hospital.clock.set(start + timedelta(minutes=minute))
        hospital.act(lambda u, i=n: place(u, "1001", patient_no=f"Q{i}"))
        made = hospital.act(
            lambda u, i=n, k=klass: service.check_in(u, f"Q{i}", HALL, klass=Klass(k), proof="soldier" if k == "P" else None)
        )
        if klass == "A":
            slot = {"e": start + timedelta(minutes=15), "i": made.ticket.id}
            hospital.act(lambda u, v=slot: u.s.execute(text("UPDATE queue_ticket SET eff_at = :e WHERE id = :i"), v))
    hospital.clock.set(start + timedelta(minutes=30))
    here = window(hospital)
    called = []
    while (no := call(hospital, here)) is not None:
        called.append(no)
        finish(hospital, here)
    assert called == ["E001", "P001", "P002", "P003", "N001", "P004", "N002", "A001"]


def test_ac_q_4_twenty_calls_on_ten_tickets(hospital: Hospital) -> None:
    for n in range(10):
        arrive(hospital, f"P{n:02}")
    windows = [window(hospital, n) for n in range(20)]
    found: list[str | None] = []
    gate = threading.Barrier(20)

    def press(n: int) -> None:
        gate.wait()
        found.append(call(hospital, windows[n], n))

    threads = [threading.Thread(target=press, args=(n,)) for n in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len([no for no in found if no is None]) == 10
    assert len({no for no in found if no is not None}) == 10
    assert hospital.rows("SELECT count(DISTINCT window_id) FROM queue_ticket WHERE state = 'called'") == [(10,)]


def test_ac_q_2_through_the_database(hospital: Hospital) -> None:
    here = window(hospital)
    arrive(hospital, "N1", name="先来者")
    assert call(hospital, here) == "N001"
    assert let_pass(hospital, here) == "N001"
    for n in range(2, 6):
        arrive(hospital, f"N{n}")
    back = arrive(hospital, "N1")
    assert back.ticket.no == "N001" and back.ahead == 3
    called = []
    while (no := call(hospital, here)) is not None:
        called.append(no)
        finish(hospital, here)
    assert called == ["N002", "N003", "N004", "N001", "N005"]


def test_second_pass_is_the_end_and_the_third_is_void(hospital: Hospital) -> None:
    here = window(hospital)
    arrive(hospital, "N1")
    for expected in ("N001", "N001", "N001"):
        assert call(hospital, here) == expected
        let_pass(hospital, here)
        last = arrive(hospital, "N1")
    assert ticket(hospital, "N001").state == "expired"
    assert last.ticket.no == "N002" and last.ticket.state == "waiting"


def test_calling_needs_an_open_window_of_ones_own_with_nobody_in_it(hospital: Hospital) -> None:
    here = window(hospital)
    arrive(hospital, "P1")
    with pytest.raises(UserError, match="不由您操作"):
        call(hospital, here, 2)
    assert call(hospital, here) == "N001"
    with pytest.raises(UserError, match="N001 号还没有处理完"):
        call(hospital, here)
    with pytest.raises(UserError, match="正由他人使用"):
        hospital.act(lambda u: windows.open_window(u, here), nurse(2))


def test_passing_takes_three_calls(hospital: Hospital) -> None:
    here = window(hospital)
    arrive(hospital, "P1")
    call(hospital, here)
    with pytest.raises(UserError, match="才叫了 1 次"):
        hospital.act(lambda u: windows.pass_ticket(u, here), nurse())
    with pytest.raises(UserError, match="30 秒"):
        hospital.act(lambda u: windows.recall(u, here), nurse())
    let_pass(hospital, here)
    assert ticket(hospital, "N001").state == "passed"


def test_a_paused_window_gives_its_patient_back_to_the_head(hospital: Hospital) -> None:
    here, other = window(hospital), window(hospital, 2)
    arrive(hospital, "P1")
    arrive(hospital, "P2")
    call(hospital, here)
    hospital.act(lambda u: windows.pause_window(u, here), nurse())
    with pytest.raises(UserError, match="暂停"):
        call(hospital, here)
    assert call(hospital, other, 2) == "N001"
    hospital.act(lambda u: windows.open_window(u, here), nurse())
    assert call(hospital, here) == "N002"


def test_a_window_calls_only_what_it_can_do(hospital: Hospital) -> None:
    arrive(hospital, "P1", "1008")
    assert call(hospital, window(hospital)) is None
    assert call(hospital, window(hospital, 2, ("blood", "urine")), 2) == "N001"


def test_whoever_the_guide_holds_is_not_called(hospital: Hospital) -> None:
    first = arrive(hospital, "P1").ticket.id
    arrive(hospital, "P2")
    hospital.act(lambda u: windows.hold(u, first))
    here = window(hospital)
    assert call(hospital, here) == "N002"
    finish(hospital, here)
    hospital.act(lambda u: windows.resume(u, first))
    assert call(hospital, here) == "N001"


def test_the_guide_raises_a_ticket_with_a_proof(hospital: Hospital) -> None:
    arrive(hospital, "P1")
    second = arrive(hospital, "P2").ticket.id
    with pytest.raises(UserError, match="依据"):
        hospital.act(lambda u: windows.give_priority(u, second, "friend"))
    hospital.act(lambda u: windows.give_priority(u, second, "age80"))
    assert call(hospital, window(hospital)) == "N002"
    assert hospital.rows("SELECT body::jsonb->'after'->>'proof' FROM audit_log WHERE action = 'priority'") == [("age80",)]


# --- at the window -----------------------------------------------------------------------------------------------------------------------


def test_the_wrong_persons_code_is_refused(hospital: Hospital) -> None:
    here = window(hospital)
    arrive(hospital, "P1")
    arrive(hospital, "P2")
    call(hospital, here)
    with pytest.raises(UserError, match="另一位患者"):
        hospital.act(lambda u: windows.serve(u, here, "P2", ["name", "birth"]), nurse())
    with pytest.raises(UserError, match="两项"):
        hospital.act(lambda u: windows.serve(u, here, "P1", ["name"]), nurse())
    assert ticket(hospital, "N001").state == "called"
    hospital.act(lambda u: windows.serve(u, here, "P1", ["name", "birth"]), nurse())
    found = hospital.rows("SELECT body::jsonb->'after'->'identifiers' FROM audit_log WHERE action = 'serving'")
    assert found == [(["birth", "name"],)]


def test_done_only_when_every_tube_is_closed(hospital: Hospital) -> None:
    here = window(hospital)
    arrive(hospital, "P1", "1001", "1002")
    call(hospital, here)
    hospital.act(lambda u: windows.serve(u, here, "P1", ["name", "birth"]), nurse())
    patient = ticket(hospital, "N001").patient_id
    ids = [r[0] for r in hospital.rows("SELECT id FROM order_item")]
    documents, _job = hospital.act(lambda u: specimens.print_labels(u, patient, ids, ["name", "birth"]), nurse())
    for left, document in zip((2, 1), documents, strict=True):
        with pytest.raises(UserError, match=f"还有 {left} 管"):
            hospital.act(lambda u: windows.done(u, here), nurse())
        hospital.act(lambda u, d=document: specimens.collect(u, d.barcode, patient), nurse())
    hospital.act(lambda u: windows.done(u, here), nurse())
    assert ticket(hospital, "N001").state == "done"


def test_waiting_time_comes_from_the_last_services(hospital: Hospital) -> None:
    here = window(hospital)
    for n in range(3):
        arrive(hospital, f"P{n}")
    call(hospital, here)

    def begin(uow: Any) -> None:
        windows.serve(uow, here, "P0", ["name", "birth"])

    hospital.act(begin, nurse())
    hospital.clock.advance(minutes=10)
    hospital.act(lambda u: windows.done(u, here), nurse())
    told = arrive(hospital, "P2")
    assert told.ahead == 1 and told.eta == rules.eta_range(10.0)


# --- offline kiosks ----------------------------------------------------------------------------------------------------------------------


def offline(n: int, number: int, minutes: int, **more: Any) -> dict[str, Any]:
    at = (MORNING + timedelta(minutes=minutes)).isoformat()
    return {"ticket_key": f"k{n}", "kiosk": "K1", "hall": HALL, "number": number, "checkin_at": at, "card": f"P{n}", **more}


def test_ac_q_5_offline_tickets_come_in_once_each_in_order_of_check_in(hospital: Hospital) -> None:
    hospital.act(lambda u: service.lease(u, HALL, "K1"))
    for n in range(6):
        hospital.act(lambda u, i=n: place(u, "1001", patient_no=f"P{i}"))
    sent = [offline(n, 800 + n, n) for n in range(6)] * 2
    random.Random(4).shuffle(sent)
    hospital.clock.advance(minutes=10)
    for payload in sent:
        hospital.act(lambda u, p=payload: service.take_offline_ticket(u, p))
    here = window(hospital)
    called = []
    while (no := call(hospital, here)) is not None:
        called.append(no)
        finish(hospital, here)
    assert called == [f"N80{n}" for n in range(6)]
    assert hospital.rows("SELECT count(*), count(DISTINCT patient_id), bool_and(offline) FROM queue_ticket") == [(6, 6, True)]


def test_an_offline_ticket_of_nobody_waits_and_is_named_at_the_window(hospital: Hospital) -> None:
    hospital.act(lambda u: service.lease(u, HALL, "K1"))
    hospital.act(lambda u: service.take_offline_ticket(u, offline(1, 800, 0, card="UNKNOWN-CARD")))
    here = window(hospital)
    assert call(hospital, here) == "N800"
    order = hospital.act(lambda u: place(u, "1001", patient_no="P9"))
    hospital.act(lambda u: windows.serve(u, here, "P9", ["name", "birth"]), nurse())
    assert ticket(hospital, "N800").patient_id == order.patient_id


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"number": 1}, "ticket_not_leased"),
        ({"number": 850}, "ticket_not_leased"),
        ({"hall": "2F"}, "ticket_not_leased"),
        ({"number": "x"}, "ticket_shape"),
        ({"checkin_at": "2026-11-22T08:00:00"}, "ticket_shape"),
        ({"checkin_at": None}, "ticket_shape"),
        ({"ticket_key": ""}, "ticket_shape"),
        ({"number": 800, "ticket_key": "other"}, "ticket_twice"),
    ],
)
def test_an_offline_ticket_that_cannot_be_true_is_put_aside(hospital: Hospital, more: dict[str, Any], code: str) -> None:
    hospital.act(lambda u: service.lease(u, HALL, "K1"))
    hospital.act(lambda u: service.take_offline_ticket(u, offline(1, 800, 0)))
    with pytest.raises(PeerError) as caught:
        hospital.act(lambda u: service.take_offline_ticket(u, {**offline(2, 801, 0), **more}))
    assert caught.value.code == code


def test_yesterdays_offline_ticket_is_kept_and_not_called(hospital: Hospital) -> None:
    hospital.act(lambda u: service.lease(u, HALL, "K1"))
    hospital.clock.advance(days=1)
    row = hospital.act(lambda u: service.take_offline_ticket(u, offline(1, 800, 0)))
    assert row.state == "expired" and call(hospital, window(hospital)) is None


def test_a_kiosks_clock_in_the_future_gains_nothing(hospital: Hospital) -> None:
    hospital.act(lambda u: service.lease(u, HALL, "K1"))
    row = hospital.act(lambda u: service.take_offline_ticket(u, offline(1, 800, 60)))
    assert row.eff_at == MORNING


def test_blocks_of_kiosks_never_touch(hospital: Hospital) -> None:
    hospital.act(lambda u: u.s.add(SavedSetting(key="queue", value={"lease_size": 60})))
    day = MORNING.date().isoformat()
    blocks = [hospital.act(lambda u, k=kiosk: service.lease(u, HALL, k))[day] for kiosk in ("K1", "K2", "K1", "K3", "K4")]
    assert blocks == [[(800, 859)], [(860, 919)], [(800, 859)], [(920, 979)], [(5000, 5059)]]
    more = hospital.act(lambda u: service.lease(u, HALL, "K1", {day: [800]}, more=True))[day]
    assert more == [(800, 859), (5060, 5119)]
    again = hospital.act(lambda u: service.lease(u, HALL, "K1", {day: [800]}, more=True))[day]
    assert again == more  # the answer was lost on the way: the same block, not another
    tomorrow = datetime(2026, 11, 23, tzinfo=UTC).date().isoformat()
    assert hospital.act(lambda u: service.lease(u, HALL, "K2"))[tomorrow] == [(860, 919)]


def test_a_kiosk_that_lost_its_book_never_sees_its_old_numbers(hospital: Hospital) -> None:
    day = MORNING.date().isoformat()
    hospital.act(lambda u: service.lease(u, HALL, "K1"))
    hospital.act(lambda u: service.lease(u, HALL, "K1", {day: [800]}))
    assert hospital.act(lambda u: service.lease(u, HALL, "K1"))[day] == [(850, 899)]
    assert hospital.act(lambda u: service.lease(u, HALL, "K1", {day: [850]}))[day] == [(850, 899)]


def test_kiosks_that_ask_together_get_blocks_of_their_own(hospital: Hospital) -> None:
    found: list[tuple[int, int]] = []
    gate = threading.Barrier(4)

    def ask(kiosk: str) -> None:
        gate.wait()
        found.extend(hospital.act(lambda u: service.lease(u, HALL, kiosk))[MORNING.date().isoformat()])

    threads = [threading.Thread(target=ask, args=(f"K{n % 3}",)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 4 and sorted(set(found)) == [(800, 849), (850, 899), (900, 949)]
