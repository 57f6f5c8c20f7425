"""The portal's verbs: may this person look, look with a reason, acknowledge."""

from __future__ import annotations

from cloud.db.session import UnitOfWork
from cloud.modules.orders import queries as orders
from cloud.modules.orders.queries import PatientRow
from cloud.modules.platform import glass
from cloud.modules.platform import service as platform
from cloud.modules.portal import queries, rules
from cloud.modules.reports import queries as report_queries
from cloud.modules.reports import service as reports
from cloud.web.faults import NotFound
from cloud.web.principal import Principal


class ReasonNeeded(Exception):
    """The patient is not one's own: a reason must be given first (R1)."""

    def __init__(self, patient: PatientRow) -> None:
        super().__init__(patient.id)
        self.patient = patient


def open_patient(uow: UnitOfWork, who: Principal, patient_id: int, path: str) -> PatientRow:
    """The patient, if this person treats them or has given a reason; the look is logged either way."""
    found = orders.patient(uow, patient_id)
    if found is None:
        raise NotFound("这位患者")
    if rules.treats(who.wards, queries.places(uow, found.id)):
        platform.log_read(uow, found.id, "treatment", path)
        return found
    reason = glass.open_reason(uow, who.user_id, found.id, glass.Glass.PATIENT)
    if reason is None:
        raise ReasonNeeded(found)
    platform.log_read(uow, found.id, f"break_glass: {reason}", path)
    return found


def break_glass(uow: UnitOfWork, who: Principal, patient_id: int, reason: str, kind: glass.Glass = glass.Glass.PATIENT) -> None:
    """Record why somebody looks at another ward's patient (AC-CL-3), or at a sensitive item of one of their own."""
    if orders.patient(uow, patient_id) is None:
        raise NotFound("这位患者")
    glass.break_glass(uow, who, patient_id, kind, reason)


def acknowledge(uow: UnitOfWork, who: Principal, no: str, path: str) -> None:
    """已阅: the responsible doctor has taken note of this version (R5)."""
    told = report_queries.released(uow, no=no)
    if told is None:
        raise NotFound("这份报告")
    open_patient(uow, who, told.patient_id, path)
    reports.seen(uow, told.report_id, told.version_no, "ack")
    uow.audit("report", told.no, "acknowledge", after={"version": told.version_no})
