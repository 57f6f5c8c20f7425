"""Bags of tubes: what lacks and what is too many is seen before a bag is closed; each tube is received in the same scan."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from sqlalchemy import text

from cloud.modules.specimens import bag_rules, bags
from cloud.modules.specimens.bag_rules import BagState
from cloud.modules.specimens.rules import Finding
from common.errors import UserError
from tests.cloud.catalog.seed import seed
from tests.cloud.specimens.test_desk import collected as on_its_way
from tests.cloud.specimens.test_service import DESK, NURSE, act, collected, labelled
from tests.support.hospital import Hospital
from tests.support.lab import Lab

FLOW = list(BagState)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        *(("4.2", "4.2"), (" 7.95 ℃", "7.95"), ("−3.5°C", "-3.5"), ("-100", "-100"), ("80", "80"), ("0", "0")),
        *(("-100.1", None), ("80.1", None), ("4.123", None), ("NaN", None), ("Infinity", None), ("", None), ("冷", None), ("1e9", None)),
    ],
)
def test_a_temperature_is_one_of_this_world(text: str, read: str | None) -> None:
    assert bag_rules.temperature(text) == (None if read is None else Decimal(read))


def test_a_reading_needs_its_logger_and_both_ends() -> None:
    low, high = Decimal(4), Decimal(8)
    assert bag_rules.reading_problem("T1", low, high) is None and bag_rules.reading_problem("T1", low, low) is None
    assert "没有随附" in str(bag_rules.reading_problem("", low, high)) and "高于" in str(bag_rules.reading_problem("T1", high, low))
    for one in ((None, high), (low, None), (None, None)):
        assert "最低和最高" in str(bag_rules.reading_problem("T1", *one))


def test_a_bag_is_closed_when_it_balances_or_somebody_says_why_and_its_logger_was_read() -> None:
    even, short, more = (bag_rules.Balance(("a",), m, e) for m, e in (((), ()), (("b", "c"), ()), ((), ("d",))))
    both = bag_rules.Balance((), ("b",), ("c",))
    assert bag_rules.close_problem(even, "") is None and even.even and not (short.even or more.even or both.even)
    said = [str(bag_rules.close_problem(found, " ")) for found in (short, more, both)]
    assert ["缺 2 管" in said[0], "多" in said[0], "缺" in said[1], "多 1 管" in said[1]] == [True, False, False, True]
    assert "缺 1 管、多 1 管" in said[2]
    assert [bag_rules.close_problem(found, "已核对") for found in (short, more, both)] == [None] * 3
    assert "温度记录仪" in str(bag_rules.close_problem(even, "已核对", unread_logger=True))


@pytest.mark.parametrize(("state", "to"), list(product(BagState, BagState)))
def test_every_step_of_a_bag_is_decided(state: BagState, to: BagState) -> None:
    problem = bag_rules.bag_problem(state, to)
    assert (problem is None) is (FLOW.index(to) == FLOW.index(state) + 1)
    assert problem is None or bag_rules.BAG_WORDS[state] in problem


@pytest.mark.parametrize(
    ("listed", "scanned", "here", "missing", "extra"),
    [("abc", "abc", 3, "", ""), ("abc", "ab", 2, "c", ""), ("abc", "abcd", 3, "", "d"), ("", "x", 0, "", "x"), ("abc", "aab", 2, "c", "")],
)
def test_a_bag_is_compared_with_its_list(listed: str, scanned: str, here: int, missing: str, extra: str) -> None:
    found = bag_rules.balance(listed, scanned)
    assert (len(found.here), "".join(found.missing), "".join(found.extra)) == (here, missing, extra)
    assert (bag_rules.close_problem(found, " ") is None) is found.even
    assert bag_rules.close_problem(found, "已电话核实") is None


@pytest.mark.parametrize(
    ("logger", "low", "high", "word"),
    [
        ("", "4", "8", "没有随附温度记录仪"),
        ("T1", "", "8", "请填写记录仪显示的最低和最高温度"),
        ("T1", "冷", "8", "请填写记录仪显示的最低和最高温度"),
        ("T1", "9", "8", "最低温度 9 高于最高温度 8"),
        ("T1", "4.2℃", "7.9", None),
        ("T1", "0", "0", None),
    ],
)
def test_what_a_logger_showed_is_read_or_refused_in_words(logger: str, low: str, high: str, word: str | None) -> None:
    problem = bag_rules.reading_problem(logger, bag_rules.temperature(low), bag_rules.temperature(high))
    assert (problem is None) is (word is None) and (word or "") in (problem or "")


def test_the_edge_of_the_allowed_range_is_inside() -> None:
    allowed = bag_rules.Reading(Decimal(2), Decimal(8))
    assert bag_rules.excursion(bag_rules.Reading(Decimal(2), Decimal(8)), allowed) is None
    assert bag_rules.excursion(bag_rules.Reading(Decimal("1.9"), Decimal(8)), allowed) == "运送温度 1.9～8 ℃，超出 2～8 ℃"
    assert bag_rules.excursion(bag_rules.Reading(Decimal(2), Decimal("8.1")), allowed) == "运送温度 2～8.1 ℃，超出 2～8 ℃"


def test_a_bags_logger_is_read_before_it_closes_and_an_excursion_marks_its_tubes(hospital: Hospital) -> None:
    tubes = [collected(hospital, "1002", patient_no=f"C{n}", name=f"病人{n}")[0] for n in range(2)]
    bag_id = 0
    for tube in tubes:
        bag_id, _answer = act(hospital, lambda u, t=tube: bags.pack(u, "BAG0009", t, "内科一病区"), NURSE)
    act(hospital, lambda u: bags.send(u, bag_id, "老张", logger_no="tl-7"), NURSE)
    act(hospital, lambda u: bags.open_bag(u, "BAG0009"), DESK)
    for tube in tubes:
        assert act(hospital, lambda u, t=tube: bags.scan_out(u, bag_id, t), DESK).finding is Finding.OK

    def version() -> int:
        return int(hospital.rows("SELECT version FROM specimen_bag WHERE id = :i", i=bag_id)[0][0])

    with pytest.raises(UserError, match="请先登记最低和最高温度"):
        act(hospital, lambda u: bags.close(u, bag_id, version(), ""), DESK)
    marked = "SELECT issues FROM specimen WHERE barcode = ANY(:c)"
    assert act(hospital, lambda u: bags.read_logger(u, bag_id, "4.0", "31.5"), DESK) == "运送温度 4.0～31.5 ℃，超出 2～25 ℃"
    assert hospital.rows(marked, c=tubes) == [(["temp"],), (["temp"],)]
    assert hospital.rows("SELECT count(*) FROM alert WHERE kind = 'specimen.temperature' AND cleared_at IS NULL") == [(1,)]
    # Misread: read again, and the marks and the alert are gone; the first reading stays in the audit.
    assert act(hospital, lambda u: bags.read_logger(u, bag_id, "4.0", "13.5"), DESK) is None
    assert hospital.rows(marked, c=tubes) == [([],), ([],)]
    assert hospital.rows("SELECT count(*) FROM alert WHERE kind = 'specimen.temperature' AND cleared_at IS NULL") == [(0,)]
    act(hospital, lambda u: bags.close(u, bag_id, version(), ""), DESK)
    with pytest.raises(UserError, match="不能登记温度"):
        act(hospital, lambda u: bags.read_logger(u, bag_id, "4", "5"), DESK)


def packed(hospital: Hospital, tubes: list[str], code: str = "BAG0001") -> int:
    bag_id = 0
    for tube in tubes:
        bag_id, answer = act(hospital, lambda u, t=tube: bags.pack(u, code, t, "内科一病区"), NURSE)
        assert answer.finding is Finding.OK
    assert act(hospital, lambda u: bags.send(u, bag_id, "老张"), NURSE) == len(tubes)
    return bag_id


def states(hospital: Hospital, tubes: list[str]) -> set[str]:
    return {s for (s,) in hospital.rows("SELECT state FROM specimen WHERE barcode = ANY(:c)", c=tubes)}


def test_ac_sp_4_a_bag_of_ten_with_one_missing_and_one_foreign_closes_only_with_a_note(hospital: Hospital) -> None:
    tubes = [collected(hospital, "1002", patient_no=f"B{n}", name=f"病人{n}")[0] for n in range(10)]
    foreign = collected(hospital, "1002", patient_no="B99", name="别人")[0]
    bag_id = packed(hospital, tubes)
    assert states(hospital, tubes) == {"sent"}
    assert act(hospital, lambda u: bags.open_bag(u, "bag0001"), DESK) == bag_id

    def scan(code: str) -> Any:
        return act(hospital, lambda u: bags.scan_out(u, bag_id, code), DESK)

    for tube in tubes[:9]:
        answer = scan(tube)
        assert answer.finding is Finding.OK and answer.text == "已核收" and answer.tube.sample_no
    again = scan(tubes[0])
    assert again.finding is Finding.DOUBLE and again.first[1] == DESK.name
    assert scan(foreign).finding is Finding.NOT_LISTED
    assert scan(foreign).finding is Finding.DOUBLE
    assert states(hospital, tubes[:9]) == {"received"} and states(hospital, [foreign]) == {"collected"}
    found = act(hospital, lambda u: bags.balance_of(u, bag_id))
    assert (len(found.here), found.missing, found.extra) == (9, (tubes[9],), (foreign,))

    def close(note: str, version: int | None = None) -> Any:
        def run(uow: Any) -> Any:
            row = bags.bag(uow, bag_id)
            return bags.close(uow, bag_id, row.version if version is None and row is not None else version or 0, note)

        return act(hospital, run, DESK)

    with pytest.raises(UserError, match="缺 1 管、多 1 管，须写明"):
        close("")
    with pytest.raises(UserError, match="又有变化"):
        close("病区确认", 99)
    close("病区确认漏装一管，多出的一管单独核收")
    with pytest.raises(UserError, match="已核对"):
        scan(tubes[9])
    assert hospital.rows("SELECT fields ->> 'n' AS n FROM alert WHERE kind = 'specimen.bag'")[0].n == "1"
    events = hospital.rows(
        "SELECT kind FROM specimen_event e JOIN specimen s ON s.id = e.specimen_id WHERE s.barcode = :c ORDER BY e.id", c=tubes[0]
    )
    assert [e.kind for e in events] == ["labelled", "collected", "sent", "arrived", "received"]


def test_only_collected_tubes_travel_and_each_in_one_bag(hospital: Hospital) -> None:
    tube = collected(hospital, "1002")[0]
    waiting = labelled(hospital, "1002", patient_no="W1", name="等待者")[0]
    bag_id, answer = act(hospital, lambda u: bags.pack(u, "BAG1", tube), NURSE)
    assert answer.finding is Finding.OK
    assert act(hospital, lambda u: bags.pack(u, "BAG2", tube), NURSE)[1].finding is Finding.DOUBLE
    assert act(hospital, lambda u: bags.pack(u, "BAG1", waiting), NURSE)[1].finding is Finding.STATE
    assert act(hospital, lambda u: bags.pack(u, "BAG1", "126326999999"), NURSE)[1].finding in (Finding.UNKNOWN, Finding.CHECK_DIGIT)
    with pytest.raises(UserError, match="还没有点"):
        act(hospital, lambda u: bags.open_bag(u, "BAG1"), DESK)
    with pytest.raises(UserError, match="运送人"):
        act(hospital, lambda u: bags.send(u, bag_id, " "), NURSE)
    act(hospital, lambda u: bags.send(u, bag_id, "老张"), NURSE)
    with pytest.raises(UserError, match="不能再装"):
        act(hospital, lambda u: bags.pack(u, "BAG1", tube), NURSE)
    with pytest.raises(UserError, match="没有编码"):
        act(hospital, lambda u: bags.open_bag(u, "BAG1"), DESK, hospital.b)


def test_a_tube_or_a_patient_names_no_bag(hospital: Hospital) -> None:
    """Found by hand: the first of thirty tubes was scanned into the bag's field, named the bag and was not in it."""
    first, second = collected(hospital, "1002", "1005")
    patient = hospital.rows("SELECT patient_no FROM patient p JOIN specimen s ON s.patient_id = p.id WHERE s.barcode = :c", c=first)[
        0
    ].patient_no
    for code in (first, patient):
        with pytest.raises(UserError, match="不是袋子的") as caught:
            act(hospital, lambda u, c=code: bags.pack(u, c, second), NURSE)
        assert caught.value.fields["field"] == "bag"
    assert hospital.rows("SELECT id FROM specimen_bag") == []
    assert act(hospital, lambda u: bags.pack(u, "BAG1", second), NURSE)[1].finding is Finding.OK


