"""Raw messages taken out of an analyzer's traffic as one file (M27 R7), so that they outlive the software that took them. Pure.

A ZIP that any tool opens: ``messages.raw`` holds the bytes as received, one message after another; ``index.jsonl`` says of each, a line
a message, what is known of it, its SHA-256 and where its bytes lie. A message whose bytes were cleared before keeps its line.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from common.errors import PeerError
from common.say import say

INDEX, BYTES = "index.jsonl", "messages.raw"
UNPACKED_MOST = 128 << 20
"""A packed file of a few kilobytes can hold gigabytes; ours hold 32 MB at most, and one message more."""
_THE_DAY = (1980, 1, 1, 0, 0, 0)  # equal messages give equal bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """One message: its facts (``sha256`` among them) and its bytes; None when they were cleared before."""

    facts: dict[str, Any]
    body: bytes | None


def pack(messages: Sequence[Kept]) -> bytes:
    """Messages as a file."""
    lines, at = [], 0
    for one in messages:
        size = len(one.body or b"")
        where = {} if one.body is None else {"offset": at, "length": size}
        lines.append(json.dumps({**one.facts, **where}, ensure_ascii=False, sort_keys=True))
        at += size
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(_entry(INDEX), "".join(f"{line}\n" for line in lines).encode())
        packed.writestr(_entry(BYTES), b"".join(one.body or b"" for one in messages))
    return out.getvalue()


def sha256(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def is_archive(data: bytes) -> bool:
    """Whether these bytes are such a file."""
    if data[:4] != b"PK\x03\x04":
        return False
    try:
        with zipfile.ZipFile(BytesIO(data)) as packed:
            return sorted(packed.namelist()) == [INDEX, BYTES]
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def unpack(data: bytes) -> list[Kept]:
    """The messages of such a file, each compared with its SHA-256. Raises PeerError saying what is damaged."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as packed:
            if sum(each.file_size for each in packed.infolist()) > UNPACKED_MOST:
                raise PeerError("raw_archive", say("归档文件解开后过大，不是本系统写的。"))
            index, whole = packed.read(INDEX), packed.read(BYTES)
        return [_kept(line, whole) for line in index.decode().splitlines()]
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError, EOFError, NotImplementedError, zlib.error) as error:
        raise PeerError("raw_archive", say("归档文件读不出来：{why}", why=type(error).__name__)) from error


def _kept(line: str, whole: bytes) -> Kept:
    facts = json.loads(line)
    if "offset" not in facts:
        return Kept(facts, None)
    at, length = facts.pop("offset"), facts.pop("length")
    body = whole[at : at + length]
    if sha256(body) != facts["sha256"]:
        raise PeerError("raw_archive", say("归档文件中第 {seq} 号报文的字节与其哈希不符。", seq=facts.get("seq", "?")))
    return Kept(facts, body)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _THE_DAY)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry
