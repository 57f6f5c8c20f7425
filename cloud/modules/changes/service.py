"""The verbs of change control: propose, test, approve, schedule, activate, withdraw, and closing a box of a new item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as bench
from cloud.modules.catalog import queries as md
from cloud.modules.catalog import service as catalog
from cloud.modules.changes import models, queries
from cloud.modules.changes.rules import BOXES, SAMPLE, WORDS, Standing, State, approval_problem, may_move, open_boxes
from common.errors import UserError
from common.say import Listed, say, word

OPENED = 60  # items whose waiting tests fit into one address
SHOWN = 200  # differences kept with a change; the count is of all


def propose(
    uow: UnitOfWork, kind_code: str, rows: Sequence[tuple[int | None, dict[str, Any] | None]], reason: str, ticket: str = ""
) -> int:
    """Draw up a change of one or many rows (id or None for a new one, values or None to retire); returns its id.

    UserError invalid with every problem in words; nothing is written then.
    """
    kind, known = kind_of(kind_code), md.catalog(uow)
    if not reason.strip():
        raise UserError("invalid", "请写明变更原因。", field="reason")
    if not rows:
        raise UserError("invalid", "没有要变更的内容。")
    drawn: list[dict[str, Any]] = [{"id": target, "before": catalog.present(uow, kind, target), "after": after} for target, after in rows]
    if all(each["before"] == each["after"] for each in drawn):
        raise UserError("invalid", "内容没有变化，不需要提出变更。")
    wrong = check(uow, kind_code, rows)
    if wrong:
        raise UserError("invalid", say("不能保存：{problems}", problems=Listed((message for _, message in wrong), "")), problems=wrong)
    named = next(each["after"] or each["before"] for each in drawn)
    assert named is not None
    more = f" 等 {len(drawn)} 行" if len(drawn) > 1 else ""
    codes = sorted({code for each in drawn for code in _items_of(kind_code, each, known)})
    row = models.CatalogChange(
        kind=kind_code,
        title=f"{kind.title}：{catalog.name_of(kind, named, known)}{more}",
        section_id=_section(kind_code, named, known, codes),
        items=codes,
        rows=drawn,
        reason=reason.strip(),
        ticket=ticket.strip(),
        requested_by=uow.actor.user_id,
        requested_name=uow.actor.name,
        requested_at=uow.now,
    )
    uow.s.add(row)
    uow.s.flush()
    uow.audit("catalog_change", row.id, "propose", after={"kind": kind_code, "rows": drawn, "ticket": row.ticket}, reason=row.reason)
    return row.id


def check(uow: UnitOfWork, kind_code: str, rows: Sequence[tuple[int | None, dict[str, Any] | None]]) -> list[tuple[int, str]]:
    """(row number from 1, sentence) for everything wrong with the rows, each also looked at beside the others."""
    kind, known = kind_of(kind_code), md.catalog(uow)
    batch = [after for _, after in rows if after is not None]
    out = []
    targets = {target for target, _ in rows if target is not None}
    for number, (target, after) in enumerate(rows, 1):
        if after is None:
            present = catalog.present(uow, kind, target)
            if target is not None and present is not None:
                out += [(number, message) for message in catalog.retiring(kind_code, known, target, present)]
            continue
        beside = catalog.without(known, kind_code, targets - {target}) if len(targets) > 1 or target not in targets else known
        out += [(number, message) for message in catalog.kind_problems(kind, beside, target, after, batch)]
        if kind_code == "item" and target is not None and after.get("active") and not known.items[target].active:
            boxes = open_boxes(queries.boxes(uow, known.items[target]))
            if boxes:
                out.append((number, say("新项目核对表还有未完成的必填项：{boxes}。", boxes=tuple(boxes))))
    return out


def _items_of(kind_code: str, row: dict[str, Any], known: md.Catalog) -> Iterable[str]:
    for values in (row["before"], row["after"]):
        if values is None:
            continue
        if kind_code == "item":
            yield values["code"]
        if values.get("item"):
            yield values["item"]
        yield from (code for code in values.get("members", ()) if code in known.items_by_code)


def _section(kind_code: str, values: dict[str, Any], known: md.Catalog, codes: Sequence[str]) -> int | None:
    code = str(values.get("section") or "")
    if code in known.sections_by_code:
        return known.sections_by_code[code].id
    return known.items_by_code[codes[0]].section_id if codes and codes[0] in known.items_by_code else None


def kind_of(code: str) -> catalog.Kind:
    """A kind of master data; not_found for none."""
    found = catalog.KINDS.get(code)
    if found is None:
        raise UserError("not_found", "没有这一类基础数据。")
    return found


# --- test -------------------------------------------------------------------------------------------------------------------------------


def put_to_test(uow: UnitOfWork, change_id: int, version: int | None = None, sample: int = SAMPLE) -> dict[str, Any]:
    """Read the last reports with the touched items by the changed catalog, keep what would differ; draft → tested."""
    row = load(uow, change_id, version)
    may(row, State.TESTED)
    report = dry_run(uow, row.kind, [(each["id"], each["after"]) for each in row.rows], row.items, sample)
    tested(uow, row, report, uow.actor.name)
    return report


def tested(uow: UnitOfWork, row: models.CatalogChange, report: dict[str, Any], by: str) -> None:
    """Keep what a dry run found; approvals given before it are void."""
    row.report, row.state, row.tested_by, row.tested_at = report, State.TESTED.value, by, uow.now
    row.section_by = row.group_by = row.section_at = row.group_at = None
    row.section_name = row.group_name = ""
    uow.s.flush()
    after = {key: value for key, value in report.items() if key not in ("differences", "av")}
    uow.audit("catalog_change", row.id, "test", after=after | {"by": by})


def dry_run(
    uow: UnitOfWork, kind_code: str, rows: Sequence[tuple[int | None, dict[str, Any] | None]], codes: Iterable[str], sample: int = SAMPLE
) -> dict[str, Any]:
    """What the rows would change in past reports and touch now; nothing stays written."""
    known = md.catalog(uow)
    with changed(uow, kind_code, rows) as after:
        ids = [after.items_by_code[code].id for code in codes if code in after.items_by_code]
    ids = [each for each in ids if each in known.items]
    tubes = bench.latest_told(uow, known, after, ids, sample) if ids else []
    read, found = bench.reread(uow, known, after, ids, tubes) if tubes else (0, [])
    return {"asked": sample, **waiting(uow, known, ids), **summed(known, read, found)}


def waiting(uow: UnitOfWork, known: md.Catalog, item_ids: Sequence[int]) -> dict[str, Any]:
    """How many tests whose report is not out would be judged anew, and of which items, so that the number opens its list."""
    codes = [known.items[i].code for i in item_ids]
    return {"open": bench.open_count(uow, item_ids), "open_items": codes if len(codes) <= OPENED else []}


def summed(known: md.Catalog, read: int, found: Sequence[bench.Difference]) -> dict[str, Any]:
    """Differences counted, and the first of them in words."""
    return {
        "sample": read,
        "changed": len(found),
        "text": sum(each.old.text != each.new.text for each in found),
        "flags": sum(each.old.flag != each.new.flag for each in found),
        "critical": sum(each.old.critical != each.new.critical for each in found),
        "differences": [
            {
                "barcode": each.barcode,
                "at": each.at.isoformat(),
                "item": known.items[each.item_id].name,
                "old": f"{each.old.text} {each.old.mark}".strip(),
                "new": f"{each.new.text} {each.new.mark}".strip(),
                "old_ref": each.old.ref_text,
                "new_ref": each.new.ref_text,
            }
            for each in found[:SHOWN]
        ],
    }


@contextmanager
def changed(uow: UnitOfWork, kind_code: str, rows: Sequence[tuple[int | None, dict[str, Any] | None]]) -> Iterator[md.Catalog]:
    """The catalog as it would be with these rows; everything is taken back afterwards."""
    kind = kind_of(kind_code)
    kept = uow.s.info.pop("catalog", None)
    savepoint = uow.s.begin_nested()
    try:
        for target, after in rows:
            catalog.write(uow, kind, target, None, after, audit=False)
        yield md.catalog(uow)
    finally:
        savepoint.rollback()
        uow.s.info.pop("catalog_changed", None)
        uow.s.expire_all()
        if kept is not None:
            uow.s.info["catalog"] = kept


# --- approvals --------------------------------------------------------------------------------------------------------------------------


def approve(uow: UnitOfWork, change_id: int, side: str, version: int | None = None) -> State:
    """One of the two approvals (``side``: section or group); with both a tested change is approved."""
    row = load(uow, change_id, version)
    standing = _standing(row)
    problem = approval_problem(standing, uow.actor.user_id, side)
    if problem is not None:
        raise UserError("conflict", problem)
    if side == "section":
        row.section_by, row.section_name, row.section_at = uow.actor.user_id, uow.actor.name, uow.now
    else:
        row.group_by, row.group_name, row.group_at = uow.actor.user_id, uow.actor.name, uow.now
    if _standing(row).approved and row.state == State.TESTED:
        row.state = State.APPROVED.value
    uow.s.flush()
    uow.audit("catalog_change", row.id, f"approve:{side}", after={"state": row.state})
    return State(row.state)


def schedule(uow: UnitOfWork, change_id: int, effective_at: datetime | None = None, version: int | None = None) -> State:
    """Set when an approved change becomes active; without a time it does at once."""
    row = load(uow, change_id, version)
    may(row, State.SCHEDULED)
    row.state, row.effective_at = State.SCHEDULED.value, effective_at or uow.now
    uow.s.flush()
    uow.audit("catalog_change", row.id, "schedule", after={"effective_at": row.effective_at.isoformat()})
    if row.effective_at <= uow.now:
        _activate(uow, row)
    return State(row.state)


def emergency(uow: UnitOfWork, change_id: int, reason: str, version: int | None = None) -> None:
    """Activate at once, approval to follow within 24 h (an alert says when it does not); why is recorded."""
    row = load(uow, change_id, version)
    if not reason.strip():
        raise UserError("invalid", "紧急变更请写明原因。", field="reason")
    if row.state == State.DRAFT:
        put_to_test(uow, change_id)
    may(row, State.ACTIVE)
    row.emergency = True
    uow.audit("catalog_change", row.id, "emergency", reason=reason.strip())
    _activate(uow, row)


def activate_job(uow: UnitOfWork) -> None:
    """The calendar's call of ``activate_due``."""
    activate_due(uow)


