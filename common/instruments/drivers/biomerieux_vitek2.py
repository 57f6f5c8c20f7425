"""bioMerieux VITEK 2, identification and susceptibility (BCI)."""

from __future__ import annotations

from common.instruments.driver import Driver, Match

DRIVER = Driver(
    id="biomerieux_vitek2",
    vendor="bioMerieux",
    model="VITEK 2",
    protocol="bci",
    match=(
        Match((("text", "|iiV2|"),)),
        Match((("text", "|ra|"),)),
        Match((("text", "|o1"),)),
    ),
    notes=(
        "o1/o2 organism, then one ra group an antibiotic: a1 code, a2 name, a3 MIC, a4 call, an "
        "final call; af/ap phenotype family and phenotype."
    ),
    evidence="A recorded message of this model (public repository), read by hand.",
    answer_unverified="申请报文 mtmpr 的格式未见录制或说明书，未在仪器上试过。(Only results were recorded.)",
)
