"""Pages of change control: the list, one change, the form of any row, import, formulas with their test bench, an item's history."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Response, request

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as bench
from cloud.modules.catalog import queries as md
from cloud.modules.catalog import service as catalog
from cloud.modules.changes import editor, forms, queries, service, trial, watch
from cloud.modules.changes.rules import SAMPLE, WORDS, Perm, State
from cloud.web import sheet
from cloud.web.faults import Forbidden, Invalid, NotFound
from cloud.web.page import fragment, page, redirect_to
from cloud.web.view import Views, principal, web
from common.errors import UserError
from common.say import Listed, say

VIEWS = Views("changes", __name__)
WAITING_MOST = 20_000
FORMULAS = ("calc", "judge", "logic", "reflex")


# --- changes -------------------------------------------------------------------------------------------------------


@VIEWS.get("/md/changes", Perm.READ)
def changes(uow: UnitOfWork) -> Any:
    """Changes by state, newest first."""
    show, item = request.args.get("show", "open"), request.args.get("item", "")
    start = max(0, request.args.get("from", 0, int))
    rows, total = queries.listed(uow, show, item, start)
    month = uow.now.astimezone(_zone()).strftime("%Y-%m")
    context: dict[str, Any] = {"rows": rows, "total": total, "start": start, "size": queries.PAGE, "show": show, "item": item}
    return page("changes/changes.html", "rows", words=WORDS, State=State, month=month, kinds=catalog.KINDS, **context)


@VIEWS.get("/md/changes/<int:change_id>", Perm.READ)
def change(uow: UnitOfWork, change_id: int) -> Any:
    """One change: what differs, what it would do, who approved."""
    return _change(uow, change_id)


def _change(uow: UnitOfWork, change_id: int) -> Any:
    found = queries.detail(uow, change_id)
    if found is None:
        raise NotFound("该变更")
    last = trial.of_change(uow, change_id)
    running = last if last is not None and last.state in trial.OPEN else None
    stopped = last if last is not None and last.state in ("cancelled", "failed") and found.row.state is State.DRAFT else None
    shown: dict[str, Any] = {"c": found, "trial": running, "stopped": stopped, "going": True}
    return page("changes/change.html", "change", **shown, State=State, Perm=Perm, me=principal(), sample=SAMPLE)


def _version() -> int | None:
    return request.form.get("version", None, int)


@VIEWS.post("/md/changes/<int:change_id>/test", Perm.TEST)
def test_change(uow: UnitOfWork, change_id: int) -> Any:
    """Dry run over past reports, in the background; the page follows it."""
    trial.start(uow, change_id, _version(), max(1, min(5000, request.form.get("sample", SAMPLE, int))))
    return _change(uow, change_id)


@VIEWS.get("/md/trials/<int:trial_id>", Perm.READ)
def trial_progress(uow: UnitOfWork, trial_id: int) -> Any:
    """How far a dry run has come; a finished one of a change shows the change again."""
    found = trial.one(uow, trial_id)
    if found is None:
        raise NotFound("该测试")
    if found.change_id is not None and found.state not in trial.OPEN:
        return redirect_to(f"/md/changes/{found.change_id}")
    return page("changes/trial.html", "progress", trial=found, going=found.state in trial.OPEN)


@VIEWS.post("/md/trials/<int:trial_id>/cancel", Perm.TEST)
def cancel_trial(uow: UnitOfWork, trial_id: int) -> Any:
    """Stop it."""
    found = trial.cancel(uow, trial_id)
    return redirect_to(f"/md/changes/{found.change_id}") if found.change_id is not None else Response("", 200)


@VIEWS.post("/md/changes/<int:change_id>/approve/section", Perm.SECTION)
def approve_section(uow: UnitOfWork, change_id: int) -> Any:
    """The section leader's approval, of the own section."""
    found, who = queries.detail(uow, change_id), principal()
    section = None if found is None or found.section_id is None else md.catalog(uow).sections[found.section_id].code
    if who.sections and section is not None and section not in who.sections:
        raise Forbidden(Perm.SECTION)
    service.approve(uow, change_id, "section", _version())
    return _change(uow, change_id)


@VIEWS.post("/md/changes/<int:change_id>/approve/av", Perm.AV)
def approve_av(uow: UnitOfWork, change_id: int) -> Any:
    """The technical lead's approval, of autoverification rules only."""
    found = queries.detail(uow, change_id)
    if found is not None and found.kind.group != "av":
        raise Forbidden(Perm.AV)
    service.approve(uow, change_id, "section", _version())
    return _change(uow, change_id)


@VIEWS.post("/md/changes/<int:change_id>/approve/group", Perm.GROUP)
def approve_group(uow: UnitOfWork, change_id: int) -> Any:
    """The information group's approval."""
    service.approve(uow, change_id, "group", _version())
    return _change(uow, change_id)


