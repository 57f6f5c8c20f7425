"""Bytes of any analyzer to one Reading: which protocol, which driver, which messages, what is wrong.

``decode`` never raises: what it cannot read it says in ``problems``.
"""

from __future__ import annotations

import re
from collections import Counter

from common.instruments import read_astm, read_bci, read_fixed, read_hl7, read_poct, workbook
from common.instruments.driver import Driver
from common.instruments.drivers import DRIVERS
from common.instruments.read_layout import read_layout
from common.instruments.reading import Message, Reading
from common.instruments.recognise import ANY, Choice
from common.instruments.site import Site
from common.protocol import bci, logs, poct1a
from common.protocol.astm import records, unframe
from common.protocol.charset import wide_codec
from common.protocol.fixed import blocks, columns
from common.protocol.hl7 import split as hl7_split
from common.protocol.problem import Problem, quote

_HL7 = re.compile(rb"(?:^|[\r\n\x0b\x1c\x00 ]|<SB>|<VT>|\[VT\])(?:MSH|FHS|BHS|msh)[^A-Za-z0-9\x00]")
_HL7_LINE = re.compile(rb"[\r\n\x0b\x1c](?:MSH|FHS|BHS|msh)[^A-Za-z0-9\x00]")
"""The same behind ASTM records, whose comments may well speak of an MSH."""
_HL7_FRAMED = re.compile(rb"\x02[0-7]MSH[^A-Za-z0-9\x00]")
"""HL7 as the text of ASTM frames."""
_HL7_WIDE = re.compile(rb"M\x00S\x00H\x00|\x00M\x00S\x00H")
_HL7_BODY = re.compile(rb"(?:^|[\r\n\x0b])(?:PID|OBR|OBX|ORC|SPM|QRD|QPD)\|")
_HEAD = rb"[0-7]?H([^A-Za-z0-9\x00-\x08\x0a-\x20])(?!\1|\"\")[^A-Za-z0-9\s]{2}"
_HEADER = re.compile(rb"(?:^|[\r\n\x01\x02\x05\x00\t\f ])" + _HEAD)
_SESSION = re.compile(rb"\x05?\x02" + _HEAD)
"""What may be a whole session without a flaw, and then is nothing else whatever its texts say."""
_OTHERS = (b"MSH", b"msh", b"HS", b"mt", b"<", b"\x00")
"""Without one of these no other protocol that is asked about before ASTM can be meant by bytes that begin as a session."""
_RECORD = re.compile(
    rb"(?:^|[\r\n\x02])[0-7]?(?:[HPORCMQL][|!~]|[POR][,;\t]\d{1,4}[,;\t][^\r\n]*[\r\n]+[0-7]?[ORCL][,;\t]\d{1,4}(?:[,;\t]|[\r\n]))"
)
"""Records without a header; where the field delimiter is one of a plain table, two numbered records in a row are needed."""


def decode(data: bytes, driver: str | None = None, encoding: str | None = None, site: Site | None = None) -> Reading:
    """Read a capture or one raw message.

    ``driver`` is a driver id (unknown ones are ignored with a problem), ``encoding`` the configured charset of the
    connection, ``site`` how this analyzer differs from its driver. Returns a Reading whatever the bytes are.
    """
    problems: list[Problem] = []
    known = DRIVERS.get(driver) if driver else None
    if driver and known is None:
        problems.append(Problem("driver.unknown", f"没有驱动 {driver},按通用方式读取(unknown driver)"))
    try:
        reading = read(data, Choice(known, site), encoding)
    except Exception as error:  # a bug of ours must not lose the message: it is kept raw and reported
        said = f"解码程序出错,消息整体保留(decoder error {type(error).__name__}):{quote(data)}"
        reading = Reading("unknown", None, [Message("other", complete=False)], [Problem("decoder.error", said)])
    reading.problems[:0] = problems
    return reading


def read(data: bytes, choice: Choice = ANY, encoding: str | None = None) -> Reading:
    """As ``decode`` without its safety net (tests use it to find our bugs)."""
    known, site = choice.known, choice.site
    encoding = encoding or (site.encoding if site else None) or (known.encoding if known else None)
    reading = _read(data, choice, encoding)
    if site is not None and (site.codes or site.units):
        for message in reading.messages:
            for specimen in message.specimens:
                for result in specimen.results:
                    site.rename(result)
    return reading


def _read(data: bytes, choice: Choice, encoding: str | None) -> Reading:
    if not data.strip(b"\r\n\x00 \t"):
        return Reading("unknown", None, [], [Problem("empty", "没有内容(no content)")])
    if not data.strip(b"\r\n\x00 \t\x04\x05\x06\x15"):
        if data.rfind(b"\x05") > max(data.rfind(b"\x04"), data.rfind(b"\x15")):
            return Reading("unknown", None, [], [Problem("empty", "会话已开始,之后没有内容(session begun, nothing followed)")])
        return Reading("unknown", None, [], [])  # a line being tried: nothing was said on it
    layout = (choice.site.layout if choice.site else None) or (choice.known.layout if choice.known else None)
    if layout is None and _SESSION.match(data):
        link = unframe.one_session(data)
        whole = records.clean_message(link, encoding) if link is not None else None
        if whole is not None:
            return _reading("astm", [read_astm.read_message(whole, choice)])
    data = _plain(workbook.plain(data))
    if layout is not None:
        return _reading("fixed", read_layout(data, layout, choice.known.id if choice.known else None, encoding))
    protocol = protocol_of(data, choice.known)
    if protocol == "hl7":
        return _hl7(data, choice, encoding)
    if protocol == "poct1a":
        return _reading("poct1a", [read_poct.read_message(one, choice) for one in poct1a.split_stream(data, encoding)])
    if protocol == "bci":
        return _reading("bci", [read_bci.read_message(one, choice) for one in bci.split_stream(data, encoding)])
    if protocol == "fixed":
        return _reading("fixed", read_fixed.read_columns(data, encoding))
    if protocol == "blocks":
        return _reading("blocks", read_fixed.read_blocks(data))
    if protocol == "text":
        found = read_fixed.read_tickets(data, encoding)
        if found is not None:
            return _reading("text", found)
    if protocol == "astm":
        return _astm(data, choice, encoding)
    return _unknown(data)


