"""Roche Urisys 1100, urine strips; printer text."""

from __future__ import annotations

from common.instruments.driver import Driver

DRIVER = Driver(
    id="roche_urisys_1100",
    vendor="Roche",
    model="Urisys 1100",
    protocol="text",
    notes="Each line starts with STX, no ETX; a star marks an abnormal line.",
    evidence="A message of a public simulator, read by hand.",
)
