"""Pages of autoverification: rules in plain words, test, simulation, board, switch, validation; the reasons of a tube as a fragment."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import identity_form, places, queries, service, sets, simulation
from cloud.modules.autoverify.case import Action, Case, Expression, Identity, Policy, Range, Reach, anonymous, from_json, to_json
from cloud.modules.autoverify.decision import decide
from cloud.modules.autoverify.listing import AGAINST
from cloud.modules.autoverify.models import RuleSet, Suspension
from cloud.modules.autoverify.rules import WORDS, Confusion, Perm, Scope, State, end_problem, may_end
from cloud.modules.autoverify.words import CATEGORIES, short
from cloud.modules.bench import queries as bench
from cloud.modules.catalog import queries as md
from cloud.modules.platform import service as platform
from cloud.web.faults import Invalid, NotFound
from cloud.web.page import fragment, page, redirect_to
from cloud.web.view import Views, principal
from common import ids
from common.errors import UserError
from common.say import Said, say
from common.values import number

VIEWS = Views("autoverify", __name__, places.AT)
ACTIONS = {
    Action.HOLD: say("转人工"),
    Action.MUST: say("不成立即转人工（成立才放行）"),
    Action.RERUN: say("转人工并自动申请复查"),
    Action.REFLEX: say("自动加做项目，结果回来前不放行"),
    Action.COMMENT: say("只加备注（印在报告上）"),
}


def _mine(uow: UnitOfWork) -> list[md.SectionRow]:
    return md.own_sections(uow, principal().sections)


def _section(uow: UnitOfWork) -> md.SectionRow | None:
    mine, code = _mine(uow), request.args.get("section", "")
    return next((s for s in mine if s.code == code), mine[0] if mine else None)


def _own(uow: UnitOfWork, section_id: int | None) -> bool:
    """Whether a section is one this person works in; what belongs to no section is everybody's."""
    return section_id is None or section_id in {s.id for s in _mine(uow)}


def _set(uow: UnitOfWork, rule_set_id: int) -> RuleSet:
    row = queries.one_set(uow, rule_set_id)
    if row is None or row.section_id not in {s.id for s in _mine(uow)}:
        raise NotFound("该规则集")
    return row


# --- rules ----------------------------------------------------------------------------------------------------------


@VIEWS.get("/av/rules", Perm.READ)
def rules(uow: UnitOfWork) -> Any:
    """A section's sets; the chosen one as a tree in plain words."""
    section = _section(uow)
    rows = queries.sets(uow, section.id) if section is not None else []
    asked = request.args.get("set", type=int)
    chosen = next((r for r in rows if r.id == asked), rows[0] if rows else None)
    context: dict[str, Any] = {"section": section, "sections": _mine(uow), "sets": rows, "chosen": chosen, "words": _words()}
    if chosen is not None and section is not None:
        context |= _tree(uow, chosen, section)
    return page("autoverify/rules.html", tab="rules", **context)


def _words() -> dict[str, str]:
    return {s.value: w for s, w in WORDS.items()}


def _tree(uow: UnitOfWork, row: RuleSet, section: md.SectionRow) -> dict[str, Any]:
    catalog = md.catalog(uow)
    policy, own = sets.as_written(row, catalog), from_json(Policy, row.policy)
    items = sorted((i for i in catalog.items.values() if i.section_id == section.id and i.active), key=lambda i: (i.print_order, i.id))
    return {
        "policy": policy,
        "own": own,
        "broken": sets.unreadable(uow, row),
        "analyzers": [a for a in catalog.analyzers.values() if a.active and a.section_id == section.id],
        "gone": sorted({*own.ranges, *own.reach.items} - {i.code for i in catalog.items.values() if i.active}),
        "items": items,
        "ranges": {i.code: policy.ranges.get(i.code) or catalog.av_range(i.id, None, None) for i in items},
        "all_ranges": {i.code: catalog.av_ranges.get(i.id, ()) for i in items},
        "deltas": {i.code: catalog.deltas.get(i.id, ()) for i in items},
        "hil": {i.code: catalog.hil_limits.get(i.id, ()) for i in items},
        "categories": CATEGORIES,
        "weight_lines": identity_form.weight_lines,
        "sign_lines": identity_form.sign_lines,
        "fields": list(sets_names()),
        "actions": ACTIONS,
    }


