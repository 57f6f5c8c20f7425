"""Pages of a new analyzer: recordings, the readings side by side, columns marked, codes mapped, print-out compared, change control."""

from __future__ import annotations

from decimal import Decimal
from itertools import zip_longest
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, request

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import (
    acceptance,
    approval,
    comparing,
    configuration,
    console,
    mapping,
    marking,
    meanings,
    onboarding,
    places,
    queries,
    recordings,
    sandbox,
    sites,
    theirs,
)
from cloud.modules.edge.rules import Perm
from cloud.modules.platform import service as platform
from cloud.web.faults import NotFound
from cloud.web.i18n import gettext as _
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal, web
from common import visible
from common.errors import UserError
from common.instruments.drivers import DRIVERS

VIEWS = Views("edge_onboard", __name__, places.AT)
SAMPLES = 40
"""Results of a reading shown beside another one."""


def _number(name: str) -> int | None:
    value = request.form.get(name, "")
    return int(value) if value.isdecimal() else None


# --- recordings ------------------------------------------------------------------------------------------------------


@VIEWS.get("/edge/onboard", Perm.PROPOSE)
def onboard(uow: UnitOfWork) -> Any:
    """What was recorded, and where to begin."""
    return page(
        "edge/onboard.html", recordings=recordings.recordings(uow), versions=onboarding.versions(uow, limit=20), words=mapping.WORDS,
        analyzers=md.catalog(uow).analyzers, unread=queries.quarantined(uow)[:20], may_raw=principal().may(Perm.RAW),
        links=queries.unassigned(uow),
    )  # fmt: skip


@VIEWS.post("/edge/onboard/upload", Perm.PROPOSE)
def upload(uow: UnitOfWork) -> Any:
    """A recorded file."""
    given = request.files.get("file")
    if given is None or not given.filename:
        raise UserError("invalid", _("请选择录制的文件（jianlian-agent capture 录制，或仪器导出的文件）。"), field="file")
    row = recordings.add_recording(uow, request.form.get("name", "") or given.filename, given.read(), _number("analyzer_id"))
    return redirect_to(f"/edge/onboard/{row.id}")


@VIEWS.post("/edge/onboard/received", Perm.RAW)
def received(uow: UnitOfWork) -> Any:
    """Messages that came already."""
    ids = request.form.getlist("raw", type=int)
    row = recordings.record_received(uow, ids, request.form.get("name", ""), _number("analyzer_id"))
    return redirect_to(f"/edge/onboard/{row.id}")


@VIEWS.get("/edge/onboard/<int:recording_id>", Perm.PROPOSE)
def recording(uow: UnitOfWork, recording_id: int) -> Any:
    """One recording: the readings side by side, the chosen one in full, its text for marking columns."""
    row = recordings.recording_of(uow, recording_id)
    if row is None:
        raise NotFound(_("这份录制"))
    chosen = recordings.read(row)
    marks = marking.marks_of(row.site)
    layout = {**((row.site or {}).get("layout") or {}), **{k: v for k, v in request.args.items() if k in ("telegram", "starts")}}
    return page(
        "edge/recording.html", problem=console.problem, rec=row, chosen=chosen, candidates=sandbox.candidates(row.body, row.encoding),
        codes=[(c, meanings.suggestions(uow, c.code, c.name, c.unit)) for c in sandbox.codes(chosen.said)],
        analyzers=md.catalog(uow).analyzers, drivers=sorted(DRIVERS.values(), key=lambda d: (d.vendor, d.model)),
        encodings=configuration.ENCODINGS, lines=visible.mask_lines(visible.readable(row.body[: queries.SHOWN_BYTES], row.encoding)),
        telegrams=marking.telegrams(row.body, layout, row.encoding), marks=marks, layout=layout,
        roles=marking.ROLE_WORDS, cuts=marking.CUT_WORDS, repeats=marking.REPEAT_WORDS, repeat=marking.repeat_of(row.site), samples=SAMPLES,
    )  # fmt: skip