def test_a_bags_code_serves_again_once_it_is_closed(hospital: Hospital) -> None:
    for n in (1, 2):
        tube = collected(hospital, "1002", patient_no=f"C{n}", name=f"病人{n}")[0]
        bag_id = packed(hospital, [tube], "BAG7")
        act(hospital, lambda u: bags.open_bag(u, "BAG7"), DESK)
        act(hospital, lambda u, t=tube, b=bag_id: bags.scan_out(u, b, t), DESK)

        def close(uow: Any, b: int = bag_id) -> Any:
            row = bags.bag(uow, b)
            assert row is not None
            return bags.close(uow, b, row.version, "")

        assert act(hospital, close, DESK).even


def test_the_pages_of_bags(lab: Lab) -> None:
    nurse, desk = lab.client("nurse"), lab.client("receiver")
    assert "没有在途的袋子" in desk.get("/sp/bag").text
    assert nurse.get("/sp/bag/pack").status_code == 200 and desk.get("/sp/bag/pack").status_code == 403
    unknown = nurse.post("/sp/bag/pack", {"bag": "BAG1", "code": "126326000422"}, htmx=True)
    assert "系统里没有这个条码" in unknown.text and '"bad"' in unknown.headers["HX-Trigger"]
    assert desk.post("/sp/bag/open", {"code": "BAG1"}, htmx=True).status_code == 409
    assert desk.get("/sp/bags/999").status_code == 404
    assert "BAG1" in desk.get("/sp/bag").text
    # What names no bag leaves the bag's field with the answer, and the next scan is the bag's.
    empty = nurse.post("/sp/bag/pack", {"bag": " ", "code": "126326000422"}, htmx=True)
    assert "请先扫描袋子的条码" in empty.text and 'id="bag-code" hx-swap-oob="true"' in empty.text
    assert nurse.post("/sp/bag/pack", {"bag": " ", "code": "126326000422"}).status_code == 422
    with lab.uow() as uow:
        bag = uow.s.execute(text("UPDATE specimen_bag /* by hand */ SET state = 'open', logger_no = 'TL1' RETURNING id")).scalar_one()
    page = desk.get(f"/sp/bags/{bag}").text
    scanned = desk.post(f"/sp/bags/{bag}/scan", {"code": "126326000422"}, htmx=True)
    # The note being written stands outside of what a scan brings anew; the scan only tells its form what changed.
    assert 'name="note"' in page and scanned.status_code == 200 and 'name="note"' not in scanned.text
    assert "/sp/reject?code=" not in scanned.text, "a foreign code cannot be sent back from here"
    assert "不在本袋清单中" in scanned.text and 'id="bag-version"' in scanned.text and "不符时必填" in scanned.text
    assert "请先选择记录仪导出的 CSV 文件" in desk.post(f"/sp/bags/{bag}/logger", {}, htmx=True).text
    curve = '[["2026-05-04T08:10:00+08:00", "4.2"], ["2026-05-04T08:15:00+08:00", "35.1"]]'
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE specimen_bag SET temp_low = 4.2, temp_high = 35.1, temp_curve = CAST(:c AS jsonb)"), {"c": curve})
    drawn = desk.get(f"/sp/bags/{bag}").text
    assert "<polyline" in drawn and drawn.count("<circle") == 1 and "运送温度 4.2～35.1 ℃" in drawn


