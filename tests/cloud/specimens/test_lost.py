"""A tube that is lost, and a label that was never used: what becomes of the requests."""

from __future__ import annotations

import pytest

from cloud.modules.bench import ending
from cloud.modules.bench import service as bench
from cloud.modules.bench.arrival_rules import Incoming
from cloud.modules.specimens import discard, figures, queries, service, storage
from cloud.modules.specimens.rules import Finding, State, may_move, refused_as
from cloud.web.span import Span
from common.errors import UserError
from tests.cloud.specimens.test_service import act, collect, collected, one, ordered, reason, receive, relabelled, statuses
from tests.support.hospital import MORNING, Hospital


def test_a_lost_tube_needs_a_search_record(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1002")
    with pytest.raises(UserError, match="找过"):
        act(hospital, lambda u: service.mark_lost(u, one(hospital, code).id, ""))
    act(hospital, lambda u: service.mark_lost(u, one(hospital, code).id, "转运箱、离心机、冰箱均无"))
    assert receive(hospital, code).finding is Finding.REJECTED


def test_a_lost_tube_is_drawn_again_unless_it_was_measured(hospital: Hospital) -> None:
    order = ordered(hospital, "1002")
    (first,) = relabelled(hospital, order)
    assert collect(hospital, first).finding is Finding.OK and receive(hospital, first).finding is Finding.OK
    act(hospital, lambda u: service.mark_lost(u, one(hospital, first).id, "离心机、冰箱"))
    assert statuses(hospital, order) == ["rejected"]
    act(hospital, lambda u: ending.on_withdrawn(u, {"specimen_id": one(hospital, first).id, "again": True}))
    assert {r.state for r in hospital.rows("SELECT state FROM test")} == {"cancelled"}
    # The ward prints another label for the same request.
    (second,) = relabelled(hospital, order)
    assert second != first and collect(hospital, second).finding is Finding.OK and receive(hospital, second).finding is Finding.OK
    tube = one(hospital, second)
    item = hospital.rows("SELECT item_id FROM test WHERE specimen_id = :s ORDER BY id", s=tube.id)[0].item_id
    act(hospital, lambda u: bench.record_results(u, [Incoming(tube.id, item, None, None, "4.1", run_at=u.now)]))
    act(hospital, lambda u: service.mark_lost(u, tube.id, "离心机、冰箱"))
    assert statuses(hospital, order) == ["received"]
    told = hospital.rows("SELECT payload->'again' AS again FROM outbox_event WHERE topic = 'specimen.lost' ORDER BY id")
    assert [r.again for r in told] == [True, False]
    act(hospital, lambda u: ending.on_withdrawn(u, {"specimen_id": tube.id, "again": False}))
    assert "cancelled" not in {r.state for r in hospital.rows("SELECT state FROM test WHERE specimen_id = :s", s=tube.id)}


def test_a_lost_tube_leaves_its_place_free_and_nobody_waits_for_it(hospital: Hospital) -> None:
    """Found by the walks: the rack went on showing it, and one taken out was asked for without end."""
    first, other = (one(hospital, code) for code in collected(hospital, "1002", "1005"))
    assert {receive(hospital, t.barcode).finding for t in (first, other)} == {Finding.OK}
    rack = act(hospital, lambda u: storage.make_rack(u, storage.NewRack("RK9", "", "1 号冰箱", "2–8 °C", 1, 2))).id
    for tube in (first, other):
        assert act(hospital, lambda u, t=tube: storage.scan(u, rack, None, t.barcode)).sound == "ok"
    act(hospital, lambda u: storage.take_out(u, other.id, "复查"))
    for tube in (first, other):
        act(hospital, lambda u, t=tube: service.mark_lost(u, t.id, "冰箱"))
    stays = hospital.rows("SELECT taken_why, returns FROM stored_tube ORDER BY id")
    assert [tuple(r) for r in stays] == [("丢失：冰箱", False), ("复查", False)]
    assert act(hospital, lambda u: storage.taken(u, rack)) == set()


def test_a_void_label_leaves_its_requests_waiting_for_another(hospital: Hospital) -> None:
    order = ordered(hospital, "1002")
    (code,) = relabelled(hospital, order)
    with pytest.raises(UserError, match="作废标签的原因"):
        act(hospital, lambda u: service.void(u, one(hospital, code).id, " "))
    act(hospital, lambda u: service.void(u, one(hospital, code).id, "贴错试管"))
    assert one(hospital, code).state == "cancelled" and statuses(hospital, order) == ["confirmed"]
    (other,) = relabelled(hospital, order)
    assert collect(hospital, other).finding is Finding.OK
    with pytest.raises(UserError, match="已采集的请拒收"):
        act(hospital, lambda u: service.void(u, one(hospital, other).id, "贴错试管"))


# --- found unfit after receipt, or cancelled, and where such a tube stands -----------------------------------------------------------


def test_a_clot_seen_after_receipt_sends_the_tube_back_until_its_first_value(hospital: Hospital) -> None:
    order = ordered(hospital, "1002")
    (first,) = relabelled(hospital, order)
    collect(hospital, first)
    assert receive(hospital, first).finding is Finding.OK
    tube = one(hospital, first)
    act(hospital, lambda u: service.reject(u, first, reason(hospital, "CLOT"), "离心后发现"))
    assert one(hospital, first).state == "cancelled" and statuses(hospital, order) == ["rejected"]
    (told,) = hospital.rows("SELECT payload->>'reason_code' AS reason FROM outbox_event WHERE topic = 'specimen.rejected'")
    assert told.reason == "CLOT"
    act(hospital, lambda u: ending.on_withdrawn(u, {"specimen_id": tube.id}))
    assert {r.state for r in hospital.rows("SELECT state FROM test")} == {"cancelled"}
    assert [r.stage for r in act(hospital, lambda u: queries.rejections(u, queries.Rejected()))] == ["waiting"]
    assert receive(hospital, first).finding is Finding.CANCELLED
    # Counted once among the received, and as a rejection.
    days = Span(MORNING.date(), MORNING.date())
    (part,) = act(hospital, lambda u: figures.breakdown(u, figures.Wanted(days), figures.By.PLACE))
    assert (part.n, part.of) == (1, 1)
    # The ward draws again under the same request; with a value there, the bench says what is not told.
    (second,) = relabelled(hospital, order)
    collect(hospital, second)
    receive(hospital, second)
    again = one(hospital, second)
    item = hospital.rows("SELECT item_id FROM test WHERE specimen_id = :s ORDER BY id", s=again.id)[0].item_id
    act(hospital, lambda u: bench.record_results(u, [Incoming(again.id, item, None, None, "4.1", run_at=u.now)]))
    with pytest.raises(UserError, match="已有结果"):
        act(hospital, lambda u: service.reject(u, second, reason(hospital, "CLOT")))
    assert statuses(hospital, order) == ["received"]


@pytest.mark.parametrize("state", list(State))
def test_what_an_unfit_tube_becomes_is_decided_for_every_state(state: State) -> None:
    on_the_way, here = {"collected", "sent", "arrived"}, {"received", "centrifuged", "conditional", "on_analyzer"}
    want = State.REJECTED if state in on_the_way else State.CANCELLED if state in here else None
    assert refused_as(state) is want and (want is None or may_move(state, want))


def test_a_tube_cancelled_in_its_rack_is_called_out_of_it(hospital: Hospital) -> None:
    first, other = (one(hospital, code) for code in collected(hospital, "1002", "1005"))
    for tube in (first, other):
        receive(hospital, tube.barcode)
    rack = act(hospital, lambda u: storage.make_rack(u, storage.NewRack("RK9", "", "1 号冰箱", "2–8 °C", 1, 2))).id
    for tube in (first, other):
        act(hospital, lambda u, t=tube: storage.scan(u, rack, None, t.barcode))
    act(hospital, lambda u: service.reject(u, first.barcode, reason(hospital, "CLOT")))
    calls = "SELECT subject, cleared_at IS NULL AS open FROM alert WHERE kind = 'specimen.void_rack'"
    act(hospital, lambda u: storage.on_void(u, {"specimen_id": first.id}))
    act(hospital, discard.daily)  # said once, whoever finds it
    assert [tuple(r) for r in hospital.rows(calls)] == [(f"tube:{first.id}", True)]
    act(hospital, lambda u: storage.take_out(u, first.id, "医疗废物", returns=False))
    assert [tuple(r) for r in hospital.rows(calls)] == [(f"tube:{first.id}", False)]
    act(hospital, discard.daily)
    assert [tuple(r) for r in hospital.rows(calls)] == [(f"tube:{first.id}", False)]
