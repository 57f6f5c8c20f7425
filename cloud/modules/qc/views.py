"""Pages of quality control: today's board, charts, entry, out-of-control work; the others are in settings_views."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.platform import lists
from cloud.modules.qc import board, charts, entry, intake, ooc, own, plans, points, printing, queries, registers, rules
from cloud.modules.qc.forms import CHINA, moment, stamp
from cloud.modules.qc.models import QcOoc
from cloud.modules.qc.rules import Perm
from cloud.web import i18n
from cloud.web.faults import Invalid, NotFound
from cloud.web.i18n import midnight
from cloud.web.page import fragment, page, redirect_to
from cloud.web.view import Views, principal
from common import values

VIEWS = Views("qc", __name__)
OK, BAD, WARN = '{"sound":"ok"}', '{"sound":"bad"}', '{"sound":"warn"}'


# --- today ----------------------------------------------------------------------------------------------------------


@VIEWS.get("/qc/today", Perm.READ)
def today(uow: UnitOfWork) -> Any:
    """Each analyzer's items: in control, warned, rejected, overdue; and what control results lie unplaced. ``section``: of one section."""
    found = board.load(uow, request.args.get("section", ""), request.args.get("light", ""))
    return page(
        "qc/today.html",
        block="board",
        tiles=found.shown,
        closed=[t for t in found.every if not t.gate.open],
        catalog=md.catalog(uow),
        section=found.section,
        light=found.light,
        counts=found.counts,
        unplaced=[u for u in intake.unplaced(uow, midnight(uow.now)) if queries.here(uow, u.seen.analyzer_id)],
        bypasses=[b for b in queries.bypasses(uow, uow.now - timedelta(hours=24)) if queries.here(uow, b.analyzer_id)],
        now=uow.now,
    )


@VIEWS.post("/qc/today/again", Perm.ENTER)
def again(uow: UnitOfWork) -> Any:
    """Place once more what lay unplaced."""
    n = intake.take_again(uow)
    response = redirect_to("/qc/today")
    response.headers["HX-Trigger"] = f'{{"toast":"{n}"}}'
    return response


@VIEWS.post("/qc/today/lot", Perm.ENTER)
def lot_chosen(uow: UnitOfWork) -> Any:
    """Which of the lots in use a control tube was of, said by a person."""
    observation, material = (request.form.get(name, type=int) for name in ("observation", "material"))
    if observation is None or material is None:
        raise Invalid("请选择批号。", "material")
    own.require_observed(uow, observation)
    intake.choose(uow, observation, material)
    return redirect_to("/qc/today")


@VIEWS.post("/qc/bypass/<int:plan_id>", Perm.BYPASS)
def bypass(uow: UnitOfWork, plan_id: int) -> Any:
    """The director lets people release behind a closed gate for some hours."""
    hours = values.number(request.form.get("hours", ""))
    if hours is None or not 0 < hours <= 4:
        raise Invalid("临时放行最长 4 小时，请填写 0.5 至 4。", "hours")
    own.require_plan(uow, plan_id)
    ooc.bypass(uow, plan_id, request.form.get("reason", ""), uow.now + timedelta(hours=float(hours)))
    return redirect_to("/qc/today")


# --- charts ---------------------------------------------------------------------------------------------------------


@VIEWS.get("/qc/lj", Perm.READ)
def lj(uow: UnitOfWork) -> Any:
    """Levey-Jennings of an item on an analyzer for a month: by level, by z, or one level against another."""
    chosen = own.chosen(uow, request.args.get("plan", type=int))
    asked = charts.Asked.of(request.args.get("month", ""), request.args.get("view", ""), uow.now)
    drawn = None if chosen is None else charts.draw(uow, chosen, asked, i18n.gettext)
    return page("qc/lj.html", block="chart", drawn=drawn, asked=asked, plans=own.plans(uow), chosen=chosen, catalog=md.catalog(uow))


@VIEWS.post("/qc/lj/print", Perm.READ, reads=True)
def print_lj(uow: UnitOfWork) -> Any:
    """The same chart on paper, with its figures and room for a signature."""
    form = request.form
    chosen = own.plan(uow, form.get("plan", 0, type=int))
    if chosen is None:
        raise NotFound("该质控计划")
    asked = charts.Asked.of(form.get("month", ""), form.get("view", ""), uow.now)
    drawn, back = charts.draw(uow, chosen, asked, paper=True), f"/qc/lj?plan={chosen.id}&month={asked.text}&view={asked.view}"
    if form.get("what") == "points" or not drawn.n:  # what draws no chart is printed as its list
        rows = points.document(drawn.title, asked.text, drawn.lines, stamp(uow))
        return redirect_to(lists.ask(uow, rows, form.get("kind", lists.Kind.PDF), back))
    made = printing.chart_document(drawn, asked, principal().tenant_name, principal().name, uow.now)
    return redirect_to(lists.ask(uow, made, lists.Kind.PDF, back))


