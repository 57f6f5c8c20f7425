"""States of rule sets, what a stop covers, when a set may be approved, how an audit sample is drawn (M08). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum

from common.say import Listed, Said, say


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "autoverify:read"
    WRITE = "autoverify:write"
    APPROVE = "autoverify:approve"
    STOP = "autoverify:stop"
    AUDIT = "autoverify:audit"


class State(StrEnum):
    """Where a rule set stands. ``SHADOW`` is no state: any set that is not active may run beside people."""

    DRAFT = "draft"
    VALIDATED = "validated"
    APPROVED = "approved"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    RETIRED = "retired"


_S = State
TRANSITIONS: Mapping[State, frozenset[State]] = {
    _S.DRAFT: frozenset({_S.VALIDATED, _S.RETIRED}),
    # A change puts a set back to draft: what was validated is another set.
    _S.VALIDATED: frozenset({_S.DRAFT, _S.APPROVED, _S.RETIRED}),
    _S.APPROVED: frozenset({_S.ACTIVE, _S.RETIRED}),
    _S.ACTIVE: frozenset({_S.SUSPENDED, _S.RETIRED}),
    _S.SUSPENDED: frozenset({_S.ACTIVE, _S.RETIRED}),
    _S.RETIRED: frozenset(),
}
WORDS = {
    _S.DRAFT: "草稿",
    _S.VALIDATED: "已验证",
    _S.APPROVED: "已批准",
    _S.ACTIVE: "启用",
    _S.SUSPENDED: "暂停",
    _S.RETIRED: "停用",
}
VALID_FOR = timedelta(days=365)
MIN_REPORTS = 500
"""Past reports a simulation must cover before a set is validated, by default (R5)."""


def may_move(state: State, to: State) -> bool:
    """Whether the table allows the move."""
    return to in TRANSITIONS[state]


class Scope(StrEnum):
    """What a stop covers."""

    TENANT = "tenant"
    SECTION = "section"
    ANALYZER = "analyzer"
    ITEM = "item"


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop in force: everything, or one section, analyzer or item."""

    scope: Scope
    target_id: int | None
    words: str


def may_end(whole: bool, there: bool, everywhere: bool, made: bool) -> bool:
    """Whether somebody with the right may let results pass again: a part where they may stop it (``there``); the whole hospital who may
    stop it in every section where rules release (``everywhere``), or who made this stop. Making one is open to all, as the safe side."""
    return everywhere or made if whole else there


def end_problem(audits: bool, stops: bool, whole: bool, allowed: bool) -> Said | None:
    """Why a stop is not this person's to end, saying who may (``allowed``: ``may_end``); None: it is."""
    if not audits:
        return say("解除须有审核权限：请审核者、组长或质量主管解除。")
    if not stops:
        return say("解除须有停用自动审核的权限，请系统管理员核对角色。")
    if allowed:
        return None
    if whole:
        return say("全院停用由停用者本人或负责全部专业组的人员解除。")
    return say("其他专业组的停用，请该组人员解除。")


def stops_for(stops: Collection[Stop], section_id: int, analyzers: Collection[int], items: Collection[int]) -> tuple[str, ...]:
    """The words of the stops that touch a report."""
    touched = {Scope.SECTION: {section_id}, Scope.ANALYZER: set(analyzers), Scope.ITEM: set(items)}
    return tuple(s.words for s in stops if s.scope is Scope.TENANT or s.target_id in touched[s.scope])


@dataclass(frozen=True, slots=True)
class Confusion:
    """Rules against people over past reports. ``false_release``: the rules would have released what people changed or held."""

    both_release: int = 0
    false_hold: int = 0
    false_release: int = 0
    both_hold: int = 0
    partly: int = 0
    """Of those the rules would hold, how many would leave in part, and as people told them."""
    early: int = 0
    """Of which a part would have left before the last result came, as people told it later."""
    early_min: int = 0
    """By how many minutes, all of them together."""
    early_kept: int = 0
    """Of which a part would have left early that the same rules hold once everything is there."""

    @property
    def total(self) -> int:
        """All reports compared."""
        return self.both_release + self.false_hold + self.false_release + self.both_hold

    @property
    def pass_rate(self) -> Decimal:
        """Share of reports the rules would release, in %."""
        return percent(self.both_release + self.false_release, self.total)

    @property
    def false_hold_rate(self) -> Decimal:
        """Share of what people released unchanged that the rules would hold, in %."""
        return percent(self.false_hold, self.both_release + self.false_hold)

    @property
    def early_mean(self) -> int:
        """Minutes a part came earlier, on average."""
        return self.early_min // self.early if self.early else 0

    def plus(
        self, rules_release: bool, people_release: bool, partly: bool = False, early: int | None = None, kept: bool = False
    ) -> Confusion:
        """One report more. ``early``: by how many minutes a part of it came first, None: none did; ``kept``: see ``early_kept``."""
        return Confusion(
            self.both_release + (rules_release and people_release),
            self.false_hold + (not rules_release and people_release),
            self.false_release + (rules_release and not people_release),
            self.both_hold + (not rules_release and not people_release),
            self.partly + partly,
            self.early + (early is not None),
            self.early_min + (early or 0),
            self.early_kept + kept,
        )


@dataclass(frozen=True, slots=True)
class Uncovered:
    """What no case meets: categories where nothing was held, codes of rules never seen to hold, and of rules never seen to let pass."""

    categories: frozenset[int] = frozenset()
    holds: tuple[str, ...] = ()
    passes: tuple[str, ...] = ()


