"""A raw message → what the instrument said, one row a result, ready to be stored. No database; nothing it meets may stop the stream."""

from __future__ import annotations

import hashlib
import json
import re
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any

from cloud.modules.catalog.queries import Catalog
from cloud.modules.edge.lookup import Link
from common import values
from common.instruments import pictures, tubes
from common.instruments.decode import decode
from common.instruments.pictures import Picture
from common.instruments.reading import Message, Reading, Result, Specimen
from common.instruments.site import Site, site_from_json
from common.run_time import run_time

MAX_INLINE = 512 * 1024
"""Bytes of a message read inside the stream; a larger one is stored, receipted, and read by the worker (F14)."""
PICTURE = "picture"
"""The aspect of a graph or image; its value names the bytes, which lie with the bench and in the raw message."""


@dataclass(slots=True)
class Said:
    """One result as the instrument said it. ``text`` is the value with a fixed format's implied point put in."""

    idx: int
    specimen: str | None
    patient: str | None
    name: str | None
    code: str | None
    label: str | None
    value: str | None
    text: str
    unit: str | None
    flags: list[str]
    status: str | None
    time: str | None
    run: str | None
    aspect: str | None
    qc: bool
    no_result: bool
    nth: int = 0
    main: bool = True
    """False for a further statement about the same test in the same message (raw signal, interpretation, probe)."""
    picture: Picture | None = None


def reading_of(body: bytes, meta: Mapping[str, Any], link: Link | None, catalog: Catalog) -> Reading:
    """A message's bytes read the way its connection is set up today: driver, character set, what differs at this analyzer."""
    analyzer = catalog.analyzers.get(link.analyzer_id) if link is not None and link.analyzer_id is not None else None
    driver = (link.driver if link else None) or (analyzer.driver if analyzer else None) or _text(meta.get("driver"))
    encoding = (link.encoding if link else None) or _text(meta.get("encoding"))
    return decode(body, driver, encoding, _site(link.site if link else None))


def sent_at(body: bytes, meta: Mapping[str, Any], link: Link | None, catalog: Catalog, zone: tzinfo) -> datetime | None:
    """When a message says it was sent, by the clock of who sent it; None when it does not say, or cannot be read."""
    try:
        found = reading_of(body, meta, link, catalog).messages
    except Exception:  # what cannot be decoded has its own place, see batch.read
        return None
    return next((at for m in reversed(found) if (at := run_time(m.sent_at, zone)) is not None), None)


@lru_cache(maxsize=512)
def _site(text: str | None) -> Site | None:
    """The site row of a connection; the same text comes with every message."""
    return None if text is None else site_from_json(json.loads(text))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


TRACK = "track"
"""The aspect of a track line's word about a tube."""


def observations(reading: Reading, track: bool = False) -> list[Said]:
    """Everything a reading says about results, in order. Of a cut message the decoder gives whole records only ("13" may be of "134")."""
    out: list[Said] = []
    for message in reading.messages:
        if message.kind in ("results", "qc"):
            out += _of_message(message, len(out), track)
    _count(out)
    return out


def problems(reading: Reading) -> list[str]:
    """The decoder's complaints as sentences, once each."""
    return list(dict.fromkeys(clean(str(p)) or "" for p in reading.problems))[:50]


def _of_message(message: Message, start: int, track: bool) -> list[Said]:
    out: list[Said] = []
    for specimen in message.specimens:
        for result in specimen.results:
            out.append(_said(start + len(out), message, specimen, result))
            if track and tubes.is_word(result):
                out[-1].aspect = TRACK
        for drawn in pictures.of_details(specimen):
            result = Result(drawn.title or None, None, time=next((r.time for r in specimen.results if r.time), None))
            out.append(_pictured(_said(start + len(out), message, specimen, result), drawn))
    return out


def _pictured(said: Said, drawn: Picture) -> Said:
    """A graph as something said: beside the results, never one of them."""
    content = drawn.data or repr(drawn.points).encode()
    kind = drawn.media or ("points" if drawn.points else "?")
    said.value = f"[{kind} {len(drawn.data) or len(drawn.points)} {hashlib.sha256(content).hexdigest()[:16]}]"
    said.text, said.aspect, said.no_result, said.picture = said.value, PICTURE, False, drawn
    return said


def _said(idx: int, message: Message, specimen: Specimen, result: Result) -> Said:
    drawn = pictures.of_result(result, specimen.specimen_id)
    value = None if drawn is not None else clean(result.value)
    text = _scaled(value or "", result.decimals)
    said = Said(
        idx=idx,
        specimen=(clean(specimen.specimen_id) or "").strip() or None,
        patient=clean(specimen.patient_id),
        name=clean(specimen.patient_name),
        code=clean(result.code),
        label=clean(result.name),
        value=value,
        text=text,
        unit=clean(result.unit),
        flags=[clean(f) or "" for f in result.flags],
        status=clean(result.status),
        # Not the time the message was sent: a retransmission of the same run carries another one.
        time=clean(result.time or specimen.observed_at),
        run=clean(result.run),
        aspect=clean(result.aspect),
        qc=result.qc or specimen.qc or message.kind == "qc",
        no_result=values.nothing(text),
    )
    return said if drawn is None else _pictured(said, drawn)


def _scaled(value: str, decimals: int | None) -> str:
    digits = value.strip()
    if not decimals or not re.fullmatch("[+-]?[0-9]+", digits):
        return value
    return str(Decimal(digits).scaleb(-decimals))


def _count(said: list[Said]) -> None:
    """Number equal measurements inside the message, and find the main statement of each test."""
    seen: Counter[tuple[object, ...]] = Counter()
    main: dict[tuple[object, ...], Said] = {}
    for one in said:
        key = (one.specimen, one.code, one.time, one.run, one.value)
        one.nth = seen[key]
        seen[key] += 1
        if one.picture is not None:
            continue
        test = (one.specimen, one.code, one.run)
        first = main.setdefault(test, one)
        if first is not one and one.aspect != first.aspect:
            one.main = False


def clean(text: str | None) -> str | None:
    """Text PostgreSQL can store: no NUL, no half of a surrogate pair; each replaced by a sign that shows it was there."""
    if text is None:
        return None
    if "\x00" in text:
        text = text.replace("\x00", "␀")
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def clean_json(value: Any, depth: int = 0) -> Any:
    """A JSON value PostgreSQL can store; what lies too deep becomes a sign."""
    if depth > 20:
        return "…"
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(k)): clean_json(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean_json(v, depth + 1) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value


def agent_time(text: str) -> datetime | None:
    """The agent's wall clock as it says it; never a reason to refuse (R6)."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def where(exc: BaseException) -> str:
    """An error for the log: its kind and place, without its words or values, which may be a patient's."""
    at = traceback.extract_tb(exc.__traceback__)[-1:]
    return type(exc).__name__ + "".join(f" {f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in at)
