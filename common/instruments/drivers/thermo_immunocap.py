"""Thermo Fisher ImmunoCAP Data Manager (Phadia 100/250), allergy."""

from __future__ import annotations

from common.instruments.driver import Driver, Match

DRIVER = Driver(
    id="thermo_immunocap",
    vendor="Thermo Fisher",
    model="ImmunoCAP Data Manager",
    protocol="astm",
    match=(Match((("H.5", "ImmunoCAP"),)),),
    specimen=(("O", 3, 1),),
    notes="O.3 is id^N^rack^position; R.3 ^^^allergen^method^dilution; R.4 is concentration^class^words^cut-off^response, kept whole.",
    evidence="A complete example message in a public simulator, read by hand.",
)