def sets_names() -> tuple[str, ...]:
    """The names an expression may use besides item codes."""
    return ("sex", "age", "dept", "ward", "visit", "diagnosis", "drugs", 'prev("K")', "said('华法林')")


@VIEWS.post("/av/rules", Perm.WRITE)
def create(uow: UnitOfWork) -> Any:
    """A new draft, from the start or as a copy."""
    form = request.form
    section_id, copied = form.get("section", type=int) or 0, form.get("copy", type=int)
    if section_id not in {s.id for s in _mine(uow)}:
        raise NotFound("该专业组")
    policy = from_json(Policy, _set(uow, copied).policy) if copied else None
    row = service.create_set(uow, section_id, form.get("name", ""), policy)
    return _back(uow, row)


def _back(uow: UnitOfWork, row: RuleSet) -> Any:
    return redirect_to(f"/av/rules?section={md.catalog(uow).sections[row.section_id].code}&set={row.id}")


@VIEWS.post("/av/rules/<int:rule_set_id>/policy", Perm.WRITE)
def edit(uow: UnitOfWork, rule_set_id: int) -> Any:
    """Change one thing of a draft: a range of its own, a clinical rule, whether typed values or a part may leave, what it decides at
    all; or take one out."""
    row, form = _set(uow, rule_set_id), request.form
    policy = from_json(Policy, row.policy)
    what = form.get("what", "")
    if what == "range":
        policy = replace(policy, ranges={**policy.ranges, form.get("item", ""): Range(_number("low"), _number("high"))})
    elif what == "context":
        action = form.get("action", "hold")
        if action not in tuple(Action):
            raise Invalid(say("请选择规则为真时做什么。"), "action")
        rule = Expression(
            form.get("code", "").strip().upper(), form.get("source", ""), form.get("message", "").strip(), action, form.get("add", ""),
            form.get("level") == "report",
        )  # fmt: skip
        if not rule.code or not rule.message:
            raise Invalid("请填写规则代码和说明。", "code")
        policy = replace(policy, context=(*(c for c in policy.context if c.code != rule.code), rule))
    elif what == "whole":
        policy = replace(policy, manual=form.get("manual") == "1", partial=form.get("partial") == "1", part_after_min=_minutes())
    elif what == "reach":
        depts = tuple(d.strip() for d in form.get("depts", "").replace("，", ",").replace("、", ",").split(",") if d.strip())
        policy = replace(policy, reach=Reach(tuple(form.getlist("analyzers")), tuple(form.getlist("items")), depts))
    elif what == "identity":
        policy = replace(policy, identity=_identity(uow, policy.identity))
    elif what == "pattern":
        made = identity_form.pattern(
            form.get("code", ""), form.get("elements", ""), form.get("required", ""), form.get("least", ""), _codes(uow)
        )
        policy = replace(policy, patterns=(*(p for p in policy.patterns if p.code != made.code), made))
    elif what == "drop":
        service.drop_rule(uow, rule_set_id, form.get("version", type=int) or 0, form.get("name", ""))
        return _back(uow, row)
    else:
        raise Invalid("请选择要修改的内容。", "what")
    service.edit_policy(uow, rule_set_id, form.get("version", type=int) or 0, policy)
    return _back(uow, row)


def _codes(uow: UnitOfWork) -> set[str]:
    return {i.code for i in md.catalog(uow).items.values() if i.active}


