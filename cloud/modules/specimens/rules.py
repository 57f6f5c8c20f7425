"""What a tube may become, which orders share one, and what a scan at the counter means (M05, S). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from common.ids import CodeKind, CodeProblem, Scan
from common.say import say, word


class Perm(StrEnum):
    """What a person may do with tubes."""

    READ = "specimens:read"
    LABEL = "specimens:label"
    COLLECT = "specimens:collect"
    RECEIVE = "specimens:receive"
    REGISTER = "specimens:register"
    REJECT = "specimens:reject"
    CONDITIONAL = "specimens:conditional"
    LOST = "specimens:lost"
    NOTICE = "specimens:notice"
    ARCHIVE = "specimens:archive"
    DISCARD = "specimens:discard"
    REFER = "specimens:refer"
    NUMBER = "specimens:number"
    FIGURES = "specimens:figures"


# --- states ------------------------------------------------------------------------------------------------------------------------------


class State(StrEnum):
    """States of a tube; backward moves go through data correction only (M25)."""

    PLANNED = "planned"
    LABELLED = "labelled"
    COLLECTED = "collected"
    SENT = "sent"
    ARRIVED = "arrived"
    RECEIVED = "received"
    CENTRIFUGED = "centrifuged"
    ALIQUOTED = "aliquoted"
    ON_ANALYZER = "on_analyzer"
    TESTED = "tested"
    REVIEWED = "reviewed"
    RELEASED = "released"
    ARCHIVED = "archived"
    DISCARDED = "discarded"
    REJECTED = "rejected"
    CONDITIONAL = "conditional"
    LOST = "lost"
    CANCELLED = "cancelled"
    REFERRED = "referred"


S = State
_FORWARD: Mapping[State, tuple[State, ...]] = {
    S.PLANNED: (S.LABELLED,),
    S.LABELLED: (S.COLLECTED,),
    S.COLLECTED: (S.SENT, S.RECEIVED, S.REJECTED),
    S.SENT: (S.ARRIVED, S.RECEIVED, S.REJECTED),
    S.ARRIVED: (S.RECEIVED, S.REJECTED),
    S.RECEIVED: (S.CENTRIFUGED, S.ALIQUOTED, S.ON_ANALYZER, S.TESTED, S.CONDITIONAL, S.REFERRED),
    S.CENTRIFUGED: (S.ALIQUOTED, S.ON_ANALYZER),
    S.ALIQUOTED: (S.ON_ANALYZER,),
    S.CONDITIONAL: (S.ON_ANALYZER, S.TESTED),
    S.ON_ANALYZER: (S.TESTED,),
    S.REFERRED: (S.TESTED,),
    S.TESTED: (S.REVIEWED,),
    S.REVIEWED: (S.RELEASED,),
    S.RELEASED: (S.ARCHIVED,),
    S.ARCHIVED: (S.DISCARDED,),
}
BEFORE_TESTED = frozenset(
    (
        S.PLANNED,
        S.LABELLED,
        S.COLLECTED,
        S.SENT,
        S.ARRIVED,
        S.RECEIVED,
        S.CENTRIFUGED,
        S.ALIQUOTED,
        S.CONDITIONAL,
        S.ON_ANALYZER,
        S.REFERRED,
    )
)
# A tube that is gone already cannot get lost.
_GONE = frozenset((S.LOST, S.CANCELLED, S.DISCARDED))

TRANSITIONS: Mapping[State, frozenset[State]] = {
    state: frozenset(
        (*_FORWARD.get(state, ()), *((S.CANCELLED,) if state in BEFORE_TESTED else ()), *(() if state in _GONE else (S.LOST,)))
    )
    for state in State
}
_SENT_BACK = frozenset((S.RECEIVED, S.CENTRIFUGED, S.CONDITIONAL, S.ON_ANALYZER))


def refused_as(state: State) -> State | None:
    """What a tube that is not fit becomes: rejected on its way; from the laboratory, where it was found so before any value came,
    cancelled (the table has no way back from receipt to rejected). None: neither.
    """
    return S.REJECTED if S.REJECTED in TRANSITIONS[state] else S.CANCELLED if state in _SENT_BACK else None


ON_THE_WAY = frozenset((S.COLLECTED, S.SENT, S.ARRIVED))
IN_LAB = frozenset((S.RECEIVED, S.CENTRIFUGED, S.ALIQUOTED, S.CONDITIONAL, S.ON_ANALYZER, S.REFERRED))

STATE_WORDS: Mapping[State, str] = {
    S.PLANNED: say("待打印"),
    S.LABELLED: say("已贴标签，待采集"),
    S.COLLECTED: say("已采集"),
    S.SENT: say("运送中"),
    S.ARRIVED: say("已送达"),
    S.RECEIVED: say("已核收"),
    S.CENTRIFUGED: say("已离心"),
    S.ALIQUOTED: say("已分杯"),
    S.ON_ANALYZER: say("检测中"),
    S.TESTED: say("已检测"),
    S.REVIEWED: say("已审核"),
    S.RELEASED: say("已发报告"),
    S.ARCHIVED: say("已归档"),
    S.DISCARDED: say("已销毁"),
    S.REJECTED: say("已拒收"),
    S.CONDITIONAL: say("让步接收"),
    S.LOST: say("丢失"),
    S.CANCELLED: say("已取消"),
    S.REFERRED: say("已外送"),
}


class Prep(StrEnum):
    """What a tube's label was printed under: nothing, 空腹, or 空腹 although the request says the patient was not."""

    NONE = ""
    FASTING = "fasting"
    BROKEN = "broken"


