"""Server time of the worklist, a patient's page and a busy person's start page with 10 000 and with 1 000 000 results in the database.

    python -m tests.bench.pages [--quick]

The time is the server's own (Server-Timing), from the request's arrival to its answer, session, audit and commit included. Results are
written by SQL over three years (bulk.py); the section keeps 200 open tubes at both sizes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.bench import bulk, product
from tests.bench.common import arguments, emit, percentile
from tests.bench.product import Browser, Product

SIZES = (10_000, 1_000_000)
QUICK = (2_000, 20_000)
SECTION = "SH"
BASE = 1_000_000_000
BUSY = ("tester", "leader", "senior", "receiver", "nurse", "clinician", "quality", "infogroup")
WARM = 40  # both workers have met the page, and its statements are prepared on their connections


def server_times(browser: Browser, paths: list[str], count: int) -> list[float]:
    """Milliseconds of ``count`` requests over the paths, the workers' caches warm."""
    for n in range(WARM):
        browser.get(paths[n % len(paths)], page=True)
    times = []
    for n in range(count):
        browser.get(paths[n % len(paths)], page=True)
        times.append(browser.server_ms)
    return times


def grow(lab: Product, size: int, before: int, base: int) -> float:
    """Fill up to ``size`` results; the seconds it took."""
    [(section,)] = lab.sql("SELECT id FROM section WHERE tenant_id = :t AND code = :c", t=lab.tenant, c=SECTION)
    start = time.monotonic()
    bulk.fill(lab.admin_url, lab.tenant, int(str(section)), size - before, base, open_tubes=200 if before == 0 else 0)
    seconds = time.monotonic() - start
    [(there,)] = lab.sql("SELECT count(*) FROM result_version WHERE tenant_id = :t AND id > :b", t=lab.tenant, b=BASE)
    assert there == size, f"{there} results instead of {size}"
    return seconds


def main() -> int:
    """Measure and print."""
    quick = arguments(__doc__)
    sizes, count, before, base = QUICK if quick else SIZES, 30 if quick else 200, 0, BASE
    first: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="jl-bench-") as name, product.running(Path(name)) as lab:
        tester, clinician, busy = lab.person("tester"), lab.person("clinician"), lab.person(*BUSY)
        for size in sizes:
            seconds = grow(lab, size, before, base)
            # Patients of the first filling: they are there at both sizes. Each has five tubes of ten results.
            patients = [f"/clinic/patient/{BASE + 1 + n}" for n in range(bulk.patients(sizes[0]))]
            pages = {"worklist": (tester, [f"/bench/{SECTION}"]), "patient page": (clinician, patients), "start page": (busy, ["/"])}
            for what, (browser, paths) in pages.items():
                times = server_times(browser, paths, count)
                p95 = round(percentile(times, 0.95), 1)
                more = {"p50_ms": round(percentile(times, 0.5), 1), "filled_s": round(seconds)}
                if what in first:
                    ratio = round(p95 / first[what], 2)
                    emit(f"{what}, {size} results, server p95 ms", p95, "<= 40", **more)
                    emit(f"{what}, p95 at {size} results over p95 at {sizes[0]}", ratio, "<= 1.3")
                else:
                    emit(f"{what}, {size} results, server p95 ms", p95, "", **more)
                first.setdefault(what, p95)
            before, base = size, base + 100_000_000
    return 0


if __name__ == "__main__":
    sys.exit(main())
