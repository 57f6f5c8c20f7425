"""Rules of critical values (M10): states, double check, clocks of both indicator editions, read-back, suppression, escalation. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from common.say import Said, say
from common.values import parse


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "critical:read"
    HANDLE = "critical:handle"
    SETUP = "critical:setup"
    CLINIC = "critical:clinic"


class State(StrEnum):
    """Where one critical value stands."""

    DETECTED = "detected"
    CONFIRMED = "confirmed"
    NOTIFYING = "notifying"
    UNREACHABLE = "unreachable"
    ESCALATED = "escalated"
    RECEIVED = "received"
    ACKNOWLEDGED = "doctor_acknowledged"
    HANDLED = "handled"
    CLOSED = "closed"
    FALSE_ALARM = "false_alarm"
    MERGED = "merged"


_S = State
TRANSITIONS: Mapping[State, frozenset[State]] = {
    _S.DETECTED: frozenset({_S.CONFIRMED, _S.FALSE_ALARM}),
    _S.CONFIRMED: frozenset({_S.NOTIFYING, _S.RECEIVED, _S.ESCALATED, _S.FALSE_ALARM}),
    # R9: while somebody is being told it ends without receipt only where the value does not stand any more.
    _S.NOTIFYING: frozenset({_S.RECEIVED, _S.ESCALATED, _S.UNREACHABLE, _S.FALSE_ALARM}),
    _S.UNREACHABLE: frozenset({_S.ESCALATED, _S.FALSE_ALARM}),
    _S.ESCALATED: frozenset({_S.RECEIVED, _S.FALSE_ALARM}),
    # R9: nothing closes without receipt; handled without a doctor's own acknowledgement is the table's received → handled.
    _S.RECEIVED: frozenset({_S.ACKNOWLEDGED, _S.HANDLED}),
    _S.ACKNOWLEDGED: frozenset({_S.HANDLED}),
    _S.HANDLED: frozenset({_S.CLOSED}),
    _S.CLOSED: frozenset(),
    _S.FALSE_ALARM: frozenset(),
    # A repeat that R6 lets rest on an earlier call: it begins and ends here, linked to the one that was told.
    _S.MERGED: frozenset(),
}
UNTOLD = (_S.DETECTED, _S.CONFIRMED, _S.NOTIFYING, _S.UNREACHABLE, _S.ESCALATED)
TELLABLE = (_S.CONFIRMED, _S.NOTIFYING, _S.ESCALATED)
TOLD = (_S.RECEIVED, _S.ACKNOWLEDGED, _S.HANDLED, _S.CLOSED)
OPEN = (*UNTOLD, _S.RECEIVED, _S.ACKNOWLEDGED, _S.HANDLED)
# No report leaves with one of these (transitions: Report tested → released, "M10 checks").
BLOCKING = (_S.DETECTED,)
WORDS: Mapping[State, Said] = {
    _S.DETECTED: say("待复核"),
    _S.CONFIRMED: say("已复核，待通知"),
    _S.NOTIFYING: say("通知中"),
    _S.UNREACHABLE: say("联系不上"),
    _S.ESCALATED: say("已升级"),
    _S.RECEIVED: say("临床已接收"),
    _S.ACKNOWLEDGED: say("医生已确认"),
    _S.HANDLED: say("已处置"),
    _S.CLOSED: say("已关闭"),
    _S.FALSE_ALARM: say("非危急值"),
    _S.MERGED: say("并入前次通知"),
}


def may_move(state: State, to: State) -> bool:
    """Whether the table allows the move."""
    return to in TRANSITIONS[state]


def standing(test_state: str, value: str | None, critical: bool) -> Said | None:
    """Why a critical value that was found does not stand any more, or None: what its test is now, and the value that counts."""
    if test_state == "recalled":
        return say("报告已召回，此值请勿使用。")
    if test_state == "cancelled":
        return say("该检验已取消，此值请勿使用。")
    if value is None or critical:
        return None
    return say("结果已更正为 {value}，不再是危急值。", value=value)


def dismiss_problem(state: State, stands: Said | None) -> Said | None:
    """Why this event may not be ended as no critical value, or None."""
    if not may_move(state, State.FALSE_ALARM):
        return say("该危急值目前为“{state}”，不能改为“{to}”。", state=WORDS[state], to=WORDS[State.FALSE_ALARM])
    if state not in (State.DETECTED, State.CONFIRMED) and stands is None:
        return say("该危急值正在通知临床，结果没有更正或召回，须等临床接收。")
    return None


# --- the unit that must be told, and how fast (R4) ------------------------------------------------------------------


class DeptClass(StrEnum):
    """What kind of unit waits for the call."""

    EMERGENCY = "emergency"
    ICU = "icu"
    WARD = "inpatient"
    OUTPATIENT = "outpatient"


MINUTES: Mapping[DeptClass, int] = {DeptClass.EMERGENCY: 10, DeptClass.ICU: 10, DeptClass.WARD: 15, DeptClass.OUTPATIENT: 30}
CLASS_WORDS = {
    DeptClass.EMERGENCY: say("急诊"),
    DeptClass.ICU: say("重症监护"),
    DeptClass.WARD: say("住院病区"),
    DeptClass.OUTPATIENT: say("门诊"),
}
DAY_MINUTES = 24 * 60


# As hospitals write it: NICU, EICU, CCU, 重症医学科, 心脏监护室.
_ICU, _EMERGENCY = ("ICU", "CCU", "监护", "重症"), ("急诊", "抢救")


def dept_class(visit_kind: str | None, ward: str, dept: str = "") -> DeptClass:
    """The class of a unit by its name, then by the visit; where nobody said what kind of visit it is, the strictest clock runs."""
    name = f"{ward} {dept}".upper()
    if any(word in name for word in _ICU):
        return DeptClass.ICU
    if visit_kind in (DeptClass.EMERGENCY, None) or any(word in name for word in _EMERGENCY):
        return DeptClass.EMERGENCY
    return DeptClass.WARD if visit_kind == DeptClass.WARD else DeptClass.OUTPATIENT


def notify_minutes(visit_kind: str | None, ward: str, dept: str = "") -> int:
    """How many minutes there are to tell the clinical unit."""
    return MINUTES[dept_class(visit_kind, ward, dept)]


class Light(StrEnum):
    """How a clock looks: at 50 % of its time it warns, at 100 % it is late (R4)."""

    OK = "ok"
    SOON = "soon"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Clock:
    """Minutes gone since the value was found, of those there are; stopped at receipt."""

    spent: int
    minutes: int
    light: Light


def clock(found_at: datetime, received_at: datetime | None, minutes: int, now: datetime) -> Clock:
    """The clock of one event; it runs from ``found_at`` (2025 edition), the stricter of the two."""
    spent = max((received_at or now) - found_at, timedelta())
    limit = timedelta(minutes=minutes)
    light = Light.LATE if spent > limit else Light.SOON if spent * 2 >= limit else Light.OK
    return Clock(int(spent / timedelta(minutes=1)), minutes, light)


# --- double check (R2) ----------------------------------------------------------------------------------------------

APART = timedelta(minutes=1)
NIGHT_FROM, NIGHT_TO = 20, 8


@dataclass(frozen=True, slots=True)
class Check:
    """One look at tube, curve, QC and history: by whom, when."""

    by_id: int
    at: datetime


def alone_allowed(local_hour: int, urgent: bool) -> bool:
    """At night (20:00–08:00 [C]) or for an urgent tube one person may check twice."""
    return urgent or local_hour >= NIGHT_FROM or local_hour < NIGHT_TO


def check_problem(done: Sequence[Check], who: int, at: datetime, alone: bool) -> Said | None:
    """Why this check does not count, or None. Two are needed: two persons, or one twice at least a minute apart."""
    if len(done) >= 2:
        return say("该危急值已完成两次复核。")
    if done and done[0].by_id == who and not alone:
        return say("两次复核须由两人完成，请由另一人复核。")
    if done and done[0].by_id == who and at - done[0].at < APART:
        return say("同一人两次复核须间隔至少 1 分钟，请稍候再核对一次。")
    return None


class Repeat(StrEnum):
    """What the limit asks for before anybody is told (R1): nothing, another measurement, or one for the first of an episode."""

    NONE = "none"
    REPEAT = "repeat"
    FIRST = "first"


def needs_rerun(rule: str, first_of_episode: bool) -> bool:
    """Whether a value that was just found must be measured again before it is told."""
    return rule == Repeat.REPEAT or (rule == Repeat.FIRST and first_of_episode)


def rerun_problem(needs: bool, reruns: int, waived: str, done: int) -> Said | None:
    """Why the check that would confirm is refused, or None: the rerun that the rule asks for is not back, and nobody said why not."""
    if not needs or reruns or waived or done < 1:
        return None
    return say("该项目的规则要求先复查再通知：请申请复查，结果回来后再做第二次复核；确实不能复查时，请写明原因。")


# --- telling (R3) ---------------------------------------------------------------------------------------------------


class Channel(StrEnum):
    """By what somebody is told."""

    POPUP = "popup"
    HIS = "his"
    SMS = "sms"
    WECHAT = "wechat"
    PHONE = "phone"
    PATIENT = "patient"
    LEVEL = "level"


CHANNEL_WORDS = {
    Channel.POPUP: say("临床工作站弹窗"),
    Channel.HIS: say("HIS 消息"),
    Channel.SMS: say("短信"),
    Channel.WECHAT: say("企业微信"),
    Channel.PHONE: say("电话"),
    Channel.PATIENT: say("电话（患者）"),
    Channel.LEVEL: say("升级通知"),
}


class Result(StrEnum):
    """What became of one try."""

    OK = "ok"
    MISMATCH = "mismatch"
    NO_ANSWER = "no_answer"
    SHOWN = "shown"
    QUEUED = "queued"
    SENT = "sent"
    UNSET = "unset"
    DUE = "due"
    CORRECTED = "corrected"


RESULT_WORDS = {
    Result.OK: say("复述一致"),
    Result.MISMATCH: say("复述不一致"),
    Result.NO_ANSWER: say("无人接听"),
    Result.SHOWN: say("已弹出"),
    Result.QUEUED: say("已交接口排队"),
    Result.SENT: say("已发到群"),
    Result.UNSET: say("未配置"),
    Result.DUE: say("须电话通知"),
    Result.CORRECTED: say("已告知更正"),
}


def readback_equal(told: str, readback: str) -> bool:
    """Whether the receiver repeated the value told (AC-CV-4): the same number, or the same text; 6.80 is 6.8, 5.8 is not."""
    a, b = parse(told), parse(readback)
    if b.missing:
        return False
    if a.number is not None and b.number is not None:
        return (a.comparator, a.number) == (b.comparator, b.number)
    return a.text == b.text


@dataclass(frozen=True, slots=True)
class Call:
    """What is written down about one answered call."""

    receiver: str
    dept: str
    readback: str
    identity: bool
    """The receiver repeated the patient's name and the item."""
    at: datetime