def preparation(told: Iterable[bool | None]) -> Prep:
    """Of what the requests of a tube's fasting items say (None: nothing): one that was not outweighs the others."""
    said = list(told)
    return Prep.NONE if not said else Prep.BROKEN if False in said else Prep.FASTING


class Issue(StrEnum):
    """What a receiver may note about a tube that is taken in all the same; autoverification leaves such a tube to people (M08, 2)."""

    HAEMOLYSIS = "haemolysis"
    LIPAEMIA = "lipaemia"
    ICTERUS = "icterus"
    CLOT = "clot"
    SHORT = "short"
    BUBBLE = "bubble"
    TUBE = "tube"
    TEMP = "temp"
    OTHER = "other"


ISSUE_WORDS = {
    Issue.HAEMOLYSIS: say("溶血"),
    Issue.LIPAEMIA: say("脂血"),
    Issue.ICTERUS: say("黄疸"),
    Issue.CLOT: say("有凝块"),
    Issue.SHORT: say("标本量不足"),
    Issue.BUBBLE: say("有气泡"),
    Issue.TUBE: say("采血管或抗凝比例不当"),
    Issue.TEMP: say("运送温度超限"),
    Issue.OTHER: say("其他性状异常"),
}
MAY_NOTE = frozenset((State.RECEIVED, State.CENTRIFUGED, State.ALIQUOTED, State.CONDITIONAL, State.ON_ANALYZER, State.TESTED))
"""While somebody may still decide by it: before the report."""
EVENT_WORDS = {
    "issues": say("登记标本性状"),
    "reprint": say("补打标签"),
    "stored": say("放入样本架"),
    "taken_out": say("从样本架取出"),
    "referral_back": say("外送已回报"),
    "renumbered": say("改样本号"),
    "line_loaded": say("流水线：上样"),
    "line_centrifuged": say("流水线：离心"),
    "line_decapped": say("流水线：开盖"),
    "line_aliquoted": say("流水线：分杯"),
    "line_recapped": say("流水线：加盖"),
    "line_routed": say("流水线：传送"),
    "line_stored": say("流水线：入库"),
    "line_unloaded": say("流水线：下线"),
    "line_error": say("流水线：异常道"),
    "line_other": say("流水线"),
}
"""What happens to a tube without changing its state."""


def may_move(state: State | str, to: State) -> bool:
    """Whether the table allows the move; what is not listed is refused."""
    return to in TRANSITIONS[State(state)]


def way(state: State, to: State) -> tuple[State, ...]:
    """The steps that lead a tube to where a result or a report puts it: straight, or over the analyzer (centrifuged, poured off, then all
    results at once); none where the table knows no such way."""
    if may_move(state, to):
        return (to,)
    return (S.ON_ANALYZER, to) if may_move(state, S.ON_ANALYZER) and may_move(S.ON_ANALYZER, to) else ()


# --- payment -----------------------------------------------------------------------------------------------------------------------------

_PAY_FIRST = frozenset(("outpatient", "emergency"))


def must_pay_first(visit_kind: str | None, priority: str, charge_state: str) -> bool:
    """M03 R2: an outpatient pays before the label, unless urgent or under an agreement; an inpatient is charged later."""
    return charge_state not in ("paid", "exempt") and priority == "routine" and (visit_kind or "outpatient") in _PAY_FIRST


# --- which orders share a tube (合管) -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """One order item as the merge sees it; volumes in ml. ``share_group`` lets sections share, ``site`` is the site of collection."""

    order_item_id: int
    patient_id: int
    visit_id: int | None
    container_id: int
    specimen_type_id: int
    section_id: int
    volume_ml: Decimal
    nominal_ml: Decimal
    draw_order: int
    abbr: str
    priority: str = "routine"
    share_group: str | None = None
    planned_at: datetime | None = None
    handling: str = ""
    site: str = ""
    no_merge: bool = False


