"""Cepheid GeneXpert, molecular assays (ASTM)."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="cepheid_genexpert",
    vendor="Cepheid",
    model="GeneXpert",
    protocol="astm",
    match=(Match((("H.5", "GeneXpert"),)),),
    code="whole",
    reply=QueryReply(action="N", specimen=(3, 1), test="^^^{code}", report_type="Q"),
    notes=(
        "R.3 is panel, test, version, analyte and complementary name; only the whole field tells "
        "two results of a message apart, so the whole field is the code."
    ),
    evidence="A recorded message of this model (public repository), read by hand.",
)
