"""Roche COBAS INTEGRA 400: host blocks."""

from __future__ import annotations

from common.instruments.driver import Driver

DRIVER = Driver(
    id="roche_integra_400",
    vendor="Roche",
    model="COBAS INTEGRA 400",
    protocol="blocks",
    notes=(
        "Blocks SOH header STX lines ETX flag checksum EOT; line 53 order, 55 test, 00 result; checksum is the decimal sum modulo 1000."
    ),
    evidence="Blocks in a public driver; the checksum rule was found on both and holds.",
)
