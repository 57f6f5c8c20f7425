"""The decisions behind each number of the board: one condition counts and lists, so a number and what it opens cannot differ."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify.case import Failure
from cloud.modules.autoverify.words import Said, together
from cloud.modules.catalog import queries as md
from cloud.reports.documents import Column, ListDocument

PAGE, EXPORT_MOST = 100, 5000
OUTCOMES = {"released": "自动发布", "partial": "部分发布", "held": "转人工"}
WOULD = {"released": "会自动发布", "partial": "会部分发布", "held": "会转人工"}
"""The same of a shadow, which does nothing: its report may still wait for people."""
SAMPLE = {"sampled": "随机抽查", "answered": "已抽查", "disagreed": "不同意"}
_SAMPLED = {"sampled": "d.audit", "answered": "d.audit_agrees IS NOT NULL", "disagreed": "d.audit_agrees = false"}
AGAINST = {
    "agree_release": "一致发布", "agree_part": "部分先发，一致", "agree_held": "一致拦截", "only_held": "只有规则拦截",
    "only_released": "只有规则放行", "rules_agree": "现行规则已发，一致", "rules_held": "现行规则已发，影子拦截", "waiting": "待人工",
}  # fmt: skip
# A report's state, where one that was only supplemented is as released: that is no error (M09 R4) and overrules nobody.
STOOD = """(CASE WHEN r.state = 'amended' AND NOT EXISTS (
  SELECT 1 FROM report_version e WHERE e.tenant_id = r.tenant_id AND e.report_id = r.id AND e.reason_class <> 'supplement')
  THEN 'released' ELSE r.state END)"""
_AS_IT_STOOD = f"{STOOD} = 'released' AND r.basis = d.basis"
_OVERRULED = f"r.state IN ('released','amended','recalled','cancelled') AND (r.basis <> d.basis OR {STOOD} <> 'released')"
# A shadow against what then happened: released by people as it stood, changed by them, or not (yet) told; a part against the values of its
# items alone. What the set in use let go nobody has looked at: it says nothing of what people would have done. Each decision counts once.
AGAINST_SQL = {
    "agree_release": f"d.outcome = 'released' AND {_AS_IT_STOOD} AND NOT r.auto",
    "only_held": f"d.outcome = 'held' AND {_AS_IT_STOOD} AND NOT r.auto",
    "agree_held": f"d.outcome = 'held' AND {_OVERRULED}",
    "only_released": f"(d.outcome = 'released' AND {_OVERRULED} OR d.outcome = 'partial' AND p.told AND NOT p.same)",
    "agree_part": "d.outcome = 'partial' AND p.told AND p.same AND NOT r.auto",
    "rules_agree": f"(r.auto AND (d.outcome = 'released' AND {_AS_IT_STOOD} OR d.outcome = 'partial' AND p.told AND p.same))",
    "rules_held": f"r.auto AND d.outcome = 'held' AND {_AS_IT_STOOD}",
    "waiting": """CASE WHEN d.outcome = 'partial' THEN NOT p.told
                       ELSE r.id IS NULL OR r.state IN ('draft','tested','preliminary') END""",
}
PART_TOLD = """LEFT JOIN LATERAL (
  SELECT bool_and(x.state IN ('released','amended','recalled')) AS told,
         bool_and(x.state = 'released' AND x.current_id = (e->>1)::bigint) AS same
  FROM jsonb_array_elements(d.part) e JOIN test x ON x.tenant_id = d.tenant_id AND x.id = (e->>0)::bigint) p ON true"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions: since when (or one hour), of which sections; one outcome, one reason, one item; ``unchanged``: held, and then
    released by people as it stood; ``sample``: of the audit sample (SAMPLE); ``shadow``: of this set as a shadow, ``against`` what people
    did (AGAINST)."""

    sections: Sequence[int]
    since: datetime
    hour: datetime | None = None
    outcome: str = ""
    category: int = -1
    code: str = ""
    item: str = ""
    unchanged: bool = False
    sample: str = ""
    shadow: int = 0
    against: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A decision as it stands in a list, its reasons in words. ``shut``: it has a sensitive item the reader may not see (M01 R8), so
    nothing is said of its values."""

    id: int
    at: datetime
    specimen_id: int
    barcode: str
    section: str
    outcome: str
    no: str
    said: tuple[Said, ...]
    audit_agrees: bool | None = None
    audit_note: str = ""
    shut: bool = False

    @property
    def audited(self) -> tuple[str, ...]:
        """What the second look of the audit sample said, for print."""
        return () if self.audit_agrees is None else (f"抽查：{'同意' if self.audit_agrees else '不同意'} {self.audit_note}".strip(),)


