"""Snibe Maglumi, immunoassay."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="snibe_maglumi",
    vendor="Snibe",
    model="Maglumi",
    protocol="astm",
    match=(Match((("H.5", "Maglumi"),)),),
    specimen=(("O", 3, 1),),
    reply=QueryReply(action="", report_type=""),
    notes="H.4 is a password; test names with blanks are codes (^^^TT3 II); the range is “a to b”; no status.",
    evidence="Recorded uploads and the maker's example of this model (public repositories), read by hand.",
)
