"""The verbs of the bench: expect, record, enter, choose, accept, review, send back. Each locks the tube first (one order everywhere)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import arrival_rules, facts, measure, opening, rows, rules
from cloud.modules.bench.arrival_rules import Incoming, Outcome, Recorded, answers_rerun
from cloud.modules.bench.calculate import exact
from cloud.modules.bench.choosing import Choice, accept_holds, choose_version, choose_versions
from cloud.modules.bench.consequences import settle
from cloud.modules.bench.corrected import awaited
from cloud.modules.bench.expect import expect_tests
from cloud.modules.bench.messages import Entry
from cloud.modules.bench.opening import fresh, must_be_open, open_test, open_tube, review_item, save, store, to
from cloud.modules.bench.past import last_told
from cloud.modules.bench.pictures import Drawn, keep_pictures
from cloud.modules.bench.reading import Reading
from cloud.modules.bench.record import Work, record_results
from cloud.modules.bench.rerun import (
    add_reflex,
    reflex_added,
    reflex_by_rule,
    reflex_refused,
    request_rerun,
    rerun_by_rule,
    say_beside,
    withdraw,
)
from cloud.modules.bench.rows import NewVersion, TestRow
from cloud.modules.bench.rules import TOLD_STATES, Hold, TestState
from cloud.modules.bench.telling import amend, clear, judged_otherwise, lock_reported, lock_to_tell, release, retell
from cloud.modules.catalog import queries as md
from common import values
from common.errors import UserError
from common.say import say

# --- a person's value -----------------------------------------------------------------------------------------------


def enter_result(uow: UnitOfWork, entry: Entry) -> bool:
    """Write a typed value as a new version. False: nothing changed, nothing written.

    UserErrors: not_found; conflict (cancelled, told); stale (another value came meanwhile); invalid (``field`` says which to fill).
    """
    work, test = open_test(uow, entry.test_id)
    reading = _judge_entry(work, test, entry, _lasts(work, [test]))
    if reading is None:
        return False
    _write_entries(work, [(test, reading, entry)])
    store(work, [test.specimen_id])
    return True


@dataclass(frozen=True, slots=True)
class Entered:
    """What became of the values typed for one tube: the tests written, and for others the one more answer that is needed."""

    work: Work
    specimen_id: int
    written: list[int]
    asked: dict[int, UserError]

    @property
    def contradictions(self) -> list[measure.Contradiction]:
        """Values of the tube that cannot all be right (R8): its review needs a reason."""
        return opening.contradictions(self.work, self.specimen_id)

    @property
    def review_problem(self) -> str | None:
        """Why the tube cannot be reviewed as it stands now."""
        return rules.review_problem([review_item(self.work, t) for t in self.work.tests.values()])

    def keep(self) -> None:
        """Write the tests and the tube back."""
        if self.written:
            store(self.work, [self.specimen_id])


def enter_tube(uow: UnitOfWork, specimen_id: int, entries: Sequence[Entry], revision: int | None = None) -> Entered:
    """Write all values typed for a tube in one go. A value that needs an answer first is in ``asked`` and not written, the others are.

    The caller ends with ``keep`` or with ``review`` of the same work; ``revision``: the tube as it was shown to who reviews.
    UserErrors as ``enter_result``: a stale or told test refuses the whole, and nothing is written.
    """
    work, _ = open_tube(uow, specimen_id, revision)
    mine = {t.id: t for t in work.tests.values()}
    if any(e.test_id not in mine for e in entries):
        raise UserError("not_found", say("有检验项目不属于这管标本，请刷新后重试。"))
    lasts = _lasts(work, [mine[e.test_id] for e in entries])
    ready, asked = [], dict[int, UserError]()
    for entry in entries:
        try:
            reading = _judge_entry(work, mine[entry.test_id], entry, lasts)
        except UserError as error:
            if error.code != "invalid":
                raise
            asked[entry.test_id] = error
            continue
        if reading is not None:
            ready.append((mine[entry.test_id], reading, entry))
    if ready:
        _write_entries(work, ready)
    return Entered(work, specimen_id, [test.id for test, _, _ in ready], asked)


def enter_differential(uow: UnitOfWork, specimen_id: int, counts: Mapping[int, tuple[int, int]], nrbc: int | None = None) -> list[str]:
    """Write a manual differential (R7): test id → (cells counted, version shown); the names of the items written.

    The count must be 100 or 200. ``nrbc``: nucleated red cells beside 100 white ones; then the tube's white cell count is corrected, and
    the value before stays in its history. UserErrors: invalid, stale, conflict.
    """
    work, _ = open_tube(uow, specimen_id)
    mine = {t.id: t for t in work.tests.values()}
    names = {i: work.catalog.items[mine[i].item_id].name for i in counts if i in mine}
    if len(names) != len(counts):
        raise UserError("not_found", say("有检验项目不属于这管标本，请刷新后重试。"))
    shares = measure.differential({names[i]: n for i, (n, _) in counts.items()})
    why = f"人工镜检分类 {sum(n for n, _ in counts.values())} 个细胞"
    entries = [Entry(i, version, f"{shares[names[i]]:f}", reason=why, sure=True) for i, (_, version) in counts.items()]
    entries += _corrected(work, specimen_id, nrbc)
    ready, written = [], []
    for entry in entries:
        # Counted by a person from the slide: a critical share was not mistyped, so it is not asked for twice.
        reading = _judge_entry(work, mine[entry.test_id], replace(entry, again=entry.text), {})
        if reading is not None:
            ready.append((mine[entry.test_id], reading, entry))
            written.append(reading.name)
    if ready:
        _write_entries(work, ready)
        store(work, [specimen_id])
    return written


_BEFORE = re.compile(r"^有核红细胞 \d+/100 校正，校正前 (?P<count>[0-9.]+)$")


def _corrected(work: Work, specimen_id: int, nrbc: int | None) -> list[Entry]:
    """The white cells without the nucleated red ones, from what was counted: a slide counted twice must not correct them twice."""
    if nrbc is None:
        return []
    item = work.catalog.items_by_code.get("WBC")
    test = None if item is None else work.tests.get((specimen_id, item.id))
    current = None if test is None else work.current.get(test.id)
    counted = None if test is None or current is None else exact(work, test)
    if test is None or current is None or counted is None or counted.number is None or counted.comparator:
        raise UserError(
            "conflict", say("这管标本没有确切的白细胞计数，不能做有核红细胞校正。请先出白细胞结果，或不填有核红细胞。"), field="nrbc"
        )
    query = text("SELECT reason FROM result_version WHERE tenant_id = :t AND id = :i")
    before = _BEFORE.match(work.uow.s.execute(query, {"t": work.uow.tenant_id, "i": current.id}).scalar_one())
    number = counted.number if before is None else Decimal(before["count"])
    if before is None and nrbc == 0:
        return []
    told = measure.corrected_wbc(number, Decimal(nrbc))
    return [Entry(test.id, test.version, f"{told:f}", reason=f"有核红细胞 {nrbc}/100 校正，校正前 {number:f}", sure=True)]


def _lasts(work: Work, tests: Sequence[TestRow]) -> dict[int, Decimal | None]:
    """Item → the patient's last told number, in one question for all."""
    if not tests:
        return {}
    patient = work.tubes[tests[0].specimen_id].patient_id
    return last_told(work.uow, patient, [t.item_id for t in tests])


