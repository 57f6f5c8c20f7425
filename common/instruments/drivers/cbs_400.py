"""CBS-400 electrolyte analyzer: one text line a specimen."""

from __future__ import annotations

from common.instruments.driver import Driver

DRIVER = Driver(
    id="cbs_400",
    vendor="CBS",
    model="CBS-400",
    protocol="text",
    columns=("K", "Na", "Cl", "iCa", "nCa", "TCa", "pH"),
    notes="Line: r, specimen id, then values in a fixed order without units or date.",
    evidence="A recorded message of this model (public repository), read by hand.",
)
