"""The bench's reports (M07): causes of holds, distribution of the serum indices, log of reruns and dilutions. Read-only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench.followup import COUNTED
from cloud.modules.bench.measure import KIND_WORDS, Kind
from cloud.modules.bench.queries import Again
from cloud.modules.catalog import queries as md
from cloud.reports.documents import Column, ListDocument
from common.errors import UserError
from common.say import Said, say

LONGEST = 92
"""Days looked at in one go."""
PAGE = 200
CAUSES: dict[str, Said] = {
    "DIFFERENT": say("先后两个结果不同"),
    "RERUN": say("复查与首次并列"),
    "LATE": say("报告发布后又来结果"),
    "OVER_RANGE": say("超出测量范围"),
    "OVER_DILUTED": say("稀释过度"),
    "MAYBE_CRITICAL": say("可能为危急值"),
    "NOT_NUMERIC": say("应为数值"),
    "NO_VALUE": say("仪器报告无结果"),
    "CALC": say("无法计算"),
    "JUDGE": say("判断公式得不出结论"),
    "ID_MISMATCH": say("患者信息不一致"),
    "UNIT": say("仪器单位与通道设定不符"),
    "HIL": say("标本性状（指数）"),
    "HIL_REJECT": say("标本性状：不能报告"),
    "CONFIRM": say("待复检确证"),
}
BANDS = (0, 50, 100, 200, 300)
"""Lower bounds of the bands the indices are counted in (mg/dL or the analyzer's unit)."""


@dataclass(frozen=True, slots=True)
class Band:
    """An index's results from ``low`` on, below the next band."""

    low: int
    high: int | None
    n: int


@dataclass(frozen=True, slots=True)
class Found:
    """A section's figures of a span of days. ``total``: results that were given in it."""

    total: int
    held: Sequence[tuple[str, Said, int]]
    indices: Sequence[tuple[md.ItemRow, Sequence[Band], int]]
    wards: Sequence[Any]
    reruns: Sequence[Any]


_TOTAL = text("""
SELECT count(*) FROM result_version v JOIN test t ON t.tenant_id = v.tenant_id AND t.id = v.test_id
WHERE v.tenant_id = :t AND t.section_id = :s AND v.at >= :a AND v.at < :b
""")
# What the reading or the arrival held, and what stands beside the test (indices, confirmations); each result counts once a cause.
_CAUSES = """
SELECT h->>'code' AS code, v.id AS result_id, v.test_id, v.at FROM result_version v
JOIN test t ON t.tenant_id = v.tenant_id AND t.id = v.test_id, jsonb_array_elements(v.holds) AS h
WHERE v.tenant_id = :t AND t.section_id = :s AND v.at >= :a AND v.at < :b AND v.holds <> '[]'::jsonb
UNION
SELECT n->>'code', v.id, v.test_id, v.at FROM result_version v
JOIN test t ON t.tenant_id = v.tenant_id AND t.id = v.test_id AND t.current_id = v.id, jsonb_array_elements(t.notes) AS n
WHERE v.tenant_id = :t AND t.section_id = :s AND v.at >= :a AND v.at < :b AND t.notes <> '[]'::jsonb
  AND n->>'code' IN ('HIL','HIL_REJECT','CONFIRM')
"""
_HELD = text(f"SELECT code, count(*) AS n FROM ({_CAUSES}) c GROUP BY code ORDER BY n DESC, code")
_HELD_BY = text(f"""
SELECT c.at, b.barcode, b.specimen_id, p.name, i.name AS item, v.reported_text, v.raw_text, t.state
FROM ({_CAUSES}) c JOIN result_version v ON v.tenant_id = :t AND v.id = c.result_id
JOIN test t ON t.tenant_id = v.tenant_id AND t.id = v.test_id
JOIN bench_tube b ON b.tenant_id = t.tenant_id AND b.specimen_id = t.specimen_id
JOIN patient p ON p.tenant_id = b.tenant_id AND p.id = b.patient_id
JOIN test_item i ON i.tenant_id = t.tenant_id AND i.id = t.item_id
WHERE c.code = :code AND NOT i.sensitive ORDER BY c.at DESC, c.result_id DESC LIMIT :n OFFSET :start
""")
_WITHHELD = text(f"""
SELECT count(*) FROM ({_CAUSES}) c JOIN test t ON t.tenant_id = :t AND t.id = c.test_id
JOIN test_item i ON i.tenant_id = t.tenant_id AND i.id = t.item_id WHERE c.code = :code AND i.sensitive
""")
_INDEX = """
FROM result_version v JOIN test t ON t.tenant_id = v.tenant_id AND t.id = v.test_id AND t.current_id = v.id
WHERE v.tenant_id = :t AND t.section_id = :s AND v.item_id = ANY(:items) AND v.at >= :a AND v.at < :b AND v.value IS NOT NULL
"""
_BANDS = text(f"SELECT v.item_id, width_bucket(v.value, CAST(:bounds AS numeric[])) AS band, count(*) AS n {_INDEX} GROUP BY 1, 2")
_WARDS = text("""
SELECT x.item_id, x.ward, count(*) AS n, count(*) FILTER (WHERE x.value >= :limit) AS beyond FROM (
  SELECT v.item_id, v.value, coalesce(nullif(vi.ward, ''), nullif(vi.dept, ''), '—') AS ward
  FROM result_version v JOIN test t ON t.tenant_id = v.tenant_id AND t.id = v.test_id AND t.current_id = v.id
  JOIN specimen sp ON sp.tenant_id = t.tenant_id AND sp.id = t.specimen_id
  LEFT JOIN visit vi ON vi.tenant_id = sp.tenant_id AND vi.id = sp.visit_id
  WHERE v.tenant_id = :t AND t.section_id = :s AND v.item_id = :haemolysis AND v.at >= :a AND v.at < :b AND v.value IS NOT NULL) x
GROUP BY 1, 2 HAVING count(*) FILTER (WHERE x.value >= :limit) > 0 ORDER BY beyond DESC, x.ward LIMIT 10
""")
_INDEX_BY = text("""
SELECT v.at, b.barcode, b.specimen_id, p.name, i.name AS item, v.reported_text, v.raw_text, t.state
FROM result_version v JOIN test t ON t.tenant_id = v.tenant_id AND t.id = v.test_id AND t.current_id = v.id
JOIN test_item i ON i.tenant_id = t.tenant_id AND i.id = t.item_id AND i.code = :code
JOIN bench_tube b ON b.tenant_id = t.tenant_id AND b.specimen_id = t.specimen_id
JOIN patient p ON p.tenant_id = b.tenant_id AND p.id = b.patient_id
JOIN specimen sp ON sp.tenant_id = t.tenant_id AND sp.id = t.specimen_id
LEFT JOIN visit vi ON vi.tenant_id = sp.tenant_id AND vi.id = sp.visit_id
WHERE v.tenant_id = :t AND t.section_id = :s AND v.at >= :a AND v.at < :b AND v.value >= :low
  AND (CAST(:high AS integer) IS NULL OR v.value < :high)
  AND (:ward = '' OR coalesce(nullif(vi.ward, ''), nullif(vi.dept, ''), '—') = :ward) ORDER BY v.at DESC, v.id DESC LIMIT :n OFFSET :start
""")
_RERUNS = text(f"""
SELECT i.name AS item, f.kind, f.item_id, count(*) AS n,
       {", ".join(f"count(*) FILTER (WHERE {sql}) AS {name}" for name, sql in COUNTED.items() if name)}
FROM follow_up f JOIN test_item i ON i.tenant_id = f.tenant_id AND i.id = f.item_id
JOIN test t ON t.tenant_id = f.tenant_id AND t.id = f.test_id
WHERE f.tenant_id = :t AND f.section_id = :s AND f.asked_at >= :a AND f.asked_at < :b
GROUP BY i.name, f.kind, f.item_id ORDER BY n DESC, i.name LIMIT 60
""")
_LOG = text("""
SELECT f.asked_at, b.barcode, p.name, i.name AS item, f.kind, f.dilution, f.reason, f.asked_name, one.reported_text AS first,
       two.reported_text AS second, f.outcome, f.settled_name, f.settled_at
FROM follow_up f JOIN bench_tube b ON b.tenant_id = f.tenant_id AND b.specimen_id = f.specimen_id
JOIN patient p ON p.tenant_id = b.tenant_id AND p.id = b.patient_id
JOIN test_item i ON i.tenant_id = f.tenant_id AND i.id = f.item_id
LEFT JOIN result_version one ON one.tenant_id = f.tenant_id AND one.id = f.first_id
LEFT JOIN result_version two ON two.tenant_id = f.tenant_id AND two.id = f.second_id
WHERE f.tenant_id = :t AND f.section_id = :s AND f.asked_at >= :a AND f.asked_at < :b AND NOT i.sensitive
ORDER BY f.asked_at, f.id LIMIT :most
""")
_LOGGED = text("""
SELECT count(*) FILTER (WHERE i.sensitive) AS withheld, count(*) FILTER (WHERE NOT i.sensitive) AS others
FROM follow_up f JOIN test_item i ON i.tenant_id = f.tenant_id AND i.id = f.item_id
WHERE f.tenant_id = :t AND f.section_id = :s AND f.asked_at >= :a AND f.asked_at < :b
""")


def _params(uow: UnitOfWork, section_id: int, first: date, last: date) -> dict[str, Any]:
    zone = md.HOSPITAL_ZONE
    a, b = datetime.combine(first, time(), zone), datetime.combine(last + timedelta(days=1), time(), zone)
    return {"t": uow.tenant_id, "s": section_id, "a": a, "b": b}


def figures(uow: UnitOfWork, section_id: int, first: date, last: date) -> Found:
    """The three reports of a section for days from ``first`` to ``last``, both included; five statements."""
    given, catalog = _params(uow, section_id, first, last), md.catalog(uow)
    items = [i for i in catalog.items.values() if i.code.startswith(md.HIL_PREFIX)]
    held = [(r.code, CAUSES.get(r.code, say("{code}", code=r.code)), r.n) for r in uow.s.execute(_HELD, given)]
    bands = uow.s.execute(_BANDS, given | {"items": [i.id for i in items], "bounds": list(BANDS)}).all() if items else []
    haemolysis = next((i.id for i in items if i.code == f"{md.HIL_PREFIX}H"), 0)
    wards = uow.s.execute(_WARDS, given | {"haemolysis": haemolysis, "limit": BANDS[1]}).all() if haemolysis else []
    counted = {(r.item_id, r.band): r.n for r in bands}
    indices = []
    for item in items:
        found = [Band(low, BANDS[k + 1] if k + 1 < len(BANDS) else None, counted.get((item.id, k + 1), 0)) for k, low in enumerate(BANDS)]
        if any(b.n for b in found):
            indices.append((item, found, sum(b.n for b in found)))
    total = int(uow.s.execute(_TOTAL, given).scalar_one())
    return Found(total, held, indices, wards, uow.s.execute(_RERUNS, given).all())


def held_by(uow: UnitOfWork, section_id: int, first: date, last: date, cause: str, start: int = 0) -> Sequence[Any]:
    """The results one cause held, the newest first, a page from ``start`` on; sensitive items are left out."""
    return uow.s.execute(_HELD_BY, _params(uow, section_id, first, last) | {"code": cause, "n": PAGE, "start": start}).all()


def withheld(uow: UnitOfWork, section_id: int, first: date, last: date, cause: str) -> int:
    """How many results of sensitive items a cause held: they are in its number and not on its list."""
    return int(uow.s.execute(_WITHHELD, _params(uow, section_id, first, last) | {"code": cause}).scalar_one())


def index_by(
    uow: UnitOfWork, section_id: int, first: date, last: date, code: str, low: int, high: int | None, ward: str = "", start: int = 0
) -> Sequence[Any]:
    """The tubes whose serum index lies in a band, maybe of one ward; the newest first, a page from ``start`` on."""
    given = {"code": code if code.startswith(md.HIL_PREFIX) else "", "low": low, "high": high, "ward": ward, "n": PAGE, "start": start}
    return uow.s.execute(_INDEX_BY, _params(uow, section_id, first, last) | given).all()


def document(uow: UnitOfWork, what: str, section: md.SectionRow, first: date, last: date, hospital: str, by: str) -> ListDocument:
    """One of the reports as a list: held, hil or rerun. UserError invalid for another word."""
    made = {"held": _held_document, "hil": _hil_document, "rerun": _log_document}.get(what)
    if made is None:
        raise UserError("invalid", say("请选择要导出的报表。"), field="what")
    title, columns, rows, wide, notes = made(uow, section.id, first, last)
    return ListDocument(hospital, f"{section.name}{title}", columns, rows, uow.now, by, f"{first} 至 {last}", wide, notes)


LOG_HEADS = (("时间", 2), ("条码", 3), ("患者", 2), ("项目", 3), ("类别", 2), ("首次", 2), ("复查", 2), ("原因", 4), ("结局", 5))
Made = tuple[str, tuple[Column, ...], tuple[tuple[str, ...], ...], bool, tuple[str, ...]]


def _held_document(uow: UnitOfWork, section_id: int, first: date, last: date) -> Made:
    found = figures(uow, section_id, first, last)
    rows = tuple((str(words), str(n), _share(n, found.total)) for _, words, n in found.held)
    return "待处理原因", (Column("原因", 8), Column("结果数", 2, "right"), Column("占全部结果", 2, "right")), rows, False, ()


def _hil_document(uow: UnitOfWork, section_id: int, first: date, last: date) -> Made:
    found = figures(uow, section_id, first, last)
    rows = tuple(
        (item.name, f"{b.low}–{b.high}" if b.high is not None else f"≥{b.low}", str(b.n), _share(b.n, n))
        for item, bands, n in found.indices
        for b in bands
    )
    return "血清指数分布", (Column("指数", 4), Column("范围", 3), Column("标本数", 2, "right"), Column("占比", 2, "right")), rows, False, ()


def _log_document(uow: UnitOfWork, section_id: int, first: date, last: date) -> Made:
    given = _params(uow, section_id, first, last)
    there = uow.s.execute(_LOGGED, given).one()
    notes = [f"{there.withheld} 条敏感项目的记录未列出。"] if there.withheld else []
    if there.others > EXPORT_MOST:
        notes.append(f"共 {there.others} 条，只列最早的 {EXPORT_MOST} 条；请缩短日期范围。")
    rows = tuple(
        (
            _at(r.asked_at),
            r.barcode,
            r.name,
            r.item,
            _kind(Kind(r.kind), r.dilution),
            r.first or "",
            r.second or "",
            r.reason,
            f"{r.outcome} {r.settled_name} {_at(r.settled_at)}".strip(),
        )
        for r in uow.s.execute(_LOG, given | {"most": EXPORT_MOST})
    )
    return "复查与稀释记录", tuple(Column(word, weight) for word, weight in LOG_HEADS), rows, True, tuple(notes)


def _at(when: datetime | None) -> str:
    return "" if when is None else when.astimezone(md.HOSPITAL_ZONE).strftime("%m-%d %H:%M")


def _kind(kind: Kind, dilution: Decimal) -> str:
    return f"{KIND_WORDS[kind]}{'' if dilution == 1 else f' 1:{dilution:f}'}"


EXPORT_MOST = 5000
STATE_WORDS = {"asked": "等待", "back": "待选用", "refused": "待决定"}


def log_list(found: Sequence[Again], section: md.SectionRow, hospital: str, by: str, now: datetime) -> ListDocument:
    """Reruns, dilutions and added items as the page lists them, for paper or Excel."""
    rows = tuple(
        (
            _at(a.row.asked_at), a.barcode, a.name, a.item, _kind(a.row.kind, a.row.dilution),
            a.first.reported_text if a.first and a.row.again else "", a.second.reported_text if a.second else "", a.row.reason,
            a.row.asked_name if a.row.asked_by is not None else "系统",
            " ".join(x for x in (STATE_WORDS.get(a.row.state, ""), a.row.outcome, a.row.settled_name) if x),
        )
        for a in found
    )  # fmt: skip
    heads = (*LOG_HEADS[:8], ("申请", 2), ("结局", 5))
    return ListDocument(hospital, f"{section.name}复查与加做", tuple(Column(w, n) for w, n in heads), rows, now, by, landscape=True)


def _share(n: int, total: int) -> str:
    return f"{100 * n / total:.1f}%" if total else "—"


__all__ = ["BANDS", "CAUSES", "LONGEST", "Band", "Found", "document", "figures", "held_by", "index_by", "withheld"]
