"""Horiba Pentra ML, haematology middleware."""

from __future__ import annotations

from common.instruments.driver import Driver, Match

DRIVER = Driver(
    id="horiba_pentra_ml",
    vendor="Horiba",
    model="Pentra ML",
    protocol="astm",
    match=(Match((("H.5", "=PML"),)),),
    notes="O.3 is id^rack^position; computed results carry no time; units in Latin-1.",
    evidence="A real serial log of this model, read by hand.",
)
