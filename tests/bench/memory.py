"""Resident memory of the idle product's processes, each after it has worked a little.

    python -m tests.bench.memory [--quick]

``value`` is RSS; ``pss`` divides what processes share (gunicorn's workers are forked from one that has loaded the app). The worker is
measured after it has rendered reports, so with Typst and its fonts loaded.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.bench import product
from tests.bench.common import arguments, emit, resident, tree
from tests.bench.web import Flow
from tests.support.agent_process import until


def main() -> int:
    """Measure and print."""
    quick = arguments(__doc__)
    with tempfile.TemporaryDirectory(prefix="jl-bench-") as name, product.running(Path(name)) as lab:
        flow = Flow(lab, "M")
        for n in range(3 if quick else 30):
            flow.run(n)
        until(
            lambda: not lab.sql("SELECT 1 FROM report_version WHERE pdf_key IS NULL AND render_error IS NULL"), 120, "all reports rendered"
        )
        pids = {child.name: child.process.pid for child in lab.stack.supervisor.children}
        agent = resident(pids["agent-rm"])
        emit("agent, MB", agent["rss"], "<= 60", pss=agent["pss"])
        workers = [resident(pid) for pid in tree(pids["web"]) if pid != pids["web"]]
        worst = max(workers, key=lambda w: w["rss"])
        emit("web worker, MB", worst["rss"], "<= 160", pss=worst["pss"], workers=len(workers))
        for process, reach in (("intake", "<= 120"), ("worker", "<= 200")):
            got = resident(pids[process])
            emit(f"{process}{', Typst loaded' if process == 'worker' else ''}, MB", got["rss"], reach, pss=got["pss"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
