"""How a kind of message is written down: its bytes by plain means of our own, its reading by hand.

Nothing here uses the product's code, so that a mistake in it cannot hide in the expectation.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Want:
    """One expected message: its kind, ``(specimen id, "CODE=value;CODE=value")`` each, ids asked about."""

    kind: str
    specimens: tuple[tuple[str | None, str], ...] = ()
    query: tuple[str, ...] = ()

    def facts(self) -> tuple[object, ...]:
        """As the test compares it; specimens without results count too."""
        return (self.kind, tuple((sid, _results(text)) for sid, text in self.specimens), self.query)


def _results(text: str) -> tuple[tuple[str | None, str | None], ...]:
    out = []
    for one in text.split(";") if text else []:
        code, _, value = one.partition("=")
        out.append((code.strip() or None, value.replace("\x00", ";") or None))
    return tuple(out)


def results(*specimens: tuple[str | None, str]) -> Want:
    """A message of patient results."""
    return Want("results", specimens)


def qc(*specimens: tuple[str | None, str]) -> Want:
    """A message of control results."""
    return Want("qc", specimens)


def order(*specimens: tuple[str | None, str]) -> Want:
    """A message of orders: codes without values."""
    return Want("order", specimens)


def query(*ids: str) -> Want:
    """A host query."""
    return Want("query", (), ids)


OTHER = Want("other")


@dataclass(frozen=True)
class Kind:
    """One kind of message. ``problem``: the code that must be among the problems; empty: there must be none."""

    name: str
    data: bytes
    wants: tuple[Want, ...]
    problem: str = ""


def kind(name: str, data: bytes | str, *wants: Want, problem: str = "") -> Kind:
    """Short for the tables."""
    return Kind(name, data.encode() if isinstance(data, str) else data, wants, problem)


def lines(*records: str) -> str:
    """Records ended by CR."""
    return "".join(record + "\r" for record in records)


def one_frame(number: int, text: bytes, end: int = 3, tail: bytes = b"\r\n") -> bytes:
    """STX number text ETX|ETB checksum CR LF."""
    body = str(number).encode() + text + bytes([end])
    return b"\x02" + body + format(sum(body) % 256, "02X").encode() + tail


def framed(text: str | bytes, size: int = 0, encoding: str = "utf-8", tail: bytes = b"\r\n", start: int = 1) -> bytes:
    """A whole transfer phase: a record a frame (size 0), or the text cut every ``size`` bytes."""
    data = text.encode(encoding) if isinstance(text, str) else text
    pieces = [part + b"\r" for part in data.split(b"\r")[:-1]] if not size else [data[at : at + size] for at in range(0, len(data), size)]
    out = b"\x05"
    for at, piece in enumerate(pieces):
        last = at + 1 == len(pieces)
        out += one_frame((start + at) % 8, piece, 3 if last or not size else 23, tail)
    return out + b"\x04"


def mllp(*messages: str | bytes, encoding: str = "utf-8") -> bytes:
    """Messages as MLLP blocks."""
    return b"".join(b"\x0b" + (one.encode(encoding) if isinstance(one, str) else one) + b"\x1c\r" for one in messages)


def msh(sender: str, kind: str = "ORU^R01", version: str = "2.3.1", more: str = "", mode: str = "P") -> str:
    """An MSH segment without its CR."""
    return f"MSH|^~\\&|{sender}|LAB|LIS|HIS|20260105081500||{kind}|M1|{mode}|{version}{more}"
