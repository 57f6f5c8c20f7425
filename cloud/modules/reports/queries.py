"""Read-only looks at reports: the review queue, versions, what was released, who saw it. Nothing untold leaves ``released``."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import TextClause, select, text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as bench
from cloud.modules.catalog import queries as md
from cloud.modules.orders import queries as orders
from cloud.modules.platform import signing
from cloud.modules.reports import rules
from cloud.modules.reports.briefs import Brief as Brief
from cloud.modules.reports.briefs import Flagged as Flagged
from cloud.modules.reports.briefs import corrected as corrected
from cloud.modules.reports.briefs import count_corrected as count_corrected
from cloud.modules.reports.briefs import count_unread as count_unread
from cloud.modules.reports.briefs import of_patient as of_patient
from cloud.modules.reports.briefs import of_places as of_places
from cloud.modules.reports.follow import differences as differences
from cloud.modules.reports.models import ReportVersion
from cloud.modules.reports.rules import State
from cloud.web.principal import Principal

PAGE = 60
READ = rules.Perm.READ
"""The right to read told reports, for parts that other modules add to their pages."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A reviewed report that waits for its verifier."""

    id: int
    specimen_id: int
    barcode: str
    sample_no: str | None
    urgent: int
    name: str
    sex: str
    patient_no: str
    place: str
    tester_id: int | None
    tester: str
    tested_at: datetime
    n_tests: int
    n_abnormal: int
    n_critical: int
    n_alarm: int
    titles: str
    due: datetime | None = None
    partial: bool = False
    """Only a part was reviewed: it leaves as a preliminary report."""
    n_empty: int = 0
    reasons: tuple[tuple[rules.Needs, int], ...] = ()
    shut: bool = False

    @property
    def clean(self) -> bool:
        """Whether a batch may take it unseen: nothing about it needs an eye."""
        return not self.reasons and not self.partial and not self.shut


# Only what is still as reviewed: a tube whose values changed is back on the bench (its state says so). A part that was reviewed waits
# while the rest of its tube is on the bench; of a preliminary report whose rest was cancelled the tube has nothing open.
_QUEUE = """
SELECT r.id, r.specimen_id, b.barcode, b.sample_no, r.urgent, p.name, p.sex, p.patient_no,
       coalesce(nullif(r.ward, ''), r.dept) AS place, r.tester_id, u.name AS tester, r.tested_at,
       b.n_tests, b.n_abnormal, b.n_critical, b.n_alarm,
       coalesce((SELECT string_agg(DISTINCT os.name, '、') FROM order_item oi
          JOIN order_set os ON os.tenant_id = oi.tenant_id AND os.id = oi.order_set_id
         WHERE oi.tenant_id = r.tenant_id AND oi.specimen_id = r.specimen_id), '') AS titles, d.due, r.partial,
       (SELECT count(*) FROM test x WHERE x.tenant_id = r.tenant_id AND x.specimen_id = r.specimen_id AND x.state = 'no_result') AS n_empty
FROM report r
JOIN bench_tube b ON b.tenant_id = r.tenant_id AND b.specimen_id = r.specimen_id
  AND (b.state = 'reviewed' OR r.partial OR (b.state = 'released' AND r.current_no > 0))
JOIN patient p ON p.tenant_id = r.tenant_id AND p.id = r.patient_id
LEFT JOIN app_user u ON u.tenant_id = r.tenant_id AND u.id = r.tester_id
CROSS JOIN LATERAL (
  SELECT b.received_at + min(os.tat_minutes) * interval '1 minute' AS due FROM order_item oi
  JOIN order_set os ON os.tenant_id = oi.tenant_id AND os.id = oi.order_set_id
  WHERE oi.tenant_id = r.tenant_id AND oi.specimen_id = r.specimen_id AND os.tat_minutes IS NOT NULL) d
WHERE r.tenant_id = :t AND r.section_id = :section AND r.state = 'tested' {where}
ORDER BY r.urgent DESC, d.due NULLS LAST, r.id LIMIT :n
"""


@functools.cache
def _queue_sql(where: str) -> TextClause:
    return text(_QUEUE.format(where=where))


def queue(uow: UnitOfWork, section_id: int, user_id: int, limit: int = PAGE) -> list[Waiting]:
    """A section's reports to verify, urgent first, then by the time they are due; each with what about it needs an eye."""
    return _waiting(uow, "", user_id, {"section": section_id, "n": limit})


