"""Pages of quality control that set it up and sum it up: plans and material, targets, month summaries, sigma."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from flask import request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.platform import groups, lists
from cloud.modules.qc import chart, charts, months, moving, own, patients, plans, qualitative, queries, registers, robot, rules, targets
from cloud.modules.qc.forms import CHINA, day, number, stamp
from cloud.modules.qc.rules import Method, Perm
from cloud.modules.qc.westgard import DEFAULT_RULES, DEFAULT_WARNINGS, WORDS, Freeze, Rule
from cloud.web.faults import Invalid
from cloud.web.page import fragment, page, redirect_to
from cloud.web.view import Views, principal
from common.say import say
from common.values import significant

SETTINGS = Views("qc_settings", __name__)
OK = '{"sound":"ok"}'


@SETTINGS.get("/qc/plans", Perm.READ)
def plan_list(uow: UnitOfWork) -> Any:
    """All plans and lots; one opened for change."""
    known = md.catalog(uow)
    chosen = own.plan(uow, request.args.get("plan", type=int))
    suggested = tuple(r for r in request.args.get("rules", "").split(",") if r in set(Rule))
    return page(
        "qc/plans.html",
        suggested=suggested,
        plans=own.plans(uow, all_of_them=True),
        chosen=chosen,
        new=request.args.get("new") is not None,
        catalog=known,
        materials=(lots := own.materials(uow)),
        retired=own.materials(uow, active=False),
        ends=queries.ends(lots),
        last_day=rules.last_day,
        methods=rules.METHOD_WORDS,
        words=WORDS,
        chosen_rules=suggested or tuple(chosen.rules if chosen else DEFAULT_RULES),
        chosen_warnings=tuple(chosen.warnings if chosen else DEFAULT_WARNINGS),
        freezes={Freeze.BREAKS: "中断计数", Freeze.SKIPPED: "跳过", Freeze.OFF: "照常计入"},
        now=uow.now,
    )


@SETTINGS.post("/qc/plans", Perm.PLAN)
def save_plan(uow: UnitOfWork) -> Any:
    """Make or change a plan."""
    form = request.form
    try:
        method, freeze = Method(form.get("method", "lj")), Freeze(form.get("freeze", "breaks"))
        chosen = tuple(Rule(r) for r in form.getlist("rules"))
        warn = frozenset(Rule(r) for r in form.getlist("warnings")) & set(chosen)
    except ValueError as error:
        raise Invalid("规则或方法不在列表中，请重新选择。", "rules") from error
    own.require_analyzer(uow, form.get("analyzer_id", 0, type=int))
    plan = plans.save_plan(
        uow,
        plans.NewPlan(
            analyzer_id=form.get("analyzer_id", 0, type=int),
            item_id=form.get("item_id", 0, type=int),
            levels=tuple(int(level) for level in form.getlist("levels") if level.isdecimal()),
            method=method,
            window_hours=form.get("window_hours", 0, type=int),
            rules=chosen,
            warnings=warn,
            freeze=freeze,
            tea_percent=number(form.get("tea_percent", ""), "TEa"),
            tea_absolute=number(form.get("tea_absolute", ""), "TEa 绝对值"),
            tea_below=number(form.get("tea_below", ""), "TEa 分段浓度"),
            bias_percent=number(form.get("bias_percent", ""), "偏倚"),
            cv_standard=number(form.get("cv_standard", ""), "CV 目标"),
            source=form.get("source", ""),
            active=form.get("active") is not None,
            version=form.get("version", type=int),
        ),
    )
    return redirect_to(f"/qc/plans?plan={plan.id}")


@SETTINGS.post("/qc/materials", Perm.PLAN)
def add_material(uow: UnitOfWork) -> Any:
    """Register a lot."""
    form = request.form
    new = plans.NewMaterial(
        code=form.get("code", ""),
        name=form.get("name", ""),
        level=form.get("level", 0, type=int),
        lot=form.get("lot", ""),
        maker=form.get("maker", ""),
        expires_at=day(form.get("expires", ""), "expires", end=True),
        opened_at=day(form.get("opened", ""), "opened"),
        open_days=form.get("open_days", type=int),
        short_life=form.get("short_life") is not None,
        stock=form.get("stock", type=int),
    )
    made = plans.add_material(uow, new)
    return redirect_to(f"/qc/lots/{made.id}")


@SETTINGS.post("/qc/materials/<int:material_id>", Perm.PLAN)
def change_material(uow: UnitOfWork, material_id: int) -> Any:
    """A new vial is opened, or more is in stock."""
    form = request.form
    new = plans.Opening(day(form.get("opened", ""), "opened"), form.get("open_days", type=int), form.get("added", type=int))
    own.require_material(uow, material_id)
    plans.change_material(uow, material_id, form.get("version", 0, type=int), new)
    return redirect_to("/qc/plans")


@SETTINGS.post("/qc/materials/<int:material_id>/retire", Perm.PLAN)
def retire_material(uow: UnitOfWork, material_id: int) -> Any:
    """A lot is used up."""
    own.require_material(uow, material_id)
    plans.retire_material(uow, material_id, request.form.get("version", type=int) or 0)
    return redirect_to("/qc/plans#lots")


@SETTINGS.post("/qc/materials/<int:material_id>/restore", Perm.PLAN)
def restore_material(uow: UnitOfWork, material_id: int) -> Any:
    """It was retired too early."""
    own.require_material(uow, material_id)
    plans.use_again(uow, material_id, request.form.get("version", type=int) or 0)
    return redirect_to(f"/qc/lots/{material_id}")


@SETTINGS.get("/qc/targets", Perm.READ)
def target_page(uow: UnitOfWork) -> Any:
    """Targets of a plan: in force, proposed, ended; and what the values measured so far would make."""
    chosen = own.chosen(uow, request.args.get("plan", type=int))
    every = own.plans(uow)
    lots = {m.id: m for m in queries.materials(uow, active=False)}
    found = [] if chosen is None else queries.targets(uow, [chosen.id])
    measured = [] if chosen is None else queries.measured(uow, chosen.id, lots)
    return page(
        "qc/targets.html",
        plans=every,
        chosen=chosen,
        catalog=md.catalog(uow),
        lots=lots,
        targets=found,
        measured=measured,
        own={t.material_id for t in found} | {m.material for m in measured},
        continued={t.material_id for t in found if t.effective_at is not None and t.basis in targets.OWN_VALUES},
        bases=targets.BASIS_WORDS,
        signs=qualitative.SIGN_WORDS,
        now=uow.now,
    )


@SETTINGS.post("/qc/targets", Perm.PLAN)
def propose_target(uow: UnitOfWork) -> Any:
    """Write a target down for another person's approval."""
    form = request.form
    try:
        basis = targets.Basis(form.get("basis", "maker"))
    except ValueError as error:
        raise Invalid("请选择靶值来源。", "basis") from error
    mean, sd, cv = (number(form.get(k, ""), n) for k, n in (("mean", "均值"), ("sd", "标准差"), ("cv", "历史 CV")))
    if sd is None and cv is not None and mean is not None:
        sd, basis = targets.transferred_sd(cv, mean), targets.Basis.TRANSFER
    new = plans.NewTarget(
        plan_id=form.get("plan", 0, type=int),
        level=form.get("level", 0, type=int),
        material_id=form.get("material", 0, type=int),
        mean=mean,
        sd=None if sd is None else _tidy(sd),
        basis=basis,
        n=form.get("n", 0, type=int),
        expected=form.get("expected", ""),
        reason=form.get("reason", ""),
    )
    own.require_plan(uow, new.plan_id)
    plans.propose_target(uow, new)
    return redirect_to(f"/qc/targets?plan={new.plan_id}")


