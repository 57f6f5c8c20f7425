"""How an agent becomes ours: a code for 30 minutes, a signing request, a certificate whose key never left the agent's machine."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from cloud.config import Settings
from cloud.db.session import Actor, Database, UnitOfWork
from cloud.modules.edge import archiving, configuration, rules
from cloud.modules.edge.models import Agent, EnrolCode
from cloud.modules.edge.rules import AgentState
from cloud.ports.ca import CertificateAuthority, revoked_serials
from common import crypto
from common.errors import JianlianError, UserError
from common.say import say

CODE_LIFE = timedelta(minutes=30)
REGISTRY = "edge_registry"
AGENT_ACTOR = "agent"


def authority(settings: Settings) -> CertificateAuthority:
    """The deployment's CA. Raises UserError where this process does not hold it."""
    if not (settings.ca_cert and settings.ca_key):
        raise UserError("conflict", "本系统没有配置证书机构（ca_cert、ca_key），不能登记采集端。请联系系统管理员。")
    return CertificateAuthority(Path(settings.ca_cert), Path(settings.ca_key))


def enrolment_code(uow: UnitOfWork, agent_id: int, settings: Settings) -> str:
    """A fresh code for an agent; earlier unused ones stop working. The text carries the address and the CA's pin."""
    agent = uow.s.get(Agent, (uow.tenant_id, agent_id), with_for_update=True)
    if agent is None:
        raise UserError("not_found", "采集端不存在，请核对后重试。")
    ca = authority(settings)
    uow.s.execute(
        text("UPDATE enrol_code SET expires_at = :now WHERE tenant_id = :t AND agent_id = :a AND used_at IS NULL AND expires_at > :now"),
        {"t": uow.tenant_id, "a": agent_id, "now": uow.now},
    )
    code = f"{tenant_code(uow)}:{secrets.token_urlsafe(24)}"
    uow.s.add(EnrolCode(agent_id=agent_id, code_hash=_hash(code), expires_at=uow.now + CODE_LIFE))
    uow.audit("agent", agent_id, "enrol_code", after={"expires_at": (uow.now + CODE_LIFE).isoformat()})
    return crypto.encode_enrol_code(crypto.EnrolCode(settings.base_url.rstrip("/"), code, ca.pin()))


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a new agent gets, in the shape of the wire contract."""

    document: dict[str, Any]


REFUSED = "登记码无效、已使用或已过期。请在采集端页面生成新的登记码后重试。"


def enrol(db: Database, settings: Settings, request: dict[str, Any], ip: str) -> Enrolled:
    """Sign an agent's request against its code. Raises UserError with the same words whatever is wrong with the code."""
    code, csr = str(request.get("code") or ""), str(request.get("csr") or "")
    tenant_id = _tenant_of(db, code)
    if tenant_id is None:
        raise UserError("invalid", REFUSED)
    with db.tenant(tenant_id, Actor(AGENT_ACTOR, ip=ip)) as uow:
        row = uow.s.scalars(select(EnrolCode).where(EnrolCode.code_hash == _hash(code)).with_for_update()).one_or_none()
        if row is None or row.used_at is not None or row.expires_at <= uow.now:
            raise UserError("invalid", REFUSED)
        agent = uow.s.get(Agent, (tenant_id, row.agent_id), with_for_update=True)
        assert agent is not None
        row.used_at = uow.now
        return Enrolled(_admit(uow, settings, agent, csr, request))


def _admit(uow: UnitOfWork, settings: Settings, agent: Agent, csr: str, request: dict[str, Any]) -> dict[str, Any]:
    ca = authority(settings)
    tenant = tenant_code(uow)
    try:
        certificate = ca.sign_agent(csr.encode(), tenant, agent.uuid, uow.now)
    except JianlianError as exc:
        raise UserError("invalid", "证书申请无法读取，请升级采集端程序后重试。", problem=exc.code) from exc
    if agent.serial is not None:
        for serial in (int(agent.serial, 16), *_earlier(uow, agent.id)):
            revoke_serial(ca, serial, uow)
    before = {"state": agent.state, "serial": agent.serial}
    agent.state, agent.enrolled_at, agent.revoked_at, agent.revoke_reason = AgentState.ENROLLED, uow.now, None, None
    agent.certificate, agent.serial = crypto.certificate_pem(certificate).decode(), f"{certificate.serial_number:x}"
    agent.not_after = certificate.not_valid_after_utc
    agent.software = str(request.get("version") or "")[:64]
    host = str(request.get("hostname") or "")[:64]
    uow.s.flush()
    uow.audit("agent", agent.id, "enrol", before, {"state": agent.state, "serial": agent.serial, "hostname": host})
    uow.notify(REGISTRY, {})
    uow.notify("edge", {"what": "agent", "agent": agent.id})
    mqtt_host, mqtt_port = public_broker(settings)
    return {
        "agent": agent.uuid,
        "tenant": tenant,
        "certificate": agent.certificate,
        "ca": ca.certificate_pem().decode(),
        "cloud_key": cloud_public_key(settings),
        "mqtt": {"host": mqtt_host, "port": mqtt_port},
        "config": configuration.document(uow, agent.id),
    }


