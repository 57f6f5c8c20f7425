"""Abbott m2000, molecular assays."""

from __future__ import annotations

from common.instruments.driver import Driver, Match

DRIVER = Driver(
    id="abbott_m2000",
    vendor="Abbott",
    model="m2000",
    protocol="astm",
    match=(Match((("H.5", "m2000"),)),),
    notes=(
        "Three R records an assay, told apart by the last component of R.3: F final, I "
        "interpretation, P raw signal (kept in Result.test_id and Result.aspect)."
    ),
    evidence="A recorded message of this model (public repository), read by hand.",
)
