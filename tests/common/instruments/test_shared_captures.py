"""Real traffic from public sources, when its folder is there (it is not part of this repository).

The folder is ``$JIANLIAN_SHARED/captures``, else ``../shared/captures`` beside the repository.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from common.instruments.decode import read
from common.instruments.reading import Reading

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(os.environ.get("JIANLIAN_SHARED", ROOT.parent / "shared")) / "captures"
if not (FOLDER / "INDEX.csv").exists():
    pytest.skip("the folder of shared captures is not on this machine", allow_module_level=True)
INDEX = list(csv.DictReader((FOLDER / "INDEX.csv").read_text("utf-8").splitlines()))

KINDS = (
    ("order response", {"other"}),
    ("query", {"query"}),
    ("QC", {"qc"}),
    ("results", {"results", "other"}),
    ("order", {"order", "results", "other"}),
    ("ACK", {"other"}),
    ("ADT", {"other"}),
    ("MFN", {"other"}),
)
PROTOCOLS = {"ASTM": "astm", "HL7": "hl7", "BCI": "bci", "text": "text", "fixed": "fixed", "Integra": "blocks"}


def reading_of(row: dict[str, str]) -> tuple[bytes, Reading]:
    data = (FOLDER / row["file"]).read_bytes()
    return data, read(data)


def values(reading: Reading) -> int:
    """Results of results messages, without the ordered tests of order messages."""
    return sum(len(specimen.results) for message in reading.messages for specimen in message.specimens if message.kind in ("results", "qc"))


def sent(data: bytes, protocol: str) -> int | None:
    """Result records in the bytes, counted in the plainest way there is."""
    if protocol == "astm":
        return len(re.findall(rb"(?:^|[\r\n\x13]|\x02[0-7])R\|\d", data))
    if protocol == "hl7":
        blocks = re.split(rb"(?=MSH\|)", data)
        return sum(len(re.findall(rb"[\r\n]OBX\|", one)) for one in blocks if re.search(rb"\|O(RU|UL)\^", one[:400]))
    return None


@pytest.mark.parametrize("row", INDEX, ids=lambda row: row["file"])
def test_capture_is_read(row: dict[str, str]) -> None:
    data, reading = reading_of(row)
    expected = next(value for key, value in PROTOCOLS.items() if row["protocol"].startswith(key))
    assert reading.protocol == expected
    kinds = next(kinds for words, kinds in KINDS if words in row["purpose"])
    assert reading.messages
    assert {message.kind for message in reading.messages} <= kinds
    counted = sent(data, reading.protocol)
    if counted is not None:
        assert values(reading) == counted
    damaged = "1 bad" in row["notes"] or "17 bad" in row["notes"]
    if damaged:
        assert reading.problems
    for message in reading.messages:
        for specimen in message.specimens:
            for result in specimen.results:
                assert result.code, row["file"]


def test_how_many_are_read(record_property: Callable[[str, object], None]) -> None:
    readings = [reading_of(row)[1] for row in INDEX]
    good = [one for one in readings if one.protocol != "unknown" and one.messages]
    quiet = sum(1 for one in readings if not one.problems)
    record_property("figure", f"shared captures read: {len(good)}/{len(readings)}, {quiet} without a problem")
    assert len(good) == len(readings) >= 80
