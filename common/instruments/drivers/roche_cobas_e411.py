"""Roche cobas e411, immunoassay."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="roche_cobas_e411",
    vendor="Roche",
    model="cobas e411",
    protocol="astm",
    match=(Match((("H.5", "e411"),)),),
    reply=QueryReply(header_11="TSDWN^REPLY", none="-", echo=True, test="^^^{code}^", action="A", report_type="O"),
    notes="R.3 is ^^^code/dilution/unit; R.4 may be qualitative^numeric; frames cut anywhere.",
    evidence="Messages of a public simulator, read by hand.",
)
