"""BioSystems BA200 and BA400, clinical chemistry (IHE LAW)."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="biosystems_ba200",
    vendor="BioSystems",
    model="BA200/BA400",
    protocol="hl7",
    match=(
        Match((("MSH-3", "BA200"),)),
        Match((("MSH-3", "BA400"),)),
    ),
    reply=QueryReply(shape="law"),
    notes="OBR-2 is two quotes; the time is in OBX-19; \\Z03BC\\ stands for the micro sign.",
    evidence="A recorded message of this model (public repository), read by hand.",
)