def waiting(uow: UnitOfWork, section_id: int, specimen_id: int, user_id: int) -> Waiting | None:
    """The report of one tube, if it waits in this section's queue."""
    found = _waiting(uow, "AND r.specimen_id = :specimen", user_id, {"section": section_id, "n": 1, "specimen": specimen_id})
    return found[0] if found else None


def _waiting(uow: UnitOfWork, where: str, user_id: int, params: dict[str, Any]) -> list[Waiting]:
    out = []
    for row in uow.s.execute(_queue_sql(where), {"t": uow.tenant_id, **params}):
        look = rules.Look(row.n_abnormal, row.n_critical, row.n_alarm, row.tester_id == user_id, row.n_empty)
        out.append(replace(Waiting(*row), reasons=rules.batch_exceptions(look)))
    return out


def count_waiting(uow: UnitOfWork, section_ids: Sequence[int]) -> dict[int, int]:
    """How many of each section's reviewed reports nobody has released yet; a section without any is absent."""
    query = text("SELECT section_id, count(*) FROM report WHERE tenant_id = :t AND section_id = ANY(:s) AND state = 'tested' GROUP BY 1")
    return {row[0]: row[1] for row in uow.s.execute(query, {"t": uow.tenant_id, "s": list(section_ids)})}


def cochecks(uow: UnitOfWork, section_id: int) -> Sequence[Any]:
    """Reports of solo duty that wait for a second person, the most urgent first (AC-R-2)."""
    query = text("""
        SELECT r.id, r.no, r.cocheck_due, r.released_at, u.name AS verifier, r.tester_id, v.released_by FROM report r
        JOIN report_version v ON v.tenant_id = r.tenant_id AND v.report_id = r.id AND v.version_no = r.current_no
        LEFT JOIN app_user u ON u.tenant_id = r.tenant_id AND u.id = r.verifier_id
        WHERE r.tenant_id = :t AND r.section_id = :s AND r.cocheck_due IS NOT NULL AND r.cochecked_at IS NULL
          AND r.state NOT IN ('recalled','cancelled')
        ORDER BY r.cocheck_due LIMIT 100
    """)
    return uow.s.execute(query, {"t": uow.tenant_id, "s": section_id}).all()


# --- one report -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """One version of a told report. ``document`` is empty for a recalled one: its values are nobody's any more."""

    report_id: int
    no: str
    state: State
    section_id: int
    patient_id: int
    specimen_id: int
    dept: str
    ward: str
    version_no: int
    current_no: int
    version_state: rules.VersionState
    document: Mapping[str, Any]
    content_sha256: str
    pdf_key: str | None
    pdf_sha256: str | None
    render_error: str | None
    reason_class: str | None
    reason_text: str | None
    released_at: datetime
    hidden: int = 0
    """Sensitive lines left out, because the reader may not see them."""
    preliminary: bool = False
    """预报告: a part, the rest follows."""
    recall: tuple[datetime, str, str] | None = None
    """When, by whom and why the version was withdrawn; why is empty for who may not see the items it may speak of."""
    withdrawn: Mapping[int, bool] = field(default_factory=dict)
    """Of a recalled version, its items: id → sensitive when it was told."""

    @property
    def recalled(self) -> bool:
        """Whether the report must not be used."""
        return self.state in (State.RECALLED, State.CANCELLED) or self.version_state is rules.VersionState.RECALLED

    @property
    def lines(self) -> Sequence[Mapping[str, Any]]:
        """The result lines as data."""
        found: Sequence[Mapping[str, Any]] = self.document.get("lines", ())
        return found

    @property
    def subject(self) -> Mapping[str, Any]:
        """Patient, visit and tube as they were."""
        found: Mapping[str, Any] = self.document.get("subject", {})
        return found

    @property
    def collected_at(self) -> datetime | None:
        """When the tube was drawn."""
        found = self.subject.get("collected_at")
        return None if found is None else datetime.fromisoformat(found)

    @property
    def received_at(self) -> datetime | None:
        """When the laboratory took the tube in."""
        found = self.sheet.get("received_at")
        return datetime.fromisoformat(found) if found else None

    @property
    def sheet(self) -> Mapping[str, Any]:
        """What was printed."""
        found: Mapping[str, Any] = self.document.get("print", {})
        return found


