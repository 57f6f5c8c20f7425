"""初审 of many tubes at once (M07 R9): what may go together and what must be looked at first, each with its reason, before anything moves.

It stands here and not on the bench, because a tube that a rule held is one of the exceptions.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import queries
from cloud.modules.autoverify.rules import BatchLook, batch_exceptions
from cloud.modules.autoverify.words import Said as Told
from cloud.modules.bench import queries as bench
from cloud.modules.platform import glass
from cloud.modules.reports import service as reports
from cloud.web.principal import Principal
from common.errors import UserError
from common.say import Listed, Said, say

MOST = 100
"""Tubes of one batch: as many as a person reads before one key."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tube with all its values. ``why``: what must be looked at first; nothing: it may go with the batch."""

    detail: bench.Detail
    revision: int
    why: tuple[Said, ...]
    told: tuple[Told, ...] = ()
    """What the section's rules said, where they held it."""

    @property
    def unplanned(self) -> int:
        """Items without a quality control plan: they may go, and it is said that nothing stands behind them."""
        return sum(1 for t in self.detail.tests if (g := self.detail.gates.get(t.id)) is not None and g.unplanned)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a batch would do. ``more``: tubes beyond this batch's size, not judged yet."""

    ready: Sequence[Candidate]
    exceptions: Sequence[Candidate]
    more: int


def preview(uow: UnitOfWork, who: Principal, section_id: int) -> Preview:
    """A section's whole tubes, urgent first, judged; a few statements for all of them. Nothing is locked, nothing moves."""
    lines = bench.whole(uow, section_id, MOST + 1)
    details = bench.details_of(uow, [line.specimen_id for line in lines[:MOST]], gates=True)
    held, due = queries.held_by(uow, details), queries.waiting(uow, details)
    found = [
        _judged(uow, who, details[line.specimen_id], line, held.get(line.specimen_id, ()), due)
        for line in lines[:MOST]
        if line.specimen_id in details
    ]
    total = bench.open_counts(uow, [section_id])[section_id].ready
    return Preview([c for c in found if not c.why], [c for c in found if c.why], max(0, total - len(found)))


def _judged(
    uow: UnitOfWork, who: Principal, detail: bench.Detail, line: bench.Line, told: tuple[Told, ...], due: Collection[int]
) -> Candidate:
    shut = any(t.item.sensitive for t in detail.tests) and not glass.may_see_sensitive(uow, who, detail.tube.patient_id)
    if shut:  # neither its values nor how many of them are abnormal
        return Candidate(detail, line.revision, batch_exceptions(BatchLook(hidden=True)))
    look = BatchLook(
        held=line.state == "held",
        critical=line.n_critical,
        abnormal=line.n_abnormal - line.n_critical,
        alarms=line.n_alarm,
        qc=tuple(t.item.name for t in detail.tests if (g := detail.gates.get(t.id)) is not None and not g.open),
        bypassed=tuple(t.item.name for t in detail.tests if (g := detail.gates.get(t.id)) is not None and g.bypassed),
        fed=any(each.fed for each in detail.requests),
        contradictions=tuple(c.text for c in bench.contradictions(detail)),
        caveat=detail.tube.caveat,
        issues=len(detail.tube.issues),
        rules=len(told),
        deciding=detail.tube.specimen_id in due,
    )
    return Candidate(detail, line.revision, batch_exceptions(look), told)


def review(uow: UnitOfWork, who: Principal, section_id: int, chosen: Sequence[tuple[int, int]]) -> int:
    """初审 of (tube, revision as shown), all or none; how many. UserErrors: invalid (nothing, too many); conflict naming each tube that
    changed since it was shown or is an exception by now."""
    if not chosen:
        raise UserError("invalid", say("请先勾选要初审的标本。"), field="tube")
    if len(chosen) > MOST:
        raise UserError("invalid", say("一次最多初审 {n} 管，请分次提交。", n=MOST), field="tube")
    now = {c.detail.tube.specimen_id: c for c in preview(uow, who, section_id).ready}
    changed = [i for i, _ in chosen if i not in now]
    if changed:
        names = bench.barcodes(uow, changed)
        raise UserError("conflict", say("没有初审任何标本：{tubes} 在您查看之后有变化，请刷新后核对。", tubes=sorted(names.values())[:5]))
    problems: list[Said] = []
    for specimen_id, revision in sorted(chosen):
        try:
            reports.review(uow, specimen_id, revision, who)
        except UserError as error:
            if error.code not in ("stale", "conflict"):
                raise
            problems.append(error.message if isinstance(error.message, Said) else say("{why}", why=error.message))
    if problems:
        raise UserError("conflict", say("没有初审任何标本：{problems}", problems=Listed(problems[:5], "；")))
    return len(chosen)


__all__ = ["MOST", "Candidate", "Preview", "preview", "review"]
