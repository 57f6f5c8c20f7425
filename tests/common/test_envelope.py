"""The envelope: what is sealed comes back, and any changed byte is noticed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import crypto
from common.envelope import Envelope, EnvelopeError, Header, parse, seal, verify

KEY = crypto.new_key()
HEADER = Header(
    tenant="h1", agent="6a1c", kind="raw", at="2026-07-01T00:00:00Z", mono=5, boot="b", stream="s", seq=7,
    conn="xn", meta={"名": "值", "n": 3},
)  # fmt: skip


def test_what_is_sealed_comes_back_and_verifies() -> None:
    found = parse(seal(HEADER, b"\x05\x02body\x04", KEY))
    assert found.body == b"\x05\x02body\x04"
    assert (found.header.seq, found.header.meta) == (7, {"名": "值", "n": 3})
    assert found.header.sha256 == crypto.sha256_hex(found.body)
    assert verify(found, KEY.public_key())


def test_another_key_does_not_verify() -> None:
    assert not verify(parse(seal(HEADER, b"x", KEY)), crypto.new_key().public_key())


@settings(max_examples=200, deadline=None)
@given(position=st.integers(min_value=0, max_value=10_000), flip=st.integers(min_value=1, max_value=255))
def test_every_changed_byte_is_noticed(position: int, flip: int) -> None:
    data = bytearray(seal(HEADER, b"R|1|^^^GLU|5.60", KEY))
    data[position % len(data)] ^= flip
    try:
        found = parse(bytes(data))
    except EnvelopeError:
        return
    assert not verify(found, KEY.public_key())


def test_every_cut_is_refused_or_does_not_verify() -> None:
    data = seal(HEADER, b"body", KEY)
    for end in range(len(data)):
        try:
            found = parse(data[:end])
        except EnvelopeError:
            continue
        assert not verify(found, KEY.public_key())


def test_a_body_with_another_hash_is_refused() -> None:
    with pytest.raises(EnvelopeError) as caught:
        parse(seal(HEADER, b"aaaa", KEY).replace(b"aaaa", b"bbbb"))
    assert caught.value.code == "envelope.hash"


@pytest.mark.parametrize("field", ["tenant", "agent", "seq", "meta", "sha256"])
def test_a_header_without_a_field_is_refused(field: str) -> None:
    with pytest.raises(EnvelopeError):
        parse(_sealed_without(field))


def _sealed_without(field: str) -> bytes:
    data = seal(HEADER, b"x", KEY)
    length = int.from_bytes(data[4:8], "big")
    header = json.loads(data[8 : 8 + length])
    del header[field]
    text = json.dumps(header).encode()
    return data[:4] + len(text).to_bytes(4, "big") + text + data[8 + length :]


@given(st.binary(max_size=200))
def test_noise_is_refused_by_its_own_error(data: bytes) -> None:
    with pytest.raises(EnvelopeError):
        parse(data)


def test_a_body_that_is_not_json_is_told() -> None:
    envelope = Envelope(HEADER, b"{", b"", b"")
    with pytest.raises(EnvelopeError):
        envelope.json()
