"""A tube that is lost, and a label that was never used: what becomes of the requests."""

from __future__ import annotations

import pytest

from cloud.modules.bench import ending
from cloud.modules.bench import service as bench
from cloud.modules.bench.arrival_rules import Incoming
from cloud.modules.specimens import service, storage
from cloud.modules.specimens.rules import Finding
from common.errors import UserError
from tests.cloud.specimens.test_service import act, collect, collected, one, ordered, receive, relabelled, statuses
from tests.support.hospital import Hospital


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
