"""Rules of quality control (M11): permissions, states of runs and of out-of-control work, the release gate. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from common.say import say, word


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "qc:read"
    ENTER = "qc:enter"
    PLAN = "qc:plan"
    APPROVE = "qc:approve"
    CLOSE = "qc:close"
    BYPASS = "qc:bypass"


class Method(StrEnum):
    """How a plan judges."""

    LJ = "lj"
    IMMEDIATE = "immediate"
    QUALITATIVE = "qualitative"


METHOD_WORDS = {Method.LJ: "Levey-Jennings", Method.IMMEDIATE: "即刻法", Method.QUALITATIVE: "定性"}


class RunState(StrEnum):
    """What a run came to. A trial run has nothing to be judged by yet (a new lot beside the old one, the immediate method's first two)."""

    INCOMPLETE = "incomplete"
    IN_CONTROL = "in_control"
    WARNING = "warning"
    REJECTED = "rejected"
    TRIAL = "trial"


RUN_WORDS = {
    RunState.INCOMPLETE: "水平不全",
    RunState.IN_CONTROL: "在控",
    RunState.WARNING: "警告",
    RunState.REJECTED: "失控",
    RunState.TRIAL: "只积累，不判断",
}
RUN_SIGNS = {RunState.INCOMPLETE: "…", RunState.IN_CONTROL: "✓", RunState.WARNING: "!", RunState.REJECTED: "✕", RunState.TRIAL: "○"}
GOOD = (RunState.IN_CONTROL, RunState.WARNING)
"""Complete runs that renew the QC window."""

RUN_TRANSITIONS: Mapping[RunState, frozenset[RunState]] = {
    RunState.INCOMPLETE: frozenset({RunState.INCOMPLETE, RunState.IN_CONTROL, RunState.WARNING, RunState.REJECTED}),
    RunState.IN_CONTROL: frozenset(),
    RunState.WARNING: frozenset(),
    # A second level that joins a rejected run leaves it rejected.
    RunState.REJECTED: frozenset({RunState.REJECTED}),
    RunState.TRIAL: frozenset({RunState.TRIAL}),
}


def may_become(state: RunState, to: RunState) -> bool:
    """Whether a run may change so."""
    return to in RUN_TRANSITIONS[state]


def run_state(complete: bool, rejected: bool, warned: bool) -> RunState:
    """A run's state: a rejection counts at once, everything else only when all levels are there."""
    if rejected:
        return RunState.REJECTED
    if not complete:
        return RunState.INCOMPLETE
    return RunState.WARNING if warned else RunState.IN_CONTROL


def judged_again(before: RunState, rejects: bool, broken: bool) -> RunState:
    """A run's state after a run before it arrived late: it may become better or worse, but a rejection stands until it was worked up and
    signed (the gate opens by that alone), and nothing completes an incomplete run."""
    if before in (RunState.REJECTED, RunState.TRIAL):
        return before
    return run_state(before is not RunState.INCOMPLETE, rejects, broken)


class Ooc(StrEnum):
    """失控处理, from the rejection to the leader's signature."""

    OPEN = "open"
    INVESTIGATING = "investigating"
    CORRECTED = "corrected"
    VERIFIED = "verified"
    CLOSED = "closed"


OOC_WORDS = {
    Ooc.OPEN: "待处理",
    Ooc.INVESTIGATING: "查找原因中",
    Ooc.CORRECTED: "已纠正，待复测",
    Ooc.VERIFIED: "复测在控，待组长关闭",
    Ooc.CLOSED: "已关闭",
}
OOC_TRANSITIONS: Mapping[Ooc, frozenset[Ooc]] = {
    Ooc.OPEN: frozenset({Ooc.INVESTIGATING}),
    Ooc.INVESTIGATING: frozenset({Ooc.CORRECTED}),
    Ooc.CORRECTED: frozenset({Ooc.VERIFIED}),
    Ooc.VERIFIED: frozenset({Ooc.CLOSED}),
    Ooc.CLOSED: frozenset(),
}


def ooc_problem(state: Ooc, to: Ooc) -> str | None:
    """Why a step is refused, naming the state, or None."""
    return (
        None
        if to in OOC_TRANSITIONS[state]
        else say("该失控处理目前为“{state}”，不能改为“{to}”。", state=word(OOC_WORDS[state]), to=word(OOC_WORDS[to]))
    )


class Cause(StrEnum):
    """Classes of causes."""

    MATERIAL = "material"
    REAGENT = "reagent"
    CALIBRATION = "calibration"
    INSTRUMENT = "instrument"
    OPERATION = "operation"
    ENVIRONMENT = "environment"
    RANDOM = "random"
    OTHER = "other"


CAUSE_WORDS = {
    Cause.MATERIAL: "质控品",
    Cause.REAGENT: "试剂",
    Cause.CALIBRATION: "校准",
    Cause.INSTRUMENT: "仪器",
    Cause.OPERATION: "操作",
    Cause.ENVIRONMENT: "环境",
    Cause.RANDOM: "随机误差",
    Cause.OTHER: "其他",
}


class Decision(StrEnum):
    """What became of a patient result of the doubtful time."""

    KEEP = "keep"
    REPEAT = "repeat"


DECISION_WORDS = {Decision.KEEP: "结果可用", Decision.REPEAT: "须复检"}
SAMPLE = 5
"""Patient results to examine again at least, or all where there are fewer [C]."""


def review_problem(found: int, examined: int, undecided: int, to_recall: Sequence[str]) -> str | None:
    """Why the impact review does not allow closing, or None. ``to_recall``: reports over half the allowed error that still stand."""
    if examined < min(SAMPLE, found):
        return say(
            "影响评估：期间共 {found} 个患者结果，须至少复检 {least} 个，目前只复检了 {examined} 个。",
            found=found,
            least=min(SAMPLE, found),
            examined=examined,
        )
    if undecided:
        return say("影响评估：还有 {undecided} 个未发布的结果没有决定（可用或复检）。", undecided=undecided)
    if to_recall:
        return say("影响评估：{names} 复检差异超过 ½TEa，须先在报告查询中召回或修改。", names=tuple(to_recall[:5]))
    return None


def retest_problem(state: RunState | None, at: datetime | None, corrected_at: datetime | None) -> str | None:
    """Why the newest run is no in-control retest, or None."""
    if state is None or at is None or corrected_at is None or at <= corrected_at:
        return "纠正之后还没有复测的质控结果，请先重做质控。"
    if state is not RunState.IN_CONTROL:
        return say("复测结果为“{state}”，须重做质控至在控后再签名。", state=word(RUN_WORDS[state]))
    return None


# --- the release gate -----------------------------------------------------------------------------------------------

BYPASS_MAX = timedelta(hours=4)


class GateState(StrEnum):
    """Whether results of an item on an analyzer may leave."""

    OPEN = "open"
    NO_PLAN = "no_plan"
    REJECTED = "rejected"
    DOUBTFUL = "doubtful"
    OVERDUE = "overdue"
    BYPASSED = "bypassed"


GATE_WORDS = {
    GateState.OPEN: "质控在控",
    GateState.NO_PLAN: "未设质控计划",
    GateState.REJECTED: "质控失控",
    GateState.DOUBTFUL: "失控期间的结果，待决定",
    GateState.OVERDUE: "质控超时未做",
    GateState.BYPASSED: "已由科主任临时放行",
}


@dataclass(frozen=True, slots=True)
class GateFacts:
    """What is known of an item on an analyzer when a result was run (``run_at``) and now."""

    planned: bool
    rejected_since: datetime | None = None
    rejected_rules: str = ""
    last_good: datetime | None = None
    window: timedelta = timedelta(hours=24)
    doubtful: bool = False
    bypass_until: datetime | None = None
    repeat: bool = False
    """Whether the impact review has decided that the doubtful result is measured again."""


@dataclass(frozen=True, slots=True)
class Gate:
    """The answer, with what is shown. ``since``: from when it is closed; ``until``: when it closes or a bypass ends."""

    state: GateState
    plan_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    rules: str = ""
    holds_unplanned: bool = False
    repeat: bool = False

    @property
    def open(self) -> bool:
        """Whether a person may release."""
        if self.state is GateState.NO_PLAN:
            return not self.holds_unplanned
        return self.state in (GateState.OPEN, GateState.BYPASSED)

    @property
    def bypassed(self) -> bool:
        """Whether it is open for a time only because somebody answered for it."""
        return self.state is GateState.BYPASSED

    @property
    def unplanned(self) -> bool:
        """Whether nothing controls the item here."""
        return self.state is GateState.NO_PLAN

    @property
    def open_for_auto(self) -> bool:
        """Whether a rule may release by itself: only behind a good QC, never on a bypass or without a plan."""
        return self.state is GateState.OPEN

    @property
    def word(self) -> str:
        """The state in words."""
        return say("失控期间的结果，须复检") if self.repeat else GATE_WORDS[self.state]

    @property
    def reason(self) -> str:
        """Why it is closed and what would open it; empty when nothing needs to be said."""
        if self.state is GateState.REJECTED:
            return say("质控失控{rules}，纠正后复测在控并签名方可发布", rules=f" {self.rules}" if self.rules else "")
        if self.repeat:
            return say("结果测定于质控失控期间，影响评估决定须复检，请复查后发布新结果")
        return _WHY[self.state]


_WHY = {
    GateState.OPEN: "",
    GateState.NO_PLAN: say("该项目在此仪器上没有质控计划，不会自动审核；请在质控计划中设置"),
    GateState.DOUBTFUL: say("结果测定于质控失控期间，请在失控处理的影响评估中决定"),
    GateState.OVERDUE: say("质控超时未做，做完质控并在控后方可发布"),
    GateState.BYPASSED: "",
}


def gate(facts: GateFacts, run_at: datetime | None, now: datetime, holds_unplanned: bool = False, plan_id: int | None = None) -> Gate:
    """Open or closed, for a result run at ``run_at`` (None: for one run now).

    A rejection closes for everything until the signed retest; a window that has elapsed closes for what was run after it (what was run
    behind a valid QC stays good). A bypass opens for people only.
    """
    if not facts.planned:
        return Gate(GateState.NO_PLAN, holds_unplanned=holds_unplanned)
    due = None if facts.last_good is None else facts.last_good + facts.window
    state, since = GateState.OPEN, None
    if facts.rejected_since is not None:
        state, since = GateState.REJECTED, facts.rejected_since
    elif facts.doubtful:
        state = GateState.DOUBTFUL
    elif due is None or (run_at or now) > due:
        state, since = GateState.OVERDUE, due
    if state is not GateState.OPEN and facts.bypass_until is not None and now < facts.bypass_until:
        return Gate(GateState.BYPASSED, plan_id, since, facts.bypass_until, facts.rejected_rules)
    return Gate(state, plan_id, since, due, facts.rejected_rules, repeat=state is GateState.DOUBTFUL and facts.repeat)


def bypass_problem(reason: str, now: datetime, until: datetime) -> str | None:
    """Why a bypass is refused, or None."""
    if not reason.strip():
        return "请写明临时放行的原因。"
    if until <= now:
        return "临时放行的结束时间必须晚于现在。"
    return "临时放行最长 4 小时。" if until - now > BYPASS_MAX else None


# --- entry ----------------------------------------------------------------------------------------------------------

SAME_RUN = timedelta(minutes=60)
WILD_Z = 20


def joins_run(first_at: datetime, at: datetime, levels: Collection[int], level: int) -> bool:
    """Whether a measurement belongs to a run: within 60 minutes of its first one, and its level is not there yet [C]."""
    return level not in levels and abs(at - first_at) <= SAME_RUN


def last_day(expiry: datetime | None) -> datetime | None:
    """A moment of the last day on which something may be used, as its label prints it: expiry is the first moment after that day."""
    return None if expiry is None else expiry - timedelta(microseconds=1)


def material_problem(expiry: datetime | None, opened_at: datetime | None, open_days: int | None, at: datetime) -> str | None:
    """Why a control material must not be used at this moment, or None. Expiry is the first moment at which it has expired."""
    if expiry is not None and at >= expiry:
        return "质控品批号已过有效期，结果不予接收，请更换批号。"
    if opened_at is not None and open_days is not None and at >= opened_at + timedelta(days=open_days):
        return "质控品开瓶已超过稳定期，结果不予接收，请开启新的一支。"
    return None
