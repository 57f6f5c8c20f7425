"""A critical value that does not stand any more: corrected, recalled, cancelled since it was found (M09 R4, M10 R9).

Whose call is still to be made need not be told a wrong value: it ends with the reason. Who was told must learn of it: an alert stands
until somebody of the laboratory has called them.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.critical import queries, rules, veil
from cloud.modules.critical.detect import again
from cloud.modules.critical.models import CriticalAttempt, CriticalEvent
from cloud.modules.critical.rules import Channel, Perm, Result, State
from cloud.modules.platform import alerts
from cloud.modules.platform.alerts import Alert, Level
from common.errors import UserError
from common.say import say

LOOK_BACK = timedelta(days=30)
_GONE = text("""
SELECT e.id FROM critical_event e JOIN test t ON t.tenant_id = e.tenant_id AND t.id = e.test_id
LEFT JOIN result_version v ON v.tenant_id = t.tenant_id AND v.id = t.current_id
WHERE e.tenant_id = :t AND e.found_at > :since AND e.state = ANY(:told) AND (t.state IN ('recalled', 'cancelled') OR NOT v.critical)
ORDER BY e.id DESC
""")
# Newest of their tests, and still critical: what rests on a call that does not stand, and what was taken back and stands again.
_AGAIN = text("""
SELECT e.id FROM critical_event e JOIN test t ON t.tenant_id = e.tenant_id AND t.id = e.test_id
JOIN result_version v ON v.tenant_id = t.tenant_id AND v.id = t.current_id
WHERE e.tenant_id = :t AND e.found_at > :since AND v.critical AND t.state NOT IN ('recalled', 'cancelled')
  AND NOT EXISTS (SELECT 1 FROM critical_event n WHERE n.tenant_id = e.tenant_id AND n.test_id = e.test_id AND n.round > e.round)
  AND (e.repeat_of = ANY(:gone) AND e.state = ANY(:waits)
       OR e.state = ANY(:told) AND EXISTS (SELECT 1 FROM critical_attempt a
          WHERE a.tenant_id = e.tenant_id AND a.event_id = e.id AND a.outcome = 'corrected'))
ORDER BY e.id
""")


def watch(uow: UnitOfWork) -> None:
    """Calendar job: who was told a value that does not stand, and has not been told so; and what this call covered is told by itself."""
    given = {"t": uow.tenant_id, "since": uow.now - LOOK_BACK, "told": [s.value for s in rules.TOLD]}
    gone = uow.s.execute(_GONE, given).scalars().all()
    waits = [s.value for s in (State.MERGED, *rules.UNTOLD)]
    ids = uow.s.execute(_AGAIN, given | {"gone": list(gone), "waits": waits}).scalars().all()
    query = select(CriticalEvent).where(CriticalEvent.id.in_(ids)).order_by(CriticalEvent.id).with_for_update()
    again(uow, uow.s.execute(query).scalars().all() if ids else [])
    found = [line for line in queries.of_ids(uow, gone) if line.stands is not None and not line.corrected]
    alerts.sync(uow, "critical.corrected", [_alert(uow, line.event) for line in found])


def _alert(uow: UnitOfWork, event: CriticalEvent) -> Alert:
    message = "危急值已告知 %(to)s，之后结果更正或召回，请立即告知对方：%(name)s %(item)s"
    item = veil.HIDDEN if veil.is_sensitive(uow, event) else event.item_name
    fields = {"to": event.received_by or event.place, "name": event.patient_name, "item": item}
    subject, url = f"event:{event.id}", f"/critical/phone/{event.id}"
    return Alert("critical.corrected", subject, Level.URGENT, message, url, Perm.HANDLE, fields, at=places.code(uow, event.section_id))


def tell(uow: UnitOfWork, event_id: int, whom: str) -> None:
    """Who was told the value has been told that it does not stand. UserErrors: not_found, conflict, invalid."""
    uow.s.execute(select(CriticalEvent.id).where(CriticalEvent.id == event_id).with_for_update())
    line = queries.one(uow, event_id)
    if line is None:
        raise UserError("not_found", say("该危急值不存在，请核对后重试。"))
    if line.stands is None or State(line.event.state) not in rules.TOLD:
        raise UserError("conflict", say("该危急值的结果没有更正，不必再告知。"))
    if not whom.strip():
        raise UserError("invalid", say("请写明告知了谁，例如 8101 王护士。"), field="whom")
    who, at = uow.actor, uow.now
    uow.s.add(
        CriticalAttempt(
            event_id=event_id, at=at, by_id=who.user_id, by_name=who.name, channel=Channel.PHONE.value, receiver=whom.strip()[:80],
            readback=line.now, ok=True, outcome=Result.CORRECTED.value, note=line.stands,
        )
    )  # fmt: skip
    alerts.clear(uow, "critical.corrected", f"event:{event_id}")
    uow.audit("critical", event_id, "corrected_told", after={"whom": whom.strip()[:80], "now": line.now}, reason=line.stands)
    uow.notify("critical", {})
