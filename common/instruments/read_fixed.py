"""Fixed-width, ticket and block formats to the common shape."""

from __future__ import annotations

from common.instruments.drivers import DRIVERS
from common.instruments.reading import Message, Result, Specimen
from common.protocol.charset import decode_bytes
from common.protocol.fixed import blocks, columns, tickets
from common.protocol.problem import Problem, quote


def _frames(data: bytes) -> list[tuple[bytes, bool, bool]]:
    """``(text, framed, whole)`` between STX and ETX; bare text counts as whole."""
    if b"\x02" not in data:
        return [(data.strip(b"\x03\x04\x05\r\n\x00"), False, True)]
    out = []
    for piece in data.split(b"\x02")[1:]:
        body, end, _ = piece.partition(b"\x03")
        out.append((body.rstrip(b"\x04\x05\r\n") if not end else body, True, bool(end)))
    return out


def _stray(data: bytes) -> list[Problem]:
    """Text before the first STX or behind an ETX."""
    found = []
    pieces = data.split(b"\x02")
    for number, piece in enumerate(pieces):
        rest = piece if number == 0 and len(pieces) > 1 else piece.partition(b"\x03")[2]
        rest = rest.strip(b"\x04\x05\x06\x15\r\n\x00 ")
        if rest:
            found.append(Problem("frame.stray", f"帧外有未归属的字节(bytes outside frames):{quote(rest)}"))
    return found


def read_columns(data: bytes, encoding: str | None) -> list[Message]:
    """Sysmex CA and KX-21 telegrams."""
    out = []
    for body, _, whole in _frames(data):
        if not body.strip():
            continue
        decoded = decode_bytes(body, None, encoding)
        text = decoded.text.lstrip("\r\n\x05\x00")
        is_kx = columns.looks_like_kx(body)
        driver = DRIVERS["sysmex_kx_21" if is_kx else "sysmex_ca"]
        message = Message("results", protocol="fixed", driver=driver.id, encoding=decoded.encoding, complete=whole)
        message.problems.extend(decoded.problems)
        telegram = columns.read_kx(text, driver.columns) if is_kx else columns.read_ca(text)
        if not whole:
            message.problems.append(Problem("message.cut", "消息没有 ETX,不完整(cut message)"))
        if telegram is None:
            message.kind = "other"
            said = f"长度与列布局不符,未读取(does not fit the columns):{quote(text)}"
            message.problems.append(Problem("fixed.layout", said))
        else:
            _telegram(message, telegram, driver.decimals, whole)
        out.append(message)
    if out:
        out[0].problems[:0] = _stray(data)
    return out


def _telegram(message: Message, telegram: columns.Telegram, decimals: object, whole: bool) -> None:
    specimen_id = telegram.specimen.strip() or None
    if telegram.kind == "R":
        message.kind = "query"
        message.query = [specimen_id] if specimen_id else []
        message.records = [[telegram.head, *(code for code, _, _ in telegram.items)]]
        return
    places = decimals if isinstance(decimals, dict) else {}
    specimen = Specimen(specimen_id, position=telegram.position)
    specimen.patient_name = telegram.name.strip() or None
    specimen.qc = telegram.mark == "C"
    if specimen.qc:
        message.kind = "qc"
    when = f"{telegram.date} {telegram.time}".strip() or None
    for code, value, flag in telegram.items:
        result = Result(code, value.strip() or None, flags=[flag] if flag.strip() else [], time=when, qc=specimen.qc)
        result.decimals = places.get(code)
        specimen.results.append(result)
    message.specimens.append(specimen)
    if telegram.rest.strip():
        cut = "不完整的一项,未读取" if not whole else "未能归属的列"
        said = f"{cut}(columns left over):{quote(telegram.rest)}"
        message.problems.append(Problem("fixed.rest", said))


