"""送检 (referral) and sample numbers by hand: tubes sent to another laboratory and back, numbers given, missing and looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.platform import alerts
from cloud.modules.specimens import facts, queries, rules, service, steps, ward
from cloud.modules.specimens.labels import ZONE
from cloud.modules.specimens.models import Referral, Rejection, Specimen
from cloud.modules.specimens.rules import Perm, State
from cloud.reports.documents import Column, ListDocument
from common import ids
from common.errors import UserError
from common.say import say

PAGE = 200
MAY_NUMBER = (State.RECEIVED, State.CENTRIFUGED, State.ALIQUOTED, State.CONDITIONAL)
UNREAD, RECOLLECT_LATE = timedelta(minutes=30), timedelta(hours=4)
"""[C] A ward reads a rejection within 30 minutes and has drawn again within four hours."""


RECOLLECTED = (
    Column("拒收时间", 3), Column("患者", 3), Column("病历号", 3), Column("位置", 3), Column("项目", 5), Column("条码", 3),
    Column("原因", 5), Column("病区已读", 3), Column("重采", 4),
)  # fmt: skip


def recollections(rows: Sequence[queries.RejectionRow], hospital: str, by: str, now: datetime, title: str = "重采跟踪") -> ListDocument:
    """Rejected tubes and how far their recollection is, for paper or Excel."""

    def at(when: datetime) -> str:
        return f"{when.astimezone(ZONE):%m-%d %H:%M}"

    lines = (
        (
            at(r.at), r.name, r.patient_no, f"{r.ward or r.dept} {r.bed}".strip(), r.items, r.barcode, f"{r.reason} {r.note}".strip(),
            "未读" if r.read_at is None else f"{r.read_by} {at(r.read_at)}",
            " ".join((rules.RECOLLECT_WORDS[r.stage], *(code for _, code in r.new))),
        )
        for r in rows
    )  # fmt: skip
    return ListDocument(hospital, title, RECOLLECTED, tuple(lines), now, by, landscape=True)


@dataclass(frozen=True, slots=True)
class Sending:
    """What the form says of a sending: the other laboratory, its contract, who carries it, when the report is due."""

    lab: str
    contract: str = ""
    courier: str = ""
    due: date | None = None


def send_out(uow: UnitOfWork, code: str, form: Sending) -> Referral:
    """A received tube leaves for another laboratory. UserErrors: invalid (a field), not_found, conflict (its state)."""
    if not form.lab.strip():
        raise UserError("invalid", say("请填写送往的实验室。"), field="lab")
    if form.due is None or form.due < uow.now.astimezone(ZONE).date():
        raise UserError("invalid", say("请填写应回报的日期，不能早于今天。"), field="due")
    tube = _tube(uow, code)
    where = {"lab": form.lab.strip()[:100], "contract": form.contract.strip()[:60], "courier": form.courier.strip()[:60]}
    service.move(uow, tube, State.REFERRED, where["lab"], where)
    row = Referral(specimen_id=tube.id, due=form.due, sent_at=uow.now, sent_by=uow.actor.name, **where)
    uow.s.add(row)
    uow.s.flush()
    uow.emit("specimen.referred", tube.barcode, {"specimen_id": tube.id, "barcode": tube.barcode, **where})
    return row


def came_back(uow: UnitOfWork, code: str, outcome: str) -> Referral:
    """The other laboratory's report is here: with its number, or why there is none. Results are entered at the bench as ever."""
    if not outcome.strip():
        raise UserError("invalid", say("请填写外送报告号；没有报告请写明原因，例如对方退样。"), field="outcome")
    tube = _tube(uow, code)
    row = uow.s.scalars(select(Referral).where(Referral.specimen_id == tube.id, Referral.returned_at.is_(None)).with_for_update()).first()
    if row is None:
        raise UserError("conflict", say("这管没有未回报的外送记录，请核对条码。"))
    row.returned_at, row.returned_by, row.outcome = uow.now, uow.actor.name, outcome.strip()[:200]
    service.note(uow, tube.id, "referral_back", row.lab, {"note": row.outcome})
    uow.audit("referral", row.id, "returned", after={"outcome": row.outcome})
    return row