def _identity(uow: UnitOfWork, before: Identity) -> Identity:
    """Weights as typed. What the starting set names and this laboratory does not have may stay."""
    form, known = request.form, _codes(uow) | before.weights.keys() | before.fixed.keys()
    threshold = _number("threshold")
    if threshold is None or threshold <= 0:
        raise Invalid(say("请填写大于 0 的混淆分界限。"), "threshold")
    weights = identity_form.weights(form.get("weights", ""), known)
    return replace(before, weights=weights, fixed=identity_form.weights(form.get("fixed", ""), known, "fixed"), threshold=threshold)


def _minutes() -> int:
    given = request.form.get("after", "").strip() or str(Policy().part_after_min)
    if not given.isdecimal() or int(given) > 1440:
        raise Invalid(say("静置时间“{given}”应为 0 到 1440 的整数（分钟）。", given=given), "after")
    return int(given)


def _number(name: str) -> Decimal | None:
    given = request.form.get(name, "").strip()
    found = number(given)
    if given and found is None:
        raise Invalid(say("“{given}”不是数值，请用小数点，例如 2.8。", given=given), name)
    return found


@VIEWS.post("/av/rules/<int:rule_set_id>/validate", Perm.WRITE)
def validate(uow: UnitOfWork, rule_set_id: int) -> Any:
    """Run the validation and keep its certificate."""
    _set(uow, rule_set_id)
    return redirect_to(f"/av/validation/{service.validate(uow, rule_set_id).id}")


@VIEWS.post("/av/rules/<int:rule_set_id>/approve", Perm.APPROVE)
def approve(uow: UnitOfWork, rule_set_id: int) -> Any:
    """Approve what another person made."""
    row = _set(uow, rule_set_id)
    service.approve(uow, rule_set_id)
    return _back(uow, row)


@VIEWS.post("/av/rules/<int:rule_set_id>/state", Perm.WRITE)
def state(uow: UnitOfWork, rule_set_id: int) -> Any:
    """Activate now or at a moment to come, suspend, resume, retire, or let it run as a shadow."""
    row, to, reason = _set(uow, rule_set_id), request.form.get("to", ""), request.form.get("reason", "")
    if to in ("activate", "resume"):
        service.activate(uow, rule_set_id)
    elif to in ("schedule", "unschedule"):
        service.schedule(uow, rule_set_id, _moment() if to == "schedule" else None)
    elif to == "suspend":
        service.suspend(uow, rule_set_id, reason)
    elif to == "retire":
        service.retire(uow, rule_set_id, reason)
    elif to in ("shadow", "unshadow"):
        service.set_shadow(uow, rule_set_id, to == "shadow")
    else:
        raise Invalid("请选择操作。", "to")
    return _back(uow, row)


def _moment() -> datetime:
    try:
        return datetime.fromisoformat(request.form.get("at", "")).replace(tzinfo=md.HOSPITAL_ZONE)
    except ValueError as error:
        raise Invalid(say("请填写生效的日期和时间。"), "at") from error


# --- test and simulation --------------------------------------------------------------------------------------------


@VIEWS.get("/av/test", Perm.READ)
def test_page(uow: UnitOfWork) -> Any:
    """Paste a case or scan a tube; from a tube's reasons with its set and barcode filled in."""
    asked = request.args.get("set", type=int)
    return _test(uow, _set(uow, asked) if asked else None, None, "", request.args.get("code", ""))


@VIEWS.post("/av/test", Perm.READ)
def test_run(uow: UnitOfWork) -> Any:
    """What the chosen set says of a tube (by barcode) or of a pasted case (JSON)."""
    form = request.form
    row = _set(uow, form.get("set", type=int) or 0)
    pasted = form.get("case", "").strip()
    if pasted:
        case = _pasted(pasted)
    else:
        found = bench.find(uow, ids.recognise(form.get("code", "")).code)
        if found is not None:
            _open(uow, found[0])
        made = simulation.case_of(uow, found[0]) if found is not None and found[1] in {s.id for s in _mine(uow)} else None
        if made is None:
            raise UserError("not_found", "检验工作台没有这个条码的标本，请核对后再试。")
        platform.log_read(uow, _patient(uow, made.specimen_id), "autoverify", request.path)
        case = anonymous(made)  # it is copied and kept, by people who see patients masked too
    return _test(uow, row, case, json.dumps(to_json(case), ensure_ascii=False, indent=1))


