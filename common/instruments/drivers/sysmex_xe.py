"""Sysmex XE, XT, XS and XP series, haematology."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="sysmex_xe",
    vendor="Sysmex",
    model="XE/XT/XS/XP series",
    protocol="astm",
    match=(
        Match((("H.5", "XE-"),)),
        Match((("H.5", "XT-"),)),
        Match((("H.5", "XS-"),)),
        Match((("H.5", "XP-"),)),
    ),
    specimen=(("O", 4, 3), ("O", 3, 3), ("O", 3, 0)),
    qc_prefix="QC-",
    reply=QueryReply(echo=True, test="^^^^{code}", action="N", report_type="Q"),
    notes=("O.4 and Q.3 are rack^tube^id^attribute; the answer must repeat the rack and tube of the query."),
    evidence="A recorded message of this model (public repository), read by hand.",
)