def protocol_of(data: bytes, known: Driver | None = None) -> str:
    """Protocol by the bytes themselves; a driver decides only where they leave it open."""
    if _SESSION.match(data) and not any(mark in data for mark in _OTHERS):
        return "astm"
    found = _HL7_LINE if _HEADER.match(data) or _SESSION.match(data) else _HL7
    if (b"MSH" in data or b"HS" in data or b"msh" in data) and found.search(data) or 0 in data and _HL7_WIDE.search(data):
        return "hl7"
    if _HL7_FRAMED.search(data):
        return "hl7"
    if bci.looks_like(data):
        return "bci"
    if poct1a.looks_like(data):
        return "poct1a"
    if blocks.looks_like(data):
        return "blocks"
    if columns.looks_like_ca(data) or columns.looks_like_kx(data):
        return "fixed"
    restored = unframe.restore_controls(data)
    if _HEADER.search(restored) or unframe.has_wide_header(restored):
        return "astm"
    if _HL7_BODY.search(data):
        return "hl7"
    if read_fixed.read_tickets(data, None) is not None:
        return "text"
    if _RECORD.search(restored) or _framed_header(restored):
        return "astm"
    return known.protocol if known else "unknown"


def _framed_header(data: bytes) -> bool:
    """Is there a header once the frames are joined (a session cut into frames of a few bytes)?"""
    if b"\x02" not in data or not (b"\x03" in data or b"\x17" in data):
        return False
    return any(_HEADER.search(link.text) for link in unframe.unframe(data) if link.frames > 1)


def _plain(data: bytes) -> bytes:
    """Without byte order mark; UTF-16 text (a file saved so) becomes UTF-8."""
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:]
    data = logs.restore(data)
    if 0 not in data and data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return data
    if _HL7_WIDE.search(data) or unframe.has_wide_header(data):
        return data  # control bytes and wide text mixed: the protocol's own reader sorts it out
    if 0 not in data and (_HEADER.search(data) or _HL7.search(data)):
        return data  # noise that looks like a byte order mark
    codec = wide_codec(data)
    if codec is None:
        return data
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data[2:]
    return data[: len(data) & ~1].decode(codec, "replace").encode("utf-8", "replace")


def _reading(protocol: str, messages: list[Message], problems: list[Problem] | None = None) -> Reading:
    driver = next((message.driver for message in messages if message.driver), None)
    said = list(problems or [])
    for message in messages:
        said.extend(message.problems)
    return Reading(protocol, driver, messages, _bounded(said))


MAX_OF_A_KIND = 50
"""Problems of one code that are listed one by one; a stream of noise would have millions."""


def _bounded(problems: list[Problem]) -> list[Problem]:
    if len(problems) <= MAX_OF_A_KIND:
        return problems
    seen: Counter[str] = Counter()
    kept = []
    for problem in problems:
        seen[problem.code] += 1
        if seen[problem.code] <= MAX_OF_A_KIND:
            kept.append(problem)
    for code, count in seen.items():
        if count > MAX_OF_A_KIND:
            kept.append(Problem(code, f"同类问题另有 {count - MAX_OF_A_KIND} 处({code}, further ones not listed)"))
    return kept


def _astm(data: bytes, choice: Choice, encoding: str | None) -> Reading:
    messages: list[Message] = []
    problems: list[Problem] = []
    for link in unframe.unframe(unframe.restore_controls(data)):
        wide = wide_codec(link.text) if 0 in link.text else None
        if wide is not None:
            link.text = link.text[: len(link.text) & ~1].decode(wide, "replace").encode("utf-8", "replace")
        here = [read_astm.read_message(one, choice) for one in records.split_messages(link, encoding)]
        tolerated = here[0].tolerates if here else frozenset()
        mine = [problem for problem in link.problems if problem.code not in tolerated]
        if here:
            here[0].problems[:0] = mine
        else:
            problems.extend(mine)
        messages.extend(here)
    if not messages and not problems:
        return _unknown(data)
    return _reading("astm", messages, problems)


def _hl7(data: bytes, choice: Choice, encoding: str | None) -> Reading:
    links = unframe.unframe(data) if _HL7_FRAMED.search(data) else []
    if links:
        data = b"".join(b"\x0b%s\x1c\r" % link.text for link in links)
    found, problems = hl7_split.split_stream(data, encoding)
    problems[:0] = [problem for link in links for problem in link.problems]
    messages = [read_hl7.read_message(one, choice) for one in found]
    if not messages and not problems:
        return _unknown(data)
    return _reading("hl7", messages, problems)


def _unknown(data: bytes) -> Reading:
    said = f"未识别的格式,{len(data)} 字节整体保留(unknown format):{quote(data)}"
    message = Message("other", complete=False, problems=[Problem("format.unknown", said)])
    return _reading("unknown", [message])
