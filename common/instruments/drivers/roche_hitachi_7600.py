"""Roche/Hitachi 7600 and Modular, clinical chemistry."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="roche_hitachi_7600",
    vendor="Roche",
    model="Hitachi 7600",
    protocol="astm",
    match=(Match((("H.5", "H7600"),)),),
    reply=QueryReply(header_11="TSDWN^REPLY", none="-", echo=True, test="^^^{code}^", action="A", report_type="O"),
    notes=("Specimen id padded on the left in O.3 and Q.3 component 3; frames cut anywhere; codes end with a slash."),
    evidence="A recorded message of this model (public repository), read by hand.",
)
