"""失控处理: investigate, correct, sign the in-control retest (the gate opens), review patients' results, close by the leader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.platform import alerts
from cloud.modules.platform import service as platform
from cloud.modules.qc import goals, metrics, rules
from cloud.modules.qc.models import QcBypass, QcImpact, QcOoc, QcPlan, QcRun
from cloud.modules.qc.rules import Cause, Decision, Ooc, RunState
from cloud.web.principal import Principal
from common.errors import UserError
from common.say import say, word


def investigate(uow: UnitOfWork, ooc_id: int, version: int) -> None:
    """Somebody has taken it on."""
    ooc = _locked(uow, ooc_id, version)
    _move(uow, ooc, Ooc.INVESTIGATING)


def correct(uow: UnitOfWork, ooc_id: int, version: int, cause_class: str, cause: str, action: str) -> None:
    """Cause and corrective action are known; the retest comes next."""
    ooc = _locked(uow, ooc_id, version)
    if cause_class not in tuple(Cause):
        raise UserError("invalid", "请选择失控原因类别。", field="cause_class")
    if not cause.strip() or not action.strip():
        raise UserError("invalid", "请写明失控原因和采取的纠正措施。", field="action" if cause.strip() else "cause")
    ooc.cause_class, ooc.cause, ooc.action = cause_class, cause.strip()[:1000], action.strip()[:1000]
    ooc.corrected_by, ooc.corrected_at = uow.actor.user_id, uow.now
    _move(uow, ooc, Ooc.CORRECTED)


def newest_run(uow: UnitOfWork, plan_id: int) -> QcRun | None:
    """The newest judged run of a plan."""
    query = select(QcRun).where(QcRun.plan_id == plan_id, QcRun.state != RunState.TRIAL).order_by(QcRun.at.desc(), QcRun.id.desc())
    return uow.s.execute(query.limit(1)).scalar_one_or_none()


def verify(uow: UnitOfWork, ooc_id: int, version: int, who: Principal) -> None:
    """Sign the in-control retest: the gate opens for what is run from the retest on."""
    ooc = _locked(uow, ooc_id, version)
    problem = rules.ooc_problem(Ooc(ooc.state), Ooc.VERIFIED)
    if problem is not None:
        raise UserError("conflict", problem)
    run = newest_run(uow, ooc.plan_id)
    problem = rules.retest_problem(None if run is None else RunState(run.state), None if run is None else run.at, ooc.corrected_at)
    if problem is not None:
        raise UserError("conflict", problem)
    assert run is not None
    window = platform.require_signing(uow, who)
    run.signed_by, run.signed_at, run.ooc_id = who.user_id, uow.now, ooc.id
    ooc.retest_run_id, ooc.retest_at, ooc.verified_by, ooc.verified_at = run.id, run.at, who.user_id, uow.now
    _move(uow, ooc, Ooc.VERIFIED, {"retest": run.id, "window": window})
    plan = uow.s.get_one(QcPlan, (uow.tenant_id, ooc.plan_id))
    alerts.clear(uow, "qc.rejected", f"plan:{plan.id}")
    payload = {"plan_id": plan.id, "item_id": plan.item_id, "analyzer_id": plan.analyzer_id, "ooc_id": ooc.id, "at": run.at.isoformat()}
    uow.emit("qc.reopened", f"qc:{plan.id}", payload)


def close(uow: UnitOfWork, ooc_id: int, version: int, conclusion: str, who: Principal) -> None:
    """The leader signs that cause, action, retest and impact review are sound; look-back restarts at the corrective action."""
    ooc = _locked(uow, ooc_id, version)
    problem = rules.ooc_problem(Ooc(ooc.state), Ooc.CLOSED)
    if problem is not None:
        raise UserError("conflict", problem)
    if not conclusion.strip():
        raise UserError("invalid", "请填写关闭结论。", field="conclusion")
    if who.user_id == ooc.corrected_by:
        raise UserError("conflict", "关闭人不能是填写纠正措施的本人，请由其他组长关闭。")
    found = patients(uow, ooc)
    problem = rules.review_problem(*_review(found))
    if problem is not None:
        raise UserError("conflict", problem)
    window = platform.require_signing(uow, who)
    for one in found:
        if one.exceeds:
            alerts.clear(uow, "qc.recall", f"result:{one.result_id}")
    ooc.conclusion, ooc.closed_by, ooc.closed_at = conclusion.strip()[:1000], who.user_id, uow.now
    _move(uow, ooc, Ooc.CLOSED, {"window": window})


def bypass(uow: UnitOfWork, plan_id: int, reason: str, until: datetime) -> None:
    """The director lets people release behind a closed gate for a while; automatic release stays stopped."""
    plan = uow.s.get(QcPlan, (uow.tenant_id, plan_id))
    if plan is None:
        raise UserError("not_found", "质控计划不存在，请核对后重试。")
    problem = rules.bypass_problem(reason, uow.now, until)
    if problem is not None:
        raise UserError("invalid", problem, field="reason" if not reason.strip() else "until")
    made = QcBypass(
        plan_id=plan_id, from_at=uow.now, until_at=until, reason=reason.strip()[:500], by_id=uow.actor.user_id, by_name=uow.actor.name
    )
    uow.s.add(made)
    uow.audit("qc_plan", plan_id, "bypass", after={"until": until.isoformat()}, reason=made.reason)
    uow.notify("qc", {"plan_id": plan_id})


# --- impact review --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient result of the doubtful time, with what was decided about it. ``state`` is the test's."""

    result_id: int
    test_id: int
    specimen_id: int
    barcode: str
    patient: str
    patient_no: str
    reported_text: str
    unit: str
    value: Decimal | None
    run_at: datetime
    state: str
    current: bool
    report_id: int | None
    report_state: str | None
    decision: str | None
    again: Decimal | None
    exceeds: bool | None
    by_name: str | None

    @property
    def told(self) -> bool:
        """Whether a clinician may have read it."""
        return self.state in ("released", "amended")


