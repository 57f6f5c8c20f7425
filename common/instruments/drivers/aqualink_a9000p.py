"""Tube sorter A9000P: asks for orders, sorts tubes."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="aqualink_a9000p",
    vendor="Aqualink",
    model="A9000P",
    protocol="astm",
    match=(Match((("H.5", "A9000P"),)),),
    reply=QueryReply(end="F", action="N"),
    notes="Whole message in one frame, CR doubled before ETX; ends with L|1|F.",
    evidence="A recorded message of this model (public repository), read by hand.",
)
