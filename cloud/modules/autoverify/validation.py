"""Before a rule set may release: what it may not say, its validation cases, and the record that it is right (M08 R5)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import sets
from cloud.modules.autoverify.case import Action, Case, Policy, anonymous, from_json, to_json
from cloud.modules.autoverify.coverage import Met, Uncovered, uncovered
from cloud.modules.autoverify.decision import decide
from cloud.modules.autoverify.fingerprint import of_section, of_set, policy_hash
from cloud.modules.autoverify.models import AvCase, RuleSet, Simulation, Validation
from cloud.modules.autoverify.rules import MIN_REPORTS, VALID_FOR, WORDS, Confusion, State, may_move, validation_problem
from cloud.modules.autoverify.simulation import case_of
from cloud.modules.autoverify.variants import Expected, variants
from cloud.modules.autoverify.words import sentences, together
from cloud.modules.catalog import queries as md
from common.errors import UserError
from common.say import say, word


def problems(uow: UnitOfWork, policy: Policy) -> None:
    """Refuse what the specification calls bad input: retired items, limits outside the measuring range, ranges crossing critical."""
    catalog = md.catalog(uow)
    for code in {*policy.ranges, *policy.deltas, *policy.reach.items}:
        item = catalog.items_by_code.get(code)
        if item is None or not item.active:
            raise UserError("invalid", say("规则引用了不存在或已停用的项目 {code}，请删除该规则或恢复项目。", code=code))
    told = {e.item for p in policy.patterns for e in p.elements} | {*policy.identity.weights, *policy.identity.fixed, *policy.identity.only}
    for code in sorted(told):  # what the starting set names and this laboratory never had may stay
        item = catalog.items_by_code.get(code)
        if item is not None and not item.active:
            raise UserError("invalid", say("污染类型或混淆权重引用了已停用的项目 {code}，请删除或恢复项目。", code=code))
    strange = sorted(set(policy.reach.analyzers) - {a.code for a in catalog.analyzers.values() if a.active})
    if strange:
        raise UserError("invalid", say("没有在用的仪器 {codes}，请从列表中选择。", codes=tuple(strange)), field="analyzers")
    for rule in policy.context:
        added = catalog.items_by_code.get(rule.add)
        if rule.action == Action.REFLEX and (added is None or not added.active):
            raise UserError("invalid", say("规则 {rule}：请选择要加做的项目，且项目须在用。", rule=rule.code), field="add")
    for code, found in policy.ranges.items():
        item = catalog.items_by_code[code]
        if found.low is None and found.high is None:
            raise UserError(
                "invalid", say("请填写 {name} 放行范围的下限或上限；要恢复项目资料中的范围，请删除本规则集的范围。", name=item.name)
            )
        if found.low is not None and found.high is not None and found.low >= found.high:
            raise UserError(
                "invalid", say("{name} 自动审核范围下限 {low} 不小于上限 {high}。", name=item.name, low=found.low, high=found.high)
            )
        for limit, amr, low in ((found.low, item.amr_low, True), (found.high, item.crr_high or item.amr_high, False)):
            if limit is not None and amr is not None and (limit < amr if low else limit > amr):
                raise UserError(
                    "invalid",
                    say("{name} 自动审核界限 {limit} 超出测量范围（界限 {amr}），请改到范围以内。", name=item.name, limit=limit, amr=amr),
                )
        # A set's range holds for every patient, so it stays inside the limits of each department and age.
        for critical in catalog.criticals.get(item.id, ()):
            for limit, edge, low in ((found.low, critical.low, True), (found.high, critical.high, False)):
                if limit is not None and edge is not None and (limit < edge if low else limit > edge):
                    raise UserError(
                        "invalid",
                        say("{name} 自动审核界限 {limit} 越过危急值界限 {edge}，不能保存。", name=item.name, limit=limit, edge=edge),
                    )


def locked(uow: UnitOfWork, rule_set_id: int) -> RuleSet:
    """The set, locked. UserError not_found."""
    row = uow.s.execute(select(RuleSet).where(RuleSet.id == rule_set_id).with_for_update()).scalar_one_or_none()
    if row is None:
        raise UserError("not_found", "该规则集不存在，请刷新后重试。")
    return row


def made_by(row: RuleSet, user_id: int | None) -> None:
    """This person had a hand in it."""
    if user_id is not None and user_id not in row.makers:
        row.makers = [*row.makers, user_id]


def move(uow: UnitOfWork, row: RuleSet, to: State, reason: str = "") -> None:
    """One step of the table, with its audit entry. UserError conflict."""
    state = State(row.state)
    if not may_move(state, to):
        raise UserError("conflict", say("规则集目前为“{state}”，不能改为“{to}”。", state=word(WORDS[state]), to=word(WORDS[to])))
    row.state = to.value
    uow.audit("av_rule_set", row.id, to.value, before={"state": state.value}, after={"state": to.value}, reason=reason or None)


def make_cases(uow: UnitOfWork, rule_set_id: int, specimen_id: int) -> int:
    """Validation cases from one clean past tube of the section: itself, and one broken on purpose for each category."""
    row = locked(uow, rule_set_id)
    found = case_of(uow, specimen_id)
    if found is None:
        raise UserError("not_found", "没有这支标本，请核对条码。")
    ready = sets.ready_of(uow, row)
    failures = decide(found, ready).failures
    if failures:
        names = {i.code: i.name for i in md.catalog(uow).items.values()}
        why = sentences(together(failures, names, ready.messages))
        raise UserError("conflict", say("这支标本按现行规则不会放行：\n{reasons}\n请选一份完全正常的报告作为模板。", reasons=why))
    if ready.policy.partial and not all(item.present for item in found.items):
        raise UserError("conflict", "规则集允许部分发布，模板须各项目（含非必报项目）都有结果，请另选一份。")
    query = select(AvCase).where(AvCase.section_id == row.section_id, AvCase.retired_at.is_(None))
    have = {c.name: c for c in uow.s.execute(query).scalars()}
    n = 0
    for made in variants(found, ready):
        kept = have.get(made.name)
        if kept is None or (made.expected.part is not None and Expected.of(kept.expected).part is None):
            _keep(uow, kept or AvCase(section_id=row.section_id, name=made.name), made.case, made.expected)
            n += 1
    uow.audit("av_case", row.section_id, "make", after={"specimen": specimen_id, "cases": n})
    return n


def _keep(uow: UnitOfWork, row: AvCase, case: Case, expected: Expected) -> None:
    row.snapshot, row.expected, row.by_id = to_json(anonymous(case)), expected.stored(), uow.actor.user_id
    uow.s.add(row)


def keep_case(uow: UnitOfWork, rule_set_id: int, name: str, case: Case, reason: str, part: str) -> AvCase:
    """A person's own case with what must come out: a reason (none: it is released) and the items that may leave before the rest (none:
    nothing). UserErrors: invalid (no name, a name that is taken, items the case does not have)."""
    row = locked(uow, rule_set_id)
    try:
        decide(case, sets.ready_of(uow, row))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Kept, it would end every validation of the section with an error.
        raise UserError(
            "invalid", say("粘贴的内容不是完整的用例（{error}），请从“取出”得到一份后再改。", error=error), field="case"
        ) from error
    codes = tuple(part.replace(",", " ").replace("，", " ").split())
    unknown = [c for c in codes if c not in {item.code for item in case.items}]
    if not name.strip():
        raise UserError("invalid", "请填写用例名称。", field="name")
    if unknown:
        raise UserError("invalid", say("用例中没有项目 {codes}，请填用例里的项目代码。", codes=tuple(unknown)), field="part")
    if codes and not reason.strip():
        raise UserError("invalid", "整份放行的用例不会有部分先发，请填写拦截原因，或清空“先发项目”。", field="part")
    same = select(AvCase.id).where(AvCase.section_id == row.section_id, AvCase.name == name.strip(), AvCase.retired_at.is_(None))
    if uow.s.execute(same).first() is not None:
        raise UserError("invalid", say("已有名为“{name}”的用例，请换一个名称。", name=name.strip()), field="name")
    kept = AvCase(section_id=row.section_id, name=name.strip()[:80])
    _keep(uow, kept, case, Expected(reason.strip(), codes))
    uow.s.flush()
    uow.audit("av_case", kept.id, "keep", after={"name": kept.name, "expected": kept.expected})
    return kept


def retire_case(uow: UnitOfWork, case_id: int, sections: Collection[int], reason: str) -> AvCase:
    """A case that says what must no longer come out (a limit was changed, it was written wrongly) counts no more; the certificates keep
    what was shown on it. UserErrors: not_found (of another section, too), invalid (no reason)."""
    row = uow.s.execute(select(AvCase).where(AvCase.id == case_id, AvCase.section_id.in_(sections)).with_for_update()).scalar_one_or_none()
    if row is None or row.retired_at is not None:
        raise UserError("not_found", "该用例不存在或已停用，请刷新。")
    if not reason.strip():
        raise UserError("invalid", "请写明停用该用例的原因。", field="reason")
    row.retired_at = uow.now
    uow.audit("av_case", row.id, "retire", before={"name": row.name, "expected": row.expected}, reason=reason.strip()[:200])
    return row


@dataclass(frozen=True, slots=True)
class Ran:
    """A section's cases against a set. ``results``: name, what must come out, what came out, whether it is that; ``parts``: parts are met
    both ways, one that leaves before the rest and one that must not (asked only of a set that allows it)."""

    results: list[tuple[str, list[str], list[str], bool]]
    uncovered: Uncovered
    parts: bool

    @property
    def wrong(self) -> list[str]:
        """Names of the cases that came out otherwise."""
        return [name for name, _, _, right in self.results if not right]


def run_cases(uow: UnitOfWork, row: RuleSet) -> Ran:
    """Every case in use, decided by the set as it stands."""
    ready = sets.ready_of(uow, row)
    results: list[tuple[str, list[str], list[str], bool]] = []
    met: list[Met] = []
    parts: set[bool] = set()
    query = select(AvCase).where(AvCase.section_id == row.section_id, AvCase.retired_at.is_(None))
    for each in uow.s.execute(query.order_by(AvCase.id)).scalars():
        case, expected = from_json(Case, each.snapshot), Expected.of(each.expected)
        verdict = decide(case, ready)
        right = expected.met_by(verdict, ready.policy.partial)
        found = [f.text for f in verdict.failures] + ([f"PART {' '.join(verdict.cleared)}"] if verdict.cleared else [])
        results.append((each.name, list(each.expected), found, right))
        if right:
            met.append(Met(case, verdict, expected))
            parts |= set() if expected.part is None or not expected.reason else {bool(expected.part)}
    codes = sets.codes(md.catalog(uow))
    return Ran(results, uncovered(ready, met, codes), len(parts) == 2 or not ready.policy.partial)


def validate(uow: UnitOfWork, rule_set_id: int, least: int | None = None) -> Validation:
    """Show that the set is right: every case, every category, the last simulation without a false release. The record is kept."""
    row = locked(uow, rule_set_id)
    if row.state not in (State.DRAFT, State.VALIDATED, State.ACTIVE, State.SUSPENDED):
        raise UserError("conflict", say("规则集目前为“{state}”，不能验证。", state=word(WORDS[State(row.state)])))
    problems(uow, from_json(Policy, row.policy))
    broken = sets.unreadable(uow, row)
    if broken is not None:
        raise UserError("conflict", say("不能验证。{broken} 请删除该规则或恢复项目后再验证。", broken=broken))
    ran, run = run_cases(uow, row), _last_run(uow, row)
    n = len(ran.results)
    found = Confusion(**run.confusion) if run is not None else Confusion()
    if least is None:
        least = int(md.catalog(uow).setting("autoverify", "min_reports", MIN_REPORTS))
    problem = validation_problem(n, ran.wrong, ran.uncovered, found, least, ran.parts)
    if problem is not None:
        raise UserError("conflict", problem)
    print_ = of_section(uow, row.section_id)
    record = Validation(
        rule_set_id=row.id,
        at=uow.now,
        signer_id=uow.actor.user_id,
        signer=uow.actor.name,
        fingerprint=print_,
        policy_sha256=policy_hash(row.policy),
        cases=n,
        wrong=0,
        results=[list(each[:3]) for each in ran.results],
        simulation_id=None if run is None else run.id,
        confusion={} if run is None else run.confusion,
        pass_rate=found.pass_rate,
    )
    uow.s.add(record)
    made_by(row, uow.actor.user_id)
    row.fingerprint, row.valid_until = print_, uow.now + VALID_FOR
    if row.state == State.DRAFT:
        move(uow, row, State.VALIDATED)
    uow.s.flush()
    uow.audit("av_rule_set", row.id, "validate", after={"cases": n, "confusion": record.confusion, "validation": record.id})
    return record


def _last_run(uow: UnitOfWork, row: RuleSet) -> Simulation | None:
    """The last finished simulation of exactly this set and all it judges by, newer than its last certificate: what was run before a change
    shows nothing of what came after it, and a year needs a year's reports."""
    since = select(func.max(Validation.at)).where(Validation.rule_set_id == row.id).scalar_subquery()
    query = select(Simulation).where(
        Simulation.rule_set_id == row.id,
        Simulation.state == "done",
        Simulation.fingerprint == of_set(uow, row.section_id, row.policy),
        Simulation.at > func.coalesce(since, row.created_at - timedelta(seconds=1)),
    )
    return uow.s.execute(query.order_by(Simulation.id.desc()).limit(1)).scalar_one_or_none()


__all__ = ["keep_case", "locked", "made_by", "make_cases", "move", "problems", "retire_case", "run_cases", "validate"]