_TUBES_OF = text("SELECT specimen_id FROM report WHERE tenant_id = :t AND id = ANY(:ids)")
_OPEN_PARTS = text("SELECT specimen_id FROM report WHERE tenant_id = :t AND specimen_id = ANY(:ids) AND state = 'preliminary'")
_DOCUMENT = text("""
SELECT document, content_sha256, pdf_sha256 FROM report_version WHERE tenant_id = :t AND report_id = :r AND version_no = :n
""")


def tubes_of(uow: UnitOfWork, report_ids: Sequence[int]) -> list[int]:
    """The tubes of reports."""
    return list(uow.s.execute(_TUBES_OF, {"t": uow.tenant_id, "ids": list(report_ids)}).scalars())


def open_parts(uow: UnitOfWork, specimen_ids: Sequence[int]) -> set[int]:
    """Of these tubes, those of which a part is told and the rest waits to be reviewed."""
    return set(uow.s.execute(_OPEN_PARTS, {"t": uow.tenant_id, "ids": list(specimen_ids)}).scalars()) if specimen_ids else set()


def without_sensitive(told: Told, items: Mapping[int, md.ItemRow]) -> Told:
    """The version without what is sensitive now or was when it was told (M01 R8): lines, printed rows, remarks and changes."""
    if any(was or (known := items.get(i)) is not None and known.sensitive for i, was in told.withdrawn.items()):
        return replace(told, recall=None if told.recall is None else (*told.recall[:2], ""))
    sheet = told.sheet
    names = {r["name"] for r in sheet.get("rows", ()) if r.get("sensitive")}
    names |= {line["name"] for line in told.lines if line["item_id"] in items and items[line["item_id"]].sensitive}
    if not names:
        return told
    amendment = sheet.get("amendment")
    if amendment:
        open_to = [c for c in amendment["changes"] if not any(n in f"{c['item']} {c['before']} {c['after']}" for n in names)]
        amendment = {**amendment, "changes": open_to}
    kept = {
        **sheet,
        "rows": [r for r in sheet.get("rows", ()) if r["name"] not in names],
        "comments": [c for c in sheet.get("comments", ()) if not any(n in c for n in names)],
        "amendment": amendment,
    }
    lines = [line for line in told.lines if line["name"] not in names]
    # Somebody who sees only a part of the remark must not save it.
    remark = "" if any(n in told.document.get("remark", "") for n in names) else told.document.get("remark", "")
    return replace(told, document={**told.document, "print": kept, "lines": lines, "remark": remark}, hidden=len(told.lines) - len(lines))


@functools.cache
def _told_sql(which: str) -> TextClause:
    return text(f"{_TOLD} AND {which}")


_TOLD = """
SELECT r.id AS report_id, r.no, r.state, r.section_id, r.patient_id, r.specimen_id, r.dept, r.ward, r.current_no, v.version_no,
       v.state AS version_state, v.document, v.content_sha256, v.pdf_key, v.pdf_sha256, v.render_error, v.reason_class, v.reason_text,
       v.released_at, v.preliminary, v.recalled_at, v.recalled_by, v.recall_reason
FROM report r JOIN report_version v ON v.tenant_id = r.tenant_id AND v.report_id = r.id
WHERE r.tenant_id = :t
"""


def released(
    uow: UnitOfWork, no: str | None = None, version_no: int | None = None, report_id: int | None = None, inside: bool = False
) -> Told | None:
    """A told report by number or id, its current version or another; None for what was never told (AC: untold id → 404).

    ``inside``: the laboratory itself needs a recalled report's values, to amend it; nobody else gets them.
    """
    which = "r.id = :id" if no is None else "r.no = :no"
    query = _told_sql(f"{which} AND v.version_no = {'r.current_no' if version_no is None else ':version'}")
    row = uow.s.execute(query, {"t": uow.tenant_id, "no": no, "id": report_id, "version": version_no}).one_or_none()
    return None if row is None else _told(row, inside)


def of_barcode(uow: UnitOfWork, barcode: str) -> Told | None:
    """The told report of a tube by its barcode, its current version."""
    tube = "(SELECT b.specimen_id FROM bench_tube b WHERE b.tenant_id = :t AND b.barcode = :code)"
    query = _told_sql(f"r.no IS NOT NULL AND r.specimen_id = {tube} AND v.version_no = r.current_no")
    row = uow.s.execute(query, {"t": uow.tenant_id, "code": barcode}).one_or_none()
    return None if row is None else _told(row)


