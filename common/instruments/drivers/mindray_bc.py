"""Mindray BC series, haematology."""

from __future__ import annotations

from common.instruments.driver import Driver, Match, QueryReply

DRIVER = Driver(
    id="mindray_bc",
    vendor="Mindray",
    model="BC series",
    protocol="hl7",
    match=(
        Match((("MSH-3", "BC-"), ("MSH-4", "Mindray"))),
        Match((("MSH-4", "BC-"), ("MSH-3", "Mindray"))),
    ),
    reply=QueryReply(shape="orr"),
    notes=("MSH-11 Q is control material; OBX-13 E is edited; histograms as numbers and ED pictures; asks with ORM^O01, ORC-1 RF."),
    evidence="An example of the maker's manual, read by hand.",
)
