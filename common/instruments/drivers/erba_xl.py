"""Erba XL-640 and XL-1000, clinical chemistry."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="erba_xl",
    vendor="Erba",
    model="XL",
    protocol="astm",
    match=(Match((("H.2", "=`^&"), ("H.13", "E 1394"))),),
    reply=QueryReply(test="^^^{code}"),
    notes=("Repeat delimiter is a grave accent; one test a message; several specimens in one Q record."),
    evidence="A recorded message of this model (public repository), read by hand.",
)
