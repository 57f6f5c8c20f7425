"""Mindray BS series, clinical chemistry."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="mindray_bs",
    vendor="Mindray",
    model="BS series",
    protocol="hl7",
    match=(
        Match((("MSH-3", "Mindray"), ("MSH-4", "BS-"))),
        Match((("MSH-3", "BS-"),)),
    ),
    reply=QueryReply(shape="dsr"),
    notes=("MSH-16: 0 specimen, 1 calibration, 2 control (whose result is in OBR-20). OBR-2 barcode, OBR-3 sample number."),
    evidence="An example of the maker's manual, read by hand.",
)
