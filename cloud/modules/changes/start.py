"""Changes of master data and whose turn it is: for the start page."""

from __future__ import annotations

from collections.abc import Iterator

from cloud.db.session import UnitOfWork
from cloud.modules.changes import queries
from cloud.modules.changes.rules import Perm, State
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say

# Whose turn: without it a proposal lay until somebody happened upon the list.
TURNS = (
    (State.DRAFT, (Perm.TEST,), say("基础数据变更待测试")),
    (State.TESTED, (Perm.SECTION, Perm.AV, Perm.GROUP), say("基础数据变更待批准")),
    (State.APPROVED, (Perm.GROUP,), say("基础数据变更待排期")),
)


def waiting(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Those to be tried, approved and scheduled by who reads it."""
    counts = queries.counts(uow)
    for state, rights, words in TURNS:
        if any(who.may(right) for right in rights):
            yield Waiting(words, counts.get(state.value, 0), f"/md/changes?show={state.value}")