@SETTINGS.post("/qc/targets/<int:target_id>/approve", Perm.APPROVE)
def approve_target(uow: UnitOfWork, target_id: int) -> Any:
    """Another person approves."""
    own.require_target(uow, target_id)
    plans.approve_target(uow, target_id, request.form.get("version", type=int) or 0)
    return redirect_to(request.form.get("next") or "/qc/targets")


@SETTINGS.post("/qc/targets/<int:target_id>/refuse", Perm.APPROVE)
def refuse_target(uow: UnitOfWork, target_id: int) -> Any:
    """Another person does not approve."""
    own.require_target(uow, target_id)
    plans.reject_target(uow, target_id, request.form.get("version", type=int) or 0, request.form.get("reason", ""))
    return redirect_to(request.form.get("next") or "/qc/targets")


# --- patient-based control ------------------------------------------------------------------------------------------


@SETTINGS.get("/qc/moving", Perm.READ)
def moving_page(uow: UnitOfWork) -> Any:
    """Patients' smoothed values of a week, a plan's setting opened for change with the limits its past suggests."""
    chosen = own.plan(uow, request.args.get("plan", type=int))
    lines = [each for each in patients.lines(uow) if queries.here(uow, each.plan.analyzer_id)]
    found = [each for each in lines if chosen is None or each.plan.id == chosen.id]
    line = found[0] if chosen is not None and found else None
    learn = moving.Setting(moving.Kind.AVERAGE, Decimal(0), Decimal(1)) if line is None or line.setting is None else line.setting
    span = chart.Span(uow.now - patients.SHOWN, uow.now + timedelta(hours=1), CHINA)
    return page(
        "qc/moving.html",
        plans=own.plans(uow),
        chosen=chosen,
        line=line,
        drawn=[(each, chart.moving(each.points, (each.setting.low, each.setting.high), span)) for each in found if each.setting],
        kinds=moving.KIND_WORDS,
        catalog=md.catalog(uow),
        suggested=None if chosen is None else patients.suggested(uow, chosen.id, learn),
    )


