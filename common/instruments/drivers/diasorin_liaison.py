"""DiaSorin LIAISON and LIAISON XL, immunoassay."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="diasorin_liaison",
    vendor="DiaSorin",
    model="LIAISON / LIAISON XL",
    protocol="astm",
    match=(Match((("H.5", "LIAISON"),)),),
    specimen=(("O", 3, 1),),
    reply=QueryReply(action="", report_type=""),
    notes="R.3 and O.5 are ^^^code^dilution; the dilution is mostly empty.",
    evidence="Frames with their checksums and headers in public drivers and their tests, read by hand.",
)