# The time of a result is when it was run, else when it came; the window is open at its start (that run was good).
_PATIENTS = text("""
SELECT v.id, v.test_id, t.specimen_id, s.barcode, p.name, p.patient_no, v.reported_text, v.unit, v.value,
       coalesce(v.run_at, v.at) AS run_at, t.state, t.current_id = v.id AS current, r.id, r.state, i.decision, i.again, i.exceeds, i.by_name
FROM result_version v
JOIN test t ON t.tenant_id = v.tenant_id AND t.id = v.test_id
JOIN specimen s ON s.tenant_id = t.tenant_id AND s.id = t.specimen_id
JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
LEFT JOIN report r ON r.tenant_id = s.tenant_id AND r.specimen_id = s.id
LEFT JOIN qc_impact i ON i.tenant_id = v.tenant_id AND i.result_id = v.id AND i.ooc_id = :ooc
WHERE v.tenant_id = :t AND v.analyzer_id = :analyzer AND v.item_id = :item AND v.at >= :since AND t.current_id = v.id
  AND coalesce(v.run_at, v.at) > :since AND coalesce(v.run_at, v.at) < :until
ORDER BY coalesce(v.run_at, v.at) DESC, v.id DESC LIMIT :n
""")
LIMIT = 1000
"""Lines of the page; what is decided or closed looks at all of them."""


def patients(uow: UnitOfWork, ooc: QcOoc, limit: int | None = None) -> list[Patient]:
    """Results run after the last good QC and before the retest, the newest first."""
    plan = uow.s.get_one(QcPlan, (uow.tenant_id, ooc.plan_id))
    params = {
        "t": uow.tenant_id,
        "ooc": ooc.id,
        "analyzer": plan.analyzer_id,
        "item": plan.item_id,
        "since": ooc.suspect_from or ooc.rejected_at,
        "until": ooc.retest_at or uow.now,
        "n": limit,
    }
    return [Patient(*row) for row in uow.s.execute(_PATIENTS, params)]


def _review(found: Sequence[Patient]) -> tuple[int, int, int, list[str]]:
    """Found, examined again, undecided among the untold, and barcodes of told ones beyond ½TEa that still stand."""
    examined = sum(p.again is not None for p in found)
    undecided = sum(not p.told and not p.decision for p in found)
    return len(found), examined, undecided, [p.barcode for p in found if p.exceeds and p.state == "released"]


def decide(uow: UnitOfWork, ooc_id: int, result_ids: list[int], decision: str) -> int:
    """Say of results that they may be used or must be measured again; returns how many."""
    if decision not in tuple(Decision):
        raise UserError("invalid", "请选择“结果可用”或“须复检”。", field="decision")
    ooc = _get(uow, ooc_id)
    known = {p.result_id: p for p in patients(uow, ooc)}
    wanted = [i for i in dict.fromkeys(result_ids) if i in known]
    if not wanted:
        raise UserError("invalid", "请先勾选患者结果。", field="id")
    _still_open(ooc, [known[i] for i in wanted])
    for result_id in wanted:
        _impact(uow, ooc, result_id, decision=decision)
    uow.audit("qc_ooc", ooc_id, "decide", after={"results": wanted, "decision": decision})
    return len(wanted)


