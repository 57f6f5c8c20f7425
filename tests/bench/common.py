"""What the sections share: one JSON line a figure with the machine's load beside it, percentiles, memory, the load generators' folder."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]


def arguments(about: str | None) -> bool:
    """The one option every section has; whether only a quick look is wanted."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, the figure means little")
    return bool(parser.parse_args().quick)


def emit(what: str, value: float | None, reach: str, **more: Any) -> None:
    """Print a figure. ``load1`` is the load average of the last minute: more than the cores means that others were at work too."""
    line = {"what": what, "value": value, "reach": reach, **more, "load1": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}
    print(json.dumps(line, ensure_ascii=False), flush=True)


def attempt(what: str, measure: Callable[..., object], *given: Any) -> bool:
    """Measure; where that fails, say so in a line and let the other figures be measured. Whether it went well."""
    try:
        measure(*given)
    except Exception as error:
        traceback.print_exc()
        print(json.dumps({"what": what, "error": f"{type(error).__name__}: {error}"[:300]}, ensure_ascii=False), flush=True)
        return False
    return True


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; ``share`` between 0 and 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * len(ordered) + 0.5) - 1)]


def tree(pid: int) -> Iterator[int]:
    """A process and everything below it."""
    yield pid
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from tree(int(child))


def cpu(pid: int) -> float:
    """Processor seconds that a process and everything below it have used: what is left to compare by when the machine is busy."""
    ticks = 0
    for each in tree(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended since it was listed: its parent counts it
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(n) for n in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> dict[str, float]:
    """MB of one process: ``rss`` as the kernel counts it, ``pss`` with what it shares divided among those who share it."""
    rss = pss = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, size = line.partition(":")
        if name == "Rss":
            rss = int(size.split()[0])
        elif name == "Pss":
            pss = int(size.split()[0])
    return {"rss": round(rss / 1024, 1), "pss": round(pss / 1024, 1)}


def shared() -> Path | None:
    """The folder with the load generators, when this machine has it."""
    folder = Path(os.environ.get("JIANLIAN_SHARED") or REPO.parent / "shared") / "bench"
    return folder if (folder / "astm_load.py").exists() else None
