"""A track line's word about tubes (M06 R12): a tube's timeline and where it is now, aliquots with their parent, the error lane's alert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.platform import alerts
from cloud.modules.specimens import rules, service
from cloud.modules.specimens.models import Specimen, SpecimenEvent, TubePosition
from cloud.modules.specimens.rules import Perm, State
from cloud.reports.documents import Column, ListDocument
from common import ids

CHINA = ZoneInfo("Asia/Shanghai")
ERROR = "error"
_STATES = {"centrifuged": State.CENTRIFUGED, "aliquoted": State.ALIQUOTED}
"""Steps that are states of a tube too."""
ERROR_WORDS = "标本 %(code)s 在 %(device)s 进入异常道：%(said)s（%(place)s），请取出处理。"


def on_seen(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``tube.seen``: what a line said, in its order. The same thing said again changes nothing."""
    device, before = str(payload["device"]), uow.actor
    uow.actor = replace(before, name=device)  # who did it is the line
    try:
        for event in payload["events"]:
            _seen(uow, event, device, datetime.fromisoformat(payload["at"]))
    finally:
        uow.actor = before


def _seen(uow: UnitOfWork, event: dict[str, Any], device: str, heard: datetime) -> None:
    code, step = ids.normalise_scan(event["tube"]), str(event["step"])
    at = _instant(event.get("at")) or heard
    said, place = str(event["said"] or "")[:200], str(event["place"] or "")[:200]
    tube = _tube(uow, code)
    parent = _tube(uow, ids.normalise_scan(event["parent"])) if event.get("parent") else None
    if tube is None and parent is not None:
        tube = _aliquot(uow, parent, code, device)
    if tube is not None:
        if _known(uow, tube.id, step, at, device):
            return
        _tell(uow, tube, step, at, device, place, said)
    if _move_to(uow, code, tube, step, at, device, place, said):
        _alert(uow, code, tube, step, device, place, said)


def _instant(text_: str | None) -> datetime | None:
    """A line's local time YYYYMMDDhhmmss, with separators or not; None when it is none."""
    digits = "".join(c for c in (text_ or "") if c.isascii() and c.isdigit())[:14]
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=CHINA)
    except ValueError:
        return None


def _tube(uow: UnitOfWork, code: str) -> Specimen | None:
    return uow.s.scalars(select(Specimen).where(Specimen.barcode == code).with_for_update()).one_or_none()


def _known(uow: UnitOfWork, specimen_id: int, step: str, at: datetime, device: str) -> bool:
    own = SpecimenEvent.kind.in_((f"line_{step}", step)) & (SpecimenEvent.specimen_id == specimen_id)
    same = SpecimenEvent.detail["line_at"].astext == at.isoformat()
    asked = select(SpecimenEvent.id).where(own, same, SpecimenEvent.detail["device"].astext == device)
    return uow.s.scalars(asked.limit(1)).first() is not None


def _aliquot(uow: UnitOfWork, parent: Specimen, code: str, device: str) -> Specimen:
    """A tube filled from another one: its own barcode and places, its parent's patient, requests and results."""
    root = parent if parent.parent_id is None else uow.s.get_one(Specimen, (uow.tenant_id, parent.parent_id))
    child = Specimen(
        barcode=code, patient_id=root.patient_id, visit_id=root.visit_id, specimen_type_id=root.specimen_type_id,
        container_id=root.container_id, section_id=root.section_id, parent_id=root.id, state=State.ALIQUOTED.value, priority=root.priority,
        volume_ml=0, collected_at=root.collected_at, collector_id=root.collector_id, received_at=root.received_at,
        receiver_id=root.receiver_id, caveat=root.caveat,
    )  # fmt: skip
    uow.s.add(child)
    uow.s.flush()
    uow.audit("specimen", child.id, "aliquot", after={"barcode": code, "parent": root.barcode, "device": device})
    # Analyzers meet the aliquot: their worklists get it under its own barcode.
    uow.emit("specimen.aliquoted", root.barcode, {"specimen_id": root.id, "barcode": code})
    return child


def _tell(uow: UnitOfWork, tube: Specimen, step: str, at: datetime, device: str, place: str, said: str) -> None:
    """A line of the timeline; a step that is a state moves the tube by the table, and never backwards."""
    detail: dict[str, Any] = {"line_at": at.isoformat(), "device": device, "note": said}
    to = _STATES.get(step)
    if to is not None and tube.state != to and rules.may_move(tube.state, to):
        service.move(uow, tube, to, place, detail)
        return
    service.note(uow, tube.id, f"line_{step}", place, detail)


def _move_to(uow: UnitOfWork, code: str, tube: Specimen | None, step: str, at: datetime, device: str, place: str, said: str) -> bool:
    """The tube's place now; word of earlier than what is known changes nothing (False)."""
    values: dict[str, Any] = {
        "specimen_id": None if tube is None else tube.id,
        "step": step,
        "said": said,
        "place": place,
        "device": device,
    }
    values |= {"at": at, "noted_at": uow.now}
    made = insert(TubePosition).values(tenant_id=uow.tenant_id, code=code, **values)
    made = made.on_conflict_do_update(index_elements=["tenant_id", "code"], set_=values, where=TubePosition.at <= at)
    uow.notify("track", {"code": code})
    return uow.s.execute(made.returning(TubePosition.id)).first() is not None


