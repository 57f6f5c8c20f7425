"""What issuing a report version takes, whatever the reason: lock, number, freeze, sign, tell."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, text

from cloud.db import kept
from cloud.db.arrays import literal
from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.bench.queries import Detail, TestLine
from cloud.modules.bench.service import TestState
from cloud.modules.platform import signing
from cloud.modules.reports import document, infectious, rules
from cloud.modules.reports.models import Report, ReportVersion
from cloud.modules.reports.rules import State, VersionState
from cloud.web.principal import Principal
from common import ids
from common.errors import UserError
from common.say import say

ZONE = ZoneInfo("Asia/Shanghai")


def details(
    uow: UnitOfWork, work: bench.Work, specimen_ids: Sequence[int], tests: Mapping[int, list[TestLine]] | None = None
) -> dict[int, Detail]:
    """``tests``: those of the tubes, where they were read under their locks already."""
    tests = bench_queries.tests_of(uow, specimen_ids) if tests is None else tests
    requests = bench_queries.requests_of(uow, specimen_ids)
    prints = bench_queries.printed(uow, specimen_ids)
    ages = {i: bench_queries.age_text(work.tubes[i], uow.now) for i in specimen_ids}
    return {i: Detail(work.tubes[i], ages[i], "", 0, tests[i], requests.get(i, []), prints=prints.get(i, [])) for i in specimen_ids}


_COUNT = text("""
INSERT INTO report_counter (tenant_id, day, last) VALUES (:t, :d, :n)
ON CONFLICT (tenant_id, day) DO UPDATE SET last = report_counter.last + :n
RETURNING last, (SELECT site FROM tenant WHERE id = :t) AS site
""")


def numbers(uow: UnitOfWork, n: int) -> list[str]:
    """The next report numbers of the local day; the counter's row is the queue."""
    day = uow.now.astimezone(ZONE).date()
    last, site = uow.s.execute(_COUNT, {"t": uow.tenant_id, "d": day, "n": n}).one()
    return [ids.report_number(site, day, k) for k in range(last - n + 1, last + 1)]


def number(uow: UnitOfWork, reports: Sequence[Report]) -> None:
    """Count each report's next version; one that was never told gets its number."""
    fresh = [r for r in reports if r.no is None]
    for report, no in zip(fresh, numbers(uow, len(fresh)) if fresh else [], strict=True):
        report.no = no
    for report in reports:
        report.current_no += 1


def tell_released(uow: UnitOfWork, report: Report, detail: Detail, part: Collection[int] | None) -> None:
    """The event of the version just released: of the whole, or of a part."""
    if part is None:
        tell(uow, "report.released", report)
    else:
        tell_part(uow, report, detail, part)


def tell_part(uow: UnitOfWork, report: Report, detail: Detail, part: Collection[int]) -> None:
    """``report.preliminary``, with the request lines of which something is told."""
    lines = sorted({t.order_item_id for t in detail.tests if t.id in part and t.order_item_id is not None})
    tell(uow, "report.preliminary", report, order_item_ids=lines)


_FREEZE = text("""
INSERT INTO report_version (tenant_id, report_id, version_no, state, preliminary, document, content_sha256, template_version,
                            released_at, released_by, reason_class, reason_text)
SELECT :t, v.report, v.no, :state, v.preliminary, v.document::jsonb, v.content, v.template, :now, v.by, :reason, :why
FROM unnest(CAST(:report AS bigint[]), CAST(:no AS int[]), CAST(:preliminary AS boolean[]), CAST(:document AS text[]),
            CAST(:content AS text[]), CAST(:template AS text[]), CAST(:by AS bigint[]))
     AS v(report, no, preliminary, document, content, template, by)
""")


def freeze(uow: UnitOfWork, report: Report, made: dict[str, Any], by: int, reason: str | None = None, why: str | None = None) -> str:
    """Keep the document of the current version as it is told, and what it says of notifiable diseases; returns its hash."""
    return freeze_all(uow, [(report, made, by)], reason, why)[0]


def freeze_all(
    uow: UnitOfWork, told: Sequence[tuple[Report, dict[str, Any], int]], reason: str | None = None, why: str | None = None
) -> list[str]:
    """``freeze`` for many reports, each with its document and who tells it, in one statement; their hashes in that order."""
    contents = [signing.content_hash(made) for _, made, _ in told]
    values = {
        "t": uow.tenant_id,
        "report": literal(report.id for report, _, _ in told),
        "no": literal(report.current_no for report, _, _ in told),
        "state": VersionState.CURRENT.value,
        "preliminary": literal(document.is_preliminary(made) for _, made, _ in told),
        "document": literal(json.dumps(made, ensure_ascii=False) for _, made, _ in told),
        "content": literal(contents),
        "template": literal(str(made["template"]) for _, made, _ in told),
        "now": uow.now,
        "by": literal(by for _, _, by in told),
        "reason": reason,
        "why": why,
    }
    uow.s.execute(_FREEZE, values)
    for report, made, _ in told:
        infectious.note(uow, report, made)
    return contents


