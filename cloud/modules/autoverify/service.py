"""Verbs of autoverification: rule sets from draft to active, stops, validation, shadow, the audit sample."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, text

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import sets
from cloud.modules.autoverify.case import Case, Policy, from_json, to_json
from cloud.modules.autoverify.deciding import decide_due, decide_tubes, on_results
from cloud.modules.autoverify.decision import Verdict, decide
from cloud.modules.autoverify.fingerprint import of_section
from cloud.modules.autoverify.models import Decision, RuleSet, Suspension
from cloud.modules.autoverify.rules import WORDS, Perm, Scope, State, ends_soon, fell, least_by, must_revalidate, sample_size
from cloud.modules.autoverify.simulation import cancel, start, step
from cloud.modules.autoverify.validation import keep_case, locked, made_by, make_cases, move, problems, retire_case, run_cases, validate
from cloud.modules.bench import queries as bench
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.platform import alerts
from cloud.modules.platform.alerts import Level
from cloud.modules.quality.service import Mishap, Severity, Source, open_once
from common.errors import UserError
from common.say import say, word

# --- rule sets ------------------------------------------------------------------------------------------------------


AHEAD = timedelta(days=90)
"""How far ahead a set may be scheduled [C]: what was validated and approved does not wait for half of its year."""


def create_set(uow: UnitOfWork, section_id: int, name: str, policy: Policy | None = None) -> RuleSet:
    """A draft: the next version number of its section, with the starting policy or another set's."""
    if section_id not in md.catalog(uow).sections:
        raise UserError("not_found", "该专业组不存在。")
    if not name.strip():
        raise UserError("invalid", "请填写规则集名称。", field="name")
    last = uow.s.execute(select(func.max(RuleSet.number)).where(RuleSet.section_id == section_id)).scalar_one()
    row = RuleSet(
        section_id=section_id,
        number=(last or 0) + 1,
        name=name.strip(),
        policy=to_json(policy or sets.starting_policy()),
        created_by=uow.actor.user_id,
        created_at=uow.now,
        makers=[],
    )
    made_by(row, uow.actor.user_id)
    uow.s.add(row)
    uow.s.flush()
    uow.audit("av_rule_set", row.id, "create", after={"section": section_id, "number": row.number, "name": row.name})
    return row


def edit_policy(uow: UnitOfWork, rule_set_id: int, version: int, policy: Policy) -> None:
    """Change a draft (a validated set goes back to draft). A set that has decided is never changed: copy it."""
    row = _open_for_change(uow, rule_set_id, version)
    problems(uow, policy)
    _rewrite(uow, row, policy)
    sets.ready_of(uow, row)


def drop_rule(uow: UnitOfWork, rule_set_id: int, version: int, name: str) -> None:
    """Take a range or an item of the scope (by item code), a rule or a pattern (by its code) out of a draft, whatever else of it cannot
    be read: one after the other goes."""
    row = _open_for_change(uow, rule_set_id, version)
    policy = from_json(Policy, row.policy)
    ranges = {k: v for k, v in policy.ranges.items() if k != name}
    reach = replace(policy.reach, items=tuple(i for i in policy.reach.items if i != name))
    context = tuple(c for c in policy.context if c.code != name)
    patterns = tuple(p for p in policy.patterns if p.code != name)
    _rewrite(uow, row, replace(policy, ranges=ranges, reach=reach, context=context, patterns=patterns))


def _rewrite(uow: UnitOfWork, row: RuleSet, policy: Policy) -> None:
    before = row.policy
    row.policy, row.state, row.fingerprint = to_json(policy), State.DRAFT.value, ""
    made_by(row, uow.actor.user_id)
    uow.s.flush()
    uow.audit("av_rule_set", row.id, "edit", before=before, after=row.policy)


def _open_for_change(uow: UnitOfWork, rule_set_id: int, version: int) -> RuleSet:
    row = locked(uow, rule_set_id)
    if row.version != version:
        raise UserError("stale", "您打开之后，该规则集已被他人修改，请刷新后再改；您填写的内容没有保存。")
    if row.state not in (State.DRAFT, State.VALIDATED):
        raise UserError("conflict", say("规则集目前为“{state}”，不能修改，请复制为新版本。", state=word(WORDS[State(row.state)])))
    if uow.s.execute(select(Decision.id).where(Decision.rule_set_id == rule_set_id).limit(1)).first() is not None:
        raise UserError("conflict", "该规则集已作出过判断（影子运行），不能修改，请复制为新版本。")
    return row


def approve(uow: UnitOfWork, rule_set_id: int) -> None:
    """The quality or technical lead or the information group approves; never who made, changed or validated it, in whatever role (C12)."""
    row = locked(uow, rule_set_id)
    if uow.actor.user_id is not None and uow.actor.user_id in {row.created_by, *row.makers}:
        raise UserError("conflict", "编制、修改或验证过规则集的人不能批准它，请由他人批准。")
    move(uow, row, State.APPROVED)
    row.approved_by = uow.actor.user_id


