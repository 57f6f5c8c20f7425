"""A reading as a person beside the analyzer wants it: protocol and model, each specimen with its results, what is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from common import visible
from common.instruments.drivers import DRIVERS
from common.instruments.reading import Message, Reading, Specimen

KINDS = {
    "results": "结果 (results)", "qc": "质控 (QC)", "query": "查询 (query)", "order": "申请 (orders)", "other": "其他 (other)",
}  # fmt: skip
SHOWN_BYTES, SHOWN_LINES = 8000, 20
MOST = 60
"""Results of a specimen that are listed; a curve of hundreds of points helps nobody on a screen."""


def outline(reading: Reading, data: bytes = b"") -> Iterator[str]:
    """Lines of text; the patient is left out. ``data`` is shown where nobody could read it, with a ruler for marking columns."""
    known = DRIVERS.get(reading.driver or "")
    model = f"{known.vendor} {known.model}" if known else "没有认出型号，按协议通用读取 (model not recognised)"
    if reading.protocol == "unknown":
        yield "没有认出协议，原文整体保留；请在“接入新仪器”页面上标列 (unknown format: mark its columns on the page)"
        yield from _plain(data)
        return
    yield f"{reading.protocol.upper()} · {model} · {summary(reading)}"
    for number, message in enumerate(reading.messages, 1):
        yield from _message(number, message)
    for problem in reading.problems:
        yield f"! {problem}"


def _plain(data: bytes) -> Iterator[str]:
    """The first lines as they came, control characters named, below the number of each column."""
    lines = visible.readable(data[:SHOWN_BYTES], None)
    text = ["".join(f"⟨{piece.text}⟩" if piece.control else piece.text for piece in line) for line in lines[:SHOWN_LINES]]
    if text:
        width = min(120, max(map(len, text)))
        yield "".join(f"{at:<10}" for at in range(1, width + 1, 10)).rstrip()
        yield from text
    if len(lines) > SHOWN_LINES:
        yield "…"


def summary(reading: Reading) -> str:
    """Counts in one line."""
    specimens = [specimen for message in reading.messages for specimen in message.specimens]
    results = sum(len(specimen.results) for specimen in specimens)
    asked = sum(len(message.query) for message in reading.messages)
    said = f"{len(reading.messages)} 条报文 (messages)，{len(specimens)} 支标本 (specimens)，{results} 个结果 (results)"
    return said + (f"，{asked} 次查询 (queries)" if asked else "") + f"，{len(reading.problems)} 处问题 (problems)"


def _message(number: int, message: Message) -> Iterator[str]:
    cut = "" if message.complete else " · 不完整 (incomplete)"
    yield f"#{number} {KINDS.get(message.kind, message.kind)}{cut}"
    if message.query:
        yield f"   标本 (specimens) {'  '.join(message.query)}"
    for specimen in message.specimens:
        yield from _specimen(specimen)


def _specimen(specimen: Specimen) -> Iterator[str]:
    yield f"   标本 (specimen) {specimen.specimen_id or '—'}"
    for result in specimen.results[:MOST]:
        flags = " ".join(result.flags)
        yield f"      {result.code or '—':<14} {result.value or '—':>12} {result.unit or '':<12} {flags}".rstrip()
    if len(specimen.results) > MOST:
        yield f"      … 另有 {len(specimen.results) - MOST} 个 (more)"
