"""POCT1-A (CLSI): XML documents of point-of-care devices, one after another in a stream without any framing.

Every datum is an attribute ``V`` of an element ``<PARENT.name V="…" U="unit"/>``. A document type declaration is not
expanded: no device sends one, and it can make a parser compute for minutes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree

from common.protocol.charset import decode_bytes
from common.protocol.problem import Problem, quote

Element = ElementTree.Element
_ROOT = re.compile(r"<([A-Z]{3}\.R\d\d)(?=[\s/>])")
_ROOT_BYTES = re.compile(rb"<[A-Z]{3}\.R\d\d[\s/>]")
_PROLOG = re.compile(r"<\?xml[^>]*\?>|<!--.*?-->", re.DOTALL)
_DECLARED = re.compile(rb"""<\?xml[^>]*encoding=["']([A-Za-z0-9._-]{1,40})["']""")


@dataclass(slots=True)
class Document:
    """One message: its type (``OBS.R01``), its XML, None when it cannot be read."""

    type: str
    root: Element | None
    encoding: str
    problems: list[Problem] = field(default_factory=list)


def looks_like(data: bytes) -> bool:
    """Is there a POCT1-A message?"""
    return b"<" in data and _ROOT_BYTES.search(data) is not None


def split_stream(data: bytes, encoding: str | None = None) -> list[Document]:
    """Messages of a captured stream. Never raises."""
    declared = _DECLARED.search(data[:200])
    decoded = decode_bytes(data, declared[1].decode() if declared else None, encoding)
    found = [_read(kind, piece, decoded.encoding) for kind, piece in _pieces(decoded.text)]
    if found:
        found[0].problems[:0] = decoded.problems
    return found


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Type and text of each message; text between messages comes with an empty type."""
    at = 0
    while True:
        opening = _ROOT.search(text, at)
        between = text[at : opening.start() if opening else len(text)]
        if _PROLOG.sub("", between).strip("\x00\r\n\t \x02\x03\x04\x05\x06\x0b\x1c\ufeff"):
            yield "", between
        if opening is None:
            return
        closing = text.find(f"</{opening[1]}>", opening.end())
        again = _ROOT.search(text, opening.end())
        if closing < 0 or (again is not None and again.start() < closing):
            at = again.start() if again is not None else len(text)
            single = re.match(r"<[A-Z.0-9]+\s*/>", text[opening.start() : at])
            if single:
                at = opening.start() + single.end()
        else:
            at = closing + len(opening[1]) + 3
        yield opening[1], text[opening.start() : at]


def _read(kind: str, piece: str, encoding: str) -> Document:
    document = Document(kind, None, encoding)
    if not kind:
        document.problems.append(Problem("poct.stray", f"消息之外有未归属的文本(text outside messages):{quote(piece)}"))
        return document
    if "<!" in piece and ("<!DOCTYPE" in piece or "<!ENTITY" in piece):
        document.problems.append(Problem("poct.doctype", f"XML 带有 DOCTYPE,不予解析,整体保留(document type refused):{quote(piece)}"))
        return document
    try:
        document.root = ElementTree.fromstring(piece)
    except (ElementTree.ParseError, ValueError) as error:
        said = f"消息不完整或不是正确的 XML({error}),整体保留(cut or broken message):{quote(piece)}"
        document.problems.append(Problem("poct.cut", said))
    return document


def value(element: Element | None, name: str) -> str | None:
    """``V`` of the child ``PARENT.name``; None when absent or empty."""
    child = None if element is None else element.find(f"{element.tag}.{name}")
    return None if child is None else (child.get("V") or (child.text or "").strip() or None)
