"""Discarding archived tubes (销毁): proposed when their time is over, signed by two persons, written down for the register."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select, text
from sqlalchemy.orm.attributes import flag_modified

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.platform import alerts
from cloud.modules.platform import queries as platform
from cloud.modules.specimens import service, storage, storage_queries
from cloud.modules.specimens import storage_rules as rules
from cloud.modules.specimens.models import Specimen
from cloud.modules.specimens.rules import Perm, State
from cloud.modules.specimens.storage_models import DiscardBatch, DiscardLine, StoredTube
from cloud.modules.specimens.storage_rules import BatchState
from common.errors import UserError
from common.say import say

MOST = 2_000
# A recalled report is settled by what is left of its tube, a reactive screen by what goes to the confirmatory laboratory.
_QUESTION = """(EXISTS (SELECT 1 FROM report q WHERE q.tenant_id = s.tenant_id AND q.specimen_id = coalesce(s.parent_id, s.id)
  AND q.state NOT IN ('released', 'amended', 'cancelled')) OR EXISTS (SELECT 1 FROM confirmation q WHERE q.tenant_id = s.tenant_id
  AND q.specimen_id = coalesce(s.parent_id, s.id) AND q.state IN ('waiting', 'sent')))"""
_IN_QUESTION = text(f"SELECT 1 FROM specimen s WHERE s.tenant_id = :t AND s.id = :s AND {_QUESTION}")
_DUE = text(f"""
SELECT t.id, s.section_id FROM stored_tube t JOIN specimen s ON s.tenant_id = t.tenant_id AND s.id = t.specimen_id
WHERE t.tenant_id = :t AND t.taken_at IS NULL AND t.keep_until <= :now AND t.hold = '' AND s.state = 'archived'
  AND NOT {_QUESTION} AND (:rack = 0 OR t.rack_id = :rack) AND {places.TUBE}
  AND NOT EXISTS (SELECT 1 FROM discard_line l JOIN discard_batch b ON b.tenant_id = l.tenant_id AND b.id = l.batch_id
                  WHERE l.tenant_id = t.tenant_id AND l.stored_id = t.id AND b.state IN ('open', 'signed'))
ORDER BY t.rack_id, t.slot LIMIT :most
""")


def due(uow: UnitOfWork, rack_id: int = 0) -> list[tuple[int, int]]:
    """Stays whose time is over, whose report stands and that are in no open batch, with their sections; of one rack, or (0) of all."""
    values = {"t": uow.tenant_id, "now": uow.now, "rack": rack_id, "most": MOST, **places.binds(uow)}
    return [(stay, section) for stay, section in uow.s.execute(_DUE, values)]


def propose(uow: UnitOfWork, rack_id: int = 0) -> DiscardBatch | None:
    """What is due as a batch, of each campus its own: whoever signs has the tubes in hand. The first, or None when nothing is due."""
    known = md.catalog(uow).sections
    at = platform.campus_of(uow)
    by_campus: dict[int | None, list[int]] = {}
    for stay, section in due(uow, rack_id):
        by_campus.setdefault(at.get(known[section].code), []).append(stay)
    made = [_propose(uow, rack_id, found) for found in by_campus.values()]
    return made[0] if made else None


def _propose(uow: UnitOfWork, rack_id: int, found: list[int]) -> DiscardBatch:
    batch = DiscardBatch(made_at=uow.now, made_by=uow.actor.name)
    uow.s.add(batch)
    uow.s.flush()
    uow.s.add_all(DiscardLine(batch_id=batch.id, stored_id=each) for each in found)
    uow.s.flush()
    uow.audit("discard_batch", batch.id, "propose", after={"tubes": len(found), "rack": rack_id or None})
    return batch


def keep(uow: UnitOfWork, batch_id: int, line_ids: Collection[int], why: str) -> int:
    """Leave tubes out of a batch that nobody has signed yet, with the reason; returns how many."""
    batch = _get(uow, batch_id)
    if batch.state != BatchState.OPEN:
        raise UserError("conflict", say("已经有人签字，请先撤回签字再改清单。"))
    if not why.strip():
        raise UserError("invalid", say("请写明为什么留下，例如临床要求复查。"), field="why")
    rows = [line for line in _lines(uow, batch.id) if line.id in set(line_ids) and line.outcome == "waiting"]
    for row in rows:
        row.outcome, row.why = "kept", why.strip()[:200]
    flag_modified(batch, "note")  # who has the old list open may not sign it
    uow.audit("discard_batch", batch.id, "keep", after={"lines": [r.id for r in rows]}, reason=why.strip()[:200])
    return len(rows)


def sign_first(uow: UnitOfWork, batch_id: int, version: int, method: str, autoclave: str) -> None:
    """The person who took the tubes out of the racks signs: how they are destroyed, and the autoclave's run."""
    batch = _fresh(uow, batch_id, version)
    if not method.strip():
        raise UserError("invalid", say("请选择或写明处理方式，例如高压灭菌后按医疗废物处理。"), field="method")
    if "灭菌" in method and not autoclave.strip():
        raise UserError("invalid", say("请填写灭菌记录号（锅次、温度、时间）。"), field="autoclave")
    if not any(line.outcome == "waiting" for line in _lines(uow, batch.id)):
        raise UserError("conflict", say("这张销毁单里没有要销毁的标本，请作废。"))
    batch.first_id, batch.first_by, batch.first_at = uow.actor.user_id, uow.actor.name, uow.now
    batch.method, batch.autoclave = method.strip()[:100], autoclave.strip()[:100]
    _move(uow, batch, BatchState.SIGNED)


def withdraw(uow: UnitOfWork, batch_id: int, version: int) -> None:
    """The first signature is taken back, because the list must change."""
    batch = _fresh(uow, batch_id, version)
    batch.first_id, batch.first_by, batch.first_at = None, "", None
    _move(uow, batch, BatchState.OPEN)


