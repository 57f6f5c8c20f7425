"""Abbott ARCHITECT i and c systems, immunoassay and clinical chemistry."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="abbott_architect",
    vendor="Abbott",
    model="ARCHITECT",
    protocol="astm",
    match=(Match((("H.5", "ARCHITECT"),)),),
    specimen=(("O", 3, 1), ("O", 4, 1)),
    reply=QueryReply(action="N", report_type="Q"),
    notes=(
        "R.3 is ^^^assay number^name^dilution^status^reagent lot^serial^control lot^type; type F result, I interpretation, "
        "P signal: rows of one assay share its number. O.4 is id^carrier^position. Q.13 X or A cancels a query."
    ),
    evidence="A recorded message of this model (public repository senaite.astm, abbott_architect.txt), read by hand.",
)
