"""Archived raw messages: what goes in comes out, and damage never passes."""

from __future__ import annotations

import hashlib
import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import raw_archive
from common.errors import PeerError
from common.raw_archive import Kept


def kept(body: bytes | None, seq: int = 1) -> Kept:
    return Kept({"seq": seq, "conn": "血球", "sha256": hashlib.sha256(body or b"").hexdigest()}, body)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.binary(max_size=300)), max_size=20))
def test_what_goes_in_comes_out(bodies: list[bytes | None]) -> None:
    messages = [kept(body, seq) for seq, body in enumerate(bodies)]
    data = raw_archive.pack(messages)
    assert raw_archive.is_archive(data) and raw_archive.unpack(data) == messages
    assert raw_archive.pack(messages) == data
    with zipfile.ZipFile(io.BytesIO(data)) as packed:  # any tool finds the bytes as they came
        assert packed.read("messages.raw") == b"".join(body or b"" for body in bodies)


def test_each_damaged_byte_is_noticed_or_harms_nothing() -> None:
    messages = [kept(b"H|\\^&\rR|1|^^^K|4.1\rL|1\r", 1), kept(b"\x05\x02\x00\xff", 2)]
    data = raw_archive.pack(messages)
    noticed = 0
    for at in range(len(data)):
        broken = data[:at] + bytes((data[at] ^ 0x41,)) + data[at + 1 :]
        try:
            read = raw_archive.unpack(broken)
        except PeerError:
            noticed += 1
        else:
            assert read == messages, at
    assert noticed > len(data) // 2


def test_bytes_that_do_not_agree_with_their_hash_are_refused() -> None:
    wrong = Kept({"seq": 7, "sha256": "0" * 64}, b"4.1")
    with pytest.raises(PeerError, match="第 7 号"):
        raw_archive.unpack(raw_archive.pack([wrong]))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x03\x04 no zip", b"H|\\^&\r"])
def test_other_bytes_are_no_archive(data: bytes) -> None:
    assert not raw_archive.is_archive(data)
    with pytest.raises(PeerError):
        raw_archive.unpack(data)


def test_a_workbook_is_no_archive_and_a_bomb_is_refused() -> None:
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", "<x/>")
    assert not raw_archive.is_archive(other.getvalue())
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("index.jsonl", b"")
        packed.writestr("messages.raw", bytes(raw_archive.UNPACKED_MOST + 1))
    with pytest.raises(PeerError, match="过大"):
        raw_archive.unpack(bomb.getvalue())