def _pasted(text: str) -> Case:
    try:
        return from_json(Case, json.loads(text))
    except (ValueError, TypeError, AttributeError, ArithmeticError, StopIteration, RecursionError) as error:
        raise Invalid(say("粘贴的内容不是完整的用例（{error}），请从“取出”得到一份后再改。", error=error), "case") from error


@VIEWS.post("/av/test/keep", Perm.WRITE)
def keep(uow: UnitOfWork) -> Any:
    """Keep a case with what must come out of it, a part too."""
    form = request.form
    row = _set(uow, form.get("set", type=int) or 0)
    case = _pasted(form.get("case", ""))
    service.keep_case(uow, row.id, form.get("name", ""), case, form.get("reason", ""), form.get("part", ""))
    return redirect_to(f"/av/validation?section={md.catalog(uow).sections[row.section_id].code}")


def _open(uow: UnitOfWork, specimen_id: int) -> None:
    """Refuses a tube whose values would be said to somebody they are shut to (M01 R8)."""
    if bench.shut_tubes(uow, principal(), [specimen_id]):
        raise UserError("forbidden", "标本中有您不能查看的敏感项目，不能取出；需要时请在工作台说明理由后查看。")


def _patient(uow: UnitOfWork, specimen_id: int) -> int:
    return bench.details_of(uow, [specimen_id])[specimen_id].tube.patient_id


def _test(uow: UnitOfWork, row: RuleSet | None, case: Case | None, shown: str, code: str = "") -> Any:
    choices = [(s, r) for s in _mine(uow) for r in queries.sets(uow, s.id)]
    said: Any = None
    part: tuple[str, ...] = ()
    partial = False
    if row is not None and case is not None:
        ready = sets.ready_of(uow, row)
        try:
            verdict = decide(case, ready)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise Invalid(say("粘贴的内容不是完整的用例（{error}），请从“取出”得到一份后再改。", error=error), "case") from error
        said, part, partial = queries.each_once(uow, verdict.failures, ready.messages), verdict.cleared, ready.policy.partial
    context: dict[str, Any] = {"choices": choices, "row": row, "case": case, "said": said, "part": part, "partial": partial, "shown": shown}
    context |= {"code": code, "section": "" if row is None else md.catalog(uow).sections[row.section_id].code}
    return page("autoverify/test.html", tab="test", words=_words(), **context)


@VIEWS.get("/av/simulate", Perm.READ)
def simulate(uow: UnitOfWork) -> Any:
    """Runs of a set with progress and confusion table."""
    section = _section(uow)
    rows = queries.sets(uow, section.id) if section is not None else []
    asked = request.args.get("set", type=int)
    chosen = next((r for r in rows if r.id == asked), rows[0] if rows else None)
    runs = [(run, Confusion(**run.confusion)) for run in queries.simulations(uow, chosen.id)] if chosen is not None else []
    busy = any(run.state in simulation.OPEN for run, _ in runs)
    context: dict[str, Any] = {
        "section": section,
        "sections": _mine(uow),
        "sets": rows,
        "chosen": chosen,
        "runs": runs,
        "busy": busy,
        "examples": queries.examples(uow, [run for run, _ in runs]),
        "most": simulation.EXAMPLES,
        "short": short,
        "words": _words(),
    }
    return page("autoverify/simulate.html", block="runs", tab="simulate", categories=CATEGORIES, **context)


