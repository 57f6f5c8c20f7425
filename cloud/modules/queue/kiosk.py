"""The kiosk's door: what a registered agent asks for its patient, as one signed envelope over HTTPS; answers are plain JSON.

The tenant comes from the registered certificate's owner, never from what the body says; a body that was signed by nobody we know gets
one same refusal. Asking again with the same ``ticket_key`` gives the same ticket.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from cloud.db.session import Actor, Database, UnitOfWork
from cloud.modules.platform import service as platform
from cloud.modules.queue import queries, rules, service
from cloud.modules.queue.rules import Klass
from common import crypto, envelope
from common.errors import PeerError, UserError

CLOCK = timedelta(minutes=15)


class Refused(PeerError):
    """Not let in; the reason goes to the log, not to the asker."""


def answer(db: Database, data: bytes, ip: str) -> dict[str, Any]:
    """Handle one signed question. Raises Refused for a sender we do not know, UserError for what the patient must be told."""
    try:
        sealed = envelope.parse(data)
    except PeerError as error:
        raise Refused("kiosk_unreadable", error.message) from error
    header = sealed.header
    with db.registry() as s:
        tenant = platform.find_tenant(s, header.tenant, "")
    if tenant is None or header.kind != "ticket":
        raise Refused("kiosk_unknown")
    with db.tenant(tenant.id, Actor(f"kiosk:{header.agent[:36]}", ip=ip)) as uow:
        _admit(uow, sealed)
        return _handle(uow, header.agent, sealed.json())


def _admit(uow: UnitOfWork, sealed: envelope.Envelope) -> None:
    agent = queries.kiosk_agent(uow, sealed.header.agent)
    if agent is None or agent.state != "enrolled" or agent.certificate is None:
        raise Refused("kiosk_unknown")
    key = crypto.certificate_key(crypto.load_certificate(agent.certificate.encode()))
    if not envelope.verify(sealed, key):
        raise Refused("kiosk_signature")
    if agent.kiosk is None:
        raise Refused("kiosk_not_set_up")
    try:
        at = datetime.fromisoformat(sealed.header.at)
        late = abs(uow.now - at) > CLOCK
    except (ValueError, TypeError) as error:
        raise Refused("kiosk_clock") from error
    if late:
        raise Refused("kiosk_clock", "the kiosk's clock differs by more than 15 minutes")


def _handle(uow: UnitOfWork, agent: str, body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Refused("kiosk_shape")
    if body.get("do") == "checkin":
        return _check_in(uow, body)
    if body.get("do") == "recognise":
        return _recognise(uow, body)
    if body.get("do") == "lease":
        return _lease(uow, agent, body)
    raise Refused("kiosk_shape")


def _texts(body: dict[str, Any], *names: str) -> list[str]:
    found = [str(body.get(name) or "") for name in names]
    if not all(found) or max(map(len, found)) > 64:
        raise UserError("invalid", "请扫卡或输入卡号。")
    return found


def _recognise(uow: UnitOfWork, body: dict[str, Any]) -> dict[str, Any]:
    code, hall = _texts(body, "code", "hall")
    name, has_number = service.recognise(uow, code, hall)
    return {"name": rules.mask(name), "has_number": has_number}


def _check_in(uow: UnitOfWork, body: dict[str, Any]) -> dict[str, Any]:
    code, hall, key = _texts(body, "code", "hall", "ticket_key")
    answers = body.get("answers")
    found = service.check_in(uow, code, hall, ticket_key=key, answers=answers if isinstance(answers, dict) else None)
    ticket = found.ticket
    return {
        "no": ticket.no,
        "code": found.code,
        "class_name": rules.KLASS_WORDS[Klass(ticket.klass)],
        "service": rules.SERVICE_WORDS.get(ticket.service, ticket.service),
        "name": rules.mask(found.name),
        "ahead": found.ahead,
        "eta": found.eta,
        "repeated": found.repeated,
        "at": ticket.checkin_at.isoformat(),
    }


def _lease(uow: UnitOfWork, agent: str, body: dict[str, Any]) -> dict[str, Any]:
    """Blocks belong to the agent that signed, whatever it calls its kiosk: two of one name must not share numbers."""
    hall, have = str(body.get("hall") or ""), body.get("have")
    if not hall or not isinstance(have, dict):
        raise Refused("kiosk_shape")
    kept = {str(day): [n for n in firsts if isinstance(n, int)] for day, firsts in have.items() if isinstance(firsts, list)}
    site, name = service.hospital(uow)
    return {"hospital": name, "site": site, "days": service.lease(uow, hall[:32], agent, kept, bool(body.get("more")))}