def call_problem(call: Call, told: str, found_at: datetime, now: datetime, at_ward: bool = False) -> tuple[Said, bool] | None:
    """Why a call does not count as receipt, and whether it was a failed read-back (which is kept); None when it counts. ``at_ward``: it is
    said to who repeats the value, not to who told it."""
    if not call.receiver.strip():
        return say("请填写接听人的姓名，再登记。"), False
    if not call.dept.strip():
        return say("请填写接听的科室，再登记。"), False
    if call.at < found_at:
        return say("接收时间早于发现时间，请核对后再登记。"), False
    if call.at > now + timedelta(minutes=1):
        return say("接收时间在将来，请核对后再登记。"), False
    if at_ward and not call.readback.strip():
        return say("请把看到的数值填在“复述数值”一栏，再确认。"), False
    if at_ward and not readback_equal(told, call.readback):
        readback = call.readback.strip()
        return say(
            "您填写的“{readback}”与危急值 {told} 不一致，还没有确认。请核对后重新填写；对数值有疑问请致电检验科。",
            readback=readback,
            told=told,
        ), True
    if not call.readback.strip():
        return say("请让对方复述数值，并把复述的数值填在“复述”一栏。"), False
    if not readback_equal(told, call.readback):
        return say(
            "复述“{readback}”与危急值 {told} 不一致，未登记为已接收。请重新告知并再次复述。", readback=call.readback.strip(), told=told
        ), True
    if not call.identity:
        return say("请让对方同时复述患者姓名和项目，并勾选确认。"), False
    return None


