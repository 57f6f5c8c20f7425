"""Tables of identity: tenants, people, roles, sessions, workstations, alerts, and who looked at whom."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class Tenant(Base):
    """A hospital (租户). Global on purpose: it is read by host name or code before a tenant is known."""

    __tablename__ = "tenant"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    host: Mapped[str | None] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(default="active", server_default="active")
    site: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    edition: Mapped[str] = mapped_column(default="full", server_default="full")


class Campus(Versioned, TenantTable, Base):
    """A part of the hospital at an own address (院区): which sections work there, whose wards are there."""

    __tablename__ = "campus"
    __table_args__ = (UniqueConstraint("tenant_id", "code"),)
    code: Mapped[str]
    name: Mapped[str]
    address: Mapped[str] = mapped_column(default="", server_default="")
    sections: Mapped[list[str]] = mapped_column(ARRAY(TEXT), default=list, server_default="{}")
    wards: Mapped[list[str]] = mapped_column(ARRAY(TEXT), default=list, server_default="{}")
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class Workstation(TenantTable, Base):
    """A registered bench or window PC; bench quick-switch is allowed only there."""

    __tablename__ = "workstation"
    __table_args__ = (UniqueConstraint("tenant_id", "code"),)
    code: Mapped[str]
    name: Mapped[str]
    location: Mapped[str] = mapped_column(default="", server_default="")
    section_code: Mapped[str | None]
    campus: Mapped[str] = mapped_column(default="", server_default="")
    """Code of the campus it stands at; "" where the hospital has only one."""
    token_hash: Mapped[str | None]
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    mac: Mapped[str] = mapped_column(default="", server_default="")
    """The PC's network address, for who looks for it; a browser cannot tell it, so a person writes it down."""
    printers: Mapped[list[str]] = mapped_column(ARRAY(TEXT), default=list, server_default="{}")


class NearNetwork(TenantTable, Base):
    """Addresses that are inside the hospital: who comes from elsewhere shows two factors whatever the role (R2)."""

    __tablename__ = "near_network"
    __table_args__ = (UniqueConstraint("tenant_id", "cidr"),)
    cidr: Mapped[str]
    name: Mapped[str]
    at: Mapped[datetime]
    by_name: Mapped[str]


class User(Versioned, TenantTable, Base):
    """A person of this hospital. Secrets are hashes (Argon2) or sealed (TOTP)."""

    __tablename__ = "app_user"
    __table_args__ = (
        UniqueConstraint("tenant_id", "employee_no"),
        UniqueConstraint("tenant_id", "badge"),
        UniqueConstraint("tenant_id", "cert_sha256"),
        UniqueConstraint("tenant_id", "wework_id"),
    )
    employee_no: Mapped[str]
    name: Mapped[str]
    dept: Mapped[str] = mapped_column(default="", server_default="")
    title: Mapped[str] = mapped_column(default="", server_default="")
    phone_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    status: Mapped[str] = mapped_column(default="active", server_default="active")
    password_hash: Mapped[str]
    password_set_at: Mapped[datetime]
    password_history: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    pin_hash: Mapped[str | None]
    badge: Mapped[str | None]
    totp_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    totp_last_step: Mapped[int | None] = mapped_column(BigInteger)
    # The client certificate (UKey, CA) that is this person's cryptographic factor, and what to show of it.
    cert_sha256: Mapped[str | None]
    cert: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    wework_id: Mapped[str | None]
    """The person's user id in the hospital's WeChat-Work: a scan is the second factor (R2)."""
    failures: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    locked_until: Mapped[datetime | None]
    pin_failures: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    sections: Mapped[list[str]] = mapped_column(ARRAY(TEXT), default=list, server_default="{}")
    wards: Mapped[list[str]] = mapped_column(ARRAY(TEXT), default=list, server_default="{}")
    locale: Mapped[str] = mapped_column(default="zh", server_default="zh")
    valid_until: Mapped[datetime | None]
    """End of an access granted just in time (R7); None for people of the hospital."""
    read_only: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")


class Role(TenantTable, Base):
    """A named set of permissions; the standard ones come from the modules, a hospital composes its own."""

    __tablename__ = "role"
    __table_args__ = (UniqueConstraint("tenant_id", "code"),)
    code: Mapped[str]
    name: Mapped[str]
    second_factor: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    admin_kind: Mapped[str | None]


