"""Rules of quality control (M11): for now only what may be seen; the engine comes with its own issue."""

from __future__ import annotations

from enum import StrEnum


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "qc:read"
