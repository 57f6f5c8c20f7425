"""Critical values that wait for the laboratory or the ward: for the start page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.critical import queries
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say


def untold(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Those that have not reached anybody, of each own section."""
    waiting = Counter(event.section_id for event in queries.untold(uow))
    for s in md.own_sections(uow, who.sections):
        yield Waiting(say("危急值未通知到"), waiting[s.id], f"/critical/board?section={s.code}&show=untold", s.name, "bad")


def at_ward(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Those that the own wards have not answered."""
    yield Waiting(say("危急值待确认"), queries.waiting_at(uow, who.wards), "/critical/clinic", light="bad")