def examine(uow: UnitOfWork, ooc_id: int, result_id: int, again: Decimal) -> bool:
    """The value found when a patient's sample was measured again; True when it differs by more than half the allowed error."""
    ooc = _get(uow, ooc_id)
    one = next((p for p in patients(uow, ooc) if p.result_id == result_id), None)
    if one is None or one.value is None:
        raise UserError("not_found", "该患者结果不在影响评估范围内，或不是数值结果。")
    _still_open(ooc, [one])
    plan = uow.s.get_one(QcPlan, (uow.tenant_id, ooc.plan_id))
    item = md.catalog(uow).items[plan.item_id]
    allowed = goals.allowed(plan, item, one.value)
    if allowed is None:
        raise UserError("conflict", say("质控计划和项目资料都没有允许总误差（TEa），无法判断差异，请先填写。"))
    exceeds = metrics.recall_needed(one.value, again, allowed)
    _impact(uow, ooc, result_id, again=again, exceeds=exceeds, decision=Decision.REPEAT.value if exceeds else Decision.KEEP.value)
    before = {"value": one.value, "again": one.again}
    uow.audit("qc_ooc", ooc_id, "examine", before, {"result": result_id, "again": again, "exceeds": exceeds})
    if exceeds and one.told:
        words = "%(code)s %(item)s 复检 %(again)s 与已发布的 %(told)s 相差超过 ½TEa，报告须召回或修改"
        fields = {"code": one.barcode, "item": item.name, "again": again, "told": one.reported_text}
        url = f"/reports/{one.report_id}"
        found = alerts.Alert("qc.recall", f"result:{result_id}", alerts.Level.URGENT, words, url, rules.Perm.READ, fields)
        alerts.raise_alert(uow, replace(found, at=places.of_analyzer(uow, plan.analyzer_id)))
    else:
        alerts.clear(uow, "qc.recall", f"result:{result_id}")
    return exceeds


def _still_open(ooc: QcOoc, asked: Iterable[Patient]) -> None:
    """What was signed with the closing stands; a result that came in only afterwards is still to be decided."""
    if ooc.state == Ooc.CLOSED and any(p.decision for p in asked):
        raise UserError("conflict", say("该失控处理已由组长签名关闭，已作的决定不能再改。"))


def half_tea(plan: QcPlan, known: md.Catalog, one: Patient) -> Decimal | None:
    """By how much a patient's value may differ when it is measured again: half the allowed error, None where that is not known."""
    allowed = None if one.value is None else goals.allowed(plan, known.items[plan.item_id], one.value)
    return None if allowed is None else allowed / 2


def _impact(uow: UnitOfWork, ooc: QcOoc, result_id: int, **values: object) -> None:
    made = {"tenant_id": uow.tenant_id, "ooc_id": ooc.id, "result_id": result_id, "at": uow.now, **values}
    made |= {"by_id": uow.actor.user_id, "by_name": uow.actor.name}
    query = insert(QcImpact).values(**made)
    new = {k: v for k, v in made.items() if k not in ("tenant_id", "ooc_id", "result_id")}
    uow.s.execute(query.on_conflict_do_update(index_elements=["tenant_id", "ooc_id", "result_id"], set_=new))


# --- shared ---------------------------------------------------------------------------------------------------------


_NAMES = text("SELECT id, name FROM app_user WHERE tenant_id = :t AND id = ANY(:ids)")


def names(uow: UnitOfWork, ooc: QcOoc) -> dict[int, str]:
    """Who corrected, signed the retest and closed, by id."""
    ids = [i for i in (ooc.corrected_by, ooc.verified_by, ooc.closed_by) if i is not None]
    return {r.id: r.name for r in uow.s.execute(_NAMES, {"t": uow.tenant_id, "ids": ids})} if ids else {}


def open_count(uow: UnitOfWork) -> int:
    """How many are not closed."""
    return uow.s.execute(select(func.count()).select_from(QcOoc).where(QcOoc.state != Ooc.CLOSED)).scalar_one()


def _get(uow: UnitOfWork, ooc_id: int) -> QcOoc:
    ooc = uow.s.execute(select(QcOoc).where(QcOoc.id == ooc_id).with_for_update()).scalar_one_or_none()
    if ooc is None:
        raise UserError("not_found", "该失控处理不存在，请核对后重试。")
    return ooc


def _locked(uow: UnitOfWork, ooc_id: int, version: int) -> QcOoc:
    ooc = _get(uow, ooc_id)
    if ooc.version != version:
        raise UserError(
            "stale",
            say(
                "您打开之后该失控处理已由他人更新，现为“{state}”。您输入的内容没有丢失，请核对后再保存。",
                state=word(rules.OOC_WORDS[Ooc(ooc.state)]),
            ),
        )
    return ooc


def _move(uow: UnitOfWork, ooc: QcOoc, to: Ooc, detail: dict[str, object] | None = None) -> None:
    before = Ooc(ooc.state)
    problem = rules.ooc_problem(before, to)
    if problem is not None:
        raise UserError("conflict", problem)
    ooc.state = to.value
    uow.s.flush()
    after = {"state": to.value, "cause": ooc.cause, "action": ooc.action, **(detail or {})}
    uow.audit("qc_ooc", ooc.id, to.value, {"state": before.value}, after)
    uow.notify("qc", {"plan_id": ooc.plan_id})