class RolePermission(TenantTable, Base):
    """Role × permission (``results:release``)."""

    __tablename__ = "role_permission"
    __table_args__ = (UniqueConstraint("tenant_id", "role_id", "permission"), tenant_fk("role_id", "role"))
    role_id: Mapped[int] = mapped_column(BigInteger)
    permission: Mapped[str]


class RoleOffer(TenantTable, Base):
    """What a release once offered to a standard role: never offered again (``standard.bring_up``)."""

    __tablename__ = "role_offer"
    __table_args__ = (UniqueConstraint("tenant_id", "role_id", "permission"), tenant_fk("role_id", "role"))
    role_id: Mapped[int] = mapped_column(BigInteger)
    permission: Mapped[str]


class UserRole(TenantTable, Base):
    """Person × role, and where the role counts."""

    __tablename__ = "user_role"
    __table_args__ = (
        UniqueConstraint("tenant_id", "user_id", "role_id"),
        tenant_fk("user_id", "app_user"),
        tenant_fk("role_id", "role"),
        tenant_fk("campus_id", "campus"),
    )
    user_id: Mapped[int] = mapped_column(BigInteger)
    role_id: Mapped[int] = mapped_column(BigInteger)
    scope: Mapped[str] = mapped_column(default="tenant", server_default="tenant")
    campus_id: Mapped[int | None] = mapped_column(BigInteger)


class UserSession(TenantTable, Base):
    """A server-side session; the cookie carries only the tenant and a random token."""

    __tablename__ = "user_session"
    __table_args__ = (UniqueConstraint("tenant_id", "token_hash"), tenant_fk("user_id", "app_user"))
    token_hash: Mapped[str]
    user_id: Mapped[int] = mapped_column(BigInteger)
    workstation: Mapped[str] = mapped_column(default="", server_default="")
    ip: Mapped[str] = mapped_column(default="", server_default="")
    agent: Mapped[str] = mapped_column(default="", server_default="")
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    mfa_at: Mapped[datetime | None]
    locked_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    signing_until: Mapped[datetime | None]
    signing_id: Mapped[str | None]
    locale: Mapped[str | None]
    must_change: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")


class SsoSource(TenantTable, Base):
    """A neighbouring system that sends its people over with signed one-time tickets (R5); the key is sealed."""

    __tablename__ = "sso_source"
    __table_args__ = (UniqueConstraint("tenant_id", "code"),)
    code: Mapped[str]
    name: Mapped[str]
    key_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class WeworkApp(TenantTable, Base):
    """The hospital's application in WeChat-Work; its secret is sealed."""

    __tablename__ = "wework_app"
    __table_args__ = (UniqueConstraint("tenant_id"),)
    corp_id: Mapped[str]
    agent_id: Mapped[str]
    secret_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    api_base: Mapped[str]
    login_base: Mapped[str]
    active: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")


class WeworkState(TenantTable, Base):
    """A login that waits for a scan; ``password``: what the password was then, so that a changed one ends it."""

    __tablename__ = "wework_state"
    __table_args__ = (UniqueConstraint("tenant_id", "nonce_hash"), tenant_fk("user_id", "app_user"))
    nonce_hash: Mapped[str]
    user_id: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
    password: Mapped[str]


class SsoNonce(TenantTable, Base):
    """A ticket that was used; it is kept until it could not be used any more anyway."""

    __tablename__ = "sso_nonce"
    __table_args__ = (UniqueConstraint("tenant_id", "source", "nonce"),)
    source: Mapped[str]
    nonce: Mapped[str]
    at: Mapped[datetime]


class AccessGrant(TenantTable, Base):
    """An outside engineer's access for some hours: asked for, approved by the information group, ended (R7)."""

    __tablename__ = "access_grant"
    __table_args__ = (tenant_fk("user_id", "app_user"), Index("ix_access_grant_state", "tenant_id", "state", "id"))
    user_id: Mapped[int] = mapped_column(BigInteger)
    purpose: Mapped[str]
    change_ticket: Mapped[str] = mapped_column(default="", server_default="")
    hours: Mapped[int] = mapped_column(Integer)
    state: Mapped[str]
    asked_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    until: Mapped[datetime | None]


