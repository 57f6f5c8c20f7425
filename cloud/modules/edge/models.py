"""Tables of the edge: agents, connections, raw messages, what instruments said."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class Agent(Versioned, TenantTable, Base):
    """An edge agent with its registered certificate; the tenant of all it sends comes from here (R7)."""

    __tablename__ = "agent"
    __table_args__ = (UniqueConstraint("tenant_id", "uuid"),)
    uuid: Mapped[str]
    name: Mapped[str]
    location: Mapped[str] = mapped_column(default="", server_default="")
    state: Mapped[str] = mapped_column(default="created", server_default="created")
    certificate: Mapped[str | None]
    serial: Mapped[str | None]
    not_after: Mapped[datetime | None]
    stream_uuid: Mapped[str | None]
    boot_uuid: Mapped[str | None]
    software: Mapped[str] = mapped_column(default="", server_default="")
    config_version: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    applied_version: Mapped[int | None] = mapped_column(Integer)
    last_seen_at: Mapped[datetime | None]
    clock_skew_ms: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    kiosk: Mapped[dict[str, Any] | None]
    enrolled_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoke_reason: Mapped[str | None]


class EnrolCode(TenantTable, Base):
    """A single-use code of 30 minutes; only its hash is kept."""

    __tablename__ = "enrol_code"
    __table_args__ = (UniqueConstraint("tenant_id", "code_hash"), tenant_fk("agent_id", "agent"))
    agent_id: Mapped[int] = mapped_column(BigInteger)
    code_hash: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Connection(Versioned, TenantTable, Base):
    """One link of an agent to one analyzer: protocol, driver, transport, character set.

    ``simulator_from`` … ``_until``: what the agent took in this time is played, and reaches no patient (M06 R13). ``usual_gap_s``:
    seconds between two results at this analyzer's own pace (see signals.usual_gap).
    """

    __tablename__ = "connection"
    __table_args__ = (
        UniqueConstraint("tenant_id", "agent_id", "key"),
        tenant_fk("agent_id", "agent"),
        tenant_fk("analyzer_id", "analyzer"),
    )
    agent_id: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str]
    name: Mapped[str]
    analyzer_id: Mapped[int | None] = mapped_column(BigInteger)
    protocol: Mapped[str]
    driver: Mapped[str | None]
    encoding: Mapped[str | None]
    transport: Mapped[dict[str, Any]]
    host_query: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    # Orders go to the analyzer unasked, as they change (M06: 双向 broadcast/worklist).
    broadcast: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    # A pre-analytical system or track line: what it says of tubes are events, what it is told is where they go.
    track: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    enabled: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    # Nobody counts on it (a stand-by analyzer, a line for trials): its silence and a peer that is away alarm nobody.
    spare: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    last_result_at: Mapped[datetime | None]
    simulator_from: Mapped[datetime | None]
    simulator_until: Mapped[datetime | None]
    usual_gap_s: Mapped[int | None] = mapped_column(Integer)

    @property
    def simulator(self) -> bool:
        """Whether the simulator mode is on now."""
        return self.simulator_from is not None and self.simulator_until is None


class RawMessage(TenantTable, Base):
    """Bytes exactly as the agent accepted them; the transport key makes a repeat harmless (R3).

    Cleared: the bytes are gone, see keeping.py.
    """

    __tablename__ = "raw_message"
    __table_args__ = (
        UniqueConstraint("tenant_id", "agent_id", "stream_uuid", "seq"),
        Index("ix_raw_message_connection", "tenant_id", "connection_id", "id"),
        Index("ix_raw_message_received", "tenant_id", "received_at"),
        Index("ix_raw_message_neighbour", "tenant_id", "agent_id", "stream_uuid", "conn_key", "seq"),
        Index("ix_raw_message_kept", "tenant_id", "received_at", postgresql_where=text("cleared_at IS NULL AND kind = 'raw'")),
        Index("ix_raw_message_open", "tenant_id", "id", postgresql_where=text("state IN ('quarantined','deferred')")),
        tenant_fk("agent_id", "agent"),
        tenant_fk("connection_id", "connection"),
    )
    agent_id: Mapped[int] = mapped_column(BigInteger)
    stream_uuid: Mapped[str]
    seq: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(default="raw", server_default="raw")
    sha256: Mapped[str]
    boot_uuid: Mapped[str] = mapped_column(default="", server_default="")
    mono_ns: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    connection_id: Mapped[int | None] = mapped_column(BigInteger)
    conn_key: Mapped[str]
    agent_at: Mapped[datetime | None]
    received_at: Mapped[datetime]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    meta: Mapped[dict[str, Any]]
    state: Mapped[str]
    problems: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    cleared_at: Mapped[datetime | None]


class Observation(TenantTable, Base):
    """What the instrument said, as sent. ``state``: rules.Fate. ``content_key`` names one measurement (R3): only one
    row of a key is ever anything but a repeat, which the database itself holds. ``read_as`` is the value with a fixed format's
    implied point put in, where that differs.
    """

    __tablename__ = "observation"
    __table_args__ = (
        Index("ix_observation_open", "tenant_id", "state", "id", postgresql_where=text("state IN ('orphan','unmapped','mismatch')")),
        Index("ix_observation_raw", "tenant_id", "raw_message_id"),
        Index("ix_observation_content", "tenant_id", "content_key", unique=True, postgresql_where=text("state <> 'repeat'")),
        Index("ix_observation_specimen", "tenant_id", "specimen_id"),
        Index("ix_observation_waiting", "tenant_id", "specimen_text", postgresql_where=text("state = 'orphan'")),
        tenant_fk("raw_message_id", "raw_message"),
        tenant_fk("connection_id", "connection"),
        tenant_fk("analyzer_id", "analyzer"),
        tenant_fk("test_id", "test"),
        tenant_fk("specimen_id", "specimen"),
    )
    raw_message_id: Mapped[int] = mapped_column(BigInteger)
    idx: Mapped[int] = mapped_column(Integer)
    connection_id: Mapped[int | None] = mapped_column(BigInteger)
    analyzer_id: Mapped[int | None] = mapped_column(BigInteger)
    specimen_text: Mapped[str | None]
    patient_text: Mapped[str | None]
    patient_name: Mapped[str | None]
    code: Mapped[str | None]
    value: Mapped[str | None]
    read_as: Mapped[str | None]
    aspect: Mapped[str | None]
    unit: Mapped[str | None]
    flags: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    status: Mapped[str | None]
    time_text: Mapped[str | None]
    received_at: Mapped[datetime]
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(default="", server_default="")
    content_key: Mapped[str | None]
    specimen_id: Mapped[int | None] = mapped_column(BigInteger)
    attached: Mapped[bool] = mapped_column(default=False, server_default="false")
    """A person named the tube, having compared two identifiers; kept while the code still waits for its item."""
    test_id: Mapped[int | None] = mapped_column(BigInteger)
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]
    close_reason: Mapped[str | None]


class IgnoredCode(TenantTable, Base):
    """A code of an analyzer that is no result (a mode, a position, a graph's name), with who said so and why."""

    __tablename__ = "ignored_code"
    __table_args__ = (UniqueConstraint("tenant_id", "analyzer_id", "code"), tenant_fk("analyzer_id", "analyzer"))
    analyzer_id: Mapped[int] = mapped_column(BigInteger)
    code: Mapped[str]
    reason: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]


