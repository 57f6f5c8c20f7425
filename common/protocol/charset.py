"""From bytes to text: declared, configured or guessed encodings; nothing undecodable is dropped.

Instruments in China send UTF-8, GB18030 (often while declaring ASCII), Latin-1 (LIS02 allows 8-bit
text) and now and then UTF-16. A byte that fits no encoding stays visible as ``\\xNN`` and is reported.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from common.protocol.problem import Problem

_HIGH = re.compile(rb"[\x80-\xff]")
_SAMPLE = 65536
"""Bytes looked at, from the first one that is not ASCII, to tell GB18030 from Latin-1."""
_LONE_HIGH = re.compile(rb"(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])")
_SURROGATE = re.compile("[\udc80-\udcff]")
_C1 = re.compile("[\x80-\x9f]")

_DECLARED = {
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "GB 18030-2000": "gb18030",
    "GB18030-2000": "gb18030",
    "GB 18030": "gb18030",
    "GB18030": "gb18030",
    "GBK": "gb18030",
    "GB2312": "gb18030",
    "CP936": "gb18030",
    "BIG-5": "big5",
    "BIG5": "big5",
    "KS X 1001": "cp949",
}
_GUESS = {"", "ASCII", "UNICODE", "UNICODE UTF-16", "UTF-16", "UNICODE UTF-32", '""'}


class Decoded(NamedTuple):
    """Text, the encoding used, and what could not be decoded."""

    text: str
    encoding: str
    problems: list[Problem]


def codec_name(declared: str | None) -> str | None:
    """Python's name for a charset as HL7 table 0211, a vendor or a person writes it; None = guess."""
    name = (declared or "").strip().upper()
    if name in _GUESS:
        return None
    if name in _DECLARED:
        return _DECLARED[name]
    if name.startswith("8859/"):
        name = "ISO8859-" + name[5:]
    try:
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        return None


def decode_bytes(data: bytes, declared: str | None = None, override: str | None = None) -> Decoded:
    """Text of ``data``: by ``override`` (configured), else ``declared`` (in the message), else guessed."""
    wanted = codec_name(override) or codec_name(declared) if override or declared else None
    if data.isascii():  # the encoding still matters: answers are written in it
        return Decoded(data.decode("ascii"), wanted or "ascii", [])
    if wanted is None:
        return _guess(data)
    doubted = not override and wanted == "iso8859-1" and _chinese_runs(data)  # Latin-1 takes any bytes, a test result among them
    try:
        if not doubted:
            return Decoded(data.decode(wanted), wanted, [])
    except (UnicodeDecodeError, LookupError):
        pass
    guessed = _guess(data)
    if guessed.encoding in ("utf-8", "gb18030") and guessed.encoding != wanted and not guessed.problems:
        problem = Problem(
            "charset.declared",
            f"声明的字符集 {wanted} 与内容不符,已按 {guessed.encoding} 解码(declared charset is wrong)",
        )
        return Decoded(guessed.text, guessed.encoding, [problem])
    return _keep(data, wanted)


def _guess(data: bytes) -> Decoded:
    try:
        return Decoded(data.decode("utf-8"), "utf-8", [])
    except UnicodeDecodeError:
        pass
    if _surely_chinese(data):
        return _keep(data, "gb18030")
    chinese = _chinese_score(data)
    first = _HIGH.search(data)
    start = first.start() if first else 0
    lone = len(_LONE_HIGH.findall(data, start, start + _SAMPLE))
    if chinese and chinese * 2 >= lone:
        return _keep(data, "gb18030")
    soft = data.decode("utf-8", "surrogateescape")
    good = sum(1 for ch in soft if ch > "\x7f") - len(_SURROGATE.findall(soft))
    if good * 2 > lone and good:
        return _keep(data, "utf-8")
    return _latin(data)


_PAIR = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")
_FOUR = re.compile(rb"[\x81-\xfe][0-9][\x81-\xfe][0-9]")
_COMMON = re.compile(rb"[\xa1-\xf7][\xa1-\xfe]")


