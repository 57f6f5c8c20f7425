"""One alert facility for every module: raise, clear, acknowledge. The top bar counts what is open for the person.

An alert is told by ``kind`` ('edge.offline') and ``subject`` ('connection:12'). Raising what is open already changes its words at
most; an acknowledged one stays quiet until it gets worse (a higher level) or its cause goes and comes back. Words are a message of
the module's ``en.po`` with ``%(name)s`` fields (values, sentences of ``say``, lists of them), so that each reader gets the own language.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, and_, case, false, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from cloud.db.session import UnitOfWork
from cloud.modules.platform import models, rules
from cloud.modules.platform.rules import Level as Level
from cloud.web.faults import Conflict, Invalid, NotFound
from common.say import kept

PAGE = 100
CLEARED_SHOWN = timedelta(days=7)


@dataclass(frozen=True)
class Alert:
    """What a module tells: ``permission`` is who may see it, ``url`` where the matter is dealt with."""

    kind: str
    subject: str
    level: Level
    message: str
    url: str
    permission: str
    fields: dict[str, Any] = field(default_factory=dict)
    once: bool = False
    """Something that happened rather than something that is: acknowledging ends it."""
    place: str = ""
    """A ward's or department's own matter: people of other wards do not see it."""
    at: tuple[str, ...] = ()
    """Sections and wards it is about: whose right counts at other places only does not see it (M01). None: everybody's."""


def raise_alert(uow: UnitOfWork, alert: Alert) -> None:
    """Open the alert, or bring the open one up to date; only an opening or a rise of level is audited and told to open pages."""
    t = models.Alert
    if alert.once and uow.s.execute(select(t.id).where(t.kind == alert.kind, t.subject == alert.subject).limit(1)).first():
        return
    fields = {name: kept(value) for name, value in alert.fields.items()}
    values = {
        "tenant_id": uow.tenant_id,
        "kind": alert.kind,
        "subject": alert.subject,
        "level": alert.level,
        "message": alert.message,
        "fields": fields,
        "url": alert.url,
        "permission": str(alert.permission),
        "raised_at": uow.now,
        "once": alert.once,
        "place": alert.place,
        "at": list(alert.at),
    }
    before = uow.s.execute(select(t.id, t.level).where(t.kind == alert.kind, t.subject == alert.subject, t.cleared_at.is_(None))).first()
    worse = before is not None and alert.level > Level(before.level)
    new = {"level": alert.level, "message": alert.message, "fields": fields, "url": alert.url, "at": list(alert.at)}
    if worse:
        new |= {"acknowledged_at": None, "acknowledged_by": None}
    uow.s.execute(
        insert(t)
        .values(**values)
        .on_conflict_do_update(index_elements=[t.tenant_id, t.kind, t.subject], index_where=t.cleared_at.is_(None), set_=new)
    )
    if before is None or worse:
        uow.audit("alert", f"{alert.kind}/{alert.subject}", "raise", after={"level": alert.level, "message": alert.message})
        uow.notify("alert", {})


def clear(uow: UnitOfWork, kind: str, subject: str) -> None:
    """The cause is gone; nothing happens when nothing was open."""
    _clear(uow, kind, [subject])


def sync(uow: UnitOfWork, kind: str, found: Iterable[Alert]) -> None:
    """What a calendar job found now is open, what it did not find any more is cleared."""
    alerts = {a.subject: a for a in found}
    t = models.Alert
    gone = [s for (s,) in uow.s.execute(select(t.subject).where(t.kind == kind, t.cleared_at.is_(None))) if s not in alerts]
    for alert in alerts.values():
        raise_alert(uow, alert)
    _clear(uow, kind, gone)


def _clear(uow: UnitOfWork, kind: str, subjects: Sequence[str]) -> None:
    if not subjects:
        return
    t = models.Alert
    query = update(t).where(t.kind == kind, t.subject.in_(subjects), t.cleared_at.is_(None)).values(cleared_at=uow.now)
    for (subject,) in uow.s.execute(query.returning(t.subject)).all():
        uow.audit("alert", f"{kind}/{subject}", "clear")
        uow.notify("alert", {})


NOWHERE: frozenset[str] = frozenset()
Bounds = Mapping[str, tuple[frozenset[str], frozenset[str]]]
"""Permission → sections and wards where it counts, as ``Principal.bounds`` has it."""
EVERYWHERE: Bounds = MappingProxyType({})


def within_reach(uow: UnitOfWork, permissions: Collection[str]) -> Bounds:
    """The bounds of the person at work, for a page that shows alerts by a right of its own."""
    reach = uow.actor.reach
    return EVERYWHERE if reach is None else dict.fromkeys(permissions, (reach.sections, reach.wards))