@dataclass(frozen=True, slots=True)
class Tube:
    """A tube to draw; ``k`` of ``n`` in this drawing, in draw order."""

    asked: tuple[Asked, ...]
    volume_ml: Decimal
    k: int
    n: int

    @property
    def first(self) -> Asked:
        """What decides container, type and section."""
        return self.asked[0]


def tube_priority(order_priority: str) -> str:
    """A green-channel order's tubes are urgent tubes."""
    return "routine" if order_priority == "routine" else "stat"


def merge(orders: Iterable[Asked], dead_ml: Decimal = Decimal("0.2")) -> list[Tube]:
    """Tubes in draw order. Orders share one when their whole group key agrees and volumes plus dead volume fit the tube."""
    groups: dict[object, list[list[Asked]]] = {}
    for each in sorted(orders, key=lambda x: (x.draw_order, x.container_id, x.section_id, x.order_item_id)):
        tubes = groups.setdefault(_key(each), [])
        room = next((t for t in tubes if _volume((*t, each), dead_ml) <= each.nominal_ml), None)
        if room is None:
            tubes.append([each])
        else:
            room.append(each)
    drawn = sorted((t for tubes in groups.values() for t in tubes), key=_draw_key)
    return [Tube(tuple(t), _volume(t, dead_ml), k, len(drawn)) for k, t in enumerate(drawn, start=1)]


def _key(x: Asked) -> object:
    shared = f"g:{x.share_group}" if x.share_group else f"s:{x.section_id}"
    alone = x.order_item_id if x.no_merge else None
    when = (x.patient_id, x.visit_id, x.planned_at)
    return (*when, x.container_id, x.specimen_type_id, x.site, shared, tube_priority(x.priority), x.handling, alone)


def _volume(tube: Sequence[Asked], dead_ml: Decimal) -> Decimal:
    return sum((x.volume_ml for x in tube), dead_ml)


def _draw_key(tube: Sequence[Asked]) -> tuple[int, bool, int, int]:
    # Within one kind of tube the urgent one is drawn and printed first.
    return tube[0].draw_order, tube_priority(tube[0].priority) == "routine", tube[0].container_id, min(x.order_item_id for x in tube)


# --- sample numbers ----------------------------------------------------------------------------------------------------------------------

ROUTINE_RANGE, STAT_RANGE = (1, 7999), (8001, 8999)


def number_range(priority: str) -> tuple[int, int]:
    """First and last sample number of a day: routine 1–7999, urgent 8001–8999 (9001– is for quality control)."""
    return STAT_RANGE if priority != "routine" else ROUTINE_RANGE


def sample_number(prefix: str, priority: str, count: int) -> str | None:
    """The ``count``-th number of the day, None when its range is used up."""
    first, last = number_range(priority)
    number = first + count - 1
    return f"{prefix}{number:04d}" if number <= last else None


def own_number_problem(prefix: str, text: str) -> str | None:
    """Why a sample number typed by hand is none of this section, or None: its prefix and four digits of the patients' ranges."""
    digits = text.removeprefix(prefix)
    (first, last), (urgent, end) = ROUTINE_RANGE, STAT_RANGE
    good = text.startswith(prefix) and len(digits) == 4 and digits.isascii() and digits.isdigit()
    if good and (first <= int(digits) <= last or urgent <= int(digits) <= end):
        return None
    ranges = {"prefix": prefix, "first": f"{first:04d}", "last": f"{last:04d}", "urgent": f"{urgent:04d}", "end": f"{end:04d}"}
    return say("样本号须为“{prefix}”加四位数字：常规 {first}–{last}，急诊 {urgent}–{end}。", **ranges)


RECOLLECT = ("waiting", "labelled", "collected", "done", "ended")
"""How far the recollection of a rejected tube is, the least far of its requests deciding."""
RECOLLECT_WORDS: Mapping[str, str] = {
    "waiting": say("待重采"),
    "labelled": say("已打条码"),
    "collected": say("已重采，在途"),
    "done": say("新标本已核收"),
    "ended": say("申请已取消"),
}
_RECOLLECT_OF = {
    **dict.fromkeys(("requested", "confirmed", "rejected"), "waiting"),
    **dict.fromkeys(("received", "in_test", "partly_reported", "reported"), "done"),
    **dict.fromkeys(("cancelled", "refunded", "expired"), "ended"),
}


OPEN_REQUESTS = ("requested", "confirmed", "rejected", "labelled", "collected")
"""States of a rejected tube's requests in which somebody still has to do something."""


def recollection(statuses: Iterable[str]) -> str:
    """The stage of a rejection by the states of its requests; without any, ended."""
    return min((_RECOLLECT_OF.get(s, s) for s in statuses), key=RECOLLECT.index, default="ended")


