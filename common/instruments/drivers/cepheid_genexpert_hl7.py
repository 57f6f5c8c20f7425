"""Cepheid GeneXpert, molecular assays (HL7 2.5)."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="cepheid_genexpert_hl7",
    vendor="Cepheid",
    model="GeneXpert (HL7)",
    protocol="hl7",
    match=(Match((("MSH-3", "GeneXpert"),)),),
    reply=QueryReply(shape="z02"),
    notes="Asks with QBP^Z03 (specimen id in QPD-4) and waits 60 s for RSP^Z02.",
    evidence="An example of the maker's interface specification, read by hand.",
)
