"""Tables of the bench: tests (tube × item) and the versions of their results."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantTable, Versioned, tenant_fk


class Test(Versioned, TenantTable, Base):
    """One item asked of one tube. ``current_id`` is the result version that counts, ``pending_id`` another one a person must decide on."""

    __test__ = False
    __tablename__ = "test"
    __table_args__ = (
        UniqueConstraint("tenant_id", "specimen_id", "item_id"),
        Index("ix_test_open", "tenant_id", "section_id", "state", "id"),
        tenant_fk("specimen_id", "specimen"),
        tenant_fk("item_id", "test_item"),
        tenant_fk("section_id", "section"),
        tenant_fk("order_item_id", "order_item"),
    )
    specimen_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int] = mapped_column(BigInteger)
    section_id: Mapped[int] = mapped_column(BigInteger)
    order_item_id: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(default="expected", server_default="expected")
    current_id: Mapped[int | None] = mapped_column(BigInteger)
    pending_id: Mapped[int | None] = mapped_column(BigInteger)
    no_result_reason: Mapped[str] = mapped_column(default="", server_default="")
    # What stands beside the value: interference of the serum indices, a confirmation that is due (``measure.Note``).
    notes: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")


class Confirmation(Versioned, TenantTable, Base):
    """送确证 (R5): a test told as 待复检, until a confirmatory laboratory has answered. ``screened``: the values of the screen and its
    duplicate, told to nobody; ``state``: waiting → sent → back."""

    __tablename__ = "confirmation"
    __table_args__ = (
        Index("ix_confirmation_section", "tenant_id", "section_id", "id"),
        Index("ix_confirmation_test", "tenant_id", "test_id"),
        tenant_fk("specimen_id", "specimen"),
        tenant_fk("section_id", "section"),
        tenant_fk("test_id", "test"),
        tenant_fk("item_id", "test_item"),
    )
    specimen_id: Mapped[int] = mapped_column(BigInteger)
    section_id: Mapped[int] = mapped_column(BigInteger)
    test_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(default="waiting", server_default="waiting")
    screened: Mapped[str]
    reason: Mapped[str]
    asked_at: Mapped[datetime]
    asked_by: Mapped[str]
    lab: Mapped[str] = mapped_column(default="", server_default="")
    carrier: Mapped[str] = mapped_column(default="", server_default="")
    sent_at: Mapped[datetime | None]
    sent_by: Mapped[str] = mapped_column(default="", server_default="")
    report_no: Mapped[str] = mapped_column(default="", server_default="")
    conclusion: Mapped[str] = mapped_column(default="", server_default="")
    back_at: Mapped[datetime | None]
    back_by: Mapped[str] = mapped_column(default="", server_default="")


class FollowUp(TenantTable, Base):
    """What is done on top of a result before its tube may leave: a rerun of a test (R4), or an item its result sets off (R5).

    ``kind``: rerun, add, suggest, confirm. ``state``: asked → back (a rerun's value is here) → done | cancelled; a refused reflex waits
    in ``refused`` for a person. ``first_id``/``second_id``: the two values of a rerun. ``dilution``: what the tube is diluted by.
    """

    __tablename__ = "follow_up"
    __table_args__ = (
        Index(
            "uq_follow_up_open",
            "tenant_id",
            "test_id",
            "item_id",
            unique=True,
            postgresql_where=text("state IN ('asked','back','refused')"),
        ),
        Index("ix_follow_up_specimen", "tenant_id", "specimen_id"),
        Index("ix_follow_up_section", "tenant_id", "section_id", "id"),
        tenant_fk("specimen_id", "specimen"),
        tenant_fk("section_id", "section"),
        tenant_fk("test_id", "test"),
        tenant_fk("item_id", "test_item"),
    )
    specimen_id: Mapped[int] = mapped_column(BigInteger)
    section_id: Mapped[int] = mapped_column(BigInteger)
    test_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(default="asked", server_default="asked")
    rule: Mapped[str] = mapped_column(default="", server_default="")
    depth: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    reason: Mapped[str] = mapped_column(default="", server_default="")
    dilution: Mapped[Decimal] = mapped_column(default=Decimal(1), server_default="1")
    first_id: Mapped[int | None] = mapped_column(BigInteger)
    second_id: Mapped[int | None] = mapped_column(BigInteger)
    asked_at: Mapped[datetime]
    asked_by: Mapped[int | None] = mapped_column(BigInteger)
    asked_name: Mapped[str] = mapped_column(default="", server_default="")
    settled_at: Mapped[datetime | None]
    settled_by: Mapped[int | None] = mapped_column(BigInteger)
    settled_name: Mapped[str] = mapped_column(default="", server_default="")
    outcome: Mapped[str] = mapped_column(default="", server_default="")


class ResultVersion(TenantTable, Base):
    """What the laboratory says: never changed, only followed by a higher ``version_no``.

    ``snapshot`` freezes what the judgement used (interval, limits, mapping, rounding: C8).
    """

    __tablename__ = "result_version"
    __table_args__ = (
        UniqueConstraint("tenant_id", "test_id", "version_no"),
        Index("ix_result_version_history", "tenant_id", "patient_id", "item_id", text("at DESC")),
        # Results come in the order of time: what asks for a span of it (QC) reads only those blocks, and a write costs next to nothing.
        Index("ix_result_version_at", "at", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
        tenant_fk("test_id", "test"),
        tenant_fk("observation_id", "observation"),
        tenant_fk("analyzer_id", "analyzer"),
        tenant_fk("patient_id", "patient"),
        tenant_fk("item_id", "test_item"),
    )
    test_id: Mapped[int] = mapped_column(BigInteger)
    version_no: Mapped[int] = mapped_column(Integer)
    patient_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[str]
    observation_id: Mapped[int | None] = mapped_column(BigInteger)
    analyzer_id: Mapped[int | None] = mapped_column(BigInteger)
    raw_text: Mapped[str]
    comparator: Mapped[str] = mapped_column(default="", server_default="")
    value: Mapped[Decimal | None]
    reported_text: Mapped[str]
    unit: Mapped[str] = mapped_column(default="", server_default="")
    flag: Mapped[str] = mapped_column(default="", server_default="")
    critical: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    ref_text: Mapped[str] = mapped_column(default="", server_default="")
    instrument_flags: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    holds: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    run_at: Mapped[datetime | None]
    at: Mapped[datetime]
    entered_by: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(default="", server_default="")
    released_at: Mapped[datetime | None]
    snapshot: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")


class ResultTrace(TenantTable, Base):
    """What was in force when an analyzer's result was run (M07 R1): the lot on board, the last calibration, the QC run whose window it
    fell into; each empty where nothing was registered then. ``at``: the version's. Written once, never changed."""

    __tablename__ = "result_trace"
    __table_args__ = (
        UniqueConstraint("tenant_id", "result_id"),
        Index("ix_result_trace_at", "tenant_id", "at"),
        Index("ix_result_trace_lot", "tenant_id", "lot_id", "id", postgresql_where=text("lot_id IS NOT NULL")),
        tenant_fk("result_id", "result_version"),
        tenant_fk("lot_id", "reagent_lot"),
        tenant_fk("calibration_id", "calibration"),
        tenant_fk("qc_run_id", "qc_run"),
    )
    result_id: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
    lot_id: Mapped[int | None] = mapped_column(BigInteger)
    calibration_id: Mapped[int | None] = mapped_column(BigInteger)
    qc_run_id: Mapped[int | None] = mapped_column(BigInteger)


class RunPicture(TenantTable, Base):
    """A graph or image an analyzer sent with a run of a tube: histogram, scattergram, micrograph. Beside the results, never one of them.

    ``stream``/``seq``: the message, as in the snapshots of the result versions it gave. ``media``: the file's type, or ``points`` or
    ``events`` (JSON pairs to draw), or "" where there is nothing to draw; ``problem`` names what is wrong, ``state``: pictures.State.
    """

    __tablename__ = "run_picture"
    __table_args__ = (
        UniqueConstraint("tenant_id", "observation_id"),
        Index("ix_run_picture_specimen", "tenant_id", "specimen_id", "id"),
        tenant_fk("specimen_id", "specimen"),
        tenant_fk("observation_id", "observation"),
        tenant_fk("analyzer_id", "analyzer"),
    )
    specimen_id: Mapped[int] = mapped_column(BigInteger)
    observation_id: Mapped[int] = mapped_column(BigInteger)
    analyzer_id: Mapped[int | None] = mapped_column(BigInteger)
    stream: Mapped[str]
    seq: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
    title: Mapped[str]
    state: Mapped[str]
    media: Mapped[str] = mapped_column(default="", server_default="")
    data: Mapped[bytes] = mapped_column(LargeBinary, default=b"", deferred=True)
    problem: Mapped[str] = mapped_column(default="", server_default="")


class BenchTube(TenantTable, Base):
    """A tube as the bench lists it: the sum of its tests, kept with them in one transaction.

    It is also the lock every change of the tube's results takes first, so that two writers of one tube meet here and nowhere else.
    ``urgent`` is 1 for 急, so that an index can put it first; ``barcode`` and ``sample_no`` are copies that never change.
    """

    __tablename__ = "bench_tube"
    __table_args__ = (
        UniqueConstraint("tenant_id", "specimen_id"),
        UniqueConstraint("tenant_id", "barcode"),
        Index(
            "ix_bench_tube_open",
            "tenant_id",
            "section_id",
            text("urgent DESC"),
            "id",
            postgresql_where=text("state IN ('waiting','partial','held','ready')"),
        ),
        Index("ix_bench_tube_state", "tenant_id", "section_id", "state", text("urgent DESC"), "id"),
        Index("ix_bench_tube_patient", "tenant_id", "patient_id", "id"),
        tenant_fk("specimen_id", "specimen"),
        tenant_fk("section_id", "section"),
        tenant_fk("patient_id", "patient"),
    )
    specimen_id: Mapped[int] = mapped_column(BigInteger)
    section_id: Mapped[int] = mapped_column(BigInteger)
    patient_id: Mapped[int] = mapped_column(BigInteger)
    barcode: Mapped[str]
    sample_no: Mapped[str | None]
    urgent: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    state: Mapped[str] = mapped_column(default="waiting", server_default="waiting")
    n_tests: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    n_results: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    n_abnormal: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    n_critical: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    n_alarm: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    n_pending: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    revision: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    received_at: Mapped[datetime | None]
    last_at: Mapped[datetime | None]
    # Receipt + the shortest promise of what was asked of it; None: nothing promised.
    due_at: Mapped[datetime | None]