@VIEWS.post("/edge/onboard/<int:recording_id>/choose", Perm.PROPOSE)
def choose(uow: UnitOfWork, recording_id: int) -> Any:
    """This reading is the right one."""
    f = request.form
    row = recordings.recording_of(uow, recording_id)
    if row is None:
        raise NotFound(_("这份录制"))
    site = row.site
    if "candidate" in f:
        found = sandbox.candidates(row.body, row.encoding)
        at = int(f["candidate"]) if f["candidate"].isdecimal() else -1
        if not 0 <= at < len(found):
            raise UserError("invalid", _("请从列表中选择一种读法。"))
        driver, site = found[at].driver, found[at].site or None
    else:
        driver = f.get("driver") or None
    analyzer = _number("analyzer_id") if "analyzer_id" in f else row.analyzer_id
    recordings.choose_reading(uow, recording_id, driver, f.get("encoding", row.encoding or "") or None, site, analyzer)
    return redirect_to(f"/edge/onboard/{recording_id}")


@VIEWS.post("/edge/onboard/<int:recording_id>/layout", Perm.PROPOSE)
def layout(uow: UnitOfWork, recording_id: int) -> Any:
    """Columns marked on the text."""
    row = recordings.recording_of(uow, recording_id)
    if row is None:
        raise NotFound(_("这份录制"))
    site = {**(row.site or {}), "layout": marking.layout_of(request.form)}
    recordings.choose_reading(uow, recording_id, None, row.encoding, site, row.analyzer_id)
    return redirect_to(f"/edge/onboard/{recording_id}")


@VIEWS.post("/edge/onboard/<int:recording_id>/map", Perm.PROPOSE)
def make(uow: UnitOfWork, recording_id: int) -> Any:
    """A draft mapping of the recording's analyzer, with its codes."""
    row = recordings.recording_of(uow, recording_id)
    analyzer = _number("analyzer_id")
    if row is None or analyzer is None:
        raise UserError("invalid", _("请先选择这份录制属于哪台仪器。"), field="analyzer_id")
    if row.analyzer_id != analyzer:
        recordings.choose_reading(uow, recording_id, row.driver, row.encoding, row.site, analyzer)
    made = onboarding.draft(uow, analyzer, principal().user_id, row)
    return redirect_to(f"/edge/mappings/{made.id}")


# --- versions --------------------------------------------------------------------------------------------------------


@VIEWS.get("/edge/mappings", Perm.READ)
def mappings(uow: UnitOfWork) -> Any:
    """Every analyzer with its mapping in use, and what agents run (applied against wanted)."""
    return page(
        "edge/mappings.html", versions=onboarding.versions(uow), words=mapping.WORDS, analyzers=md.catalog(uow).analyzers,
        applied=queries.applied(uow), counts=onboarding.channel_counts(uow), may_propose=principal().may(Perm.PROPOSE),
    )  # fmt: skip


@VIEWS.post("/edge/mappings", Perm.PROPOSE)
def new_version(uow: UnitOfWork) -> Any:
    """A draft that starts from what is in use."""
    analyzer = _number("analyzer_id")
    if analyzer is None:
        raise UserError("invalid", _("请选择仪器。"), field="analyzer_id")
    return redirect_to(f"/edge/mappings/{onboarding.draft(uow, analyzer, principal().user_id).id}")


@VIEWS.get("/edge/mappings/<int:mapping_id>", Perm.READ)
def version(uow: UnitOfWork, mapping_id: int) -> Any:
    """One version: its rows with suggestions, what it changes, the comparison, the approvals."""
    row = onboarding.version_of(uow, mapping_id)
    if row is None:
        raise NotFound(_("这版对照"))
    who, known, given = principal(), md.catalog(uow), approval.approvals(uow, row.id)
    recs = recordings.recordings(uow, row.analyzer_id)
    rows = [mapping.row_of(r) for r in row.rows]
    seen = {c.code: c for r in recs[:10] for c in sandbox.codes(onboarding.read_as(row, r).said)}
    rows.sort(key=lambda r: r.item_id is not None)  # codes that mean nothing yet stand first
    shown = [(r, seen.get(r.code), meanings.suggestions(uow, r.code, seen[r.code].name if r.code in seen else None, r.unit)) for r in rows]
    return page(
        "edge/mapping.html", m=row, state=mapping.State(row.state), rows=shown, recordings=recs, words=mapping.WORDS, known=known,
        analyzer=known.analyzers.get(row.analyzer_id), items=meanings.items_of(uow),
        changes=mapping.changes(onboarding.base_rows(uow, row), rows), approvals=given,
        checks=acceptance.summary(uow, row), problems=acceptance.in_words(uow, acceptance.open_problems(uow, row), 12),
        trial=acceptance.in_words(uow, acceptance.test_problems(uow, row), 12) if row.state == mapping.State.DRAFT else "",
        site=sites.shown(row.site), seen=theirs.newest(uow, row.id), encodings=configuration.ENCODINGS, needed=mapping.APPROVALS,
        others=onboarding.channel_counts(uow), alike=row.state != mapping.State.DRAFT or onboarding.read_as_in_use(uow, row),
        may_propose=who.may(Perm.PROPOSE),
        may_approve=who.may(Perm.APPROVE) and who.user_id not in {row.author_id, *(a.user_id for a in given)},
        intact=row.accepted_at is None or acceptance.still_signed(uow, row), factor=comparing.factor_between,
    )  # fmt: skip


