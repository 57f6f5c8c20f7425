"""Messages to hospital systems, read back by our own reader and checked field by field."""

import base64
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from cloud.modules.interfaces import hl7_out
from cloud.modules.interfaces.hl7_out import Address, Person, ReportOut, Request, ResultLine, ResultStatus, Status
from cloud.modules.interfaces.hl7_wire import Message, Segment, parse
from cloud.modules.orders.messages import Sex, VisitType

AT = datetime(2026, 5, 6, 1, 2, 3, tzinfo=UTC)
PERSON = Person(
    [("PI", "P001"), ("NI", "110101199003077475")], "张㛃䶮", Sex.FEMALE, date(1990, 3, 7), "V1", VisitType.INPATIENT, "内科", "W3", "05"
)
REPORT = ReportOut(
    report_no="R126126000017",
    version=1,
    status=ResultStatus.FINAL,
    person=PERSON,
    requests=[Request("F1", "I1", "CBC", "血常规"), Request("F1", "I2", "GLU", "葡萄糖")],
    lines=[
        ResultLine("WBC", "白细胞计数", "12.5", "10^9/L", "3.5-9.5", "H", item_no="I1", standard_code="0100101A"),
        ResultLine("GLU", "葡萄糖", "<0.5", "mmol/L", "3.9～6.1", "L", numeric=False, note="复查 & 确认", item_no="I2"),
        ResultLine("X", "附加", "阴性", numeric=False),
    ],
    released_at=AT,
    barcode="126126000013",
    specimen_code="BLD",
    specimen_name="全血",
    collected_at=AT,
    received_at=AT,
    tester=("T01", "王检"),
    verifier=("T02", "赵审"),
    doctor="李四",
    note="标本轻度溶血",
    pdf_url="https://lab.example/r/R126126000017/1",
)


@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
def test_a_report_arrives_whole(charset: str) -> None:
    raw = hl7_out.result_message(REPORT, Address(facility="LAB", to_facility="H1", charset=charset), "77", AT)
    m = parse(raw)
    assert m.header.encoding == charset
    assert (m.header.kind, m.header.event, m.header.control_id, m.header.version, m.header.sent_at) == (
        "ORU",
        "R01",
        "77",
        "2.5.1",
        "20260506090203",
    )
    pid, pv1 = m.first("PID"), m.first("PV1")
    assert pid is not None and pv1 is not None
    assert [r[0] + "/" + r[4] for r in pid.repetitions(3)] == ["P001/PI", "110101199003077475/NI"]
    assert (pid.get(5), pid.get(7), pid.get(8), pid.get(18)) == ("张㛃䶮", "19900307", "F", "V1")
    assert (pv1.get(2), pv1.get(3), pv1.get(3, 3), pv1.get(19)) == ("I", "W3", "05", "V1")
    assert [s.name for s in m.segments] == [
        "MSH", "PID", "PV1", "ORC", "OBR", "NTE", "OBX", "OBX", "OBX", "SPM", "ORC", "OBR", "OBX", "NTE", "SPM",
    ]  # fmt: skip


def _obx(m: Message) -> dict[str, list[str]]:
    return {s.get(3): [s.get(2), s.get(5), s.get(6), s.get(7), s.get(8), s.get(11)] for s in m.all("OBX")}


def test_results_stand_under_their_own_request() -> None:
    m = parse(hl7_out.result_message(REPORT, Address(), "77", AT))
    found = _obx(m)
    assert found["WBC"] == ["NM", "12.5", "10^9/L", "3.5-9.5", "H", "F"]
    assert found["GLU"] == ["ST", "<0.5", "mmol/L", "3.9～6.1", "L", "F"]
    assert found["X"][1] == "阴性"
    names = [s.name + ":" + s.get(2 if s.name == "ORC" else 3) for s in m.segments if s.name in ("ORC", "OBX")]
    assert names == ["ORC:I1", "OBX:WBC", "OBX:X", "OBX:PDF", "ORC:I2", "OBX:GLU"]
    obr = m.first("OBR")
    assert obr is not None
    assert (obr.get(3), obr.get(4), obr.get(4, 2), obr.get(20), obr.get(25)) == ("R126126000017-1", "CBC", "血常规", "126126000013", "F")
    assert (obr.get(32), obr.get(32, 2), obr.get(34), obr.get(34, 2)) == ("T02", "赵审", "T01", "王检")
    assert [n.text(3) for n in m.all("NTE")] == ["标本轻度溶血", "复查 & 确认"]


def test_amendment_is_corrected_and_says_why() -> None:
    amended = replace(REPORT, version=2, status=ResultStatus.CORRECTED, amendment_reason="稀释倍数录入错误")
    m = parse(hl7_out.result_message(amended, Address(), "78", AT))
    assert {s.get(11) for s in m.all("OBX")} == {"C"}
    assert {s.get(25) for s in m.all("OBR")} == {"C"}
    assert {s.get(3) for s in m.all("OBR")} == {"R126126000017-2"}
    assert "稀释倍数录入错误" in [n.text(3) for n in m.all("NTE")]


