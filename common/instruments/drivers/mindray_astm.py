"""Mindray chemistry and immunoassay in ASTM mode (BS and CL series)."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="mindray_astm",
    vendor="Mindray",
    model="BS/CL (ASTM)",
    protocol="astm",
    match=(
        Match((("H.12", "=PR"),)),
        Match((("H.12", "=QR"),)),
        Match((("H.12", "=CR"),)),
        Match((("H.12", "=RQ"),)),
    ),
    specimen=(("O", 4, 1), ("O", 3, 1)),
    code=1,
    shifted_from=6,
    reply=QueryReply(specimen=(4, 1), test="{code}^^^", processing="SA", report_type="Q"),
    notes=(
        "H.12: PR results, QR control, CR calibration, RQ query. O.3 is sample "
        "number^tray^position, the barcode is O.4. R.3 is number^name^replicate^result type."
    ),
    evidence=("The layout of the maker's host interface manual as quoted in public sources; no recording seen."),
    unverified="没有见过这种模式的真实记录；版式来自公开资料转述的厂家手册",
)
