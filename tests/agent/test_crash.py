"""F2 in small: the agent is killed under load; every acknowledged frame is stored, once; and planted bugs are caught."""

from pathlib import Path

import pytest

from tests.support.crash.kills import kill_agent

KILLS = 300


@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_when_the_agent_is_killed(tmp_path: Path) -> None:
    verdict = kill_agent(tmp_path, KILLS, seed=20260701)
    assert verdict.good, verdict
    assert verdict.acked > 10 * KILLS, f"too little was sent to mean anything: {verdict}"


@pytest.mark.parametrize("plant", ["late_commit", "forget_unfinished", "no_marker", "drop_at_end"])
def test_a_planted_bug_is_caught(tmp_path: Path, plant: str) -> None:
    """Within 24 kills: whether one kill shows a bug is chance, the more so on a busy machine."""
    verdicts = []
    for seed in range(6):
        verdicts.append(kill_agent(tmp_path / str(seed), 4, seed=seed, plant=f"tests.support.crash.plants:{plant}"))
        if not verdicts[-1].good:
            return
    pytest.fail(f"{plant} was not noticed: {'; '.join(map(str, verdicts))}")
