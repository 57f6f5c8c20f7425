"""What cuts, damage and odd feeding do to every capture of our own: never an exception, never a silent change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.instruments.decode import decode, read
from common.instruments.reading import Reading

FOLDER = Path(__file__).resolve().parents[2] / "captures"
CAPTURES = sorted(FOLDER.glob("*.bin"))
LATE = {"generic_aborted", "generic_retransmitted"}
"""Their last record or frame takes back what came before it."""
FRAMED = [path for path in CAPTURES if path.read_bytes()[:1] in (b"\x05", b"\x0b") and "cut" not in path.stem]
"""Those with a link layer to find the beginning again."""


def facts(reading: Reading) -> list[tuple[str | None, str | None, str | None]]:
    """Specimen, code and value of every result."""
    return [
        (specimen.specimen_id, result.code, result.value)
        for message in reading.messages
        for specimen in message.specimens
        for result in specimen.results
    ]


def short(path: Path) -> bytes:
    return path.read_bytes()


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_cut_at_every_byte_never_raises_and_never_invents(path: Path) -> None:
    """A capture cut anywhere: whatever is still read was in the whole, and framed streams say they are cut."""
    data = short(path)
    whole = read(data)
    allowed = set(facts(whole))
    framed = whole.protocol in ("astm", "hl7", "bci") and data[:1] in (b"\x05", b"\x02", b"\x0b")
    complete = {len(data), len(data) - 1, len(data) - 2}
    for at in range(len(data)):
        reading = read(data[:at])
        json.dumps(reading.to_json())
        if not framed or path.stem in LATE:
            continue
        invented = [fact for fact in facts(reading) if fact not in allowed and fact[0] is not None]
        assert not invented, (at, invented)
        if facts(reading) != facts(whole) and at not in complete:
            assert reading.problems, at


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_every_byte_replaced_never_raises(path: Path) -> None:
    data = short(path)
    step = max(1, len(data) // 120)
    for at in range(0, len(data), step):
        for byte in (0x00, 0x0D, 0x1C, 0x80, 0xFF):
            json.dumps(read(data[:at] + bytes([byte]) + data[at + 1 :]).to_json())


@pytest.mark.parametrize("path", FRAMED, ids=lambda path: path.stem)
def test_noise_around_a_capture_changes_nothing_it_says(path: Path) -> None:
    data = short(path)
    whole = read(data)
    reading = read(b"\r\n\x00" + data + b"\r\n\x00\x00")
    assert facts(reading) == facts(whole)


def mutations(data: bytes) -> Iterator[bytes]:
    for at in range(1, len(data)):
        yield data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :]


@pytest.mark.parametrize("name", ["roche_cobas_c311", "sysmex_xn", "horiba_pentra_xlr", "biomerieux_mini_vidas", "roche_integra_400"])
def test_any_single_changed_byte_inside_a_summed_stream_is_a_problem(name: str) -> None:
    """One bit wrong in a checksummed stream: either nothing the reading says changes, or it says so."""
    data = (FOLDER / f"{name}.bin").read_bytes()
    whole = read(data)
    for changed in mutations(data):
        reading = decode(changed)
        if facts(reading) != facts(whole):
            assert reading.problems, changed
