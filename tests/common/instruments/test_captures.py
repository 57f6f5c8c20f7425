"""Every capture of our own making against its hand-written reading (all values are invented)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.instruments.decode import read
from common.instruments.drivers import DRIVERS

FOLDER = Path(__file__).resolve().parents[2] / "captures"
CAPTURES = sorted(FOLDER.glob("*.bin"))


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_capture_reads_as_written(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text("utf-8"))
    reading = read(path.read_bytes())
    got = dict(reading.to_json())
    problems = got.pop("problems")
    assert got == expected["reading"]
    assert [problem.code for problem in reading.problems] == expected["problem_codes"], problems


def test_every_driver_has_a_capture() -> None:
    stems = [path.stem for path in CAPTURES]
    without = [driver for driver in DRIVERS if not any(stem == driver or stem.startswith(driver + "_") for stem in stems)]
    assert without == []


def test_forty_models_have_evidence() -> None:
    """A model marked 未验证 does not count."""
    assert all(driver.evidence for driver in DRIVERS.values())
    verified = [driver for driver in DRIVERS.values() if not driver.unverified]
    assert len(verified) >= 40
    assert all(driver.unverified for driver in DRIVERS.values() if "no recording seen" in driver.evidence)


def test_no_driver_file_is_forgotten() -> None:
    folder = Path(__file__).resolve().parents[3] / "common" / "instruments" / "drivers"
    assert sorted(DRIVERS) == sorted(path.stem for path in folder.glob("[a-z]*.py"))
