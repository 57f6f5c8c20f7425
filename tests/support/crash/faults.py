"""`./dev faults [NAME] [--lives N] [--kills N] [--seed S]`: faults of RELIABILITY.md, and the score of the judge against planted bugs.

./dev faults                 what there is
./dev faults bugs            every planted bug in turn with 20 kills each (--kills), caught or not, and the score
./dev faults lives           lives of an agent with power cuts, full disks, losing brokers, erring clouds (default 200)
./dev faults F3              the tests of one row
./dev faults F5 --size N     the fault itself so many times (F5, F6, F7, F13; --full: at the size RELIABILITY.md names)
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.crash.bugs import BUGS
from tests.support.crash.life import live, lived
from tests.support.crash.plans import PLANS
from tests.support.crash.sizes import SIZES

REPO = Path(__file__).resolve().parents[3]
ROWS = {
    "F1": ("instrument link: noise, cuts, merges", ("tests/common/protocol", "tests/agent/test_links.py")),
    "F2": ("agent killed", ("tests/agent/test_crash.py", "tests/agent/test_bugs.py")),
    "F3": ("power loss", ("tests/agent/test_power.py",)),
    "F4": ("journal damaged", ("tests/agent/test_journal.py", "tests/agent/test_sealing.py")),
    "F5": ("disk full", ("tests/agent/test_trouble.py",)),
    "F6": ("network down", ("tests/agent/test_uplink.py",)),
    "F7": ("half-open and frozen peers", ("tests/agent/test_links.py", "tests/agent/test_diagnosis.py")),
    "F8": ("broker killed, its store lost", ("tests/agent/test_uplink.py", "tests/cloud/edge/test_broker.py")),
    "F9": ("repeated, reordered, stale messages", ("tests/cloud/edge/test_intake.py",)),
    "F10": ("intake killed", ("tests/cloud/edge/test_crash.py",)),
    "F12": ("the hospital's system down, slow, refusing", ("tests/cloud/interfaces/test_deliver.py",)),
    "F13": ("one bad line or destination", ("tests/agent/test_links.py", "tests/cloud/interfaces/test_deliver.py")),
    "F14": ("poison messages", ("tests/cloud/edge/test_poison.py",)),
    "F15": ("clock wrong", ("tests/agent/test_renewal.py", "tests/cloud/edge/test_agents.py")),
    "F16": ("kiosk offline", ("tests/agent/kiosk",)),
    "F17": ("agent copied or reinstalled", ("tests/agent/test_uplink.py", "tests/cloud/edge/test_agents.py")),
    "F18": ("tenant mix-up", ("tests/cloud/edge/test_door.py", "tests/infra/test_brokers.py")),
    "F19": ("certificates", ("tests/agent/test_renewal.py", "tests/cloud/edge/test_machines.py")),
    "F20": ("updates", ("tests/agent/test_update.py",)),
    "F25": ("host queries", ("tests/agent/test_host_query.py",)),
}


def bugs(kills: int) -> int:
    """Plant each bug, and cut the power until it shows or so many times; the score over all of them."""
    missed = []
    for name, bug in BUGS.items():
        found, seed, cuts = [], 0, 0
        while not found and cuts < kills:
            seed += 1
            with tempfile.TemporaryDirectory(prefix="jl-bug-") as folder:
                found, more = lived(Path(folder) / "life", seed, bug, steps=300)
            cuts += more
        if not found:
            missed.append(name)
        print(f"{f'caught, {cuts} kills' if found else 'NOT CAUGHT':<18} {name}: {found[0] if found else ''}"[:160], flush=True)
    print(f"{len(BUGS) - len(missed)} of {len(BUGS)} planted bugs caught within {kills} kills each; missed: {missed}")
    return 1 if missed else 0


def lives(count: int, seed: int) -> int:
    """Lives without a bug; every one must end well."""
    bad, kinds = 0, list(PLANS.values())
    for number in range(seed, seed + count):
        with tempfile.TemporaryDirectory(prefix="jl-life-") as folder:
            found = live(Path(folder) / "life", number, plan=kinds[number % len(kinds)])
        if found:
            bad += 1
            print(f"seed {number}: {found[:3]}", flush=True)
    print(f"{bad} of {count} lives ended badly, seeds from {seed} (0 means fewer than {3 / count:.2g} a life, 95 %)")
    return 1 if bad else 0


def sized(name: str, size: int | None, seed: int) -> int:
    """A fault so many times; what went wrong is printed."""
    full, play = SIZES[name]
    with tempfile.TemporaryDirectory(prefix=f"jl-{name}-") as folder:
        bad = play(Path(folder), size or full, seed)
    for one in bad[:20]:
        print(one, flush=True)
    return 1 if bad else 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./dev faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", choices=["bugs", "lives", *ROWS])
    parser.add_argument("--lives", type=int)
    parser.add_argument("--kills", type=int, default=20, help="of each planted bug (default 20)")
    parser.add_argument("--size", type=int, help=f"of {', '.join(SIZES)}")
    parser.add_argument("--full", action="store_true", help="the size that RELIABILITY.md names")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args(argv)
    if args.size or args.full:
        if args.name not in SIZES:
            parser.error(f"only {', '.join(SIZES)} have a size")
        return sized(args.name, args.size, args.seed)
    if args.name == "bugs":
        return bugs(args.kills)
    if args.name == "lives":
        return lives(args.lives or 200, args.seed)
    if args.name is None:
        for name, (what, files) in ROWS.items():
            print(f"{name:<4} {what}: {' '.join(files)}")
        print("bugs  the planted bugs and the score\nlives an agent's lives at any number")
        return 0
    return subprocess.run([sys.executable, "-m", "pytest", "-q", *ROWS[args.name][1]], cwd=REPO, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
