"""传染病报卡提示 (M09 R6): a told positive of a notifiable item goes to the list of the 公卫科 until its card is sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.platform import alerts, glass
from cloud.modules.platform.alerts import Alert, Level
from cloud.modules.reports.models import InfectiousFinding, Report
from cloud.modules.reports.rules import NOTIFY_WITHIN, Perm
from cloud.reports.documents import Column, ListDocument
from cloud.web.principal import Principal
from common.errors import UserError
from common.say import say

PAGE = 60
SINGLE = 200
"""Findings told one by one, the most urgent; the others by their number."""


def note(uow: UnitOfWork, report: Report, made: Mapping[str, Any]) -> None:
    """Keep the list true to the version just told: new positives join, what a later version no longer says is withdrawn."""
    found = {int(line["item_id"]): line for line in made["lines"] if line.get("notify")}
    if report.current_no > 1:
        withdraw(uow, report.id, keep=found)
    for item_id, line in found.items():
        values = {
            "tenant_id": uow.tenant_id,
            "report_id": report.id,
            "item_id": item_id,
            "patient_id": report.patient_id,
            "item": line["name"],
            "value_text": line["value"],
            "notify": line["notify"],
            "told_at": uow.now,
            "due_at": uow.now + NOTIFY_WITHIN[line["notify"]],
        }
        new = {"value_text": line["value"], "withdrawn_at": None}
        keys = ["tenant_id", "report_id", "item_id"]
        uow.s.execute(insert(InfectiousFinding).values(**values).on_conflict_do_update(index_elements=keys, set_=new))
        uow.audit("infectious", f"{report.id}/{item_id}", "found", after={"notify": line["notify"]})


def withdraw(uow: UnitOfWork, report_id: int, keep: Mapping[int, Any] | None = None) -> None:
    """What a report no longer says needs no card; one already sent stays on record, and the 公卫科 sees that it was withdrawn."""
    query = select(InfectiousFinding).where(InfectiousFinding.report_id == report_id, InfectiousFinding.withdrawn_at.is_(None))
    for row in uow.s.execute(query.with_for_update()).scalars():
        if row.item_id not in (keep or {}):
            row.withdrawn_at = uow.now
            uow.audit("infectious", f"{report_id}/{row.item_id}", "withdrawn")


def carded(uow: UnitOfWork, finding_id: int, card_no: str) -> None:
    """The card was sent."""
    row = uow.s.execute(select(InfectiousFinding).where(InfectiousFinding.id == finding_id).with_for_update()).scalar_one_or_none()
    if row is None:
        raise UserError("not_found", say("该传染病阳性记录不存在。"))
    if row.carded_at is not None:
        raise UserError("conflict", say("{who} 已登记报卡 {no}。", who=row.carded_by, no=row.card_no))
    if not card_no.strip():
        raise UserError("invalid", say("请填写传染病报告卡的编号。"), field="card_no")
    row.carded_at, row.carded_by, row.card_no = uow.now, uow.actor.name, card_no.strip()[:60]
    uow.audit("infectious", f"{row.report_id}/{row.item_id}", "carded", after={"card_no": row.card_no})


_LIST = """
SELECT f.id, f.item, f.value_text, f.notify, f.told_at, f.due_at, f.carded_at, f.carded_by, f.card_no, f.withdrawn_at,
       p.name, p.patient_no, r.no, coalesce(nullif(r.ward, ''), r.dept) AS place, f.patient_id, f.item_id, r.section_id
