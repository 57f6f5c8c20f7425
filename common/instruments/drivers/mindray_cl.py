"""Mindray CL series, immunoassay."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="mindray_cl",
    vendor="Mindray",
    model="CL series",
    protocol="hl7",
    match=(Match((("MSH-3", "="), ("MSH-4", "="), ("MSH-12", "=2.3.1"))),),
    reply=QueryReply(shape="dsr"),
    notes="MSH-3 and MSH-4 are empty; otherwise as the BS series; units padded with blanks.",
    evidence="The maker's layout with invented values (public fixture), read by hand.",
)
