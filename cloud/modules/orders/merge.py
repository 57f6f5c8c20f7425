"""Merging two records of one person (M03 R7): proposed by the system or a person, decided side by side, and taken back whole.

Nothing is moved: every request, tube, result and printed report stays under the record it came for. Merging says "read these together";
undoing says "no longer". So a wrong merge leaves nothing of one person with the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy import and_, func, or_, select, text, update

from cloud.db.session import UnitOfWork
from cloud.modules.orders import patients, places, private, queries, rules
from cloud.modules.orders.models import Patient, PatientMerge
from cloud.modules.orders.rules import MergeState, Perm
from cloud.modules.platform import alerts
from cloud.web.faults import Conflict, Invalid, NotFound, Stale
from common.say import say

PAGE = 100
LIKE = 5
AUTO = "同名、同性别、同出生日期"


@dataclass(frozen=True, slots=True)
class Alike:
    """A record that may be of the same person."""

    id: int
    patient_no: str
    name: str
    sex: str
    phone: str | None


_LIKE = text("""
SELECT id, patient_no, name, sex, phone, phone_sealed FROM patient
WHERE tenant_id = :t AND name COLLATE "C" = :name AND birth = :birth AND merged_into IS NULL AND id <> :but ORDER BY id DESC LIMIT :n
""")
_KNOWN = text("SELECT 1 FROM patient WHERE tenant_id = :t AND patient_no = :no")


def like(uow: UnitOfWork, name: str, sex: str, birth: Any, but: int = 0) -> list[Alike]:
    """Records of the same name and birthday whose sex does not contradict, the newest first; without a birthday none."""
    if birth is None or not name.strip():
        return []
    found = uow.s.execute(_LIKE, {"t": uow.tenant_id, "name": name.strip(), "birth": birth, "but": but, "n": LIKE * 2})
    alike = (Alike(*[*row[:4], private.phone(uow, *row[4:])]) for row in found)
    return [p for p in alike if len({p.sex, sex} - {"U", "O", ""}) < 2][:LIKE]


def known_number(uow: UnitOfWork, number: str) -> bool:
    """Whether a record of this number is there."""
    return uow.s.scalar(_KNOWN, {"t": uow.tenant_id, "no": number}) is not None


def propose_like(uow: UnitOfWork, patient: Patient) -> list[str]:
    """A record that was just made and looks like others: each pair is put on the list. Returns the others' numbers."""
    found = like(uow, patient.name, patient.sex, patient.birth, patient.id)
    for other in found:
        propose(uow, other.id, patient.id, AUTO)
    return [p.patient_no for p in found]


def propose(uow: UnitOfWork, keep_id: int, other_id: int, why: str) -> PatientMerge:
    """Put two records on the list; a pair that is on it, or was found to be two people, is not put there again by the system."""
    rows = {p.id: p for p in uow.s.scalars(select(Patient).where(Patient.id.in_([keep_id, other_id])))}
    if len(rows) != 2:
        raise Invalid(say("请选择两份不同的患者记录。"), "other")
    if not why.strip():
        raise Invalid(say("请写明为什么可能是同一人。"), "why")
    if any(p.merged_into is not None for p in rows.values()):
        raise Conflict(say("其中一份记录已经合并过，请先打开合并后的记录。"))
    pair = or_(
        and_(PatientMerge.keep_id == keep_id, PatientMerge.other_id == other_id),
        and_(PatientMerge.keep_id == other_id, PatientMerge.other_id == keep_id),
    )
    states = [MergeState.PROPOSED, *([MergeState.DECLINED] if why == AUTO else [])]
    known = uow.s.scalars(select(PatientMerge).where(pair, PatientMerge.state.in_([s.value for s in states])).limit(1)).first()
    if known is not None:
        return known
    row = PatientMerge(keep_id=keep_id, other_id=other_id, why=why.strip()[:200], proposed_by=uow.actor.name, proposed_at=uow.now)
    uow.s.add(row)
    uow.s.flush()
    uow.audit("patient_merge", row.id, "proposed", after={"keep": keep_id, "other": other_id}, reason=row.why)
    return row


def propose_by_numbers(uow: UnitOfWork, keep: str, other: str, why: str) -> PatientMerge:
    """A person's proposal, by the two patient numbers."""
    found = []
    for number, field in ((keep, "keep"), (other, "other")):
        row = uow.s.scalars(select(Patient).where(Patient.patient_no == number.strip())).one_or_none()
        if row is None:
            raise Invalid(say("没有患者号“{no}”，请核对。", no=number.strip()), field)
        found.append(row.id)
    return propose(uow, found[0], found[1], why)