@VIEWS.post("/qc/note", Perm.ENTER)
def note(uow: UnitOfWork) -> Any:
    """Write on a chart what happened to the analyzer."""
    plan = queries.plan(uow, request.form.get("plan", type=int) or 0)
    if plan is None:
        raise NotFound("该质控计划")
    own.require_plan(uow, plan.id)
    words, kind = request.form.get("text", ""), request.form.get("kind", "")
    item = plan.item_id if request.form.get("only") else None
    plans.add_note(uow, plan.analyzer_id, kind, moment(request.form.get("at", ""), uow.now), words, item)
    return redirect_to(f"/qc/lj?plan={plan.id}")


@VIEWS.post("/qc/result/<int:result_id>/exclude", Perm.PLAN)
def exclude(uow: UnitOfWork, result_id: int) -> Any:
    """Take a rejected point out of the statistics, for a documented cause."""
    own.require_result(uow, result_id)
    plans.exclude(uow, result_id, request.form.get("cause", ""))
    return redirect_to(request.form.get("next") or "/qc/lj")


# --- entry ----------------------------------------------------------------------------------------------------------


@VIEWS.get("/qc/entry", Perm.ENTER)
def entry_page(uow: UnitOfWork) -> Any:
    """Type control values: an analyzer's items by level, Enter goes on to the next field."""
    return _entry(uow, request.args.get("analyzer", type=int), {}, entry.Checked([], [], {}))


@VIEWS.post("/qc/entry", Perm.ENTER)
def save_entry(uow: UnitOfWork) -> Any:
    """Store what was typed; what looks wrong is asked back with everything typed still there."""
    form = request.form
    analyzer = form.get("analyzer", type=int)
    if analyzer is not None:
        own.require_analyzer(uow, analyzer)
    sheet = entry.sheet(uow, analyzer)
    checked = entry.check(uow, sheet, form, moment(form.get("at", ""), uow.now))
    if checked.problems or (checked.doubts and form.get("confirm") != checked.fingerprint):
        return _entry(uow, analyzer, dict(form), checked, 422 if checked.problems else 200)
    results = entry.store(uow, checked)
    return fragment("qc/entry.html", "saved", trigger=BAD if any(r.bad for r in results) else OK, results=results, analyzer=analyzer)


def _entry(uow: UnitOfWork, analyzer: int | None, typed: dict[str, str], checked: entry.Checked, status: int = 200) -> Any:
    known = md.catalog(uow)
    with_plans = {p.analyzer_id for p in queries.plans(uow)}
    analyzers = [a for a in known.analyzers.values() if a.id in with_plans and own.works_at(uow, a.id)]
    chosen = analyzer if analyzer in {a.id for a in analyzers} else (analyzers[0].id if analyzers else None)
    sheet = entry.sheet(uow, chosen)
    now = uow.now.astimezone(CHINA).strftime("%Y-%m-%dT%H:%M")
    found = page(
        "qc/entry.html", block="form", status=status, sheet=sheet, analyzers=analyzers, chosen=chosen, typed=typed, checked=checked, now=now
    )
    if checked.problems or checked.doubts:
        found.headers["HX-Trigger"] = BAD if checked.problems else WARN
    return found


# --- out-of-control work ---------------------------------------------------------------------------------------------


@VIEWS.get("/qc/ooc", Perm.READ)
def register(uow: UnitOfWork) -> Any:
    """The register of out-of-control work: open ones, or all."""
    open_only = request.args.get("all") is None
    lines = queries.register(uow, open_only=open_only, before=request.args.get("before", type=int))
    month = f"{uow.now.astimezone(md.HOSPITAL_ZONE):%Y-%m}"
    shown: dict[str, Any] = {"lines": lines, "open_only": open_only, "causes": rules.CAUSE_WORDS, "month": month}
    return page("qc/register.html", catalog=md.catalog(uow), **shown)


@VIEWS.post("/qc/ooc/print", Perm.READ, reads=True)
def print_register(uow: UnitOfWork) -> Any:
    """A month's register on paper or in a workbook."""
    asked = charts.Asked.of(request.form.get("month", ""), "", uow.now)
    return redirect_to(lists.ask(uow, registers.ooc_register(uow, asked.month, stamp(uow)), request.form.get("kind", ""), "/qc/ooc?all=1"))


