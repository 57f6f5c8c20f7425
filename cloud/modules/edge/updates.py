"""Releases of the agent, the laboratory's consent, and the offer that follows: never an activation without a recorded consent (M29 R1)."""

from __future__ import annotations

import base64
from datetime import timedelta

from sqlalchemy import select

from cloud.db.session import Database, UnitOfWork
from cloud.modules.edge import downlink
from cloud.modules.edge.models import Agent, AgentConsent, AgentRelease
from cloud.modules.edge.renewal import Refused, sender
from common import crypto, release
from common.errors import PeerError, UserError
from common.say import say

PHONE_LIMIT = timedelta(hours=24)
"""A consent by phone must be written within this time; offers stop after it."""


def publish(uow: UnitOfWork, manifest: bytes, signature: bytes, bundle: bytes, maker: crypto.PublicKey) -> int:
    """Take a release in; the id. What is not whole or not the maker's is refused here already; agents check it again."""
    try:
        found = release.read(manifest, signature, maker, uow.now)
    except release.ReleaseError as error:
        raise UserError("invalid", say("发布包不可用（{code}）。请向厂家索取有效的发布包。", code=error.code)) from error
    if len(bundle) != found.size or crypto.sha256_hex(bundle) != found.sha256:
        raise UserError("invalid", "发布包与清单不符，请重新下载。")
    if uow.s.scalar(select(AgentRelease.id).where(AgentRelease.version == found.version)) is not None:
        raise UserError("conflict", say("{version} 版已经发布过。", version=found.version))
    row = AgentRelease(version=found.version, manifest=manifest.decode(), signature=signature, bundle=bundle)
    row.published_at, row.published_by = uow.now, uow.actor.name
    uow.s.add(row)
    uow.s.flush()
    uow.audit("agent_release", row.id, "publish", after={"version": found.version, "sha256": found.sha256})
    return row.id


def consent(uow: UnitOfWork, release_id: int, person: str, *, by_phone: bool = False) -> int:
    """Record that a named person of the laboratory agrees; the id. By phone it is written down afterwards (``write_consent``)."""
    found = _release(uow, release_id)
    if not person.strip():
        raise UserError("invalid", "请写明同意人姓名。", field="person")
    if found.published_by == uow.actor.name:
        raise UserError("forbidden", "发布人不能自己登记同意，请由检验科信息管理组登记。")
    if uow.s.scalar(select(AgentConsent.id).where(AgentConsent.release_id == release_id)) is not None:
        raise UserError("conflict", "该版本已登记同意。")
    row = AgentConsent(release_id=release_id, kind="phone" if by_phone else "signed", person=person.strip(), recorded_by=uow.actor.name)
    row.at, row.written_at = uow.now, None if by_phone else uow.now
    uow.s.add(row)
    uow.s.flush()
    uow.audit("agent_consent", row.id, "consent", after={"version": found.version, "kind": row.kind, "person": row.person})
    return row.id


def write_consent(uow: UnitOfWork, consent_id: int) -> None:
    """The written form of a consent by phone is there."""
    row = uow.s.get(AgentConsent, (uow.tenant_id, consent_id), with_for_update=True)
    if row is None or row.written_at is not None:
        raise UserError("not_found", "没有待补签的同意。")
    row.written_at = uow.now
    uow.audit("agent_consent", row.id, "write", after={"written_at": uow.now.isoformat()})


def withdraw(uow: UnitOfWork, release_id: int, reason: str) -> None:
    """No further agent gets it."""
    found = _release(uow, release_id)
    found.withdrawn_at = uow.now
    uow.audit("agent_release", release_id, "withdraw", after={"version": found.version}, reason=reason)


def offer(uow: UnitOfWork, agent_id: int, release_id: int) -> None:
    """Send a release to one agent. Raises UserError without a valid consent (AC-RL-1); the agent refuses, too, when none is named."""
    found = _release(uow, release_id)
    agent = uow.s.get(Agent, (uow.tenant_id, agent_id))
    if agent is None:
        raise UserError("not_found", "采集端不存在，请核对后重试。")
    given = uow.s.scalars(select(AgentConsent).where(AgentConsent.release_id == release_id)).one_or_none()
    if given is None:
        raise UserError("conflict", say("{version} 版没有本院检验科的同意记录，不能下发。", version=found.version))
    if given.written_at is None and uow.now - given.at > PHONE_LIMIT:
        raise UserError("conflict", say("{version} 版的电话同意已超过 24 小时未补书面，不能下发。", version=found.version))
    body = {
        "do": "update",
        "manifest": found.manifest,
        "signature": base64.b64encode(found.signature).decode(),
        "consent": {"id": given.id, "person": given.person, "kind": given.kind, "at": given.at.isoformat(), "version": found.version},
    }
    downlink.enqueue(uow, agent_id, "command", body)
    uow.audit("agent", agent_id, "offer_update", after={"version": found.version, "consent": given.id})


def bundle(db: Database, data: bytes) -> bytes:
    """The bundle an agent asks for with a signed envelope naming its SHA-256; only one that was consented to. Raises Refused."""
    tenant_id, sealed = sender(db, data, "bundle")
    try:
        wanted = str(sealed.json()["version"])
    except (PeerError, KeyError, TypeError) as error:
        raise Refused("bundle", "no version named") from error
    with db.tenant(tenant_id) as uow:
        found = uow.s.scalars(
            select(AgentRelease)
            .join(AgentConsent, (AgentConsent.tenant_id == AgentRelease.tenant_id) & (AgentConsent.release_id == AgentRelease.id))
            .where(AgentRelease.version == wanted, AgentRelease.withdrawn_at.is_(None))
        ).one_or_none()
        if found is None:
            raise Refused("bundle", "no such release, or no consent")
        return bytes(found.bundle)


def _release(uow: UnitOfWork, release_id: int) -> AgentRelease:
    found = uow.s.get(AgentRelease, (uow.tenant_id, release_id))
    if found is None or found.withdrawn_at is not None:
        raise UserError("not_found", "发布不存在或已撤回。")
    return found