@VIEWS.post("/av/simulate", Perm.WRITE)
def simulate_start(uow: UnitOfWork) -> Any:
    """Queue a run."""
    row = _set(uow, request.form.get("set", type=int) or 0)
    service.start(uow, row.id, request.form.get("reports", type=int) or 0)
    code = md.catalog(uow).sections[row.section_id].code
    return redirect_to(f"/av/simulate?section={code}&set={row.id}")


@VIEWS.post("/av/simulate/<int:simulation_id>/cancel", Perm.WRITE)
def simulate_cancel(uow: UnitOfWork, simulation_id: int) -> Any:
    """Stop a run after its present slice."""
    _set(uow, queries.set_of_run(uow, simulation_id))
    service.cancel(uow, simulation_id)
    return redirect_to(request.form.get("next") or "/av/simulate")


# --- board, switch, validation --------------------------------------------------------------------------------------


@VIEWS.get("/av/board", Perm.READ)
def board(uow: UnitOfWork) -> Any:
    """Pass rate, reasons, audit sample, shadows of the last day (or week)."""
    days = 7 if request.args.get("days") == "7" else 1
    mine = _mine(uow)
    found = queries.board(uow, [s.id for s in mine], uow.now - timedelta(days=days))
    names = {i.code: i.name for i in md.catalog(uow).items.values()}
    stops = queries.open_stops(uow)
    shut = bench.shut_tubes(uow, principal(), {a.specimen_id for a in found.audit})
    context: dict[str, Any] = {"board": found, "days": days, "names": names, "stops": stops, "shut": shut}
    context |= {"sections": md.catalog(uow).sections, "against": AGAINST, "suspended": queries.suspended(uow, [s.id for s in mine])}
    return page("autoverify/board.html", tab="board", categories=CATEGORIES, **context)


@VIEWS.post("/av/audit/<int:decision_id>", Perm.AUDIT)
def audit(uow: UnitOfWork, decision_id: int) -> Any:
    """The second look at a report of the sample."""
    if queries.section_of(uow, decision_id) not in {s.id for s in _mine(uow)}:
        raise NotFound("该抽查记录")
    service.answer_audit(uow, decision_id, request.form.get("agrees") == "1", request.form.get("note", ""))
    return redirect_to("/av/board?days=7" if request.form.get("days") == "7" else "/av/board")


@VIEWS.get("/av/switch", Perm.READ)
def switch(uow: UnitOfWork) -> Any:
    """What is stopped, and the buttons to stop more."""
    catalog, mine = md.catalog(uow), _mine(uow)
    own = {s.id for s in mine}
    stops = queries.open_stops(uow)
    return page(
        "autoverify/switch.html",
        tab="switch",
        stops=stops,
        problems={s.id: _end_problem(uow, s) for s in stops},
        past=queries.past_stops(uow),
        sections=mine,
        analyzers=[a for a in catalog.analyzers.values() if a.active and a.section_id in own],
        items=[i for i in catalog.items.values() if i.active and i.section_id in own],
    )


def _place(uow: UnitOfWork, scope: Scope, target: int | None) -> int | None:
    """The section a stop belongs to; None: the whole hospital's, or of something that is not there."""
    catalog = md.catalog(uow)
    if scope is Scope.SECTION or target is None:
        return target
    found = catalog.analyzers.get(target) if scope is Scope.ANALYZER else catalog.items.get(target) if scope is Scope.ITEM else None
    return None if found is None else found.section_id


def _end_problem(uow: UnitOfWork, stop: Suspension) -> Said | None:
    who = principal()
    own = {s.id for s in _mine(uow) if who.may(Perm.STOP, s.code)}
    place = _place(uow, Scope(stop.scope), stop.target_id)
    whole = stop.scope == Scope.TENANT
    allowed = may_end(whole, place is None or place in own, own >= queries.releasing(uow), stop.by_id == who.user_id)
    return end_problem(who.may(Perm.AUDIT), who.may(Perm.STOP), whole, allowed)


