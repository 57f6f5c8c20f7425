"""Rules of requests (M03): states of an item, when it may be labelled, what an update may still change, cancel and refund. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from cloud.modules.orders.messages import Action, Charge, PatientData, Priority, Problem, Severity, VisitType
from common.say import Said, say, word

PARKED_FOR = timedelta(minutes=10)  # M23: a cancel that came before its order waits this long
NEVER_COLLECTED = timedelta(hours=48)
REFUND_LATE = timedelta(minutes=30)
VERBAL_LIMIT = timedelta(hours=24)  # R5: a verbal request is confirmed in writing within this time
LAPSED_TOLD = timedelta(days=30)  # a paid request that ran out is told this long: there is money to give back
EXPIRE_DAYS = 30  # [C] setting ``orders``/``expire_days``
MAX_AGE_YEARS = 150


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "orders:read"
    REGISTER = "orders:register"
    REFUND = "orders:refund"
    MERGE = "orders:merge"
    FIGURES = "orders:figures"


class ItemStatus(StrEnum):
    """Where an order item stands."""

    REQUESTED = "requested"
    CONFIRMED = "confirmed"
    LABELLED = "labelled"
    COLLECTED = "collected"
    RECEIVED = "received"
    IN_TEST = "in_test"
    PARTLY_REPORTED = "partly_reported"
    REPORTED = "reported"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    REJECTED = "rejected"
    EXPIRED = "expired"


S = ItemStatus
PATH = (S.REQUESTED, S.CONFIRMED, S.LABELLED, S.COLLECTED, S.RECEIVED, S.IN_TEST, S.PARTLY_REPORTED, S.REPORTED)
ENDED = frozenset({S.CANCELLED, S.REFUNDED, S.EXPIRED})
BEFORE_LABEL = frozenset({S.REQUESTED, S.CONFIRMED, S.REJECTED})
PAID_WAITING = (S.REQUESTED, S.CONFIRMED)
BEFORE_RECEIPT = BEFORE_LABEL | {S.LABELLED, S.COLLECTED}

TRANSITIONS: dict[ItemStatus, frozenset[ItemStatus]] = {
    S.REQUESTED: frozenset({S.CONFIRMED, S.LABELLED, S.CANCELLED, S.REFUNDED, S.EXPIRED}),
    S.CONFIRMED: frozenset({S.LABELLED, S.REQUESTED, S.CANCELLED, S.REFUNDED, S.EXPIRED}),
    S.LABELLED: frozenset({S.COLLECTED, S.RECEIVED, S.CONFIRMED, S.REJECTED, S.CANCELLED, S.REFUNDED, S.EXPIRED}),
    S.COLLECTED: frozenset({S.RECEIVED, S.REJECTED, S.CANCELLED, S.REFUNDED}),
    # Cancelled or refunded after receipt only through the laboratory's consent (R3). Received → reported: one-way instruments, manual.
    S.RECEIVED: frozenset({S.IN_TEST, S.PARTLY_REPORTED, S.REPORTED, S.REJECTED, S.CANCELLED, S.REFUNDED}),
    S.IN_TEST: frozenset({S.PARTLY_REPORTED, S.REPORTED, S.REJECTED, S.CANCELLED, S.REFUNDED}),
    S.PARTLY_REPORTED: frozenset({S.REPORTED, S.IN_TEST}),
    # A recall takes an item back to work.
    S.REPORTED: frozenset({S.PARTLY_REPORTED, S.IN_TEST}),
    # Rejected → a new tube (recollection), under the same item number.
    S.REJECTED: frozenset({S.REQUESTED, S.CONFIRMED, S.LABELLED, S.CANCELLED, S.REFUNDED}),
    S.CANCELLED: frozenset(),
    S.REFUNDED: frozenset(),
    S.EXPIRED: frozenset({S.REQUESTED, S.CONFIRMED}),
}

STATUS_TEXT = {
    S.REQUESTED: "已申请",
    S.CONFIRMED: "已确认",
    S.LABELLED: "已打条码",
    S.COLLECTED: "已采集",
    S.RECEIVED: "已核收",
    S.IN_TEST: "检验中",
    S.PARTLY_REPORTED: "部分报告",
    S.REPORTED: "已报告",
    S.CANCELLED: "已取消",
    S.REFUNDED: "已退费",
    S.REJECTED: "拒收待重采",
    S.EXPIRED: "已过期",
}


PERFORMED = frozenset({S.IN_TEST, S.PARTLY_REPORTED, S.REPORTED})
"""Work was done on it."""


class Leak(StrEnum):
    """Why an examined item has no charge (漏费)."""

    INPATIENT = "inpatient"
    UNPAID = "unpaid"
    LAB = "lab"
    REFUNDED = "refunded"


LEAK_WORDS = {
    Leak.INPATIENT: say("住院未计费"),
    Leak.UNPAID: say("门急诊未缴费已检验"),
    Leak.LAB: say("检验科加做，未收费"),
    Leak.REFUNDED: say("已退费仍检验"),
}


class Settled(StrEnum):
    """How a missing charge ended: made afterwards, or waived."""

    CHARGED = "charged"
    WAIVED = "waived"


SETTLED_WORDS = {Settled.CHARGED: say("已补收"), Settled.WAIVED: say("免收")}
_CHARGED_SINGLY = frozenset({VisitType.OUTPATIENT, VisitType.EMERGENCY, VisitType.INPATIENT})


def leak(charge_state: str, kind: str, source: str, posted: bool) -> Leak | None:
    """Why an item that was examined is not charged, or None. Agreements (体检, 外院, 科研) are invoiced as a whole. ``posted``: its
    inpatient charge went out; ``source`` "lab": added by the laboratory's own rules."""
    if charge_state == Charge.REFUNDED:
        return Leak.REFUNDED
    if charge_state != Charge.UNPAID or posted or kind not in _CHARGED_SINGLY:
        return None
    if kind == VisitType.INPATIENT:
        return Leak.INPATIENT
    return Leak.LAB if source == "lab" else Leak.UNPAID


