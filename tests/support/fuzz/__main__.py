"""``./dev fuzz [NAME...] --runs N``: hostile bytes against the parsers.

    ./dev fuzz astm-records hl7 --runs 100000 [--seed S] [--engine atheris|mutate] [--longest BYTES] [--keep DIR]

Names: astm-link, astm-records, hl7, fixed, envelope; all of them without a name. ``atheris`` (guided by coverage) is taken where it
is installed, else the plain engine. Every finding (an undocumented exception, more than a second) is written to DIR and printed; exit
code 1 then. Short inputs are read more often in an hour; whether one takes long is seen on long ones.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "jianlian-fuzz")
    args = parser.parse_args()
    unknown = set(args.name) - set(TARGETS)
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    engine = args.engine or ("atheris" if importlib.util.find_spec("atheris") else "mutate")
    bad = 0
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
    """A process of its own: atheris never gives its process back."""
    keep: Path = args.keep
    keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="jl-fuzz-") as folder:
        for number, one in enumerate(seeds(name)):
            (Path(folder) / f"seed-{number}").write_bytes(one)
        options = [
            f"-runs={args.runs}",
            f"-seed={args.seed}",
            f"-max_len={args.longest}",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            f"-artifact_prefix={keep}/{name}-",
        ]
        command = [sys.executable, "-m", "tests.support.fuzz.guided", name, *options, folder]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr) or re.search(r"Done (\d+) runs", done.stderr)
    slowest = max((float(one) for one in re.findall(r"slowest input so far: ([\d.]+) s", done.stdout)), default=0.0)
    found = []
    if done.returncode:
        tail = done.stderr.strip().splitlines()
        where = re.search(r"written to (\S+)", done.stderr)
        data = Path(where[1]).read_bytes() if where and Path(where[1]).exists() else b""
        found.append(Finding(data, " ".join(line for line in tail if "Error" in line or "Exception" in line)[:300] or tail[-1][:300]))
    return int(executed[1]) if executed else 0, slowest, found


if __name__ == "__main__":
    sys.exit(main())
