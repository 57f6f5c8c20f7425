"""PixCell HemoScreen, point-of-care haematology."""

from __future__ import annotations

from common.instruments.driver import Driver, Match

DRIVER = Driver(
    id="pixcell_hemoscreen",
    vendor="PixCell",
    model="HemoScreen",
    protocol="hl7",
    match=(Match((("MSH-3", "HemoScreen"),)),),
    specimen=(("OBR", 2, 1), ("OBR", 3, 1), ("PID", 2, 1)),
    notes=("The test identifier typed or scanned is PID-2. OBR-4 tells the kind: OBS patient, LQC control, PRF proficiency test."),
    evidence="A recorded message of this model (public repository), read by hand.",
)
