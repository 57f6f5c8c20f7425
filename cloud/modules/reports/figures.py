"""Lists of reports that a laboratory counts (M09 Reports): released, overdue, amended by reason, recalled, looked at a second time.

Each figure is the length of its list: the same condition counts and lists, so that a number and what it opens cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.reports.queries import Found
from cloud.modules.reports.rules import REASON_WORDS, Reason
from cloud.reports.documents import Column, ListDocument
from cloud.web.span import Span
from common.say import Said, say

ZONE = ZoneInfo("Asia/Shanghai")
PAGE = 100
EXPORT_MOST = 5000


class Figure(StrEnum):
    """What is counted."""

    RELEASED = "released"
    OVERDUE = "overdue"
    PRELIMINARY = "preliminary"
    AMENDED = "amended"
    RECALLED = "recalled"
    COCHECK = "cocheck"
    PENDING = "pending"


FIGURE_WORDS: dict[Figure, Said] = {
    Figure.RELEASED: say("已发布"),
    Figure.OVERDUE: say("超时发布"),
    Figure.PRELIMINARY: say("预报告"),
    Figure.AMENDED: say("修改报告"),
    Figure.RECALLED: say("召回报告"),
    Figure.COCHECK: say("单人值班发布"),
    Figure.PENDING: say("其中尚未复核"),
}
_TAT = """(SELECT min(os.tat_minutes) FROM order_item oi JOIN order_set os ON os.tenant_id = oi.tenant_id AND os.id = oi.order_set_id
           WHERE oi.tenant_id = r.tenant_id AND oi.specimen_id = r.specimen_id)"""
_TOOK = "v.released_at - sp.received_at"
_LEAST = "(SELECT min(os.tat_minutes) FROM order_set os WHERE os.tenant_id = :t)"
# The first final version: a preliminary report is none, an amendment has a reason.
_FIRST = "NOT v.preliminary AND v.reason_class IS NULL AND v.released_at >= :start AND v.released_at < :end"
_WHERE = {
    Figure.RELEASED: _FIRST,
    # The shortest limit of the house is asked first: most reports are within it, and their own need not be looked up.
    Figure.OVERDUE: f"{_FIRST} AND {_TOOK} > {_LEAST} * interval '1 minute' AND {_TOOK} > {_TAT} * interval '1 minute'",
    Figure.PRELIMINARY: "v.preliminary AND v.reason_class IS NULL AND v.released_at >= :start AND v.released_at < :end",
    Figure.AMENDED: "v.reason_class IS NOT NULL AND v.released_at >= :start AND v.released_at < :end"
    " AND (:reason = '' OR v.reason_class = :reason)",
    # By the day of the recall, also where a corrected version was told since. Recalled before that was kept: the day of its release.
    Figure.RECALLED: "v.state = 'recalled' AND ((v.recalled_at >= :start AND v.recalled_at < :end)"
    " OR (v.recalled_at IS NULL AND v.released_at >= :start AND v.released_at < :end))",
    Figure.COCHECK: f"{_FIRST} AND r.cocheck_due IS NOT NULL",
    Figure.PENDING: f"{_FIRST} AND r.cocheck_due IS NOT NULL AND r.cochecked_at IS NULL AND r.state NOT IN ('recalled', 'cancelled')",
}
_FROM = """
FROM report_version v
JOIN report r ON r.tenant_id = v.tenant_id AND r.id = v.report_id
JOIN specimen sp ON sp.tenant_id = r.tenant_id AND sp.id = r.specimen_id
WHERE v.tenant_id = :t AND r.section_id = ANY(:sections) AND {where}
"""
_LIST = """
SELECT v.id, r.no, v.version_no, v.state, p.name, p.patient_no, sp.barcode, coalesce(nullif(r.ward, ''), r.dept) AS place,
       sp.received_at, v.released_at, {tat} AS tat,
       coalesce(v.reason_class, '') AS reason_class, coalesce(v.reason_text, '') AS reason_text,
       coalesce(u.name, '') AS by, r.cocheck_due, r.cochecked_at, coalesce(cu.name, '') AS checker,
       v.recalled_at, v.recalled_by, v.recall_reason