class Downlink(TenantTable, Base):
    """A message that must go down to an agent: written in the transaction that caused it, published by the intake."""

    __tablename__ = "downlink"
    __table_args__ = (
        Index("ix_downlink_due", "tenant_id", "id", postgresql_where=text("sent_at IS NULL")),
        tenant_fk("agent_id", "agent"),
    )
    agent_id: Mapped[int] = mapped_column(BigInteger)
    conn_key: Mapped[str] = mapped_column(default="", server_default="")
    kind: Mapped[str]
    body: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


class EdgeAlarm(TenantTable, Base):
    """Something about an agent that a person must look at; equal ones of an open alarm are counted, not repeated."""

    __tablename__ = "edge_alarm"
    __table_args__ = (
        Index("ix_edge_alarm_open", "tenant_id", "agent_id", "kind", unique=True, postgresql_where=text("closed_at IS NULL")),
        tenant_fk("agent_id", "agent"),
    )
    agent_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    count: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]
    close_reason: Mapped[str | None]


class AgentCertificate(TenantTable, Base):
    """Every certificate an agent ever got: revoking the agent revokes all that have not ended yet."""

    __tablename__ = "agent_certificate"
    __table_args__ = (UniqueConstraint("tenant_id", "serial"), tenant_fk("agent_id", "agent"))
    agent_id: Mapped[int] = mapped_column(BigInteger)
    serial: Mapped[str]
    issued_at: Mapped[datetime]
    not_after: Mapped[datetime]