def may_move(status: ItemStatus, to: ItemStatus) -> bool:
    """Whether the table has this step."""
    return to in TRANSITIONS[status]


def in_scope(scope: str, mark: str) -> bool:
    """R4: whether the mark on another hospital's report is one under which this laboratory recognises the item (HR, or HR,京津冀HR)."""
    return mark.strip().upper() in {each.upper() for each in re.split(r"[,，、;；\s]+", scope) if each}


def recognises(scope: str, mark: str, sampled_at: datetime, at: datetime, hours: float) -> bool:
    """Whether it counts for what is asked at ``at``: of the item's own scope, and sampled within the minimum interval."""
    return in_scope(scope, mark) and timedelta(0) <= at - sampled_at < timedelta(hours=hours)


def expired(status: ItemStatus, ordered_at: datetime, planned_at: datetime | None, days: int, now: datetime) -> bool:
    """Whether a request that nobody collected has run out: ``days`` after it was made, or after the day it was planned for."""
    return may_move(status, S.EXPIRED) and now >= max(ordered_at, planned_at or ordered_at) + timedelta(days=days)


def charged_later(kind: VisitType | None, priority: Priority) -> bool:
    """R2: only an ordinary outpatient pays first. Inpatients are charged at collection or receipt, agreements by invoice."""
    return kind not in (None, VisitType.OUTPATIENT, VisitType.EMERGENCY) or priority in (Priority.STAT, Priority.GREEN)


def first_status(charge: Charge, kind: VisitType | None, priority: Priority) -> ItemStatus:
    """Confirmed when it is paid or need not be; else requested until the payment is told."""
    return S.CONFIRMED if charge is Charge.PAID or charged_later(kind, priority) else S.REQUESTED


SEX_WORDS = {"M": say("男"), "F": say("女")}