def _surely_chinese(data: bytes) -> bool:
    """Bytes that are whole GB18030 and would be control characters, or mostly not letters, in Latin-1.

    Rare characters (生僻字) have an ASCII letter or a delimiter as second byte and so look like Latin-1; a pair that begins below A1,
    or stands beside one of the common plane, is Chinese.
    """
    first = _HIGH.search(data)
    start = first.start() if first else 0
    sample = data[start : start + _SAMPLE]
    try:
        codecs.getincrementaldecoder("gb18030")().decode(sample, final=start + _SAMPLE >= len(data))
    except UnicodeDecodeError:
        return False
    if _FOUR.search(sample):
        return True
    pairs = _PAIR.findall(sample)
    if any(pair[0] < 0xA1 for pair in pairs):
        return True
    common = sum(1 for pair in pairs if _COMMON.match(pair))
    return common * 2 > len(_LONE_HIGH.findall(sample))


def _chinese_score(data: bytes) -> int:
    """How many characters of the common GB 2312 plane the bytes hold when read as GB18030."""
    first = _HIGH.search(data)
    start = first.start() if first else 0
    soft = data[start : start + _SAMPLE].decode("gb18030", "surrogateescape")
    common = 0
    odd = 0
    for ch in soft:
        if ch <= "\x7f":
            continue
        if "\udc80" <= ch <= "\udcff":
            odd += 1
            continue
        raw = ch.encode("gb18030")
        if len(raw) == 2 and 0xA1 <= raw[0] <= 0xF7 and raw[1] >= 0xA1:
            common += 1
        elif len(raw) == 2:
            odd += 1
    return common if common > odd else 0


_RUN = re.compile(rb"(?<![A-Za-z\x80-\xff])((?:[\xa1-\xf7][\xa1-\xfe])+)(?![A-Za-z\x80-\xff])|[\x80-\xff]+")


def _chinese_runs(data: bytes) -> bool:
    """Is most of what is not ASCII whole runs of common Chinese characters, standing alone as no word of a European language does?"""
    good = odd = 0
    for run in _RUN.finditer(data):
        good += len(run[1] or b"") // 2
        odd += not run[1]
    return good > max(odd, 1)


def _keep(data: bytes, encoding: str) -> Decoded:
    """Decode what can be decoded, show every other byte as ``\\xNN``."""
    try:
        text = data.decode(encoding, "surrogateescape")
    except (UnicodeDecodeError, LookupError):
        return _latin(data)
    bad = len(_SURROGATE.findall(text))
    if not bad:
        return Decoded(text, encoding, [])
    text = _SURROGATE.sub(lambda m: f"\\x{ord(m.group()) - 0xDC00:02x}", text)
    return Decoded(text, encoding, [_undecodable(bad, encoding)])


def _latin(data: bytes) -> Decoded:
    text = data.decode("latin-1")
    bad = len(_C1.findall(text))
    if not bad:
        return Decoded(text, "latin-1", [])
    text = _C1.sub(lambda m: f"\\x{ord(m.group()):02x}", text)
    return Decoded(text, "latin-1", [_undecodable(bad, "latin-1")])


def _undecodable(count: int, encoding: str) -> Problem:
    return Problem(
        "charset.bytes",
        f"有 {count} 个字节不能按 {encoding} 解码,已按 \\xNN 原样保留(undecodable bytes kept)",
    )


def wide_codec(data: bytes) -> str | None:
    """``utf-16-le``/``utf-16-be`` when the bytes are UTF-16 text, else None."""
    if data.startswith(b"\xff\xfe"):
        return "utf-16-le"
    if data.startswith(b"\xfe\xff"):
        return "utf-16-be"
    zeros = data.count(0)
    if zeros * 4 < len(data) or len(data) < 8:
        return None
    odd = data[1::2].count(0)
    return "utf-16-le" if odd * 2 >= zeros else "utf-16-be"
