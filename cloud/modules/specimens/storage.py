"""The verbs of the archive: racks, storing by scan, taking out and putting back, holding. No flask, no commit.

A scan is answered like at the receiving desk (``Scanned``): it says where the tube stands, in words and as a position.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.platform import alerts
from cloud.modules.specimens import facts, follow, service, steps
from cloud.modules.specimens import storage_rules as rules
from cloud.modules.specimens.facts import TubeRow
from cloud.modules.specimens.models import Specimen
from cloud.modules.specimens.rules import Perm, State, scan_problem
from cloud.modules.specimens.storage_models import StorageRack, StoredTube
from common import ids
from common.errors import UserError
from common.say import say

VOID = "specimen.void_rack"


@dataclass(frozen=True, slots=True)
class NewRack:
    """What the form says of a rack."""

    code: str
    name: str = ""
    place: str = ""
    condition: str = ""
    rows: int = 5
    cols: int = 10


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan at the archive came to. ``sound``: ok, warn (nothing changed), bad. ``elsewhere``: a move would take it from there."""

    sound: str
    text: str
    code: str
    rack: StorageRack | None = None
    slot: int | None = None
    tube: TubeRow | None = None
    elsewhere: bool = False

    @property
    def position(self) -> str:
        """As people read it; "" without one."""
        return "" if self.rack is None or self.slot is None else rules.position(self.slot, self.rack.cols)


def make_rack(uow: UnitOfWork, new: NewRack) -> StorageRack:
    """A new rack with the code that stands on it. UserErrors: invalid (a field), conflict (code in use)."""
    code = ids.normalise_scan(new.code)
    if not code or rules.looks_like_position(code) or steps.recognise(uow, code).kind is not ids.CodeKind.UNKNOWN:
        raise UserError("invalid", say("架号请用字母开头的编号，例如 RK01；不能像位置（A1）或标本条码。"), field="code")
    if not (1 <= new.rows <= rules.MAX_ROWS and 1 <= new.cols <= rules.MAX_COLS):
        raise UserError("invalid", say("行数须为 1–{rows}，列数须为 1–{cols}。", rows=rules.MAX_ROWS, cols=rules.MAX_COLS), field="rows")
    if not new.place.strip():
        raise UserError("invalid", say("请写明放在哪台冰箱、哪一层。"), field="place")
    if rack_by_code(uow, code) is not None:
        raise UserError("conflict", say("架号 {code} 已经有了，请换一个。", code=code))
    row = StorageRack(
        code=code,
        name=new.name.strip()[:60],
        place=new.place.strip()[:60],
        condition=new.condition.strip()[:30],
        rows=new.rows,
        cols=new.cols,
    )
    uow.s.add(row)
    uow.s.flush()
    uow.audit("storage_rack", row.id, "create", after={"code": code, "place": row.place, "rows": row.rows, "cols": row.cols})
    return row


def rack_by_code(uow: UnitOfWork, code: str) -> StorageRack | None:
    """The rack a scan names."""
    return uow.s.scalars(select(StorageRack).where(StorageRack.code == code)).one_or_none()


def rack(uow: UnitOfWork, rack_id: int) -> StorageRack:
    """One rack. Raises UserError not_found."""
    found = uow.s.get(StorageRack, (uow.tenant_id, rack_id))
    if found is None:
        raise UserError("not_found", say("这个样本架不存在，请核对后重试。"))
    return found


def scan(uow: UnitOfWork, rack_id: int | None, slot: int | None, code: str, move: bool = False) -> Scanned:
    """One scan at the archive: a rack opens it, a position (A1) chooses where the next tube goes, a tube is stored.

    ``slot`` is the position chosen or last filled; ``move`` takes a tube over that stands elsewhere.
    """
    code = ids.normalise_scan(code)
    here = None if rack_id is None else rack(uow, rack_id)
    named = rack_by_code(uow, code)
    if named is not None:
        if named.active:
            return Scanned("ok", say("样本架已打开，请逐管扫描"), code, named)
        return Scanned("bad", say("这个样本架已停用"), code, here)
    if here is not None and rules.looks_like_position(code):
        return _choose(uow, here, code)
    found = steps.recognise(uow, code)
    wrong = scan_problem(found)
    if wrong is not None:
        return Scanned("bad", wrong[1], found.code, here)
    tube = uow.s.scalars(select(Specimen).where(Specimen.barcode == found.code).with_for_update()).one_or_none()
    if tube is None:
        return Scanned("bad", say("系统里没有这个条码。请核对标签；架号请先在“样本架”登记。"), found.code, here)
    if (other := facts.elsewhere(uow, tube.id)) is not None:
        return Scanned("bad", other, found.code, here)
    if here is None:
        return _where(uow, tube, found.code)
    return _store(uow, here, slot, tube, move)


