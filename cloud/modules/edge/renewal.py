"""A certificate for the next year, without a visit: the agent asks at two thirds of its life, signed with the key we know (F19).

A certificate that has ended is no obstacle (the lab PC was off for months): the key and the registration count. A revoked agent is
refused. The key stays, so nothing on its way is signed by the wrong one; every certificate issued is remembered for revocation.
"""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import select, text

from cloud.config import Settings
from cloud.db.session import Actor, Database, UnitOfWork
from cloud.modules.edge.enrolment import AGENT_ACTOR, REGISTRY, authority, cloud_public_key, public_broker
from cloud.modules.edge.models import Agent, AgentCertificate
from cloud.modules.edge.rules import AgentState
from common import crypto, envelope
from common.errors import PeerError

log = structlog.get_logger("edge")


class Refused(PeerError):
    """Not let in; the reason goes to the log, not to the asker."""


def sender(db: Database, data: bytes, kind: str) -> tuple[int, envelope.Envelope]:
    """Which hospital's agent signed this envelope of ours; verified by the registered key. Raises Refused."""
    try:
        sealed = envelope.parse(data)
    except PeerError as error:
        raise Refused("unreadable", error.message) from error
    with db.registry() as s:
        tenant = s.scalar(text("SELECT id FROM tenant WHERE code = :c AND status <> 'closed'"), {"c": sealed.header.tenant})
    if tenant is None or sealed.header.kind != kind:
        raise Refused("unknown", "no such hospital or another kind")
    with db.tenant(int(tenant)) as uow:
        agent = _agent(uow, sealed.header.agent)
        if agent is None or agent.state != AgentState.ENROLLED or agent.certificate is None:
            raise Refused("unknown", "not an enrolled agent")
        if not envelope.verify(sealed, crypto.certificate_key(crypto.load_certificate(agent.certificate.encode()))):
            raise Refused("signature", "not signed by the registered key")
    return int(tenant), sealed


def renew(db: Database, settings: Settings, data: bytes, ip: str) -> dict[str, Any]:
    """Issue the next certificate. Raises Refused, UserError where this process has no CA."""
    tenant_id, sealed = sender(db, data, "renew")
    ca = authority(settings)
    with db.tenant(tenant_id, Actor(AGENT_ACTOR, ip=ip)) as uow:
        agent = _agent(uow, sealed.header.agent, lock=True)
        if agent is None or agent.state != AgentState.ENROLLED or agent.certificate is None:
            raise Refused("unknown", "not an enrolled agent")
        try:
            csr = str(sealed.json()["csr"]).encode()
            same = crypto.csr_key(csr)
        except (PeerError, KeyError, TypeError) as error:
            raise Refused("csr", "no signing request") from error
        if crypto.public_pem(same) != crypto.public_pem(crypto.certificate_key(crypto.load_certificate(agent.certificate.encode()))):
            raise Refused("csr", "a request for another key")
        certificate = ca.sign_agent(csr, sealed.header.tenant, agent.uuid, uow.now)
        before = {"serial": agent.serial, "not_after": agent.not_after}
        remember(uow, agent)
        agent.certificate, agent.serial = crypto.certificate_pem(certificate).decode(), f"{certificate.serial_number:x}"
        agent.not_after = certificate.not_valid_after_utc
        uow.s.flush()
        uow.audit("agent", agent.id, "renew", before, {"serial": agent.serial, "not_after": agent.not_after})
        uow.notify(REGISTRY, {})
        host, port = public_broker(settings)
        return {
            "certificate": agent.certificate,
            "ca": ca.certificate_pem().decode(),
            "cloud_key": cloud_public_key(settings),
            "mqtt": {"host": host, "port": port},
        }


def remember(uow: UnitOfWork, agent: Agent) -> None:
    """Keep the serial of the certificate that is being replaced and may still be shown to the broker."""
    if agent.serial is None or agent.certificate is None:
        return
    ends = crypto.load_certificate(agent.certificate.encode()).not_valid_after_utc
    if ends > uow.now and uow.s.scalar(select(AgentCertificate.id).where(AgentCertificate.serial == agent.serial)) is None:
        uow.s.add(AgentCertificate(agent_id=agent.id, serial=agent.serial, issued_at=agent.enrolled_at or uow.now, not_after=ends))


def _agent(uow: UnitOfWork, name: str, *, lock: bool = False) -> Agent | None:
    found = select(Agent).where(Agent.uuid == name[:64])
    return uow.s.scalars(found.with_for_update() if lock else found).one_or_none()
