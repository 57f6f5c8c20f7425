"""``./dev fuzz [NAME...] --runs N``: hostile bytes against the parsers.

    ./dev fuzz astm-records hl7 --runs 100000 [--seed S] [--engine atheris|mutate] [--longest BYTES] [--keep DIR]
    ./dev fuzz astm-link hl7 --until 3000000 --state DIR      short, middling and long inputs by turns; killed, it goes on from DIR

Names: astm-link, astm-records, hl7, fixed, envelope; all of them without a name. ``atheris`` (guided by coverage) is taken where it
is installed, else the plain engine. Every finding (an undocumented exception, more than a second) is written to DIR and printed; exit
code 1 then. Short inputs are read more often in an hour; whether one takes long is seen on long ones.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import sys
import tempfile
import time
from pathlib import Path

from tests.support.fuzz import marathon
from tests.support.fuzz.mutate import LONGEST, Finding, mutated, run
from tests.support.fuzz.targets import TARGETS, TOKENS, seeds


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", help=", ".join(TARGETS))
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("atheris", "mutate"))
    parser.add_argument("--longest", type=int, default=LONGEST, help=f"bytes of an input (default {LONGEST})")
    parser.add_argument("--until", type=int, help="executions of each target, counted over all starts with the same --state")
    parser.add_argument("--state", type=Path, default=Path(tempfile.gettempdir()) / "jianlian-fuzz-state")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "jianlian-fuzz")
    args = parser.parse_args()
    unknown = set(args.name) - set(TARGETS)
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    engine = args.engine or ("atheris" if importlib.util.find_spec("atheris") else "mutate")
    bad = 0
    if args.until:
        return marathon.run(args.name or list(TARGETS), args.until, args.state)
    for name in args.name or TARGETS:
        began = time.monotonic()
        if engine == "atheris":
            runs, slowest, found = _guided(name, args)
        else:
            runs, slowest, found = run(TARGETS[name], mutated(seeds(name), TOKENS[name], args.runs, args.seed, args.longest))
        for one in found:
            print(f"{name}: {one.what}: {_keep(args.keep, name, one)}")
        seconds = time.monotonic() - began
        how = f"{engine} in {seconds:.0f} s ({runs / seconds:.0f}/s), at most {args.longest} bytes"
        said = f"{runs} executions by {how}, slowest {slowest * 1000:.0f} ms, {len(found)} findings"
        print(f"{name}: {said}", flush=True)
        bad |= bool(found)
    return int(bad)


def _keep(folder: Path, name: str, finding: Finding) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{hashlib.sha256(finding.data).hexdigest()[:12]}"
    path.write_bytes(finding.data)
    return path


def _guided(name: str, args: argparse.Namespace) -> tuple[int, float, list[Finding]]:
    with tempfile.TemporaryDirectory(prefix="jl-fuzz-") as folder:
        marathon.sow(name, Path(folder))
        done = marathon.guided(name, Path(folder), args.keep, args.runs, args.seed, args.longest)
    return done.runs, done.slowest, done.found


if __name__ == "__main__":
    sys.exit(main())
