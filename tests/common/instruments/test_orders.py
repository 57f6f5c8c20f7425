"""Answers to analyzers' queries, written out, and read back by our own decoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from common.instruments.decode import decode
from common.instruments.orders import TubeOrder, order_reply
from common.instruments.reading import Message

FOLDER = Path(__file__).resolve().parents[2] / "captures"
NOW = "20260105200000"
TUBE = TubeOrder(
    "2600777777",
    ("WBC", "PLT"),
    patient_id="P1",
    patient_name="张伟",
    sex="M",
    birth="19800101",
    collected_at="20260105080000",
    specimen="blood",
)


def asked(name: str) -> Message:
    return decode((FOLDER / f"{name}.bin").read_bytes()).messages[0]


def lines(messages: list[bytes]) -> list[list[str]]:
    return [message.decode().split("\r")[:-1] for message in messages]


def tube_for(query: Message) -> TubeOrder:
    return replace(TUBE, barcode=query.query[0])


def test_sysmex_gets_its_rack_and_tube_back() -> None:
    query = asked("sysmex_xe")
    assert lines(order_reply(query, [tube_for(query)], None, NOW)) == [
        [
            "H|\\^&|||LIS|||||XE-5000||P|E1394-97|20260105200000",
            "P|1||P1||张伟||19800101|M",
            "O|1|3^7^     2600777777^B||^^^^WBC\\^^^^PLT|R||20260105080000||||N||||blood||||||||||Q",
            "L|1|N",
        ]
    ]


def test_hitachi_style_answer_repeats_the_position_and_says_tsdwn() -> None:
    query = asked("horiba_pentra_400")
    (answer,) = lines(order_reply(query, [tube_for(query)], None, NOW))
    assert answer[0] == "H|\\^&|||host|||||abxpentra400^1|TSDWN^REPLY|P|1|20260105200000"
    assert answer[2] == ("O|1|               26000881|0^5010^3^^S1^SC|^^^WBC^\\^^^PLT^|R||20260105080000||||A||||blood||||||||||O")


def test_a_model_that_wants_silence_gets_none() -> None:
    assert order_reply(asked("horiba_pentra_400"), [], None, NOW) == []


def test_no_order_is_said_with_i() -> None:
    assert lines(order_reply(asked("erba_xl_query"), [], None, NOW)) == [["H|`^&|||LIS|||||||P|E 1394-97|20260105200000", "L|1|I"]]


def test_several_specimens_in_one_answer_with_their_delimiters() -> None:
    query = asked("erba_xl_query")
    tubes = [replace(TUBE, barcode=one) for one in query.query]
    (answer,) = lines(order_reply(query, tubes, None, NOW))
    assert [line.split("|")[2] for line in answer if line[0] == "O"] == ["2600031", "2600032"]
    assert "^^^WBC`^^^PLT" in answer[2]


def test_stat_cancelled_and_foreign_tubes() -> None:
    query = asked("erba_xl_query")
    stat = replace(TUBE, barcode="2600031", priority="stat")
    gone = replace(TUBE, barcode="2600032", cancelled=True)
    foreign = replace(TUBE, barcode="99")
    (answer,) = lines(order_reply(query, [stat, gone, foreign], None, NOW))
    orders = [line.split("|") for line in answer if line[0] == "O"]
    assert [(order[2], order[5]) for order in orders] == [("2600031", "S")]


def test_delimiters_inside_our_data_are_escaped() -> None:
    query = asked("sysmex_xe")
    (answer,) = lines(order_reply(query, [replace(tube_for(query), patient_name="A|B^C")], None, NOW))
    assert answer[1].split("|")[5] == "A&F&B&S&C"


def test_mindray_chemistry_gets_qck_and_dsr() -> None:
    query = asked("mindray_bs_query")
    confirm, display = lines(order_reply(query, [tube_for(query)], None, NOW))
    assert confirm[0].split("|")[8:10] == ["QCK^Q02", "12"]
    assert confirm[-1] == "QAK|SR|OK|"
    dsp = [line for line in display if line.startswith("DSP")]
    assert dsp[20] == "DSP|21||2600901|||"
    assert dsp[28:] == ["DSP|29||WBC^^^|||", "DSP|30||PLT^^^|||"]
    assert display[-1].startswith("DSC|")
    (only,) = lines(order_reply(query, [], None, NOW))
    assert only[-1] == "QAK|SR|NF|"


def test_genexpert_gets_z02() -> None:
    query = asked("cepheid_genexpert_hl7")
    (answer,) = lines(order_reply(query, [tube_for(query)], None, NOW))
    assert [line.split("|")[0] for line in answer] == ["MSH", "MSA", "QAK", "QPD", "PID", *["ORC", "OBR", "TQ1", "SPM"] * 2]
    assert answer[2] == "QAK|q-1|OK|Z03^HOST QUERY"


LAW = (
    b"MSH|^~\\&|A1|Acme|LIS|Lab|20260105||QBP^Q11^QBP_Q11|m9|P|2.5.1|||ER|AL||UNICODE UTF-8|||LAB-27^IHE\r"
    b"QPD|WOS^Work Order Step^IHE_LABTF|tag7|LW1\rRCP|I||R\r"
)


def test_law_confirms_then_sends_the_work_order() -> None:
    query = decode(LAW).messages[0]
    confirm, order = lines(order_reply(query, [replace(TUBE, barcode="LW1")], None, NOW))
    assert confirm[0].split("|")[8] == "RSP^K11^RSP_K11"
    assert confirm[2] == "QAK|tag7|OK|WOS^Work Order Step^IHE_LABTF"
    assert order[0].split("|")[8] == "OML^O33^OML_O33"
    assert order[0].split("|")[14:16] == ["NE", "AL"]
    assert [line.split("|")[4] for line in order if line.startswith("OBR")] == ["WBC", "PLT"]


def test_law_says_when_there_is_nothing_to_do() -> None:
    query = decode(LAW).messages[0]
    _, order = lines(order_reply(query, [], None, NOW))
    assert order[-1] == "ORC|DC"
    assert not [line for line in order if line.startswith("OBR")]


def test_mindray_haematology_gets_orr() -> None:
    query = decode(b"MSH|^~\\&|BC-5390|Mindray|||20260105||ORM^O01|4|P|2.3.1||||||UNICODE\rORC|RF||BC77||IP\r").messages[0]
    assert (query.kind, query.query) == ("query", ["BC77"])
    (answer,) = lines(order_reply(query, [replace(TUBE, barcode="BC77")], None, NOW))
    assert answer[1] == "MSA|AA|4"
    assert order_reply(query, [], None, NOW)[0].decode().split("\r")[1] == "MSA|AR|4"


@pytest.mark.parametrize(
    "name", ["sysmex_xe", "horiba_pentra_400", "erba_xl_query", "aqualink_a9000p", "mindray_bs_query", "cepheid_genexpert_hl7"]
)
def test_our_own_answers_read_back_as_orders(name: str) -> None:
    query = asked(name)
    tube = tube_for(query)
    found = [
        (specimen.specimen_id, [result.code for result in specimen.results])
        for answer in order_reply(query, [tube], None, NOW)
        for message in decode(answer, query.driver).messages
        if message.kind == "order"
        for specimen in message.specimens
    ]
    assert found == [(tube.barcode, ["WBC", "PLT"])]


def test_an_answer_is_written_in_the_configured_charset() -> None:
    data = (FOLDER / "sysmex_xe.bin").read_bytes()
    query = decode(data, encoding="gb18030").messages[0]
    (answer,) = order_reply(query, [tube_for(query)], None, NOW)
    assert "张伟".encode("gb18030") in answer


def test_a_column_inquiry_is_answered_in_its_columns() -> None:
    query = asked("sysmex_ca_inquiry")
    tube = replace(tube_for(query), tests=("041", "044", "051"))
    (answer,) = order_reply(query, [tube], None, NOW)
    assert answer == b"\x02S1210101 2601051720000102CA26000000043B           040      050      \x03"
    assert order_reply(query, [], None, NOW) == []


def test_a_bci_request_is_answered_with_an_order() -> None:
    body = b"\x1emtqry|\x1eciV100|\x1d"
    query = decode(b"\x02" + body + b"%02x" % (sum(body) & 0xFF) + b"\x03").messages[0]
    (answer,) = order_reply(query, [replace(TUBE, barcode="V100", tests=("TSH", "FT4"))], None, NOW)
    reading = decode(answer)
    assert reading.problems == []
    (order,) = reading.messages
    assert (order.kind, order.specimens[0].specimen_id) == ("order", "V100")
    assert [result.code for result in order.specimens[0].results] == ["TSH", "FT4"]