@VIEWS.post("/md/changes/<int:change_id>/schedule", Perm.GROUP)
def schedule(uow: UnitOfWork, change_id: int) -> Any:
    """Now, or at a time."""
    given = request.form.get("at", "").strip()
    at = None
    if given:
        try:
            at = datetime.fromisoformat(given).replace(tzinfo=_zone())
        except ValueError:
            raise Invalid(say("生效时间“{given}”不是日期时间，请写成 2026-05-01T08:00。", given=given), "at") from None
        if at < uow.now:
            raise Invalid("生效时间已经过去；要立即生效请把时间留空。", "at")
    service.schedule(uow, change_id, at, _version())
    return _change(uow, change_id)


@VIEWS.post("/md/changes/<int:change_id>/emergency", Perm.EMERGENCY)
def emergency(uow: UnitOfWork, change_id: int) -> Any:
    """At once, approval to follow."""
    service.emergency(uow, change_id, request.form.get("reason", ""), _version())
    return _change(uow, change_id)


@VIEWS.post("/md/changes/<int:change_id>/withdraw", Perm.PROPOSE)
def withdraw(uow: UnitOfWork, change_id: int) -> Any:
    """Take it back: one's own, or any for those who may test."""
    found = queries.detail(uow, change_id)
    if found is not None and found.row.requested_by != principal().user_id and not principal().may(Perm.TEST):
        raise Forbidden(Perm.TEST)
    service.withdraw(uow, change_id, request.form.get("reason", ""), _version())
    return _change(uow, change_id)


@VIEWS.get("/md/changes.xlsx", Perm.READ)
def month_log(uow: UnitOfWork) -> Any:
    """变更月报: what became active in a month."""
    try:
        since = datetime.strptime(request.args.get("month", ""), "%Y-%m").replace(tzinfo=_zone())
    except ValueError:
        raise Invalid("月份请写成 2026-05。", "month") from None
    until = (since + timedelta(days=32)).replace(day=1)
    head = ("编号", "生效时间", "类别", "内容", "行数", "原因", "工单", "申请人", "专业组批准", "信息组批准", "紧急")
    rows = [
        (r.id, _local(r.activated_at), catalog.KINDS[r.kind].title, r.title, r.count, r.reason, r.ticket, r.requested_name,
         r.section_name, r.group_name, r.emergency)
        for r in queries.month_log(uow, since, until)
    ]  # fmt: skip
    return _download(f"changes-{since:%Y-%m}", sheet.write("变更月报", head, rows))


