"""bioMerieux mini VIDAS and VIDAS PC, immunoassays (BCI)."""

from __future__ import annotations

from common.instruments.driver import Driver

DRIVER = Driver(
    id="biomerieux_mini_vidas",
    vendor="bioMerieux",
    model="mini VIDAS",
    protocol="bci",
    notes=("ql is the qualitative, qn the quantitative result (unit inside the value, y3 when sent); tt and td time and date."),
    evidence="A recorded message of this model (public repository), read by hand.",
    answer_unverified="申请报文 mtmpr 的格式未见录制或说明书，未在仪器上试过。(Only results were recorded.)",
)