@VIEWS.post("/edge/mappings/<int:mapping_id>/rows", Perm.PROPOSE)
def save(uow: UnitOfWork, mapping_id: int) -> Any:
    """The rows as edited."""
    f = request.form
    rows = []
    columns = zip_longest(*(f.getlist(name) for name in ("code", "factor", "offset", "item_id", "unit")), fillvalue="")
    for code, factor_text, offset_text, item, unit in columns:
        factor, offset = mapping.number_of(factor_text, Decimal(1)), mapping.number_of(offset_text, Decimal(0))
        if factor is None or offset is None:
            raise UserError("invalid", _("代码 %(code)s 的系数或加数不是数字，请改正后保存。", code=code), field="factor")
        rows.append(mapping.Row(code, int(item) if item.isdecimal() else None, factor, offset, unit.strip()))
    extra = f.get("new_code", "").strip()
    if extra:
        rows.append(mapping.Row(extra, _number("new_item")))
    onboarding.save_rows(uow, mapping_id, _number("version") or 0, rows, f.get("reason", ""), _number("seen") or 0)
    return redirect_to(f"/edge/mappings/{mapping_id}")


@VIEWS.post("/edge/mappings/<int:mapping_id>/copy", Perm.PROPOSE)
def copy(uow: UnitOfWork, mapping_id: int) -> Any:
    """What another analyzer's codes mean, for one that takes its place."""
    source = _number("source_id")
    if source is None:
        raise UserError("invalid", _("请选择仪器。"), field="source_id")
    onboarding.copy(uow, mapping_id, source)
    return redirect_to(f"/edge/mappings/{mapping_id}")


@VIEWS.post("/edge/mappings/<int:mapping_id>/site", Perm.PROPOSE)
def site(uow: UnitOfWork, mapping_id: int) -> Any:
    """What differs at this analyzer from its model."""
    row = onboarding.version_of(uow, mapping_id)
    if row is None:
        raise NotFound(_("这版对照"))
    f = request.form
    onboarding.save_site(uow, mapping_id, _number("version") or 0, f.get("encoding", ""), sites.typed(f, row.site), _number("seen") or 0)
    return redirect_to(f"/edge/mappings/{mapping_id}")


@VIEWS.post("/edge/mappings/<int:mapping_id>/test", Perm.PROPOSE)
def tested(uow: UnitOfWork, mapping_id: int) -> Any:
    """Tried and compared."""
    acceptance.set_tested(uow, mapping_id)
    return redirect_to(f"/edge/mappings/{mapping_id}")


@VIEWS.post("/edge/mappings/<int:mapping_id>/approve", Perm.APPROVE)
def approve(uow: UnitOfWork, mapping_id: int) -> Any:
    """One of two."""
    approval.approve(uow, mapping_id, principal().user_id)
    return redirect_to(f"/edge/mappings/{mapping_id}")


@VIEWS.post("/edge/mappings/<int:mapping_id>/back", Perm.PROPOSE)
def back(uow: UnitOfWork, mapping_id: int) -> Any:
    """Back to draft, or refused."""
    approval.send_back(uow, mapping_id, request.form.get("reason", ""), refuse="refuse" in request.form)
    return redirect_to(f"/edge/mappings/{mapping_id}")


