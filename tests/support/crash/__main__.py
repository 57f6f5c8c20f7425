"""`./dev crash --kills N`: kill the agent N times, the intake and the broker N/3 times each under load, and judge what is left.

    ./dev crash [--kills 300] [--intake-kills M] [--broker-kills M] [--seed S]

Prints what was acknowledged, lost and doubled, and the bound that a zero means (0 of N: below 3/N with 95 %). Exit code 1
when anything was lost, doubled or invented. The same seed gives the same kills.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.crash.kills import kill_agent


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./dev crash", description="kill -9 under load, again and again")
    parser.add_argument("--kills", type=int, default=300, help="of the agent (default 300)")
    parser.add_argument("--intake-kills", type=int, help="of the intake (default a third of that)")
    parser.add_argument("--broker-kills", type=int, help="of the broker, its store deleted in a third (default as many)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args(argv)
    bad = 0
    if args.kills:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="jl-crash-") as folder:
            verdict = kill_agent(Path(folder), args.kills, args.seed)
        print(f"agent: {args.kills} kills in {time.monotonic() - began:.0f} s, seed {args.seed}: {verdict}")
        print(f"agent: an acknowledged frame is lost in fewer than {3 / args.kills:.2g} of kills (95 %)", flush=True)
        bad |= not verdict.good
    for part, given in (("intake", args.intake_kills), ("broker", args.broker_kills)):
        kills = args.kills // 3 if given is None else given
        if kills:
            command = [sys.executable, "-m", f"tests.support.crash.{part}_trial", "--kills", str(kills), "--seed", str(args.seed)]
            bad |= subprocess.run(command, stdin=subprocess.DEVNULL).returncode != 0
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
