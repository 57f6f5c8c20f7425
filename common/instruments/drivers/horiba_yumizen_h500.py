"""Horiba Yumizen H500 and H550, haematology."""

from __future__ import annotations

from common.instruments.driver import Driver, Match

DRIVER = Driver(
    id="horiba_yumizen_h500",
    vendor="Horiba",
    model="Yumizen H500",
    protocol="astm",
    match=(
        Match((("H.5", "H500^"),)),
        Match((("H.5", "H550^"),)),
        Match((("H.5", "Yumizen"),)),
    ),
    tolerates=frozenset({"frame.gap"}),
    notes=(
        "H.12 is Q and O.16 CTRL for control material; histograms in M records; frame numbers of "
        "M records do not follow the rule although nothing is missing."
    ),
    evidence="A recorded message of this model (public repository), read by hand.",
)
