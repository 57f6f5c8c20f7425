"""Report PDFs a second in one process, and its memory.

python -m tests.bench.pdf [--quick]
"""

from __future__ import annotations

import sys

from cloud.reports.bench import measure
from tests.bench.common import arguments, emit


def main() -> int:
    """Measure and print."""
    got = measure(20, 5) if arguments(__doc__) else measure(400)
    emit("report PDFs/s, one process", got.pop("pdf_per_s"), ">= 80", **got)
    return 0


if __name__ == "__main__":
    sys.exit(main())