def _judge_entry(work: Work, test: TestRow, entry: Entry, lasts: Mapping[int, Decimal | None]) -> Reading | None:
    """The reading to write, or None when it says what stands there already."""
    item = work.catalog.items[test.item_id]
    must_be_open(test, item.name)
    current = work.current.get(test.id)
    if test.version != entry.version:
        theirs = current.known.reported_text if current is not None else rules.STATE_WORDS[TestState(test.state)]
        raise UserError(
            "stale",
            say(
                "您打开之后，{item} 已由他人或仪器改为 {theirs}。您输入的 {text} 没有保存，请核对后再保存。",
                item=item.name,
                theirs=theirs,
                text=entry.text,
            ),
        )
    _not_a_barcode(work.uow, entry.text, item.name)
    raw, dilution = measure.typed_dilution(entry.text) if item.result_type == "numeric" else (entry.text, Decimal(1))
    raw, value = _typed(item, raw)
    reading = work.reader.read(test.item_id, None, raw, work.tubes[test.specimen_id], dilution=dilution)
    reading = replace(reading, raw_text=entry.text.strip())
    rerun = work.rerun_of(test)
    same = current is not None and arrival_rules.equal_value(current.known, reading.reported_text, reading.unit)
    if same and rerun is None and test.state != TestState.HELD:
        return None
    told = None if value.number is None else value.number * dilution
    hint = None if told is None or entry.sure else rules.unit_slip(told, lasts.get(test.item_id))
    if hint is not None:
        raise UserError("invalid", say("{item}：{hint}", item=item.name, hint=hint), field="sure")
    interfaced = work.catalog.interfaced(item.id)
    why = rules.typed_twice(reading.critical, bool(item.notifiable), interfaced, double_entry(work.catalog))
    if why is not None and entry.again.strip() != entry.text.strip():
        text = say("{item} {value} {why}，请再输入一次同样的结果确认。", item=item.name, value=reading.reported_text, why=why)
        raise UserError("invalid", text, field="again")
    if current is not None and rerun is None and not entry.reason.strip():
        raise UserError(
            "invalid", say("{item} 已有结果 {value}，更改请写明原因。", item=item.name, value=current.known.reported_text), field="reason"
        )
    return replace(reading, holds=tuple(h for h in reading.holds if h.code != "NOT_NUMERIC"))


