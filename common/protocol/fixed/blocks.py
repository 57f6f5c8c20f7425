"""Host blocks of Roche COBAS INTEGRA: SOH header STX lines ETX flag checksum EOT, each part on its line.

The checksum is the decimal sum of all bytes from SOH through the line end before it, modulo 1000.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from common.protocol.problem import Problem, quote

_START = re.compile(rb"^\s*\x01\r?\n")


@dataclass(slots=True)
class Block:
    """One block: header line, its lines, and what is wrong with it."""

    header: str
    lines: list[str]
    complete: bool = True
    problems: list[Problem] = field(default_factory=list)


def looks_like(data: bytes) -> bool:
    """Does the stream start with an SOH on its own line?"""
    return _START.match(data) is not None


def split_stream(data: bytes) -> list[Block]:
    """Blocks of a captured stream. Never raises."""
    out: list[Block] = []
    pieces = re.split(rb"(?=\x01\r?\n)", data)
    for piece in pieces:
        if not piece.strip(b"\r\n\x00 \x04\x06\x15"):
            continue
        out.append(_block(piece, len(out) + 1))
    return out


def _block(piece: bytes, number: int) -> Block:
    head, mark, rest = piece.partition(b"\x02")
    header = head.strip(b"\x01\r\n").decode("latin-1")
    body, end, tail = rest.partition(b"\x03")
    lines = [line for line in body.decode("latin-1").replace("\r", "\n").split("\n") if line.strip()]
    block = Block(header, lines)
    if not piece.startswith(b"\x01"):
        said = f"块之外有未归属的字节(bytes outside blocks):{quote(piece)}"
        block.problems.append(Problem("block.stray", said))
    if not mark or not end:
        block.complete = False
        said = f"第 {number} 块不完整(cut message)"
        block.problems.append(Problem("block.cut", said))
        if not body.endswith((b"\n", b"\r")) and lines:
            block.problems.append(Problem("block.line", f"最后一行不完整,未读取(line cut):{quote(lines.pop())}"))
        return block
    _check(piece, tail, number, block)
    return block


def _check(piece: bytes, tail: bytes, number: int, block: Block) -> None:
    parts = [part for part in tail.replace(b"\r", b"\n").split(b"\n") if part.strip(b"\x04 \x00")]
    if len(parts) < 2 or not parts[1].strip(b"\x04 ").isdigit() or b"\x04" not in tail:
        block.problems.append(Problem("block.cut", f"第 {number} 块没有校验和或结束符(cut message)"))
        block.complete = False
        return
    sent = parts[1].strip(b"\x04 ")
    covered = piece[: piece.rfind(sent)]
    right = sum(covered) % 1000
    if int(sent) % 1000 != right:
        said = f"第 {number} 块校验和错误:发来 {sent.decode()},应为 {right}(wrong checksum)"
        block.problems.append(Problem("block.checksum", said))