def activate_due(uow: UnitOfWork) -> list[int]:
    """Calendar: activate what is scheduled for now; one that cannot be goes back to draft with the reason. Returns the ids activated."""
    table = models.CatalogChange
    due = select(table.id).where(table.state == State.SCHEDULED.value, table.effective_at <= uow.now).order_by(table.effective_at, table.id)
    done = []
    for change_id in uow.s.scalars(due).all():
        row = load(uow, change_id)
        try:
            with uow.s.begin_nested():
                _activate(uow, row)
        except UserError as error:
            uow.s.refresh(row)
            row.state, row.closed_reason = State.DRAFT.value, error.message
            uow.audit("catalog_change", row.id, "activation_failed", after={"why": error.message})
        else:
            done.append(change_id)
    uow.s.flush()
    return done


def _activate(uow: UnitOfWork, row: models.CatalogChange) -> None:
    may(row, State.ACTIVE)
    wrong = check(uow, row.kind, [(each["id"], each["after"]) for each in row.rows])
    if wrong:
        raise UserError("invalid", say("不能生效：{problems}", problems=Listed((message for _, message in wrong), "")), problems=wrong)
    kind, known = kind_of(row.kind), md.catalog(uow)
    for each in row.rows:  # all before any is written
        if each["id"] is not None and catalog.present(uow, kind, each["id"]) != each["before"]:
            name = catalog.name_of(kind, each["before"], known)
            raise UserError(
                "stale", say("{kind}“{name}”在提出变更之后已被修改，请按现在的内容重新提出。", kind=word(kind.title), name=name)
            )
    row.applied = [catalog.write(uow, kind, each["id"], each["before"], each["after"]) for each in row.rows]
    _retire_earlier(uow, row)
    row.state, row.activated_at, row.closed_reason = State.ACTIVE.value, uow.now, ""
    uow.s.flush()
    uow.audit("catalog_change", row.id, "activate", after={"rows": row.applied})
    uow.emit("catalog.changed", f"{row.kind}:{row.id}", {"change_id": row.id, "kind": row.kind, "items": row.items})


