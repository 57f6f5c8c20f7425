"""A recorded session of an analyzer nobody configured: which driver or layout reads it, and what each one reads.

For the page and command that take a new analyzer in: ``propose`` (candidates with their readings side by side), ``describe``
(marked columns to a layout literal), ``replay`` (the recording through a driver with a site's differences). All pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import UserError
from common.instruments.decode import decode, protocol_of
from common.instruments.drivers import BY_PROTOCOL, DRIVERS
from common.instruments.guess import first_layout
from common.instruments.layout import describe
from common.instruments.read_layout import below_heads
from common.instruments.reading import Reading
from common.instruments.site import Site, site_from_json
from common.protocol.charset import decode_bytes

__all__ = ["Candidate", "describe", "propose", "replay", "telegrams"]

MOST = 8
"""Candidates shown at most."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to read the recording. ``driver`` and ``site`` are what to store when it is chosen."""

    driver: str | None
    site: dict[str, Any]
    why: str
    reading: Reading
    recognised: bool = False

    @property
    def results(self) -> int:
        """Results with both code and value."""
        return sum(1 for *_, result in _results(self.reading) if result.code and result.value is not None)

    @property
    def unplaced(self) -> int:
        """Results without a specimen: they would go to the orphan tray."""
        return sum(1 for _, specimen, _ in _results(self.reading) if specimen.specimen_id is None)

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Better candidates are greater: recognised, more placed results, fewer problems."""
        return (int(self.recognised), self.results - self.unplaced, self.results, -len(self.reading.problems))


def propose(data: bytes, encoding: str | None = None) -> list[Candidate]:
    """Candidates for a recording, best first; never raises.

    The recognised driver or the generic reading comes first; other drivers of the protocol follow where they read something
    else; a positional format nobody described gets a first layout whose columns are named F1, F2 … for a person to rename.
    """
    plain = decode(data, None, encoding)
    protocol = protocol_of(data)
    why = f"识别为 {_title(plain.driver)}(recognised)" if plain.driver else "通用读取,没有认出型号(generic)"
    out = [Candidate(plain.driver, {}, why, plain, recognised=plain.driver is not None)]
    for driver in BY_PROTOCOL.get(protocol, ()):
        if driver.id == plain.driver:
            continue
        reading = decode(data, driver.id, encoding)
        if all(_facts(reading) != _facts(one.reading) for one in out):
            out.append(Candidate(driver.id, {}, f"按 {_title(driver.id)} 读取,结果不同(reads differently)", reading))
    if protocol in ("unknown", "fixed", "text"):
        out += _layouts(data, encoding)
    return sorted(out, key=lambda one: one.rank, reverse=True)[:MOST]


def replay(data: bytes, driver: str | None = None, overlay: Site | Mapping[str, Any] | None = None, encoding: str | None = None) -> Reading:
    """The recording through a driver with a site's differences laid over it; an overlay that is no site raises UserError."""
    site = overlay if isinstance(overlay, Site) or overlay is None else site_from_json(overlay)
    return decode(data, driver, encoding, site)


def telegrams(data: bytes, telegram: str = "", encoding: str | None = None, starts: str = "") -> list[list[str]]:
    """The recording cut into telegrams of lines, as the page shows it for marking columns; ``starts``: what a heading begins with."""
    telegram = telegram or ("stx" if b"\x02" in data else "line")
    if telegram == "stx":
        pieces = [piece.partition(b"\x03")[0] for piece in data.split(b"\x02")[1:]]
    elif telegram == "whole":
        pieces = [data.strip(b"\x02\x03\x04\x05\x00")]
    elif telegram == "head" and starts:
        pieces = [one.body for one in below_heads(data.translate(None, b"\x02\x03\x04\x05\x00\x06\x15"), starts.encode())]
    else:
        pieces = [line for line in re.split(rb"[\r\n]+", data.translate(None, b"\x02\x03\x04\x05\x00\x06\x15")) if line.strip()]
    return [re.split(r"\r\n|\r|\n", decode_bytes(piece, None, encoding).text) for piece in pieces]


def _title(driver: str | None) -> str:
    known = DRIVERS.get(driver or "")
    return f"{known.vendor} {known.model}" if known else str(driver)


def _results(reading: Reading) -> list[tuple[Any, Any, Any]]:
    return [(message, specimen, result) for message in reading.messages for specimen in message.specimens for result in specimen.results]


def _facts(reading: Reading) -> list[object]:
    results = [(specimen.specimen_id, result.code, result.value, result.qc) for _, specimen, result in _results(reading)]
    return [*results, *(tuple(message.query) for message in reading.messages)]


def _layouts(data: bytes, encoding: str | None) -> list[Candidate]:
    """A first layout for unknown text, by all its telegrams."""
    telegram = "stx" if b"\x02" in data and b"\x03" in data else "line"
    layout = first_layout(telegram, telegrams(data, telegram, encoding))
    if layout is None:
        return []
    site = {"layout": layout.to_json()}
    try:
        reading = replay(data, None, site, encoding)
    except UserError:
        return []
    return [Candidate(None, site, "按列猜出的版式,请逐列核对并改名(columns guessed, to be confirmed)", reading)]
