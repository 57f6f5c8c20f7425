"""Out-of-control work that is not closed, and targets that wait for approval: for the start page."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.qc.rules import Ooc
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say

_OPEN = text("""
SELECT count(*) FROM qc_ooc o JOIN qc_plan p ON p.tenant_id = o.tenant_id AND p.id = o.plan_id
JOIN analyzer a ON a.tenant_id = p.tenant_id AND a.id = p.analyzer_id
WHERE o.tenant_id = :t AND o.state <> :closed AND (:everywhere OR a.section_id = ANY(:own_sections))
""")


def out(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """The open ones of the register."""
    n = uow.s.execute(_OPEN, {"t": uow.tenant_id, "closed": Ooc.CLOSED.value, **places.of_sections(uow)}).scalar_one()
    yield Waiting(say("质控失控未关闭"), n, "/qc/ooc", light="bad")


_TARGETS = text("""
SELECT count(*) FROM qc_target g JOIN qc_plan p ON p.tenant_id = g.tenant_id AND p.id = g.plan_id AND p.active
JOIN analyzer a ON a.tenant_id = p.tenant_id AND a.id = p.analyzer_id
WHERE g.tenant_id = :t AND g.effective_at IS NULL AND g.ended_at IS NULL AND (:everywhere OR a.section_id = ANY(:own_sections))
""")


def to_approve(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Proposed targets."""
    n = uow.s.execute(_TARGETS, {"t": uow.tenant_id, **places.of_sections(uow)}).scalar_one()
    yield Waiting(say("质控靶值待批准"), n, "/qc/lots")
