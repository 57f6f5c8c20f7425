"""What goes out with a transaction, in one statement at its end: events, access log, notices, audit entries.

A round trip costs more than the rows. The audit function takes the chain's lock, so this is the last statement before COMMIT.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

_EVENTS = """
INSERT INTO outbox_event (tenant_id, topic, key, payload, at)
SELECT :t, e.topic, e.key, e.payload, :now
FROM ROWS FROM (jsonb_to_recordset(CAST(:events AS jsonb)) AS (topic text, key text, payload jsonb))
     WITH ORDINALITY AS e(topic, key, payload, n)
ORDER BY e.n
"""
_LOOKS = """
INSERT INTO access_log (tenant_id, at, user_id, actor, patient_id, purpose, path, request_id)
SELECT :t, :now, l.user_id, l.actor, l.patient_id, l.purpose, l.path, l.request_id
FROM jsonb_to_recordset(CAST(:looks AS jsonb))
     AS l(user_id bigint, actor text, patient_id bigint, purpose text, path text, request_id text)
"""
_NOTIFY = "(SELECT count(*) FROM unnest(CAST(:channels AS text[]), CAST(:bodies AS text[])) AS n(c, b), LATERAL pg_notify(n.c, n.b))"
_AUDIT = "audit_append(CAST(:entries AS jsonb))"


@dataclass
class Closing:
    """Collected while a unit of work runs."""

    events: list[dict[str, Any]] = field(default_factory=list)
    looks: list[dict[str, Any]] = field(default_factory=list)
    notices: dict[tuple[str, str], None] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)

    def write(self, session: Session, tenant_id: int, now: datetime) -> None:
        """Write what there is; nothing when there is nothing."""
        inserts = [sql for sql, rows in ((_EVENTS, self.events), (_LOOKS, self.looks)) if rows]
        told = [sql for sql, rows in ((_NOTIFY, self.notices), (_AUDIT, self.entries)) if rows]
        if not inserts and not told:
            return
        params: dict[str, Any] = {"t": tenant_id, "now": now}
        if self.events:
            params["events"] = json.dumps(self.events, ensure_ascii=False)
        if self.looks:
            params["looks"] = json.dumps(self.looks, ensure_ascii=False)
        if self.notices:
            params["channels"], params["bodies"] = [c for c, _ in self.notices], [b for _, b in self.notices]
        if self.entries:
            params["entries"] = json.dumps(self.entries, ensure_ascii=False, default=str)
        session.execute(text(_statement(inserts, told)), params)


def _statement(inserts: list[str], told: list[str]) -> str:
    """Inserts before the last (or the only) part as WITH terms: PostgreSQL runs them to their end, read or not."""
    last = f"SELECT {', '.join(told)}" if told else inserts.pop()
    return (f"WITH {', '.join(f'w{n} AS ({sql})' for n, sql in enumerate(inserts))} " if inserts else "") + last
