"""Who may speak: the registered agents of all hospitals, with the public keys of their certificates, in memory.

The tenant of a message comes from here and from nowhere else (RELIABILITY R7). The copy is renewed on a notice, on an unknown name and
every half minute; revocation does not rely on it alone, because each batch asks the database again (see batch.py).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import structlog
from sqlalchemy import text

from cloud.db.session import Database
from common import crypto
from common.errors import PeerError

log = structlog.get_logger("edge")

MAX_AGE_S = 30.0
MISS_PAUSE_S = 1.0
"""An unknown agent asks the database at most this often, so that strangers cannot make load."""

AGENTS = """
SELECT id, uuid, state, serial, certificate, config_version FROM agent WHERE tenant_id = :t
"""


@dataclass(frozen=True, slots=True)
class Registration:
    """One agent as registered."""

    tenant_id: int
    tenant_code: str
    agent_id: int
    uuid: str
    state: str
    serial: str | None
    key: crypto.PublicKey | None
    config_version: int


class Registry:
    """All registrations by agent uuid. Safe to use from several threads."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._agents: dict[str, Registration] = {}
        self._tenants: dict[int, str] = {}
        self._keys: dict[str, crypto.PublicKey | None] = {}
        self._loaded = 0.0

    def find(self, uuid: str) -> Registration | None:
        """The agent of this name, or None. Reads the database when the copy is old or does not know the name."""
        age = time.monotonic() - self._loaded
        found = self._agents.get(uuid)
        if age > MAX_AGE_S or (found is None and age > MISS_PAUSE_S):
            self.reload()
            found = self._agents.get(uuid)
        return found

    def tenants(self) -> dict[int, str]:
        """Codes of all hospitals by id."""
        if time.monotonic() - self._loaded > MAX_AGE_S:
            self.reload()
        return self._tenants

    def of_tenant(self, tenant_id: int) -> list[Registration]:
        """The agents of one hospital."""
        return [r for r in self._agents.values() if r.tenant_id == tenant_id]

    def invalidate(self) -> None:
        """The next look reads the database."""
        self._loaded = 0.0

    def reload(self) -> None:
        """Read all registrations anew."""
        with self._lock:
            agents: dict[str, Registration] = {}
            twice: set[str] = set()
            with self._db.registry() as s:
                tenants = {int(r.id): str(r.code) for r in s.execute(text("SELECT id, code FROM tenant WHERE status <> 'closed'"))}
            for tenant_id, code in tenants.items():
                for reg in self._of(tenant_id, code):
                    twice.update({reg.uuid} if reg.uuid in agents else ())
                    agents[reg.uuid] = reg
            for uuid in twice:
                # A name in two hospitals proves nothing about either.
                log.error("agent_name_twice", agent=uuid)
                del agents[uuid]
            self._agents, self._tenants = agents, tenants
            self._loaded = time.monotonic()

    def _of(self, tenant_id: int, code: str) -> list[Registration]:
        with self._db.tenant(tenant_id) as uow:
            rows = uow.s.execute(text(AGENTS), {"t": tenant_id}).all()
        return [Registration(tenant_id, code, r.id, r.uuid, r.state, r.serial, self._key(r.certificate), r.config_version) for r in rows]

    def _key(self, certificate: str | None) -> crypto.PublicKey | None:
        if certificate is None:
            return None
        if certificate not in self._keys:
            try:
                self._keys[certificate] = crypto.certificate_key(crypto.load_certificate(certificate.encode()))
            except PeerError as exc:
                log.error("certificate_unreadable", error=str(exc))
                self._keys[certificate] = None
        return self._keys[certificate]