def test_recall_carries_no_value_and_no_document() -> None:
    m = parse(hl7_out.result_message(replace(REPORT, status=ResultStatus.RECALLED), Address(), "79", AT))
    assert {(s.get(5), s.get(8), s.get(11)) for s in m.all("OBX")} == {("", "", "X")}
    assert "PDF" not in _obx(m)


def pdf_of(report: ReportOut) -> Segment:
    (found,) = [s for s in parse(hl7_out.result_message(report, Address(), "1", AT)).all("OBX") if s.get(3) == "PDF"]
    return found


def test_pdf_inside_or_by_reference() -> None:
    by_reference = pdf_of(REPORT)
    assert (by_reference.get(2), by_reference.get(5)) == ("RP", REPORT.pdf_url)
    inside = pdf_of(replace(REPORT, pdf=b"%PDF-1.7"))
    assert (inside.get(2), base64.b64decode(inside.get(5, 5))) == ("ED", b"%PDF-1.7")


def test_same_report_same_bytes() -> None:
    assert hl7_out.result_message(REPORT, Address(), "77", AT) == hl7_out.result_message(REPORT, Address(), "77", AT)


def test_unrequested_results_are_sent_too() -> None:
    m = parse(hl7_out.result_message(replace(REPORT, requests=[]), Address(), "77", AT))
    assert set(_obx(m)) == {"WBC", "GLU", "X", "PDF"}


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [(Status.COLLECTED, "IP", "已采集"), (Status.RECEIVED, "IP", "已核收"), (Status.REJECTED, "CA", "拒收：溶血|凝块")],
)
def test_status_message(status: Status, code: str, text: str) -> None:
    reason = "溶血|凝块" if status is Status.REJECTED else ""
    raw = hl7_out.status_message(status, REPORT.requests[0], PERSON, "126126000013", AT, Address(), "80", who="钱护", reason=reason)
    m = parse(raw)
    orc = m.first("ORC")
    assert orc is not None
    assert (m.header.kind, m.header.event) == ("ORM", "O01")
    assert (orc.get(1), orc.get(2), orc.get(3), orc.get(4), orc.get(5)) == ("SC", "I1", "126126000013", "F1", code)
    assert (orc.get(16), orc.get(16, 2), orc.get(9)) == (status.value, text, "20260506090203")


def test_a_preliminary_report_completes_nothing_and_names_only_what_it_tells() -> None:
    part = replace(REPORT, status=ResultStatus.PRELIMINARY, lines=[line for line in REPORT.lines if line.item_no == "I2"])
    m = parse(hl7_out.result_message(part, Address(), "78", AT))
    [orc], [obr] = m.all("ORC"), m.all("OBR")
    assert (orc.get(2), orc.get(5), obr.get(2), obr.get(25)) == ("I2", "IP", "I2", "P")
    assert {s.get(11) for s in m.all("OBX")} == {"P"}
    final = parse(hl7_out.result_message(REPORT, Address(), "79", AT))
    assert [s.get(5) for s in final.all("ORC")] == ["CM", "CM"]


def test_a_charge_names_its_item_its_price_and_a_number_that_never_changes() -> None:
    charge = hl7_out.Charged("LIS7", Request("F1", "I1", "CBC", "血常规 & 分类"), AT, "250101", "内科", "李四")
    m = parse(hl7_out.charge_message(charge, PERSON, AT, Address(facility="LAB"), "80"))
    assert (m.header.kind, m.header.event) == ("DFT", "P03") and [s.name for s in m.segments] == ["MSH", "EVN", "PID", "PV1", "ORC", "FT1"]
    ft1 = m.first("FT1")
    assert ft1 is not None
    assert [ft1.get(n) for n in (2, 4, 6, 7, 10, 13, 23, 25)] == ["LIS7", "20260506090203", "CG", "250101", "1", "内科", "I1", "CBC"]
    assert (ft1.get(7, 2), ft1.get(21, 2)) == ("血常规 & 分类", "李四")
    own = parse(hl7_out.charge_message(replace(charge, price_code=""), PERSON, AT, Address(), "81")).first("FT1")
    assert own is not None and own.get(7) == "CBC"
    back = parse(hl7_out.charge_message(replace(charge, credit=True, reason="开错|重开"), PERSON, AT, Address(), "82"))
    ft1, orc = back.first("FT1"), back.first("ORC")
    assert ft1 is not None and orc is not None
    assert [ft1.get(n) for n in (2, 4, 6, 7, 8, 10, 23)] == ["LIS7-C", "20260506090203", "CD", "250101", "开错|重开", "-1", "I1"]
    assert orc.get(5) == "CA"
