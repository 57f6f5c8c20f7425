"""URIT 8031, clinical chemistry."""

from __future__ import annotations

from common.instruments.driver import Driver, Match

DRIVER = Driver(
    id="urit_8031",
    vendor="URIT",
    model="8031",
    protocol="hl7",
    match=(Match((("MSH-4", "8031"),)),),
    code="OBX-4",
    notes="The code is in OBX-4.",
    evidence="A remark in public sources; no recording seen.",
    unverified="没有见过真实记录；只在公开资料中提到代码在 OBX-4",
)
