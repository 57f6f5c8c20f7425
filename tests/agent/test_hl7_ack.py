"""HL7 acknowledgements: the id echoed byte for byte, the mode the sender asked for, never an answer to an answer."""

from datetime import datetime, timedelta, timezone

import pytest

from agent.channels.hl7_ack import acks, read_head

NOW = datetime(2026, 7, 1, 8, 30, tzinfo=timezone(timedelta(hours=8)))


def msh(kind: str = "ORU^R01", accept: str = "", application: str = "", control: str = "42", sep: str = "|") -> bytes:
    fields = ["MSH", "^~\\&", "BC-5300", "Lab", "LIS", "Hosp", "20260701", "", kind, control, "P", "2.3.1", "", ""]
    fields += [accept, application, "", "UNICODE"]
    return (sep.join(fields) + "\rPID|1\r").encode()


def codes(message: bytes, stored: bool = True) -> list[bytes]:
    return [answer.split(b"\rMSA")[1].split(b"|")[1] for answer in acks(message, stored=stored, now=NOW, number=1)]


def test_the_answer_goes_back_to_its_sender() -> None:
    (answer,) = acks(msh(), stored=True, now=NOW, number=7)
    head = read_head(answer)
    assert head is not None
    assert [head.get(n) for n in (3, 4, 5, 6)] == [b"LIS", b"Hosp", b"BC-5300", b"Lab"]
    assert (head.get(7), head.get(9), head.get(12), head.get(18)) == (b"20260701083000", b"ACK^R01", b"2.3.1", b"UNICODE")
    assert answer.endswith(b"\rMSA|AA|42\r")


@pytest.mark.parametrize(
    ("accept", "application", "stored", "wanted"),
    [
        ("", "", True, [b"AA"]),
        ("", "", False, [b"AE"]),
        ("NE", "AL", True, [b"AA"]),
        ("ER", "AL", True, [b"AA"]),
        ("ER", "AL", False, [b"CE"]),
        ("AL", "NE", True, [b"CA"]),
        ("AL", "AL", True, [b"CA", b"AA"]),
        ("NE", "NE", True, []),
        ("", "0", True, [b"AA"]),
        ("", "2", True, [b"AA"]),
    ],
)
def test_the_mode_is_the_senders(accept: str, application: str, stored: bool, wanted: list[bytes]) -> None:
    assert codes(msh(accept=accept, application=application), stored) == wanted


def test_mindray_gets_its_own_msh_16_and_msa_6() -> None:
    (answer,) = acks(msh(application="2"), stored=True, now=NOW, number=1)
    head = read_head(answer)
    assert head is not None
    assert head.get(16) == b"2"
    assert answer.split(b"\r")[0].count(b"|") >= 19
    assert answer.split(b"\r")[1].split(b"|")[6] == b"0"


@pytest.mark.parametrize("kind", ["ACK^R22", "ACK", "ORL^O34^ORL_O42"])
def test_an_answer_is_never_answered(kind: str) -> None:
    assert acks(msh(kind), stored=True, now=NOW, number=1) == []


def test_the_control_id_is_echoed_byte_for_byte() -> None:
    raw = msh(control="X").replace(b"|X|", "|样本".encode("gb18030") + b"|")
    (answer,) = acks(raw, stored=True, now=NOW, number=1)
    assert answer.endswith(b"MSA|AA|" + "样本".encode("gb18030") + b"\r")


def test_other_separators_and_line_ends() -> None:
    (answer,) = acks(msh(sep="#").replace(b"\r", b"\r\n"), stored=True, now=NOW, number=1)
    assert answer.endswith(b"\rMSA#AA#42\r")


def test_text_without_a_header_is_refused() -> None:
    assert codes(b"hello") == [b"AR"]


def test_a_damaged_header_cannot_make_an_answer_that_is_two() -> None:
    for message in (b"MSH\rABCDE\rMSA|AA|1\r", b"MSH\nABCDE", b"MSH|^~\\&|A|B\x1c|||2026||ORU^R01|7\x0b1|P|2.3.1\r"):
        [answer] = acks(message, stored=True, now=NOW, number=1)
        assert answer.count(b"\r") == 2 and not set(answer) & {0x0B, 0x1C}