def current(uow: UnitOfWork, report_ids: Sequence[int]) -> list[Told]:
    """The current versions of told reports in one question, in the order asked."""
    query = _told_sql("r.id = ANY(:ids) AND v.version_no = r.current_no")
    rows = uow.s.execute(query, {"t": uow.tenant_id, "ids": list(report_ids)}) if report_ids else ()
    found = {r.report_id: _told(r) for r in rows}
    return [found[i] for i in report_ids if i in found]


def versions(uow: UnitOfWork, no: str) -> list[Told]:
    """All versions of a told report, newest first."""
    query = _told_sql("r.no = :no ORDER BY v.version_no DESC")
    return [_told(r) for r in uow.s.execute(query, {"t": uow.tenant_id, "no": no})]


def _told(r: Any, inside: bool = False) -> Told:
    recalled = State(r.state) in (State.RECALLED, State.CANCELLED) or r.version_state == rules.VersionState.RECALLED
    hidden = recalled and not inside
    private = {row["name"] for row in r.document.get("print", {}).get("rows", ()) if row.get("sensitive")} if hidden else set()
    return Told(
        report_id=r.report_id,
        no=r.no or "",
        state=State(r.state),
        section_id=r.section_id,
        patient_id=r.patient_id,
        specimen_id=r.specimen_id,
        dept=r.dept,
        ward=r.ward,
        version_no=r.version_no,
        current_no=r.current_no,
        version_state=rules.VersionState(r.version_state),
        document={"subject": r.document.get("subject", {})} if hidden else r.document,
        content_sha256=r.content_sha256,
        pdf_key=None if hidden else r.pdf_key,
        pdf_sha256=r.pdf_sha256,
        render_error=r.render_error,
        reason_class=r.reason_class,
        reason_text=r.reason_text,
        released_at=r.released_at,
        preliminary=r.preliminary,
        recall=None if r.recalled_at is None else (r.recalled_at, r.recalled_by, r.recall_reason),
        withdrawn={line["item_id"]: line["name"] in private for line in r.document.get("lines", ())} if hidden else {},
    )


def for_rendering(uow: UnitOfWork, report_id: int, version_no: int) -> tuple[Mapping[str, Any], str, str | None] | None:
    """(document, content hash, stored PDF's hash) of one version, whatever became of the report since."""
    # Two handlers of one event ask, one after the other: the last answer is kept for the second.
    key, kept = (report_id, version_no), uow.s.info.get("for_rendering")
    if kept is None or kept[0] != key:
        row = uow.s.execute(_DOCUMENT, {"t": uow.tenant_id, "r": report_id, "n": version_no}).one_or_none()
        kept = uow.s.info["for_rendering"] = (key, None if row is None else (row.document, row.content_sha256, row.pdf_sha256))
    found: tuple[Mapping[str, Any], str, str | None] | None = kept[1]
    return found


def signature_holds(uow: UnitOfWork, report_id: int, version_no: int) -> bool:
    """Whether the stored document is byte for byte what was signed, and the signature is the signer's (SR12)."""
    version = uow.s.execute(
        select(ReportVersion.document, ReportVersion.content_sha256).where(
            ReportVersion.report_id == report_id, ReportVersion.version_no == version_no
        )
    ).one_or_none()
    if version is None or signing.content_hash(version.document) != version.content_sha256:
        return False
    return signing.signed(uow, "report", report_id, version.content_sha256)


def views(uow: UnitOfWork, report_id: int) -> Sequence[Any]:
    """Who saw or printed a report, first look first (AC-CL-1)."""
    query = text("""
        SELECT v.viewer, v.user_id, v.version_no, v.kind, min(v.at) AS first_at, count(*) AS times FROM report_view v
        WHERE v.tenant_id = :t AND v.report_id = :r GROUP BY v.viewer, v.user_id, v.version_no, v.kind ORDER BY min(v.at)
    """)
    return uow.s.execute(query, {"t": uow.tenant_id, "r": report_id}).all()


