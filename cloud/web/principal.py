"""Who is asking, as the web layer sees a person; platform loads it from the session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from cloud.db.session import Reach, UnitOfWork


@dataclass(frozen=True)
class Principal:
    """A logged-in person within one request."""

    user_id: int
    name: str
    employee_no: str
    tenant_id: int
    tenant_code: str
    tenant_name: str
    session_id: int
    permissions: frozenset[str]
    roles: frozenset[str]
    sections: frozenset[str]
    wards: frozenset[str]
    workstation: str
    locale: str
    mfa: bool
    locked: bool
    signing_until: datetime | None = None
    signing_id: str | None = None
    must_change: bool = False
    """The password is past its life; nothing but changing it is open."""
    read_only: bool = False
    hospital_read_only: bool = False
    """The whole hospital only looks things up and prints."""
    recorded: bool = False
    """An access granted just in time: each step is recorded."""
    bounds: Mapping[str, tuple[frozenset[str], frozenset[str]]] = field(default_factory=dict)
    """Permission → sections and wards where it counts, for whoever holds a role at a campus, in a section or for the own wards only;
    an empty set sets no bounds."""
    without: frozenset[str] = frozenset()
    """Modules this hospital's edition does not have."""

    def may(self, permission: str, section: str = "") -> bool:
        """True when a role of this person grants the permission (at the section of this code)."""
        at = self.bounds.get(str(permission), (frozenset(), frozenset()))[0]
        return str(permission) in self.permissions and (not section or not at or section in at)

    def within(self, permission: str) -> Principal:
        """The same person with the sections and wards where this permission counts."""
        at = self.bounds.get(str(permission))
        return self if at is None else replace(self, sections=at[0], wards=at[1])

    @property
    def reach(self) -> Reach | None:
        """What bounds a person whose roles were given for a place; somebody's own sections or wards alone only choose what is shown."""
        return Reach(self.sections, self.wards) if self.bounds and self.sections else None


class Ended(StrEnum):
    """Why a session that lived until this request goes no further; the login page says it."""

    REMOTE = "remote"


class Identity(Protocol):
    """How the web layer asks the platform module who holds a session token."""

    def authenticate(self, uow: UnitOfWork, token: str, ip: str, idle: int = 0) -> Principal | Ended | None:
        """The person behind the token, or None when there is no living session. ``idle``: seconds since the person did something."""

    def visited(self, uow: UnitOfWork, principal: Principal, path: str) -> None:
        """Record a step of somebody whose access is recorded."""

    def failed_lookup(self, uow: UnitOfWork, principal: Principal | None, path: str) -> None:
        """Record that somebody asked for what is not there (AC-PL-1)."""
