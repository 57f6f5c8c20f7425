"""When the disk is too full to promise anything (RELIABILITY R5)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

WARN_USED = 0.80
STOP_USED = 0.95
STOP_FREE = 500 << 20
# Of a large disk 5 % may be 200 GB: the percentage only counts while less than this is left.
LARGE_FREE = 10 << 30


@dataclass(frozen=True, slots=True)
class Space:
    """Room on the journal's disk."""

    total: int
    free: int

    @property
    def warn(self) -> bool:
        """True when a person should look."""
        return self.stop or (self.used >= WARN_USED and self.free < 2 * LARGE_FREE)

    @property
    def stop(self) -> bool:
        """True when nothing new may be acknowledged."""
        return self.free < STOP_FREE or (self.used >= STOP_USED and self.free < LARGE_FREE)

    @property
    def used(self) -> float:
        """Share of the disk in use."""
        return 1 - self.free / self.total if self.total else 1.0


def space(folder: Path) -> Space:
    """Look at the disk a folder is on."""
    usage = shutil.disk_usage(folder)
    return Space(usage.total, usage.free)
