"""Rejections followed to the new tube, tubes sent to another laboratory and back, sample numbers by hand and missing."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from cloud.modules.orders.rules import ItemStatus
from cloud.modules.specimens import facts, queries, referral, rules, service
from cloud.modules.specimens.referral import Sending
from common.errors import UserError
from tests.cloud.catalog.seed import seed
from tests.cloud.specimens.test_service import DESK, NURSE, act, collect, collected, one, reason, receive
from tests.support.hospital import MORNING, Hospital
from tests.support.lab import Lab
from tests.support.ordering import place

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("statuses", "stage"),
    [
        (["rejected"], "waiting"),
        (["confirmed", "received"], "waiting"),
        (["labelled", "collected"], "labelled"),
        (["collected", "reported"], "collected"),
        (["received", "in_test", "partly_reported", "reported"], "done"),
        (["reported", "cancelled"], "done"),
        (["cancelled", "refunded", "expired"], "ended"),
        ([], "ended"),
    ],
)
def test_a_recollection_is_as_far_as_its_least_request(statuses: list[str], stage: str) -> None:
    assert rules.recollection(statuses) == stage


@pytest.mark.parametrize("status", list(ItemStatus))
def test_open_requests_are_those_whose_recollection_has_not_ended(status: ItemStatus) -> None:
    assert (status.value in rules.OPEN_REQUESTS) is (rules.recollection([status.value]) not in ("done", "ended"))


@pytest.mark.parametrize(("number", "good"), [("C0001", True), ("C7999", True), ("C8001", True), ("C8999", True)])
def test_a_number_by_hand_within_the_ranges(number: str, good: bool) -> None:
    assert (rules.own_number_problem("C", number) is None) is good


@pytest.mark.parametrize("number", ["C0000", "C8000", "C9001", "C12", "C12345", "H0001", "", "C00１1", "C-001"])
def test_a_number_that_is_none_of_the_section(number: str) -> None:
    assert "常规 0001–7999" in str(rules.own_number_problem("C", number))


def stage(hospital: Hospital, n: int = 0) -> queries.RejectionRow:
    row: queries.RejectionRow = act(hospital, lambda u: queries.rejections(u, queries.Rejected()))[n]
    return row


def alerts(hospital: Hospital, kind: str) -> int:
    return int(hospital.rows("SELECT count(*) AS n FROM alert WHERE kind = :k AND cleared_at IS NULL", k=kind)[0].n)


def test_a_rejection_is_followed_until_the_new_tube_is_received(hospital: Hospital) -> None:
    code = collected(hospital, "1001", patient_no="RC1", kind="inpatient", ward="呼吸科")[0]
    row = act(hospital, lambda u: service.reject(u, code, reason(hospital, "CLOT")), DESK)
    assert (stage(hospital).stage, stage(hospital).new, stage(hospital).open) == ("waiting", [], True)
    hospital.clock.advance(minutes=31)
    act(hospital, referral.look)
    assert (alerts(hospital, "specimen.unread"), alerts(hospital, "specimen.recollect")) == (1, 0)
    act(hospital, lambda u: service.confirm_rejection(u, row.id))
    hospital.clock.advance(hours=4)
    act(hospital, referral.look)
    assert (alerts(hospital, "specimen.unread"), alerts(hospital, "specimen.recollect")) == (0, 1)

    def again(uow: Any) -> str:
        person = facts.person_by_code(uow, "RC1")
        assert person is not None
        items = [w.order_item_id for w in facts.waiting(uow, person.id)]
        documents, _job = service.print_labels(uow, person.id, items, ["name", "birth"])
        return documents[0].barcode

    new = act(hospital, again, NURSE)
    shown = stage(hospital)
    assert (shown.stage, [code for _id, code in shown.new]) == ("labelled", [new]) and shown.items == "项目1001"
    assert collect(hospital, new).finding == "ok" and stage(hospital).stage == "collected"
    assert receive(hospital, new).finding == "ok"
    assert (stage(hospital).stage, stage(hospital).open) == ("done", False)
    act(hospital, referral.look)
    assert alerts(hospital, "specimen.recollect") == 0


def test_a_rejection_that_was_read_and_not_drawn_again_stays_with_the_ward_and_alerts_until_its_end(hospital: Hospital) -> None:
    """Neither the fourth day nor two hundred newer ones take it from the list."""
    code = collected(hospital, "1001", patient_no="RO1")[0]
    row = act(hospital, lambda u: service.reject(u, code, reason(hospital, "CLOT")), DESK)
    act(hospital, lambda u: service.confirm_rejection(u, row.id))
    hospital.clock.advance(hours=24 * 9)
    specimen, kind = one(hospital, code), reason(hospital, "HEMO")
    many = """INSERT INTO rejection (tenant_id, specimen_id, reason_id, at) SELECT :t, :s, :k, :now FROM generate_series(1, 230)"""
    given = {"t": hospital.a, "s": specimen.id, "k": kind, "now": hospital.clock()}
    act(hospital, lambda u: u.s.execute(text(many), given))

    def listed(which: queries.Rejected) -> list[int]:
        return [r.id for r in act(hospital, lambda u: queries.rejections(u, which))]

    for which in (queries.Rejected(), queries.Rejected(days=7), queries.Rejected(days=0), queries.Rejected(only_open=True)):
        assert row.id in listed(which), which
        assert act(hospital, lambda u, w=which: queries.count_rejections(u, w)) == len(listed(which)) == 231
    assert row.id not in listed(queries.Rejected(unread=True)) and len(listed(queries.Rejected(unread=True))) == 230
    pages = [act(hospital, lambda u, n=n: queries.rejections(u, queries.Rejected(), n, 100)) for n in (0, 100, 200)]
    assert [r.id for page in pages for r in page] == listed(queries.Rejected())
    act(hospital, referral.look)
    told = hospital.rows("SELECT subject FROM alert WHERE kind = 'specimen.recollect' AND cleared_at IS NULL")
    assert [t.subject for t in told] == [str(row.id)]
    hospital.rows("UPDATE order_item /* by hand */ SET status = 'expired' RETURNING id")
    assert row.id not in listed(queries.Rejected()) and row.id not in listed(queries.Rejected(only_open=True))


def test_a_second_rejection_waits_again(hospital: Hospital) -> None:
    first = collected(hospital, "1001", patient_no="RC2")[0]
    act(hospital, lambda u: service.reject(u, first, reason(hospital, "CLOT")), DESK)
    items = hospital.rows("SELECT order_item_id AS id FROM rejection_item")
    patient = one(hospital, first).patient_id
    documents, _ = act(hospital, lambda u: service.print_labels(u, patient, [items[0].id], ["name", "birth"]))
    second = documents[0].barcode
    assert collect(hospital, second).finding == "ok"
    act(hospital, lambda u: service.reject(u, second, reason(hospital, "HEMO")), DESK)
    assert [stage(hospital, n).stage for n in (0, 1)] == ["waiting", "waiting"]


def test_a_tube_goes_out_and_its_report_comes_back(hospital: Hospital) -> None:
    code = collected(hospital, "1002", patient_no="RF1")[0]

    def send(lab: str = "区域检验中心", due: date | None = TODAY + timedelta(days=1), barcode: str = code) -> Any:
        return act(hospital, lambda u: referral.send_out(u, barcode, Sending(lab, "HT-1", "老王", due)), DESK)

    with pytest.raises(UserError, match="已采集"):
        send()
    receive(hospital, code)
    for more, word in (({"lab": " "}, "实验室"), ({"due": None}, "日期"), ({"due": date(2026, 11, 21)}, "早于今天")):
        with pytest.raises(UserError, match=word):
            send(**more)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="校验位"):
        send(barcode="126326000423")
    send()
    assert one(hospital, code).state == "referred"
    with pytest.raises(UserError, match="已外送"):
        send()
    act(hospital, referral.look)
    assert alerts(hospital, "specimen.referral") == 0
    hospital.clock.advance(days=2)
    act(hospital, referral.look)
    assert alerts(hospital, "specimen.referral") == 1
    with pytest.raises(UserError, match="报告号"):
        act(hospital, lambda u: referral.came_back(u, code, ""), DESK)
    act(hospital, lambda u: referral.came_back(u, code, "R20261124-7"), DESK)
    with pytest.raises(UserError, match="没有未回报"):
        act(hospital, lambda u: referral.came_back(u, code, "x"), DESK)
    act(hospital, referral.look)
    assert alerts(hospital, "specimen.referral") == 0
    (row,) = act(hospital, referral.sent)
    assert (row.outcome, row.lab, row.barcode) == ("R20261124-7", "区域检验中心", code)


def test_what_is_away_stands_first_and_pages_lose_nothing(hospital: Hospital) -> None:
    codes = [collected(hospital, "1002", patient_no=f"RP{n}")[0] for n in range(4)]
    for code in codes:
        receive(hospital, code)
        act(hospital, lambda u, c=code: referral.send_out(u, c, Sending("区域检验中心", "", "", TODAY)), DESK)
    for code in (codes[1], codes[3]):
        act(hospital, lambda u, c=code: referral.came_back(u, c, "R1"), DESK)

    def listed(**how: Any) -> list[str]:
        return [row.barcode for row in act(hospital, lambda u: referral.sent(u, **how))]

    assert listed() == [codes[2], codes[0], codes[3], codes[1]]
    first = act(hospital, lambda u: referral.sent(u, limit=1))
    assert [r.barcode for r in first] == [codes[2], codes[0], codes[3]]
    assert listed(before=first[-1].id, limit=1) == [codes[1]]
    hospital.clock.advance(days=1)
    rows = act(hospital, referral.sent)
    made = referral.document(rows, "甲", "乙", hospital.clock())
    assert [line[8].split(" ")[0] for line in made.rows] == ["逾期未回报", "逾期未回报", "R1", "R1"]


def test_a_number_by_hand_is_unique_and_its_turn_is_skipped(hospital: Hospital) -> None:
    first, second, third = (collected(hospital, "1002", patient_no=f"NB{n}")[0] for n in range(3))
    receive(hospital, first)
    tube = one(hospital, first)
    assert tube.sample_no == "C0001"

    def give(number: str, why: str = "与手工登记一致") -> None:
        act(hospital, lambda u: referral.renumber(u, tube.id, number, why), DESK)

    with pytest.raises(UserError, match="原因"):
        give("C0002", " ")
    with pytest.raises(UserError, match="四位数字"):
        give("X1")
    give("c0002")
    assert receive(hospital, second).tube.sample_no == "C0003"  # type: ignore[union-attr]
    with pytest.raises(UserError, match="已有标本"):
        give("C0003")
    (row,) = act(hospital, lambda u: referral.numbers(u, TODAY))
    assert (row.used, row.gaps) == (2, ("C0001",))
    hospital.clock.advance(days=1)
    act(hospital, referral.nightly)
    assert alerts(hospital, "specimen.gaps") == 1
    assert receive(hospital, third).tube.sample_no == "C0001"  # type: ignore[union-attr]
    act(hospital, lambda u: u.s.execute(text("UPDATE specimen /* by hand */ SET state = 'tested' WHERE id = :i"), {"i": tube.id}))
    with pytest.raises(UserError, match="已检测"):
        give("C0009")


def test_the_pages_of_recollection_referral_and_numbers(lab: Lab) -> None:
    lab.clock.set(MORNING)
    with lab.uow() as uow:
        seed(uow)
        placed = place(uow, "1002", patient_no="PG2", name="钱小明", ward="呼吸科", kind="inpatient")
        documents, _ = service.print_labels(uow, placed.patient_id, placed.item_ids, ["name", "birth"])
        barcode = documents[0].barcode
        service.collect(uow, barcode, placed.patient_id)
    desk, nurse, tester = lab.client("receiver"), lab.client("nurse"), lab.client("tester")
    assert "没有外送的标本" in desk.get("/sp/referral").text and "没有核收的标本" in desk.get("/sp/numbers").text
    assert "都已重采完毕" in tester.get("/sp/recollect").text
    with lab.uow() as uow:
        known = uow.s.execute(text("SELECT id FROM reject_reason WHERE code = 'CLOT'")).scalar()
    assert desk.post("/sp/reject", {"code": barcode, "reason_id": known}, htmx=True).status_code == 200
    assert "待重采" in tester.get("/sp/recollect").text and "未读" in tester.get("/sp/recollect").text
    with lab.uow() as uow:
        rows = queries.rejections(uow, queries.Rejected(days=7))
        [line] = referral.recollections(rows, "甲", "乙", uow.now).rows
    assert barcode in line and "PG2" in line and line[-2:] == ("未读", "待重采")
    wanted = ("pdf", "xlsx", "x")
    assert [lab.client("leader").post("/sp/recollect/export?all=1", {"kind": kind}).status_code for kind in wanted] == [303, 303, 422]
    assert nurse.post("/sp/recollect/export", {"kind": "pdf"}).status_code == 403
    ward = nurse.get("/sp/rejections").text
    assert "待重采" in ward and "/sp/labels?code=PG2" in ward
    assert desk.get("/sp/numbers?day=2026-99-99").status_code == 422
    refused = desk.post("/sp/referral/send", {"lab": "x", "due": "2026-11-30", "code": barcode}, htmx=True)
    assert refused.status_code == 409 and "已拒收" in refused.text
    assert desk.post("/sp/referral/back", {"code": "nonsense", "outcome": "x"}, htmx=True).status_code == 404
    assert desk.post("/sp/tubes/99999/number", {"number": "C0001", "reason": "x"}, htmx=True).status_code == 404
    assert nurse.get("/sp/referral").status_code == 403
    assert [desk.post("/sp/referral/export", {"kind": kind}).status_code for kind in ("pdf", "xlsx", "x")] == [303, 303, 422]
