"""Roche cobas c111, clinical chemistry."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="roche_cobas_c111",
    vendor="Roche",
    model="cobas c111",
    protocol="astm",
    match=(Match((("H.5", "c111"),)),),
    specimen=(("O", 3, 1), ("O", 4, 1)),
    reply=QueryReply(none="-"),
    notes="Specimen id in O.4; one record a frame, ended by ETB; reaction curve in M.",
    evidence="A recorded message of this model (public repository), read by hand.",
)
