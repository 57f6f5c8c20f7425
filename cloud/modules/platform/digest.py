"""The morning digest (automation calendar, 08:00): one message a person and day of all open alerts that are theirs, kept in the house and,
where the hospital's WeChat-Work application is set up and the person's account on record, told there.

A day's digest is made in one transaction under a mark of the day: a worker started again finds the mark and makes nothing twice. What was
sent to WeChat-Work while the worker died is sent again with the same words, and left out there by its own check for doubles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert

from cloud.db.session import UnitOfWork
from cloud.modules.platform import identity, rules, wework
from cloud.modules.platform.digest_rules import KEPT, Line, Matter, Reader, again, counted, due, lines
from cloud.modules.platform.models import Alert, Digest, User
from cloud.modules.platform.rules import Level
from cloud.ports import wework as port
from common.errors import PeerError

AT_ONCE = 20

_PEOPLE = text("""
SELECT u.id AS user_id, u.sections, u.wards, u.wework_id IS NOT NULL AS bound, bool_or(ur.scope <> 'tenant') AS bounded,
  array_agg(DISTINCT r.code) AS roles, array_agg(DISTINCT p.permission) AS permissions
FROM app_user u
JOIN user_role ur ON ur.tenant_id = u.tenant_id AND ur.user_id = u.id
JOIN role r ON r.tenant_id = ur.tenant_id AND r.id = ur.role_id
JOIN role_permission p ON p.tenant_id = r.tenant_id AND p.role_id = r.id
WHERE u.tenant_id = :t AND u.status = 'active' AND u.valid_until IS NULL
GROUP BY u.tenant_id, u.id
""")


def make(uow: UnitOfWork) -> int:
    """Calendar, 08:00: write each person's digest of the day; how many people have one."""
    today = uow.now.astimezone(rules.ZONE).date()
    if not due(uow.now, made=uow.s.execute(select(Digest.id).where(Digest.day == today).limit(1)).first() is not None):
        return 0
    uow.s.execute(delete(Digest).where(Digest.day < today - KEPT))
    matters = _open(uow)
    outside = wework.ready(uow)
    same = {"tenant_id": uow.tenant_id, "day": today, "made_at": uow.now}
    # The mark of the day, also of one on which nothing is open.
    rows: list[dict[str, Any]] = [{**same, "user_id": None, "lines": [], "next_at": None}]
    for person in uow.s.execute(_PEOPLE, {"t": uow.tenant_id}):
        bounds = identity.bounds_of(uow, person) if person.bounded else {}
        held = frozenset(bounds) if bounds else frozenset(person.permissions)
        told = lines(matters, Reader(held, frozenset(person.roles), frozenset(person.wards), bounds))
        if told:
            next_at = uow.now if outside and person.bound else None
            rows.append({**same, "user_id": person.user_id, "lines": [asdict(line) for line in told], "next_at": next_at})
    uow.s.execute(insert(Digest).on_conflict_do_nothing(), rows)
    uow.audit("digest", today.isoformat(), "make", after={"people": len(rows) - 1})
    return len(rows) - 1


def _open(uow: UnitOfWork) -> list[Matter]:
    """What nobody has taken on; a thing that is in work is not news."""
    query = select(Alert).where(Alert.cleared_at.is_(None), Alert.acknowledged_at.is_(None)).order_by(Alert.raised_at, Alert.id)
    found = uow.s.execute(query).scalars()
    return [Matter(a.kind, Level(a.level), a.url, a.permission, a.message, a.fields, a.place, frozenset(a.at)) for a in found]


def send(uow: UnitOfWork) -> int:
    """Job, each minute: what waits for WeChat-Work goes out; how many went. After one that found nobody there the round is over."""
    query = select(Digest).where(Digest.next_at <= uow.now).order_by(Digest.next_at, Digest.id).limit(AT_ONCE)
    went = 0
    for row in uow.s.execute(query.with_for_update(skip_locked=True)).scalars().all():
        app, to = wework.current(uow), uow.s.execute(select(User.wework_id).where(User.id == row.user_id)).scalar()
        if app is None or not to:
            row.next_at, row.problem = None, "企业微信未配置或未登记"
            continue
        try:
            port.tell(app.app, to, _words(app.base_url, row))
        except PeerError as error:
            row.tries, row.problem = row.tries + 1, str(error.message)[:200]
            row.next_at = again(row.tries, uow.now) if error.code != "wework_refused" else None
            uow.audit("digest", row.id, "unsent", after={"tries": row.tries}, reason=row.problem)
            if error.code != "wework_refused":
                break
            continue
        row.sent_at, row.next_at, row.problem, went = uow.now, None, "", went + 1
        uow.audit("digest", row.id, "sent", after={"user": row.user_id})
    return went


def _words(base_url: str, row: Digest) -> str:
    """Only how many, never of whom: it leaves the house."""
    kinds, urgent = counted(of(row))
    link = f"{base_url}/me/digest?day={row.day.isoformat()}"
    words = f"【检联】{row.day.month}月{row.day.day}日有 {kinds} 类事等您处理，其中紧急 {urgent} 类。"
    return f'{words}\n<a href="{link}">打开今日摘要</a>'


# --- for its reader -------------------------------------------------------------------------------------------------


def of(row: Digest) -> list[Line]:
    """The lines as they were told."""
    return [Line(**{**each, "level": Level(each["level"])}) for each in row.lines]


def days(uow: UnitOfWork, user_id: int) -> Sequence[Digest]:
    """A person's digests, the newest first."""
    return uow.s.execute(select(Digest).where(Digest.user_id == user_id).order_by(Digest.day.desc()).limit(KEPT.days)).scalars().all()


def unread(uow: UnitOfWork, user_id: int) -> int:
    """How many lines of today's wait to be read."""
    today = uow.now.astimezone(rules.ZONE).date()
    query = select(Digest.lines).where(Digest.user_id == user_id, Digest.day == today, Digest.read_at.is_(None))
    return len(uow.s.execute(query).scalar() or ())


def read(uow: UnitOfWork, user_id: int, day: date | None) -> tuple[Digest | None, Sequence[Digest]]:
    """The digest of a day (none said: the newest), read by this, and all there are."""
    all_of = days(uow, user_id)
    row = next((each for each in all_of if day is None or each.day == day), None)
    if row is not None and row.read_at is None:
        row.read_at = uow.now
    return row, all_of
