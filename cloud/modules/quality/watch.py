"""Calendar job: measures past their day, and those whose effect may now be checked."""

from __future__ import annotations

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.platform import alerts
from cloud.modules.platform.alerts import Alert, Level
from cloud.modules.quality.models import Nonconformity as Nc
from cloud.modules.quality.rules import EFFECT_AFTER, Perm, State


def overdue(uow: UnitOfWork) -> None:
    """Raise what is so today, clear what no longer is."""
    today = uow.now.astimezone(md.HOSPITAL_ZONE).date()
    late = select(Nc).where(Nc.state == State.ACTING.value, Nc.due < today).order_by(Nc.id)
    ripe = select(Nc).where(Nc.state == State.VERIFYING.value, Nc.acting_since <= today - EFFECT_AFTER).order_by(Nc.id)
    for kind, level, words, query in (
        ("quality.action_overdue", Level.URGENT, "不符合项 %(id)s 的措施已过期限：%(title)s", late),
        ("quality.effect_due", Level.WARNING, "不符合项 %(id)s 到了验证效果的时间：%(title)s", ripe),
    ):
        found = [
            Alert(
                kind,
                f"nc:{n.id}",
                level,
                words,
                f"/qms/nc/{n.id}",
                Perm.WORK,
                {"id": n.id, "title": n.title},
                at=places.code(uow, n.section_id),
            )
            for n in uow.s.execute(query).scalars()
        ]
        alerts.sync(uow, kind, found)
