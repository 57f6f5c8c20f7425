"""Abbott Afinion 2, point-of-care HbA1c, CRP, ACR, lipids."""

from __future__ import annotations

from common.instruments.driver import Driver, Match

DRIVER = Driver(
    id="abbott_afinion_2",
    vendor="Abbott",
    model="Afinion 2",
    protocol="astm",
    match=(Match((("H.5", "Afinion 2"),)),),
    notes=("Whole message in one frame. The run number is in O.4, the id typed by the operator in P.4."),
    evidence="A recorded message of this model (public repository), read by hand.",
)
