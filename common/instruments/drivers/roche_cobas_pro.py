"""Roche cobas pro (c 503, e 801), IHE LAW."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="roche_cobas_pro",
    vendor="Roche",
    model="cobas pro",
    protocol="hl7",
    match=(Match((("MSH-3", "cobas"), ("MSH-3", "pro"))),),
    reply=QueryReply(shape="law"),
    notes=("Query name INISEQ; SPM-2 is id&BARCODE; supplements follow the result with S_OTHER in OBX-3.4."),
    evidence="A recorded message of this model (public repository), read by hand.",
)
