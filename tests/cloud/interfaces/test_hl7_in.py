"""Order messages as hospital systems really write them."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.modules.interfaces.dialect import Dialect, read_time
from cloud.modules.interfaces.hl7_in import Refused, message_key, parse_order
from cloud.modules.orders.messages import Action, Charge, OrderMessage, PatientId, Priority, Severity, Sex, VisitType
from tests.cloud.interfaces.messages import order


def read(raw: bytes, dialect: Dialect | None = None) -> OrderMessage:
    return parse_order(raw, dialect or Dialect()).order


def text_of(*lines: str) -> bytes:
    return ("\r".join(lines) + "\r").encode()


HEAD = "MSH|^~\\&|HIS|H1|LIS|LAB|20260506080910||OML^O21|M1|P|2.5.1"
PID = "PID|1||P001||张三"


def refused(raw: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        parse_order(raw)
    return caught.value


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("kind", ["OML^O21^OML_O21", "ORM^O01"])
@pytest.mark.parametrize("version", ["2.3.1", "2.4", "2.5", "2.5.1"])
def test_an_order_is_read_whole(kind: str, version: str, encoding: str) -> None:
    charset = "UNICODE UTF-8" if encoding == "utf-8" else "GB18030"
    raw = order(
        [("I1", "CBC", "血常规"), ("I2", "GLU", "葡萄糖")],
        kind=kind,
        version=version,
        charset=charset,
        encoding=encoding,
        name="张㛃䶮",
        priority="S",
    )
    m = read(raw)
    assert m.patient.ids == (PatientId("patient_no", "P001"), PatientId("id_card", "110101199003077475"))
    assert (m.patient.name, m.patient.sex, m.patient.birth, m.patient.phone) == ("张㛃䶮", Sex.FEMALE, date(1990, 3, 7), "13800000000")
    assert m.visit is not None
    assert (m.visit.kind, m.visit.visit_no, m.visit.dept, m.visit.ward, m.visit.bed) == (VisitType.OUTPATIENT, "VP001", "内科", "W3", "05")
    assert m.visit.diagnosis == "贫血 & 待查"
    (form,) = m.orders
    assert (form.order_no, form.priority, form.doctor, form.doctor_code, form.dept) == ("F1", Priority.STAT, "李四", "D007", "心内科")
    assert form.ordered_at == datetime(2026, 5, 6, 0, 9, tzinfo=UTC)
    assert [(i.order_item_no, i.code, i.name, i.charge, i.action) for i in form.items] == [
        ("I1", "CBC", "血常规", Charge.PAID, Action.NEW),
        ("I2", "GLU", "葡萄糖", Charge.PAID, Action.NEW),
    ]
    assert m.problems == ()


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r"])
def test_line_ends_of_every_kind(end: str) -> None:
    raw = order().decode().replace("\r", end).encode()
    assert read(raw).items[0].code == "CBC"
    assert read(b"\x0b" + raw + b"\x1c\r").items[0].code == "CBC"


@pytest.mark.parametrize(
    ("written", "name"),
    [("张三", "张三"), ("张^三", "张三"), ("欧阳^锋^", "欧阳锋"), ("EVERYMAN^ADAM", "EVERYMAN ADAM"), ("^张三", "张三"), (" 张三 ", "张三"),
     ("买买提·艾力", "买买提·艾力"), ("张三~ZHANG SAN", "张三")],
)  # fmt: skip
def test_name_in_one_component_or_more(written: str, name: str) -> None:
    assert read(text_of(HEAD, f"PID|1||P1||{written}", "ORC|NW|1", "OBR|1|1||CBC")).patient.name == name


@pytest.mark.parametrize(
    ("written", "ids"),
    [
        ("P1~P2", {"patient_no": "P1"}),
        ("P1~110101199003077475", {"patient_no": "P1", "id_card": "110101199003077475"}),
        ("Z9^^^^住院号~C7^^^^就诊卡", {"inpatient_no": "Z9", "visit_card": "C7"}),
        ("110101199003077475^^^^NI~P1^^^^PI", {"patient_no": "P1", "id_card": "110101199003077475"}),
        ("X1^^^^XYZ", {"xyz": "X1"}),
    ],
)
def test_identifiers_with_and_without_type(written: str, ids: dict[str, str]) -> None:
    found = read(text_of(HEAD, f"PID|1||{written}||张三", "ORC|NW|1", "OBR|1|1||CBC")).patient.ids
    assert {i.kind: i.value for i in found} == ids
    assert found[0].kind == next(iter(ids))


def test_identifier_in_pid_2_when_pid_3_is_empty() -> None:
    m = read(text_of(HEAD, "PID|1|P7|||张三||||||||||||||110101199003077475", "ORC|NW|1", "OBR|1|1||CBC"))
    assert m.patient.ids == (PatientId("patient_no", "P7"), PatientId("id_card", "110101199003077475"))


@pytest.mark.parametrize(
    ("written", "sex"),
    [("M", Sex.MALE), ("f", Sex.FEMALE), ("男", Sex.MALE), ("女", Sex.FEMALE), ("1", Sex.MALE), ("2", Sex.FEMALE), ("9", Sex.UNKNOWN),
     ("", Sex.UNKNOWN)],
)  # fmt: skip
def test_sex_codes(written: str, sex: Sex) -> None:
    m = read(text_of(HEAD, f"PID|1||P1||张三|||{written}", "ORC|NW|1", "OBR|1|1||CBC"))
    assert (m.patient.sex, [p for p in m.problems if p.location == "PID^1^8"]) == (sex, [])


def test_unknown_codes_are_told_and_not_guessed() -> None:
    m = read(text_of(HEAD, "PID|1||P1||张三||1990|X", "PV1|1|Q", "ORC|NW|1|||||^^^^^HOT", "OBR|1|1||CBC", "ZPY|1|maybe"))
    assert (m.patient.sex, m.patient.birth, m.visit and m.visit.kind, m.items[0].charge) == (Sex.UNKNOWN, None, None, None)
    assert {p.location for p in m.problems} == {"PID^1^7", "PID^1^8", "PV1^1^2", "ORC^1^7", "ZPY^1^2"}
    assert {p.severity for p in m.problems} == {Severity.WARNING}


@pytest.mark.parametrize(
    "written",
    ["20260506070809", "2026-05-06 07:08:09", "2026/05/06 07:08:09", "2026-05-06T07:08:09+08:00", "20260506070809.123+0800",
     "20260505230809Z", "2026-5-6 7:08:09"],
)  # fmt: skip
def test_times_with_an_hour(written: str) -> None:
    moment = read_time(written)
    assert moment is not None
    assert moment.instant == datetime(2026, 5, 5, 23, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize("written", ["20260506", "2026-05-06", "2026/5/6", "2026年5月6日", "2026.05.06"])
def test_times_without_an_hour(written: str) -> None:
    moment = read_time(written)
    assert moment is not None
    assert (moment.day, moment.at, moment.instant) == (date(2026, 5, 6), None, datetime(2026, 5, 5, 16, tzinfo=UTC))


@pytest.mark.parametrize(
    "written", ["", "1990", "199003", "20261301", "20260230", "Aug 15, 1942", "0000-00-00", "2026050607080910", "00010101000000+2359"]
)
def test_no_time(written: str) -> None:
    assert read_time(written) is None


@pytest.mark.parametrize(
    ("lines", "priority"),
    [
        (["ORC|NW|1", "TQ1|1||||||||S", "OBR|1|1||CBC"], Priority.STAT),
        (["ORC|NW|1", "OBR|1|1||CBC", "TQ1|1||||||||S"], Priority.STAT),
        (["ORC|NW|1", "OBR|1|1||CBC|S"], Priority.STAT),
        (["ORC|NW|1", "OBR|1|1||CBC|||||||||||||||||||||||^^^^^S"], Priority.STAT),
        (["ORC|NW|1|||||^^^^^S", "OBR|1|1||CBC"], Priority.STAT),
        (["ORC|NW|1", "OBR|1|1||CBC|绿色通道"], Priority.GREEN),
        (["ORC|NW|1", "OBR|1|1||CBC"], Priority.ROUTINE),
        (["ORC|NW|1||F", "OBR|1|1||CBC|R", "ORC|NW|2||F", "OBR|2|2||GLU|S"], Priority.STAT),
    ],
)
def test_priority_wherever_it_stands(lines: list[str], priority: Priority) -> None:
    assert read(text_of(HEAD, PID, *lines)).orders[0].priority is priority


@pytest.mark.parametrize(
    ("lines", "charges"),
    [
        (["ORC|NW|1", "OBR|1|1||CBC", "ZPY|1|PAID"], [Charge.PAID]),
        (["ORC|NW|1", "OBR|1|1||CBC", "ZPY|1|未收费"], [Charge.UNPAID]),
        (["ORC|NW|1", "OBR|1|1||CBC", "FT1|1||||20260506|PY|CBC"], [Charge.PAID]),
        (["ORC|NW|1", "OBR|1|1||CBC", "FT1|1||||20260506|CG|OTHER"], [None]),
        (["ORC|NW|1", "OBR|1|1||CBC"], [None]),
        (["ZPY|1|已收费", "ORC|NW|1", "OBR|1|1||CBC", "ORC|NW|2", "OBR|2|2||GLU"], [Charge.PAID, Charge.PAID]),
        (
            ["ORC|NW|1", "OBR|1|1||CBC", "OBR|2|2||GLU", "FT1|1||||2026|PY|CBC", "FT1|2||||2026|CG|GLU"],
            [Charge.PAID, Charge.UNPAID],
        ),
    ],
)
def test_paid_or_not(lines: list[str], charges: list[Charge | None]) -> None:
    assert [i.charge for i in read(text_of(HEAD, PID, *lines)).items] == charges


def test_an_endpoint_names_its_own_charge_field_and_codes() -> None:
    dialect = Dialect.from_config({"charge_field": "OBR-18", "charge": {"JF": "paid"}, "sex": {"N1": "M"}, "visit": {"3": "exam"}})
    m = read(text_of(HEAD, "PID|1||P1||张三|||N1", "PV1|1|3", "ORC|NW|1", "OBR|1|1||CBC" + "|" * 14 + "JF"), dialect)
    assert (m.items[0].charge, m.patient.sex, m.visit and m.visit.kind) == (Charge.PAID, Sex.MALE, VisitType.EXAM)


@pytest.mark.parametrize("config", [{"sx": {}}, {"charge_field": "nowhere"}, {"item_number": "guess"}, {"visit": {"3": "体检"}}])
def test_a_typing_error_in_a_dialect_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Dialect.from_config(config)


def test_several_items_under_one_orc_get_numbers_of_their_own() -> None:
    m = read(text_of(HEAD, PID, "ORC|NW|R77", "OBR|1|||CBC^血常规", "OBR|2|||GLU^葡萄糖"))
    assert [(i.order_item_no, i.code) for i in m.items] == [("R77-CBC", "CBC"), ("R77-GLU", "GLU")]
    assert m.orders[0].order_no == "R77"


def test_a_his_that_numbers_forms_numbers_one_item_alike() -> None:
    dialect = Dialect.from_config({"item_number": "placer+code"})
    assert read(text_of(HEAD, PID, "ORC|NW|R77", "OBR|1|||CBC^血常规"), dialect).items[0].order_item_no == "R77-CBC"


def test_forms_with_and_without_group_number() -> None:
    two = read(text_of(HEAD, PID, "ORC|NW|1||A", "OBR|1|1||CBC", "ORC|NW|2||B", "OBR|2|2||GLU"))
    assert [(o.order_no, len(o.items)) for o in two.orders] == [("A", 1), ("B", 1)]
    one = read(text_of(HEAD, PID, "ORC|NW|1", "OBR|1|1||CBC", "ORC|NW|2", "OBR|2|2||GLU"))
    assert [(o.order_no, len(o.items)) for o in one.orders] == [("1", 2)]


@pytest.mark.parametrize(("code", "action"), [("NW", Action.NEW), ("XO", Action.CHANGE), ("CA", Action.CANCEL), ("OC", Action.CANCEL)])
def test_order_control(code: str, action: Action) -> None:
    assert read(order(action=code)).items[0].action is action


def test_cancel_without_obr() -> None:
    m = read(text_of(HEAD, PID, "ORC|CA|I1||F1||||||||||||^退费"))
    assert [(i.order_item_no, i.action, i.code, i.reason) for i in m.items] == [("I1", Action.CANCEL, None, "退费")]


def test_bare_ampersand_and_escapes_in_text() -> None:
    m = read(text_of(HEAD, PID, "DG1|1|||感染 & 贫血 a\\T\\b", "ORC|NW|1", "OBR|1|1||C&C^血 & 尿 \\X41\\"))
    assert m.visit is None
    assert (m.items[0].code, m.items[0].name) == ("C&C", "血 & 尿 A")


def test_line_break_inside_a_note_is_kept() -> None:
    m = read(text_of(HEAD, PID, "ORC|NW|1", "OBR|1|1||CBC", "NTE|1||空腹\n请尽快"))
    assert m.items[0].note == "空腹\n请尽快"
    assert [p.severity for p in m.problems] == [Severity.WARNING]


def test_z_segments_are_passed_over() -> None:
    assert read(text_of(HEAD, "ZZZ|a|b", PID, "ZPI|x", "ORC|NW|1", "ZOR|y", "OBR|1|1||CBC", "ZZ9|z")).items[0].code == "CBC"


def test_doubled_backslash_in_msh_2_is_repaired_and_told() -> None:
    m = read(order().replace(b"^~\\&", b"^~\\\\&", 1))
    assert m.patient.name == "张三丰"
    assert [p.location for p in m.problems] == ["MSH^1^2"]


@pytest.mark.parametrize(
    ("raw", "location", "code"),
    [
        (text_of(HEAD, "ORC|NW|1", "OBR|1|1||CBC"), "PID^1", "101"),
        (text_of(HEAD, "PID|1||||张三", "ORC|NW|1", "OBR|1|1||CBC"), "PID^1^3", "101"),
        (text_of(HEAD, 'PID|1||""||张三', "ORC|NW|1", "OBR|1|1||CBC"), "PID^1^3", "101"),
        (text_of(HEAD, "PID|1||P1", "ORC|NW|1", "OBR|1|1||CBC"), "PID^1^5", "101"),
        (text_of(HEAD, PID), "ORC^1", "101"),
        (text_of(HEAD, PID, "ORC|NW", "OBR|1|||CBC"), "ORC^1^2", "101"),
        (text_of(HEAD, PID, "ORC|NW|1", "OBR|1|1"), "OBR^1^4", "101"),
        (text_of(HEAD, PID, "ORC|NW|1", "OBR|1|1||CBC", "ORC|NW|2", "OBR|2|2"), "OBR^2^4", "101"),
        (text_of(HEAD, PID, "ORC|NW|1"), "OBR^1", "101"),
        (text_of(HEAD, PID, "ORC|SC|1", "OBR|1|1||CBC"), "ORC^1^1", "103"),
        (text_of(HEAD, PID, "ORC||1", "OBR|1|1||CBC"), "ORC^1^1", "101"),
        (text_of(HEAD, PID, "ORC|NW|1", "OBR|1|1||CBC", HEAD, PID), "MSH^2", "100"),
        (b"PID|1||P1||x\r", "MSH^1", "100"),
        (b"MSH", "MSH^1", "100"),
        (b"", "MSH^1", "100"),
        (b"MSH|abcd|HIS|||||||M1\rPID|1", "MSH^1^2", "100"),
        (HEAD.encode() + b"\rPID|1||P1||\xff\xff\x80\r", "MSH^1^18", "102"),
    ],
)
def test_refusal_names_the_field(raw: bytes, location: str, code: str) -> None:
    error = refused(raw)
    assert error.code == "AE"
    assert (location, code) in [(p.location, p.code) for p in error.problems if p.severity is Severity.ERROR]


def test_every_fault_is_told_at_once() -> None:
    error = refused(text_of(HEAD, "PID|1", "ORC|XX", "OBR|1"))
    assert {p.location for p in error.problems} >= {"PID^1^3", "PID^1^5", "ORC^1^2"}


@pytest.mark.parametrize(
    ("kind", "version", "location", "code"),
    [("ADT^A01", "2.5.1", "MSH^1^9", "200"), ("OML^O33", "2.5.1", "MSH^1^9", "201"), ("", "2.5.1", "MSH^1^9", "200"),
     ("OML^O21", "3.0", "MSH^1^12", "203"), ("OML^O21", "2.1", "MSH^1^12", "203")],
)  # fmt: skip
def test_what_this_interface_does_not_take_is_rejected(kind: str, version: str, location: str, code: str) -> None:
    error = refused(order(kind=kind, version=version))
    assert (error.code, [(p.location, p.code) for p in error.problems]) == ("AR", [(location, code)])


def test_refusal_of_undecodable_bytes_still_knows_who_sent_them() -> None:
    error = refused(order().replace("张".encode(), b"\xff\xff\x80"))
    assert (error.why, error.header.control_id, error.header.app, error.header.facility) == ("undecodable", "M1", "HIS", "H1")


def test_key_is_the_same_for_a_repeat_and_another_for_new_content() -> None:
    first, again = order(), order().replace(b"20260506080910", b"20260506090000", 1)
    assert read(first).key == read(again).key
    assert read(first).key == read(b"\x0b" + first + b"\x1c\r").key
    assert read(first).key != read(order([("I2", "CBC", "血常规")])).key
    assert read(first).key != read(order(control="M2")).key


def test_empty_msh_10_is_keyed_by_its_content() -> None:
    key = read(order(control="")).key
    assert key == message_key(order(control=""), "")
    assert key.startswith("#")
    assert read(order([("I2", "CBC", "血常规")], control="")).key != key


FIELD = st.text(st.sampled_from("|^~\\&AB12 张\r\n\"'-:."), max_size=12)
SEGMENTS = st.lists(
    st.tuples(st.sampled_from(["MSH", "PID", "PV1", "ORC", "OBR", "TQ1", "FT1", "ZPY", "NTE", "DG1", "OB", ""]), FIELD), max_size=12
)


def ends_well(raw: bytes) -> bool:
    """Whether the bytes become an order with items or a refusal with problems; anything else raises."""
    try:
        return bool(parse_order(raw).order.items)
    except Refused as error:
        return bool(error.problems) and error.code in ("AE", "AR")


@given(SEGMENTS, st.sampled_from(["utf-8", "gb18030"]))
@settings(max_examples=300, deadline=None)
def test_any_segments_end_as_order_or_refusal(segments: list[tuple[str, str]], encoding: str) -> None:
    raw = (HEAD + "\r" + "\r".join(f"{name}|{rest}" for name, rest in segments)).encode(encoding)
    assert ends_well(raw)


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 20))
@settings(max_examples=300, deadline=None)
def test_damaged_messages_end_as_order_or_refusal(noise: bytes, at: int, cut: int) -> None:
    raw = order([("I1", "CBC", "血常规"), ("I2", "GLU", "葡萄糖")])
    assert ends_well(raw[:at] + noise + raw[at + cut :])


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_as_a_time_is_a_time_or_nothing(text: str) -> None:
    moment = read_time(text)
    assert moment is None or moment.instant.tzinfo is UTC


@pytest.mark.parametrize(
    ("obx", "drugs"),
    [
        ("", None),
        ("OBX|1|ST|8677-7^用药史^LN||华法林 3 mg qd", "华法林 3 mg qd"),
        ("OBX|1|ST|X1^目前用药^L||无", ""),
        ("OBX|1|ST|8677-7^用药史^LN||", None),
        ("OBX|1|ST|8302-2^身高^LN||170", None),
    ],
)
def test_drugs_are_read_from_the_request_and_silence_is_no_answer(obx: str, drugs: str | None) -> None:
    raw = order() + (obx.encode() + b"\r" if obx else b"")
    assert [o.drugs for o in read(raw).orders] == [drugs]


@pytest.mark.parametrize(
    ("obx", "began", "told"),
    [
        ("", None, 0),
        ("OBX|1|NM|18185-9^Gestational age^LN||24|周", date(2025, 11, 19), 0),  # 168 days before 2026-05-06
        ("OBX|1|ST|X9^孕周^L||24+3", date(2025, 11, 16), 0),
        ("OBX|1|NM|49051-6^Gestational age^LN||171|d", date(2025, 11, 16), 0),
        # Told on another day than the request was made: counted from that day.
        ("OBX|1|ST|X9^孕周^L||24+3||||||F|||20260508090000", date(2025, 11, 18), 0),
        ("OBX|1|DT|8665-2^LMP^LN||20251119", date(2025, 11, 19), 0),
        ("OBX|1|ST|X8^末次月经^L||2025-11-19", date(2025, 11, 19), 0),
        ("OBX|1|ST|X9^孕周^L||早孕", None, 1),
        ("OBX|1|NM|18185-9^Gestational age^LN||46|wk", None, 1),
        ("OBX|1|ST|X8^末次月经^L||不详", None, 1),
        ("OBX|1|NM|18185-9^Gestational age^LN||", None, 0),
    ],
)
def test_a_pregnancy_is_read_as_the_day_it_counts_from(obx: str, began: date | None, told: int) -> None:
    found = read(order() + (obx.encode() + b"\r" if obx else b""))
    assert [o.gest_from for o in found.orders] == [began]
    assert len([p for p in found.problems if p.location.startswith("OBX")]) == told


@pytest.mark.parametrize(
    ("more", "fasting", "consent", "told"),
    [
        ("", None, None, 0),
        ("OBX|1|CWE|49541-6^Fasting status^LN||Y^Yes^HL70136", True, None, 0),
        ("OBX|1|ST|X1^是否空腹^L||否", False, None, 0),
        ("OBX|1|ST|X1^是否空腹^L||餐后两小时", None, None, 1),
        ("OBX|1|ST|X2^知情同意书^L||已签", None, True, 0),
        ("OBX|1|ST|59284-0^Consent^LN||否", None, False, 0),
        ("CON|1|||||||||||A", None, None, 0),  # the status stands in field 11, not 12
        ("CON|1||||||||||A", None, True, 0),
        ("CON|1||||||||||R", None, False, 0),
        ("CON|1||||||||||P", None, None, 0),
    ],
)
def test_fasting_and_consent_are_read_and_never_guessed(more: str, fasting: bool | None, consent: bool | None, told: int) -> None:
    found = read(order() + (more.encode() + b"\r" if more else b""))
    assert [(o.fasting, o.consent) for o in found.orders] == [(fasting, consent)]
    assert len([p for p in found.problems if p.location.startswith("OBX")]) == told
