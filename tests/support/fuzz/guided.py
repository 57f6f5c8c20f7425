"""One target under atheris, in a process of its own: ``python -m tests.support.fuzz.guided NAME [libFuzzer options] CORPUS``."""

from __future__ import annotations

import sys
import time

import atheris

with atheris.instrument_imports(include=["common"]):
    from tests.support.fuzz.targets import TARGETS

from tests.support.fuzz.mutate import SLOW_SECONDS


def main() -> None:
    """Never returns: atheris ends the process."""
    target = TARGETS[sys.argv.pop(1)]
    slowest = 0.0

    def once(data: bytes) -> None:
        nonlocal slowest
        start = time.thread_time()
        target(data)
        used = time.thread_time() - start
        if used > slowest * 1.5 + 0.01:
            slowest = used
            print(f"slowest input so far: {used:.3f} s", flush=True)
        if used > SLOW_SECONDS:
            raise TimeoutError(f"{used:.1f} s of processor time")

    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
