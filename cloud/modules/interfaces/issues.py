"""What a person must look at: opened once a thing, counted when it comes again, closed by a person or by the cure."""

from __future__ import annotations

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.interfaces.models import InterfaceIssue

UNMAPPED, QUARANTINED, DEAD_LETTER, LATE = "unmapped", "quarantined", "dead_letter", "late"
KINDS = {UNMAPPED: "项目未对照", QUARANTINED: "消息被隔离", DEAD_LETTER: "投递失败", LATE: "投递滞后"}

_OPEN = text("""
INSERT INTO interface_issue (tenant_id, kind, key, text, link, opened_at, seen_at, count)
VALUES (:t, :kind, :key, :text, :link, :now, :now, 1)
ON CONFLICT (tenant_id, kind, key) WHERE closed_at IS NULL
DO UPDATE SET count = interface_issue.count + 1, seen_at = excluded.seen_at, text = excluded.text
RETURNING id, count
""")


def raise_issue(uow: UnitOfWork, kind: str, key: str, text: str, link: str = "", *, ticket: bool = False) -> None:
    """Open it, or count one more. ``ticket``: a new one opens a ticket at the service desk (M26) too."""
    uow.s.flush()
    values = {"t": uow.tenant_id, "kind": kind, "key": key, "text": text, "link": link, "now": uow.now}
    issue_id, count = uow.s.execute(_OPEN, values).one()
    if count == 1:
        uow.audit("interface_issue", issue_id, "opened", after={"kind": kind, "key": key, "text": text})
        if ticket:
            uow.emit(
                "ticket.open", f"issue:{kind}:{key}", {"issue_id": issue_id, "title": f"{KINDS[kind]}：{text}", "category": "interface"}
            )


def settle(uow: UnitOfWork, kind: str, key: str, reason: str) -> bool:
    """Close the open issue of a thing, if there is one."""
    query = select(InterfaceIssue).where(InterfaceIssue.kind == kind, InterfaceIssue.key == key, InterfaceIssue.closed_at.is_(None))
    row = uow.s.scalars(query.with_for_update()).one_or_none()
    if row is None:
        return False
    row.closed_at, row.closed_by, row.close_reason = uow.now, uow.actor.name, reason
    uow.audit("interface_issue", row.id, "closed", before={"open": True}, after={"open": False}, reason=reason)
    return True
