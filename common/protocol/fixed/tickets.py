"""Printer tickets and text lines sent one way: Urisys 1100, SPOTCHEM EL, CBS-400."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SPOTCHEM = re.compile(r"(\d\d/\d\d/\d\d)\s+(\d\d:\d\d)\s+ID#\s*(\S*)\s*(?:\[([^\]]*)\])?")
_ITEM = re.compile(r"\s*(?P<name>\S+)\s+(?P<value>\S+)\s+(?P<unit>[A-Za-zµμ%]+/[A-Za-z0-9µμ.]+|%)(?=\s|$)")
_URISYS_LINE = re.compile(r"^([* ]?) {0,3}([A-Za-z][\w#%]*)\s+(\S.*?)\s*$")
_DATE = re.compile(r"^\s*(\d\d\.\d\d\.\d{4})\s+(\d\d:\s?\d\d)\s*$")
_CBS = re.compile(r"^r(\S+)((?:\s+[-+]?\d+(?:\.\d+)?)+)\s*$")


@dataclass(slots=True)
class Item:
    """One line of a ticket, as printed."""

    name: str
    value: str
    unit: str | None = None
    flag: str | None = None


@dataclass(slots=True)
class Ticket:
    """One ticket: whose, when, what; ``left`` is text that fitted nothing."""

    specimen: str | None
    time: str | None = None
    items: list[Item] = field(default_factory=list)
    patient: str | None = None
    sequence: str | None = None
    sample_type: str | None = None
    left: list[str] = field(default_factory=list)
    cut: str | None = None
    """The last piece, when the ticket ends before it is whole."""


def spotchem(text: str) -> list[Ticket]:
    """Tickets ``YY/MM/DD hh:mm ID# id [type] name value unit …``; empty when the text is none."""
    heads = list(_SPOTCHEM.finditer(text))
    out = []
    for number, head in enumerate(heads):
        end = heads[number + 1].start() if number + 1 < len(heads) else len(text)
        ticket = Ticket(head[3].strip() or None, f"{head[1]} {head[2]}", sample_type=head[4])
        at = head.end()
        while at < end:
            found = _ITEM.match(text, at, end)
            if found is None:
                break
            ticket.items.append(Item(found["name"], found["value"], found["unit"]))
            at = found.end()
        if text[at:end].strip():
            ticket.left.append(text[at:end].strip())
        out.append(ticket)
    if heads and text[: heads[0].start()].strip():
        out[0].left.append(text[: heads[0].start()].strip())
    return out


def urisys(lines: list[str]) -> Ticket:
    """Lines of a Urisys ticket: sequence, patient id, date, then ``  NAME  value`` or ``* NAME  value``."""
    ticket = Ticket(None)
    for line in lines:
        if not line.strip() or "URISYS" in line.upper():
            continue
        date = _DATE.match(line)
        key, _, rest = line.partition(":")
        if date is not None:
            ticket.time = f"{date[1]} {date[2]}"
        elif line.startswith("Seq.No."):
            ticket.sequence = line[7:].strip() or None
        elif key.strip() in ("Pat.ID", "PatID", "ID"):
            ticket.patient = rest.strip() or None
        else:
            _urisys_item(ticket, line)
    return ticket


def _urisys_item(ticket: Ticket, line: str) -> None:
    found = _URISYS_LINE.match(line)
    if found is None:
        ticket.left.append(line)
        return
    words = re.split(r"\s{2,}", found[3].strip())
    unit = " ".join(words[1:]) or None
    ticket.items.append(Item(found[2], words[0], unit, found[1].strip() or None))


def cbs(text: str, columns: tuple[str, ...]) -> list[Ticket] | None:
    """CBS-400 lines ``r<id> v1 v2 …`` by the model's columns; None when a line is not one."""
    out: list[Ticket] = []
    for line in text.replace("\r", "\n").split("\n"):
        if not line.strip():
            continue
        found = _CBS.match(line)
        if found is None:
            if not out:
                return None
            out[-1].left.append(line)
            continue
        ticket = Ticket(found[1])
        values = found[2].split()
        ticket.items = [Item(code, value) for code, value in zip(columns, values, strict=False)]
        if len(values) > len(columns):
            ticket.left.append(" ".join(values[len(columns) :]))
        elif len(values) < len(columns):
            ticket.cut = line
        out.append(ticket)
    return out or None
