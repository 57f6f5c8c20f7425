"""Siemens DCA Vantage, HbA1c and albumin/creatinine at the point of care."""

from __future__ import annotations

from common.instruments.driver import Driver, Match

DRIVER = Driver(
    id="siemens_dca_vantage",
    vendor="Siemens",
    model="DCA Vantage",
    protocol="astm",
    match=(Match((("H.5", "DCA VANTAGE"),)),),
    specimen=(("O", 3, 1), ("P", 3, 1)),
    notes="The id that was typed or scanned is P.3; O.4 is sequence^reagent lot and no id. C below R: slope^offset unit.",
    evidence="A recorded message of this model (public repository senaite.astm, dca_vantage.txt), read by hand.",
)