def _alert(uow: UnitOfWork, code: str, tube: Specimen | None, step: str, device: str, place: str, said: str) -> None:
    if step != ERROR:
        alerts.clear(uow, "specimen.line_error", code)
        return
    fields = {"code": code, "device": device, "said": said or "—", "place": place or "—"}
    at = () if tube is None else places.of_tubes(uow, [tube.id])[tube.id]
    told = alerts.Alert("specimen.line_error", code, alerts.Level.URGENT, ERROR_WORDS, "/sp/track?show=error", Perm.RECEIVE, fields, at=at)
    alerts.raise_alert(uow, told)


# --- the page ---------------------------------------------------------------------------------------------------------

PAGE = 100
EXPORT_MOST = 5000
RECENT = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Where:
    """A tube on the line: where, since when, whose, and what is still to be measured."""

    id: int
    code: str
    specimen_id: int | None
    step: str
    said: str
    place: str
    device: str
    at: datetime
    priority: str | None
    name: str | None
    patient_no: str | None
    parent: str | None
    open_sections: list[str]


_WHERE = f"""
SELECT q.id, q.code, q.specimen_id, q.step, q.said, q.place, q.device, q.at, s.priority, p.name, p.patient_no, m.barcode,
       ARRAY(SELECT DISTINCT c.name FROM test t JOIN section c ON c.tenant_id = t.tenant_id AND c.id = t.section_id
             WHERE t.tenant_id = q.tenant_id AND t.specimen_id = coalesce(s.parent_id, s.id) AND t.state = 'expected')
FROM tube_position q
LEFT JOIN specimen s ON s.tenant_id = q.tenant_id AND s.id = q.specimen_id
LEFT JOIN specimen m ON m.tenant_id = s.tenant_id AND m.id = s.parent_id
LEFT JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
WHERE q.tenant_id = :t AND q.noted_at > :since AND (s.id IS NULL OR {places.TUBE})
"""
SHOWS = {
    "line": "AND q.step NOT IN ('stored', 'unloaded')",
    "error": "AND q.step = 'error'",
    "unknown": "AND q.specimen_id IS NULL",
    "stored": "AND q.step = 'stored'",
    "all": "",
}


def where(uow: UnitOfWork, show: str, before: int = 0, limit: int = PAGE) -> list[Where]:
    """A page of the line's tubes, the error lane first, then the newest; ``before``: how many were shown already."""
    sql = _WHERE + SHOWS[show] + " ORDER BY (q.step = 'error') DESC, q.noted_at DESC, q.id DESC LIMIT :n OFFSET :o"
    rows = uow.s.execute(text(sql), {"t": uow.tenant_id, "since": uow.now - RECENT, "n": limit, "o": before, **places.binds(uow)})
    return [Where(*row) for row in rows]


_COUNTS = text(f"""
SELECT count(*) FILTER (WHERE q.step NOT IN ('stored','unloaded')) AS line, count(*) FILTER (WHERE q.step = 'error') AS error,
       count(*) FILTER (WHERE q.specimen_id IS NULL) AS unknown, count(*) FILTER (WHERE q.step = 'stored') AS stored, count(*) AS all
FROM tube_position q LEFT JOIN specimen s ON s.tenant_id = q.tenant_id AND s.id = q.specimen_id
WHERE q.tenant_id = :t AND q.noted_at > :since AND (s.id IS NULL OR {places.TUBE})
""")


def counts(uow: UnitOfWork) -> dict[str, int]:
    """How many tubes each filter shows."""
    values = {"t": uow.tenant_id, "since": uow.now - RECENT, **places.binds(uow)}
    return dict(uow.s.execute(_COUNTS, values).mappings().one())


SHOW_WORDS = {"line": "在线上", "error": "异常道", "unknown": "不认识的条码", "stored": "已入库", "all": "全部"}


def step_word(step: str) -> str:
    """What the line did last, without the "流水线：" of the timeline."""
    return str(rules.EVENT_WORDS[f"line_{step}"]).split("：")[-1]


def document(found: Sequence[Where], show: str, hospital: str, by: str, now: datetime) -> ListDocument:
    """The list for paper or Excel."""
    columns = (
        Column("条码", 3), Column("患者", 3), Column("病历号", 3), Column("现在", 3), Column("仪器说明", 4), Column("位置", 4),
        Column("时间", 3), Column("还要去", 4),
    )  # fmt: skip
    lines = (
        (w.code, w.name or "—", w.patient_no or "", step_word(w.step), w.said, f"{w.device} {w.place}".strip(),
         f"{w.at.astimezone(CHINA):%m-%d %H:%M:%S}", "、".join(w.open_sections))
        for w in found
    )  # fmt: skip
    return ListDocument(hospital, f"流水线标本：{SHOW_WORDS[show]}", columns, tuple(lines), now, by, landscape=True)