def _mine(permissions: frozenset[str], wards: frozenset[str], bounds: Bounds) -> ColumnElement[bool]:
    """What this person may see: by permission, where that counts for the person, and of wards' own matters those of the own wards
    (nobody's wards: all)."""
    t = models.Alert
    there = dict[frozenset[str], set[str]]()
    for permission in permissions:
        sections, own_wards = bounds.get(permission, (NOWHERE, NOWHERE))
        there.setdefault(sections | own_wards if sections else NOWHERE, set()).add(permission)
    ways = [
        and_(t.permission.in_(held), or_(t.at == [], t.at.overlap(sorted(places)))) if places else t.permission.in_(held)
        for places, held in there.items()
    ]
    allowed = or_(false(), *ways)
    return and_(allowed, or_(t.place == "", t.place.in_(wards))) if wards else allowed


def acknowledge(
    uow: UnitOfWork, alert_id: int, permissions: frozenset[str], note: str, wards: frozenset[str] = NOWHERE, bounds: Bounds = EVERYWHERE
) -> models.Alert:
    """A person takes it on, with a word on what is done. NotFound for what this person may not see."""
    query = select(models.Alert).where(models.Alert.id == alert_id, _mine(permissions, wards, bounds)).with_for_update()
    row = uow.s.execute(query).scalar_one_or_none()
    if row is None:
        raise NotFound("这条提醒")
    if row.cleared_at is not None:
        raise Conflict("这条提醒的原因已经消除，不必再确认。")
    if row.acknowledged_at is not None:
        raise Conflict("这条提醒已有人确认。")
    if not note.strip():
        raise Invalid("请写明已经怎样处理或交给了谁。", "note")
    row.acknowledged_at, row.acknowledged_by, row.acknowledged_by_id = uow.now, uow.actor.name, uow.actor.user_id
    row.note = note.strip()[:500]
    if row.once:
        row.cleared_at = uow.now
    uow.audit("alert", f"{row.kind}/{row.subject}", "acknowledge", after={"note": row.note})
    uow.notify("alert", {})
    return row


def counts(uow: UnitOfWork, permissions: frozenset[str], wards: frozenset[str] = NOWHERE, bounds: Bounds = EVERYWHERE) -> tuple[int, int]:
    """Open and not yet acknowledged for this person: all, and of them the urgent ones."""
    t = models.Alert
    urgent = func.count(case((t.level >= Level.URGENT, 1)))
    query = select(func.count(), urgent).where(t.cleared_at.is_(None), t.acknowledged_at.is_(None), _mine(permissions, wards, bounds))
    total, serious = uow.s.execute(query).one()
    return int(total), int(serious)


def visible(
    uow: UnitOfWork,
    permissions: frozenset[str],
    wards: frozenset[str] = NOWHERE,
    bounds: Bounds = EVERYWHERE,
    *,
    roles: Collection[str] = (),
    cleared: bool = False,
    before: int | None = None,
    kind: str = "",
) -> Sequence[models.Alert]:
    """A page of what this person may see: open ones by level, then what the roles act on, then age; or those cleared within a week,
    newest first."""
    t = models.Alert
    query = select(t).where(_mine(permissions, wards, bounds), *([t.kind == kind] if kind else []))
    if cleared:
        query = query.where(t.cleared_at >= uow.now - CLEARED_SHOWN).order_by(t.id.desc())
        query = query.where(t.id < before) if before else query
    else:
        rank = {family: n for n, family in enumerate(rules.first_families(roles))}
        family = func.split_part(t.kind, ".", 1)
        order = case(rank, value=family, else_=len(rank)) if rank else literal(0)
        query = query.where(t.cleared_at.is_(None)).order_by(t.acknowledged_at.is_not(None), t.level.desc(), order, t.raised_at, t.id)
    return uow.s.execute(query.limit(PAGE)).scalars().all()


def history(
    uow: UnitOfWork, prefix: str, permissions: frozenset[str], since: datetime, bounds: Bounds = EVERYWHERE
) -> Sequence[models.Alert]:
    """All of a module's alerts that were open at some time since then, the newest first."""
    t = models.Alert
    query = select(t).where(t.kind.startswith(prefix, autoescape=True), _mine(permissions, NOWHERE, bounds))
    return uow.s.execute(query.where(or_(t.cleared_at.is_(None), t.cleared_at > since)).order_by(t.id.desc())).scalars().all()


def held_by(uow: UnitOfWork, user_id: int) -> Sequence[models.Alert]:
    """Open alerts this person took on: what a leaver must hand over."""
    t = models.Alert
    return uow.s.execute(select(t).where(t.acknowledged_by_id == user_id, t.cleared_at.is_(None)).order_by(t.id)).scalars().all()


def hand_over(uow: UnitOfWork, user_id: int, to_id: int, to_name: str) -> int:
    """Everything open of one person becomes another's; returns how many."""
    rows = held_by(uow, user_id)
    for row in rows:
        uow.audit("alert", f"{row.kind}/{row.subject}", "hand_over", before={"by": row.acknowledged_by}, after={"by": to_name})
        row.acknowledged_by_id, row.acknowledged_by = to_id, to_name
    return len(rows)


__all__ = ["Alert", "Level", "acknowledge", "clear", "counts", "hand_over", "held_by", "history", "raise_alert", "sync", "visible"]
