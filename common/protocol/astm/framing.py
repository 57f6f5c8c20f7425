"""Link-layer frames of ASTM E1381 / LIS01-A2: control characters, checksum, building.

A frame is ``STX FN text ETB|ETX C1 C2 CR LF``. Only bytes are handled here: what the text means is
the business of ``records``; captures are read by ``unframe``, the live link by ``link``.
"""

from __future__ import annotations

from zlib import adler32

from common.errors import LocalError

ENQ, ACK, NAK, EOT = 0x05, 0x06, 0x15, 0x04
STX, ETX, ETB, CR, LF = 0x02, 0x03, 0x17, 0x0D, 0x0A

DEFAULT_LIMIT = 240
"""Characters of text in a frame (E1381-95 6.3.1.2); LIS01-A2 allows 63 993."""


SHORT = 256
"""Bytes whose sum stays below Adler-32's modulus, so that its lower half is the sum: ten times as quick as adding them here."""


def total(data: bytes) -> int:
    """Sum of all bytes, modulo 256."""
    if len(data) <= SHORT:
        return adler32(data, 0) & 0xFF
    return sum([adler32(data[at : at + SHORT], 0) & 0xFF for at in range(0, len(data), SHORT)]) & 0xFF


def checksum(body: bytes) -> bytes:
    """Two upper-case hex digits: sum of frame number, text and ETB/ETX, modulo 256 (LIS01 8.3.3)."""
    return SUMS[total(body)]


SUMS = [b"%02X" % value for value in range(256)]


def _frame(number: int, text: bytes, end: int) -> bytes:
    body = b"%d%s%c" % (number, text, end)
    return b"\x02%s%s\r\n" % (body, checksum(body))


def _records(text: bytes) -> list[bytes]:
    """The records with their CR; only CR ends one (other line ends are data)."""
    parts = text.split(b"\r")
    whole = [part + b"\r" for part in parts[:-1]]
    return whole + [parts[-1]] if parts[-1] else whole


def build_frames(text: bytes, limit: int = DEFAULT_LIMIT, start: int = 1, per_record: bool = False) -> list[bytes]:
    """Frames that carry one message (records, each ended by CR).

    ``limit`` is the most bytes of text in a frame, ``start`` the number of the first frame (1 in a
    new transfer phase). With ``per_record`` each record gets a frame of its own, ended by ETX, as
    most instruments do; a longer record is cut with ETB. Without it the text is packed.
    """
    if limit < 1 or not 0 <= start <= 7:
        raise LocalError("astm.frame", "frame limit and start number out of range", limit=limit, start=start)
    units = _records(text) if per_record else [text]
    frames: list[bytes] = []
    number = start
    for unit in units or [b""]:
        for at in range(0, len(unit) or 1, limit):
            end = ETX if at + limit >= len(unit) else ETB
            frames.append(_frame(number, unit[at : at + limit], end))
            number = (number + 1) & 7
    return frames
