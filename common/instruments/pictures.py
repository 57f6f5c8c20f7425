"""Graphs and images an instrument sends beside its results: histograms as numbers, pictures as files. Pure; floats are for drawing only.

Known forms: HL7 ED fields ``source^type^subtype^Base64^data`` (Mindray and others) with a picture or one byte a bar; ASTM M records
``HISTOGRAM|channel|name|…`` and ``MATRIX|…`` whose last field is ``FLOATLE-stream/deflate:base64^data`` (Horiba): the axes' limits, their
ticks, the number of columns and of points, then the columns; read from a recorded message, whose counts agree exactly. What cannot be read
is said, never drawn.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from common.instruments.reading import Reading, Result, Specimen

MAX_BYTES = 4 << 20
"""Bytes of one picture, unpacked; a longer one is a mistake or an attack."""
MAX_POINTS = 1 << 16
SHOWN = 3000
"""Points of a scattergram that are drawn; more only darken the same places."""

MAGIC = {b"BM": "image/bmp", b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


@dataclass(frozen=True, slots=True)
class Picture:
    """One graph: ``data`` with its media type, or ``points`` to draw; ``problem`` when neither could be read."""

    specimen_id: str | None
    title: str
    media: str = ""
    data: bytes = b""
    points: tuple[tuple[float, float], ...] = ()
    scatter: bool = False
    """Single events instead of a curve."""
    problem: str = ""

    def box(self) -> tuple[float, float, float, float]:
        """The axes' limits: left, right, bottom, top."""
        xs, ys = [p[0] for p in self.points], [p[1] for p in self.points]
        return (min(xs), max(xs), min(0.0, *ys), max(ys))

    def path(self, width: int, height: int) -> str:
        """The points as an SVG path of this size; y goes up."""
        left, right, bottom, top = self.box()
        wide, high = (right - left) or 1.0, (top - bottom) or 1.0
        at = [f"{(x - left) / wide * width:.1f} {height - (y - bottom) / high * height:.1f}" for x, y in self.points]
        return " ".join(f"M{a}h1" for a in at) if self.scatter else "M" + " L".join(at)


def pictures(reading: Reading) -> list[Picture]:
    """Every graph of a reading, in order."""
    return [p for m in reading.messages for s in m.specimens for p in _of_specimen(s)]


def is_picture(value: str | None) -> bool:
    """Whether a result's value is an encoded picture or curve and no result."""
    return value is not None and "^" in value and value.split("^", 4)[3:4] == ["Base64"]


def _of_specimen(specimen: Specimen) -> Iterator[Picture]:
    for result in specimen.results:
        if is_picture(result.value):
            yield _encapsulated(specimen.specimen_id, result)
        for record in result.details:
            yield from _manufacturer(specimen.specimen_id, record)
    for record in specimen.details:
        yield from _manufacturer(specimen.specimen_id, record)


def _encapsulated(specimen: str | None, result: Result) -> Picture:
    title = (result.name or result.code or "").strip()
    data = _unbase64((result.value or "").split("^", 4)[4] if (result.value or "").count("^") >= 4 else "")
    if data is None:
        return Picture(specimen, title, problem="图形数据不完整(not Base64)")
    media = next((m for magic, m in MAGIC.items() if data.startswith(magic)), "")
    if media:
        return Picture(specimen, title, media, data)
    if 8 <= len(data) <= MAX_POINTS:  # one byte a bar
        return Picture(specimen, title, points=tuple((float(n), float(b)) for n, b in enumerate(data)))
    return Picture(specimen, title, problem="图形格式不认识(unknown form)")


def _manufacturer(specimen: str | None, record: list[str]) -> Iterator[Picture]:
    kind = record[2].strip().upper() if len(record) > 5 and record[0] == "M" else ""
    if kind not in ("HISTOGRAM", "MATRIX"):
        return
    title = " ".join(part for part in (record[3].strip(), record[4].strip()) if part)
    fields = [f for f in record[5:] if f.startswith("FLOATLE-stream/deflate:base64^")]
    points = _points(_floats(fields[-1].split("^", 1)[1])) if fields else None
    if not points:
        yield Picture(specimen, title, problem="图形数据不完整(cut)")
    else:
        step = max(1, len(points) // SHOWN) if kind == "MATRIX" else 1
        yield Picture(specimen, title, points=points[::step], scatter=kind == "MATRIX")


def _points(values: tuple[float, ...] | None) -> tuple[tuple[float, float], ...] | None:
    """The first two columns; None unless the counts in the data agree with its length."""
    try:
        if values is None:
            return None
        at = 4
        for _axis in "xy":
            at += 1 + int(values[at])
        columns, count = int(values[at]), int(values[at + 1])
    except (IndexError, OverflowError, ValueError):
        return None
    start = at + 2
    if columns < 2 or count < 2 or len(values) != start + columns * count:
        return None
    return tuple(zip(values[start : start + count], values[start + count : start + 2 * count], strict=True))


def _floats(text: str) -> tuple[float, ...] | None:
    packed = _unbase64(text)
    if packed is None:
        return None
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = unpacker.decompress(packed, MAX_POINTS * 4)
    except zlib.error:
        return None
    if len(data) < 4 or len(data) % 4:
        return None
    values = struct.unpack(f"<{len(data) // 4}f", data)
    return values if all(-1e12 < v < 1e12 for v in values) else None


def _unbase64(text: str) -> bytes | None:
    plain = "".join(text.split())
    if not plain or len(plain) > MAX_BYTES * 4 // 3:
        return None
    try:
        return base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        return None
