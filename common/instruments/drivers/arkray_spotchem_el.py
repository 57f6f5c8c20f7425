"""Arkray SPOTCHEM EL SE-1520, electrolytes; prints a ticket, listens to nothing."""

from __future__ import annotations

from common.instruments.driver import Driver

DRIVER = Driver(
    id="arkray_spotchem_el",
    vendor="Arkray",
    model="SPOTCHEM EL SE-1520",
    protocol="text",
    notes="Ticket between STX and ETX: YY/MM/DD hh:mm ID# id [sample type] then name value unit.",
    evidence="A recorded message of this model (public repository), read by hand.",
)