class Delegation(TenantTable, Base):
    """Rights of one person's roles that another may use for a time."""

    __tablename__ = "delegation"
    __table_args__ = (
        Index("ix_delegation_to", "tenant_id", "to_id", "until"),
        tenant_fk("from_id", "app_user"),
        tenant_fk("to_id", "app_user"),
    )
    from_id: Mapped[int] = mapped_column(BigInteger)
    to_id: Mapped[int] = mapped_column(BigInteger)
    first: Mapped[datetime]
    until: Mapped[datetime]
    permissions: Mapped[list[str]] = mapped_column(ARRAY(TEXT))
    reason: Mapped[str]
    given_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class LoginEvent(TenantTable, Base):
    """Every attempt to come in: who, from where, with what outcome."""

    __tablename__ = "login_event"
    __table_args__ = (Index("ix_login_event_at", "tenant_id", "at"),)
    at: Mapped[datetime]
    employee_no: Mapped[str]
    ip: Mapped[str]
    outcome: Mapped[str]


class AccessLog(TenantTable, Base):
    """A read of patient data, or a failed look-up (AC-PL-1); insert-only for the app."""

    __tablename__ = "access_log"
    __table_args__ = (Index("ix_access_log_at", "tenant_id", "at"), Index("ix_access_log_patient", "tenant_id", "patient_id", "at"))
    at: Mapped[datetime]
    user_id: Mapped[int | None] = mapped_column(BigInteger)
    actor: Mapped[str]
    patient_id: Mapped[int | None] = mapped_column(BigInteger)
    purpose: Mapped[str]
    path: Mapped[str]
    request_id: Mapped[str]


class Alert(TenantTable, Base):
    """Something of any module that a person must look at: open until its cause is gone, quiet once acknowledged.

    ``kind`` × ``subject`` names the cause ('edge.offline', 'connection:12'); at most one of each is open at a time.
    """

    __tablename__ = "alert"
    __table_args__ = (
        Index("uq_alert_open", "tenant_id", "kind", "subject", unique=True, postgresql_where=text("cleared_at IS NULL")),
        Index("ix_alert_raised", "tenant_id", "raised_at"),
    )
    kind: Mapped[str]
    subject: Mapped[str]
    level: Mapped[int] = mapped_column(Integer)
    message: Mapped[str]
    fields: Mapped[dict[str, Any]]
    url: Mapped[str]
    permission: Mapped[str]
    raised_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    acknowledged_by_id: Mapped[int | None] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(default="", server_default="")
    once: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    """An event rather than a state: acknowledging it is the end of it."""
    place: Mapped[str] = mapped_column(default="", server_default="")
    """A ward or department: who works in named places sees those of the own places only; "" is everybody's."""
    at: Mapped[list[str]] = mapped_column(ARRAY(TEXT), default=list, server_default="{}")
    """Sections and wards it is about; a right that counts elsewhere does not show it. Empty: everybody's."""


class Digest(TenantTable, Base):
    """What was open for a person on a morning (08:00); without a person: the mark that the day's digests are made."""

    __tablename__ = "digest"
    __table_args__ = (
        UniqueConstraint("tenant_id", "day", "user_id", postgresql_nulls_not_distinct=True),
        Index("ix_digest_user", "tenant_id", "user_id", "day"),
        Index("ix_digest_next", "tenant_id", "next_at", postgresql_where=text("next_at IS NOT NULL")),
        tenant_fk("user_id", "app_user"),
    )
    day: Mapped[date] = mapped_column(Date)
    user_id: Mapped[int | None] = mapped_column(BigInteger)
    lines: Mapped[list[Any]]
    made_at: Mapped[datetime]
    read_at: Mapped[datetime | None]
    # On its way to WeChat-Work; None: told there, or not to be.
    next_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    problem: Mapped[str] = mapped_column(default="", server_default="")


class AuditArchive(TenantTable, Base):
    """A block of old audit entries written to a file that never changes; its hashes join the block before and after (C4, R9)."""

    __tablename__ = "audit_archive"
    __table_args__ = (UniqueConstraint("tenant_id", "first_seq"),)
    first_seq: Mapped[int] = mapped_column(BigInteger)
    last_seq: Mapped[int] = mapped_column(BigInteger)
    previous: Mapped[bytes] = mapped_column(LargeBinary)
    last: Mapped[bytes] = mapped_column(LargeBinary)
    key: Mapped[str]
    sha256: Mapped[str]
    made_at: Mapped[datetime]
    verified_at: Mapped[datetime]
    problem: Mapped[str] = mapped_column(default="", server_default="")


