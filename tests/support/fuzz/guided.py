"""One target under atheris, in a process of its own: ``python -m tests.support.fuzz.guided NAME [libFuzzer options] CORPUS``.

With ``JIANLIAN_FUZZ_COUNT`` naming a file, the executions so far stand in it (the first readings of the corpus are not counted): a run
that is killed has not lost its count.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import atheris

from tests.support.fuzz.mutate import SLOW_SECONDS

DRIVERS = Path(__file__).resolve().parents[3] / "common" / "instruments" / "drivers"
QUIET = [f"common.instruments.drivers.{path.stem}" for path in DRIVERS.glob("*.py") if path.stem != "__init__"]
"""Literals have no branches: instrumenting them only makes the start slow."""

with atheris.instrument_imports(include=["agent", "common"], exclude=QUIET):
    from tests.support.fuzz.targets import TARGETS

COUNT_EVERY = 500


def main() -> None:
    """Never returns: atheris ends the process."""
    target = TARGETS[sys.argv.pop(1)]
    slowest, calls = 0.0, -sum(1 for _ in Path(sys.argv[-1]).iterdir())
    where = os.environ.get("JIANLIAN_FUZZ_COUNT")
    count = os.open(where, os.O_WRONLY | os.O_CREAT, 0o600) if where else None

    def once(data: bytes) -> None:
        nonlocal slowest, calls
        calls += 1
        if count is not None and calls > 0 and calls % COUNT_EVERY == 0:
            os.pwrite(count, b"%020d %.6f" % (calls, slowest), 0)
        start = time.thread_time()
        target(data)
        used = time.thread_time() - start
        if used > slowest:
            if used > slowest * 1.5 + 0.01:
                print(f"slowest input so far: {used:.3f} s", flush=True)
            slowest = used
        if used > SLOW_SECONDS:
            raise TimeoutError(f"{used:.1f} s of processor time")

    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