def revoke(uow: UnitOfWork, agent_id: int, reason: str, settings: Settings, *, lose: bool = False) -> None:
    """Refused by the intake from this COMMIT on; the broker cuts the session when it reads the revocation list.

    Its queue is drained first (M27 R7): what it still holds would never come. ``lose``: its PC is broken or gone, and they are given up.
    What it sent goes into an archive.
    """
    agent = uow.s.get(Agent, (uow.tenant_id, agent_id), with_for_update=True)
    if agent is None:
        raise UserError("not_found", "采集端不存在，请核对后重试。")
    if not reason.strip():
        raise UserError("invalid", "请写明吊销原因。", field="reason")
    if not rules.may_move(AgentState(agent.state), AgentState.REVOKED):
        raise UserError("conflict", "该采集端已经吊销。")
    waiting = rules.waiting(agent.status)
    if waiting and not lose:
        words = say(
            "采集端上还有 {n} 条报文没有上传，吊销后再也收不到。请等它们传完；电脑已损坏或丢失时请勾选“放弃未上传的报文”。", n=waiting
        )
        raise UserError("conflict", words, field="lose")
    before = {"state": agent.state, "serial": agent.serial, **({"lost": waiting} if waiting else {})}
    agent.state, agent.revoked_at, agent.revoke_reason = AgentState.REVOKED, uow.now, reason.strip()
    uow.s.flush()
    uow.audit("agent", agent_id, "revoke", before, {"state": agent.state}, reason.strip())
    archiving.begin_agent(uow, agent, reason.strip())
    uow.notify(REGISTRY, {})
    uow.notify("edge", {"what": "agent", "agent": agent_id})
    if agent.serial is not None and settings.ca_key:
        # Without the CA's key here the intake still refuses at once; only the broker's own list is written elsewhere.
        ca = authority(settings)
        for serial in (int(agent.serial, 16), *_earlier(uow, agent_id)):
            revoke_serial(ca, serial, uow)


def _earlier(uow: UnitOfWork, agent_id: int) -> list[int]:
    """Certificates it had before the newest and could still show to the broker (see renewal.py)."""
    sql = text("SELECT serial FROM agent_certificate WHERE tenant_id = :t AND agent_id = :a AND not_after > :now")
    return [int(row.serial, 16) for row in uow.s.execute(sql, {"t": uow.tenant_id, "a": agent_id, "now": uow.now})]


def revoke_serial(ca: CertificateAuthority, serial: int, uow: UnitOfWork) -> None:
    """Put a certificate on the list. One writer at a time in the whole installation, or one of two would be lost."""
    uow.s.execute(text("SELECT pg_advisory_xact_lock(hashtext('jianlian.crl'))"))
    known = revoked_serials(ca.revoked_file) if ca.revoked_file.exists() else frozenset[int]()
    ca.write_revoked(known | {serial}, uow.now)


def ca_certificate(settings: Settings) -> bytes:
    """The CA's certificate; public, the code's pin makes it trustworthy."""
    if not settings.ca_cert:
        raise UserError("not_found", "没有配置证书机构。")
    return Path(settings.ca_cert).read_bytes()


MQTT_TLS = 8883
"""MQTT over TLS, as registered."""


def cloud_public_key(settings: Settings) -> str:
    """The public half of the key that signs what goes down."""
    return crypto.public_pem(crypto.load_private(Path(settings.cloud_key).read_bytes()).public_key()).decode()


def public_broker(settings: Settings) -> tuple[str, int]:
    """Where agents find the broker: ``mqtt_public_host`` as host or host:port, without it the address we use ourselves.

    Our own listener is for our processes and not reached from outside (infra/mosquitto): a public name never inherits its port.
    """
    if not settings.mqtt_public_host:
        return settings.mqtt_host, settings.mqtt_port
    host, _, port = settings.mqtt_public_host.partition(":")
    return host, int(port) if port.isdecimal() else MQTT_TLS


def tenant_code(uow: UnitOfWork) -> str:
    """The hospital's code, as it stands in topics and certificates."""
    return str(uow.s.scalar(text("SELECT code FROM tenant WHERE id = :t"), {"t": uow.tenant_id}))


def _tenant_of(db: Database, code: str) -> int | None:
    with db.registry() as s:
        found = s.scalar(text("SELECT id FROM tenant WHERE code = :c AND status IN ('trial', 'active')"), {"c": code.partition(":")[0]})
    return None if found is None else int(found)


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
