"""Roche cobas u 411, urine strips."""

from __future__ import annotations

from common.instruments.driver import Driver, Match

DRIVER = Driver(
    id="roche_cobas_u411",
    vendor="Roche",
    model="cobas u 411",
    protocol="astm",
    match=(
        Match((("H.5", "u·411"),)),
        Match((("H.5", "u 411"),)),
        Match((("H.5", "u411"),)),
    ),
    notes="R.3 is number^name: the whole field is the code.",
    evidence="A message of a public simulator, read by hand.",
)
