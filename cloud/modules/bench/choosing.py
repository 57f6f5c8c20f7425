"""Deciding what holds a tube: of two differing values the one that counts, of values nobody disputes all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cloud.db.session import UnitOfWork
from cloud.modules.bench import measure
from cloud.modules.bench.consequences import reactive
from cloud.modules.bench.opening import fresh, must_be_open, open_test, open_tube, save, settled, to
from cloud.modules.bench.record import Work
from cloud.modules.bench.rows import TestRow
from cloud.modules.bench.rules import TestState
from common import values
from common.errors import UserError
from common.say import say


@dataclass(frozen=True, slots=True)
class Choice:
    """Of a test's two values the one a person chose. ``version``: the test as it was shown."""

    test_id: int
    version: int
    chosen_id: int


def choose_version(uow: UnitOfWork, test_id: int, version: int, chosen_id: int, reason: str, may_decide: bool = True) -> None:
    """Of two differing values a person chooses the one that counts; the other stays in the history.

    ``may_decide``: the person may settle a rerun that differs too much, or a confirmation (R4); that needs a reason.
    """
    work, test = open_test(uow, test_id)
    before, detail = _choose(work, test, Choice(test_id, version, chosen_id), reason, may_decide)
    settled(work, test.specimen_id)
    save(work, "choose", detail, before=before, reason=reason.strip() or None)


def choose_versions(uow: UnitOfWork, specimen_id: int, choices: Sequence[Choice], reason: str, may_decide: bool = True) -> int:
    """The same for many tests of one tube, all or none; how many. Each was shown with both values and chosen by itself.

    UserErrors as ``choose_version``; invalid where nothing was chosen.
    """
    work, _ = open_tube(uow, specimen_id)
    mine = {t.id: t for t in work.tests.values()}
    if not choices:
        raise UserError("invalid", say("还没有选用任何结果：逐项按 1 或 2，再保存。"), field="chosen")
    if any(c.test_id not in mine for c in choices):
        raise UserError("not_found", say("有检验项目不属于这管标本，请刷新后重试。"))
    made = [_choose(work, mine[c.test_id], c, reason, may_decide) for c in choices]
    settled(work, specimen_id)
    save(work, "choose", {"items": [after for _, after in made]}, before=[before for before, _ in made], reason=reason.strip() or None)
    return len(made)


def _choose(work: Work, test: TestRow, choice: Choice, reason: str, may_decide: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Point the test at the chosen version in memory; (before, after) for the audit."""
    name = work.catalog.items[test.item_id].name
    must_be_open(test, name)
    fresh(test, choice.version, name)
    chosen = next((v for v in work.versions.get(test.id, ()) if v.id == choice.chosen_id), None)
    if chosen is None or choice.chosen_id not in (test.current_id, test.pending_id):
        raise UserError("not_found", say("{item} 没有这个待选的结果，请刷新后重试。", item=name))
    before, rerun = work.current.get(test.id), work.rerun_of(test)
    if test.pending_id is None and rerun is None:
        raise UserError("conflict", say("{item} 只有一个结果，没有可选用的另一个，请刷新后重试。", item=name))
    diluted = rerun is not None and before is not None and rerun.kind is measure.Kind.RERUN and choice.chosen_id == test.pending_id
    if diluted and rerun is not None and before is not None:
        first, second = (values.parse(v.known.reported_text) for v in (before, chosen))
        diluted = measure.completes(first, second, rerun.dilution)
        reason = reason.strip() or (f"按 1:{rerun.dilution:f} 稀释复查" if diluted else "")
    if rerun is not None and not may_decide and not diluted:
        raise UserError("conflict", say("{item} 的复查结果与首次相差较大或须确证，请由高年资或组长选用。", item=name))
    if rerun is not None and rerun.kind is measure.Kind.CONFIRM and reactive(work, test, chosen.id):
        raise UserError("conflict", say("{item} 仍有反应，首次报告不得报阳性：请选“报待复检并送确证”。", item=name))
    if rerun is not None and not reason.strip():
        raise UserError("invalid", say("选用 {item} 的复查结果请写明理由。", item=name), field="reason")
    if rerun is not None:
        rerun.settle(work.uow, "done", f"选用 {chosen.known.reported_text}：{reason.strip()}")
        test.notes = measure.without(test.notes, measure.NoteCode.CONFIRM)
    test.notes = measure.without(test.notes, measure.NoteCode.ANOTHER)
    to(test, TestState.RECEIVED)
    test.current_id, test.pending_id = choice.chosen_id, None
    work.current[test.id] = chosen
    old = None if before is None else before.known.reported_text
    return {"value": old}, {"item": name, "value": chosen.known.reported_text, "version_no": chosen.known.version_no}


def accept_holds(uow: UnitOfWork, specimen_id: int, revision: int) -> int:
    """Accept every held value of a tube that has no rival; returns how many. Rivals are chosen one by one."""
    work, _ = open_tube(uow, specimen_id, revision)
    accepted = []
    for test in work.tests.values():
        current, notes = work.current.get(test.id), measure.notes_from(test.notes)
        alone = test.pending_id is None and work.rerun_of(test) is None and not any(n.code in measure.NOT_BY_KEY for n in notes)
        if test.state == TestState.HELD and alone and current is not None and current.known.reported_text:
            to(test, TestState.RECEIVED)
            test.notes = [replace(n, settled=True).to_json() for n in notes]
            accepted.append(work.catalog.items[test.item_id].name)
    if accepted:
        settled(work, specimen_id)
        save(work, "accept", {"items": accepted})
    return len(accepted)


__all__ = ["Choice", "accept_holds", "choose_version", "choose_versions"]