FROM infectious_finding f
JOIN report r ON r.tenant_id = f.tenant_id AND r.id = f.report_id
JOIN patient p ON p.tenant_id = f.tenant_id AND p.id = f.patient_id
WHERE f.tenant_id = :t AND {where} ORDER BY {order} LIMIT :n OFFSET :start
"""


def listed(uow: UnitOfWork, done: bool, start: int = 0, most: int | None = None) -> Sequence[Any]:
    """What still needs a card, the most urgent first; or the rest, newest first. A page, or so many."""
    still = "f.carded_at IS NULL AND f.withdrawn_at IS NULL"
    query = _LIST.format(where=f"NOT ({still})", order="f.id DESC") if done else _LIST.format(where=still, order="f.due_at, f.id")
    return uow.s.execute(text(query), {"t": uow.tenant_id, "start": start, "n": PAGE if most is None else most}).all()


EXPORT_MOST = 5000
COLUMNS = (
    Column("报告时间", 3), Column("限", 3), Column("患者", 3), Column("病历号", 3), Column("科室", 3), Column("项目", 4), Column("结果", 3),
    Column("报告号", 4), Column("报告卡", 5),
)  # fmt: skip


def document(rows: Iterable[Any], shut: Collection[int], done: bool, hospital: str, by: str, now: datetime) -> ListDocument:
    """The register of the 公卫科. What is shut to the person on the page is shut on paper."""

    def at(when: datetime | None) -> str:
        return "" if when is None else when.astimezone(md.HOSPITAL_ZONE).strftime("%Y-%m-%d %H:%M")

    def told(r: Any) -> tuple[str, str]:
        return ("敏感项目", "") if r.id in shut else (r.item, r.value_text)

    def card(r: Any) -> str:
        sent = f"{r.card_no} {r.carded_by} {at(r.carded_at)}" if r.carded_at is not None else ""
        return "；".join(part for part in ("报告已更正或召回" if r.withdrawn_at is not None else "", sent) if part)

    return ListDocument(
        hospital=hospital,
        title=f"传染病阳性登记：{'已报卡或已撤销' if done else '待报卡'}",
        columns=COLUMNS,
        rows=tuple(
            (at(r.told_at), at(r.due_at), r.name, r.patient_no, r.place, *told(r), r.no, card(r))
            for r in rows
        ),
        printed_at=now,
        printed_by=by,
        landscape=True,
        signatures=("报告人", "公卫科"),
    )  # fmt: skip


def patient_of(uow: UnitOfWork, finding_id: int) -> int | None:
    """Whose finding this is, or None."""
    return uow.s.execute(select(InfectiousFinding.patient_id).where(InfectiousFinding.id == finding_id)).scalar()


def shut(uow: UnitOfWork, who: Principal, rows: Iterable[Any]) -> set[int]:
    """Of these lines, those of a sensitive item that is shut to a person (M01 R8), by their id."""
    items = md.catalog(uow).items
    found = {r.id: r.patient_id for r in rows if r.item_id in items and items[r.item_id].sensitive}
    patients = glass.shut_patients(uow, who, set(found.values()))
    return {finding for finding, patient in found.items() if patient in patients}


def watch(uow: UnitOfWork, now: datetime) -> None:
    """Cards that are late, or will be within half an hour."""
    query = _LIST.format(where="f.carded_at IS NULL AND f.withdrawn_at IS NULL AND f.due_at < :soon", order="f.due_at")
    rows = uow.s.execute(text(query), {"t": uow.tenant_id, "start": 0, "n": None, "soon": now + timedelta(minutes=30)}).all()
    items = md.catalog(uow).items
    found = [
        Alert(
            "reports.infectious",
            f"finding:{r.id}",
            Level.URGENT if r.due_at < now else Level.WARNING,
            "传染病阳性未报卡：%(place)s %(name)s %(item)s",
            "/reports/infectious",
            Perm.NOTIFY,
            {"place": r.place, "name": r.name, "item": "" if r.item_id in items and items[r.item_id].sensitive else r.item},
            at=(*places.code(uow, r.section_id), r.place),
        )
        for r in rows[:SINGLE]
    ]
    if rows[SINGLE:]:
        words, fields = "另有 %(n)s 例传染病阳性未报卡", {"n": len(rows) - SINGLE}
        found.append(Alert("reports.infectious", "more", Level.URGENT, words, f"/reports/infectious?from={PAGE}", Perm.NOTIFY, fields))
    alerts.sync(uow, "reports.infectious", found)
