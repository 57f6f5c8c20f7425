"""Changes of master data that somebody who leaves has proposed: another person answers for them from then on."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, select

from cloud.db.session import UnitOfWork
from cloud.modules.changes.models import CatalogChange
from cloud.modules.changes.rules import OPEN
from cloud.web.module import Colleague, OpenTask
from common.errors import UserError
from common.say import say


def open_of(uow: UnitOfWork, leaver: Colleague) -> Sequence[OpenTask]:
    """Proposals that are neither in force nor withdrawn."""
    return [
        OpenTask(say("变更 {id}：{title}", id=row.id, title=row.title), f"/md/changes/{row.id}") for row in uow.s.scalars(_proposed(leaver))
    ]


def hand_over(uow: UnitOfWork, leaver: Colleague, to: Colleague) -> None:
    """UserError conflict: who approved a change cannot answer for it (C12)."""
    for row in uow.s.scalars(_proposed(leaver).with_for_update()):
        if to.id in (row.section_by, row.group_by):
            raise UserError("conflict", say("变更 {id} 由 {name} 批准过，不能再由其提出，请换一位接手人。", id=row.id, name=to.name))
        before = {"by": row.requested_name}
        row.requested_by, row.requested_name = to.id, to.name
        uow.audit("catalog_change", row.id, "hand_over", before=before, after={"by": to.name})


def _proposed(leaver: Colleague) -> Select[CatalogChange]:
    query = select(CatalogChange).where(CatalogChange.requested_by == leaver.id, CatalogChange.state.in_([s.value for s in OPEN]))
    return query.order_by(CatalogChange.id)