@SETTINGS.post("/qc/moving", Perm.PLAN)
def save_moving(uow: UnitOfWork) -> Any:
    """Set it."""
    form = request.form
    try:
        kind = moving.Kind(form.get("kind", ""))
    except ValueError as error:
        raise Invalid(say("请选择方法。"), "kind") from error
    low, high = number(form.get("low", ""), "控制下限"), number(form.get("high", ""), "控制上限")
    if low is None or high is None:
        raise Invalid(say("请填写控制下限和控制上限。"), "low")
    new = moving.Setting(
        kind,
        low,
        high,
        form.get("size", 0, type=int),
        number(form.get("weight", ""), "λ") or Decimal("0.1"),
        number(form.get("start", ""), "起始值"),
        number(form.get("trunc_low", ""), "截断下限"),
        number(form.get("trunc_high", ""), "截断上限"),
    )
    plan_id = form.get("plan", 0, type=int)
    own.require_plan(uow, plan_id)
    patients.save(uow, plan_id, new, form.get("active") is not None, form.get("version", type=int))
    return redirect_to(f"/qc/moving?plan={plan_id}")


@SETTINGS.get("/qc/month", Perm.READ)
def month_page(uow: UnitOfWork) -> Any:
    """A month's summaries, each signed once."""
    last = uow.now.astimezone(CHINA).replace(day=1) - timedelta(days=1)
    asked = charts.Asked.of(request.args.get("month", f"{last:%Y-%m}"), "", uow.now)
    return page("qc/month.html", **_month(uow, asked))


@SETTINGS.post("/qc/month/draft", Perm.CLOSE)
def draft_month(uow: UnitOfWork) -> Any:
    """Draft (again) what is not signed of a month."""
    asked = charts.Asked.of(request.form.get("month", ""), "", uow.now)
    months.draft(uow, asked.month, CHINA)
    return redirect_to(f"/qc/month?month={asked.text}")