def _retire_earlier(uow: UnitOfWork, row: models.CatalogChange) -> None:
    """A change whose every row is replaced by this one is history, once its own approvals are complete."""
    table = models.CatalogChange
    earlier = select(table).where(table.kind == row.kind, table.state == State.ACTIVE.value, table.applied.contained_by(row.applied))
    for each in uow.s.scalars(earlier):
        if not each.emergency or _standing(each).approved:
            each.state = State.RETIRED.value


def withdraw(uow: UnitOfWork, change_id: int, reason: str, version: int | None = None) -> None:
    """Take an open change back; why is kept."""
    row = load(uow, change_id, version)
    may(row, State.WITHDRAWN)
    if not reason.strip():
        raise UserError("invalid", "请写明撤回的原因。", field="reason")
    row.state, row.closed_reason = State.WITHDRAWN.value, reason.strip()
    uow.s.flush()
    uow.audit("catalog_change", row.id, "withdraw", reason=reason.strip())


# --- new items --------------------------------------------------------------------------------------------------------------------------


def close_box(uow: UnitOfWork, item_code: str, box: str, note: str) -> None:
    """Say that a box of a new item is done, or not applicable, and why."""
    found = md.catalog(uow).items_by_code.get(item_code)
    if found is None or box not in dict(BOXES):
        raise UserError("not_found", "没有这个项目或核对项。")
    if not note.strip():
        raise UserError("invalid", say("请写明“{box}”的完成情况，或不适用的原因。", box=word(dict(BOXES)[box])), field="note")
    table = models.ItemBox
    row = uow.s.scalars(select(table).where(table.item_id == found.id, table.box == box)).one_or_none()
    if row is None:
        row = table(item_id=found.id, box=box)
        uow.s.add(row)
    row.note, row.by_name, row.at = note.strip(), uow.actor.name, uow.now
    uow.s.flush()
    uow.audit("test_item", found.id, "checklist", after={"box": box, "note": row.note})


# --- shared -----------------------------------------------------------------------------------------------------------------------------


def load(uow: UnitOfWork, change_id: int, version: int | None = None) -> models.CatalogChange:
    """A change, locked; stale when it is not at ``version`` any more."""
    row = uow.s.scalars(select(models.CatalogChange).where(models.CatalogChange.id == change_id).with_for_update()).one_or_none()
    if row is None:
        raise UserError("not_found", "该变更不存在，请核对后重试。")
    if version is not None and row.version != version:
        raise UserError(
            "stale", say("您打开之后，这项变更已被他人处理（现为“{state}”），请核对后再操作。", state=word(WORDS[State(row.state)]))
        )
    return row


def may(row: models.CatalogChange, to: State) -> None:
    """Raise conflict where the table does not allow the move."""
    if not may_move(State(row.state), to):
        raise UserError("conflict", say("变更目前为“{state}”，不能改为“{to}”。", state=word(WORDS[State(row.state)]), to=word(WORDS[to])))


def _standing(row: models.CatalogChange) -> Standing:
    return Standing(State(row.state), row.requested_by, row.section_by, row.group_by, row.emergency)
