"""The verbs of bags: the ward packs and sends, the desk opens, scans tube after tube against the list, and closes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.platform import alerts
from cloud.modules.specimens import bag_rules, facts, logger, rules, service, steps
from cloud.modules.specimens.bag_rules import BagState, Balance
from cloud.modules.specimens.facts import TubeRow
from cloud.modules.specimens.models import BagTube, Specimen, SpecimenBag
from cloud.modules.specimens.rules import Finding, Perm, State
from cloud.modules.specimens.service import Answer
from cloud.ports import s3
from common import ids
from common.errors import UserError
from common.say import say, word

PAGE = 100


def pack(uow: UnitOfWork, bag_code: str, tube_code: str, place: str = "") -> tuple[int, Answer]:
    """Scan a collected tube into a bag; the first one begins it. Returns the bag and the answer to the scan."""
    code = ids.normalise_scan(bag_code)
    if not code:
        raise UserError("invalid", "请先扫描袋子的条码。", field="bag")
    bag = _open_bag(uow, code)
    if bag is None:
        # The first scan goes into the bag's field: a tube scanned there would name the bag and never be in it.
        if steps.exists(uow, code) or service.find_person(uow, code) is not None:
            raise UserError("invalid", say("{code} 是试管或患者的条码，不是袋子的。请先扫袋子上的条码，再扫试管。", code=code), field="bag")
        bag = SpecimenBag(code=code, origin=place, state=BagState.PACKING.value, packed_by=uow.actor.name, packed_at=uow.now)
        uow.s.add(bag)
        uow.s.flush()
        uow.audit("bag", bag.id, "pack", after={"code": code})
    elif bag.state != BagState.PACKING:
        raise UserError(
            "conflict",
            say("袋子 {code} 目前“{state}”，不能再装。请换一个袋子。", code=code, state=word(bag_rules.BAG_WORDS[BagState(bag.state)])),
        )
    return bag.id, _put_in(uow, bag, tube_code)


def _put_in(uow: UnitOfWork, bag: SpecimenBag, tube_code: str) -> Answer:
    scan = steps.recognise(uow, tube_code)
    wrong = rules.scan_problem(scan)
    if wrong is not None:
        return Answer(*wrong, scan.code)
    tube = uow.s.scalars(select(Specimen).where(Specimen.barcode == scan.code).with_for_update()).one_or_none()
    if tube is None:
        return Answer(Finding.UNKNOWN, "系统里没有这个条码，请核对标签。", scan.code)
    if (not_here := facts.elsewhere(uow, tube.id)) is not None:
        return Answer(Finding.SECTION, not_here, scan.code)
    row = facts.tubes(uow, [tube.id])[tube.id]
    if tube.state != State.COLLECTED:
        return Answer(Finding.STATE, say("这管“{state}”，不能装袋。", state=word(rules.STATE_WORDS[State(tube.state)])), scan.code, row)
    query = select(BagTube, SpecimenBag.code).join(SpecimenBag, SpecimenBag.id == BagTube.bag_id)
    query = query.where(BagTube.code == scan.code, BagTube.listed, SpecimenBag.state != BagState.CLOSED)
    other = uow.s.execute(query).first()
    if other is not None:
        return Answer(Finding.DOUBLE, say("这管已经在袋子 {code} 里", code=other.code), scan.code, row)
    uow.s.add(BagTube(bag_id=bag.id, code=scan.code, specimen_id=tube.id, listed=True))
    uow.s.flush()
    uow.audit("specimen", tube.id, "pack", after={"bag": bag.code})
    return Answer(Finding.OK, "已装袋", scan.code, row)


def send(uow: UnitOfWork, bag_id: int, courier: str, destination: str = "", logger_no: str = "") -> int:
    """Close the bag at the ward and hand it to the porter, with the temperature logger that travels in it; returns how many tubes do."""
    bag = _get(uow, bag_id)
    _move(uow, bag, BagState.SENT)
    tubes = [t for t in tubes_of(uow, bag_id) if t.listed]
    if not tubes:
        raise UserError("conflict", "袋子是空的，请先扫描试管装袋。")
    if not courier.strip():
        raise UserError("invalid", "请填写运送人。", field="courier")
    bag.logger_no = ids.normalise_scan(logger_no)[:60]
    bag.courier, bag.destination, bag.sent_at = courier.strip()[:60], destination.strip()[:60], uow.now
    for each in tubes:
        tube = uow.s.get(Specimen, (uow.tenant_id, each.specimen_id), with_for_update=True)
        # A tube that was taken out and received, rejected or cancelled meanwhile no longer travels with the bag.
        if tube is not None and tube.state == State.COLLECTED:
            service.move(uow, tube, State.SENT, bag.origin, {"bag": bag.code})
    uow.emit("specimen.bag_sent", f"bag:{bag.id}", {"bag_id": bag.id, "tubes": len(tubes)})
    return len(tubes)


def open_bag(uow: UnitOfWork, bag_code: str) -> int:
    """The desk scans the bag; returns its id. An open one goes on where it was."""
    code = ids.normalise_scan(bag_code)
    bag = _open_bag(uow, code)
    if bag is None:
        raise UserError("not_found", say("没有编码为“{code}”的在途袋子。请核对条码；没有装袋记录的试管请直接逐管核收。", code=code))
    if bag.state == BagState.PACKING:
        raise UserError("conflict", say("袋子 {code} 病区还没有点“发出”，请联系病区确认，或直接逐管核收。", code=code))
    if bag.state == BagState.SENT:
        _move(uow, bag, BagState.OPEN)
        bag.opened_at = uow.now
    return bag.id


def scan_out(uow: UnitOfWork, bag_id: int, tube_code: str, sections: frozenset[str] = frozenset(), place: str = "") -> Answer:
    """A tube out of the bag: compared with the list, and received in the same scan. A foreign one is noted, not received."""
    bag = _get(uow, bag_id)
    if bag.state != BagState.OPEN:
        raise UserError("conflict", say("这一袋目前“{state}”，不能再扫描。", state=word(bag_rules.BAG_WORDS[BagState(bag.state)])))
    scan = steps.recognise(uow, tube_code)
    wrong = rules.scan_problem(scan)
    if wrong is not None:
        return Answer(*wrong, scan.code)
    line = uow.s.scalars(select(BagTube).where(BagTube.bag_id == bag_id, BagTube.code == scan.code)).one_or_none()
    if line is not None and line.scanned_at is not None:
        return Answer(Finding.DOUBLE, "本袋中已扫描过", scan.code, _row(uow, line.specimen_id), (line.scanned_at, line.scanned_by))
    tube = uow.s.scalars(select(Specimen).where(Specimen.barcode == scan.code).with_for_update()).one_or_none()
    if line is None:
        made = BagTube(bag_id=bag_id, code=scan.code, specimen_id=None if tube is None else tube.id, listed=False)
        made.scanned_at, made.scanned_by = uow.now, uow.actor.name
        uow.s.add(made)
        uow.audit("bag", bag_id, "extra", after={"code": scan.code})
        words = "不在本袋清单中，已记为多出；核实后请在核收页单独扫描"
        return Answer(Finding.NOT_LISTED, words, scan.code, None if tube is None else _row(uow, tube.id))
    line.scanned_at, line.scanned_by = uow.now, uow.actor.name
    if tube is not None and tube.state == State.SENT:
        service.move(uow, tube, State.ARRIVED, place, {"bag": bag.code})
    uow.s.flush()
    uow.audit("bag", bag_id, "unpack", after={"code": scan.code})
    return service.receive(uow, scan.code, sections, place)


def close(uow: UnitOfWork, bag_id: int, version: int, note: str) -> Balance:
    """The list is done; what lacks or is too many needs a note, and what lacks is told."""
    bag = _get(uow, bag_id)
    if bag.version != version:
        raise UserError("stale", "您打开之后这一袋又有变化，请按最新的核对结果再关闭。")
    found = balance_of(uow, bag_id)
    problem = bag_rules.close_problem(found, note, bool(bag.logger_no) and bag.temp_low is None)
    if problem is not None:
        raise UserError("conflict", problem)
    _move(uow, bag, BagState.CLOSED)
    bag.closed_at, bag.closed_by, bag.note = uow.now, uow.actor.name, note.strip()[:500]
    uow.audit("bag", bag.id, "balance", after={"here": len(found.here), "missing": found.missing, "extra": found.extra}, reason=bag.note)
    if found.missing:
        fields = {"bag": bag.code, "n": len(found.missing), "place": bag.origin or "—"}
        words = "袋子 %(bag)s（%(place)s）缺 %(n)s 管标本"
        told = alerts.Alert("specimen.bag", f"bag:{bag.id}", alerts.Level.WARNING, words, f"/sp/bags/{bag.id}", Perm.RECEIVE, fields)
        alerts.raise_alert(uow, replace(told, at=_at(uow, bag)))
    return found


def _at(uow: UnitOfWork, bag: SpecimenBag) -> tuple[str, ...]:
    """The places a bag concerns: where it came from, and where its tubes are examined."""
    tubes = places.of_tubes(uow, [each.specimen_id for each in tubes_of(uow, bag.id) if each.specimen_id is not None])
    return tuple(sorted({w for w in (bag.origin, *(w for at in tubes.values() for w in at)) if w}))


def allowed(uow: UnitOfWork) -> bag_rules.Reading:
    """What a bag's temperature may be between in this hospital."""
    own = md.catalog(uow).setting("specimens", "transport_temp", None)
    return bag_rules.RANGE if own is None else bag_rules.Reading(Decimal(str(own[0])), Decimal(str(own[1])))


