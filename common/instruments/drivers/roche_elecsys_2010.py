"""Roche Elecsys 2010, immunoassay."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="roche_elecsys_2010",
    vendor="Roche",
    model="Elecsys 2010",
    protocol="astm",
    match=(
        Match((("H.5", "="), ("O.4", "^SAMPLE^"))),
        Match((("H.5", "="), ("O.4", "^CONTROL^"))),
    ),
    reply=QueryReply(none="-", echo=True),
    notes=("Empty sender; O.4 is sequence^carrier^position^^SAMPLE or CONTROL^NORMAL; L without a code."),
    evidence="A message in a public driver, read by hand.",
)
