"""The tube lies there before the order does: one form orders, labels, collects and receives it, by the rules of the single steps."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from cloud import relay
from cloud.db import audit
from cloud.db.session import Actor, UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.catalog.models import SavedSetting
from cloud.modules.orders.messages import Registration
from cloud.modules.specimens import service
from cloud.modules.specimens.service import InHand, Taken, take_in
from cloud.worker import all_handlers
from common import ids
from common.errors import UserError
from tests.support.hospital import Hospital

DAY = date(2026, 11, 22)
DESK = Actor("接收员一号", 8, workstation="R1")
PAPER = Registration("a" * 32, "T100", "李小明", "F", "1990-03-07", "", "exam", "某公司体检", "王医生", "routine", True, "", ("LYTES",))
TUBE = InHand(PAPER, ("name", "birth"), barcode="T00000000017", collector="体检中心 张护士")


@pytest.fixture
def printed(hospital: Hospital) -> Hospital:
    """A hospital with a roll of printed codes."""
    rule = {"prefix": "T", "kind": "tube", "length": 12}
    hospital.act(lambda u: u.s.add(SavedSetting(key="specimens", value={"barcode_rules": [rule]})))
    return hospital


def take(hospital: Hospital, form: InHand) -> Taken:
    taken: Taken = hospital.act(lambda u: take_in(u, form), DESK)
    return taken


def test_one_form_walks_all_steps_in_order_each_with_its_entry_and_event(printed: Hospital) -> None:
    drawn = printed.clock() - timedelta(hours=2)
    (tube,) = take(printed, replace(TUBE, collected_at=drawn)).tubes
    assert (tube.barcode, tube.state, tube.name) == ("T00000000017", "received", "李小明") and tube.sample_no
    told = printed.rows("SELECT kind, actor, at FROM specimen_event WHERE specimen_id = :i ORDER BY id", i=tube.id)
    assert [r.kind for r in told] == ["labelled", "collected", "received"]
    assert (told[1].actor, told[1].at, told[2].actor) == ("体检中心 张护士", drawn, "接收员一号")
    steps = "SELECT action FROM audit_log WHERE entity = :e ORDER BY seq"
    assert [r.action for r in printed.rows(steps, e="specimen")] == ["labelled", "collected", "received"]
    assert [r.action for r in printed.rows(steps, e="order_item")] == ["placed", "labelled", "collected", "received"]
    topics = [r.topic for r in printed.rows("SELECT topic FROM outbox_event ORDER BY id")]
    assert [t for t in topics if t.startswith("specimen")] == ["specimen.labelled", "specimen.collected", "specimen.received"]
    assert topics.count("order.item_status") == 3
    assert printed.rows("SELECT count(*) AS n FROM test WHERE specimen_id = :i", i=tube.id)[0].n > 0
    assert printed.act(lambda u: audit.verify(u.s))[1] is None
    relay.drain(printed.db, printed.a, all_handlers())
    assert printed.rows("SELECT count(*) AS n FROM outbox_event WHERE done_at IS NULL")[0].n == 0


def test_without_a_printed_code_each_tube_gets_one_and_a_label(hospital: Hospital) -> None:
    both = replace(PAPER, order_sets=("LYTES", "CBC"))
    taken = take(hospital, replace(TUBE, registration=both, barcode=""))
    assert len(taken.tubes) == 2 and taken.job_id is not None
    assert all(ids.parse_accession(t.barcode) for t in taken.tubes)
    assert hospital.rows("SELECT count(*) AS n FROM label_job")[0].n == 1


def test_the_same_form_again_writes_nothing(printed: Hospital) -> None:
    first = take(printed, TUBE)
    count = "SELECT (SELECT count(*) FROM specimen) + (SELECT count(*) FROM audit_log) + (SELECT count(*) FROM outbox_event) AS n"
    before = printed.rows(count)[0].n
    again = take(printed, TUBE)
    assert again.again and [t.id for t in again.tubes] == [t.id for t in first.tubes]
    assert printed.rows(count)[0].n == before


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("identifiers", {"identifiers": ("name",)}, "两项身份"),
    ("our own number", {"barcode": ids.accession_number(1, DAY, 777)}, "不是预印条码"),
    ("a report's number", {"barcode": ids.report_number(1, DAY, 1)}, "不是标本条码"),
    ("unknown form", {"barcode": "HELLO"}, "不是预印条码"),
    ("future", {"ahead": 10}, "将来"),
    ("long ago", {"ahead": -60 * 24 * 8}, "7 天"),
    ("one code for two tubes", {"registration": replace(PAPER, order_sets=("LYTES", "CBC"))}, "2 管"),
    ("unpaid outpatient", {"registration": replace(PAPER, kind="outpatient", paid=False)}, "未缴费"),
    ("no item", {"registration": replace(PAPER, order_sets=())}, "至少选择一个项目"),
    ("no name", {"registration": replace(PAPER, name=" ")}, "姓名"),
]


@pytest.mark.parametrize(("change", "word"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_is_wrong_is_named_and_leaves_nothing(printed: Hospital, change: dict[str, Any], word: str) -> None:
    values = dict(change)
    if "ahead" in values:
        values["collected_at"] = printed.clock() + timedelta(minutes=values.pop("ahead"))
    with pytest.raises(UserError, match=word):
        take(printed, replace(TUBE, **values))
    assert printed.rows("SELECT (SELECT count(*) FROM specimen) + (SELECT count(*) FROM order_item) AS n")[0].n == 0


def test_a_code_in_use_and_another_person_under_the_number_are_refused(printed: Hospital) -> None:
    take(printed, TUBE)
    other = replace(PAPER, key="b" * 32, patient_no="T200", name="王五")
    with pytest.raises(UserError, match="已经用在另一管"):
        take(printed, replace(TUBE, registration=other))
    stranger = replace(PAPER, key="c" * 32, name="赵六", sex="M", birth="1955-01-01")
    with pytest.raises(UserError, match="核对患者号"):
        take(printed, replace(TUBE, registration=stranger, barcode="T00000000025"))


def test_late_tubes_are_written_down_and_not_taken_in_by_the_back_door(hospital: Hospital) -> None:
    value = {"transport_minutes": 60, "barcode_rules": [{"prefix": "T", "kind": "tube", "length": 12}]}
    hospital.act(lambda u: u.s.add(SavedSetting(key="specimens", value=value)))
    # One minute inside its time it is received as any other.
    in_time = replace(TUBE, collected_at=hospital.clock() - timedelta(minutes=60))
    assert take(hospital, in_time).tubes[0].state == "received"
    late = replace(TUBE, registration=replace(PAPER, key="e" * 32, patient_no="T400", name="迟到"), barcode="T00000000041")
    late = replace(late, collected_at=hospital.clock() - timedelta(minutes=61))
    taken = take(hospital, late)
    (tube,) = taken.tubes
    assert (tube.state, tube.sample_no, taken.limit) == ("collected", None, 60)
    asked = "SELECT status FROM order_item WHERE specimen_id = :i"
    assert [r.status for r in hospital.rows(asked, i=tube.id)] == ["collected"]
    assert hospital.rows("SELECT count(*) AS n FROM test WHERE specimen_id = :i", i=tube.id)[0].n == 0
    again = take(hospital, late)
    assert again.again and again.limit == 60 and again.tubes[0].id == tube.id
    # Both ways out stand open, and each does the whole: the senior's concession receives it …
    hospital.act(lambda u: service.accept_conditionally(u, tube.id, "超时送达，难以重采"), Actor("资深", 9))
    assert [r.status for r in hospital.rows(asked, i=tube.id)] == ["received"]
    assert hospital.rows("SELECT count(*) AS n FROM test WHERE specimen_id = :i", i=tube.id)[0].n > 0


def test_a_late_tube_in_hand_may_be_rejected_at_once(hospital: Hospital) -> None:
    value = {"transport_minutes": 60, "barcode_rules": [{"prefix": "T", "kind": "tube", "length": 12}]}
    hospital.act(lambda u: u.s.add(SavedSetting(key="specimens", value=value)))
    (tube,) = take(hospital, replace(TUBE, collected_at=hospital.clock() - timedelta(minutes=61))).tubes
    reason = hospital.act(lambda u: next(iter(md.catalog(u).reject_reasons)))
    hospital.act(lambda u: service.reject(u, tube.barcode, reason))
    rows = hospital.rows("SELECT i.status, s.state FROM order_item i JOIN specimen s ON s.id = i.specimen_id WHERE s.id = :i", i=tube.id)
    assert [(r.status, r.state) for r in rows] == [("rejected", "rejected")]


def test_taking_in_costs_a_bounded_number_of_statements(printed: Hospital) -> None:
    take(printed, TUBE)  # the catalog is known from here on
    seen: list[str] = []
    event.listen(printed.db.engine, "before_cursor_execute", lambda _c, _cur, sql, *_: seen.append(sql))
    take(printed, replace(TUBE, registration=replace(PAPER, key="d" * 32, patient_no="T300", name="李小红"), barcode="T00000000033"))
    assert len(seen) <= 19, "\n".join(seen)


def test_another_hospital_sees_nothing_of_it(printed: Hospital) -> None:
    take(printed, TUBE)

    def count(uow: UnitOfWork) -> int:
        return int(uow.s.execute(text("SELECT count(*) FROM specimen")).scalar_one())

    assert printed.act(count, tenant=printed.b) == 0


@pytest.mark.parametrize(("said", "prep"), [("", "fasting"), ("是", "fasting"), ("否", "broken")])
def test_a_tube_in_hand_knows_what_its_patient_had_to_be(printed: Hospital, said: str, prep: str) -> None:
    printed.act(lambda u: u.s.execute(text("UPDATE order_set SET fasting = true WHERE code = 'LYTES'")))
    (tube,) = take(printed, replace(TUBE, registration=replace(PAPER, fasting=said))).tubes
    assert tube.prep == prep