def read_logger(uow: UnitOfWork, bag_id: int, low: str, high: str) -> str | None:
    """The desk reads the logger: what it showed stays with the bag; outside of what is allowed each tube of it is marked, so that nothing
    of them is released unseen (M08, 2). The excursion in words, or None. UserErrors: invalid, conflict (not open)."""
    bag = _get(uow, bag_id)
    if bag.state != BagState.OPEN:
        raise UserError("conflict", say("这一袋目前“{state}”，不能登记温度。", state=word(bag_rules.BAG_WORDS[BagState(bag.state)])))
    lowest, highest = bag_rules.temperature(low), bag_rules.temperature(high)
    problem = bag_rules.reading_problem(bag.logger_no, lowest, highest)
    if problem is not None or lowest is None or highest is None:
        raise UserError("invalid", problem or "", field="low")
    return _read(uow, bag, bag_rules.Reading(lowest, highest), [], {"read": [low, high]})


def read_file(uow: UnitOfWork, bag_id: int, name: str, data: bytes) -> str | None:
    """The same from the logger's own file: the readings of the way are kept and drawn, the file beside them. Errors as above."""
    bag = _get(uow, bag_id)
    if bag.state != BagState.OPEN:
        raise UserError("conflict", say("这一袋目前“{state}”，不能登记温度。", state=word(bag_rules.BAG_WORDS[BagState(bag.state)])))
    if not bag.logger_no:
        raise UserError("invalid", bag_rules.reading_problem("", None, None) or "", field="file")
    try:
        points = logger.on_the_way(logger.read(data), bag.sent_at or bag.packed_at, bag.opened_at or uow.now)
    except logger.Unreadable as error:
        raise UserError("invalid", error.words, field="file") from error
    sha256 = hashlib.sha256(data).hexdigest()
    files, key = s3.files_of(s3.current_store(), uow.tenant_id), f"loggers/{sha256}"
    if not files.exists(key):
        files.put(key, data)
    return _read(uow, bag, logger.span(points), logger.thinned(points), {"file": name[:100], "sha256": sha256, "readings": len(points)})


