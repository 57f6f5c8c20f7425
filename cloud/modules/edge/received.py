"""The messages behind the board's numbers: of one connection or all, of the last hour or day, by what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select

from cloud.db.session import UnitOfWork
from cloud.modules.edge.models import Connection, RawMessage
from cloud.modules.edge.rules import RawState

HOURS = (1, 24)
STATE_WORDS = {RawState.INTERPRETED: "已解析", RawState.DEFERRED: "排队解析", RawState.QUARANTINED: "待解析"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the list is narrowed by; None and "" mean anything."""

    connection: int | None = None
    state: str = ""
    hours: int = 24

    @classmethod
    def of(cls, connection: int | None, state: str, hours: int) -> Asked:
        """As an address says it; what it cannot mean narrows nothing."""
        return cls(connection, state if state in set(RawState) else "", hours if hours in HOURS else HOURS[-1])

    @property
    def query(self) -> dict[str, str]:
        """The same as an address says it."""
        said = {"connection": "" if self.connection is None else str(self.connection), "state": self.state, "hours": str(self.hours)}
        return {name: value for name, value in said.items() if value}


def rows(uow: UnitOfWork, asked: Asked, limit: int, before: int = 0) -> list[Any]:
    """A page of them, newest first, from below one on."""
    columns = (RawMessage.id, RawMessage.received_at, RawMessage.seq, RawMessage.state, RawMessage.problems, RawMessage.cleared_at)
    question = select(*columns, func.coalesce(Connection.name, RawMessage.conn_key).label("connection"))
    question = question.outerjoin(
        Connection, (Connection.tenant_id == RawMessage.tenant_id) & (Connection.id == RawMessage.connection_id)
    ).where(*_narrowed(uow, asked))
    if before:
        question = question.where(RawMessage.id < before)
    return list(uow.s.execute(question.order_by(RawMessage.id.desc()).limit(limit)))


def count(uow: UnitOfWork, asked: Asked) -> int:
    """How many there are."""
    return uow.s.execute(select(func.count()).select_from(RawMessage).where(*_narrowed(uow, asked))).scalar_one()


def _narrowed(uow: UnitOfWork, asked: Asked) -> list[ColumnElement[bool]]:
    """As facts.ACCOUNTS counts."""
    found: list[ColumnElement[bool]] = [RawMessage.kind == "raw", RawMessage.received_at > uow.now - timedelta(hours=asked.hours)]
    if asked.connection is not None:
        found.append(RawMessage.connection_id == asked.connection)
    if asked.state:
        found.append(RawMessage.state == asked.state)
    return found