@SETTINGS.post("/qc/month/sign", Perm.CLOSE)
def sign_month(uow: UnitOfWork) -> Any:
    """The leader signs the ticked summaries."""
    asked = charts.Asked.of(request.form.get("month", ""), "", uow.now)
    ids = request.form.getlist("id", type=int)
    if not ids:
        raise Invalid("请先勾选要签名的月总结。", "id")
    for plan_id in months.plans_of(uow, ids):
        own.require_plan(uow, plan_id)
    months.sign(uow, ids, request.form.get("comment", ""), principal(), CHINA)
    uow.s.flush()
    return fragment("qc/month.html", "lines", trigger=OK, **_month(uow, asked))


@SETTINGS.post("/qc/month/print", Perm.READ, reads=True)
def print_month(uow: UnitOfWork) -> Any:
    """The month's summaries on paper or in a workbook."""
    asked = charts.Asked.of(request.form.get("month", ""), "", uow.now)
    made = registers.month_summary(uow, asked.month, stamp(uow))
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), f"/qc/month?month={asked.text}"))


@SETTINGS.post("/qc/sigma/print", Perm.READ, reads=True)
def print_sigma(uow: UnitOfWork) -> Any:
    """CV against its goal on paper or in a workbook."""
    return redirect_to(lists.ask(uow, registers.cv_goals(uow, stamp(uow)), request.form.get("kind", ""), "/qc/sigma"))


def _month(uow: UnitOfWork, asked: charts.Asked) -> dict[str, Any]:
    known = {p.id: p for p in own.plans(uow, all_of_them=True)}
    rows = [r for r in queries.summaries(uow, asked.month) if r.plan_id in known]
    start, end = months.bounds(asked.month, CHINA)
    return {
        "asked": asked,
        "over": months.over(asked.month, CHINA, uow.now),
        "rows": [(r, *(months.read(r.data.get(k)) for k in ("raw", "in", "cumulative"))) for r in rows],
        "plans": known,
        "lots": {m.id: m for m in queries.materials(uow, active=False)},
        "catalog": md.catalog(uow),
        "coverage": queries.coverage(uow, start, end),
    }


@SETTINGS.get("/qc/sigma", Perm.READ)
def sigma_page(uow: UnitOfWork) -> Any:
    """Each item's sigma and quality goal index by its last three months."""
    return page("qc/sigma.html", rows=queries.sigma_rows(uow), catalog=md.catalog(uow))


def _tidy(sd: Decimal) -> Decimal:
    """Four significant digits, as people write an SD."""
    return Decimal(significant(sd, 4))


@SETTINGS.get("/qc/robots", Perm.PLAN)
def robot_list(uow: UnitOfWork) -> Any:
    """Groups of WeChat-Work that hear of rejections, and what was sent to them."""
    found = {"robots": groups.robots(uow, robot.BOOK), "notices": groups.notices(uow, robot.BOOK)}
    shown: dict[str, Any] = {**found, "state": groups.state}
    return page("qc/robots.html", catalog=md.catalog(uow), **shown)


@SETTINGS.post("/qc/robots", Perm.PLAN)
def add_robot(uow: UnitOfWork) -> Any:
    """Register one."""
    form = request.form
    robot.add(uow, form.get("name", ""), form.get("section", type=int), form.get("url", ""))
    return redirect_to("/qc/robots")


@SETTINGS.post("/qc/robots/<int:robot_id>", Perm.PLAN)
def switch_robot(uow: UnitOfWork, robot_id: int) -> Any:
    """On or off, or a message to see that it is heard."""
    form = request.form
    if form.get("do") == "test":
        robot.test(uow, robot_id, principal().tenant_name)
        return fragment("qc/robots.html", "tested")
    groups.switch(uow, robot.BOOK, robot_id, form.get("version", 0, int), form.get("do") == "on")
    return redirect_to("/qc/robots")
