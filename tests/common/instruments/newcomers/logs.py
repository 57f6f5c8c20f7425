# ruff: noqa: E501 -- wire lines are read as lines
"""One session as logs and terminal programs write it down, and cut into frames in the middle of UTF-16 characters."""

from __future__ import annotations

import re

from tests.common.instruments.newcomers.tools import OTHER, Kind, framed, kind, lines, mllp, msh, order, qc, query, results

TEXT = lines("H|\\^&|||LOG^1", "P|1||P1||李^雷", "O|1|G101||^^^K", "R|1|^^^K|a&F&b|mmol/L", "R|2|^^^尿糖|阴性(-)", "L|1|N")
WANT = results(("G101", "K=a|b;尿糖=阴性(-)"))
WIRE = framed(TEXT)
PLAIN = framed(lines("H|\\^&|||LOG^1", "P|1", "O|1|G102||^^^K", "R|1|^^^K|4.1|mmol/L", "L|1|N"))
PLAIN_WANT = results(("G102", "K=4.1"))
BLOCK = mllp(lines(msh("A"), "PID|1||P1", "OBR|1||G103|X", "OBX|1|NM|K||4.1|mmol/L|||||F"))
BLOCK_WANT = results(("G103", "K=4.1"))
PICTURES = {chr(code): chr(0x2400 + code) for code in range(32)}
NAMES = {"\x05": "{ENQ}", "\x02": "{STX}", "\x03": "{ETX}", "\x04": "{EOT}", "\r": "{CR}", "\n": "{LF}"}


def bci(*fields: str) -> bytes:
    body = "".join(f"\x1e{field}|" for field in fields).encode() + b"\x1d"
    return b"\x05\x02" + body + format(sum(body) % 256, "02x").encode() + b"\x03\x04"


def written(data: bytes, names: dict[str, str]) -> str:
    return "".join(names.get(char, char) for char in data.decode())


def numbers(data: bytes) -> str:
    return re.sub(r"[\x00-\x1f]", lambda m: f"<0x{ord(m[0]):02X}>", data.decode())


def dump(data: bytes, group: int) -> str:
    """As ``hexdump -C`` (1) and ``xxd`` (2) write."""
    out = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        pairs = " ".join(row[i : i + group].hex() for i in range(0, len(row), group))
        out.append(f"{at:08x}  {pairs[:23]}  {pairs[24:]:<25}|{text}|" if group == 1 else f"{at:08x}: {pairs:<39}  {text}")
    return "\n".join(out) + "\n"


KINDS: list[Kind] = [
    kind("control characters as pictures", written(WIRE, PICTURES), WANT),
    kind("control characters in braces", written(WIRE, NAMES), WANT),
    kind("control characters by number", numbers(WIRE), WANT),
    kind("by number, a frame a line", numbers(WIRE).replace("<0x0A>", "<0x0A>\r\n"), WANT),
    kind("hexdump -C", dump(WIRE, 1), WANT),
    kind("xxd", dump(WIRE, 2), WANT),
    kind("xxd, its text looks like digits", dump(framed(lines("H|\\^&|||12 34 56 78", "P|1", "O|1|AB CD 1234 56||^^^K", "R|1|^^^K|41 42 43", "L|1|N")), 2), results(("AB CD 1234 56", "K=41 42 43"))),
    kind("digits with 0x", " ".join(f"0x{byte:02X}" for byte in WIRE), WANT),
    kind("digits with 0x and commas, as in C", ", ".join(f"0x{byte:02x}" for byte in PLAIN), PLAIN_WANT),
    kind("digits without blanks", WIRE.hex().upper(), WANT),
    kind("digits with dashes", WIRE.hex("-"), WANT),
    kind("HL7 with pictures", written(BLOCK, PICTURES), BLOCK_WANT),
    kind("HL7 by number", numbers(BLOCK), BLOCK_WANT),
    kind("HL7 as hexdump -C", dump(BLOCK, 1), BLOCK_WANT),
    kind("a table of digits is none", "0012 3456 7890\n0013 1111 2222\n", OTHER, problem="format.unknown"),
    kind("a telegram of digits alone", "0201052601050112345678901234", OTHER, problem="format.unknown"),
    kind("braces of a text", "{STX} is the first of these\n", OTHER, problem="format.unknown"),
    *(kind(f"UTF-16 little endian, frames of {size} bytes", framed(TEXT.encode("utf-16-le"), size=size), WANT) for size in (3, 5, 9, 33)),
    *(kind(f"UTF-16 big endian, frames of {size} bytes", framed(TEXT.encode("utf-16-be"), size=size), WANT) for size in (3, 5, 9, 33)),
    kind("UTF-16 with its mark inside the first frame", framed(b"\xff\xfe" + TEXT.encode("utf-16-le"), size=33), WANT),
    *(kind(f"GB18030, frames of {size} bytes", framed(TEXT, size=size, encoding="gb18030"), WANT) for size in (1, 4, 7)),
    kind("flow control and zeros between the answers", WIRE.replace(b"\r\n\x02", b"\r\n\x11\x06\x00\x02"), WANT),
    # --- BCI
    kind("BCI: a damaged block sent again", bci("mtrsl", "ciG201", "rtTSH", "qn1.5").replace(b"1.5", b"9.5") + b"\x15" + bci("mtrsl", "ciG201", "rtTSH", "qn1.5"), results(("G201", "TSH=1.5")), problem="bci.checksum"),
    kind("BCI: a damaged block, then another tube's", bci("mtrsl", "ciG202", "rtTSH", "qn1.5").replace(b"TSH", b"TSX") + bci("mtrsl", "ciG203", "rtFT4", "ql", "qn12"), results(("G202", "TSX=1.5")), results(("G203", "FT4=12")), problem="bci.checksum"),
    kind("BCI: a damaged block, then another tube's with the same fields", bci("mtrsl", "ciG207", "rtTSH", "qn1.5").replace(b"TSH", b"TSX") + bci("mtrsl", "ciG208", "rtTSH", "qn2.5"), results(("G207", "TSX=1.5")), results(("G208", "TSH=2.5")), problem="bci.checksum"),
    kind("BCI: control material by its id", bci("mtrsl", "ciQC1", "rtTSH", "qn1.5"), qc(("QC1", "TSH=1.5"))),
    kind("BCI: control and patient in one message", bci("mtrsl", "ciQC1", "rtTSH", "qn1.5", "ciG204", "rtTSH", "qn2.5"), results(("QC1", "TSH=1.5"), ("G204", "TSH=2.5"))),
    kind("BCI: question, order and results in one trace", bci("mtrqs", "ciG205") + b"\x06" + bci("mtmpr", "piP1", "ciG205", "rtTSH") + b"\x06" + bci("mtrsl", "piP1", "ciG205", "rtTSH", "qn1.5"), query("G205"), order(("G205", "TSH=")), results(("G205", "TSH=1.5"))),
    # --- both ways in one trace
    kind("the host writes other delimiters than the analyzer", framed(lines("H|\\^&|||AN", "Q|1|^G206||ALL", "L|1|N")) + framed(lines("H~^\\&~~~LIS", "P~1", "O~1~G206~~\\\\\\GLU", "L~1~N")), query("G206"), order(("G206", "GLU="))),
]  # fmt: skip