@VIEWS.post("/edge/mappings/<int:mapping_id>/activate", Perm.MAP)
def activate(uow: UnitOfWork, mapping_id: int) -> Any:
    """Into use."""
    approval.activate(uow, mapping_id, ZoneInfo(web().settings.timezone))
    return redirect_to(f"/edge/mappings/{mapping_id}")


@VIEWS.get("/edge/mappings/<int:mapping_id>/replay/<int:recording_id>", Perm.PROPOSE)
def tried(uow: UnitOfWork, mapping_id: int, recording_id: int) -> Any:
    """A recording by what is in use against this version."""
    row, rec = onboarding.version_of(uow, mapping_id), recordings.recording_of(uow, recording_id)
    if row is None or rec is None:
        raise NotFound(_("这版对照"))
    return page(
        "edge/diff.html",
        problem=console.problem,
        m=row,
        title=rec.name,
        done=meanings.replayed(uow, row, rec.body),
        back=f"/edge/mappings/{mapping_id}",
    )


# --- acceptance --------------------------------------------------------------------------------------------------------


@VIEWS.get("/edge/mappings/<int:mapping_id>/compare/<int:recording_id>", Perm.PROPOSE)
def compare(uow: UnitOfWork, mapping_id: int, recording_id: int) -> Any:
    """Every mapped result beside a field for the printed value."""
    row, rec = onboarding.version_of(uow, mapping_id), recordings.recording_of(uow, recording_id)
    if row is None or rec is None:
        raise NotFound(_("这版对照"))
    return page(
        "edge/compare.html", m=row, rec=rec, lines=acceptance.lines(uow, row, rec), levels=comparing.LEVEL_WORDS,
        fresh={r.code for r in acceptance.fresh_rows(uow, row)} if row.state == mapping.State.DRAFT else set(),
    )  # fmt: skip


@VIEWS.post("/edge/mappings/<int:mapping_id>/compare/<int:recording_id>", Perm.PROPOSE)
def type_in(uow: UnitOfWork, mapping_id: int, recording_id: int) -> Any:
    """What the print-out says."""
    f = request.form
    columns = zip(f.getlist("idx"), f.getlist("printed"), f.getlist("unit"), f.getlist("level"), strict=False)
    typed = [acceptance.Typed(int(i), printed, unit, level) for i, printed, unit, level in columns if i.isdecimal()]
    acceptance.type_in(uow, mapping_id, recording_id, typed)
    return redirect_to(f"/edge/mappings/{mapping_id}/compare/{recording_id}")


@VIEWS.get("/edge/acceptance", Perm.READ)
def acceptances(uow: UnitOfWork) -> Any:
    """Joint-debug records of all analyzers (M27)."""
    rows = [(v, acceptance.summary(uow, v)) for v in onboarding.versions(uow)]
    return page("edge/acceptances.html", rows=rows, words=mapping.WORDS, analyzers=md.catalog(uow).analyzers)


@VIEWS.get("/edge/acceptance/<int:mapping_id>", Perm.READ)
def record(uow: UnitOfWork, mapping_id: int) -> Any:
    """One record as it is signed and printed."""
    row = onboarding.version_of(uow, mapping_id)
    if row is None:
        raise NotFound(_("这份验收记录"))
    known = md.catalog(uow)
    return page(
        "edge/acceptance.html", m=row, lines=acceptance.record_lines(uow, row), analyzer=known.analyzers.get(row.analyzer_id),
        problems=acceptance.in_words(uow, acceptance.open_problems(uow, row), 40), levels=comparing.LEVEL_WORDS, words=mapping.WORDS,
        intact=row.accepted_at is None or acceptance.still_signed(uow, row), may_sign=principal().may(Perm.APPROVE),
    )  # fmt: skip


@VIEWS.post("/edge/acceptance/<int:mapping_id>/sign", Perm.APPROVE)
def sign(uow: UnitOfWork, mapping_id: int) -> Response:
    """Signed with the person's PIN (C9; internal signature)."""
    who = principal()
    if platform.open_signing(uow, who, request.form.get("pin", "")) is None:
        raise UserError("invalid", _("签名口令不对，记录没有签名，请重新输入。"), field="pin")
    acceptance.sign(uow, mapping_id, platform.require_signing(uow, who))
    return redirect_to(f"/edge/acceptance/{mapping_id}")