def fit_problem(sex: str, age_years: int | None, only_sex: str | None, age_low: int | None, age_high: int | None) -> Said | None:
    """Why a request does not fit this patient, or None. Ages in completed years, ``age_high`` exclusive; what is not known holds too."""
    if only_sex and sex not in SEX_WORDS:
        return say("患者性别未知，该项目仅限{only}性", only=SEX_WORDS[only_sex])
    if only_sex and sex != only_sex:
        return say("患者为{sex}性，该项目仅限{only}性", sex=SEX_WORDS[sex], only=SEX_WORDS[only_sex])
    if age_low is None and age_high is None:
        return None
    if age_years is None:
        return say("患者年龄未知，该项目有年龄限制")
    if (age_low is not None and age_years < age_low) or (age_high is not None and age_years >= age_high):
        return say("患者 {age} 岁，不在该项目的年龄范围", age=age_years)
    return None


def consent_problem(needed: bool, told: bool | None) -> Said | None:
    """Why an item waits for the patient's consent, or None. Silence is no consent."""
    return say("须患者知情同意，申请未注明已签署") if needed and told is not True else None


def label_problem(
    status: ItemStatus, charge: Charge, kind: VisitType | None, priority: Priority, mapped: bool, hold: str = ""
) -> str | None:
    """Why no label may be printed for an item, or None. Guards of the transition planned → labelled."""
    if not mapped:
        return "项目未对照，请先在接口对照页对照"
    if hold and status in BEFORE_LABEL:
        return say("已挂起：{why}。请与开单医生核实", why=hold)
    if status in ENDED:
        return say("项目{state}", state=word(STATUS_TEXT[status]))
    if status not in BEFORE_LABEL:
        return say("项目{state}，不能再打条码", state=word(STATUS_TEXT[status]))
    if charge is Charge.REFUNDED:
        return "已退费"
    if charge is not Charge.PAID and not charged_later(kind, priority):
        return "未收费，请先缴费"
    return None


class CancelAnswer(StrEnum):
    """What becomes of a cancellation or refund."""

    DONE = "done"
    ALREADY = "already"
    PENDING = "pending"
    REFUSED = "refused"


def judge_cancel(status: ItemStatus, told: bool = False) -> CancelAnswer:
    """R3: free until the laboratory has the tube, then only with its consent, never once reported. ``told``: a value of it left a moment
    ago, and its status does not say so yet."""
    if status in ENDED:
        return CancelAnswer.ALREADY
    if told:
        return CancelAnswer.REFUSED
    if status in BEFORE_RECEIPT:
        return CancelAnswer.DONE
    if status in (S.PARTLY_REPORTED, S.REPORTED):
        return CancelAnswer.REFUSED
    return CancelAnswer.PENDING