def sign_second(uow: UnitOfWork, batch_id: int, version: int) -> tuple[int, int]:
    """The second person signs and the tubes are discarded; returns (discarded, kept). What changed meanwhile is kept, with why."""
    batch = _fresh(uow, batch_id, version)
    problem = rules.batch_problem(BatchState(batch.state), BatchState.DONE)
    problem = problem or rules.second_problem(batch.first_id, uow.actor.user_id)
    if problem is not None:
        raise UserError("conflict", problem)
    done = kept = 0
    for line in _lines(uow, batch.id):
        if line.outcome == "waiting" and _discard(uow, batch, line):
            done += 1
        else:
            kept += 1
    batch.second_id, batch.second_by, batch.second_at = uow.actor.user_id, uow.actor.name, uow.now
    _move(uow, batch, BatchState.DONE, {"discarded": done, "kept": kept})
    return done, kept


def cancel(uow: UnitOfWork, batch_id: int, version: int, why: str) -> None:
    """Void a batch; its tubes may be proposed again."""
    batch = _fresh(uow, batch_id, version)
    if not why.strip():
        raise UserError("invalid", say("请写明作废的原因。"), field="why")
    batch.note = why.strip()[:200]
    _move(uow, batch, BatchState.CANCELLED)


def _discard(uow: UnitOfWork, batch: DiscardBatch, line: DiscardLine) -> bool:
    # The tube first, as whoever stores it or marks it lost: so that nobody waits for each other.
    of = uow.s.get_one(StoredTube, (uow.tenant_id, line.stored_id)).specimen_id
    tube = uow.s.get_one(Specimen, (uow.tenant_id, of), with_for_update=True, populate_existing=True)
    stay = uow.s.get_one(StoredTube, (uow.tenant_id, line.stored_id), with_for_update=True, populate_existing=True)
    told = uow.s.execute(_IN_QUESTION, {"t": uow.tenant_id, "s": tube.id}).first() is None
    found = rules.Stay(State(tube.state), stay.keep_until, stay.hold, stay.taken_at is not None, told)
    problem = rules.discard_problem(found, uow.now)
    if problem is not None:
        line.outcome, line.why = "kept", str(problem)
        return False
    line.outcome = "discarded"
    stay.taken_at, stay.taken_by, stay.taken_why = uow.now, uow.actor.name, f"销毁单 {batch.id}"
    detail = {"batch": batch.id, "first": batch.first_by, "second": uow.actor.name, "note": batch.method}
    service.move(uow, tube, State.DISCARDED, detail=detail)
    return True


def _lines(uow: UnitOfWork, batch_id: int) -> list[DiscardLine]:
    return list(uow.s.scalars(select(DiscardLine).where(DiscardLine.batch_id == batch_id).order_by(DiscardLine.id)))


def _get(uow: UnitOfWork, batch_id: int) -> DiscardBatch:
    found = uow.s.get(DiscardBatch, (uow.tenant_id, batch_id), with_for_update=True, populate_existing=True)
    if found is None or not storage_queries.is_here(uow, batch_id):
        raise UserError("not_found", say("这张销毁单不存在，请核对后重试。"))
    return found


def _fresh(uow: UnitOfWork, batch_id: int, version: int) -> DiscardBatch:
    batch = _get(uow, batch_id)
    if batch.version != version:
        raise UserError("stale", say("您打开之后这张销毁单又有变化，请按最新的清单再签字。"))
    return batch


def _move(uow: UnitOfWork, batch: DiscardBatch, to: BatchState, after: dict[str, int] | None = None) -> None:
    before = BatchState(batch.state)
    problem = rules.batch_problem(before, to)
    if problem is not None:
        raise UserError("conflict", problem)
    batch.state = to.value
    uow.s.flush()
    uow.audit("discard_batch", batch.id, to.value, {"state": before.value}, {"state": to.value, **(after or {})})


# --- the calendar ---------------------------------------------------------------------------------------------------


def daily(uow: UnitOfWork) -> None:
    """00:30: propose what is due; tell what waits for a signature, what was taken out and never put back, what is void and still stands."""
    propose(uow)
    for specimen_id in storage_queries.void(uow):
        storage.on_void(uow, {"specimen_id": specimen_id})
    waiting = [b for b in storage_queries.batches(uow, open_only=True) if b.tubes]
    own = storage_queries.sections_of(uow, [b.id for b in waiting])
    words = "销毁单 %(no)s（%(n)s 管）%(state)s"
    alerts.sync(
        uow,
        "specimen.discard",
        (
            alerts.Alert(
                "specimen.discard", f"batch:{b.id}", alerts.Level.NOTICE, words, f"/sp/discard/{b.id}", Perm.ARCHIVE,
                {"no": b.id, "n": b.tubes, "state": rules.BATCH_WORDS[BatchState(b.state)]}, at=own.get(b.id, ()),
            )
            for b in waiting
        ),
    )  # fmt: skip
    late = storage_queries.out(uow, uow.now - rules.OUT_LIMIT)
    at = places.of_tubes(uow, [o.specimen_id for o in late])
    words_out = "标本 %(code)s 取出已超过 24 小时没有放回（%(who)s：%(why)s）"
    alerts.sync(
        uow,
        "specimen.taken_out",
        (
            alerts.Alert(
                "specimen.taken_out", f"tube:{o.specimen_id}", alerts.Level.WARNING, words_out, "/sp/archive/out", Perm.ARCHIVE,
                {"code": o.barcode, "who": o.taken_by, "why": o.taken_why}, at=at[o.specimen_id],
            )
            for o in late
        ),
    )  # fmt: skip
