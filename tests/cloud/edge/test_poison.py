"""A message that nobody can read stops nothing: stored raw, quarantined with the reason, receipted, listed (F14)."""

from __future__ import annotations

import json

import pytest

from cloud.modules.edge import batch, interpret, placing, service
from cloud.modules.edge.rules import RawState
from cloud.ports.mqtt import Incoming
from common import crypto, envelope, topics
from tests.cloud.edge.world import Edge, astm

BYTES = [b"", b"\x00", b"\xff" * 200, b"\x05\x04", b"\x0b\x1c\r"]
BYTES += [b"H|\\^&\x00\rR|1|^^^K|4\x00.1\rL|1\r", b"MSH|", "全角Ｈ｜".encode(), b"\x80" * 40]


def test_any_bytes_are_kept_and_receipted(edge: Edge) -> None:
    good = edge.tube()
    edge.take(*(edge.agent.raw(body) for body in BYTES), edge.agent.raw(astm(good, {"K": "4.1"})))
    assert set(edge.receipts()) == {(edge.agent.stream, n) for n in range(1, len(BYTES) + 2)}
    assert edge.current(good) == {"K": "4.1"}
    assert [bytes(r[0]) for r in edge.rows("SELECT body FROM raw_message ORDER BY seq")][:-1] == BYTES
    assert edge.rows("SELECT count(*) FROM raw_message WHERE state = 'quarantined'")[0][0] >= 5


def test_each_byte_of_a_message_replaced(edge: Edge) -> None:
    """RELIABILITY F14's substitutions, every fifth byte (all of them are the fuzz run's business)."""
    barcode = edge.tube()
    body = astm(barcode, {"K": "4.1", "Na": "140"})
    made = [body[:i] + bytes([b]) + body[i + 1 :] for i in range(0, len(body), 5) for b in (0x00, 0x0D, 0x1C, 0x80, 0xFF)]
    edge.take(*(edge.agent.raw(b) for b in made))
    assert len(edge.receipts()) == len(made)
    assert edge.rows("SELECT count(*) FROM raw_message") == [(len(made),)]


def test_a_bug_while_placing_hits_one_message_only(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    barcodes = [edge.tube() for _ in range(5)]
    real = placing.decide

    def bug(known: object, heard: object, said: object, given: object = None) -> object:
        if said.specimen == barcodes[2]:  # type: ignore[attr-defined]
            raise ZeroDivisionError
        return real(known, heard, said, given)  # type: ignore[arg-type]

    monkeypatch.setattr(placing, "decide", bug)
    edge.take(*(edge.agent.raw(astm(b, {"K": "4.1"})) for b in barcodes))
    assert len(edge.receipts()) == 5
    assert edge.rows("SELECT seq, problems FROM raw_message WHERE state = 'quarantined'") == [(3, ["程序错误 ZeroDivisionError"])]
    assert [bool(edge.current(b)) for b in barcodes] == [True, True, False, True, True]
    # the bug is mended: read again, and the result stands where it belongs
    monkeypatch.setattr(placing, "decide", real)
    [(raw,)] = edge.rows("SELECT id FROM raw_message WHERE state = 'quarantined'")
    with edge.lab.uow() as uow:
        assert service.reinterpret(uow, raw, "程序已修复") == RawState.INTERPRETED
    assert edge.current(barcodes[2]) == {"K": "4.1"}


def sealed(edge: Edge, seq: int, header: str, body: bytes) -> Incoming:
    """An envelope whose header text is given as it is: what our own side never writes."""
    good = envelope.parse(edge.agent.raw(body, seq).payload)
    length = int.from_bytes(good.signed[4:8], "big")
    old = json.loads(good.signed[8 : 8 + length])
    text = json.dumps({**old, **json.loads(header)}).encode()
    signed = b"JLE1" + len(text).to_bytes(4, "big") + text + len(body).to_bytes(4, "big") + body
    return Incoming(topics.up("a", edge.agent.uuid, "raw"), signed + crypto.sign(edge.agent.key, signed), seq, 1, 1)


@pytest.mark.parametrize(
    "header",
    [
        r'{"conn": "au1\u0000", "at": "no time", "meta": {"a\u0000b": ["\ud800", {"deep": "x\u0000"}], "n": 1e400}}',
        '{"at": "9999-12-31T23:59:59+14:00", "meta": {"deep": ' + "[" * 60 + "]" * 60 + "}}",
        r'{"conn": "\ud83d", "boot": "\u0000", "at": "0001-01-01T00:00:00+14:00", "mono": 9223372036854775807}',
        '{"meta": {"driver": "no such driver", "encoding": "no such encoding", "complete": "?"}, "conn": "' + "x" * 5000 + '"}',
    ],
)
def test_headers_with_what_postgresql_cannot_store(edge: Edge, header: str) -> None:
    good = edge.tube()
    edge.take(sealed(edge, 1, header, b"x"), edge.agent.raw(astm(good, {"K": "4.1"}), 2))
    assert set(edge.receipts()) == {(edge.agent.stream, 1), (edge.agent.stream, 2)}
    assert edge.current(good) == {"K": "4.1"}


def test_what_cannot_even_be_stored_stops_nothing_and_gets_no_receipt(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of defence: a message that makes the database itself refuse."""
    barcode = edge.tube()
    monkeypatch.setattr(interpret, "clean", lambda text: text)
    edge.take(edge.agent.raw(b"x", 1, conn="a\x00b"), edge.agent.raw(astm(barcode, {"K": "4.1"}), 2))
    assert set(edge.receipts()) == {(edge.agent.stream, 2)}
    assert edge.current(barcode) == {"K": "4.1"}
    edge.loop._alarm()
    assert edge.rows("SELECT kind FROM edge_alarm") == [("unstorable",)]


def test_a_large_message_waits_for_the_worker(edge: Edge) -> None:
    barcode = edge.tube()
    body = astm(barcode, {"K": "4.1"}).replace(b"L|1|N", b"M|1|" + b"x" * (600 * 1024) + b"\rL|1|N")
    edge.take(edge.agent.raw(body))
    assert edge.receipts()
    assert edge.current(barcode) == {}
    [(payload,)] = edge.rows("SELECT payload FROM outbox_event WHERE topic = 'edge.deferred'")
    with edge.lab.uow() as uow:
        service.on_deferred(uow, payload)
    assert edge.current(barcode) == {"K": "4.1"}
    with edge.lab.uow() as uow:
        service.on_deferred(uow, payload)
    assert len(edge.fates()) == 1


def test_a_cut_record_is_no_result(edge: Edge) -> None:
    barcode = edge.tube()
    body = astm(barcode, {"K": "4.1", "Na": "14"}).split(b"|mmol/L||N||F||||20260504100000\rL|")[0]
    edge.take(edge.agent.raw(body, meta={"protocol": "astm", "complete": False}))
    assert [(f[1], f[3]) for f in edge.fates()] == [("K", "matched")]
    assert edge.rows("SELECT count(*) FROM raw_message WHERE problems <> '[]'") == [(1,)]


def test_a_database_error_of_the_program_is_not_taken_for_an_outage() -> None:
    assert not batch.database_away(ZeroDivisionError())