# --- what a scan at the counter means ----------------------------------------------------------------------------------------------------


class Finding(StrEnum):
    """The outcome of one scan; everything but OK changes nothing."""

    OK = "ok"
    DOUBLE = "double"
    UNKNOWN = "unknown"
    CHECK_DIGIT = "check_digit"
    WRONG_KIND = "wrong_kind"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    UNPAID = "unpaid"
    SECTION = "section"
    NOT_COLLECTED = "not_collected"
    OTHER_PATIENT = "other_patient"
    LATE = "late"
    NOT_LISTED = "not_listed"
    STATE = "state"


_KIND_WORDS = {
    CodeKind.TICKET: "排队小票",
    CodeKind.CARD: "患者卡或身份证",
    CodeKind.REPORT: "报告单",
    CodeKind.BAG: "标本转运袋",
    CodeKind.BADGE: "员工工牌",
}


PATIENTS_NUMBER = (Finding.WRONG_KIND, "扫到的是患者的卡号或单号，不是标本条码。请扫试管上的标签。")
"""A card whose number has no prefix of its own is only known for what it is once it was looked up."""


def scan_problem(scan: Scan) -> tuple[Finding, str] | None:
    """What is wrong with a scan in a tube field before anything is looked up; None when it may be looked up."""
    if not scan.code:
        return Finding.UNKNOWN, "没有扫到条码，请再扫一次。"
    if scan.kind in _KIND_WORDS:
        return Finding.WRONG_KIND, say("扫到的是{kind}，不是标本条码。请扫试管上的标签。", kind=word(_KIND_WORDS[scan.kind]))
    if scan.problem is CodeProblem.CHECK_DIGIT:
        return Finding.CHECK_DIGIT, "条码校验位不对，可能是手工输错或标签破损。请重新扫描，仍不行请核对后补打标签。"
    if scan.problem is CodeProblem.DATE:
        return Finding.CHECK_DIGIT, "条码里的日期不存在，不是本院的标本条码。请核对标签。"
    return None


@dataclass(frozen=True, slots=True)
class Known:
    """A tube as a receipt check sees it."""

    state: State
    unpaid: bool
    section: str
    section_name: str
    collected_at: datetime | None


def receive_problem(tube: Known, sections: frozenset[str], now: datetime, limit: timedelta | None) -> tuple[Finding, str] | None:
    """The first of M05's checks that fails, in their order: not cancelled, paid, right section, not received already, in time."""
    if tube.state is S.CANCELLED:
        return Finding.CANCELLED, "这管标本已经取消或退回重采，请不要检测。"
    if tube.state in (S.REJECTED, S.LOST, S.DISCARDED):
        return Finding.REJECTED, say("这管标本{state}，不能核收。", state=word(STATE_WORDS[tube.state]))
    if tube.unpaid:
        return Finding.UNPAID, "这管标本有未缴费的项目。请联系患者缴费，或改为急诊、绿色通道后再收。"
    if sections and tube.section not in sections:
        return Finding.SECTION, say("这管标本应送{section_name}，不是您所在的专业组。", section_name=tube.section_name)
    if tube.state in (S.PLANNED, S.LABELLED):
        return Finding.NOT_COLLECTED, "这管标本还没有采集登记。请先在“采集”页扫码，再核收。"
    if tube.state not in ON_THE_WAY:
        return Finding.DOUBLE, "这管标本已经核收过，没有再次登记，也不会重复收费。"
    if limit is not None and tube.collected_at is not None and now - tube.collected_at > limit:
        minutes = int((now - tube.collected_at) / timedelta(minutes=1))
        return (
            Finding.LATE,
            say(
                "采集后已过 {minutes} 分钟，超过送检时限 {limit} 分钟。请拒收，或由资深审核者让步接收。",
                minutes=minutes,
                limit=int(limit / timedelta(minutes=1)),
            ),
        )
    return None


def collect_problem(state: State, same_patient: bool) -> tuple[Finding, str] | None:
    """Why a tube may not be closed at the window or the bedside (S: right patient; not collected before)."""
    if not same_patient:
        return Finding.OTHER_PATIENT, "这不是这位患者的管！请放下试管，重新核对患者姓名和标签。"
    if state is S.CANCELLED:
        return Finding.CANCELLED, "这管标本已经取消或退回重采，请不要再用这张标签采集。"
    if state is S.LABELLED:
        return None
    if state in (S.REJECTED, S.LOST, S.DISCARDED, S.PLANNED):
        return Finding.STATE, say("这管标本{state}，不能采集登记。", state=word(STATE_WORDS[state]))
    return Finding.DOUBLE, "这管标本已经登记采集过，没有重复登记。"
