"""The door of the intake: only what topic, header and signature say of the same registered agent comes in (RELIABILITY R7, F18)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cloud.modules.edge.registry import Registration, Registry
from common import crypto, envelope, topics
from common.errors import PeerError

SEQUENCED = frozenset({"raw", "ticket"})
"""Kinds an agent keeps until our receipt; without a number nothing could be receipted."""

_STREAM = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A message whose sender is known. ``sealed`` is None for a last will, which nobody can sign."""

    reg: Registration
    kind: str
    sealed: envelope.Envelope | None

    @property
    def header(self) -> envelope.Header:
        """The header of a signed message."""
        assert self.sealed is not None
        return self.sealed.header

    @property
    def body(self) -> bytes:
        """The body of a signed message."""
        assert self.sealed is not None
        return self.sealed.body


class Refused(PeerError):
    """Not let in. ``reg`` names whose hospital must be told, when anybody's agent is named at all."""

    def __init__(self, code: str, topic: str, reg: Registration | None = None, **detail: object) -> None:
        super().__init__(code, f"refused: {code}", **detail)
        self.topic = topic
        self.reg = reg


def admit(registry: Registry, topic: str, payload: bytes) -> Admitted:
    """Check one message. Raises Refused."""
    try:
        place = topics.parse(topic)
    except topics.TopicError as error:
        raise Refused("topic", topic) from error
    if place.direction is not topics.Direction.UP:
        raise Refused("topic", topic)
    reg = registry.find(place.agent)
    if reg is None:
        raise Refused("unknown_agent", topic)
    if reg.tenant_code != place.tenant:
        raise Refused("wrong_tenant", topic, reg)
    if reg.state != "enrolled" or reg.key is None:
        raise Refused("revoked" if reg.state == "revoked" else "not_enrolled", topic, reg)
    if place.kind == topics.LAST_WILL:
        return Admitted(reg, place.kind, None)
    return Admitted(reg, place.kind, _signed(reg, reg.key, topic, place.kind, payload))


def _signed(reg: Registration, key: crypto.PublicKey, topic: str, kind: str, payload: bytes) -> envelope.Envelope:
    try:
        read = envelope.parse(payload)
    except PeerError as error:
        raise Refused("unreadable", topic, reg, problem=error.code) from error
    if not envelope.verify(read, key):
        raise Refused("bad_signature", topic, reg)
    header = read.header
    if (header.tenant, header.agent, header.kind) != (reg.tenant_code, reg.uuid, kind):
        raise Refused("header_differs", topic, reg, tenant=header.tenant[:64], agent=header.agent[:64], kind=header.kind[:16])
    if kind in SEQUENCED and (header.seq < 1 or _STREAM.fullmatch(header.stream) is None):
        raise Refused("no_sequence", topic, reg)
    return read