class RefundState(StrEnum):
    """Where a refund asked for after receipt stands (R3)."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REFUSED = "refused"


REFUND_MOVES: Mapping[RefundState, frozenset[RefundState]] = {
    RefundState.WAITING: frozenset({RefundState.ACCEPTED, RefundState.REFUSED}),
    RefundState.ACCEPTED: frozenset(),
    RefundState.REFUSED: frozenset(),
}


def ended_as(charge: Charge) -> ItemStatus:
    """A cancelled item that had been paid is a refunded one."""
    return S.REFUNDED if charge in (Charge.PAID, Charge.REFUNDED) else S.CANCELLED


class Change(StrEnum):
    """What a repeated or changed item means for the stored one."""

    NOTHING = "nothing"
    APPLY = "apply"
    LOCKED = "locked"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Known:
    """A stored item, as far as an update is judged by it."""

    status: ItemStatus
    code: str
    charge: Charge


def form_open(status: ItemStatus) -> bool:
    """R1: whether this item lets doctor, department and day of its form still change: no label yet, or ended without one being needed."""
    return status in BEFORE_LABEL or status in ENDED


def judge_update(known: Known, code: str | None, charge: Charge | None) -> Change:
    """R1: all may change until the label is printed; afterwards the tested item may not, the payment still may."""
    if known.status in ENDED:
        return Change.ENDED
    same_code = code is None or code == known.code
    if same_code and (charge is None or charge is known.charge):
        return Change.NOTHING
    if known.status in BEFORE_LABEL or same_code:
        return Change.APPLY
    return Change.LOCKED


def verbal_problem(caller: str, doctor: str, read_back: bool) -> tuple[str, Said] | None:
    """What a verbal request lacks, as (field, words), or None (R5: receiver, caller, read-back)."""
    if not caller.strip():
        return "caller", say("请填写来电人姓名。")
    if not doctor.strip():
        return "doctor", say("请填写开单医生。")
    return None if read_back else ("read_back", say("请向来电人复述患者姓名和项目，得到确认后勾选“已复述”。"))


def wants_cancel(action: Action, charge: Charge | None) -> bool:
    """A cancellation by its control code, or a refund told by an update."""
    return action is Action.CANCEL or charge is Charge.REFUNDED


def person_problems(person: PatientData, today: date) -> list[Problem]:
    """Odd but possible: told, flagged, never repaired (M03 bad input)."""
    if person.birth is None:
        return []
    if person.birth > today:
        return [Problem("PID^1^7", "102", "出生日期在将来，请核对", Severity.WARNING)]
    years = today.year - person.birth.year - ((today.month, today.day) < (person.birth.month, person.birth.day))
    if years >= MAX_AGE_YEARS:
        return [Problem("PID^1^7", "102", f"年龄超过 {MAX_AGE_YEARS} 岁，请核对", Severity.WARNING)]
    return []


class MergeState(StrEnum):
    """What became of two records that may be one person's."""

    PROPOSED = "proposed"
    MERGED = "merged"
    DECLINED = "declined"
    UNDONE = "undone"


MERGE_WORDS = {
    MergeState.PROPOSED: say("待核对"),
    MergeState.MERGED: say("已合并"),
    MergeState.DECLINED: say("不是同一人"),
    MergeState.UNDONE: say("已撤销合并"),
}
MERGE_MOVES = {
    MergeState.PROPOSED: frozenset({MergeState.MERGED, MergeState.DECLINED}),
    MergeState.MERGED: frozenset({MergeState.UNDONE}),
    MergeState.DECLINED: frozenset(),
    MergeState.UNDONE: frozenset(),
}


def merge_problem(state: MergeState, to: MergeState, reason: str, checked: int) -> tuple[str, Said] | None:
    """Why a decision over two records is refused, as (field, words), or None. ``checked``: identity points compared by the person."""
    if to not in MERGE_MOVES[state]:
        return "state", say("这两份记录目前“{state}”，请刷新。", state=MERGE_WORDS[state])
    if not reason.strip():
        return "reason", say("请写明依据，例如核对了身份证原件，或与病区电话确认。")
    if to is MergeState.MERGED and checked < 2:
        return "checked", say("请至少核对两项身份信息（姓名之外再核对一项），再合并。")
    return None


class SamePerson(StrEnum):
    """Whether a stored patient and a message speak of one person."""

    YES = "yes"
    RENAMED = "renamed"
    NO = "no"


def same_person(name: str, sex: str, birth: date | None, other: PatientData) -> SamePerson:
    """One number, two descriptions: another name alone is a correction; another name with another sex or birthday is another person."""
    if name == other.name:
        return SamePerson.YES
    return SamePerson.NO if _contradicts(sex, birth, other) else SamePerson.RENAMED


def _contradicts(sex: str, birth: date | None, other: PatientData) -> bool:
    """Another sex or another birthday; what is not known contradicts nothing."""
    sexes = {sex, other.sex.value} - {"U", "O"}
    return len(sexes) > 1 or (birth is not None and other.birth is not None and birth != other.birth)


def shares_card(name: str, sex: str, birth: date | None, other: PatientData) -> bool:
    """Whether a card or a second number that both carry makes them one person: the name too, and neither sex nor birthday against it.
    Cards are handed on in families; a wrong match would put one person's results under another."""
    return name == other.name and not _contradicts(sex, birth, other)
