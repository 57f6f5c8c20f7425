"""Horiba Pentra XLR, haematology."""

from __future__ import annotations

from common.instruments.driver import Driver, Match

DRIVER = Driver(
    id="horiba_pentra_xlr",
    vendor="Horiba",
    model="Pentra XLR",
    protocol="astm",
    match=(Match((("H.5", "=ABX"),)),),
    notes="R.3 is ^^^code^LOINC; units as a code; alarms in C records; ----- for no value.",
    evidence="A recorded message of this model (public repository), read by hand.",
)
