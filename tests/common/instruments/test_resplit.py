"""Every capture cut at every byte and put together again reads the same: on the wire (reads of any size) and in frames (ETB anywhere).

Captures of ours at a step that keeps this cheap, the shared ones too when their folder is there; ``JIANLIAN_EVERY_BYTE=1`` takes
every byte.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from common.instruments.decode import read
from common.instruments.reading import Reading
from common.protocol.astm import effects as fx
from common.protocol.astm.link import Link
from common.protocol.astm.unframe import restore_controls, unframe
from common.protocol.hl7.mllp import Deframer
from tests.common.instruments.newcomers.tools import one_frame

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("JIANLIAN_SHARED", ROOT.parent / "shared")) / "captures"
PATHS = [
    *sorted((ROOT / "tests" / "captures").glob("*.bin")),
    *(path for path in sorted(SHARED.glob("*")) if path.suffix in (".txt", ".hl7", ".bin")),
]
CUTS = 10_000_000 if os.environ.get("JIANLIAN_EVERY_BYTE") else 25


def facts(readings: Sequence[Reading]) -> list[object]:
    """Kinds, queries, specimens, codes and values."""
    return [
        (
            message.kind,
            message.query,
            [(s.specimen_id, s.qc, [(r.code, r.value, r.unit, r.flags, r.time) for r in s.results]) for s in message.specimens],
        )
        for reading in readings
        for message in reading.messages
    ]


def cuts(size: int) -> range:
    return range(1, size, max(1, size // CUTS))


def over_the_link(pieces: Sequence[bytes]) -> list[bytes]:
    """The messages a receiving link hands over."""
    link = Link()
    done: list[bytes] = []
    for piece in pieces:
        todo = link.receive(piece)
        while todo:
            effect = todo.pop(0)
            if isinstance(effect, fx.Persist):
                todo = link.persisted() + todo
            elif isinstance(effect, fx.MessageDone):
                done.append(effect.body)
    return done


def whole_sessions() -> list[Path]:
    """Captures of one or more good sessions from ENQ to EOT."""
    return [
        path for path in PATHS if (data := path.read_bytes())[:1] == b"\x05" and data.rstrip(b"\r\n")[-1:] == b"\x04" and b"\x02" in data
    ]


@pytest.mark.parametrize("path", whole_sessions(), ids=lambda path: path.stem)
def test_reads_of_any_size_hand_over_the_same_messages(path: Path) -> None:
    data = path.read_bytes()
    whole = over_the_link([data])
    for at in cuts(len(data)):
        assert over_the_link([data[:at], data[at:]]) == whole, at
    assert over_the_link([data[at : at + 1] for at in range(len(data))]) == whole


@pytest.mark.parametrize("path", [path for path in PATHS if b"\x0b" in path.read_bytes()], ids=lambda path: path.stem)
def test_reads_of_any_size_hand_over_the_same_blocks(path: Path) -> None:
    data = path.read_bytes()

    def blocks(pieces: Sequence[bytes]) -> list[bytes]:
        deframer = Deframer()
        return [block.message for piece in pieces for block in deframer.receive(piece)] + [block.message for block in deframer.close()]

    for at in cuts(len(data)):
        assert blocks([data[:at], data[at:]]) == blocks([data]), at


def texts(path: Path) -> list[bytes]:
    """The texts of a capture in ASTM that reads without a problem; empty for anything else."""
    reading = read(path.read_bytes())
    if reading.protocol != "astm" or reading.problems or b"\x00" in path.read_bytes():
        return []
    return [link.text for link in unframe(restore_controls(path.read_bytes())) if link.text.strip() and len(link.text) < 12_000]


@pytest.mark.parametrize("path", [path for path in PATHS if texts(path)], ids=lambda path: path.stem)
def test_frames_cut_anywhere_read_the_same(path: Path) -> None:
    for text in texts(path):
        whole = facts([read(b"\x05" + one_frame(1, text) + b"\x04")])
        for at in cuts(len(text)):
            framed = b"\x05" + one_frame(1, text[:at], 0x17) + one_frame(2, text[at:]) + b"\x04"
            reading = read(framed)
            assert (facts([reading]), reading.problems) == (whole, []), at
