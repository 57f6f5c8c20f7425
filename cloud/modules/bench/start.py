"""What of the bench waits for whoever works there: for the start page."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import followup, listing
from cloud.modules.catalog import queries as md
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from common.say import say

_AGAIN = text(f"""
SELECT f.section_id, count(*) FROM follow_up f WHERE f.tenant_id = :t AND f.section_id = ANY(:s) AND {followup.COUNTED["open"]} GROUP BY 1
""")


def waiting(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
    """Tubes whose results are there, tubes over their time, reruns; of each own section."""
    mine = md.own_sections(uow, who.sections)
    again = {r[0]: r[1] for r in uow.s.execute(_AGAIN, {"t": uow.tenant_id, "s": [s.id for s in mine]})}
    open_of = listing.open_counts(uow, [s.id for s in mine])
    for s in mine:
        n = open_of[s.id]
        yield Waiting(say("已超报告时限的标本"), n.late, f"/bench/{s.code}?show=late", s.name, "bad")
        yield Waiting(say("有结果待初审的标本"), n.ready, f"/bench/{s.code}?show=ready", s.name)
        yield Waiting(say("复查与加做未完成"), again.get(s.id, 0), f"/bench/rerun?section={s.code}", s.name)
