"""Graphs and images an instrument sends beside its results: histograms as numbers, pictures as files. Pure; floats are for drawing only.

Known forms:
- HL7 ED fields ``source^type^subtype^Base64^data`` (Mindray and others; ``Hex`` too): a picture or one byte a bar, also in ASTM results;
- a value that is a picture file in Base64 or hex digits and nothing else;
- a value that is a row of numbers: a curve sent point by point;
- ASTM M records ``HISTOGRAM|channel|name|…`` and ``MATRIX|…`` ending in ``FLOATLE-stream/deflate:base64^data`` (Horiba): the axes'
  limits, their ticks, the number of columns and of points, then the columns; read from a recorded message, whose counts agree exactly;
- a result that only names a file at the analyzer (HL7 RP; Sysmex XN's ``PNG&R&…``): a picture that did not come.
What cannot be read is said, never drawn.
"""

from __future__ import annotations

import base64
import binascii
import re
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
    """One graph: ``data`` with its media type, or ``points`` to draw; ``problem`` when neither could be read, or the data is cut."""

    specimen_id: str | None
    title: str
    media: str = ""
    data: bytes = b""
    points: tuple[tuple[float, float], ...] = ()
    scatter: bool = False
    """Single events instead of a curve."""
    problem: str = ""
    elsewhere: bool = False
    """The message only names a file at the analyzer."""

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


_START = ("iVBORw0KGg", "/9j/", "R0lGOD", "Qk0", "Qk1", "Qk2", "Qk3")
"""How PNG, JPEG, GIF and BMP files begin in Base64."""
_HEX_START = ("89504E47", "FFD8FF", "47494638", "424D")
_FILE_END = (".png", ".bmp", ".jpg", ".jpeg", ".gif", ".tif", ".tiff")
_CODED = ("base64", "hex")
MIN_CURVE = 32
"""Numbers in one value from which on it is a curve and no result."""
_NUMBERS = re.compile(r"\s*[-+]?\d+(?:\.\d+)?(?:([,;^~ ])\s*[-+]?\d+(?:\.\d+)?)(?:\1\s*[-+]?\d+(?:\.\d+)?){30,}\1?\s*")


def is_picture(value: str | None, aspect: str | None = None) -> bool:
    """Whether a result's value is an encoded picture or curve, or the name of a picture's file, and no result.

    ``aspect``: the value type HL7 declared (``RP``: a file at the analyzer, ``ED``: encapsulated data).
    """
    if value is None or len(value) < 5:
        return False
    if aspect == "RP" or _coded(value) or _file(value):
        return True
    if len(value) < 2 * MIN_CURVE - 1:
        return False
    return aspect == "ED" or _bare(value) is not None or _NUMBERS.fullmatch(value) is not None


def of_result(result: Result, specimen: str | None = None) -> Picture | None:
    """The graph a result carries instead of a value; None for a result."""
    value = result.value
    if value is None or not is_picture(value, result.aspect):
        return None
    title = (result.name or result.code or "").strip()
    if _coded(value):
        parts = value.split("^", 4)
        data = _unhex(parts[4]) if parts[3].strip().lower() == "hex" else _unbase64(parts[4] if len(parts) > 4 else "")
        return _drawn(specimen, title, data)
    if result.aspect == "RP" or _file(value):
        file = re.split(r"[\\/]|&R&", value.split("^", 1)[0].strip())[-1]
        return Picture(specimen, title, problem=f"报文只给出仪器上的文件 {file}，没有图像(file at the analyzer)", elsewhere=True)
    if _NUMBERS.fullmatch(value):
        points = [float(n) for n in re.findall(r"[-+]?\d+(?:\.\d+)?", value)]
        if len(points) > MAX_POINTS or not all(-1e12 < v < 1e12 for v in points):
            return Picture(specimen, title, problem="图形格式不认识(unknown form)")
        return Picture(specimen, title, points=tuple((float(n), v) for n, v in enumerate(points)))
    return _drawn(specimen, title, _bare(value) or _unbase64(value.rsplit("^", 1)[-1]))


def _file(value: str) -> bool:
    return "." in value and value.split("^", 1)[0].rstrip().lower().endswith(_FILE_END)


def _coded(value: str) -> bool:
    return "^" in value and (value.split("^", 4) + [""] * 4)[3].strip().lower() in _CODED


def _bare(value: str) -> bytes | None:
    """The bytes of a value that is nothing but a picture file in Base64 or hex digits."""
    text = value.strip()
    if text.startswith(_START):
        data = _unbase64(text)
    elif text[:8].upper().startswith(_HEX_START):
        data = _unhex(text)
    else:
        return None
    return data if data is not None and _media(data) else None


def _media(data: bytes) -> str:
    return next((m for magic, m in MAGIC.items() if data.startswith(magic)), "")


def of_details(specimen: Specimen) -> list[Picture]:
    """Graphs in manufacturer records below a specimen and its results."""
    records = [*(r for one in specimen.results for r in one.details), *specimen.details]
    return [p for record in records for p in _manufacturer(specimen.specimen_id, record)]


def _of_specimen(specimen: Specimen) -> Iterator[Picture]:
    for result in specimen.results:
        picture = of_result(result, specimen.specimen_id)
        if picture is not None:
            yield picture
        for record in result.details:
            yield from _manufacturer(specimen.specimen_id, record)
    for record in specimen.details:
        yield from _manufacturer(specimen.specimen_id, record)


def _drawn(specimen: str | None, title: str, data: bytes | None) -> Picture:
    if data is None:
        return Picture(specimen, title, problem="图形数据不完整(not Base64)")
    media = _media(data)
    if media:
        return Picture(specimen, title, media, data, problem=_cut(media, data))
    if 8 <= len(data) <= MAX_POINTS:  # one byte a bar
        return Picture(specimen, title, points=tuple((float(n), float(b)) for n, b in enumerate(data)))
    return Picture(specimen, title, problem="图形格式不认识(unknown form)")


_END = {"image/png": b"IEND\xaeB`\x82", "image/jpeg": b"\xff\xd9", "image/gif": b";"}


def _cut(media: str, data: bytes) -> str:
    """Whether a picture file ends where it says; what there is of a cut one is kept and shown all the same."""
    if media == "image/bmp":
        whole = len(data) >= 26 and int.from_bytes(data[2:6], "little") <= len(data)
    else:
        whole = data.rstrip(b"\x00\r\n").endswith(_END[media])
    return "" if whole else "图像文件不完整(picture cut)"


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


def _unhex(text: str) -> bytes | None:
    plain = "".join(text.split())
    if not plain or len(plain) > MAX_BYTES * 2:
        return None
    try:
        return bytes.fromhex(plain)
    except ValueError:
        return None