def percent(part: int, whole: int) -> Decimal:
    """In %, one decimal; 0 of nothing is 0."""
    return Decimal(0) if whole == 0 else (Decimal(100 * part) / whole).quantize(Decimal("0.1"))


def validation_problem(
    cases: int, wrong: Sequence[str], uncovered: Uncovered, found: Confusion, least: int, parts: bool = True
) -> str | None:
    """Why a set cannot be validated (R5), or None: every case right, every category and rule met, enough history, no false release.
    ``parts``: where a part may leave, there are cases for it both ways."""
    if cases == 0:
        return say("本组还没有验证用例，请先用一份完全正常的标本生成用例。")
    if wrong:
        names = Listed(tuple(wrong[:5]), "；")
        return say(
            "验证用例 {cases} 个中有 {wrong} 个与预期不符：{names}。请修改规则后重新验证。", cases=cases, wrong=len(wrong), names=names
        )
    if uncovered.categories:
        return say("以下类别没有验证用例：{names}。", names=tuple(str(n) for n in sorted(uncovered.categories)))
    if uncovered.holds:
        return say(
            "以下规则没有拦截用例：{names}。请换一份含这些项目的标本再生成，或在试算页保留一份应被它拦截的用例。", names=uncovered.holds
        )
    if uncovered.passes:
        return say(
            "以下规则没有放行用例：{names}。请换一份含这些项目的标本再生成，或在试算页保留一份不应被它拦截的用例。", names=uncovered.passes
        )
    if not parts:
        return say("规则集允许部分发布，但没有用例写明哪些项目先发、哪些不得先发，请重新生成用例或在试算页保留用例。")
    if found.total < least:
        return say("历史模拟只有 {total} 份报告，至少需要 {least} 份，请先运行模拟。", total=found.total, least=least)
    if found.false_release:
        return say(
            "历史模拟中有 {false_release} 份人工改动过的报告会被自动发布（假发布须为 0），请收紧规则。", false_release=found.false_release
        )
    return None


def must_revalidate(validated: str, now_is: str, valid_until: datetime | None, at: datetime) -> str | None:
    """Why an active set must not release: what it judges by has changed since its validation, or a year has passed (R5)."""
    if valid_until is None or at >= valid_until:
        return "年度验证到期"
    if validated != now_is:
        return "规则、公式、方法、仪器驱动或通道在验证后有变更"
    return None


VALIDATE_SOON = timedelta(days=30)
"""So long before its yearly validation ends a set is told of: afterwards everything goes to people at once."""


def ends_soon(valid_until: datetime | None, at: datetime) -> bool:
    """Whether a set that still releases must be validated again before long."""
    return valid_until is not None and valid_until - VALIDATE_SOON <= at < valid_until


def sample_size(released: int, share: Decimal, least: int) -> int:
    """How many of a day's automatic releases people look at again (R6): the share, at least so many, never more than there are."""
    wanted = (released * share / 100).to_integral_value(ROUND_CEILING)
    return min(released, max(least, int(wanted)))


def least_by(least: int, passed: timedelta) -> int:
    """How much of a day's least sample is drawn when so much of the day has passed. All of it at once would always be the first reports
    after midnight, and everybody would know that the rest of the day is not looked at."""
    part = min(Decimal(1), Decimal(passed.total_seconds()) / Decimal(86400))
    return int((least * part).to_integral_value(ROUND_CEILING))


def fell(before: tuple[int, int], now: tuple[int, int], points: int = 10) -> bool:
    """Whether the pass rate (released, decided) fell by more than so many points from one hour to the next; small hours do not count."""
    if min(before[1], now[1]) < 20:
        return False
    return percent(*before) - percent(*now) > points


# --- 初审 of many at once -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BatchLook:
    """A whole tube as a batch sees it; counts, names and texts of what needs an eye."""

    held: bool = False
    critical: int = 0
    abnormal: int = 0
    alarms: int = 0
    qc: tuple[str, ...] = ()
    bypassed: tuple[str, ...] = ()
    """Items that may leave only because somebody opened their quality control for a time."""
    fed: bool = False
    """The request says that the patient had eaten before something that needs a fasting patient."""
    contradictions: tuple[str, ...] = ()
    caveat: str = ""
    issues: int = 0
    rules: int = 0
    """Reasons for which the section's rules held it."""
    deciding: bool = False
    """The rules have not decided yet."""
    hidden: bool = False
    """It has sensitive items this person may not see."""


def batch_exceptions(look: BatchLook) -> tuple[Said, ...]:
    """Why a tube does not go with a batch (M07 R9); nothing: it may."""
    found = (
        (look.held, say("有待处理的结果")),
        (look.critical, say("危急值 {n} 项", n=look.critical)),
        (look.abnormal, say("异常 {n} 项", n=look.abnormal)),
        (look.alarms, say("仪器报警 {n} 项", n=look.alarms)),
        (look.qc, say("质控未放行：{items}", items=look.qc)),
        (look.bypassed, say("质控临时放行：{items}", items=look.bypassed)),
        (look.fed, say("申请注明未空腹")),
        (look.contradictions, say("项目间矛盾：{texts}", texts=Listed(look.contradictions, "；"))),
        (look.caveat, say("让步接收：{text}", text=look.caveat)),
        (look.issues, say("标本性状异常 {n} 项", n=look.issues)),
        (look.rules, say("自动审核规则拦截 {n} 条", n=look.rules)),
        (look.deciding, say("自动审核还没有判断")),
        (look.hidden, say("含您不能查看的敏感项目")),
    )
    return tuple(words for so, words in found if so)