def _typed(item: md.ItemRow, entered: str) -> tuple[str, values.Value]:
    """What a person typed for an item as it is kept: without its unit, a qualitative one as its list writes it. UserError invalid."""
    raw = measure.without_unit(entered, item.unit, item.name) if item.result_type == "numeric" else entered
    value = values.require(raw, item.result_type, item.name, item.choices)
    return (value.text if item.choices and item.result_type in values.LISTED else raw.strip()), value


def _write_entries(work: Work, ready: Sequence[tuple[TestRow, Reading, Entry]]) -> None:
    """Versions in one statement, the tests pointed at them, an audit entry each; a tube that has all its values now is told on."""
    uow, new = work.uow, []
    for test, reading, entry in ready:
        no = max((v.known.version_no for v in work.versions.get(test.id, ())), default=0) + 1
        patient, who = work.tubes[test.specimen_id].patient_id, uow.actor.user_id
        made = NewVersion(test, no, patient, "manual", reading, uow.now, holds=reading.holds, entered_by=who, reason=entry.reason.strip())
        new.append(made)
    rows.insert_versions(uow, new)
    for version in new:
        test, before = version.test, work.current.get(version.test.id)
        _count(work, test, version)
        old = None if before is None else before.known.reported_text
        after = {"item": version.reading.name, "value": version.reading.reported_text}
        uow.audit("specimen", test.specimen_id, "bench:enter", before={"value": old}, after=after, reason=version.reason or None)
    new += settle(work, [new[0].test.specimen_id])
    work.alert(new)
    specimen_id = new[0].test.specimen_id
    if work.sums(specimen_id).state not in (rules.TubeState.WAITING.value, rules.TubeState.PARTIAL.value):
        payload = {"specimen_id": specimen_id, "test_ids": [v.test.id for v in new]}
        uow.emit("result.received", work.tubes[specimen_id].barcode, payload)


def _count(work: Work, test: TestRow, version: NewVersion) -> None:
    """A typed value counts; where a rerun is open and there is a first value, it stands beside that until somebody chooses."""
    rerun, first = work.rerun_of(test), work.current.get(test.id)
    test.dirty = True
    if rerun is not None and first is not None and first.known.reported_text:
        rerun.state, rerun.second_id, rerun.dirty = "back", version.id, True
        waited, test.pending_id, test.state = test.pending_id, version.id, TestState.HELD.value
        work.out_of_sight(test, waited)
        return
    if rerun is not None:
        rerun.second_id = version.id
        rerun.settle(work.uow, "done", f"首次无结果，采用 {version.reading.reported_text}")
    test.current_id, test.pending_id = version.id, None
    test.notes = measure.without(test.notes, measure.NoteCode.ANOTHER)
    test.state = (TestState.HELD if version.reading.holds else TestState.RECEIVED).value
    work.current[test.id] = version


