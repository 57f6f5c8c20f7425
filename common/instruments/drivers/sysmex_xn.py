"""Sysmex XN series, haematology."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="sysmex_xn",
    vendor="Sysmex",
    model="XN series",
    protocol="astm",
    match=(
        Match((("H.5", "XN-"),)),
        Match((("H.5", "XR-"),)),
    ),
    specimen=(("O", 4, 3), ("O", 3, 3), ("O", 3, 0)),
    qc_prefix="QC-",
    reply=QueryReply(echo=True, test="^^^^{code}", action="N", report_type="Q"),
    notes=(
        "O.4 and Q.3 are rack^tube^id^attribute (M manual, A automatic, B barcode, C); flags as "
        "results without a value; the answer must repeat the rack and tube of the query."
    ),
    evidence="A recorded message of this model (public repository), read by hand.",
)
