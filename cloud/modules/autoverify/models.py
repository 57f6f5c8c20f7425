"""Tables of autoverification: rule sets, their rules, decisions with their inputs, stops, validations, simulations, what is due."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class RuleSet(Versioned, TenantTable, Base):
    """A version of a section's rules. ``fingerprint``: hash of all it judges by when it was validated; ``shadow``: runs beside people.

    ``makers``: who wrote, changed or validated it, none of whom approves it; ``activate_at``: approved and to be in use from then on.
    """

    __tablename__ = "av_rule_set"
    __table_args__ = (
        UniqueConstraint("tenant_id", "section_id", "number"),
        Index("uq_av_rule_set_active", "tenant_id", "section_id", unique=True, postgresql_where=text("state IN ('active','suspended')")),
        tenant_fk("section_id", "section"),
    )
    section_id: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int] = mapped_column(Integer)
    name: Mapped[str]
    state: Mapped[str] = mapped_column(default="draft", server_default="draft")
    shadow: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    policy: Mapped[dict[str, Any]]
    fingerprint: Mapped[str] = mapped_column(default="", server_default="")
    created_by: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    makers: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    approved_by: Mapped[int | None] = mapped_column(BigInteger)
    activate_at: Mapped[datetime | None]
    activated_at: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(default="", server_default="")


class Decision(TenantTable, Base):
    """What a rule set said of a report, with all it looked at: ``snapshot`` decides the same again (R2).

    ``outcome``: released, partial (some items left as a preliminary report) or held; ``reasons``: every failure. ``shadow`` decisions
    release nothing. ``part``: [test, version] of what left, or as a shadow would have left, before the rest.
    """

    __tablename__ = "av_decision"
    __table_args__ = (
        Index("ix_av_decision_specimen", "tenant_id", "specimen_id", "id"),
        Index("ix_av_decision_at", "tenant_id", "section_id", "at"),
        Index("ix_av_decision_audit", "tenant_id", "at", postgresql_where=text("audit")),
        tenant_fk("specimen_id", "specimen"),
        tenant_fk("section_id", "section"),
        tenant_fk("rule_set_id", "av_rule_set"),
        tenant_fk("report_id", "report"),
    )
    specimen_id: Mapped[int] = mapped_column(BigInteger)
    section_id: Mapped[int] = mapped_column(BigInteger)
    rule_set_id: Mapped[int] = mapped_column(BigInteger)
    report_id: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[datetime]
    basis: Mapped[str]
    outcome: Mapped[str]
    shadow: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    reasons: Mapped[list[Any]]
    part: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    snapshot: Mapped[dict[str, Any]]
    logic: Mapped[list[Any]]
    audit: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    audit_agrees: Mapped[bool | None] = mapped_column(Boolean)
    audited_by: Mapped[int | None] = mapped_column(BigInteger)
    audited_at: Mapped[datetime | None]
    audit_note: Mapped[str] = mapped_column(default="", server_default="")


class Suspension(TenantTable, Base):
    """A stop: everything, a section, an analyzer or an item; in force from its COMMIT until it is ended, with who and why."""

    __tablename__ = "av_suspension"
    __table_args__ = (Index("ix_av_suspension_open", "tenant_id", "id", postgresql_where=text("ended_at IS NULL")),)
    scope: Mapped[str]
    target_id: Mapped[int | None] = mapped_column(BigInteger)
    target_name: Mapped[str] = mapped_column(default="", server_default="")
    reason: Mapped[str]
    from_at: Mapped[datetime]
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    by_name: Mapped[str] = mapped_column(default="", server_default="")
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[int | None] = mapped_column(BigInteger)
    end_reason: Mapped[str] = mapped_column(default="", server_default="")


class AvCase(TenantTable, Base):
    """A validation case of a section: a report with its facts and what must come out (reasons; none = release). A retired one counts no
    more; what was validated on it stands in the certificates."""

    __tablename__ = "av_case"
    __table_args__ = (
        Index("uq_av_case_name", "tenant_id", "section_id", "name", unique=True, postgresql_where=text("retired_at IS NULL")),
        tenant_fk("section_id", "section"),
    )
    section_id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str]
    snapshot: Mapped[dict[str, Any]]
    expected: Mapped[list[Any]]
    by_id: Mapped[int | None] = mapped_column(BigInteger)
    retired_at: Mapped[datetime | None]


class Validation(TenantTable, Base):
    """The certificate: cases and history a set was shown to be right on, by whom, of what exactly (``fingerprint``). ``results``: each
    case's name, what had to come out and what came out."""

    __tablename__ = "av_validation"
    __table_args__ = (Index("ix_av_validation_set", "tenant_id", "rule_set_id", "id"), tenant_fk("rule_set_id", "av_rule_set"))
    rule_set_id: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
    signer_id: Mapped[int | None] = mapped_column(BigInteger)
    signer: Mapped[str]
    fingerprint: Mapped[str]
    policy_sha256: Mapped[str]
    cases: Mapped[int] = mapped_column(Integer)
    wrong: Mapped[int] = mapped_column(Integer)
    results: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    simulation_id: Mapped[int | None] = mapped_column(BigInteger)
    confusion: Mapped[dict[str, Any]]
    pass_rate: Mapped[Decimal]


class Simulation(Versioned, TenantTable, Base):
    """A set run over past reports: works in slices, goes on after a restart from ``cursor`` (report id), stops when cancelled.

    ``fingerprint``: the set and all it judged by; a change of it on the way ends the run, and a validation takes no run of another.
    """

    __tablename__ = "av_simulation"
    __table_args__ = (
        Index("ix_av_simulation_open", "tenant_id", "id", postgresql_where=text("state IN ('queued','running')")),
        tenant_fk("rule_set_id", "av_rule_set"),
    )
    rule_set_id: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(default="queued", server_default="queued")
    fingerprint: Mapped[str] = mapped_column(default="", server_default="")
    total: Mapped[int] = mapped_column(Integer)
    done: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    cursor: Mapped[int | None] = mapped_column(BigInteger)
    confusion: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    reasons: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    examples: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    error: Mapped[str] = mapped_column(default="", server_default="")
    requested_by: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class Due(TenantTable, Base):
    """A tube whose results changed and that waits for its decision."""

    __tablename__ = "av_due"
    __table_args__ = (UniqueConstraint("tenant_id", "specimen_id"), tenant_fk("specimen_id", "specimen"))
    specimen_id: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