def schedule(uow: UnitOfWork, rule_set_id: int, at: datetime | None) -> None:
    """An approved set is to take over at a moment to come (C8); None: no more. UserErrors: conflict (not approved), invalid (not ahead)."""
    row = locked(uow, rule_set_id)
    if State(row.state) is not State.APPROVED:
        raise UserError("conflict", say("规则集目前为“{state}”，不能排期。", state=word(WORDS[State(row.state)])))
    if at is not None and not uow.now < at < uow.now + AHEAD:
        raise UserError("invalid", "生效时间应在现在之后、90 天之内。", field="at")
    before, row.activate_at = row.activate_at, at
    whens = [{"activate_at": None if each is None else each.isoformat()} for each in (before, at)]
    uow.audit("av_rule_set", row.id, "unschedule" if at is None else "schedule", before=whens[0], after=whens[1])


def take_over(uow: UnitOfWork) -> None:
    """Every minute: what was scheduled and is due is in use from now on; what may no longer be so stays out, and somebody is told."""
    query = select(RuleSet.id).where(RuleSet.state == State.APPROVED.value, RuleSet.activate_at <= uow.now).order_by(RuleSet.id)
    for rule_set_id in uow.s.execute(query).scalars().all():
        try:
            with uow.s.begin_nested():
                activate(uow, rule_set_id)
        except UserError as error:
            row = locked(uow, rule_set_id)
            schedule(uow, rule_set_id, None)
            message = "自动审核规则集 %(number)s 没有按排期启用：%(why)s"
            given = {"number": row.number, "why": error.message}
            told = alerts.Alert("autoverify.schedule", f"rule_set:{row.id}", Level.WARNING, message, "/av/rules", Perm.READ, given)
            alerts.raise_alert(uow, replace(told, at=places.code(uow, row.section_id)))


def activate(uow: UnitOfWork, rule_set_id: int) -> None:
    """From now on the set releases; the section's former set retires in the same moment."""
    sets.nobody_decides(uow)
    row = locked(uow, rule_set_id)
    if State(row.state) is State.APPROVED:
        stale = must_revalidate(row.fingerprint, of_section(uow, row.section_id), row.valid_until, uow.now)
        if stale is not None:
            raise UserError("conflict", say("不能启用：{stale}，请复制为新版本并重新验证。", stale=word(stale)))
        others = select(RuleSet).where(RuleSet.section_id == row.section_id, RuleSet.id != row.id)
        query = others.where(RuleSet.state.in_(("active", "suspended")))
        for old in uow.s.execute(query.with_for_update()).scalars():
            move(uow, old, State.RETIRED, f"由版本 {row.number} 代替")
        uow.s.flush()
        row.activated_at, row.activate_at, row.shadow = uow.now, None, False
    move(uow, row, State.ACTIVE)
    row.reason = ""


def suspend(uow: UnitOfWork, rule_set_id: int, reason: str) -> None:
    """Pause a set; its decisions hold with the reason."""
    if not reason.strip():
        raise UserError("invalid", "请写明暂停原因。", field="reason")
    sets.nobody_decides(uow)
    row = locked(uow, rule_set_id)
    move(uow, row, State.SUSPENDED, reason.strip())
    row.reason = reason.strip()[:200]


def retire(uow: UnitOfWork, rule_set_id: int, reason: str) -> None:
    """Take a set out of use for good."""
    if not reason.strip():
        raise UserError("invalid", "请写明停用原因。", field="reason")
    sets.nobody_decides(uow)
    row = locked(uow, rule_set_id)
    move(uow, row, State.RETIRED, reason.strip())
    row.shadow = False


def set_shadow(uow: UnitOfWork, rule_set_id: int, on: bool) -> None:
    """Let a set that is not active run beside people: it stores what it would do and releases nothing."""
    row = locked(uow, rule_set_id)
    if row.state not in (State.DRAFT, State.VALIDATED, State.APPROVED):
        raise UserError("conflict", say("规则集目前为“{state}”，不能影子运行。", state=word(WORDS[State(row.state)])))
    sets.ready_of(uow, row)
    row.shadow = on
    uow.audit("av_rule_set", row.id, "shadow", after={"on": on})


# --- stops ----------------------------------------------------------------------------------------------------------