def renumber(uow: UnitOfWork, specimen_id: int, number: str, reason: str) -> None:
    """A sample number by hand before the tube is measured: of the section's own ranges, used by no other tube of the day."""
    tube = uow.s.get(Specimen, (uow.tenant_id, specimen_id), with_for_update=True)
    if tube is None or tube.sample_day is None:
        raise UserError("not_found", say("这管标本不存在或还没有核收，请核对后重试。"))
    facts.require_here(uow, specimen_id)
    if tube.state not in MAY_NUMBER:
        raise UserError("conflict", say("标本{state}，不能再改样本号。", state=rules.STATE_WORDS[State(tube.state)]))
    if not reason.strip():
        raise UserError("invalid", say("请写明改样本号的原因。"), field="reason")
    wanted = ids.normalise_scan(number)
    problem = rules.own_number_problem(md.catalog(uow).sections[tube.section_id].sample_no_prefix, wanted)
    if problem is not None:
        raise UserError("invalid", problem, field="number")
    if wanted != tube.sample_no and steps.number_used(uow, tube.section_id, tube.sample_day, wanted):
        raise UserError("conflict", say("今天的样本号 {no} 已有标本，请换一个。", no=wanted))
    before, tube.sample_no = tube.sample_no, wanted
    service.note(uow, tube.id, "renumbered", "", {"note": f"{before} → {wanted}", "reason": reason.strip()[:200]})
    uow.audit("specimen", tube.id, "renumbered", {"sample_no": before}, {"sample_no": wanted}, reason.strip()[:200])


def _tube(uow: UnitOfWork, code: str) -> Specimen:
    scan = steps.recognise(uow, code)
    wrong = rules.scan_problem(scan)
    if wrong is not None:
        raise UserError("invalid", wrong[1], field="code")
    found = uow.s.scalars(select(Specimen).where(Specimen.barcode == scan.code).with_for_update()).one_or_none()
    if found is None:
        raise UserError("not_found", say("系统里没有这个条码，请核对标签。"))
    facts.require_here(uow, found.id)
    return found


# --- looks ----------------------------------------------------------------------------------------------------------

_SENT = text(f"""
SELECT f.id, s.id AS specimen_id, s.barcode, p.name, f.lab, f.contract, f.courier, f.due, f.sent_at, f.sent_by,
       f.returned_at, f.returned_by, f.outcome, s.state,
       (SELECT coalesce(string_agg(coalesce(nullif(i.his_name, ''), i.his_code), '、'), '') FROM order_item i
         WHERE i.tenant_id = s.tenant_id AND i.specimen_id = s.id) AS names
FROM referral f JOIN specimen s ON s.tenant_id = f.tenant_id AND s.id = f.specimen_id
JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
WHERE f.tenant_id = :t AND f.id < :before AND (f.returned_at IS NULL) = :open AND {places.TUBE}
ORDER BY f.id DESC LIMIT :n
""")
_GAPS = text("""
SELECT c.key, g.n FROM specimen_counter c CROSS JOIN LATERAL generate_series(1, c.last) AS g(n)
WHERE c.tenant_id = :t AND c.day = :day AND c.key = ANY(:keys) ORDER BY c.key, g.n
""")
_GIVEN = text("SELECT section_id, sample_no FROM specimen WHERE tenant_id = :t AND section_id = ANY(:sections) AND sample_day = :day")


EXPORT_MOST = 5000


def sent(uow: UnitOfWork, open_only: bool = False, before: int | None = None, limit: int = PAGE) -> Sequence[Any]:
    """Sendings: all that are away, then those that came back, newest first; ``before`` pages the latter only."""

    def rows(away: bool, most: int) -> Sequence[Any]:
        asked = {"t": uow.tenant_id, "open": away, "before": before or 2**62, "n": most, **places.binds(uow)}
        return uow.s.execute(_SENT, asked).all()

    away = rows(True, EXPORT_MOST) if before is None else []
    return away if open_only else [*away, *rows(False, limit)]


COLUMNS = (
    Column("送出", 3), Column("条码", 3), Column("患者", 2), Column("项目", 5), Column("送往的实验室", 4), Column("合同号", 2),
    Column("运送人", 2), Column("应回报", 2), Column("回报", 5),
)  # fmt: skip


def document(rows: Sequence[Any], hospital: str, by: str, now: datetime) -> ListDocument:
    """The referral list for paper or Excel."""

    def at(when: datetime | None) -> str:
        return "" if when is None else when.astimezone(ZONE).strftime("%Y-%m-%d %H:%M")

    def back(r: Any) -> str:
        if r.returned_at is not None:
            return f"{r.outcome} {r.returned_by} {at(r.returned_at)}"
        return "逾期未回报" if r.due < now.astimezone(ZONE).date() else "未回报"

    return ListDocument(
        hospital=hospital,
        title="外送标本登记",
        columns=COLUMNS,
        rows=tuple(
            (f"{at(r.sent_at)} {r.sent_by}", r.barcode, r.name, r.names, r.lab, r.contract, r.courier, str(r.due), back(r)) for r in rows
        ),
        printed_at=now,
        printed_by=by,
        landscape=True,
    )


