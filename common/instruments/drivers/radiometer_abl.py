"""Radiometer ABL80, ABL9, ABL800 and ABL90, blood gas."""

from __future__ import annotations

from common.instruments.driver import Driver, Match

DRIVER = Driver(
    id="radiometer_abl",
    vendor="Radiometer",
    model="ABL series",
    protocol="astm",
    match=(Match((("H.5", "ABL"),)),),
    specimen=(("O", 3, 1),),
    notes=(
        "R.3 is ^^^name^M (measured) or ^C (calculated); “.....” is no value. O.4 is “Sample #^number” of the analyzer, no id: "
        "the result is matched by the patient (P.3, P.4). Control: O.4 “QC #”, O.16 QCLevel. The ABL9 puts records between SOH "
        "and EOT without frames."
    ),
    evidence="A recorded ABL80 session and a control order in public drivers; the ABL9 envelope as a public driver describes it.",
)