def _choose(uow: UnitOfWork, here: StorageRack, code: str) -> Scanned:
    slot = rules.slot_of(code, here.rows, here.cols)
    if slot is None:
        last = rules.position(here.rows * here.cols - 1, here.cols)
        return Scanned("bad", say("架 {rack} 没有位置 {code}，最后一格是 {last}。", rack=here.code, code=code, last=last), code, here)
    if slot in taken(uow, here.id):
        return Scanned("bad", say("位置 {code} 已有标本，请换一格。", code=code), code, here)
    # The chosen slot is the next one: one behind the last filled.
    return Scanned("ok", say("下一管放 {at}", at=rules.position(slot, here.cols)), code, here, slot)


def _where(uow: UnitOfWork, tube: Specimen, code: str) -> Scanned:
    stay = standing(uow, tube.id)
    row = facts.tubes(uow, [tube.id])[tube.id]
    if stay is None:
        return Scanned("warn", say("请先扫样本架。这管现在不在任何架上。"), code, tube=row)
    return Scanned("ok", say("这管在这里"), code, rack(uow, stay.rack_id), stay.slot, row)


def _store(uow: UnitOfWork, here: StorageRack, chosen: int | None, tube: Specimen, move: bool) -> Scanned:
    row = facts.tubes(uow, [tube.id])[tube.id]
    problem = rules.store_problem(State(tube.state))
    if problem is not None:
        return Scanned("bad", problem, tube.barcode, here, tube=row)
    # The rack is locked, so that two people at one rack are given two positions.
    uow.s.execute(select(StorageRack.id).where(StorageRack.id == here.id).with_for_update())
    _told_with_parent(uow, tube)
    stay = standing(uow, tube.id)
    if stay is not None and stay.rack_id == here.id and (chosen is None or chosen in taken(uow, here.id)):
        return Scanned("warn", say("这管已经在这里，没有重复登记"), tube.barcode, here, stay.slot, row)
    if stay is not None and not move:
        other = rack(uow, stay.rack_id)
        at = rules.position(stay.slot, other.cols)
        words = say("这管登记在 {place} {rack} {at}。确实在手上请按“移到这里”。", place=other.place, rack=other.code, at=at)
        return Scanned("warn", words, tube.barcode, here, None, row, elsewhere=True)
    used = taken(uow, here.id)
    slot = rules.following(used, here.rows * here.cols, chosen)
    if slot is None:
        return Scanned("bad", say("架 {rack} 已满，请换一个架。", rack=here.code), tube.barcode, here, tube=row)
    if stay is not None:
        _leave(uow, stay, say("移到 {rack}", rack=here.code))
    _put(uow, here, slot, tube)
    return Scanned("ok", say("已存入"), tube.barcode, here, slot, facts.tubes(uow, [tube.id])[tube.id])


def _put(uow: UnitOfWork, here: StorageRack, slot: int, tube: Specimen) -> None:
    before = last_stay(uow, tube.id)
    stay = StoredTube(specimen_id=tube.id, rack_id=here.id, slot=slot, at=uow.now, by=uow.actor.name)
    if before is not None:
        # Taking a tube out and putting it back neither shortens nor lengthens its time, and a hold stays.
        stay.keep_until, stay.hold = before.keep_until, before.hold
        before.returns = False
    uow.s.add(stay)
    at = rules.position(slot, here.cols)
    where = {"rack": here.code, "place": here.place, "at": at}
    uow.audit("specimen", tube.id, "stored", after=where)
    if tube.state == State.RELEASED:
        _archive(uow, tube, stay, where)
    else:
        service.note(uow, tube.id, "stored", f"{here.place} {here.code} {at}", where)
    uow.s.flush()


def _told_with_parent(uow: UnitOfWork, tube: Specimen) -> None:
    """A line may make an aliquot after its parent's report: it is told all the same, and archived where it is stored."""
    parent = None if tube.parent_id is None else uow.s.get_one(Specimen, (uow.tenant_id, tube.parent_id))
    if parent is not None and State(parent.state) in (State.RELEASED, State.ARCHIVED, State.DISCARDED):
        follow.follow(uow, tube)


def _archive(uow: UnitOfWork, tube: Specimen, stay: StoredTube, where: dict[str, Any]) -> None:
    known = md.catalog(uow)
    hours = rules.keep_hours(known.setting("specimens", "retention_h", {}), known.specimen_types[tube.specimen_type_id].code)
    # Requests stand on the parent: an aliquot of a sensitive tube is kept like it.
    stay.keep_until = rules.keep_until(uow.now, hours, _sensitive(uow, known, tube.parent_id or tube.id))
    service.move(uow, tube, State.ARCHIVED, f"{where['place']} {where['rack']} {where['at']}", where)


def _sensitive(uow: UnitOfWork, known: md.Catalog, specimen_id: int) -> bool:
    sets = {i.order_set_id for i in facts.items(uow, [specimen_id]).get(specimen_id, []) if i.order_set_id is not None}
    return any(item.sensitive for each in sets for item in known.items_of(each))


