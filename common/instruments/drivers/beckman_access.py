"""Beckman Coulter Access 2 and UniCel DxI, immunoassay."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="beckman_access",
    vendor="Beckman Coulter",
    model="Access / DxI",
    protocol="astm",
    match=(Match((("H.5", "ACCESS^"),)), Match((("H.5", "DXI"),))),
    specimen=(("O", 3, 1),),
    reply=QueryReply(action="A", report_type="", end="F"),
    notes="R.3 is ^^^assay^replicate; O.4 is ^rack^position; ends with L|1|F; asks with Q.3 ^id and Q.5 ALL.",
    evidence="Sessions of DxI 800 and Access in public drivers (query, order, result), read by hand.",
)