UNCHANGED = "d.outcome = 'held' AND r.state = 'released' AND NOT r.auto AND r.basis = d.basis"
_WHERE = f"""
FROM av_decision d
JOIN specimen sp ON sp.tenant_id = d.tenant_id AND sp.id = d.specimen_id
JOIN av_rule_set rs ON rs.tenant_id = d.tenant_id AND rs.id = d.rule_set_id
LEFT JOIN report r ON r.tenant_id = d.tenant_id AND r.specimen_id = d.specimen_id
{{join}}
WHERE d.tenant_id = :t AND d.shadow = (:shadow <> 0) AND (:shadow = 0 OR d.rule_set_id = :shadow)
  AND d.at >= :since AND d.at < :until AND d.section_id = ANY(:sections)
  AND (:outcome = '' OR d.outcome = :outcome)
  AND (:code = '' OR EXISTS (SELECT 1 FROM jsonb_array_elements(d.reasons) x WHERE (x->>0)::int = :category AND x->>1 = :code))
  AND (:item = '' OR EXISTS (SELECT 1 FROM jsonb_array_elements(d.reasons) x WHERE x->>2 = :item AND (x->>0)::int NOT IN (10, 11)))
  AND (NOT :unchanged OR ({UNCHANGED})) AND {{more}}
"""
_COUNT = f"SELECT count(*) {_WHERE}"
_ROWS = f"""
SELECT d.id, d.at, d.specimen_id, sp.barcode, d.section_id, d.outcome, coalesce(r.no, '') AS no, d.reasons, d.logic,
       rs.policy->'context' AS context, d.audit_agrees, d.audit_note {_WHERE}
  AND (:before = 0 OR d.id < :before) ORDER BY d.id DESC LIMIT :n
"""
# Which (sample, against) → what it adds to both statements.
_MORE = {("", ""): ("", "true"), **{(name, ""): ("", sql) for name, sql in _SAMPLED.items()}}
_MORE |= {("", name): (PART_TOLD, sql) for name, sql in AGAINST_SQL.items()}
_STATEMENTS = {key: tuple(text(s.format(join=join, more=more)) for s in (_COUNT, _ROWS)) for key, (join, more) in _MORE.items()}


def _params(uow: UnitOfWork, wanted: Wanted) -> dict[str, Any]:
    since = wanted.hour or wanted.since
    until = uow.now + timedelta(seconds=1) if wanted.hour is None else wanted.hour + timedelta(hours=1)
    named = {name: getattr(wanted, name) for name in ("outcome", "category", "code", "item", "unchanged", "shadow")}
    return {"t": uow.tenant_id, "since": since, "until": until, "sections": list(wanted.sections), **named}


def count(uow: UnitOfWork, wanted: Wanted) -> int:
    """How long the list is."""
    return int(uow.s.execute(_STATEMENTS[wanted.sample, wanted.against][0], _params(uow, wanted)).scalar_one())


def rows(uow: UnitOfWork, wanted: Wanted, before: int = 0, limit: int = PAGE) -> list[Row]:
    """A page of the list, newest first."""
    known = md.catalog(uow)
    names = {i.code: i.name for i in known.items.values()}
    return [
        Row(
            r.id,
            r.at,
            r.specimen_id,
            r.barcode,
            known.sections[r.section_id].name,
            r.outcome,
            r.no,
            together([Failure(*each) for each in r.reasons], names, _messages(r)),
            r.audit_agrees,
            r.audit_note,
        )
        for r in uow.s.execute(_STATEMENTS[wanted.sample, wanted.against][1], _params(uow, wanted) | {"before": before, "n": limit})
    ]


def _messages(row: Any) -> dict[str, str]:
    """Code of each expression of the set as it decided → its own words."""
    return {e["code"]: e.get("message", "") for e in (*row.logic, *(row.context or ()))}


def veiled(found: Sequence[Row], shut: Collection[int], wanted: Wanted) -> tuple[list[Row], int]:
    """The rows as somebody may read them to whom these tubes are shut, and how many are left out: a list of one reason or one item
    would say by their being there what stays unsaid."""
    if wanted.code or wanted.item or wanted.category >= 0:
        left = [r for r in found if r.specimen_id not in shut]
        return left, len(found) - len(left)
    return [replace(r, said=(), audit_note="", shut=True) if r.specimen_id in shut else r for r in found], 0


COLUMNS = (Column("时间", 2), Column("条码", 3), Column("专业组", 2), Column("判断", 2), Column("报告号", 3), Column("原因", 12))


def document(found: Sequence[Row], hospital: str, by: str, now: datetime, shadow: bool = False) -> ListDocument:
    """The list for paper or Excel; no patient is named in it."""
    words = WOULD if shadow else OUTCOMES
    return ListDocument(
        hospital=hospital,
        title="自动审核判断清单（影子运行）" if shadow else "自动审核判断清单",
        columns=COLUMNS,
        rows=tuple(
            (
                r.at.astimezone(md.HOSPITAL_ZONE).strftime("%m-%d %H:%M"),
                r.barcode,
                r.section,
                words[r.outcome],
                r.no,
                "含您不能查看的敏感项目" if r.shut else " ".join((*r.audited, *(s.zh for s in r.said))),
            )
            for r in found
        ),
        printed_at=now,
        printed_by=by,
        landscape=True,
    )