PATIENT_CALLS = 3


def is_unreachable(failed_calls: int) -> bool:
    """R5: three calls that nobody answered, all to the unit or all to the patient."""
    return failed_calls >= PATIENT_CALLS


# --- suppression (R6) -----------------------------------------------------------------------------------------------

REPEAT_WITHIN = timedelta(hours=24)
CHRONIC_WITHIN = timedelta(days=30)
WORSE_PERCENT = Decimal(20)


class Handling(StrEnum):
    """How a critical value is told."""

    FULL = "full"
    DAILY = "daily"  # once today, without the clock of minutes
    MERGED = "merged"  # told today already


@dataclass(frozen=True, slots=True)
class Sight:
    """A critical value as suppression compares it. ``value`` None: it cannot be compared, and never counts as the same."""

    id: int
    value: Decimal | None
    direction: str
    found_at: datetime
    day: str
    """Local day, so that "once per day" means the hospital's day."""


def comparable(told: str, value: Decimal | None, direction: str) -> Decimal | None:
    """The number a new value is compared by; None for a text, and for a limit that lies open on the bad side (>33.3, <1.0)."""
    beyond = {"high": (">", "≥"), "low": ("<", "≤")}.get(direction, ())
    return None if parse(told).comparator in beyond else value


def first_of_episode(new: Sight, told: Sequence[Sight]) -> bool:
    """Whether no value of the same patient and item was told within the day before."""
    return not any(timedelta() <= new.found_at - t.found_at <= REPEAT_WITHIN for t in told)