def _not_a_barcode(uow: UnitOfWork, typed: str, item: str) -> None:
    if facts.is_barcode(uow, typed):
        raise UserError(
            "invalid", say("{text} 是标本条码，不是 {item} 的结果。没有保存，请重新录入。", text=typed.strip(), item=item), field="value"
        )


def double_entry(catalog: md.Catalog) -> rules.Twice:
    """The hospital's choice of what is typed twice; without one as the specification says."""
    chosen = str(catalog.setting("bench", "double_entry", rules.Twice.ALL.value))
    return rules.Twice(chosen) if chosen in tuple(rules.Twice) else rules.Twice.ALL


def check_entry(uow: UnitOfWork, item_id: int, entered: str) -> str:
    """The text as it is kept. Refuses what cannot be a value of the item (UserError invalid, naming it)."""
    item = md.catalog(uow).items[item_id]
    _not_a_barcode(uow, entered, item.name)
    return _typed(item, entered)[0]


def set_no_result(uow: UnitOfWork, test_id: int, version: int, reason: str) -> None:
    """Say that there will be no result, and why; the reason stands on the report."""
    work, test = open_test(uow, test_id)
    name = _none(work, test, version, reason.strip())
    save(work, "no_result", {"item": name}, reason=reason.strip())


def set_no_results(uow: UnitOfWork, specimen_id: int, shown: Mapping[int, int], reason: str) -> int:
    """The same of several tests of a tube (test → version as shown), all or none: an analyzer that read nothing of a strip; how many."""
    work, _ = open_tube(uow, specimen_id)
    mine = {t.id: t for t in work.tests.values()}
    if not shown or any(i not in mine for i in shown):
        raise UserError("not_found", say("有检验项目不属于这管标本，请刷新后重试。"))
    names = [_none(work, mine[i], version, reason.strip()) for i, version in shown.items()]
    save(work, "no_result", {"items": names}, reason=reason.strip())
    return len(names)


def _none(work: Work, test: TestRow, version: int, reason: str) -> str:
    """In memory, with its reason and what was open on top of it; the item's name."""
    uow, name = work.uow, work.catalog.items[test.item_id].name
    must_be_open(test, name)
    fresh(test, version, name)
    if not reason:
        raise UserError("invalid", say("{item} 登记“无结果”须写明原因，例如：标本量不足。", item=name), field="reason")
    to(test, TestState.NO_RESULT)
    test.current_id, test.pending_id, test.notes = None, None, []
    work.current.pop(test.id, None)
    for follow in work.follow.get(test.specimen_id, ()):
        if follow.test_id == test.id and follow.open:
            follow.settle(uow, "cancelled", f"登记无结果：{reason}")
    query = text("UPDATE test SET no_result_reason = :r WHERE tenant_id = :t AND id = :i")
    uow.s.execute(query, {"r": reason[:200], "t": uow.tenant_id, "i": test.id})
    return name


def dismiss_late(uow: UnitOfWork, test_id: int, version: int, reason: str) -> None:
    """A value that came after the report was told changes nothing: why."""
    work, test = open_test(uow, test_id)
    name = work.catalog.items[test.item_id].name
    fresh(test, version, name)
    if TestState(test.state) not in rules.TOLD_STATES or test.pending_id is None:
        raise UserError("conflict", say("{item} 没有发布后收到的结果。", item=name))
    if not reason.strip():
        raise UserError("invalid", say("请写明忽略的原因。"), field="reason")
    test.pending_id, test.dirty = None, True
    test.notes = measure.without(test.notes, measure.NoteCode.ANOTHER)
    save(work, "dismiss_late", {"item": name}, reason=reason.strip())


