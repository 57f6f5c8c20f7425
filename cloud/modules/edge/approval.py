"""Change control of a mapping: two approvals, back to draft, into use.

At ``activate`` the catalog's channels become the version's rows, the agents get a signed configuration that names the version, and what
waited under these codes is placed.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.catalog import service as catalog
from cloud.modules.edge import configuration, mapping, retake
from cloud.modules.edge.mapping import State
from cloud.modules.edge.models import Agent, Connection, MappingApproval, MappingVersion
from cloud.modules.edge.onboarding import active_rows, take
from cloud.modules.edge.recordings import active_version
from common.errors import UserError
from common.say import say, word


def approve(uow: UnitOfWork, mapping_id: int, user_id: int) -> MappingVersion:
    """One person's approval; with the second one the version is approved. Never its author's (C12)."""
    row = take(uow, mapping_id, State.TESTED)
    if row.author_id == user_id:
        raise UserError("conflict", "自己制作的对照不能自己批准，请另外两人批准。")
    given = uow.s.scalars(select(MappingApproval).where(MappingApproval.mapping_id == row.id)).all()
    if any(a.user_id == user_id for a in given):
        raise UserError("conflict", "您已经批准过，还需要另一人批准。")
    uow.s.add(MappingApproval(mapping_id=row.id, user_id=user_id, by=uow.actor.name, at=uow.now))
    uow.audit("edge_mapping", row.id, "approve", after={"number": row.number, "approvals": len(given) + 1})
    if len(given) + 1 >= mapping.APPROVALS:
        move(uow, row, State.APPROVED)
    uow.s.flush()
    return row


def send_back(uow: UnitOfWork, mapping_id: int, reason: str, *, refuse: bool = False) -> MappingVersion:
    """Back to draft, or refused for good; approvals given so far no longer count."""
    if not reason.strip():
        raise UserError("invalid", "请写明退回原因。", field="reason")
    row = take(uow, mapping_id, *mapping.OPEN)
    if row.state == State.DRAFT and not refuse:
        raise UserError("conflict", "这份对照已经是草稿。")
    given = uow.s.scalars(select(MappingApproval).where(MappingApproval.mapping_id == row.id)).all()
    for each in given:
        uow.s.delete(each)
    return move(uow, row, State.REFUSED if refuse else State.DRAFT, reason.strip(), {"approvals": [a.by for a in given]})


def activate(uow: UnitOfWork, mapping_id: int, zone: tzinfo) -> int:
    """approved → active: channels, agents, waiting results. How many results left the trays and lists at once."""
    row = take(uow, mapping_id, State.APPROVED)
    before = active_version(uow, row.analyzer_id)
    if before is not None:
        move(uow, before, State.RETIRED, retired_at=uow.now)
    move(uow, row, State.ACTIVE, active_at=uow.now)
    rows = [mapping.row_of(r) for r in row.rows]
    known = md.catalog(uow)
    fresh = mapping.changes(active_rows(known, row.analyzer_id), rows)
    channels = {r.code: (r.item_id, r.factor, r.offset, r.unit) for r in rows if r.item_id is not None}
    catalog.set_channels(uow, row.analyzer_id, channels, f"对照第 {row.number} 版", driver=row.driver or "")
    uow.s.flush()
    for agent_id in sorted(set(uow.s.scalars(select(Connection.agent_id).where(Connection.analyzer_id == row.analyzer_id)))):
        agent = uow.s.get(Agent, (uow.tenant_id, agent_id), with_for_update=True)
        if agent is not None:
            configuration.changed(uow, agent)
    uow.emit("edge.mapping_active", f"mapping:{row.id}", {"analyzer_id": row.analyzer_id, "number": row.number})
    uow.notify("edge", {"what": "mapping"})
    return sum(retake.take_up_code(uow, row.analyzer_id, c.code, zone) for c in fresh if c.after is not None)


def move(
    uow: UnitOfWork, row: MappingVersion, to: State, reason: str = "", before: dict[str, Any] | None = None, **values: Any
) -> MappingVersion:
    """Change the state by the table, with its audit entry and notice."""
    old = State(row.state)
    if not mapping.may_move(old, to):
        raise UserError("conflict", say("“{state}”的对照不能变为“{to}”。", state=word(mapping.WORDS[old]), to=word(mapping.WORDS[to])))
    row.state = to
    for name, value in values.items():
        setattr(row, name, value)
    uow.s.flush()
    uow.audit("edge_mapping", row.id, str(to), {"state": old, **(before or {})}, {"state": to, "number": row.number}, reason or None)
    uow.notify("edge", {"what": "mapping"})
    return row


def approvals(uow: UnitOfWork, mapping_id: int) -> list[MappingApproval]:
    """Who approved a version."""
    return list(uow.s.scalars(select(MappingApproval).where(MappingApproval.mapping_id == mapping_id).order_by(MappingApproval.id)))