@dataclass(frozen=True, slots=True)
class Numbers:
    """A section's numbers of a day: how many tubes have one, and which of those handed out no tube has."""

    section_id: int
    used: int
    gaps: tuple[str, ...]


def numbers(uow: UnitOfWork, day: date) -> list[Numbers]:
    """Sample numbers of a day by section, with their gaps (M05: listed at the day's end)."""
    own = [s for s in md.catalog(uow).sections.values() if places.covers(uow, s.id)]
    keys = {f"sample:{s.id}:{kind}": (s, kind) for s in own for kind in ("routine", "stat")}
    given: dict[int, set[str]] = {s.id: set() for s in own}
    for section, number in uow.s.execute(_GIVEN, {"t": uow.tenant_id, "sections": list(given), "day": day}):
        given[section].add(number)
    gaps: dict[int, list[str]] = {s: [] for s in given}
    for key, n in uow.s.execute(_GAPS, {"t": uow.tenant_id, "day": day, "keys": list(keys)}):
        section, kind = keys[key]
        number = rules.sample_number(section.sample_no_prefix, kind, n)
        if number is not None and number not in given[section.id]:
            gaps[section.id].append(number)
    return [Numbers(s, len(given[s]), tuple(gaps[s])) for s in given if given[s] or gaps[s]]


# --- the calendar ---------------------------------------------------------------------------------------------------


def nightly(uow: UnitOfWork) -> None:
    """00:30: yesterday's missing sample numbers."""
    day = uow.now.astimezone(ZONE).date() - timedelta(days=1)
    known, words = md.catalog(uow), "%(section)s %(day)s 缺样本号 %(gaps)s"
    for each in numbers(uow, day):
        if each.gaps:
            fields = {"section": known.sections[each.section_id].name, "day": str(day), "gaps": "、".join(each.gaps[:20])}
            url = f"/sp/numbers?day={day}"
            subject, at = f"{each.section_id}@{day}", (known.sections[each.section_id].code,)
            told = alerts.Alert("specimen.gaps", subject, alerts.Level.NOTICE, words, url, Perm.RECEIVE, fields, once=True, at=at)
            alerts.raise_alert(uow, told)


def look(uow: UnitOfWork) -> None:
    """Every 15 minutes: rejections the ward has not read, recollections that do not come, referrals overdue."""
    unread, late = [], []
    rejected = queries.rejections(uow, queries.Rejected(days=0))
    at = places.of_tubes(uow, [row.specimen_id for row in rejected])
    for row in rejected:
        if not row.open and row.read_at is None:  # its requests were cancelled, or another tube came without a collection
            ward.read(uow, uow.s.get_one(Rejection, (uow.tenant_id, row.id), with_for_update=True))
        fields = {"code": row.barcode, "ward": row.ward or row.dept or "—", "name": row.name}
        if row.open and row.read_at is None and uow.now - row.at > UNREAD:
            words = "%(ward)s %(name)s 的拒收通知（%(code)s）30 分钟没有人看，请电话告知"
            told = alerts.Alert("specimen.unread", str(row.id), alerts.Level.WARNING, words, "/sp/recollect", Perm.REJECT, fields)
            unread.append(replace(told, at=at[row.specimen_id]))
        elif row.open and uow.now - row.at > RECOLLECT_LATE:
            words = "%(ward)s %(name)s 拒收后 4 小时没有收到重采的标本（%(code)s）"
            told = alerts.Alert("specimen.recollect", str(row.id), alerts.Level.WARNING, words, "/sp/recollect", Perm.REJECT, fields)
            late.append(replace(told, at=at[row.specimen_id]))
    alerts.sync(uow, "specimen.unread", unread)
    alerts.sync(uow, "specimen.recollect", late)
    today, words = uow.now.astimezone(ZONE).date(), "外送标本 %(code)s（%(lab)s）应于 %(due)s 回报，还没有收到报告"
    away = [f for f in sent(uow, open_only=True) if f.due < today]
    at = places.of_tubes(uow, [f.specimen_id for f in away])
    alerts.sync(
        uow,
        "specimen.referral",
        (
            alerts.Alert(
                "specimen.referral", str(f.id), alerts.Level.WARNING, words, "/sp/referral", Perm.REFER,
                {"code": f.barcode, "lab": f.lab, "due": str(f.due)}, at=at[f.specimen_id],
            )
            for f in away
        ),
    )  # fmt: skip