def test_an_unfit_tube_out_of_a_bag_is_sent_back_and_the_bag_goes_on(lab: Lab) -> None:
    with lab.uow() as uow:
        seed(uow)
    code, nurse, desk = on_its_way(lab, "B7"), lab.client("nurse"), lab.client("receiver")
    assert nurse.post("/sp/bag/pack", {"bag": "BAG7", "code": code}, htmx=True).status_code == 200
    with lab.uow() as uow:
        bag, reason_id = (uow.s.execute(text(f"SELECT min(id) FROM {table}")).scalar_one() for table in ("specimen_bag", "reject_reason"))
    nurse.post(f"/sp/bag/{bag}/send", {"courier": "老张"})
    desk.post("/sp/bag/open", {"code": "BAG7"})
    answer = desk.post(f"/sp/bags/{bag}/scan", {"code": code}, htmx=True).text
    link = f"/sp/reject?code={code}&amp;bag={bag}"
    assert "已核收" in answer and link in answer
    form = desk.get(link.replace("&amp;", "&")).text
    assert f'name="bag" value="{bag}"' in form and "这管已核收" in form
    done = desk.post("/sp/reject", {"code": code, "reason_id": str(reason_id), "bag": str(bag)}, htmx=True)
    assert "已拒收" in done.text and f'href="/sp/bags/{bag}"' in done.text
