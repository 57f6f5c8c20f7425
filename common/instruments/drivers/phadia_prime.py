"""Thermo Fisher Phadia Prime, allergy."""

from __future__ import annotations

from common.instruments.driver import Driver, Match

DRIVER = Driver(
    id="phadia_prime",
    vendor="Thermo Fisher",
    model="Phadia Prime",
    protocol="astm",
    match=(Match((("H.5", "Phadia"),)),),
    notes="R.4 ends with empty components; response units in C; dates of 1899 mean none.",
    evidence="A recorded message of this model (public repository), read by hand.",
)