def _open(uow: UnitOfWork, merge_id: int, version: int) -> PatientMerge:
    row = uow.s.get(PatientMerge, (uow.tenant_id, merge_id), with_for_update=True)
    if row is None:
        raise NotFound("这条合并记录")
    if row.version != version:
        raise Stale
    return row


def _check(row: PatientMerge, to: MergeState, reason: str, checked: int = 0) -> None:
    problem = rules.merge_problem(MergeState(row.state), to, reason, checked)
    if problem is not None:
        raise Conflict(problem[1]) if problem[0] == "state" else Invalid(problem[1], problem[0])


def merge(uow: UnitOfWork, merge_id: int, version: int, keep_id: int, reason: str, checked: Sequence[str]) -> None:
    """Read the two records as one person's from now on. Raises NotFound, Stale, Conflict, Invalid."""
    row = _open(uow, merge_id, version)
    _check(row, MergeState.MERGED, reason, len(set(checked)))
    if keep_id not in (row.keep_id, row.other_id):
        raise Invalid(say("请选择保留哪一份记录。"), "keep")
    other_id = row.other_id if keep_id == row.keep_id else row.keep_id
    # In one order, so that two people never wait for each other.
    locked = {
        p.id: p for p in uow.s.scalars(select(Patient).where(Patient.id.in_([keep_id, other_id])).order_by(Patient.id).with_for_update())
    }
    if any(p.merged_into is not None for p in locked.values()):
        raise Conflict(say("其中一份记录已经合并过，请先打开合并后的记录。"))
    below = list(uow.s.scalars(select(Patient.id).where(Patient.merged_into == other_id).order_by(Patient.id)))
    if below:
        uow.s.execute(update(Patient).where(Patient.id.in_(below)).values(merged_into=keep_id))
    locked[other_id].merged_into = keep_id
    row.keep_id, row.other_id, row.moved = keep_id, other_id, below
    row.state, row.decided_by, row.decided_at, row.reason = MergeState.MERGED, uow.actor.name, uow.now, reason.strip()[:300]
    after = {"keep": locked[keep_id].patient_no, "other": locked[other_id].patient_no, "checked": sorted(set(checked)), "below": below}
    uow.audit("patient_merge", row.id, "merged", after=after, reason=row.reason)
    uow.audit("patient", other_id, "merged", before={"merged_into": None}, after={"merged_into": keep_id}, reason=row.reason)
    uow.emit("patient.merged", f"patient:{keep_id}", {"merge_id": row.id, "keep_id": keep_id, "other_id": other_id})


def decline(uow: UnitOfWork, merge_id: int, version: int, reason: str) -> None:
    """Two people after all: the pair is not proposed by the system again."""
    row = _open(uow, merge_id, version)
    _check(row, MergeState.DECLINED, reason)
    row.state, row.decided_by, row.decided_at, row.reason = MergeState.DECLINED, uow.actor.name, uow.now, reason.strip()[:300]
    uow.audit("patient_merge", row.id, "declined", reason=row.reason)


def undo(uow: UnitOfWork, merge_id: int, version: int, reason: str) -> None:
    """Take a merge back: each record stands for itself again, with everything that came for its number, before and since."""
    row = _open(uow, merge_id, version)
    _check(row, MergeState.UNDONE, reason)
    other = uow.s.get_one(Patient, (uow.tenant_id, row.other_id), with_for_update=True)
    if other.merged_into != row.keep_id:
        raise Conflict(say("合并之后这份记录又随另一次合并，请先撤销后来的那一次。"))
    other.merged_into = None
    if row.moved:
        back = update(Patient).where(Patient.id.in_(row.moved), Patient.merged_into == row.keep_id)
        uow.s.execute(back.values(merged_into=row.other_id))
    row.state, row.undone_by, row.undone_at, row.undone_why = MergeState.UNDONE, uow.actor.name, uow.now, reason.strip()[:300]
    uow.audit("patient_merge", row.id, "undone", after={"other": row.other_id, "below": list(row.moved)}, reason=row.undone_why)
    uow.audit("patient", other.id, "unmerged", before={"merged_into": row.keep_id}, after={"merged_into": None}, reason=row.undone_why)
    uow.emit("patient.unmerged", f"patient:{row.keep_id}", {"merge_id": row.id, "keep_id": row.keep_id, "other_id": row.other_id})


# -- looks -----------------------------------------------------------------------------------------------------------------

