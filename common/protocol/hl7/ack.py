"""Acknowledgements for analyzers' HL7 messages (HL7 2.9.2; the Mindray host interface wants a full MSH).

The answer swaps sender and receiver, echoes MSH-10 in MSA-2, keeps the delimiters, the version, the
charset and MSH-16 of the message. An acknowledgement itself is never acknowledged.
"""

from __future__ import annotations

from common.protocol.hl7.messages import DEFAULT, Message, Raw, Value, parse, write_message

ANSWERED = {"OUL": "R22", "ORU": "R01"}
_NEVER = ("ACK", "MCF")


def needs_ack(message: Message) -> bool:
    """False for acknowledgements and order responses: answering them would loop."""
    head = message.type.split("^")[0]
    return head not in _NEVER and not (head.startswith(("ORL", "ORR", "QCK", "RSP", "DSR")) and message.first("MSA"))


def ack_for(message: bytes, code: str = "AA", error: str = "", control_id: str = "", now: str = "") -> bytes:
    """The ACK of one message (without MLLP bytes).

    ``code`` is MSA-1 (AA, AE, AR, CA …), ``error`` MSA-3, ``control_id`` the answer's MSH-10 (default:
    the message's own), ``now`` MSH-7 (default: the message's own; time is passed in, never asked for).
    """
    source = parse(message)
    msh, d = source.msh, source.d if source.segments else DEFAULT

    def echo(number: int) -> Value:
        return Raw(msh.get(number))

    event = msh.component(9, 2)
    kind: Value = ("ACK", Raw(event)) if event else "ACK"
    if msh.component(9, 3):
        kind = ("ACK", Raw(event), "ACK")
    head: list[Value] = ["MSH", echo(5), echo(6), echo(3), echo(4), now or echo(7), "", kind]
    head += [Raw(control_id) if control_id else echo(10), echo(11), Raw(msh.get(12) or "2.3.1"), "", ""]
    head += ["", echo(16), "", echo(18)]
    head += ["", "", ""]  # MSH-19…21: at least 19 separators in all
    msa: list[Value] = ["MSA", code, echo(10), error or "Message accepted" if code.endswith("A") else error, "", "", "0"]
    if not code.endswith("A"):
        msa[6] = error_number(code)
    msa.append("")
    return write_message([head, msa], d, "utf-8" if source.encoding == "ascii" else source.encoding)


def error_number(code: str) -> str:
    """MSA-6 for a refusal: 207 application error for AE, 200 unsupported message for AR (table 0357)."""
    return "200" if code.endswith("R") else "207"