class MlpsAssessment(TenantTable, Base):
    """A yearly classified-protection assessment (等保测评): when, by whom, with what result."""

    __tablename__ = "mlps_assessment"
    done_on: Mapped[date] = mapped_column(Date)
    level: Mapped[int] = mapped_column(Integer)
    assessor: Mapped[str]
    result: Mapped[str]
    report_no: Mapped[str] = mapped_column(default="", server_default="")
    by_name: Mapped[str]
    at: Mapped[datetime]


class Signature(TenantTable, Base):
    """An electronic signature (C9): who signed what hash, meaning what, when; a batch signs its list of hashes once."""

    __tablename__ = "signature"
    __table_args__ = (
        Index("ix_signature_target", "tenant_id", "target", "target_id"),
        Index("ix_signature_batch", "tenant_id", "batch_sha256", "batch_no"),
        Index("ix_signature_ca", "tenant_id", "id", postgresql_where=text("ca_state = 'pending'")),
        tenant_fk("signer_id", "app_user"),
    )
    signer_id: Mapped[int] = mapped_column(BigInteger)
    target: Mapped[str]
    target_id: Mapped[int] = mapped_column(BigInteger)
    meaning: Mapped[str]
    content_sha256: Mapped[str]
    batch_sha256: Mapped[str]
    batch_no: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    window_id: Mapped[str]
    algorithm: Mapped[str]
    certificate: Mapped[str] = mapped_column(default="", server_default="")
    value: Mapped[str]
    at: Mapped[datetime]
    # none: no CA is set up, the internal signature is all there is · pending: waits for the CA · done: countersigned.
    ca_state: Mapped[str] = mapped_column(default="none", server_default="none")
    ca_serial: Mapped[str | None]
    ca_certificate: Mapped[str | None]
    ca_value: Mapped[str | None]
    ca_at: Mapped[datetime | None]
    ca_error: Mapped[str | None]


class BreakGlass(TenantTable, Base):
    """A stated reason for looking at what is not one's own to see (R8), good for a few hours for one patient; reviewed by another.

    ``kind``: patient (another ward's patient) or sensitive (a sensitive item's result).
    """

    __tablename__ = "break_glass"
    __table_args__ = (
        Index("ix_break_glass_user", "tenant_id", "user_id", "patient_id", "until"),
        Index("ix_break_glass_open", "tenant_id", "id", postgresql_where=text("reviewed_at IS NULL")),
        tenant_fk("user_id", "app_user"),
        tenant_fk("patient_id", "patient"),
        tenant_fk("reviewed_by", "app_user"),
    )
    user_id: Mapped[int] = mapped_column(BigInteger)
    patient_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(default="patient", server_default="patient")
    reason: Mapped[str]
    at: Mapped[datetime]
    until: Mapped[datetime]
    reviewed_at: Mapped[datetime | None]
    reviewed_by: Mapped[int | None] = mapped_column(BigInteger)
    verdict: Mapped[str] = mapped_column(default="", server_default="")
    note: Mapped[str] = mapped_column(default="", server_default="")


class ListJob(TenantTable, Base):
    """A list somebody wants as a PDF or a workbook (C11: exports are jobs): its frozen rows and what was made of them. Kept a day."""

    __tablename__ = "list_job"
    __table_args__ = (
        Index("ix_list_job_at", "tenant_id", "at"),
        Index("ix_list_job_asked", "tenant_id", "id", postgresql_where=text("approval = 'asked'")),
        tenant_fk("by_id", "app_user"),
    )
    at: Mapped[datetime]
    by_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    title: Mapped[str]
    back: Mapped[str] = mapped_column(default="", server_default="")
    document: Mapped[dict[str, Any]]
    data: Mapped[bytes | None] = mapped_column(LargeBinary)
    error: Mapped[str | None]
    rows: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    # Empty: none needed · asked · approved · refused (M01 R6: many rows that name patients).
    approval: Mapped[str] = mapped_column(default="", server_default="")
    purpose: Mapped[str] = mapped_column(default="", server_default="")
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
