"""Which characters a hospital system's bytes mean (spec C10, M23): UTF-8 or GB18030, by MSH-18 or by looking.

Pure. HL7 delimiters (``|``, ``^``, ``~``, backslash) are legal second bytes of a GBK character, so a message is always decoded
before it is split. Undecodable bytes raise; nothing is ever replaced by ``?``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

UTF8 = "utf-8"
GB18030 = "gb18030"

# What MSH-18 says in the field (HL7 table 0211 and what Chinese systems write there), without blanks, dashes and underscores.
# UNICODE from a 2.3.1 system is UTF-8 in practice (conventions F15).
_DECLARED = {
    "UTF8": UTF8, "UNICODE": UTF8, "UNICODEUTF8": UTF8, "UTF": UTF8,
    "GB18030": GB18030, "GB180302000": GB18030, "GB180302005": GB18030, "GBK": GB18030, "GB2312": GB18030, "CP936": GB18030, "936": GB18030,
    "GB": GB18030, "CHINESE": GB18030,
}  # fmt: skip
_LATIN = {"8859/1", "ISO88591", "8859/15"}

# Latin letters and signs that laboratory text really uses; any other two-byte UTF-8 character makes UTF-8 doubtful, because two
# bytes of GBK can be valid UTF-8 by accident (the bytes of 模 are also those of ģ).
_SIGNS = frozenset("°±²³µ·×÷¼½¾ßαβγδεκλμπσφωΔΩΓΣΦ№")
_CJK = (
    (0x2010, 0x22FF), (0x2460, 0x24FF), (0x2500, 0x27BF), (0x2E80, 0x9FFF), (0xE000, 0xF8FF), (0xF900, 0xFAFF), (0xFE30, 0xFE4F),
    (0xFF00, 0xFFEF), (0x20000, 0x323AF),
)  # fmt: skip
# A message that declares GB18030 but is sound UTF-8 all over, with this many Chinese characters, was mislabelled: the chance that
# so much GBK text is valid UTF-8 by accident is nil, and reading it as GBK would store a garbled name.
_SURE = 4


class Undecodable(ValueError):
    """The bytes are neither UTF-8 nor GB18030: keep them raw, quarantine the message."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text, the encoding it was in, and (if any) why that is not what the message declared."""

    text: str
    encoding: str
    warning: str | None = None


def _private_use_map() -> dict[int, str]:
    """Characters that Windows 936 keeps in the private-use area, to their real code points (GB18030-2022).

    U+E815… stand in order for the double bytes FE50…; Python's codec knows most of them, the rest is the table.
    """
    late = {
        0xE816: "\U00020087", 0xE817: "\U00020089", 0xE818: "\U000200cc", 0xE81E: "\u9fb4", 0xE826: "\u9fb5", 0xE82B: "\u9fb6",
        0xE82C: "\u9fb7", 0xE831: "\U000215d7", 0xE832: "\u9fb8", 0xE83B: "\U0002298f", 0xE843: "\u9fb9", 0xE854: "\u9fba",
        0xE855: "\U000241fe", 0xE864: "\u9fbb",
    }  # fmt: skip
    out: dict[int, str] = {}
    trails = [t for t in range(0x50, 0xA1) if t != 0x7F]
    for offset, trail in enumerate(trails):
        point = 0xE815 + offset
        char = late.get(point) or bytes((0xFE, trail)).decode(GB18030)
        if not 0xE000 <= ord(char) <= 0xF8FF:
            out[point] = char
    return out


_PRIVATE = _private_use_map()


def repair_private_use(text: str) -> str:
    """Rare characters written in Windows 936's private-use area, as the characters they are (䶮 arrives as U+E863)."""
    return text.translate(_PRIVATE)


def declared_encoding(raw: bytes) -> str:
    """MSH-18, first repetition, as written; "" when absent. Reads bytes, since the encoding is not known yet."""
    header = re.split(rb"[\r\n]", raw.strip(b"\x0b\x1c\r\n \xef\xbb\xbf"), maxsplit=1)[0]
    if len(header) < 4:
        return ""
    fields = header.split(header[3:4])
    value = fields[17] if len(fields) > 17 else b""
    return value.split(b"~")[0].decode("latin-1").strip()


def decode(raw: bytes, forced: str = "") -> Decoded:
    """The message as text. ``forced`` (an endpoint's setting) wins over MSH-18. Raises Undecodable."""
    body = raw[3:] if raw.startswith(b"\xef\xbb\xbf") else raw
    declared = forced or declared_encoding(body)
    if body.isascii():
        return Decoded(body.decode("ascii"), _wanted(declared) or UTF8)
    utf8, gb = _try(body, UTF8), _try(body, GB18030)
    chosen = _choose(declared, utf8, gb)
    if chosen is None:
        if _squeeze(declared) in _LATIN:
            return Decoded(body.decode("latin-1"), "latin-1")
        raise Undecodable("bytes are neither UTF-8 nor GB18030")
    text = utf8 if chosen == UTF8 else gb
    assert text is not None
    wanted = _wanted(declared)
    warning = f"MSH-18 says {declared}, read as {chosen}" if wanted is not None and wanted != chosen else None
    return Decoded(repair_private_use(text), chosen, warning)


def label(declared: str, encoding: str) -> str:
    """What MSH-18 of an answer says: as the request wrote it, unless that was wrong."""
    if not declared or _wanted(declared) == encoding or declared.isascii() and _wanted(declared) is None:
        return declared
    return "GB18030" if encoding == GB18030 else "UNICODE UTF-8"


def encode(text: str, encoding: str) -> bytes:
    """Text in the endpoint's encoding. GB18030 covers all of Unicode, so nothing can be lost but a lone surrogate (ValueError)."""
    return text.encode(encoding)


def _choose(declared: str, utf8: str | None, gb: str | None) -> str | None:
    """Which of the readings is meant; None when neither may be trusted."""
    wanted = _wanted(declared)
    if wanted == GB18030 and gb is not None:
        return UTF8 if utf8 is not None and _certainly_chinese(utf8) else GB18030
    if utf8 is not None and (wanted == UTF8 or gb is None or _plausible(utf8)):
        return UTF8
    if gb is not None and _squeeze(declared) not in _LATIN:
        return GB18030
    if gb is not None and _plausible(gb):
        return GB18030
    return UTF8 if utf8 is not None else None


def _try(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _squeeze(declared: str) -> str:
    return re.sub(r"[\s_-]", "", declared).upper()


def _wanted(declared: str) -> str | None:
    return _DECLARED.get(_squeeze(declared))


def _is_cjk(char: str) -> bool:
    return any(low <= ord(char) <= high for low, high in _CJK)


def _plausible(text: str) -> bool:
    """Whether all non-ASCII characters are such as laboratory messages have."""
    return all(c.isascii() or c in _SIGNS or _is_cjk(c) for c in text)


def _certainly_chinese(text: str) -> bool:
    return _plausible(text) and sum(1 for c in text if _is_cjk(c)) >= _SURE
