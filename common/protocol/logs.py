"""Bytes as terminal programs and logs write them, turned back: hex digits, control pictures, ``<0x02>``, ``{STX}``.

Only where the bytes hold no frame of their own and the notation holds the beginning of one.
"""

from __future__ import annotations

import re

_SPACED = re.compile(rb"\A(?:0[125Bb])(?:\s+[0-9A-Fa-f]{2}){8,}\s*\Z")
_DIGITS = re.compile(rb"\A(?:0[125Bb])(?:[\s,;:-]?[0-9A-Fa-f]{2}){8,}\s*\Z")
_PREFIXED = re.compile(rb"\A\s*(?:0[xX][0-9A-Fa-f]{2}[\s,;]*){8,}\Z")
_DUMP_LINE = re.compile(rb"\A[0-9A-Fa-f]{4,8}:?[ \t]+((?:[0-9A-Fa-f]{2}){1,2}(?: {1,2}(?:[0-9A-Fa-f]{2}){1,2})*)(?:[ \t]{2,}.*)?\Z")
_BEGINS = re.compile(rb"[\x01\x02\x05\x0b\r\n]{1,4}(?:[0-7]?H[^A-Za-z0-9\s]{3}|MSH[^A-Za-z0-9]|[0-7]?[A-Z]\||\x1emt|\x06)")
"""What the digits must mean to be believed."""
_PICTURE = re.compile(rb"\xe2\x90([\x80-\x9f])")
_NUMBER = re.compile(rb"[<\[{]0[xX]([01][0-9A-Fa-f])[>\]}]")
_BRACED = re.compile(rb"\{(ENQ|STX|ETX|ETB|EOT|ACK|NAK|CR|LF|VT|FS|SB|EB)\}")


def restore(data: bytes) -> bytes:
    """The bytes a log means; the same ones when it means nothing else."""
    if b"\x02" in data or b"\x0b" in data:
        return data
    if b"\xe2\x90\x82" in data or b"\xe2\x90\x8b" in data:
        return _PICTURE.sub(lambda m: bytes([m[1][0] - 0x80]), _flat(data, b"\xe2\x90\x8d"))
    if b"{STX}" in data or b"{VT}" in data or b"{SB}" in data:
        return _BRACED.sub(rb"<\1>", data)
    number = _NUMBER.search(data)
    if number is not None and int(number[1], 16) in (1, 2, 5, 0x0B):
        return _NUMBER.sub(lambda m: bytes.fromhex(m[1].decode()), _flat(data, number[0][:1] + number[0][1:3] + b"0D"))
    if data[:1].isalnum() and data.isascii():
        return _hex(data)
    return data


def _flat(data: bytes, end: bytes) -> bytes:
    """Without the line ends of the log where its own notation writes them."""
    return data.replace(b"\r", b"").replace(b"\n", b"") if end.upper() in data.upper() else data


def _hex(data: bytes) -> bytes:
    if _SPACED.match(data):
        return bytes.fromhex(data.decode())
    if _DIGITS.match(data):
        meant = bytes.fromhex(re.sub(rb"[^0-9A-Fa-f]", b"", data).decode())
    elif _PREFIXED.match(data):
        meant = bytes.fromhex(b"".join(re.findall(rb"0[xX]([0-9A-Fa-f]{2})", data)).decode())
    else:
        meant = _dump(data)
    return meant if _BEGINS.match(meant) else data  # a telegram of digits alone is none


def _dump(data: bytes) -> bytes:
    if not _DUMP_LINE.match(data[:200].split(b"\n", 1)[0].rstrip(b"\r")):
        return b""
    found = [_DUMP_LINE.match(line.rstrip(b"\r")) for line in data.split(b"\n") if line.strip()]
    if any(one is None for one in found):
        return b""
    return b"".join(
        bytes.fromhex(re.sub(rb"\s", b"", one[1]).decode())[:16] for one in found if one is not None
    )  # its text may look like digits