def curve_of(found: SpecimenBag) -> list[logger.Point]:
    """The readings kept with a bag."""
    return [(datetime.fromisoformat(at), Decimal(value)) for at, value in found.temp_curve]


def _read(
    uow: UnitOfWork, bag: SpecimenBag, read: bag_rules.Reading, points: Sequence[logger.Point], told: dict[str, object]
) -> str | None:
    before = None if bag.temp_low is None else [f"{bag.temp_low:f}", f"{bag.temp_high:f}"]
    bag.temp_low, bag.temp_high, bag.temp_by = read.low, read.high, uow.actor.name
    bag.temp_curve = [[at.isoformat(), f"{value:f}"] for at, value in points]
    uow.s.flush()
    out = bag_rules.excursion(read, allowed(uow))
    shown = [f"{read.low:f}", f"{read.high:f}"]
    uow.audit("bag", bag.id, "temperature", before={"read": before}, after={"logger": bag.logger_no, "read": shown, "out": out} | told)
    for each in tubes_of(uow, bag.id):
        if each.specimen_id is not None and each.listed:
            service.mark(uow, each.specimen_id, rules.Issue.TEMP, out)
    if out is not None:
        words = "袋子 %(bag)s（%(place)s）%(out)s，请决定拒收或让步接收"
        fields = {"bag": bag.code, "place": bag.origin or "—", "out": out}
        url = f"/sp/bags/{bag.id}"
        raised = alerts.Alert("specimen.temperature", f"bag:{bag.id}", alerts.Level.URGENT, words, url, Perm.RECEIVE, fields)
        alerts.raise_alert(uow, replace(raised, at=_at(uow, bag)))
    else:
        alerts.clear(uow, "specimen.temperature", f"bag:{bag.id}")
    return out


# --- looks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A tube of a bag with what it is; ``row`` is None for a code nobody knows."""

    code: str
    listed: bool
    scanned_at: datetime | None
    scanned_by: str
    specimen_id: int | None
    row: TubeRow | None = None

    @property
    def mark(self) -> str:
        """ok here, warn too many, bad still missing."""
        return "warn" if not self.listed else "ok" if self.scanned_at is not None else "bad"


def tubes_of(uow: UnitOfWork, bag_id: int) -> list[BagTube]:
    """The lines of a bag, in the order they came."""
    return list(uow.s.scalars(select(BagTube).where(BagTube.bag_id == bag_id).order_by(BagTube.id)))


