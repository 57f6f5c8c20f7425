"""A dry run in the background: past reports read by the changed catalog in slices; with progress, cancellable, goes on after a restart.

Which reports are read is frozen when it is asked for. Each slice is one event: what it found is added up in the row, and the next slice
is asked for in the same transaction, so a worker that dies goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import queries as autoverify
from cloud.modules.bench import queries as bench
from cloud.modules.catalog import queries as md
from cloud.modules.changes import service
from cloud.modules.changes.models import CatalogChange, CatalogTrial
from cloud.modules.changes.rules import SAMPLE, State, may_move
from common.errors import UserError
from common.say import say

SLICE = 50
SHOWN = 200
"""Differences kept with a trial; the count is of all."""
OPEN = ("queued", "running")
Rows = Sequence[tuple[int | None, dict[str, Any] | None]]


def start(uow: UnitOfWork, change_id: int, version: int | None = None, sample: int = SAMPLE) -> int:
    """Test a change over the last ``sample`` reports with its items; returns the trial. One at a time for a change."""
    row = service.load(uow, change_id, version)
    service.may(row, State.TESTED)
    busy = select(CatalogTrial.id).where(CatalogTrial.change_id == change_id, CatalogTrial.state.in_(OPEN))
    if uow.s.execute(busy).first() is not None:
        raise UserError("conflict", say("这项变更正在测试，请等待完成或先取消。"))
    rows = [(each["id"], each["after"]) for each in row.rows]
    return _queue(uow, row.kind, rows, row.items, sample, change_id)


def try_out(uow: UnitOfWork, kind: str, rows: Rows, items: Iterable[str], sample: int = SAMPLE) -> int:
    """Try rows nobody has proposed yet (the formula editor)."""
    return _queue(uow, kind, rows, items, sample, None)


def _queue(uow: UnitOfWork, kind: str, rows: Rows, items: Iterable[str], sample: int, change_id: int | None) -> int:
    known, codes = md.catalog(uow), list(items)
    with service.changed(uow, kind, rows) as after:
        ids = [
            after.items_by_code[code].id for code in codes if code in after.items_by_code and after.items_by_code[code].id in known.items
        ]
    # A rule of the autoverification names no item: it is tried on the reports of its section.
    sources = ids or (_of_section(known, rows) if service.kind_of(kind).group == "av" else [])
    tubes = bench.latest_told(uow, known, after, sources, sample) if sources else []
    trial = CatalogTrial(
        change_id=change_id,
        kind=kind,
        rows=[[target, values] for target, values in rows],
        items=ids,
        tubes=tubes,
        asked=sample,
        total=len(tubes),
        report=_empty(sample, service.waiting(uow, known, ids)),
        by_id=uow.actor.user_id,
        by_name=uow.actor.name,
        at=uow.now,
    )
    uow.s.add(trial)
    uow.s.flush()
    _next(uow, trial.id)
    return trial.id


def _of_section(known: md.Catalog, rows: Rows) -> list[int]:
    codes = {str(values.get("section") or "") for _, values in rows if values is not None}
    wanted = {known.sections_by_code[c].id for c in codes if c in known.sections_by_code}
    return [i.id for i in known.items.values() if not wanted or i.section_id in wanted]


def _empty(asked: int, waiting: dict[str, Any]) -> dict[str, Any]:
    counts = ("sample", "changed", "text", "flags", "critical", "av_judged", "av_held", "av_released")
    return {"asked": asked, **waiting, "differences": [], "av": [], **dict.fromkeys(counts, 0)}


def _next(uow: UnitOfWork, trial_id: int) -> None:
    uow.emit("catalog.trial", f"trial:{trial_id}", {"trial_id": trial_id})


def step(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``catalog.trial``: one slice. A cancelled or finished trial is left alone."""
    query = select(CatalogTrial).where(CatalogTrial.id == int(payload["trial_id"])).with_for_update()
    trial = uow.s.execute(query).scalar_one_or_none()
    if trial is None or trial.state not in OPEN:
        return
    tubes = [int(each) for each in trial.tubes[trial.done : trial.done + SLICE]]
    rows: Rows = [(target, values) for target, values in trial.rows]
    kind, items, report, done = trial.kind, [int(i) for i in trial.items], dict(trial.report), trial.done
    try:
        found = _slice(uow, kind, rows, items, tubes)
    except UserError as error:
        trial.state, trial.error, trial.finished_at = "failed", error.message, uow.now
        return
    _add(report, found)
    trial.report, trial.done, trial.state = report, done + len(tubes), "running"
    if trial.done < trial.total:
        _next(uow, trial.id)
    else:
        trial.state, trial.finished_at = "done", uow.now
        _passed(uow, trial)


def _slice(uow: UnitOfWork, kind: str, rows: Rows, items: Sequence[int], tubes: Sequence[int]) -> dict[str, Any]:
    known = md.catalog(uow)
    before = autoverify.would(uow, tubes)
    with service.changed(uow, kind, rows) as after:
        read, found = bench.reread(uow, known, after, items, tubes)
        then = autoverify.would(uow, tubes)
    numbers = bench.barcodes(uow, tubes)
    return service.summed(known, read, found) | autoverify.compared(before, then, numbers)


def _add(report: dict[str, Any], found: dict[str, Any]) -> None:
    for name in ("sample", "changed", "text", "flags", "critical", "av_judged", "av_held", "av_released"):
        report[name] = report.get(name, 0) + found[name]
    for name in ("differences", "av"):
        report[name] = [*report.get(name, ()), *found[name]][:SHOWN]


def _passed(uow: UnitOfWork, trial: CatalogTrial) -> None:
    """The report belongs to the change, if its content is still what was tried."""
    if trial.change_id is None:
        return
    row = uow.s.execute(select(CatalogChange).where(CatalogChange.id == trial.change_id).with_for_update()).scalar_one()
    if not may_move(State(row.state), State.TESTED):
        return
    service.tested(uow, row, dict(trial.report), trial.by_name)


def cancel(uow: UnitOfWork, trial_id: int) -> CatalogTrial:
    """Stop after the present slice."""
    query = select(CatalogTrial).where(CatalogTrial.id == trial_id).with_for_update()
    trial = uow.s.execute(query).scalar_one_or_none()
    if trial is None:
        raise UserError("not_found", say("该测试不存在，请刷新页面。"))
    if trial.state not in OPEN:
        raise UserError("conflict", say("该测试已经结束。"))
    trial.state, trial.finished_at = "cancelled", uow.now
    uow.audit("catalog_trial", trial_id, "cancel", after={"done": trial.done, "total": trial.total})
    return trial


def one(uow: UnitOfWork, trial_id: int) -> CatalogTrial | None:
    """A trial, or None."""
    return uow.s.get(CatalogTrial, (uow.tenant_id, trial_id))


def of_change(uow: UnitOfWork, change_id: int) -> CatalogTrial | None:
    """The newest trial of a change, or None."""
    query = select(CatalogTrial).where(CatalogTrial.change_id == change_id).order_by(CatalogTrial.id.desc()).limit(1)
    return uow.s.execute(query).scalar_one_or_none()
