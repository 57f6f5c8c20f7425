"""The sending half of the outbox: one connection an endpoint, one message at a time, each attempt noted in the database.

A row is claimed (state sent, with a lease) and committed before a byte is sent, so that a sender that dies leaves a trace and the
message goes again under the same MSH-10. No transaction is open while the other side is waited for. Endpoints run beside each
other: a slow system holds up only itself.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select, text, update

from cloud.db.session import Actor, Database, UnitOfWork
from cloud.modules.interfaces import hl7_ack, issues, rules
from cloud.modules.interfaces.endpoints import Outgoing
from cloud.modules.interfaces.models import Delivery, Endpoint
from cloud.modules.interfaces.rules import Outcome, State
from cloud.ports.mllp import MllpClient, SendFailed

log = structlog.get_logger("deliver")
SENDER = Actor("deliver")
LEASE_MARGIN = timedelta(seconds=15)
OK_EVERY = timedelta(seconds=5)

_DUE_ENDPOINTS = text("""
SELECT e.id FROM endpoint e WHERE e.tenant_id = :t AND e.direction = 'out' AND e.enabled AND e.transport = 'mllp'
  AND EXISTS (SELECT 1 FROM delivery d WHERE d.tenant_id = e.tenant_id AND d.endpoint_id = e.id
              AND d.state IN ('pending','retrying','resent','sent') AND d.next_at <= :now)
""")

# The first message that is due and waits for nobody (rules: order); one that waits behind a dead letter holds back nobody itself.
# SKIP LOCKED: another sender has its own.
# The condition on acked and closed repeats what the state lists say, so that the partial indexes serve.
_OPEN = "{a}.state NOT IN ('acked','closed')"
_SAME = f"{{a}}.tenant_id = :t AND {{a}}.endpoint_id = :e AND {{a}}.order_key = d.order_key AND {_OPEN}"
_NEXT = text(f"""
SELECT d.id FROM delivery d
WHERE d.tenant_id = :t AND d.endpoint_id = :e AND {_OPEN.format(a="d")}
  AND d.state IN ('pending','retrying','resent','sent') AND d.next_at <= :now
  AND NOT EXISTS (
    SELECT 1 FROM delivery q WHERE {_SAME.format(a="q")} AND q.id < d.id AND q.state = 'dead_letter' AND q.subject = d.subject)
  AND NOT EXISTS (
    SELECT 1 FROM delivery p
    WHERE {_SAME.format(a="p")} AND p.id < d.id AND p.state IN ('pending','retrying','resent','sent')
      AND NOT EXISTS (SELECT 1 FROM delivery q
                      WHERE {_SAME.format(a="q")} AND q.id < p.id AND q.state = 'dead_letter' AND q.subject = p.subject))