def lines(uow: UnitOfWork, bag_id: int) -> list[Line]:
    """The lines with their tubes: what lacks first, then what is too many."""
    found = tubes_of(uow, bag_id)
    tubes = facts.tubes(uow, [t.specimen_id for t in found if t.specimen_id is not None])
    known = {number: tube for number, tube in tubes.items() if facts.is_here(uow, tube)}
    out = [Line(t.code, t.listed, t.scanned_at, t.scanned_by, t.specimen_id, known.get(t.specimen_id or 0)) for t in found]
    return sorted(out, key=lambda each: {"bad": 0, "warn": 1, "ok": 2}[each.mark])


def balance_of(uow: UnitOfWork, bag_id: int) -> Balance:
    """List against scans."""
    found = tubes_of(uow, bag_id)
    return bag_rules.balance([t.code for t in found if t.listed], [t.code for t in found if t.scanned_at is not None])


def bag(uow: UnitOfWork, bag_id: int) -> SpecimenBag | None:
    """One bag; absent where each of its tubes is another place's."""
    return uow.s.get(SpecimenBag, (uow.tenant_id, bag_id)) if _is_here(uow, bag_id) else None


_HERE = f"""(:everywhere OR NOT EXISTS (SELECT 1 FROM bag_tube h WHERE h.tenant_id = b.tenant_id AND h.bag_id = b.id)
  OR EXISTS (SELECT 1 FROM bag_tube h JOIN specimen s ON s.tenant_id = h.tenant_id AND s.id = h.specimen_id
             WHERE h.tenant_id = b.tenant_id AND h.bag_id = b.id AND {places.TUBE}))"""
_IS_HERE = text(f"SELECT {_HERE} FROM specimen_bag b WHERE b.tenant_id = :t AND b.id = :id")


def _is_here(uow: UnitOfWork, bag_id: int) -> bool:
    if uow.actor.reach is None:
        return True
    uow.s.flush()
    return bool(uow.s.execute(_IS_HERE, {"t": uow.tenant_id, "id": bag_id, **places.binds(uow)}).scalar())


_LIST = text(f"""
SELECT b.id, b.code, b.origin, b.courier, b.state, b.packed_at, b.sent_at, b.closed_at, b.note,
  (SELECT count(*) FROM bag_tube t WHERE t.tenant_id = b.tenant_id AND t.bag_id = b.id AND t.listed) AS listed,
  (SELECT count(*) FROM bag_tube t WHERE t.tenant_id = b.tenant_id AND t.bag_id = b.id AND t.scanned_at IS NOT NULL) AS scanned
FROM specimen_bag b WHERE b.tenant_id = :t AND {_HERE} AND (b.state <> 'closed' OR b.closed_at > :since)
ORDER BY b.state = 'closed', b.id DESC LIMIT :n
""")


def bag_list(uow: UnitOfWork, since: datetime) -> list[Any]:
    """Bags that are not closed, then those closed since a moment."""
    return list(uow.s.execute(_LIST, {"t": uow.tenant_id, "since": since, "n": PAGE, **places.binds(uow)}))


def on_the_way(uow: UnitOfWork) -> list[Any]:
    """Bags that were sent and are not compared, the newest first."""
    way = (BagState.SENT.value, BagState.OPEN.value)
    return [row for row in bag_list(uow, uow.now) if row.state in way]


def _row(uow: UnitOfWork, specimen_id: int | None) -> TubeRow | None:
    found = None if specimen_id is None else facts.tubes(uow, [specimen_id]).get(specimen_id)
    return found if found is not None and facts.is_here(uow, found) else None


def _open_bag(uow: UnitOfWork, code: str) -> SpecimenBag | None:
    query = select(SpecimenBag).where(SpecimenBag.code == code, SpecimenBag.state != BagState.CLOSED).with_for_update()
    found = uow.s.scalars(query).one_or_none()
    if found is not None and not _is_here(uow, found.id):
        raise UserError("not_found", "这个袋子不存在，请核对后重试。")
    return found


def _get(uow: UnitOfWork, bag_id: int) -> SpecimenBag:
    found = uow.s.get(SpecimenBag, (uow.tenant_id, bag_id), with_for_update=True, populate_existing=True)
    if found is None or not _is_here(uow, bag_id):
        raise UserError("not_found", "这个袋子不存在，请核对后重试。")
    return found


def _move(uow: UnitOfWork, found: SpecimenBag, to: BagState) -> None:
    before = BagState(found.state)
    problem = bag_rules.bag_problem(before, to)
    if problem is not None:
        raise UserError("conflict", problem)
    found.state = to.value
    uow.s.flush()
    uow.audit("bag", found.id, to.value, {"state": before.value}, {"state": to.value, "code": found.code})
    uow.notify("specimen", {"bag": found.id})
