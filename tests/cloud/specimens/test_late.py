"""M05: tubes that are late to appear, and the alerts of them."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from cloud.modules.catalog.models import SavedSetting
from cloud.modules.platform import alerts
from cloud.modules.platform.models import Alert
from cloud.modules.specimens import bags, figures, late, track
from cloud.modules.specimens.figures import Figure
from cloud.modules.specimens.late import Late
from cloud.modules.specimens.models import Specimen
from cloud.web import span
from tests.cloud.specimens.test_service import DESK, NURSE, collected, receive
from tests.support.hospital import MORNING, Hospital

MAY = frozenset({"specimens:receive"})


def shown(hospital: Hospital, which: Late) -> list[str]:
    return [r.barcode for r in hospital.act(lambda u: late.rows(u, which))]


def told(hospital: Hospital, kind: str) -> list[Alert]:
    hospital.act(late.look)
    return [a for a in hospital.act(lambda u: alerts.visible(u, MAY)) if a.kind == kind]


@pytest.mark.parametrize(("priority", "minutes"), [("routine", 120), ("stat", 30)])
def test_a_drawn_tube_that_does_not_arrive_is_late_after_its_limit(hospital: Hospital, priority: str, minutes: int) -> None:
    (code,) = collected(hospital, "1002", priority=priority, ward="呼吸科", kind="inpatient")
    hospital.clock.advance(minutes=minutes)
    assert shown(hospital, Late.ON_THE_WAY) == [] == told(hospital, "specimen.on_the_way")
    hospital.clock.advance(seconds=1)
    (alert,) = told(hospital, "specimen.on_the_way")
    assert (alert.subject, alert.fields["code"], alert.fields["n"]) == ("呼吸科", code, 1)
    assert (alert.level == alerts.Level.URGENT) is (priority == "stat")
    # Here at last: the alert goes; not measured in time is another one.
    receive(hospital, code)
    assert told(hospital, "specimen.on_the_way") == []
    hospital.clock.advance(minutes=60 if priority == "routine" else 20, seconds=1)
    (idle,) = told(hospital, "specimen.idle")
    assert idle.fields["place"] == "生化" and shown(hospital, Late.NOT_MEASURED) == [code]


def test_the_hospitals_own_limits_count_and_old_tubes_are_left_alone(hospital: Hospital) -> None:
    hospital.act(lambda u: u.s.add(SavedSetting(key="specimens", value={"late_minutes": {"collected": 5}, "transport_minutes": 240})))
    (code,) = collected(hospital, "1002")
    hospital.clock.advance(minutes=6)
    assert shown(hospital, Late.ON_THE_WAY) == [code]
    hospital.clock.advance(days=3)
    assert shown(hospital, Late.ON_THE_WAY) == []


def test_a_tube_whose_sibling_is_here_or_whose_bag_was_opened_is_expected(hospital: Hospital) -> None:
    first, second = collected(hospital, "1001", "1002")
    (third,) = collected(hospital, "1002", patient_no="P2")
    receive(hospital, first)
    bag_id, _ = hospital.act(lambda u: bags.pack(u, "BAG-1", third, "W3"), NURSE)
    hospital.act(lambda u: bags.send(u, bag_id, "老王"), NURSE)
    hospital.act(lambda u: bags.open_bag(u, "BAG-1"), DESK)
    hospital.clock.advance(minutes=31)
    found = {r.barcode: r.why for r in hospital.act(lambda u: late.rows(u, Late.NOT_SEEN))}
    assert found == {second: "sibling", third: "bag"}
    assert {a.subject for a in told(hospital, "specimen.unseen")} == {second, third}
    receive(hospital, second)
    assert {a.subject for a in told(hospital, "specimen.unseen")} == {third}


def test_many_that_were_expected_are_told_by_their_number_and_every_ward_by_itself(hospital: Hospital) -> None:
    """A list that is cut would keep a ward's own tubes from it, and an alert from whoever comes after the three hundred oldest."""
    first, second = collected(hospital, "1001", "1002", ward="呼吸科", kind="inpatient")
    receive(hospital, first)
    more = """INSERT INTO specimen (tenant_id, barcode, patient_id, visit_id, specimen_type_id, container_id, section_id, state,
        priority, volume_ml, tube_k, tube_n, labelled_at, collected_at)
        SELECT tenant_id, 'M' || n, patient_id, visit_id, specimen_type_id, container_id, section_id, state,
        priority, volume_ml, tube_k, tube_n, labelled_at, collected_at FROM specimen, generate_series(1, 400) n WHERE barcode = :code"""
    hospital.act(lambda u: u.s.execute(text(more), {"code": second}))
    (last,) = collected(hospital, "1002", patient_no="P9", ward="心内科", kind="inpatient")
    hospital.clock.advance(minutes=121)
    assert {a.subject: a.fields["n"] for a in told(hospital, "specimen.on_the_way")} == {"呼吸科": 401, "心内科": 1}
    unseen = told(hospital, "specimen.unseen")
    assert (len(unseen), [a.fields["n"] for a in unseen if a.subject.startswith("section:")]) == (late.SINGLE + 1, [401 - late.SINGLE])
    assert last in shown(hospital, Late.ON_THE_WAY)


def test_aliquots_of_a_line_are_counted_nowhere_by_themselves(hospital: Hospital) -> None:
    """A child tube is a row of ``specimen``: late lists, figures, the desk's counts and the merge page's know only the tube drawn."""
    (code,) = collected(hospital, "1002")
    receive(hospital, code)
    event = {"tube": "AL-1", "parent": code, "step": "aliquoted", "at": None, "said": "", "place": "", "to": ""}
    hospital.act(lambda u: track.on_seen(u, {"device": "线", "at": MORNING.isoformat(), "events": [event]}))
    assert len(hospital.act(lambda u: u.s.scalars(select(Specimen.id)).all())) == 2
    hospital.clock.advance(hours=2)
    assert shown(hospital, Late.NOT_MEASURED) == [code]
    days = hospital.act(lambda u: span.asked({}, u.now))
    assert hospital.act(lambda u: figures.counts(u, days))[Figure.RECEIVED] == 1
    from cloud.modules.orders import merge
    from cloud.modules.specimens import queries

    assert sum(hospital.act(queries.received_today).values()) == 1
    side = hospital.rows(str(merge._SIDE), t=hospital.a, ids=[hospital.rows("SELECT patient_id FROM specimen")[0][0]])
    assert side[0].tubes == 1