FROM report_version v
JOIN report r ON r.tenant_id = v.tenant_id AND r.id = v.report_id
JOIN specimen sp ON sp.tenant_id = r.tenant_id AND sp.id = r.specimen_id
JOIN patient p ON p.tenant_id = r.tenant_id AND p.id = r.patient_id
LEFT JOIN app_user u ON u.tenant_id = v.tenant_id AND u.id = v.released_by
LEFT JOIN app_user cu ON cu.tenant_id = r.tenant_id AND cu.id = r.cochecked_by
WHERE v.tenant_id = :t AND r.section_id = ANY(:sections) AND (:before = 0 OR v.id < :before) AND {where}
ORDER BY v.id DESC LIMIT :n
"""


# All that is counted by the day of the release is read once.
_BY_RELEASE = tuple(f for f in Figure if f is not Figure.RECALLED)
_COUNTS = text(
    f"SELECT {', '.join(f'count(*) FILTER (WHERE {_WHERE[f]})' for f in _BY_RELEASE)}"
    + _FROM.format(where="v.released_at >= :start AND v.released_at < :end")
)


@dataclass(frozen=True)
class Wanted:
    """Which days (local, both included), which sections, which figure, and for amendments which class of reason."""

    first: date
    last: date
    sections: Sequence[int]
    figure: Figure = Figure.RELEASED
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """A line of a list."""

    id: int
    no: str
    version_no: int
    state: str
    name: str
    patient_no: str
    barcode: str
    place: str
    received_at: datetime | None
    released_at: datetime
    tat: int | None
    reason_class: str
    reason_text: str
    by: str
    cocheck_due: datetime | None
    cochecked_at: datetime | None
    checker: str
    recalled_at: datetime | None
    recalled_by: str
    recall_reason: str

    @property
    def minutes(self) -> int | None:
        """From receipt to release."""
        return None if self.received_at is None else int((self.released_at - self.received_at) / timedelta(minutes=1))


def _params(uow: UnitOfWork, wanted: Wanted) -> dict[str, object]:
    days = Span(wanted.first, wanted.last)
    return {"t": uow.tenant_id, "start": days.start, "end": days.end, "sections": list(wanted.sections), "reason": wanted.reason}


def counts(uow: UnitOfWork, wanted: Wanted) -> dict[Figure, int]:
    """How long each list is."""
    params = _params(uow, wanted) | {"reason": ""}
    found = dict(zip(_BY_RELEASE, uow.s.execute(_COUNTS, params).one(), strict=True))
    recalled = uow.s.execute(text("SELECT count(*)" + _FROM.format(where=_WHERE[Figure.RECALLED])), params).scalar_one()
    return {f: recalled if f is Figure.RECALLED else found[f] for f in Figure}


def by_reason(uow: UnitOfWork, wanted: Wanted) -> dict[Reason, int]:
    """Amendments by class of reason (feeds indicator 13; a supplement is not an error)."""
    query = text("SELECT v.reason_class, count(*)" + _FROM.format(where=_WHERE[Figure.AMENDED]) + " GROUP BY v.reason_class")
    found = {row[0]: row[1] for row in uow.s.execute(query, _params(uow, wanted) | {"reason": ""})}
    return {reason: found.get(reason.value, 0) for reason in Reason}


def rows(uow: UnitOfWork, wanted: Wanted, before: int = 0, limit: int = PAGE) -> list[Row]:
    """A page of the list, newest first."""
    query = text(_LIST.format(where=_WHERE[wanted.figure], tat=_TAT))
    return [Row(*row) for row in uow.s.execute(query, _params(uow, wanted) | {"before": before, "n": limit})]


COLUMNS = (
    Column("报告号", 4), Column("版本", 1, "center"), Column("患者", 3), Column("病历号", 3), Column("科室", 3), Column("接收", 3),
    Column("发布", 3), Column("用时/时限 (分)", 3, "right"), Column("发布者", 3), Column("原因 / 复核", 5),
)  # fmt: skip


def document(found: Sequence[Row], wanted: Wanted, hospital: str, by: str, now: datetime) -> ListDocument:
    """The list for paper or Excel."""
    return ListDocument(
        hospital=hospital,
        title=f"报告统计：{FIGURE_WORDS[wanted.figure]}",
        subtitle=f"{wanted.first} 至 {wanted.last}",
        columns=COLUMNS,
        rows=tuple(
            (
                r.no,
                f"V{r.version_no}",
                r.name,
                r.patient_no,
                r.place,
                _time(r.received_at),
                _time(r.released_at),
                f"{'' if r.minutes is None else r.minutes} / {'—' if r.tat is None else r.tat}",
                r.by,
                _why(r),
            )
            for r in found
        ),
        printed_at=now,
        printed_by=by,
        landscape=True,
    )


FOUND = (
    Column("报告号", 4), Column("版本", 1, "center"), Column("患者", 3), Column("病历号", 3), Column("条码", 3), Column("专业组", 3),
    Column("科室", 3), Column("提示", 3), Column("审核", 3), Column("发布", 3),
)  # fmt: skip


def search_document(found: Sequence[Found], asked: str, hospital: str, by: str, now: datetime) -> ListDocument:
    """What a search found, for paper or Excel."""

    def sign(r: Found) -> str:
        told = "已召回" if r.state == "recalled" else "预报告" if r.preliminary else ""
        counts = (f"危{r.n_critical}" if r.n_critical else "", f"异常{r.n_abnormal}" if r.n_abnormal else "", "敏感项目" if r.shut else "")
        return " ".join(word for word in (told, *counts) if word)

    lines = (
        (
            r.no, f"V{r.current_no}", r.name, r.patient_no, r.barcode, r.section, r.place, sign(r), r.verifier or "", _time(r.released_at),
        )
        for r in found
    )  # fmt: skip
    title = f"报告查询：{asked}" if asked else "报告查询"
    return ListDocument(hospital, title, FOUND, tuple(lines), now, by, landscape=True)


def _why(r: Row) -> str:
    if r.recall_reason:
        return f"召回 {_time(r.recalled_at)} {r.recalled_by}：{r.recall_reason}"
    if r.reason_class:
        return f"{REASON_WORDS[Reason(r.reason_class)]}：{r.reason_text}"
    if r.cocheck_due is not None:
        return f"已复核 {r.checker} {_time(r.cochecked_at)}" if r.cochecked_at else f"待复核，期限 {_time(r.cocheck_due)}"
    return ""


def _time(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(ZONE).strftime("%m-%d %H:%M")
