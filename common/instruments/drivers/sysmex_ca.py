"""Sysmex CA-500, CA-600 and CA-1500 series, coagulation: fixed columns."""

from __future__ import annotations

from common.instruments.driver import Driver, QueryReply

DRIVER = Driver(
    id="sysmex_ca",
    vendor="Sysmex",
    model="CA series",
    protocol="fixed",
    decimals={"041": 1, "042": 1, "043": 2, "044": 2, "045": 1, "051": 1, "052": 1, "061": 1, "062": 1},
    reply=QueryReply(shape="ca", test="{code}      "),
    notes=(
        "STX D1 21 01 01 U date time rack position id attribute name, then code(3) value(5) "
        "flag(1); R records ask for orders. Values are kept as sent; the point is implied."
    ),
    evidence=("Recorded messages and the maker's example, read by hand; decimals of 041, 043, 044, 051 only are confirmed."),
    answer_unverified=(
        "应答格式未见录制或说明书，未在仪器上试过：重复查询的各列作 S 报文，每项为代码加六个空格。"
        "(The recorded inquiries came without their answers.)"
    ),
)