def notices(uow: UnitOfWork, report_id: int) -> Sequence[Any]:
    """Who had to be told of a newer version, and when each took note (R4)."""
    query = text("""
        SELECT n.version_no, u.name, n.at, n.read_at, n.told_by, n.told_note, n.kind FROM report_notice n
        JOIN app_user u ON u.tenant_id = n.tenant_id AND u.id = n.user_id
        WHERE n.tenant_id = :t AND n.report_id = :r ORDER BY n.version_no DESC, u.name LIMIT 200
    """)
    return uow.s.execute(query, {"t": uow.tenant_id, "r": report_id}).all()


# --- for readers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """A told report in the laboratory's own list."""

    id: int
    no: str
    state: str
    current_no: int
    name: str
    patient_no: str
    barcode: str
    section: str
    place: str
    urgent: int
    n_abnormal: int
    n_critical: int
    released_at: datetime
    verifier: str | None
    """Who signed the version that stands: of an amended one not who verified the first."""
    rendered: bool
    preliminary: bool
    specimen_id: int
    shut: bool = False


_FOUND = """
SELECT r.id, r.no, r.state, r.current_no, p.name, p.patient_no, sp.barcode, se.name AS section,
       coalesce(nullif(r.ward, ''), r.dept) AS place, r.urgent,
       r.n_abnormal, r.n_critical, r.released_at, u.name AS verifier, v.pdf_key IS NOT NULL AS rendered, v.preliminary, r.specimen_id
FROM report r
JOIN patient p ON p.tenant_id = r.tenant_id AND p.id = r.patient_id
JOIN specimen sp ON sp.tenant_id = r.tenant_id AND sp.id = r.specimen_id
JOIN section se ON se.tenant_id = r.tenant_id AND se.id = r.section_id
JOIN report_version v ON v.tenant_id = r.tenant_id AND v.report_id = r.id AND v.version_no = r.current_no
LEFT JOIN app_user u ON u.tenant_id = v.tenant_id AND u.id = v.released_by
WHERE r.tenant_id = :t AND r.released_at IS NOT NULL AND r.section_id = ANY(:sections) AND {where}
ORDER BY r.id DESC LIMIT :n
"""


# Three look-ups by an index each: an OR over three tables would read them all.
_BY_WORD = f"""r.id IN (
  SELECT x.id FROM report x WHERE x.tenant_id = :t AND x.no = :q
  UNION SELECT x.id FROM specimen y JOIN report x ON x.tenant_id = y.tenant_id AND x.specimen_id = y.id
        WHERE y.tenant_id = :t AND y.barcode = :q
  UNION SELECT x.id FROM {orders.BY_NUMBER_SQL} y JOIN report x ON x.tenant_id = :t AND x.patient_id = y.id
)"""


def search(uow: UnitOfWork, asked: str, section_ids: Sequence[int], before: int | None = None, limit: int = PAGE) -> list[Found]:
    """Told reports by number, barcode or patient number (of a merged record too: M03 R7), newest first; without a word the latest ones."""
    where = ["TRUE"]
    if before is not None:
        where.append("r.id < :before")
    if asked:
        where.append(_BY_WORD)
    params = {"t": uow.tenant_id, "sections": list(section_ids), "q": asked.upper(), "code": asked, "before": before, "n": limit}
    return [Found(*row) for row in uow.s.execute(text(_FOUND.format(where=" AND ".join(where))), params)]


# --- what of a list is shut to a person -----------------------------------------------------------------------------------

_Line = TypeVar("_Line", Waiting, Brief, Found)


def veiled(uow: UnitOfWork, who: Principal, rows: Sequence[_Line]) -> list[_Line]:
    """The lines as this person may read them (M01 R8): where a sensitive item is shut, neither its request's name nor any count."""
    shut = bench.shut_tubes(uow, who, [r.specimen_id for r in rows])
    known = md.catalog(uow)
    return [_veil(known, r) if r.specimen_id in shut else r for r in rows]


def _veil(known: md.Catalog, row: _Line) -> _Line:
    if isinstance(row, Found):
        return replace(row, n_abnormal=0, n_critical=0, shut=True)
    [names] = known.without_sensitive([row.titles])
    if isinstance(row, Brief):
        return replace(row, titles=names, n_abnormal=0, n_critical=0, shut=True)
    return replace(row, titles=names, n_abnormal=0, n_critical=0, n_alarm=0, n_empty=0, reasons=(), shut=True)