class TailLine(TenantTable, Base):
    """A line of the live tail somebody asked for: control characters named and patient fields masked by the agent already."""

    __tablename__ = "edge_tail"
    __table_args__ = (Index("ix_edge_tail_connection", "tenant_id", "agent_id", "conn_key", "id"), tenant_fk("agent_id", "agent"))
    agent_id: Mapped[int] = mapped_column(BigInteger)
    conn_key: Mapped[str]
    at: Mapped[datetime]
    direction: Mapped[str]
    text: Mapped[str]


class AgentRelease(TenantTable, Base):
    """A release of the agent offered to this hospital: the maker's signed manifest and its bundle."""

    __tablename__ = "agent_release"
    __table_args__ = (UniqueConstraint("tenant_id", "version"),)
    version: Mapped[str]
    manifest: Mapped[str]
    signature: Mapped[bytes] = mapped_column(LargeBinary)
    bundle: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    published_at: Mapped[datetime]
    published_by: Mapped[str]
    withdrawn_at: Mapped[datetime | None]


class AgentConsent(TenantTable, Base):
    """The laboratory's recorded consent to one release (M29 R1); given by phone it must be written within 24 hours."""

    __tablename__ = "agent_consent"
    __table_args__ = (UniqueConstraint("tenant_id", "release_id"), tenant_fk("release_id", "agent_release"))
    release_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    person: Mapped[str]
    recorded_by: Mapped[str]
    at: Mapped[datetime]
    written_at: Mapped[datetime | None]


class Recording(TenantTable, Base):
    """A recorded session of an analyzer, uploaded or taken from received messages: what mappings are made from and tried on.

    ``driver``, ``encoding`` and ``site`` (common.instruments.site): the reading a person chose, marked columns among it.
    """

    __tablename__ = "edge_recording"
    __table_args__ = (tenant_fk("analyzer_id", "analyzer"), Index("ix_edge_recording_analyzer", "tenant_id", "analyzer_id"))
    name: Mapped[str]
    source: Mapped[str]
    analyzer_id: Mapped[int | None] = mapped_column(BigInteger)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    sha256: Mapped[str]
    driver: Mapped[str | None]
    encoding: Mapped[str | None]
    site: Mapped[dict[str, Any] | None]
    raw_ids: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    by: Mapped[str]
    at: Mapped[datetime]


class MappingVersion(Versioned, TenantTable, Base):
    """What an analyzer's codes mean, as one version under change control (M02, M06 R10). ``rows``: mapping.Row as JSON;
    ``driver``, ``encoding`` and ``site``: how its bytes are read here.

    Accepted: a person signed that every mapped item was compared with the analyzer's print-out (M27 R2).
    """

    __tablename__ = "edge_mapping"
    __table_args__ = (
        UniqueConstraint("tenant_id", "analyzer_id", "number"),
        Index("ix_edge_mapping_active", "tenant_id", "analyzer_id", unique=True, postgresql_where=text("state = 'active'")),
        tenant_fk("analyzer_id", "analyzer"),
    )
    analyzer_id: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(default="draft", server_default="draft")
    driver: Mapped[str | None]
    encoding: Mapped[str | None]
    site: Mapped[dict[str, Any] | None]
    rows: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    reason: Mapped[str] = mapped_column(default="", server_default="")
    author: Mapped[str]
    author_id: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    tested_at: Mapped[datetime | None]
    tested_by: Mapped[str | None]
    active_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    accepted_by: Mapped[str | None]
    accepted_hash: Mapped[str | None]


