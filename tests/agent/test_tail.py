"""The live tail: readable, masked before it leaves, ending by itself; a capture keeps the bytes; the reserve can be sent again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent import log, orders
from agent.journal import Journal
from agent.rows import Outgoing
from agent.tail import MAX_LINES, Tap, order
from common.protocol.astm.framing import build_frames

AT = "2026-07-01T00:00:00Z"
NAMES = ("ZHANG", "13800138000", "张三丰", "19700101")
RECORDS = b"H|\\^&\rP|1||PID7||ZHANG^SAN||19700101|M||||13800138000\rO|1|BC1||^^^GLU\rR|1|^^^GLU|5.60\rL|1|N\r"


def tap() -> Tap:
    return order({"do": "tail", "seconds": 60}, None, None, 0.0, Path("unused"))


def shown(data: bytes, size: int, encoding: str | None = None) -> str:
    found = order({"do": "tail", "seconds": 60}, encoding, None, 0.0, Path("unused"))
    for at in range(0, len(data), size):
        found.note("in", data[at : at + size], AT)
    return "\n".join(line["text"] for line in found.take(AT))


@pytest.mark.parametrize("size", [1, 3, 7, 20, 10_000])
@pytest.mark.parametrize("per_record", [True, False])
def test_control_characters_are_named_and_the_patient_is_hidden_however_the_bytes_come(size: int, per_record: bool) -> None:
    text = shown(b"\x05" + b"".join(build_frames(RECORDS, per_record=per_record)) + b"\x04", size)
    assert "⟨ENQ⟩" in text and "⟨STX⟩" in text and "⟨EOT⟩" in text
    assert "GLU|5.60" in text and "BC1" in text
    assert not [name for name in NAMES if name in text]


@pytest.mark.parametrize("size", [1, 11, 10_000])
def test_hl7_and_formats_nobody_described(size: int) -> None:
    message = b"\x0bMSH|^~\\&|x\rPID|1||7||ZHANG^SAN|||M\rOBX|1|NM|GLU||5.6\r\x1c\r"
    text = shown(message, size)
    assert "⟨VT⟩" in text and "OBX|1|NM|GLU||5.6" in text and "ZHANG" not in text
    plain = shown("0001 张三丰 GLU 5.6\r\n".encode("gb18030"), size, "gb18030")
    assert "GLU 5.6" in plain and "张三丰" not in plain


def test_a_flood_is_counted_and_an_endless_line_hidden() -> None:
    found = tap()
    found.note("in", b"R|1|GLU\r" * (MAX_LINES + 50), AT)
    lines = found.take(AT)
    assert len(lines) == MAX_LINES + 1 and "50" in lines[-1]["text"]
    found.note("out", b"ZHANG" * 10_000, AT)
    assert [line["text"] for line in found.take(AT)] == ["▇▇▇"]


def test_it_ends_by_itself_and_a_capture_holds_what_came(tmp_path: Path) -> None:
    file = tmp_path / "captures" / "xn.bin"
    found = order({"do": "capture", "seconds": 99_999}, None, tap(), 0.0, file)
    found.note("in", b"\x05", AT)
    found.note("out", b"\x06", AT)
    assert not found.expire(59.0)
    assert not found.expire(61.0), "the tail has ended, the capture goes on"
    found.note("in", RECORDS, AT)
    assert found.expire(3600.0)
    assert file.read_bytes() == b"\x05" + RECORDS
    assert file.stat().st_mode & 0o077 == 0 and len(found.take(AT)) == 2


def test_the_reserve_is_sent_again_on_demand(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    for number in range(4):
        journal.message(Outgoing("xn", b"%d" % number, 1000 + number))
    journal.flush()
    items = [(m.seq, m.sha256) for m in journal.messages()]
    journal.receipt(journal.stream, items, 5000)
    journal.flush()
    assert journal.pending_count == 0
    told: list[int] = []
    journal.pend_again(1002, lambda: told.append(journal.pending_count))
    journal.flush()
    assert told == [2] and journal.pending_by_stream(9) == {journal.stream: [[3, 4]]}
    journal.receipt(journal.stream, items, 6000)
    journal.flush()
    assert journal.counts() == {"pending": 0, "receipted": 4, "quarantined": 0}
    asyncio.new_event_loop().close()


def test_the_newest_lines_of_the_log_go_up_when_asked_for() -> None:
    sent: list[tuple[str, object]] = []
    agent = SimpleNamespace(uplink=SimpleNamespace(publish_now=lambda kind, body: sent.append((kind, body))))
    log.get("probe").warning("a thing happened", conn="xn", n=3)
    orders.obey(agent, {"do": "log"})  # type: ignore[arg-type]  # a double with the one part that is used
    [(kind, body)] = sent
    assert kind == "tail" and isinstance(body, dict) and body["conn"] == ""
    assert 'WARNING probe a thing happened {"conn": "xn", "n": 3}' in [line["text"] for line in body["lines"]]
