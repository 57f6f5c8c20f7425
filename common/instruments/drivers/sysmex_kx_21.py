"""Sysmex KX-21, haematology: fixed columns."""

from __future__ import annotations

from common.instruments.driver import Driver

DRIVER = Driver(
    id="sysmex_kx_21",
    vendor="Sysmex",
    model="KX-21",
    protocol="fixed",
    columns=(
        "WBC",
        "RBC",
        "HGB",
        "HCT",
        "MCV",
        "MCH",
        "MCHC",
        "PLT",
        "LYM%",
        "MXD%",
        "NEUT%",
        "LYM#",
        "MXD#",
        "NEUT#",
        "RDW",
        "PDW",
        "MPV",
        "P-LCR",
    ),
    decimals={
        "WBC": 1,
        "RBC": 2,
        "HCT": 1,
        "MCV": 1,
        "MCH": 1,
        "LYM%": 1,
        "MXD%": 1,
        "NEUT%": 1,
        "LYM#": 1,
        "MXD#": 1,
        "NEUT#": 1,
        "RDW": 1,
        "PDW": 1,
        "MPV": 1,
        "P-LCR": 1,
    },
    notes=("STX D1U, specimen id from column 11 (12 characters), from column 30 a value of four digits and a flag each."),
    evidence=("Column positions of a public driver; no recording seen, decimals must be confirmed on site."),
    unverified="没有见过真实记录；列位置来自公开的驱动程序，小数位须在现场核对",
)
