"""Ortho VISION, blood grouping."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="ortho_vision",
    vendor="Ortho",
    model="VISION",
    protocol="astm",
    match=(Match((("H.5", "VISION"),)),),
    reply=QueryReply(test="{code}"),
    notes=("Reaction grades in M records below each R; O.3 repeats for several bags; L without a code."),
    evidence="A recorded message of this model (public repository), read by hand.",
)
