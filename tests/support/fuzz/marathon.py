"""Millions of executions of a target, in rounds of short, middling and long inputs; a run that was killed goes on with corpus and count."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.fuzz.mutate import Finding
from tests.support.fuzz.targets import TOKENS, seeds

ROUNDS = ((96, 100_000), (512, 15_000), (96, 100_000), (4000, 2_000))
"""Longest input in bytes, executions: most of what a parser can be told fits in 96 bytes, which are read twenty times as often as 4 000."""


@dataclass(frozen=True, slots=True)
class Done:
    """What one process did. ``runs``: executions beside the first readings of its corpus."""

    runs: int
    slowest: float
    found: list[Finding] = field(default_factory=list)


def sow(name: str, folder: Path) -> None:
    """The good inputs, as files, and beside the folder the words of the protocol."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(seeds(name)):
        (folder / f"seed-{number}").write_bytes(one)


def guided(name: str, corpus: Path, keep: Path, runs: int, seed: int, longest: int, count: Path | None = None) -> Done:
    """A process of its own: atheris never gives its process back."""
    keep.mkdir(parents=True, exist_ok=True)
    words = keep / f"{name}.dict"
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n' for token in TOKENS[name]))
    before = sum(1 for _ in corpus.iterdir())
    options = [
        f"-runs={runs + before}", f"-seed={seed}", f"-max_len={longest}", "-len_control=0", f"-dict={words}", "-rss_limit_mb=2048",
        "-print_final_stats=1", f"-artifact_prefix={keep}/{name}-",
    ]  # fmt: skip
    command = [sys.executable, "-m", "tests.support.fuzz.guided", name, *options, str(corpus)]
    env = os.environ | ({"JIANLIAN_FUZZ_COUNT": str(count)} if count else {})
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=env)
    executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr) or re.search(r"Done (\d+) runs", done.stderr)
    slowest = max((float(one) for one in re.findall(r"slowest input so far: ([\d.]+) s", done.stdout)), default=0.0)
    found = []
    if done.returncode:
        tail = done.stderr.strip().splitlines() or ["no word"]
        where = re.search(r"written to (\S+)", done.stderr)
        data = Path(where[1]).read_bytes() if where and Path(where[1]).exists() else b""
        found.append(Finding(data, " ".join(line for line in tail if "Error" in line or "Exception" in line)[:300] or tail[-1][:300]))
    return Done(max(0, int(executed[1]) - before) if executed else 0, slowest, found)


def run(names: Sequence[str], until: int, state: Path) -> int:
    """Every target up to ``until`` executions, the one with the fewest next; the exit code is 1 when something was found."""
    state.mkdir(parents=True, exist_ok=True)
    ledger = state / "counts.json"
    counts: dict[str, dict[str, Any]] = json.loads(ledger.read_text()) if ledger.exists() else {}
    for name in names:
        sow(name, state / name)
        mine = counts.setdefault(name, {"runs": 0, "rounds": 0, "slowest_ms": 0.0, "seconds": 0.0, "findings": []})
        _add(mine, state / f"{name}.count")  # of a round that was killed
    while counts[name := min(names, key=lambda one: counts[one]["runs"])]["runs"] < until:
        mine, count = counts[name], state / f"{name}.count"
        longest, runs = ROUNDS[mine["rounds"] % len(ROUNDS)]
        began = time.monotonic()
        done = guided(name, state / name, state, min(runs, until - mine["runs"]), 1000 + mine["rounds"], longest, count)
        count.unlink(missing_ok=True)
        mine["runs"] += done.runs
        mine["rounds"] += 1
        mine["slowest_ms"] = max(mine["slowest_ms"], done.slowest * 1000)
        mine["seconds"] += time.monotonic() - began
        mine["findings"] += [one.what for one in done.found]
        _keep(ledger, counts)
        print(_said(name, mine), flush=True)
        if done.found and not done.runs:
            break  # it does not even start
    return int(any(one["findings"] for one in counts.values()))


def _add(mine: dict[str, Any], count: Path) -> None:
    """What a killed round had done."""
    if count.exists() and (words := count.read_text().split()):
        mine["runs"] += int(words[0])
        mine["slowest_ms"] = max(mine["slowest_ms"], float(words[1]) * 1000)
    count.unlink(missing_ok=True)


def _keep(ledger: Path, counts: Mapping[str, Any]) -> None:
    fresh = ledger.with_suffix(".new")
    fresh.write_text(json.dumps(counts, indent=1))
    fresh.replace(ledger)


def _said(name: str, mine: Mapping[str, Any]) -> str:
    rate = mine["runs"] / mine["seconds"] if mine["seconds"] else 0
    return f"{name}: {mine['runs']} executions ({rate:.0f}/s), slowest {mine['slowest_ms']:.0f} ms, {len(mine['findings'])} findings"