ORDER BY d.id LIMIT 1 FOR UPDATE OF d SKIP LOCKED
""")


@dataclass(frozen=True, slots=True)
class Claim:
    """A message taken for sending."""

    id: int
    msg_id: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """What came of sending it."""

    outcome: Outcome
    code: str | None
    error: str | None


Connect = Callable[[Outgoing], MllpClient]


def connect(to: Outgoing) -> MllpClient:
    """A client for an endpoint; TLS verifies the server against the endpoint's own authority, or the system's."""
    tls = ssl.create_default_context(cadata=to.ca_pem or None) if to.tls else None
    return MllpClient(to.host, to.port, tls=tls, connect_s=to.connect_s, answer_s=to.answer_s)


class Line:
    """One endpoint's connection and its recent luck; used by one thread at a time."""

    def __init__(self, db: Database, tenant_id: int, endpoint_id: int, make: Connect) -> None:
        self._db, self._tenant, self._endpoint, self._make = db, tenant_id, endpoint_id, make
        self._client: MllpClient | None = None
        self._settings: Outgoing | None = None
        self._silent = 0
        self._ok_at: datetime | None = None
        self._failing = True  # after a start, what was put off before is looked at anew
        self.rest_until: datetime | None = None

    def run(self, stop: threading.Event) -> int:
        """Send what is due until nothing is, the endpoint rests, or we stop. Returns how many were accepted."""
        accepted = 0
        with self._db.tenant(self._tenant, SENDER) as uow:
            claim = None if stop.is_set() else self._claim(uow)
        while claim is not None:
            result = self._send(claim)
            accepted += result.outcome is Outcome.ACCEPTED
            # One transaction for the answer to this message and the claim of the next.
            with self._db.tenant(self._tenant, SENDER) as uow:
                self._note(uow, claim, result)
                claim = None if stop.is_set() else self._claim(uow)
        return accepted

    def close(self) -> None:
        """Drop the connection."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def _claim(self, uow: UnitOfWork) -> Claim | None:
        """Take the next message that may go; it is ours once this transaction commits."""
        if self.rest_until is not None and uow.now < self.rest_until:
            return None
        settings = self._read(uow)
        if settings is None:
            return None
        found = uow.s.execute(_NEXT, {"t": uow.tenant_id, "e": self._endpoint, "now": uow.now}).scalar()
        if found is None:
            return None
        row = uow.s.get_one(Delivery, (uow.tenant_id, found))
        rules.move(State(row.state), State.SENT)
        row.state, row.attempts = State.SENT.value, row.attempts + 1
        row.first_try_at = row.first_try_at or uow.now
        row.next_at = uow.now + timedelta(seconds=settings.connect_s + settings.answer_s) + LEASE_MARGIN
        return Claim(row.id, row.msg_id, bytes(row.raw))

    def _read(self, uow: UnitOfWork) -> Outgoing | None:
        """The endpoint's settings now; None when it is switched off or cannot be used. New settings mean a new connection."""
        row = uow.s.get(Endpoint, (uow.tenant_id, self._endpoint))
        if row is None or not row.enabled:
            return None
        try:
            settings = Outgoing.read(row.id, row.code, row.source, row.config)
        except ValueError as error:
            self.rest_until = uow.now + rules.PROBE
            _failed(uow, row.id, f"接口设置有误：{error}")
            return None
        if settings != self._settings:
            self.close()
            self._settings = settings
        return settings

    def _send(self, claim: Claim) -> Result:
        assert self._settings is not None
        wanted = claim.msg_id

        def is_answer(raw: bytes) -> bool:
            answer = hl7_ack.read(raw)
            return answer is not None and answer.control_id == wanted

        try:
            if self._client is None:
                self._client = self._make(self._settings)
            answer = hl7_ack.read(self._client.send(claim.raw, is_answer))
        except SendFailed as error:
            self.close()
            outcome = Outcome.UNREACHABLE if error.reason in ("connect", "tls") else Outcome.SILENT
            return Result(outcome, None, str(error)[:500])
        except (OSError, ValueError) as error:  # a certificate that cannot be read, an address that is none
            self.close()
            return Result(Outcome.UNREACHABLE, None, f"{type(error).__name__}: {error}"[:500])
        code = answer.code if answer is not None else None
        outcome = rules.judge(code, answer.control_id if answer is not None else None, wanted)
        said = f"{code} {answer.text}".strip() if answer is not None else ""
        return Result(outcome, code, None if outcome is Outcome.ACCEPTED else said[:500])

    def _note(self, uow: UnitOfWork, claim: Claim, result: Result) -> None:
        row = uow.s.get_one(Delivery, (uow.tenant_id, claim.id), with_for_update=True)
        if State(row.state) is State.SENT:
            _finish(uow, row, result)
        self._weigh(uow, result, row.next_at)
        uow.s.flush()

    def _weigh(self, uow: UnitOfWork, result: Result, next_at: datetime) -> None:
        """What the attempt says about the endpoint itself."""
        answered = result.outcome not in (Outcome.SILENT, Outcome.UNREACHABLE)
        self._silent = 0 if answered else self._silent + 1
        if result.outcome is Outcome.UNREACHABLE:
            self.rest_until = next_at
        elif self._silent >= rules.SILENT_IN_A_ROW:
            self.rest_until = uow.now + rules.PROBE
        if result.error is not None:
            _failed(uow, self._endpoint, result.error)
        if answered and (self._failing or self._ok_at is None or uow.now - self._ok_at >= OK_EVERY):
            self._ok_at = uow.now
            uow.s.execute(update(Endpoint).where(Endpoint.id == self._endpoint).values(last_ok_at=uow.now))
        if answered and self._failing:
            _wake(uow, self._endpoint)
        self._failing = not answered