def stop(uow: UnitOfWork, scope: Scope, target_id: int | None, reason: str) -> Suspension:
    """One click: from this COMMIT on nothing it covers is released by a rule (R4). The reason is needed."""
    if not reason.strip():
        raise UserError("invalid", "请写明停用原因，例如：质控漂移、仪器维修。", field="reason")
    catalog = md.catalog(uow)
    known: dict[Scope, Any] = {Scope.SECTION: catalog.sections, Scope.ANALYZER: catalog.analyzers, Scope.ITEM: catalog.items}
    name = "全院"
    if scope is not Scope.TENANT:
        if target_id not in known[scope]:
            raise UserError("not_found", "要停用的专业组、仪器或项目不存在，请从列表中选择。")
        name = known[scope][target_id].name
    sets.nobody_decides(uow)
    row = Suspension(
        scope=scope.value,
        target_id=None if scope is Scope.TENANT else target_id,
        target_name=name,
        reason=reason.strip()[:200],
        from_at=uow.now,
        by_id=uow.actor.user_id,
        by_name=uow.actor.name,
    )
    uow.s.add(row)
    uow.s.flush()
    uow.audit("av_suspension", row.id, "stop", after={"scope": scope.value, "target": target_id, "name": name}, reason=reason.strip())
    return row


def end_stop(uow: UnitOfWork, suspension_id: int, reason: str) -> None:
    """Results decided from now on may pass again; what was held stays with people."""
    row = uow.s.execute(select(Suspension).where(Suspension.id == suspension_id).with_for_update()).scalar_one_or_none()
    if row is None or row.ended_at is not None:
        raise UserError("conflict", "该停用已解除，请刷新。")
    if not reason.strip():
        raise UserError("invalid", "请写明解除依据。", field="reason")
    row.ended_at, row.ended_by, row.end_reason = uow.now, uow.actor.user_id, reason.strip()[:200]
    uow.audit("av_suspension", suspension_id, "end", reason=reason.strip())


# --- audit sample and watching --------------------------------------------------------------------------------------


def answer_audit(uow: UnitOfWork, decision_id: int, agrees: bool, note: str) -> None:
    """A person has looked again at what was released by itself; a disagreement is alerted and must be explained (R6)."""
    row = uow.s.execute(select(Decision).where(Decision.id == decision_id, Decision.audit).with_for_update()).scalar_one_or_none()
    if row is None:
        raise UserError("not_found", "该抽查记录不存在。")
    if row.audited_at is not None:
        raise UserError("conflict", "该记录已有人复核。")
    if not agrees and not note.strip():
        raise UserError("invalid", "不同意时请写明原因。", field="note")
    row.audit_agrees, row.audited_by, row.audited_at, row.audit_note = agrees, uow.actor.user_id, uow.now, note.strip()[:300]
    uow.audit("av_decision", decision_id, "audit", after={"agrees": agrees}, reason=note.strip() or None)
    if not agrees:
        message = "自动审核抽查不同意（标本 %(specimen)s）：%(note)s"
        barcode = bench.barcodes(uow, [row.specimen_id]).get(row.specimen_id, "")
        # An alert has one text for all who read it: a value shut to some of them does not stand in it (M01 R8).
        shut = row.specimen_id in bench.sensitive_tubes(uow, [row.specimen_id])
        given = {"specimen": barcode, "note": say("含敏感项目，原因见自动审核看板。") if shut else note.strip()[:80]}
        found = alerts.Alert("autoverify.audit", f"decision:{row.id}", Level.URGENT, message, "/av/board", Perm.READ, given)
        alerts.raise_alert(uow, replace(found, at=places.code(uow, row.section_id)))
        title = f"自动审核抽查不同意（标本 {barcode}）"
        what = Mishap(Source.AUDIT, f"av_decision:{row.id}", title, note.strip(), Severity.MAJOR, row.section_id, "/av/board")
        open_once(uow, what)


_DAY = text("""
SELECT count(*) AS n, count(*) FILTER (WHERE audit) AS chosen FROM av_decision
WHERE tenant_id = :t AND at >= :since AND at < :until AND outcome IN ('released', 'partial') AND NOT shadow
""")
_UNCHOSEN = text(
    "SELECT id FROM av_decision WHERE tenant_id = :t AND at >= :since AND at < :until AND outcome IN ('released', 'partial')"
    " AND NOT shadow AND NOT audit ORDER BY id"
)


def draw_sample(uow: UnitOfWork) -> int:
    """Bring the random sample up to its size (1 % or five a day, [C]), yesterday's to its whole and today's as the day goes on; the number
    of decisions newly chosen."""
    day = datetime.combine(uow.now.astimezone(md.HOSPITAL_ZONE).date(), time(), md.HOSPITAL_ZONE)
    return sum(_draw(uow, since, min(uow.now - since, timedelta(days=1))) for since in (day - timedelta(days=1), day))


