"""The faults that have a size (`./dev faults F5 --size N`), in small, so that the commands are known to work."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import brokers
from tests.support.crash.sizes import SIZES

SMALL = {"F6": 300, "F7": 2, "F13": 180}
SEED = 7  # with it both peers of F7 vanish: one that stays frozen takes the agent's thirty seconds


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="a small disk is mounted as root")
def test_a_full_disk_twice(tmp_path: Path) -> None:
    assert SIZES["F5"][1](tmp_path, 2, SEED) == []


@pytest.mark.skipif(brokers.MOSQUITTO is None, reason="mosquitto is not installed")
def test_the_month_the_frozen_peers_and_the_bad_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Side by side: they wait more than they work."""
    with ThreadPoolExecutor(len(SMALL)) as pool:
        runs = {name: pool.submit(SIZES[name][1], tmp_path / name, size, SEED) for name, size in SMALL.items()}
    assert {name: run.result() for name, run in runs.items()} == dict.fromkeys(SMALL, [])
    said = capsys.readouterr().out
    assert all(f"{name}: " in said for name in SMALL)