def sign(uow: UnitOfWork, meaning: str, hashes: Sequence[tuple[int, str]], who: Principal, window: str, signer: signing.Signer) -> None:
    signing.sign(uow, signing.Act("report", meaning, who.user_id, window), hashes, signer)


def tell(uow: UnitOfWork, topic: str, report: Report, **more: Any) -> None:
    payload = {"report_id": report.id, "version_no": report.current_no, "specimen_id": report.specimen_id}
    uow.emit(topic, str(report.no), payload | more)
    uow.notify("report", {"id": report.id, "section_id": report.section_id})


_SPECIMENS = text("SELECT id, specimen_id FROM report WHERE tenant_id = :t AND id = ANY(:ids)")
_NAMES = text("SELECT id, name FROM app_user WHERE tenant_id = :t AND id = ANY(:i)")


def specimens_of(uow: UnitOfWork, report_ids: Sequence[int]) -> dict[int, int]:
    found = {r.id: r.specimen_id for r in uow.s.execute(_SPECIMENS, {"t": uow.tenant_id, "ids": list(report_ids)})}
    if len(found) != len(report_ids) or not found:
        raise UserError("not_found", say("报告不存在，请刷新后重试。"))
    return found


def specimen_of(uow: UnitOfWork, report_id: int) -> int:
    return specimens_of(uow, [report_id])[report_id]


def lock(uow: UnitOfWork, report_ids: Sequence[int]) -> list[Report]:
    found = kept.locked(uow.s, Report, report_ids)
    if len(found) != len(report_ids):
        raise UserError("not_found", say("报告不存在，请刷新后重试。"))
    return found


_SUPERSEDE = text("""
UPDATE report_version SET state = 'superseded'
WHERE tenant_id = :t AND (report_id, version_no) IN (SELECT * FROM unnest(CAST(:r AS bigint[]), CAST(:n AS int[]))) AND state = 'current'
""")


def supersede(uow: UnitOfWork, reports: Iterable[Report]) -> None:
    """What was told before (a preliminary report) is replaced by the version that is about to be told; what was recalled stays so."""
    told = [(r.id, r.current_no) for r in reports if r.current_no > 0]
    if told:
        uow.s.execute(_SUPERSEDE, {"t": uow.tenant_id, "r": [i for i, _ in told], "n": [n for _, n in told]})


_REMARKS = text("""
SELECT report_id, document->>'remark' AS remark FROM report_version WHERE tenant_id = :t AND document ? 'remark'
  AND (report_id, version_no) IN (SELECT * FROM unnest(CAST(:r AS bigint[]), CAST(:n AS int[])))
""")


def remarks(uow: UnitOfWork, reports: Iterable[Report]) -> dict[int, str]:
    """What an amended part said in words: the version about to be told (numbered already) keeps it."""
    told = [(r.id, r.current_no - 1) for r in reports if r.current_no > 1]
    given = {"t": uow.tenant_id, "r": [i for i, _ in told], "n": [n for _, n in told]}
    return {r.report_id: r.remark for r in uow.s.execute(_REMARKS, given)} if told else {}


def count_told(report: Report, detail: Detail, part: Collection[int] | None) -> None:
    """How many of the told values are remarkable: readers' lists say no more than the report does."""
    shown = [t.current for t in detail.tests if t.current is not None and t.state is not TestState.CANCELLED and not t.index]
    if part is not None:
        shown = [t.current for t in detail.tests if t.current is not None and t.id in part]
    report.n_abnormal, report.n_critical = sum(bool(c.flag) or c.critical for c in shown), sum(c.critical for c in shown)


def version_of(uow: UnitOfWork, report_id: int, version_no: int) -> ReportVersion:
    query = select(ReportVersion).where(ReportVersion.report_id == report_id, ReportVersion.version_no == version_no).with_for_update()
    return uow.s.execute(query).scalar_one()


def move(report: Report, to: State) -> None:
    state = State(report.state)
    if not rules.may_move(state, to):
        raise UserError("conflict", say("报告目前为“{state}”，不能改为“{to}”。", state=rules.WORDS[state], to=rules.WORDS[to]))
    report.state = to.value


def names_of(uow: UnitOfWork, user_ids: Iterable[int]) -> dict[int, str]:
    return {r.id: r.name for r in uow.s.execute(_NAMES, {"t": uow.tenant_id, "i": list(user_ids)})}
