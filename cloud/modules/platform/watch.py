"""Calendar jobs that look at how accounts are used: dormant ones, many records read outside office hours, accesses that ended."""

from __future__ import annotations

import math
from datetime import timedelta
from urllib.parse import urlencode

from sqlalchemy import update

from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts, queries, rules
from cloud.modules.platform.models import AccessGrant


def dormant(uow: UnitOfWork) -> None:
    """08:00: accounts nobody used for 90 days."""
    words = "%(who)s（%(no)s）90 天以上没有登录，请核实后停用。"
    alerts.sync(
        uow,
        "platform.dormant",
        (
            alerts.Alert(
                "platform.dormant",
                f"user:{row.id}",
                rules.Level.NOTICE,
                words,
                f"/admin/users/{row.id}",
                rules.Perm.USERS,
                {"who": row.name, "no": row.employee_no},
            )
            for row in queries.dormant(uow)
        ),
    )


def bulk_views(uow: UnitOfWork) -> None:
    """Every 15 minutes: who read more than 200 patients within the last hour, outside office hours; what was exported counts."""
    part = rules.off_hours(uow.now)
    if part is None:
        return
    since, until = part
    for user_id, number, name, patients in queries.readers(uow, since, until):
        if patients <= rules.BULK_PATIENTS:
            continue
        words = "%(who)s 在非工作时间一小时内查看或导出了 %(n)s 名患者，请核实。"
        url = f"/audit/access?{urlencode({'who': number, 'until': math.ceil(until.timestamp())})}"
        at = f"{until - timedelta(microseconds=1):%Y%m%d%H}"
        told = alerts.Alert(
            "platform.bulk_view", f"user:{user_id}@{at}", rules.Level.URGENT, words, url, rules.Perm.AUDIT, {"who": name, "n": patients},
            once=True,
        )  # fmt: skip
        alerts.raise_alert(uow, told)


def end_grants(uow: UnitOfWork) -> None:
    """Every minute: accesses whose hours are over are marked so (the session ended by itself at that moment)."""
    over = update(AccessGrant).where(AccessGrant.state == rules.GrantState.APPROVED, AccessGrant.until <= uow.now)
    for (grant_id,) in uow.s.execute(over.values(state=rules.GrantState.ENDED).returning(AccessGrant.id)).all():
        uow.audit("access_grant", grant_id, "expire")
