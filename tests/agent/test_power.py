"""Power cuts (RELIABILITY F3): what was answered is there after the disk forgot all that was never synced."""

from __future__ import annotations

import random
from pathlib import Path

import apsw
import pytest

from agent.journal import Journal
from agent.rows import Outgoing
from tests.support.crash.power import Power

NOW = 1_790_000_000_000
CUTS = 60


class Loss(AssertionError):
    """An answered message that the disk no longer holds."""


def trial(folder: Path, cuts: int, seed: int, pragma: str | None = None, tear: bool = True) -> int:
    """Write, cut the power at a random moment, look; returns how many answers were checked. Raises Loss."""
    dice = random.Random(seed)
    power = Power(f"jl-power-{seed}-{pragma}")
    path = folder / "live" / "journal.db"
    path.parent.mkdir()
    journal = Journal(path, vfs=power.name)
    if pragma:
        journal.db.execute(pragma)
    answered: list[bytes] = []
    for n in range(cuts):
        for _ in range(dice.randint(1, 4)):
            body = f"{n}-{len(answered)}-{'x' * dice.randint(0, 6000)}".encode()
            journal.message(Outgoing("xn", body, NOW, {"complete": True}, False), lambda ok, b=body: answered.append(b) if ok else None)
            if dice.random() < 0.7:
                journal.flush()
        after = folder / f"cut{n}"
        # The cut may fall between a commit and the next: nothing is flushed for it.
        power.cut(path.parent, after, dice if tear else None)
        found = Journal(after / "journal.db")
        assert found.db.pragma("integrity_check") == "ok"
        bodies = {m.body for m in found.messages()}
        found.db.close()
        missing = [b for b in answered if b not in bodies]
        if missing:
            raise Loss(f"{len(missing)} of {len(answered)} after cut {n}, seed {seed}")
    journal.db.close()
    return len(answered)


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_answered_is_lost_by_a_power_cut(tmp_path: Path, seed: int) -> None:
    assert trial(tmp_path, CUTS, seed) > CUTS


@pytest.mark.parametrize("pragma", ["PRAGMA synchronous=NORMAL", "PRAGMA synchronous=OFF"])
def test_a_store_that_does_not_sync_every_commit_is_caught(tmp_path: Path, pragma: str) -> None:
    with pytest.raises((Loss, apsw.CorruptError)):
        trial(tmp_path, CUTS, 3, pragma, tear=False)