def _draw(uow: UnitOfWork, since: datetime, passed: timedelta) -> int:
    given = {"t": uow.tenant_id, "since": since, "until": since + timedelta(days=1)}
    found = uow.s.execute(_DAY, given).one()
    catalog = md.catalog(uow)
    share = Decimal(str(catalog.setting("autoverify", "audit_percent", 1)))
    least = least_by(int(catalog.setting("autoverify", "audit_least", 5)), passed)
    wanted = sample_size(found.n, share, least) - found.chosen
    if wanted <= 0:
        return 0
    ids = list(uow.s.execute(_UNCHOSEN, given).scalars())
    chosen = random.SystemRandom().sample(ids, min(wanted, len(ids)))
    query = text("UPDATE av_decision SET audit = true WHERE tenant_id = :t AND id = ANY(:ids)")
    uow.s.execute(query, {"t": uow.tenant_id, "ids": chosen})
    for each in sorted(chosen):
        uow.audit("av_decision", each, "sample")
    return len(chosen)


_HOURS = text("""
SELECT count(*) FILTER (WHERE at >= :now - interval '1 hour') AS now_n,
       count(*) FILTER (WHERE at >= :now - interval '1 hour' AND outcome = 'released') AS now_passed,
       count(*) FILTER (WHERE at < :now - interval '1 hour') AS before_n,
       count(*) FILTER (WHERE at < :now - interval '1 hour' AND outcome = 'released') AS before_passed
FROM av_decision WHERE tenant_id = :t AND NOT shadow AND at >= :now - interval '2 hours'
""")


def watch(uow: UnitOfWork) -> None:
    """Every quarter of an hour: the sample, a fall of the pass rate, sets that must be validated again."""
    draw_sample(uow)
    r = uow.s.execute(_HOURS, {"t": uow.tenant_id, "now": uow.now}).one()
    down = fell((r.before_passed, r.before_n), (r.now_passed, r.now_n))
    message = "自动审核通过率一小时内下降超过 10 个百分点（%(before)s/%(before_n)s → %(now)s/%(now_n)s），请查看拦截原因。"
    given = {"before": r.before_passed, "before_n": r.before_n, "now": r.now_passed, "now_n": r.now_n}
    found = [alerts.Alert("autoverify.fall", "pass", Level.WARNING, message, "/av/board", Perm.READ, given)] if down else []
    alerts.sync(uow, "autoverify.fall", found)
    stale, soon = [], []
    for row in uow.s.execute(select(RuleSet).where(RuleSet.state == State.ACTIVE.value)).scalars():
        why = sets.unreadable(uow, row) or must_revalidate(row.fingerprint, of_section(uow, row.section_id), row.valid_until, uow.now)
        if why is not None:
            words = "自动审核规则集 %(number)s 须重新验证（%(why)s），在此之前全部转人工。"
            fields = {"number": row.number, "why": why}
            told = alerts.Alert("autoverify.stale", f"rule_set:{row.id}", Level.WARNING, words, "/av/validation", Perm.READ, fields)
            stale.append(replace(told, at=places.code(uow, row.section_id)))
        elif ends_soon(row.valid_until, uow.now) and row.valid_until is not None:
            words = "自动审核规则集 %(number)s 的年度验证于 %(day)s 到期，请在此之前重新验证并批准，否则到期后全部转人工。"
            fields = {"number": row.number, "day": f"{row.valid_until.astimezone(md.HOSPITAL_ZONE):%Y-%m-%d}"}
            told = alerts.Alert("autoverify.due", f"rule_set:{row.id}", Level.NOTICE, words, "/av/validation", Perm.READ, fields)
            soon.append(replace(told, at=places.code(uow, row.section_id)))
    alerts.sync(uow, "autoverify.stale", stale)
    alerts.sync(uow, "autoverify.due", soon)


def reproduce(uow: UnitOfWork, decision_id: int) -> tuple[list[Any], Verdict]:
    """A stored decision decided again from its own snapshot: (stored reasons, verdict now) (R2)."""
    row = uow.s.execute(select(Decision).where(Decision.id == decision_id)).scalar_one()
    policy = uow.s.execute(select(RuleSet.policy).where(RuleSet.id == row.rule_set_id)).scalar_one()
    ready = sets.again(policy, row.logic, sets.codes(md.catalog(uow), retired=True))
    return row.reasons, decide(from_json(Case, row.snapshot), ready)


__all__ = [
    "Scope",
    "State",
    "activate",
    "answer_audit",
    "approve",
    "cancel",
    "create_set",
    "decide_due",
    "decide_tubes",
    "draw_sample",
    "drop_rule",
    "edit_policy",
    "end_stop",
    "keep_case",
    "make_cases",
    "on_results",
    "reproduce",
    "retire",
    "retire_case",
    "run_cases",
    "schedule",
    "set_shadow",
    "start",
    "step",
    "stop",
    "suspend",
    "take_over",
    "validate",
    "watch",
]