def read_tickets(data: bytes, encoding: str | None) -> list[Message] | None:
    """Urisys, SPOTCHEM and CBS text; None when the text is none of them."""
    decoded = decode_bytes(data, None, encoding)
    upper = decoded.text.upper()
    if "URISYS" in upper:
        parts = decoded.text.replace("\r", "\n").replace("\x03", "\n").replace("\x02", "\n").split("\n")
        ticket = tickets.urisys([part.strip("\x04\x05\x00") for part in parts])
        return [_ticket(ticket, "roche_urisys_1100", decoded.encoding, decoded.problems)]
    if "ID#" in upper:
        out: list[Message] = []
        for body, framed, whole in _frames(data):
            text = decode_bytes(body, None, encoding).text
            for ticket in tickets.spotchem(text.replace("\r", " ").replace("\n", " ")):
                message = _ticket(ticket, "arkray_spotchem_el", decoded.encoding, decoded.problems if not out else [])
                if framed and not whole:
                    message.problems.append(Problem("message.cut", "消息没有 ETX,不完整(cut message)"))
                    message.complete = False
                out.append(message)
        if out:
            out[0].problems.extend(_stray(data) if b"\x02" in data else [])
        return out or None
    plain = decoded.text.strip("\x02\x03\x04\x05\x00")
    found = tickets.cbs(plain, DRIVERS["cbs_400"].columns)
    if found is None:
        return None
    message = Message("results", protocol="text", driver="cbs_400", encoding=decoded.encoding)
    message.problems.extend(decoded.problems)
    for ticket in found:
        one = _ticket(ticket, "cbs_400", decoded.encoding, [])
        message.specimens.extend(one.specimens)
        message.problems.extend(one.problems)
    return [message]


def _ticket(ticket: tickets.Ticket, driver: str, encoding: str, problems: list[Problem]) -> Message:
    message = Message("results", protocol="text", driver=driver, encoding=encoding)
    message.problems.extend(problems)
    specimen = Specimen(ticket.specimen, ticket.patient, position=ticket.sequence)
    specimen.sample_type = ticket.sample_type
    if ticket.cut is None:
        for item in ticket.items:
            flags = [item.flag] if item.flag else []
            specimen.results.append(Result(item.name, item.value, item.unit, flags, None, ticket.time))
    else:
        said = f"行内数值不全,未读取(line cut):{quote(ticket.cut)}"
        message.problems.append(Problem("message.cut", said))
    message.specimens.append(specimen)
    for text in ticket.left:
        said = f"未能归属的文本(text not understood):{quote(text)}"
        message.problems.append(Problem("text.left", said))
    if not specimen.results:
        message.kind = "other"
    return message


def read_blocks(data: bytes) -> list[Message]:
    """Integra host blocks: line 53 order, 54 specimen data, 55 test, 00 result."""
    out = []
    for block in blocks.split_stream(data):
        message = Message("results", protocol="blocks", driver="roche_integra_400", complete=block.complete)
        message.sender = block.header or None
        message.problems.extend(block.problems)
        specimen: Specimen | None = None
        code: str | None = None
        for line in block.lines:
            kind = line[:2]
            message.records.append([kind, line[3:]])
            if kind == "53":
                specimen = Specimen(line[3:18].strip() or None)
                specimen.collected_at = line[19:29].strip() or None
                specimen.sample_type = line[30:].strip() or None
                message.specimens.append(specimen)
                code = None
            elif kind == "55":
                code = line[3:].strip() or None
            elif kind == "00":
                if specimen is None:
                    specimen = Specimen(None)
                    message.specimens.append(specimen)
                    message.problems.append(Problem("result.orphan", "结果前没有样本行 53(result without a specimen line)"))
                specimen.results.append(_integra(line, code))
            elif kind not in ("50", "51", "52", "54", "56", "57", "58", "59"):
                message.problems.append(Problem("block.line", f"未知行,未能归属(unknown line):{quote(line)}"))
        if not message.specimens:
            message.kind = "other"
        out.append(message)
    return out


def _integra(line: str, code: str | None) -> Result:
    """Line 00: value (13 characters), unit (6), then flags and numbers in columns."""
    rest = line[2:]
    value, unit, tail = rest[:14].strip(), rest[14:20].strip(), rest[20:].split()
    if " " in value or not value:
        words = rest.split()
        value, unit, tail = (words + [""])[0], "", words[1:]
    return Result(code, value or None, unit or None, details=[tail])