def take_out(uow: UnitOfWork, specimen_id: int, why: str, returns: bool = True) -> StoredTube:
    """A tube leaves its position, with the reason; ``returns``: it is expected back. UserErrors: invalid, conflict (not in a rack)."""
    if not why.strip():
        raise UserError("invalid", say("请写明取出的原因，例如复查、加做。"), field="why")
    facts.require_here(uow, specimen_id)
    stay = standing(uow, specimen_id)
    if stay is None:
        raise UserError("conflict", say("这管现在不在任何架上，可能已被他人取出。请刷新。"))
    _leave(uow, stay, why.strip()[:200], returns)
    where = rack(uow, stay.rack_id)
    at = f"{where.place} {where.code} {rules.position(stay.slot, where.cols)}"
    service.note(uow, specimen_id, "taken_out", at, {"reason": why.strip()[:200]})
    uow.audit("specimen", specimen_id, "taken_out", before={"at": at}, reason=why.strip()[:200])
    return stay


def _leave(uow: UnitOfWork, stay: StoredTube, why: str, returns: bool = False) -> None:
    stay.taken_at, stay.taken_by, stay.taken_why, stay.returns = uow.now, uow.actor.name, str(why), returns
    alerts.clear(uow, VOID, f"tube:{stay.specimen_id}")
    uow.s.flush()


def hold(uow: UnitOfWork, specimen_id: int, why: str, until: datetime | None = None) -> None:
    """延长保存 (dispute, legal, research): held with a reason until somebody clears it; an empty reason clears it.

    ``until`` sets when a tube whose time a person decides (sensitive items) may be proposed.
    """
    facts.require_here(uow, specimen_id)
    stay = standing(uow, specimen_id)
    if stay is None:
        raise UserError("conflict", say("这管现在不在任何架上，可能已被他人取出。请刷新。"))
    before = {"hold": stay.hold, "keep_until": stay.keep_until and stay.keep_until.isoformat()}
    stay.hold = why.strip()[:200]
    if until is not None:
        if stay.keep_until is not None and until < stay.keep_until:
            raise UserError("invalid", say("保存期只能延长，不能缩短。"), field="until")
        stay.keep_until = until
    after = {"hold": stay.hold, "keep_until": stay.keep_until and stay.keep_until.isoformat()}
    uow.audit("specimen", specimen_id, "hold" if stay.hold else "unhold", before, after, stay.hold or None)


_STAND = text("""
SELECT a.specimen_id FROM stored_tube a WHERE a.tenant_id = :t AND a.taken_at IS NULL AND a.specimen_id IN (
  SELECT :s UNION ALL SELECT c.id FROM specimen c WHERE c.tenant_id = :t AND c.parent_id = :s) ORDER BY a.specimen_id
""")


def on_released(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``report.released``: a tube, or an aliquot of it, that stands in a rack already is archived where it stands."""
    specimen_id = payload.get("specimen_id") or facts.specimen_of_report(uow, payload["report_id"])
    # Most tubes stand nowhere yet. The tube itself is locked: the handler before this one has moved it and its aliquots.
    if specimen_id is None:
        return
    for found in uow.s.scalars(_STAND, {"t": uow.tenant_id, "s": specimen_id}).all():
        tube = uow.s.get(Specimen, (uow.tenant_id, found), with_for_update=True)
        stay = None if tube is None else standing(uow, tube.id)
        if tube is not None and stay is not None and tube.state == State.RELEASED:
            here = rack(uow, stay.rack_id)
            _archive(uow, tube, stay, {"rack": here.code, "place": here.place, "at": rules.position(stay.slot, here.cols)})


def on_void(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``specimen.cancelled`` or ``rejected``: such a tube, or an aliquot of it, that stands in a rack has to be taken out."""
    for found in uow.s.scalars(_STAND, {"t": uow.tenant_id, "s": payload["specimen_id"]}).all():
        stay, tube = standing(uow, found), facts.tubes(uow, [found])[found]
        if stay is None:
            continue
        here = rack(uow, stay.rack_id)
        words = "标本 %(code)s 已取消或退回，仍在 %(rack)s %(at)s：请取出，按医疗废物处理"
        told = {"code": tube.barcode, "rack": here.code, "at": rules.position(stay.slot, here.cols)}
        place = places.of_tubes(uow, [found])[found]
        url = f"/sp/archive?rack={here.id}"
        alerts.raise_alert(uow, alerts.Alert(VOID, f"tube:{found}", alerts.Level.WARNING, words, url, Perm.ARCHIVE, told, at=place))


def standing(uow: UnitOfWork, specimen_id: int) -> StoredTube | None:
    """The tube's present stay, locked; None when it stands nowhere."""
    query = select(StoredTube).where(StoredTube.specimen_id == specimen_id, StoredTube.taken_at.is_(None))
    return uow.s.scalars(query.with_for_update()).one_or_none()


def last_stay(uow: UnitOfWork, specimen_id: int) -> StoredTube | None:
    """The last stay, ended or not."""
    return uow.s.scalars(select(StoredTube).where(StoredTube.specimen_id == specimen_id).order_by(StoredTube.id.desc()).limit(1)).first()


def taken(uow: UnitOfWork, rack_id: int) -> set[int]:
    """Slots of a rack in use."""
    return set(uow.s.scalars(select(StoredTube.slot).where(StoredTube.rack_id == rack_id, StoredTube.taken_at.is_(None))))
