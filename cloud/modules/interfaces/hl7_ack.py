"""Acknowledgements: writing ours, reading theirs. Pure; HL7 2.5.1 chapter 2.9 and 2.15.5 (ERR), older versions tell it in MSA-3.

The answer goes back to who asked (MSH-3/4 and 5/6 change places), in the version and the character set of the request, with MSA-2
echoing MSH-10 exactly as it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cloud.modules.interfaces.charset import GB18030, UTF8, encode, label
from cloud.modules.interfaces.dialect import SHANGHAI
from cloud.modules.interfaces.hl7_wire import Header, Segment, Unreadable, parse
from cloud.modules.orders.messages import Problem, Severity

# HL7 table 0357, the codes this program uses.
CONDITION = {
    "0": "Message accepted",
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application internal error",
}
# Enhanced mode says the same with a C (commit) instead of an A (application).
ENHANCED = {"AA": "CA", "AE": "CE", "AR": "CR"}
POSITIVE = frozenset({"AA", "CA"})
RETRYABLE = frozenset({"AE", "CE"})
NEGATIVE = frozenset({"AR", "CR"})
MAX_TEXT = 80  # MSA-3 is ST with 80 characters in the versions that use it


@dataclass(frozen=True, slots=True)
class Answer:
    """An acknowledgement as somebody sent it to us: MSA-1, MSA-2, and what it says went wrong."""

    code: str
    control_id: str
    text: str


def escape(text: str, separators: str = "|^~\\&") -> str:
    """Text made safe for one component; a line break becomes ``\\.br\\``, other control characters a blank."""
    names = dict(zip(separators, "FSRET", strict=False))
    esc = separators[3]
    out = []
    for char in text.replace("\r\n", "\n"):
        if char in names:
            out.append(f"{esc}{names[char]}{esc}")
        elif char in "\n\r":
            out.append(f"{esc}.br{esc}")
        elif ord(char) < 32:
            out.append(" ")
        else:
            out.append(char)
    return "".join(out)


def stamp(at: datetime) -> str:
    """An HL7 time in China's hours, to the second."""
    return at.astimezone(SHANGHAI).strftime("%Y%m%d%H%M%S")


def build(header: Header, code: str, problems: Sequence[Problem], at: datetime, control_id: str, *, text: str = "") -> bytes:
    """The acknowledgement of one message, unframed. ``control_id`` is our own MSH-10; ``text`` goes to MSA-3 (a pending refund, say)."""
    seps = header.separators if len(header.separators) == 5 else "|^~\\&"
    fs, cs = seps[0], seps[1]
    kind = "ACK" + (f"{cs}{header.event}" if header.event else "")
    modern = header.version not in ("2.3", "2.3.1", "2.4") and not header.version.startswith("2.2")
    if modern and header.event:
        kind += f"{cs}ACK"
    msh = ["MSH", seps[1:], header.to_app, header.to_facility, header.app, header.facility, stamp(at), "", kind, control_id,
           header.processing, header.version]  # fmt: skip
    encoding = header.encoding if header.encoding in (UTF8, GB18030) else UTF8
    if header.charset:
        msh += [""] * 5 + [label(header.charset, encoding)]
    remarks = text or "；".join(p.text for p in problems)
    segments = [fs.join(msh), fs.join(["MSA", code, header.control_id, escape(remarks[:MAX_TEXT], seps)])]
    segments += [_err(problem, seps, modern) for problem in problems]
    return encode("\r".join(segments) + "\r", encoding)


def _err(problem: Problem, seps: str, modern: bool) -> str:
    fs, cs = seps[0], seps[1]
    segment, *place = problem.location.split("^")
    condition = CONDITION.get(problem.code, "")
    if not modern:
        # ERR-1 of 2.3.1/2.4: segment, sequence, field, code.
        where = [segment, *(place + ["", ""])[:2]]
        return fs.join(["ERR", cs.join([*where, cs.join([problem.code, condition, "HL70357"]).replace(cs, seps[4])])])
    where_text = cs.join([segment, *place])
    text = escape(problem.text, seps)
    return fs.join(["ERR", "", where_text, cs.join([problem.code, condition, "HL70357"]), problem.severity.value, "", "", "", text])


def worst(problems: Sequence[Problem]) -> str:
    """AE when any problem is an error, else AA."""
    return "AE" if any(p.severity is Severity.ERROR for p in problems) else "AA"


def read(raw: bytes, encoding: str = "") -> Answer | None:
    """An acknowledgement sent to us, or None when the bytes are none (half a message, another message, noise)."""
    try:
        message = parse(raw, encoding)
    except Unreadable:
        return None
    msa = message.first("MSA")
    if msa is None or not msa.get(1):
        return None
    return Answer(msa.get(1).upper(), msa.raw(2).strip(), _reason(message.first("ERR"), msa.text(3)))


def _reason(err: Segment | None, msa_text: str) -> str:
    """What a person needs to repair it: the text, the field, the diagnosis."""
    if err is None:
        return msa_text
    where, said = err.raw(2) or err.raw(1), err.text(8) or err.text(7) or err.get(3, 2)
    return "；".join(dict.fromkeys(t for t in (msa_text, where, said) if t))
