"""URIT UT series, haematology."""

from __future__ import annotations

from common.instruments.driver import Driver, Match

DRIVER = Driver(
    id="urit_ut",
    vendor="URIT",
    model="UT-5160",
    protocol="hl7",
    match=(Match((("MSH-3", "URIT"),)),),
    notes="Units are not escaped (10^9/L).",
    evidence="An example of the maker's manual, read by hand.",
)