class MappingApproval(TenantTable, Base):
    """One person's approval of a mapping version; never its author's (C12)."""

    __tablename__ = "edge_mapping_approval"
    __table_args__ = (UniqueConstraint("tenant_id", "mapping_id", "user_id"), tenant_fk("mapping_id", "edge_mapping"))
    mapping_id: Mapped[int] = mapped_column(BigInteger)
    user_id: Mapped[int] = mapped_column(BigInteger)
    by: Mapped[str]
    at: Mapped[datetime]


class PrintCheck(TenantTable, Base):
    """One value of the acceptance record: what the analyzer printed, typed by a person with its unit, against the value here (M27 R2)."""

    __tablename__ = "edge_print_check"
    __table_args__ = (
        UniqueConstraint("tenant_id", "mapping_id", "recording_id", "idx"),
        tenant_fk("mapping_id", "edge_mapping"),
        tenant_fk("recording_id", "edge_recording"),
        tenant_fk("item_id", "test_item"),
    )
    mapping_id: Mapped[int] = mapped_column(BigInteger)
    recording_id: Mapped[int] = mapped_column(BigInteger)
    idx: Mapped[int] = mapped_column(Integer)
    specimen_text: Mapped[str] = mapped_column(default="", server_default="")
    code: Mapped[str]
    item_id: Mapped[int] = mapped_column(BigInteger)
    decoded: Mapped[str]
    printed: Mapped[str]
    unit: Mapped[str] = mapped_column(default="", server_default="")
    level: Mapped[str] = mapped_column(default="", server_default="")
    equal: Mapped[bool] = mapped_column(Boolean)
    by: Mapped[str]
    at: Mapped[datetime]


class LinkHour(TenantTable, Base):
    """How many minutes of an hour a connection was up or down, looked at once a minute; both less than 60 while nobody looked."""

    __tablename__ = "edge_link_hour"
    __table_args__ = (UniqueConstraint("tenant_id", "connection_id", "hour"), tenant_fk("connection_id", "connection"))
    connection_id: Mapped[int] = mapped_column(BigInteger)
    hour: Mapped[datetime]
    up: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    down: Mapped[int] = mapped_column(Integer, default=0, server_default="0")


class RawArchive(TenantTable, Base):
    """The raw messages of an agent or analyzer taken out of use, on their way into files or there already (M27 R7); see archiving.py.

    ``connections``: of an analyzer, the links it had. ``last_id``: the message up to which all are in a file. ``problem``: what stopped
    it at the last try.
    """

    __tablename__ = "edge_archive"
    __table_args__ = (
        tenant_fk("agent_id", "agent"),
        tenant_fk("analyzer_id", "analyzer"),
        Index("ix_edge_archive_open", "tenant_id", "id", postgresql_where=text("done_at IS NULL")),
    )
    agent_id: Mapped[int | None] = mapped_column(BigInteger)
    analyzer_id: Mapped[int | None] = mapped_column(BigInteger)
    name: Mapped[str]
    connections: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    reason: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]
    last_id: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    total: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    messages: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    done_at: Mapped[datetime | None]
    problem: Mapped[str] = mapped_column(default="", server_default="")


class RawArchivePart(TenantTable, Base):
    """One file of an archive."""

    __tablename__ = "edge_archive_part"
    __table_args__ = (UniqueConstraint("tenant_id", "archive_id", "number"), tenant_fk("archive_id", "edge_archive"))
    archive_id: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int] = mapped_column(Integer)
    key: Mapped[str]
    sha256: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    messages: Mapped[int] = mapped_column(Integer)
    cleared: Mapped[int] = mapped_column(Integer)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    at: Mapped[datetime]
