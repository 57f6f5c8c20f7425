"""BCI of bioMerieux: two-letter keys with values, ended by ``|``, in RS … GS blocks with a checksum.

``STX RS mtrsl| RS pi123| … GS cc ETX``: RS only folds the text, a field may go on behind it; ``cc`` is the
sum of everything from the first RS through GS, modulo 256, as two hex digits. Without link bytes the
text is the fields alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from common.protocol.charset import decode_bytes
from common.protocol.problem import Problem, quote

START = "mtrsl"
_TYPE = re.compile(rb"(?:^|[\x02\x05\x1e\r\n])mt[a-z]{3}\|")
"""A message begins with its type: results (mtrsl), patient and request (mtmpr), others."""
_TEXT_TYPE = re.compile(r"mtrsl\||(?:(?<=[|\s])|^)mt[a-z]{3}\|")
_LEFT_SUM = re.compile(r"zz\|[0-9a-fA-F]{2}\s*$")
_GS = re.compile(rb"\x1d([0-9A-Fa-f]{0,2})")


@dataclass(slots=True)
class BciMessage:
    """One message: its fields in order as ``(key, value)``."""

    fields: list[tuple[str, str]]
    problems: list[Problem] = field(default_factory=list)
    complete: bool = True
    encoding: str = "ascii"


def looks_like(data: bytes) -> bool:
    """Does the stream hold a BCI message?"""
    if b"mt" not in data:
        return False
    return _TYPE.search(data) is not None or b"mtrsl" in data and b"\x1e" in data


def split_stream(data: bytes, encoding: str | None = None) -> list[BciMessage]:
    """Messages of a captured stream. Never raises."""
    problems: list[Problem] = []
    text, framed_end = _unframe(data, problems)
    decoded = decode_bytes(text, None, encoding)
    problems.extend(decoded.problems)
    starts = [at.start() for at in _TEXT_TYPE.finditer(decoded.text)]
    messages: list[BciMessage] = []
    if not starts:
        starts = [max(decoded.text.find(START), 0)]
    if decoded.text[: starts[0]].strip("\r\n\x00 |"):
        said = f"消息之前有未归属的字节(bytes before the message):{quote(decoded.text[: starts[0]])}"
        problems.append(Problem("bci.stray", said))
    for at, start in enumerate(starts):
        end = starts[at + 1] if at + 1 < len(starts) else len(decoded.text)
        last = at + 1 == len(starts)
        messages.append(_read(decoded.text[start:end], last and not framed_end, decoded.encoding))
    if any(problem.code == "bci.cut" for problem in problems):
        messages[-1].complete = False
    messages[0].problems[:0] = problems
    return messages


def _unframe(data: bytes, problems: list[Problem]) -> tuple[bytes, bool]:
    """Field text without link bytes, RS and line ends; whether the last block is ended by GS."""
    blocks = data.split(b"\x02")
    out: list[bytes] = []
    ended = False
    wrong: list[bytes] | None = None  # fields of a damaged block, which the next one may repeat
    for number, block in enumerate(blocks):
        found = _GS.search(block)
        body = block if found is None else block[: found.start()]
        if not body.strip(b"\x05\x06\x04\x03\x17\r\n \x00"):
            continue
        ended = found is not None
        if found is not None:
            before, wrong = wrong, None
            if _check(block[: found.start() + 1], found.group(1), number, problems):
                if before is not None and _repeats(body.split(b"\x1e"), before):
                    out.pop()  # sent again as it was meant
            elif len(found.group(1)) == 2:
                wrong = body.split(b"\x1e")
            rest = block[found.end() :].translate(None, b"\x03\x04\x05\x06\x15\x17\r\n\x00 ")
            if rest:
                problems.append(Problem("bci.stray", f"块后有未归属的字节(bytes after block):{quote(rest)}"))
        elif len(blocks) > 1 and b"\x03" not in block and b"\x17" not in block:
            problems.append(Problem("bci.cut", "消息块没有 GS 和 ETX,可能被截断(cut message)"))
        out.append(body.translate(None, b"\x03\x04\x05\x06\x15\x17\x1e\r\n\x00"))
    return b"".join(out), ended


def _repeats(fields: list[bytes], damaged: list[bytes]) -> bool:
    """The same fields but one: not another tube's, which would differ in more."""
    return len(fields) == len(damaged) and sum(one != other for one, other in zip(fields, damaged, strict=True)) < 2


def _check(body: bytes, sent: bytes, number: int, problems: list[Problem]) -> bool:
    start = body.find(b"\x1e")
    right = b"%02x" % (sum(body[start if start >= 0 else 0 :]) & 0xFF)
    if len(sent) < 2:
        problems.append(Problem("bci.unsummed", "消息块没有完整的校验和(checksum missing)"))
    elif sent.lower() != right:
        said = f"第 {max(number, 1)} 块校验和错误:发来 {sent.decode()},应为 {right.decode()}(wrong checksum)"
        problems.append(Problem("bci.checksum", said))
    return sent.lower() == right


def _read(text: str, may_be_cut: bool, encoding: str) -> BciMessage:
    message = BciMessage([], encoding=encoding)
    if _LEFT_SUM.search(text):  # a log that dropped GS: the checksum covers control characters that are not there any more
        text = text.rstrip()[:-2]
    parts = text.split("|")
    tail = parts.pop()
    if tail.strip("\x1d \r\n"):
        said = f"最后一个字段没有结束符,未读取(cut message):{quote(tail)}"
        message.problems.append(Problem("bci.cut", said))
        message.complete = False
    for part in parts:
        if len(part) >= 2:
            message.fields.append((part[:2], part[2:]))
        elif part.strip():
            said = f"不是字段的文本,未能归属(text that is no field):{quote(part)}"
            message.problems.append(Problem("bci.field", said))
    if may_be_cut and message.complete and message.fields and not _ended(message.fields):
        message.problems.append(Problem("bci.cut", "消息没有结束标志(cut message)"))
        message.complete = False
    return message


def _ended(fields: list[tuple[str, str]]) -> bool:
    """Bare text is whole when it ends with ``zz``, or holds a value (mini VIDAS has no end mark)."""
    keys = {key for key, _ in fields}
    if fields[0] != ("mt", "rsl"):
        return True  # a request is as short as it likes
    return fields[-1][0] == "zz" or ("qn" in keys or "ql" in keys) and "ra" not in keys
