"""Graphs and images of a run: kept beside the tube's results, shown on the bench, printed where the ordered set asks for it.

A picture never blocks a result: whatever is wrong with one is written beside it and the results go on.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from html import escape
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from cloud.db.session import UnitOfWork
from cloud.modules.bench.graph_words import named
from cloud.modules.bench.models import RunPicture
from cloud.modules.catalog import queries as md
from common.instruments.pictures import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 16_000_000
"""A larger image is a mistake or an attack; it is kept and named, not opened."""
PRINT_WIDTH = 900
"""Pixels; a wider image is made smaller for the report."""
MAX_PRINTED = 6
_WIDE, _HIGH = 300, 112
"""Units of a drawn graph."""


class State(StrEnum):
    """What can be done with a picture."""

    WHOLE = "whole"
    DAMAGED = "damaged"
    ELSEWHERE = "elsewhere"  # the message only names a file at the analyzer


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture as the intake hands it over. ``at``: when it came."""

    specimen_id: int
    observation_id: int
    analyzer_id: int | None
    stream: str
    seq: int
    at: datetime
    picture: Picture


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture as the bench lists it; its bytes have an address of their own."""

    id: int
    specimen_id: int
    title: str
    state: str
    media: str
    problem: str
    at: datetime

    @property
    def name(self) -> str:
        """What it shows, in Chinese where that is known."""
        return named(self.title)

    @property
    def visible(self) -> bool:
        """Whether there is something to look at, be it damaged."""
        return bool(self.media)


def keep_pictures(uow: UnitOfWork, drawn: Sequence[Drawn]) -> None:
    """Keep what came; the same observation again changes nothing."""
    rows = [_row(uow.tenant_id, one) for one in drawn]
    if rows:
        uow.s.execute(insert(RunPicture).on_conflict_do_nothing(index_elements=["tenant_id", "observation_id"]), rows)


def _row(tenant_id: int, one: Drawn) -> dict[str, object]:
    picture = one.picture
    media, data, problem = picture.media, picture.data, picture.problem
    if picture.points:
        media = "events" if picture.scatter else "points"
        data = json.dumps([[float(f"{x:.6g}"), float(f"{y:.6g}")] for x, y in picture.points], separators=(",", ":")).encode()
    elif data and not problem:
        problem = examine(data)
    state = State.ELSEWHERE if picture.elsewhere else State.DAMAGED if problem else State.WHOLE
    return {
        "tenant_id": tenant_id, "specimen_id": one.specimen_id, "observation_id": one.observation_id, "analyzer_id": one.analyzer_id,
        "stream": one.stream, "seq": one.seq, "at": one.at, "title": picture.title.replace("\x00", "")[:200], "state": state.value,
        "media": media, "data": data, "problem": problem[:300],
    }  # fmt: skip


def examine(data: bytes) -> str:
    """Why a picture file cannot be opened; "" when it can."""
    try:
        _opened(data)
    except Exception as error:  # Pillow raises what it likes on hostile bytes
        return f"图像文件损坏，无法打开({type(error).__name__})"
    return ""


def _opened(data: bytes) -> Image:
    from PIL import Image  # 3 MB that an intake without images does not need

    picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "BMP", "GIF"))
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError("too large")
    picture.load()
    return picture


_LIST = """
SELECT p.id, p.specimen_id, p.title, p.state, p.media, p.problem, p.at{more} FROM run_picture p
WHERE p.tenant_id = :t AND p.specimen_id = ANY(:ids)
"""


def of_tube(uow: UnitOfWork, specimen_id: int) -> list[Shown]:
    """Every picture of a tube, the newest run first; within a run as sent."""
    found = uow.s.execute(text(_LIST.format(more="") + " ORDER BY p.at DESC, p.id"), {"t": uow.tenant_id, "ids": [specimen_id]})
    return [Shown(*row) for row in found]


_DRAWN = text("SELECT DISTINCT specimen_id FROM run_picture WHERE tenant_id = :t AND specimen_id = ANY(:ids)")
# Of a run whose values count, or of a message that brought pictures only; of a title the newest. A run most of whose values
# were set aside for another's does not count for the one that both have alike.
_PRINTED = text(f"""
WITH run AS MATERIALIZED (
  SELECT t.specimen_id, v.snapshot->>'stream' AS stream, (v.snapshot->>'seq')::bigint AS seq,
    2 * count(*) FILTER (WHERE v.reported_text = c.reported_text) > count(*) AS counts
  FROM test t JOIN result_version v ON v.tenant_id = t.tenant_id AND v.test_id = t.id
  LEFT JOIN result_version c ON c.tenant_id = t.tenant_id AND c.id = t.current_id
  WHERE t.tenant_id = :t AND t.specimen_id = ANY(:ids) GROUP BY 1, 2, 3
), newest AS (
  SELECT DISTINCT ON (p.specimen_id, p.title) p.id
  FROM ({_LIST.format(more=", p.stream, p.seq")} AND p.state <> 'elsewhere' AND EXISTS (
    SELECT 1 FROM order_item oi JOIN order_set os ON os.tenant_id = oi.tenant_id AND os.id = oi.order_set_id
    WHERE oi.tenant_id = p.tenant_id AND oi.specimen_id = p.specimen_id AND oi.status NOT IN ('cancelled','refunded') AND os.graphs)) p
  LEFT JOIN run ON run.specimen_id = p.specimen_id AND run.stream = p.stream AND run.seq = p.seq
  WHERE coalesce(run.counts, true)
  ORDER BY p.specimen_id, p.title, p.id DESC
)
SELECT p.specimen_id, p.title, p.state, p.media, p.problem, p.data
FROM run_picture p JOIN newest n ON n.id = p.id WHERE p.tenant_id = :t ORDER BY p.id
""")


@dataclass(frozen=True, slots=True)
class Print:
    """A picture for the report: its bytes (PNG, or SVG we drew ourselves), or why it cannot be printed."""

    title: str
    data: bytes
    problem: str = ""


def printed(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, list[Print]]:
    """Specimen id → what its report prints, where one of its ordered sets asks for graphs."""
    ids: Sequence[int] = list(specimen_ids)
    if not ids or not any(s.graphs for s in md.catalog(uow).order_sets.values()):
        return {}
    ids = uow.s.scalars(_DRAWN, {"t": uow.tenant_id, "ids": ids}).all()
    if not ids:  # most tubes have no picture: the runs behind their values need not be looked for
        return {}
    out: dict[int, list[Print]] = {}
    for row in uow.s.execute(_PRINTED, {"t": uow.tenant_id, "ids": ids}):
        problem = row.problem if row.state != State.WHOLE else ""
        out.setdefault(row.specimen_id, []).append(
            Print(named(row.title), b"" if problem else _for_print(row.media, bytes(row.data)), problem)
        )
    return out


def _for_print(media: str, data: bytes) -> bytes:
    if media in ("points", "events"):
        return svg(media, data)
    picture = _opened(data).convert("RGB")
    if picture.width > PRINT_WIDTH:
        picture = picture.resize((PRINT_WIDTH, max(1, picture.height * PRINT_WIDTH // picture.width)))
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def svg(media: str, data: bytes, title: str = "") -> bytes:
    """Kept points as a drawing: the curve or the single events above an axis with its ends."""
    points = tuple((float(x), float(y)) for x, y in json.loads(data))
    drawn = Picture(None, title, points=points, scatter=media == "events")
    left, right, _, _ = drawn.box()
    right_edge, floor, words = _WIDE - 8, _HIGH - 18, _HIGH - 5
    label = 'font-family="Noto Sans SC, sans-serif" font-size="11" fill="#444"'
    line = f'fill="none" stroke="#0b6e6e" stroke-width="{1 if drawn.scatter else 1.5}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDE}" height="{_HIGH}" viewBox="0 0 {_WIDE} {_HIGH}">'
        f'<title>{escape(title)}</title><rect width="{_WIDE}" height="{_HIGH}" fill="#fff"/>'
        f'<path d="M8 {floor}H{right_edge}" stroke="#999" stroke-width="1"/>'
        f'<g transform="translate(8 8)"><path d="{drawn.path(_WIDE - 16, _HIGH - 26)}" {line}/></g>'
        f'<text x="8" y="{words}" {label}>{left:g}</text>'
        f'<text x="{right_edge}" y="{words}" text-anchor="end" {label}>{right:g}</text></svg>'
    ).encode()


def content(uow: UnitOfWork, picture_id: int) -> tuple[int, str, bytes] | None:
    """(specimen, media type, bytes) of a picture there is something of to see, or None."""
    row = uow.s.get(RunPicture, (uow.tenant_id, picture_id))
    if row is None or not row.media:
        return None
    if row.media in ("points", "events"):
        return row.specimen_id, "image/svg+xml", svg(row.media, row.data, row.title)
    return row.specimen_id, row.media, row.data