_LIST = text(f"""
SELECT m.id, m.state, m.why, m.proposed_by, m.proposed_at, m.decided_by, m.decided_at, m.reason, m.undone_by, m.undone_at,
       k.name AS keep_name, k.patient_no AS keep_no, o.name AS other_name, o.patient_no AS other_no
FROM patient_merge m JOIN patient k ON k.tenant_id = m.tenant_id AND k.id = m.keep_id
JOIN patient o ON o.tenant_id = m.tenant_id AND o.id = m.other_id
WHERE m.tenant_id = :t AND (m.state = 'proposed') = :open AND m.id < :before AND {places.PAIR} ORDER BY m.id DESC LIMIT :n
""")
_SIDE = text("""
SELECT p.id, p.patient_no, p.name, p.sex, p.birth, p.age_text, p.phone, p.phone_sealed, p.provisional,
  (SELECT coalesce(string_agg(x.line, E'\\n'), '') FROM (
    SELECT v.visit_no || ' ' || coalesce(nullif(v.ward, ''), v.dept) AS line FROM visit v
    WHERE v.tenant_id = p.tenant_id AND v.patient_id = p.id ORDER BY v.id DESC LIMIT 3) x) AS visits,
  (SELECT count(*) FROM lab_order o WHERE o.tenant_id = p.tenant_id AND o.patient_id = p.id) AS orders,
  (SELECT max(o.ordered_at) FROM lab_order o WHERE o.tenant_id = p.tenant_id AND o.patient_id = p.id) AS last_order,
  (SELECT coalesce(string_agg(x.name, '、'), '') FROM (SELECT coalesce(nullif(i.his_name, ''), i.his_code) AS name FROM order_item i
     JOIN lab_order o ON o.tenant_id = i.tenant_id AND o.id = i.order_id
     WHERE o.tenant_id = p.tenant_id AND o.patient_id = p.id ORDER BY i.id DESC LIMIT 6) x) AS items,
  (SELECT count(*) FROM specimen s WHERE s.tenant_id = p.tenant_id AND s.patient_id = p.id
     AND s.parent_id IS NULL AND s.state NOT IN ('released','archived','discarded','cancelled','rejected','lost')) AS tubes,
  (SELECT count(*) FROM report r WHERE r.tenant_id = p.tenant_id AND r.patient_id = p.id AND r.released_at IS NOT NULL) AS reports,
  (SELECT count(*) FROM patient b WHERE b.tenant_id = p.tenant_id AND b.merged_into = p.id) AS below
FROM patient p WHERE p.tenant_id = :t AND p.id = ANY(:ids)
""")
FIELDS = ("name", "sex", "birth", "phone", "identifiers")


def listed(uow: UnitOfWork, open_only: bool, before: int | None = None) -> Sequence[Any]:
    """Pairs to look at, or those decided, newest first."""
    return uow.s.execute(_LIST, {"t": uow.tenant_id, "open": open_only, "before": before or 2**62, "n": PAGE, **places.binds(uow)}).all()


def compare(uow: UnitOfWork, merge_id: int) -> tuple[PatientMerge, Any, Any, frozenset[str]]:
    """A pair side by side, and which fields differ. Raises NotFound."""
    row = uow.s.get(PatientMerge, (uow.tenant_id, merge_id))
    if row is None:
        raise NotFound("这条合并记录")
    found = uow.s.execute(_SIDE, {"t": uow.tenant_id, "ids": [row.keep_id, row.other_id]}).mappings()
    sides = {r["id"]: _side(uow, r) for r in found}
    keep, other = sides[row.keep_id], sides[row.other_id]
    return row, keep, other, frozenset(f for f in FIELDS if getattr(keep, f) != getattr(other, f))


def _side(uow: UnitOfWork, row: Mapping[Any, Any]) -> SimpleNamespace:
    """One record with its numbers opened: two people decide by them."""
    numbers = "\n".join(f"{kind} {value}" for kind, value in queries.identifiers(uow, row["id"]))
    return SimpleNamespace(**{**row, "phone": private.phone(uow, row["phone"], row["phone_sealed"]), "identifiers": numbers})


def of_person(uow: UnitOfWork, patient_id: int) -> Sequence[Any]:
    """Numbers of the other records read as this person's."""
    ids = patients.final_id(uow, patient_id)
    query = select(Patient.id, Patient.patient_no, Patient.name).where(or_(Patient.id == ids, Patient.merged_into == ids))
    return uow.s.execute(query.where(Patient.id != patient_id).order_by(Patient.id)).all()


def watch(uow: UnitOfWork) -> None:
    """Records that wait to be looked at are told, once a number."""
    waiting = uow.s.scalar(select(func.count()).select_from(PatientMerge).where(PatientMerge.state == MergeState.PROPOSED)) or 0
    words = "%(n)s 对患者记录可能是同一人，等待核对"
    found = [alerts.Alert("orders.merge", "all", alerts.Level.NOTICE, words, "/patients/merge", Perm.MERGE, {"n": waiting})]
    alerts.sync(uow, "orders.merge", found if waiting else [])