@VIEWS.get("/qc/ooc/<int:ooc_id>", Perm.READ)
def work(uow: UnitOfWork, ooc_id: int) -> Any:
    """One out-of-control work: its steps, and the patients' results of the doubtful time."""
    return page("qc/ooc.html", block="work", **_work(uow, ooc_id))


@VIEWS.post("/qc/ooc/<int:ooc_id>/investigate", Perm.ENTER)
def investigate(uow: UnitOfWork, ooc_id: int) -> Any:
    """Take it on."""
    own.require_ooc(uow, ooc_id)
    ooc.investigate(uow, ooc_id, _version())
    return _again(uow, ooc_id)


@VIEWS.post("/qc/ooc/<int:ooc_id>/correct", Perm.ENTER)
def correct(uow: UnitOfWork, ooc_id: int) -> Any:
    """Cause and action."""
    form = request.form
    own.require_ooc(uow, ooc_id)
    ooc.correct(uow, ooc_id, _version(), form.get("cause_class", ""), form.get("cause", ""), form.get("action", ""))
    return _again(uow, ooc_id)


@VIEWS.post("/qc/ooc/<int:ooc_id>/verify", Perm.ENTER)
def verify(uow: UnitOfWork, ooc_id: int) -> Any:
    """Sign the in-control retest."""
    own.require_ooc(uow, ooc_id)
    ooc.verify(uow, ooc_id, _version(), principal())
    return _again(uow, ooc_id)


@VIEWS.post("/qc/ooc/<int:ooc_id>/decide", Perm.ENTER)
def decide(uow: UnitOfWork, ooc_id: int) -> Any:
    """Ticked patients' results may be used, or are measured again."""
    own.require_ooc(uow, ooc_id)
    ooc.decide(uow, ooc_id, request.form.getlist("id", type=int), request.form.get("decision", ""))
    return _again(uow, ooc_id)


@VIEWS.post("/qc/ooc/<int:ooc_id>/examine/<int:result_id>", Perm.ENTER)
def examine(uow: UnitOfWork, ooc_id: int, result_id: int) -> Any:
    """What measuring a patient's sample again gave."""
    value = values.require(request.form.get("again", ""), "numeric", "复检值")
    if value.number is None or value.comparator:
        raise Invalid("复检值请填写数字。", "again")
    own.require_ooc(uow, ooc_id)
    beyond = ooc.examine(uow, ooc_id, result_id, value.number)
    return _again(uow, ooc_id, BAD if beyond else OK)


@VIEWS.post("/qc/ooc/<int:ooc_id>/close", Perm.CLOSE)
def close(uow: UnitOfWork, ooc_id: int) -> Any:
    """The leader signs."""
    own.require_ooc(uow, ooc_id)
    ooc.close(uow, ooc_id, _version(), request.form.get("conclusion", ""), principal())
    return _again(uow, ooc_id)


def _again(uow: UnitOfWork, ooc_id: int, sound: str = OK) -> Any:
    uow.s.flush()
    return fragment("qc/ooc.html", "work", trigger=sound, **_work(uow, ooc_id))


def _work(uow: UnitOfWork, ooc_id: int) -> dict[str, Any]:
    row = uow.s.get(QcOoc, (uow.tenant_id, ooc_id))
    plan = None if row is None else own.plan(uow, row.plan_id)
    if row is None or plan is None:
        raise NotFound("该失控处理")
    found = ooc.patients(uow, row, ooc.LIMIT)
    known = md.catalog(uow)
    newest = ooc.newest_run(uow, row.plan_id)
    state = None if newest is None else rules.RunState(newest.state)
    return {
        "o": row,
        "names": ooc.names(uow, row),
        "plan": plan,
        "catalog": known,
        "half": {p.result_id: ooc.half_tea(plan, known, p) for p in found},
        "word": rules.OOC_WORDS[rules.Ooc(row.state)],
        "steps": [(s.value, rules.OOC_WORDS[s]) for s in rules.Ooc],
        "causes": rules.CAUSE_WORDS,
        "patients": found,
        "decisions": rules.DECISION_WORDS,
        "sample": min(rules.SAMPLE, len(found)),
        "examined": sum(p.again is not None for p in found),
        "limit": ooc.LIMIT,
        "newest": newest,
        "newest_word": "" if state is None else f"{rules.RUN_SIGNS[state]} {rules.RUN_WORDS[state]}",
        "retest_problem": rules.retest_problem(state, None if newest is None else newest.at, row.corrected_at),
    }


def _version() -> int:
    return request.form.get("version", type=int) or 0
