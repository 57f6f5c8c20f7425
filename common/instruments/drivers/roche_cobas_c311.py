"""Roche cobas c311, clinical chemistry."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="roche_cobas_c311",
    vendor="Roche",
    model="cobas c311",
    protocol="astm",
    match=(
        Match((("H.5", "c311"),)),
        Match((("H.10", "H7600"), ("H.11", "TSDWN"))),
    ),
    specimen=(("O", 3, 2), ("O", 3, 1)),
    reply=QueryReply(header_11="TSDWN^REPLY", none="-", echo=True, test="^^^{code}^", action="A", report_type="O"),
    notes=(
        "O.3 is sequence^id^position^^rack with the id padded; O.3 of an order is ^id; codes end "
        "with a slash; numeric alarm in C after each R."
    ),
    evidence="A recorded message of this model (public repository), read by hand.",
)