def _finish(uow: UnitOfWork, row: Delivery, result: Result) -> None:
    after = rules.after_attempt(result.outcome, row.attempts, row.first_try_at or uow.now, uow.now, result.error)
    row.state, row.error, row.ack_code = after.state.value, after.error, result.code
    row.next_at = after.next_at or row.next_at
    if after.state is State.ACKED:
        row.acked_at = uow.now
        issues.settle(uow, issues.DEAD_LETTER, f"delivery:{row.id}", "已送达")
    elif after.state is State.DEAD_LETTER:
        text_ = f"{row.kind} {row.subject} 未能送达：{after.error or '超过 24 小时无应答'}"
        issues.raise_issue(uow, issues.DEAD_LETTER, f"delivery:{row.id}", text_, f"/if/messages/out/{row.id}", ticket=True)
    if after.state is not State.RETRYING:
        uow.audit("delivery", row.id, after.state.value, before={"state": "sent"}, after={"state": after.state.value}, reason=after.error)


def _failed(uow: UnitOfWork, endpoint_id: int, error: str) -> None:
    uow.s.execute(update(Endpoint).where(Endpoint.id == endpoint_id).values(last_error_at=uow.now, last_error=error[:500]))


def _wake(uow: UnitOfWork, endpoint_id: int) -> None:
    """The system answers again: whatever was put off only because it did not, is due now."""
    silent = select(Delivery.id).where(
        Delivery.endpoint_id == endpoint_id, Delivery.state == "retrying", Delivery.ack_code.is_(None), Delivery.next_at > uow.now
    )
    uow.s.execute(update(Delivery).where(Delivery.id.in_(silent)).values(next_at=uow.now))


class Deliverer:
    """All endpoints of all hospitals, each sent to by at most one thread of this process."""

    def __init__(self, db: Database, make: Connect = connect, threads: int = 16) -> None:
        self._db, self._make = db, make
        self._lock = threading.Lock()
        self._lines: dict[tuple[int, int], Line] = {}
        self._busy: set[tuple[int, int]] = set()
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="deliver")

    def deliver_due(self, tenant_id: int) -> None:
        """Start sending for every endpoint of a hospital that has something due and is not being sent to. Does not wait."""
        for endpoint_id in self._due(tenant_id):
            key = (tenant_id, endpoint_id)
            with self._lock:
                if key in self._busy or self._stop.is_set():
                    continue
                self._busy.add(key)
            self._pool.submit(self._work, key)

    def drain(self, tenant_id: int) -> int:
        """Send what is due, endpoint after endpoint, in this thread; returns how many were accepted (for tests and commands)."""
        return sum(self._line((tenant_id, endpoint_id)).run(self._stop) for endpoint_id in self._due(tenant_id))

    def close(self) -> None:
        """Finish the messages under way and drop all connections."""
        self._stop.set()
        self._pool.shutdown(wait=True)
        for line in self._lines.values():
            line.close()

    def _due(self, tenant_id: int) -> list[int]:
        with self._db.tenant(tenant_id, SENDER) as uow:
            found: list[Any] = list(uow.s.execute(_DUE_ENDPOINTS, {"t": tenant_id, "now": uow.now}).scalars())
        return [int(f) for f in found]

    def _line(self, key: tuple[int, int]) -> Line:
        with self._lock:
            if key not in self._lines:
                self._lines[key] = Line(self._db, *key, self._make)
            return self._lines[key]

    def _work(self, key: tuple[int, int]) -> None:
        try:
            self._line(key).run(self._stop)
        except Exception as error:
            log.warning("delivery_failed", tenant=key[0], endpoint=key[1], error=f"{type(error).__name__}: {error}"[:300])
        finally:
            with self._lock:
                self._busy.discard(key)
