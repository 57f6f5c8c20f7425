"""Hand-over notes that wait for the reader's signature: for the start page."""

from __future__ import annotations

from collections.abc import Iterator

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.handover import queries
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say


def given(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """What another person handed over and nobody has signed for, of each own section."""
    mine = {s.id: s for s in md.own_sections(uow, who.sections)}
    for note in queries.untaken(uow, uow.now):
        if note.section_id in mine and note.giver_id != who.user_id:
            s = mine[note.section_id]
            yield Waiting(say("交班待签收"), 1, f"/bench/handover/{s.code}", s.name)