@VIEWS.post("/av/switch", Perm.STOP)
def stop(uow: UnitOfWork) -> Any:
    """Stop at once."""
    scope, _, target = request.form.get("what", "").partition(":")
    if scope not in tuple(Scope):
        raise Invalid("请选择停用范围。", "what")
    found = int(target) if target.isdecimal() and len(target) < 19 else None
    if not _own(uow, _place(uow, Scope(scope), found)):
        raise NotFound("要停用的专业组、仪器或项目")
    service.stop(uow, Scope(scope), found, request.form.get("reason", ""))
    return redirect_to("/av/switch")


@VIEWS.post("/av/switch/<int:suspension_id>/end", Perm.AUDIT)
def end_stop(uow: UnitOfWork, suspension_id: int) -> Any:
    """Let new results pass again: in the own sections; in the whole hospital who may stop all of it."""
    found = next((s for s in queries.open_stops(uow) if s.id == suspension_id), None)
    if found is not None and not _own(uow, _place(uow, Scope(found.scope), found.target_id)):
        raise NotFound("该停用")
    problem = None if found is None else _end_problem(uow, found)
    if problem is not None:
        raise UserError("forbidden", problem)
    service.end_stop(uow, suspension_id, request.form.get("reason", ""))
    return redirect_to("/av/switch")


@VIEWS.get("/av/validation", Perm.READ)
def validations(uow: UnitOfWork) -> Any:
    """Certificates, and the cases of each section."""
    section = _section(uow)
    cases = queries.kept_cases(uow, section.id) if section is not None else []
    rows = queries.sets(uow, section.id) if section is not None else []
    context: dict[str, Any] = {"section": section, "sections": _mine(uow), "cases": cases, "sets": rows, "words": _words()}
    return page(
        "autoverify/validation.html", tab="validation", certificates=queries.validations(uow, [s.id for s in _mine(uow)]), **context
    )


@VIEWS.post("/av/validation/cases", Perm.WRITE)
def make_cases(uow: UnitOfWork) -> Any:
    """Make validation cases from a clean past tube."""
    row = _set(uow, request.form.get("set", type=int) or 0)
    found = bench.find(uow, ids.recognise(request.form.get("code", "")).code)
    if found is None or found[1] != row.section_id:
        raise UserError("not_found", "本组没有这个条码的标本，请核对后再试。")
    _open(uow, found[0])
    service.make_cases(uow, row.id, found[0])
    return redirect_to(f"/av/validation?section={md.catalog(uow).sections[row.section_id].code}")


@VIEWS.post("/av/validation/cases/<int:case_id>/retire", Perm.WRITE)
def retire_case(uow: UnitOfWork, case_id: int) -> Any:
    """A case of an own section counts no more."""
    kept = service.retire_case(uow, case_id, [s.id for s in _mine(uow)], request.form.get("reason", ""))
    return redirect_to(f"/av/validation?section={md.catalog(uow).sections[kept.section_id].code}")


@VIEWS.get("/av/reasons/<int:specimen_id>", Perm.READ)
def reasons(uow: UnitOfWork, specimen_id: int) -> Any:
    """Why a tube was held, one sentence a reason, for the bench and the review page. Values stand in the sentences: a tube of another
    section is absent, and one with a sensitive item that is shut says only what became of it (M01 R8)."""
    if bench.section_of_tube(uow, specimen_id) not in {s.id for s in _mine(uow)}:
        raise NotFound("该标本")
    shut = bool(bench.shut_tubes(uow, principal(), [specimen_id]))
    barcode = bench.barcodes(uow, [specimen_id]).get(specimen_id, "")
    return fragment("autoverify/reasons.html", "reasons", told=queries.reasons(uow, specimen_id), shut=shut, barcode=barcode)


__all__ = ["VIEWS", "State"]
