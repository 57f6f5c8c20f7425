"""Horiba Yumizen P8000, haematology middleware (HL7)."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="horiba_yumizen_p8000",
    vendor="Horiba",
    model="Yumizen P8000",
    protocol="hl7",
    match=(
        Match((("MSH-3", "YP8K"),)),
        Match((("MSH-3", "P8000"),)),
    ),
    reply=QueryReply(shape="law"),
    notes=("One OBR/ORC/TQ1/OBX group an analyte; the tube is in SPM-2, the laboratory number in OBR-2."),
    evidence="A recorded message of this model (public repository), read by hand.",
)
