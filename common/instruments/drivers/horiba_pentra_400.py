"""Horiba Pentra 400, clinical chemistry; asks in the Hitachi way."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="horiba_pentra_400",
    vendor="Horiba",
    model="Pentra 400",
    protocol="astm",
    match=(Match((("H.5", "pentra400"),)),),
    reply=QueryReply(header_11="TSDWN^REPLY", none="-", echo=True, test="^^^{code}^", action="A", report_type="O"),
    evidence="A recorded message of this model (public repository), read by hand.",
)
