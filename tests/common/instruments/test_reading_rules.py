"""Rules of the generic reader that a capture alone does not pin down."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from common.instruments.codes import query_specimen, vendor_code
from common.instruments.decode import MAX_OF_A_KIND, decode, read
from common.instruments.reading import Message
from common.protocol.astm import unframe
from common.protocol.astm.framing import build_frames, checksum

FOLDER = Path(__file__).resolve().parents[2] / "captures"
ODD = b'|^&\\"HLPORCMQ\r\n\x02\x03\x04\x05\x17\x1a 17Aa\xd0\xa1'
SESSION = (
    "H|\\^&|||XN-550^1||||||||E1394-97\rP|1|||P1|^王^小明||19800101|M\rO|1||^^   S1^B|^^^^WBC\\^^^^RBC||20260105|||||N\r"
    'R|1|^^^^WBC^1|6.10|10*3/uL||N||F||lab||20260105080000\rR|2|^^^^RBC^1|""|10*6/uL||H\\A||F\rR|3|^^^^TXT|a&F&b|\rC|1|I|see MSH| |G\r'
    "P|2\rO|1|S2||^^^GLU\rR|1|^^^GLU|5.6\rM|1|x\rL|1|N\r"
)


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("^^^GLU", "GLU"),
        ("^^^^WBC^1", "WBC"),
        ("^^^MCV^787-2", "MCV"),
        ("^^^685/", "685/"),
        ("^^^117/1/not", "117/1/not"),
        ("^^^271^^0", "271"),
        ("^^^HIV1^HIV1.0^531^100^^F", "HIV1"),
        ("ABO", "ABO"),
        ("GLU^^^", "GLU"),
        ("2345-7^Glucose^LN", "2345-7"),
        ("2345-7^Glucose^LN^GLU", "GLU"),
        ("1^Test1^1^F", "1"),
        ("1^SG", "1^SG"),
        ("^FLU^^FluA^^^FluA1^Ct", "^FLU^^FluA^^^FluA1^Ct"),
        ("^^^", None),
        ("", None),
    ],
)
def test_vendor_code(field: str, code: str | None) -> None:
    assert vendor_code(field, "^") == code


@pytest.mark.parametrize(
    ("item", "specimen"),
    [
        ("^1007149", "1007149"),
        ("PAT^SPEC", "SPEC"),
        ("2^1^ 1234567890^B", "1234567890"),
        ("^^               G31 - S^0^50021", "G31 - S"),
        ("^3788513^#IN^D8", "3788513"),
        ("S77", "S77"),
        ("S77^", "S77"),
        ("^", None),
        ("2^1^               ^B", None),
    ],
)
def test_specimen_of_a_query(item: str, specimen: str | None) -> None:
    assert query_specimen(item, "^") == specimen


def astm(body: str) -> Message:
    return read(f"H|\\^&|||Acme\rP|1|P1\r{body}L|1|N\r".encode()).messages[0]


@pytest.mark.parametrize(
    ("order", "specimen"),
    [
        ("O|1| S1 |", "S1"),
        ("O|1|S1^106^9|", "S1"),
        ("O|1||I7^6|", "I7"),
        ("O|1||2^1^   B9^B|", "B9"),
        ("O|1||^^      B9^M|", "B9"),
        ("O|1||2^1^               ^B|", None),
        ("O|1||874^0^1^^SAMPLE^NORMAL|", None),
        ('O|1|""||', None),
        ("O|1|||", None),
    ],
)
def test_specimen_of_an_order(order: str, specimen: str | None) -> None:
    message = astm(order + "^^^A\rR|1|^^^A|1\r")
    assert [one.specimen_id for one in message.specimens] == [specimen]
    assert message.problems == []


def test_a_result_below_another_patient_is_not_put_under_the_last_specimen() -> None:
    message = astm("O|1|S1||^^^A\rR|1|^^^A|1\rP|2|P2\rR|1|^^^A|2\r")
    assert [(one.specimen_id, one.patient_id, [r.value for r in one.results]) for one in message.specimens] == [
        ("S1", "P1", ["1"]),
        (None, "P2", ["2"]),
    ]
    assert [problem.code for problem in message.problems] == ["result.orphan"]


def test_values_keep_their_blanks_and_components() -> None:
    result = astm("O|1|S1||^^^A\rR|1|^^^A| -1^0.750 |COI||H\\A||F|||1|2\r").specimens[0].results[0]
    assert (result.value, result.flags, result.time) == (" -1^0.750 ", ["H", "A"], "2")


def test_null_marks_are_none_and_empty_is_none() -> None:
    result = astm('O|1|S1||^^^A\rR|1|^^^A|""|""||""||""\r').specimens[0].results[0]
    assert (result.value, result.unit, result.flags, result.status, result.time) == (None, None, [], None, None)


def test_comments_and_details_stay_with_their_record() -> None:
    specimen = astm("O|1|S1||^^^A\rC|1|I|of O\rR|1|^^^A|1\rC|1|I|of R\rM|1|CURVE|1\r").specimens[0]
    assert specimen.comments == ["of O"]
    assert specimen.results[0].comments == ["of R"]
    assert specimen.results[0].details == [["M", "1", "CURVE", "1"]]


def test_one_record_a_frame_without_any_cr() -> None:
    frames = build_frames(b"H|\\^&|||Acme\rP|1|P1\rO|1|S1||^^^A\rR|1|^^^A|1\rL|1|N\r", per_record=True)
    bare = [frame[1:-5].rstrip(b"\r") + b"\x17" for frame in frames]
    reading = read(b"\x05" + b"".join(b"\x02" + body + checksum(body) + b"\r\n" for body in bare) + b"\x04")
    assert [result.value for result in reading.messages[0].specimens[0].results] == ["1"]
    assert reading.problems == []


def test_an_unknown_record_type_is_kept_and_told() -> None:
    message = astm("O|1|S1||^^^A\rX|1|what\rM|1|curve\rR|1|^^^A|1\r")
    assert [problem.code for problem in message.problems] == ["record.type", "record.vendor"]
    assert ["X", "1", "what"] in message.records


@pytest.mark.parametrize(
    "mark",
    [
        "H|\\^&|||Acme|||||||Q\rP|1\rO|1|C1||^^^A\r",
        "H|\\^&|||Acme|||||||P\rP|1\rO|1|C1||^^^A|||||||Q\r",
        "H|\\^&|||Acme|||||||P\rP|1\rO|1|C1||^^^A|||||||||||CTRL^^LOW\r",
        "H|\\^&|||Acme|||||||P\rP|1\rO|1|C1|1^0^1^^CONTROL^N|^^^A\r",
    ],
)
def test_control_material_is_marked(mark: str) -> None:
    message = read((mark + "R|1|^^^A|1\rL|1\r").encode()).messages[0]
    assert message.kind == "qc"
    assert [result.qc for result in message.specimens[0].results] == [True]


def hl7(body: str, head: str = "P|2.3.1") -> Message:
    return read(f"MSH|^~\\&|Acme|A1|||2026||ORU^R01|1|{head}\r{body}".encode()).messages[0]


OBX = "OBX|1|NM|A||1|u|||||F\r"


@pytest.mark.parametrize(
    ("body", "specimen"),
    [
        ("OBR|1|B1|2|x\r", "B1"),
        ("OBR|1||2|x\r", "2"),
        ('OBR|1|""|2^LAB|x\r', "2"),
        ("SPM|1|T1&NS^F1||SER\rOBR|1|B1|2|x\r", "T1"),
        ("SPM|1|^F1||SER\rOBR|1|B1|2|x\r", "F1"),
        ("SPM|1|||SER\rSAC|||C9\rOBR|1|B1|2|x\r", "C9"),
        ("OBR|1||||x\r", None),
        ("", None),
    ],
)
def test_specimen_of_an_hl7_result(body: str, specimen: str | None) -> None:
    message = hl7("PID|1||P1\r" + body + OBX)
    assert [one.specimen_id for one in message.specimens] == [specimen]
    assert message.problems == []


@pytest.mark.parametrize(
    ("unit", "read_as"),
    [("10^9/L", "10^9/L"), ("mg/L^^99ROC", "mg/L"), ("U/L^U/L^A400", "U/L"), ("10*9/L", "10*9/L"), ('""', None), ("", None)],
)
def test_units(unit: str, read_as: str | None) -> None:
    assert hl7(f"OBR|1||S1\rOBX|1|NM|A||1|{unit}|||||F\r").specimens[0].results[0].unit == read_as


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Q|2.3.1", "OBR|1||S1\r"),
        ("P|2.3.1||||2", "OBR|1||S1\r"),
        ("P|2.5.1", "SPM|1|S1||SER|||||||Q\rOBR|1\r"),
        ("P|2.4", "OBR|1||S1|LQC\r"),
        ("P|2.4", "OBR|1||S1|PRF\r"),
    ],
)
def test_control_material_in_hl7(head: str, body: str) -> None:
    message = hl7(body + OBX, head)
    assert (message.kind, message.specimens[0].results[0].qc) == ("qc", True)


def test_results_before_several_specimens_go_under_none_of_them() -> None:
    message = hl7("OBR|1|o1||x\r" + OBX + "SPM|1|T1||SER\rSPM|2|T2||SER\r", "P|2.5.1")
    assert [(one.specimen_id, len(one.results)) for one in message.specimens] == [("T1", 0), ("T2", 0), (None, 1)]
    assert [problem.code for problem in message.problems] == ["specimen.several"]


def test_decode_says_unknown_drivers_and_empty_files() -> None:
    reading = decode(b"", "no_such_driver")
    assert [problem.code for problem in reading.problems] == ["driver.unknown", "empty"]
    assert reading.messages == []


def test_noise_is_listed_up_to_a_bound() -> None:
    reading = read(b"H|\\^&|||Acme\r" + b"noise\r" * 100_000 + b"L|1\r")
    assert len(reading.problems) == MAX_OF_A_KIND + 1
    block = read(b"\x0bMSH|^~\\&|A|B|||2026||ORU^R01|1|P|2.3.1\rOBR|1||S1\rOBX|1|TX|A||x\n" + b"more\n" * 100_000 + b"\r\x1c\r")
    assert block.messages[0].specimens[0].results[0].value == "x\n" + "more\n" * 99_999 + "more"


def test_a_ten_megabyte_message_is_read() -> None:
    lines = "".join(f"R|{n}|^^^T{n}|{n}.5|u||N||F\r" for n in range(1, 200_001))
    message = astm("O|1|S1||^^^A\r" + lines)
    assert len(message.specimens[0].results) == 200_000


def _spoilt(random: Random, session: bytes) -> bytes:
    """One to three bytes replaced, added or left out, its checksums made anew half of the time so that the damage goes deeper."""
    data = bytearray(session)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(data))
        data[at : at + random.randint(0, 2)] = bytes(random.choices(ODD, k=random.randint(0, 2)))
    frames = bytes(data).split(b"\x02")
    if random.random() < 0.5:
        frames[1:] = [one[:-4] + checksum(one[:-4]) + b"\r\n" if one[-5:-4] == b"\x03" else one for one in frames[1:]]
    return b"\x02".join(frames)


def test_the_short_way_of_a_flawless_session_reads_as_the_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(20260105)
    whole = [path.read_bytes() for path in FOLDER.glob("*.bin")]
    whole += [b"\x05" + b"".join(build_frames(SESSION.encode(encoding), per_record=True)) + b"\x04" for encoding in ("utf-8", "gb18030")]
    samples = whole + [_spoilt(random, random.choice(whole[-2:])) for _ in range(1500)]
    short = [read(data) for data in samples]
    assert sum(bool(unframe.one_session(data)) for data in samples) > 200
    monkeypatch.setattr(unframe, "one_session", lambda data: None)
    for data, taken in zip(samples, short, strict=True):
        assert read(data) == taken, data