def worse_by(before: Sight, now: Sight) -> Decimal | None:
    """How many per cent further out the newer value is (negative: better); None where that cannot be said."""
    if before.value is None or now.value is None or before.value == 0:
        return None
    change = (now.value - before.value) / abs(before.value) * 100
    return change if now.direction == "high" else -change


def handling(new: Sight, told: Sequence[Sight], chronic: bool, worse_percent: Decimal = WORSE_PERCENT) -> tuple[Handling, int | None]:
    """What to do with a repeat, and which told value it rests on. ``told``: same patient and item, received by somebody.

    Never quieter when the direction changed, when the value is further out by more than the limit, or when that cannot be said.
    """
    window = CHRONIC_WITHIN if chronic else REPEAT_WITHIN
    near = [t for t in told if timedelta() <= new.found_at - t.found_at <= window]
    if not near:
        return Handling.FULL, None
    last = max(near, key=lambda t: (t.found_at, t.id))
    # Against the mildest of those told, so that many small steps downhill are not each "not much worse".
    if any(t.direction != new.direction for t in near) or new.direction == "":
        return Handling.FULL, None
    changes = [worse_by(t, new) for t in near]
    if any(c is None or c > worse_percent for c in changes):
        return Handling.FULL, None
    return (Handling.MERGED if any(t.day == new.day for t in near) else Handling.DAILY), last.id


# --- escalation (R4) ------------------------------------------------------------------------------------------------

LEVELS = 3
LEVEL_WORDS = {1: say("病区电话"), 2: say("科室值班负责人"), 3: say("总值班")}
NO_ACTION = timedelta(minutes=30)


class Due(StrEnum):
    """What the calendar job has to do for an event now."""

    REMIND = "remind"
    ESCALATE = "escalate"
    NAG = "nag"


@dataclass(frozen=True, slots=True)
class Running:
    """An open event as the clock sees it."""

    state: State
    found_at: datetime
    minutes: int
    level: int
    reminded: bool
    received_at: datetime | None
    nagged: bool


def due(event: Running, now: datetime) -> tuple[Due, int] | None:
    """The next thing that is due, with the level it leads to; at 50 % a reminder, at 100 %, 150 %, 200 % the next level.

    An event that nobody has checked cannot escalate to the ward: at 100 % the laboratory's own chief is told (level 2), at 200 % 总值班.
    """
    if event.state in (State.RECEIVED, State.ACKNOWLEDGED):
        late = event.received_at is not None and now - event.received_at >= NO_ACTION
        return (Due.NAG, event.level) if late and not event.nagged else None
    if event.state not in UNTOLD:
        return None
    spent, limit = now - event.found_at, timedelta(minutes=event.minutes)
    if event.state is State.UNREACHABLE:
        return Due.ESCALATE, min(max(event.level + 1, 2), LEVELS)
    reached = 0 if spent < limit else min(1 + int((spent - limit) / (limit / 2)), LEVELS)
    if event.state is State.DETECTED and reached == 1:
        reached = 2
    if reached > event.level:
        return Due.ESCALATE, reached
    return (Due.REMIND, event.level) if spent * 2 >= limit and not event.reminded else None


# --- indicators (F3, AC-CV-1…5) -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Intervals:
    """How long telling took by each edition's definition; None where it was never told (or never confirmed)."""

    y2015: timedelta | None
    y2025: timedelta | None


def intervals(found_at: datetime, confirmed_at: datetime | None, received_at: datetime | None) -> Intervals:
    """2015: confirmed → told, nothing where the call came before the second check. 2025: found → obtained by the clinical unit."""
    if received_at is None:
        return Intervals(None, None)
    return Intervals(None if confirmed_at is None else max(received_at - confirmed_at, timedelta()), received_at - found_at)


def timely(interval: timedelta | None, minutes: int) -> bool:
    """Told within the limit; the limit itself is within."""
    return interval is not None and interval <= timedelta(minutes=minutes)


def percent(part: int, whole: int) -> Decimal | None:
    """A percentage with two decimals, half up (AC-CV-5); None of nothing."""
    return None if whole == 0 else (Decimal(part) * 100 / Decimal(whole)).quantize(Decimal("0.01"), ROUND_HALF_UP)