# --- review ----------------------------------------------------------------------------------------------------------


def review(uow: UnitOfWork, specimen_id: int, revision: int | None = None, work: Work | None = None, because: str = "") -> Work:
    """初审: every value of the tube has been looked at. Refuses with the names of what is missing, held, or contradicts each other
    (R8); the last may be true all the same: ``because`` says why.

    ``work``: the tube as it was opened and changed in this transaction, so that values and review are one look at it.
    """
    if work is None:
        work, _ = open_tube(uow, specimen_id, revision)
    problem = rules.review_problem([review_item(work, t) for t in work.tests.values()])
    if problem is not None:
        raise UserError("conflict", say("标本 {tube}：{problem}", tube=work.tubes[specimen_id].barcode, problem=problem))
    wrong = opening.contradictions(work, specimen_id)
    if wrong and not because.strip():
        raise UserError(
            "conflict",
            say("标本 {tube}：{problem}", tube=work.tubes[specimen_id].barcode, problem=measure.sentence(wrong)),
            field="because",
        )
    for test in work.tests.values():
        if test.state == TestState.RECEIVED:
            to(test, TestState.REVIEWED)
    work.looked.add(specimen_id)
    work.alert_again()
    detail: dict[str, Any] = {"tests": len(work.tests)} | ({"contradictions": [str(c.text) for c in wrong]} if wrong else {})
    save(work, "review", detail, reason=because.strip() or None)
    return work


def review_part(uow: UnitOfWork, specimen_id: int, revision: int | None = None) -> tuple[Work, list[int]]:
    """初审 of what is there and settled while the rest is still open, for a preliminary report; the tests whose values stand reviewed.

    UserError conflict: nothing is ready, everything is (an ordinary review then), or what is there contradicts itself (R8)."""
    work, _ = open_tube(uow, specimen_id, revision)
    problem: str | None = rules.part_problem([review_item(work, t) for t in work.tests.values()])
    wrong = opening.contradictions(work, specimen_id)
    if problem is None and wrong:
        problem = measure.sentence(wrong)
    if problem is not None:
        raise UserError("conflict", say("标本 {tube}：{problem}", tube=work.tubes[specimen_id].barcode, problem=problem))
    part = [t for t in work.tests.values() if not work.is_index(t.item_id) and rules.may_go_ahead(TestState(t.state), work.waits(t))]
    for test in part:
        if test.state == TestState.RECEIVED:
            to(test, TestState.REVIEWED)
    work.alert_again()
    names = [work.catalog.items[t.item_id].name for t in part]
    save(work, "review_part", {"items": names})
    return work, [t.id for t in part]


def send_back(uow: UnitOfWork, specimen_id: int, reason: str) -> None:
    """退回: the verifier wants it looked at again."""
    if not reason.strip():
        raise UserError("invalid", say("请写明退回原因。"), field="reason")
    work, _ = open_tube(uow, specimen_id)
    for test in work.tests.values():
        if test.state == TestState.REVIEWED:
            to(test, TestState.RECEIVED)
    save(work, "send_back", {}, reason=reason.strip())


__all__ = [
    "TOLD_STATES",
    "Choice",
    "Drawn",
    "Hold",
    "Entered",
    "Entry",
    "Incoming",
    "Outcome",
    "Recorded",
    "TestState",
    "Work",
    "accept_holds",
    "add_reflex",
    "amend",
    "answers_rerun",
    "awaited",
    "check_entry",
    "choose_version",
    "choose_versions",
    "clear",
    "dismiss_late",
    "double_entry",
    "enter_differential",
    "enter_result",
    "enter_tube",
    "expect_tests",
    "judged_otherwise",
    "keep_pictures",
    "lock_reported",
    "lock_to_tell",
    "record_results",
    "reflex_added",
    "reflex_by_rule",
    "reflex_refused",
    "release",
    "request_rerun",
    "rerun_by_rule",
    "retell",
    "review",
    "review_part",
    "say_beside",
    "send_back",
    "set_no_result",
    "set_no_results",
    "withdraw",
]