def _local(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(_zone())


def _zone() -> ZoneInfo:
    return ZoneInfo(web().settings.timezone)


def _download(name: str, data: bytes) -> Response:
    return Response(data, mimetype=sheet.TYPE, headers={"Content-Disposition": f'attachment; filename="{name}.xlsx"'})


# --- forms ---------------------------------------------------------------------------------------------------------


def _kind(code: str) -> catalog.Kind:
    found = catalog.KINDS.get(code)
    if found is None:
        raise NotFound("这一类基础数据")
    return found


@VIEWS.get("/md/edit/<kind>/<int:row_id>", Perm.PROPOSE)
def edit(uow: UnitOfWork, kind: str, row_id: int) -> Any:
    """The form of a row; 0 is a new one."""
    found, known = _kind(kind), md.catalog(uow)
    values = catalog.present(uow, found, row_id or None)
    if row_id and values is None:
        raise NotFound(found.title)
    given = request.args if values is None else values
    texts = {f.name: forms.text_of(f, given.get(f.name) if values is not None or f.name in given else f.default) for f in found.fields}
    return _form(found, row_id, texts, known, [])


@VIEWS.post("/md/edit/<kind>/<int:row_id>", Perm.PROPOSE)
def propose(uow: UnitOfWork, kind: str, row_id: int) -> Any:
    """Propose what the form says; what is wrong stands beside its field and nothing typed is lost."""
    found, known, form = _kind(kind), md.catalog(uow), request.form
    if form.get("retire"):
        return redirect_to(f"/md/changes/{service.propose(uow, kind, [(row_id, None)], form.get('reason', ''), form.get('ticket', ''))}")
    values, wrong = forms.values_of(found, form, known)
    if wrong:
        return _form(found, row_id, form, known, [each.message for each in wrong])
    try:
        change_id = service.propose(uow, kind, [(row_id or None, values)], form.get("reason", ""), form.get("ticket", ""))
    except UserError as error:
        return _form(found, row_id, form, known, [error.message])
    return redirect_to(f"/md/changes/{change_id}")


def _form(kind: catalog.Kind, row_id: int, texts: Any, known: md.Catalog, wrong: list[str]) -> Any:
    context: dict[str, Any] = {"kind": kind, "row_id": row_id, "texts": texts, "known": known, "wrong": wrong}
    return page("changes/edit.html", "form", 422 if wrong else 200, **context)


# --- an item's history, checklist and impact -----------------------------------------------------------------------


@VIEWS.get("/md/changes/of/<path:code>", Perm.READ)
def of_item(uow: UnitOfWork, code: str) -> Any:
    """Who changed what of an item, what a change would touch, and its checklist."""
    return _of_item(uow, code)


def _of_item(uow: UnitOfWork, code: str) -> Any:
    known = md.catalog(uow)
    item = known.items_by_code.get(code)
    if item is None:
        raise NotFound("这个检验项目")
    rows, total = queries.listed(uow, "all", code)
    users = [known.items[each.item_id] for each in known.calculations if code in each.inputs]
    context: dict[str, Any] = {"item": item, "rows": rows[:10], "total": total, "users": users, "boxes": queries.checklist(uow, item)}
    return page("changes/of_item.html", "panel", open=queries.open_tests(uow, item.id), **context)


@VIEWS.get("/md/waiting", Perm.READ)
def waiting(uow: UnitOfWork) -> Any:
    """The tests whose report is not out and that a change of these items would touch."""
    chosen = _waiting_items(uow)
    rows = bench.open_tests(uow, [i.id for i in chosen], request.args.get("after", 0, int), queries.PAGE)
    context: dict[str, Any] = {"chosen": chosen, "rows": rows, "size": queries.PAGE, "total": bench.open_count(uow, [i.id for i in chosen])}
    context["query"] = urlencode([("item", i.code) for i in chosen])
    known = md.catalog(uow)
    return page("changes/waiting.html", "rows", items=known.items, sections=known.sections, word=bench.state_word, **context)


@VIEWS.get("/md/waiting.xlsx", Perm.READ)
def waiting_sheet(uow: UnitOfWork) -> Response:
    """The same as a workbook."""
    known, chosen = md.catalog(uow), _waiting_items(uow)
    rows = [
        (
            r.barcode,
            r.sample_no or "",
            _local(r.received_at),
            known.sections[r.section_id].name,
            known.items[r.item_id].name,
            str(bench.state_word(r.state)),
        )
        for r in bench.open_tests(uow, [i.id for i in chosen], 0, WAITING_MOST)
    ]
    return _download("waiting", sheet.write("未发布的检验", ("条码", "样本号", "接收", "专业组", "项目", "状态"), rows))


def _waiting_items(uow: UnitOfWork) -> list[md.ItemRow]:
    known = md.catalog(uow).items_by_code
    chosen = [known[code] for code in dict.fromkeys(request.args.getlist("item")) if code in known]
    if not chosen:
        raise NotFound("这个检验项目")
    return chosen


@VIEWS.post("/md/boxes/<path:code>", Perm.TEST)
def close_box(uow: UnitOfWork, code: str) -> Any:
    """A box of the checklist is done, or does not apply."""
    service.close_box(uow, code, request.form.get("box", ""), request.form.get("note", ""))
    return _of_item(uow, code)


# --- import --------------------------------------------------------------------------------------------------------


@VIEWS.get("/md/import", Perm.PROPOSE)
def import_page(uow: UnitOfWork) -> Any:
    """Choose a kind, take its template, bring it back."""
    kind = request.args.get("kind", "")
    return _import(uow, kind if kind in catalog.KINDS else "ri", None, [], 0)


def _import(uow: UnitOfWork, kind: str, done: str | None, wrong: list[tuple[int, str]], count: int) -> Any:
    context: dict[str, Any] = {"kinds": catalog.KINDS, "kind": kind, "done": done, "wrong": wrong, "count": count}
    return page("changes/import.html", "answer", 422 if wrong else 200, **context)


@VIEWS.get("/md/import/<kind>.xlsx", Perm.PROPOSE)
def template(uow: UnitOfWork, kind: str) -> Any:
    """The sheet of a kind: empty, or (``rows=1``) with the rows there are, to be changed and brought back."""
    filled = request.args.get("rows") == "1"
    return _download(f"{'rows' if filled else 'template'}-{kind}", forms.template(uow, _kind(kind), filled))


@VIEWS.post("/md/import", Perm.PROPOSE)
def import_sheet(uow: UnitOfWork) -> Any:
    """Try a sheet, or propose it: every line or none."""
    kind = request.form.get("kind", "")
    found, file = _kind(kind), request.files.get("file")
    if file is None or not file.filename:
        raise Invalid("请选择填写好的 Excel 文件。", "file")
    data = file.read(sheet.MAX_BYTES + 1)
    tried = forms.read_sheet(uow, found, data)
    if tried.wrong or request.form.get("try"):
        new, changed = tried.new, len(tried.rows) - tried.new
        words = say(
            "试导入通过：新增 {new} 行，修改 {changed} 行，{same} 行没有变化。没有写入任何内容。", new=new, changed=changed, same=tried.same
        )
        return _import(uow, kind, None if tried.wrong else words, tried.wrong, tried.total)
    change_id = forms.import_sheet(uow, found, data, request.form.get("reason", ""))
    return redirect_to(f"/md/changes/{change_id}")


@VIEWS.post("/md/wst886/load", Perm.PROPOSE)
def load_wst886(uow: UnitOfWork) -> Any:
    """The hospital's own WS/T 886 list from a sheet: every line or none, each error by its line."""
    file = request.files.get("file")
    if file is None or not file.filename:
        raise Invalid(say("请选择医院自备的 WS/T 886 代码表（Excel）。"), "file")
    _count, wrong = catalog.load_wst886(uow, sheet.read(file.read(sheet.MAX_BYTES + 1)))
    if wrong:
        return page("changes/wst886_errors.html", status=422, wrong=wrong)
    return redirect_to("/md/wst886")


@VIEWS.post("/md/wst886/propose", Perm.PROPOSE)
def propose_wst886(uow: UnitOfWork) -> Any:
    """Propose the ticked codes as one change, to be tested and approved like any other."""
    form, known = request.form, md.catalog(uow)
    ticked = [i for i in form.getlist("item", type=int) if i in known.items]
    rows: list[tuple[int | None, dict[str, Any] | None]] = []
    for item_id in ticked:
        values, code = catalog.present(uow, catalog.KINDS["item"], item_id), form.get(f"code-{item_id}", "").strip().upper()
        if values is not None and code:
            rows.append((item_id, values | {"wst886_code": code}))
    if not rows:
        raise Invalid(say("请先勾选项目并选好代码。"), "item")
    return redirect_to(f"/md/changes/{service.propose(uow, 'item', rows, form.get('reason', '') or 'WS/T 886 代码对照')}")


# --- formulas ------------------------------------------------------------------------------------------------------


@VIEWS.get("/md/formulas", Perm.READ)
def formulas(uow: UnitOfWork) -> Any:
    """All formulas and rules in words, and the editor."""
    known = md.catalog(uow)
    item, kind = request.args.get("item", ""), request.args.get("kind", "calc")
    loaded = editor.load(uow, known, kind if kind in FORMULAS else "calc", item)
    context: dict[str, Any] = {"starting": editor.starting(known), "reflexes": editor.starting_reflexes(known)}
    return page("changes/formulas.html", known=known, e=loaded, words=editor.words(known), **context)


@VIEWS.post("/md/formulas/check", Perm.READ)
def check_formula(uow: UnitOfWork) -> Any:
    """What the editor's text says: errors with their position, inputs with units, the value for the test bench's numbers."""
    return fragment("changes/formulas.html", "check", checked=editor.check(md.catalog(uow), request.form))


@VIEWS.post("/md/formulas/dryrun", Perm.TEST)
def dry_run(uow: UnitOfWork) -> Any:
    """What the editor's formula would change in past reports."""
    kind, target, values = editor.values(uow, md.catalog(uow), request.form)
    wrong = service.check(uow, kind, [(target, values)])
    if wrong:
        raise Invalid(say("{problems}", problems=Listed((message for _, message in wrong), "")), "expression")
    made = trial.try_out(uow, kind, [(target, values)], [values["item"]] if values.get("item") else [])
    return fragment("changes/trial.html", "progress", trial=trial.one(uow, made), going=True)


@VIEWS.post("/md/formulas", Perm.PROPOSE)
def propose_formula(uow: UnitOfWork) -> Any:
    """Propose the editor's formula as a change."""
    kind, target, values = editor.values(uow, md.catalog(uow), request.form)
    form = request.form
    return redirect_to(f"/md/changes/{service.propose(uow, kind, [(target, values)], form.get('reason', ''), form.get('ticket', ''))}")


@VIEWS.get("/md/unmapped.xlsx", Perm.READ)
def unmapped(uow: UnitOfWork) -> Any:
    """未对照清单: HIS codes nobody mapped, items without a WS/T 886 code."""
    known = md.catalog(uow)
    rows = [("HIS 编码", source, code, name, n) for source, code, name, n in watch.unmapped(uow)]
    rows += [("WS/T 886", "", each.code, each.name, "") for each in known.items.values() if each.active and not each.wst886_code]  # type: ignore[misc]
    return _download("unmapped", sheet.write("未对照清单", ("类别", "来源", "编码", "名称", "等待的申请"), rows))
