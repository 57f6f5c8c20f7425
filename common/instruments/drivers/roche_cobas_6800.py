"""Roche cobas 6800 and 8800, molecular assays."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="roche_cobas_6800",
    vendor="Roche",
    model="cobas 6800/8800",
    protocol="hl7",
    match=(
        Match((("MSH-3", "COBAS6800"),)),
        Match((("MSH-3", "COBAS8800"),)),
    ),
    reply=QueryReply(shape="law"),
    notes="Several OBX for one viral load; ValueNotSet for none.",
    evidence="A recorded message of this model (public repository), read by hand.",
)
