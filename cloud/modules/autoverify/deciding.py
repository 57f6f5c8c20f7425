"""From results on the bench to a decision: due tubes in batches, decided, stored, and what is cleared released, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import insert, text

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import facts, sets
from cloud.modules.autoverify.actions import acted
from cloud.modules.autoverify.case import Action, Case, Failure, Policy, to_json
from cloud.modules.autoverify.decision import Verdict, decide
from cloud.modules.autoverify.models import Decision
from cloud.modules.autoverify.rules import Perm, State
from cloud.modules.autoverify.sets import Loaded
from cloud.modules.autoverify.validation import locked, move
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.bench.queries import Detail
from cloud.modules.catalog import places
from cloud.modules.critical import queries as critical
from cloud.modules.platform import alerts
from cloud.modules.platform.alerts import Level
from cloud.modules.platform.signing import Desk
from cloud.modules.reports import service as reports

log = structlog.get_logger("autoverify")
BATCH = 50
SOON = timedelta(seconds=1)
"""When a tube is looked at again whose values are still judged for a patient who has been corrected since."""
READY, HELD, PARTIAL = "ready", "held", "partial"
OPEN = frozenset({"expected", "received", "held", "no_result", "cancelled"})
TOLD = frozenset({"released", "amended"})

# Only where a set decides, and only whole tubes; where a set lets a part leave before the rest, also what has been quiet for a while.
_DUE = text("""
INSERT INTO av_due (tenant_id, specimen_id, at)
SELECT b.tenant_id, b.specimen_id, :now + CASE WHEN b.state = 'partial' THEN s.wait ELSE interval '0' END
FROM bench_tube b CROSS JOIN LATERAL (
  SELECT count(*) AS n, min(coalesce((r.policy->>'part_after_min')::int, :wait)) FILTER (WHERE r.policy->>'partial' = 'true')
                        * interval '1 minute' AS wait
  FROM av_rule_set r WHERE r.tenant_id = b.tenant_id AND r.section_id = b.section_id
    AND (r.state IN ('active','suspended') OR r.shadow) AND r.state <> 'retired') s
WHERE b.tenant_id = :t AND b.specimen_id = ANY(:ids) AND s.n > 0
  AND (b.state IN ('ready','held') OR (b.state = 'partial' AND s.wait IS NOT NULL))
ON CONFLICT (tenant_id, specimen_id) DO UPDATE SET at = EXCLUDED.at RETURNING id
""")
_TAKE = text("""
DELETE FROM av_due WHERE tenant_id = :t AND id IN (
  SELECT id FROM av_due WHERE tenant_id = :t AND at <= :now ORDER BY id LIMIT :n FOR UPDATE SKIP LOCKED) RETURNING specimen_id
""")
# What waited for a person (category 12) is decided again once nothing waits, though no value changed.
_SAME = text("""
SELECT DISTINCT ON (specimen_id, rule_set_id) specimen_id, rule_set_id, basis, outcome,
       EXISTS (SELECT 1 FROM jsonb_array_elements(reasons) AS r WHERE (r->>0)::int = 12) AS waited
FROM av_decision
WHERE tenant_id = :t AND specimen_id = ANY(:ids) ORDER BY specimen_id, rule_set_id, id DESC
""")


# A part that waits for quiet comes again then; what comes sooner counts.
_LATER = text("""
INSERT INTO av_due (tenant_id, specimen_id, at) VALUES (:t, :i, :at)
ON CONFLICT (tenant_id, specimen_id) DO UPDATE SET at = least(av_due.at, EXCLUDED.at)
""")


def on_results(uow: UnitOfWork, payload: dict[str, Any]) -> None:
    """Event ``result.received``: a whole tube waits for its decision."""
    uow.gather(_wait, int(payload["specimen_id"]))


def _wait(uow: UnitOfWork, specimen_ids: list[int]) -> None:
    given = {"t": uow.tenant_id, "ids": sorted(specimen_ids), "now": uow.now, "wait": Policy().part_after_min}
    if uow.s.execute(_DUE, given).first() is not None:
        uow.notify("av", {})


def decide_due(uow: UnitOfWork, desk: Desk, limit: int = BATCH) -> int:
    """Take what is due and decide it; the number of tubes taken."""
    ids = sorted(uow.s.execute(_TAKE, {"t": uow.tenant_id, "n": limit, "now": uow.now}).scalars())
    if ids:
        decide_tubes(uow, ids, desk)
    return len(ids)


def due(uow: UnitOfWork, limit: int = BATCH) -> list[int]:
    """The tubes a batch would take."""
    query = text("SELECT specimen_id FROM av_due WHERE tenant_id = :t AND at <= :now ORDER BY id LIMIT :n")
    return list(uow.s.execute(query, {"t": uow.tenant_id, "n": limit, "now": uow.now}).scalars())


def decide_one(uow: UnitOfWork, desk: Desk, specimen_id: int) -> None:
    """Take one tube that is due and decide it by itself."""
    _drop(uow, specimen_id)
    decide_tubes(uow, [specimen_id], desk)


def give_up(uow: UnitOfWork, specimen_id: int, error: Exception) -> None:
    """A tube whose facts cannot even be read stays with people, and somebody is told; the others are decided."""
    _drop(uow, specimen_id)
    message = "自动审核无法判断标本 %(barcode)s（程序出错：%(error)s）：该标本由人工审核，请通知信息管理组。"
    given = {"barcode": bench_queries.barcodes(uow, [specimen_id]).get(specimen_id, ""), "error": type(error).__name__}
    found = alerts.Alert("autoverify.engine", f"specimen:{specimen_id}", Level.URGENT, message, "/av/board", Perm.READ, given)
    alerts.raise_alert(uow, replace(found, at=places.code(uow, bench_queries.section_of_tube(uow, specimen_id))))


def _drop(uow: UnitOfWork, specimen_id: int) -> None:
    uow.s.execute(text("DELETE FROM av_due WHERE tenant_id = :t AND specimen_id = :i"), {"t": uow.tenant_id, "i": specimen_id})


def decide_tubes(uow: UnitOfWork, specimen_ids: Sequence[int], desk: Desk) -> dict[int, Verdict]:
    """Decide whole tubes nobody has reviewed yet; specimen id → the verdict of the set that counts. Shadows are stored beside it."""
    work = bench.lock_reported(uow, specimen_ids)
    parts = reports.open_parts(uow, [i for i, tests in work.by_tube.items() if any(t.state in TOLD for t in tests)])
    whole = [i for i in sorted(work.tubes) if work.sums(i).state in (READY, HELD, PARTIAL) and _untouched(work, i, i in parts)]
    later: dict[int, datetime] = dict.fromkeys(bench.awaited(uow, whole), uow.now + SOON) if whole else {}
    found = {i: d for i, d in reports.details(uow, work, whole).items() if not d.unasked and i not in later}
    if found:
        sets.deciding_now(uow)
    by_section = sets.deciding(uow, {d.tube.section_id for d in found.values()})
    cases = facts.cases(uow, {i: d for i, d in found.items() if d.tube.section_id in by_section})
    for i in critical.unchecked(uow, list(cases)):
        # A critical value somebody must look at first, even when another value stands in its place by now (M10 R2).
        if not any(item.critical for item in cases[i].items):
            cases[i] = replace(cases[i], stops=(*cases[i].stops, "有危急值尚未复核"))
    known = {(r.specimen_id, r.rule_set_id): r for r in uow.s.execute(_SAME, {"t": uow.tenant_id, "ids": list(cases)})}
    rows: list[dict[str, Any]] = []
    cleared: list[tuple[Loaded, Case]] = []
    ahead: dict[int, frozenset[int]] = {}
    verdicts: dict[int, Verdict] = {}
    for i, case in cases.items():
        basis = _basis(found[i])
        for one in by_section[found[i].tube.section_id]:
            before = known.get((i, one.id))
            said = before is not None and before.basis == basis and not (before.waited and not _waits(case))
            measuring = work.sums(i).state == PARTIAL
            early = one.ready.policy.partial and (measuring or not case.complete)
            if before is not None and said and not (early and before.outcome == HELD):
                continue
            verdict = judge(uow, case, one)
            part = _ahead(work, found[i], verdict)
            if early and part and (at := _quiet(found[i], one)) > uow.now:
                later[i], part = max(at, later.get(i, at)), {}
            if not part and (said or measuring):
                continue  # nothing is decided of a tube that is still being measured until something of it may leave
            rows.append(_row(uow, case, one, verdict, basis, part))
            if not one.shadow:
                verdicts[i] = verdict
                if all(f.code != "ENGINE" for f in verdict.failures):
                    found[i] = _act(work, found[i], one, case)
                if verdict.released or part:
                    cleared.append((one, case))
                    ahead |= {} if verdict.released else {i: frozenset(part)}
    broken = _suspend_broken(uow, verdicts, rows)
    told = _release(uow, work, [pair for pair in cleared if pair[0].id not in broken], ahead, found, desk)
    for row in rows:
        row["report_id"] = told.get(row["specimen_id"]) if not row["shadow"] else None
        if row["report_id"] is None and not row["shadow"]:
            row["outcome"], row["part"] = HELD, []
    for i, at in later.items():
        uow.s.execute(_LATER, {"t": uow.tenant_id, "i": i, "at": at})
    if rows:
        uow.s.execute(insert(Decision), rows)
    for i in verdicts:
        uow.notify("bench", {"section_id": found[i].tube.section_id, "specimen_id": i})
    return verdicts


def _suspend_broken(uow: UnitOfWork, verdicts: Mapping[int, Verdict], rows: list[dict[str, Any]]) -> set[int]:
    """A set whose rules failed on one report is not trusted with the next: everything goes to people until somebody has looked (Alerts)."""
    failed = {i: f.figures for i, verdict in verdicts.items() for f in verdict.failures if f.code == "ENGINE"}
    broken = {row["rule_set_id"] for row in rows if row["specimen_id"] in failed and not row["shadow"]}
    for one in sorted(broken):
        rule_set = locked(uow, one)
        if State(rule_set.state) is State.ACTIVE:
            rule_set.reason = "程序出错，由信息管理组查明后恢复"
            move(uow, rule_set, State.SUSPENDED, rule_set.reason)
    for row in rows:
        if row["rule_set_id"] in broken and row["outcome"] != HELD:
            row["outcome"], row["part"], row["reasons"] = HELD, [], [[0, "ENGINE", "", min(failed.values())]]
    return broken


def judge(uow: UnitOfWork, case: Case, one: Loaded) -> Verdict:
    """The verdict of one set; a set that must not release holds with its reason, an engine error holds everything (alerted)."""
    try:
        verdict = decide(case, one.ready)
    except Exception as error:
        log.error("engine", rule_set=one.id, specimen=case.specimen_id, error=f"{type(error).__name__}: {error}"[:300])
        alerts.raise_alert(uow, replace(_engine_alert(one, error), at=places.code(uow, one.section_id)))
        return Verdict((Failure(0, "ENGINE", "", type(error).__name__),))
    if one.blocked:
        return Verdict((Failure(0, "REVALIDATE", "", one.blocked), *verdict.failures))
    return verdict


def _engine_alert(one: Loaded, error: Exception) -> alerts.Alert:
    message = "自动审核程序出错（规则集 %(number)s，%(error)s）：规则集已暂停，结果全部转人工，请通知信息管理组。"
    given = {"number": one.number, "error": type(error).__name__}
    return alerts.Alert("autoverify.engine", f"rule_set:{one.id}", Level.URGENT, message, "/av/board", Perm.READ, given)


def _waits(case: Case) -> bool:
    return any(item.pending or item.holds for item in case.items)


def _act(work: bench.Work, detail: Detail, one: Loaded, case: Case) -> Detail:
    """What the rules that are true ask for besides holding: their words beside the values, their items measured once more."""
    specimen_id = detail.tube.specimen_id
    told = [] if one.blocked else acted(case, one.ready)
    for each in told:
        if each.action is Action.RERUN:
            bench.rerun_by_rule(work, specimen_id, f"av:{each.code}", each.items, each.text)
        elif each.action is Action.REFLEX:
            bench.reflex_by_rule(work, specimen_id, f"av:{each.code}", each.items, each.add, each.text)
    said = [(f"av:{each.code}", each.items[0], each.text) for each in told if each.action is Action.COMMENT and each.items]
    if not bench.say_beside(work, specimen_id, said):
        return detail
    notes = {t.id: t.notes for t in work.by_tube[specimen_id]}
    return replace(detail, tests=[replace(t, notes=bench_queries.notes_from(notes[t.id])) for t in detail.tests])


def _untouched(work: bench.Work, specimen_id: int, part_told: bool) -> bool:
    """Nobody has reviewed anything of the tube; what a preliminary report told stands."""
    states = {t.state for t in work.by_tube.get(specimen_id, ())}
    return states <= OPEN or (part_told and states <= OPEN | TOLD)


def _ahead(work: bench.Work, detail: Detail, verdict: Verdict) -> dict[int, int]:
    """The tests that leave before the rest with the versions they leave with: cleared, there, settled, and not told yet."""
    if verdict.released or not verdict.cleared:
        return {}
    states = {t.id: t.state for t in work.by_tube[detail.tube.specimen_id]}
    there = [t for t in detail.tests if t.item.code in verdict.cleared and states[t.id] == "received" and not t.waits]
    return {t.id: t.current.id for t in there if t.current is not None}


def _quiet(detail: Detail, one: Loaded) -> datetime:
    """When the tube's results have stood long enough for a part to leave before those that are still to come."""
    newest = max(t.current.at for t in detail.tests if t.current is not None)
    return newest + timedelta(minutes=one.ready.policy.part_after_min)


def _basis(detail: Detail) -> str:
    return bench_queries.basis((t.id, t.current.id if t.current is not None else None) for t in detail.tests)


def _row(uow: UnitOfWork, case: Case, one: Loaded, verdict: Verdict, basis: str, part: Mapping[int, int]) -> dict[str, Any]:
    return {
        "tenant_id": uow.tenant_id,
        "specimen_id": case.specimen_id,
        "section_id": one.section_id,
        "rule_set_id": one.id,
        "at": uow.now,
        "basis": basis,
        "outcome": "released" if verdict.released else "partial" if part else HELD,
        "part": [[test, version] for test, version in sorted(part.items())],
        "shadow": one.shadow,
        "reasons": [[f.category, f.code, f.item, f.figures] for f in verdict.failures],
        "snapshot": to_json(case),
        "logic": sets.stored_logic(one.ready),
    }


def _release(
    uow: UnitOfWork,
    work: bench.Work,
    cleared: Sequence[tuple[Loaded, Case]],
    ahead: Mapping[int, frozenset[int]],
    found: Mapping[int, Detail],
    desk: Desk,
) -> dict[int, int]:
    wanted = []
    for one, case in cleared:
        if case.authoriser is not None and case.operator is not None:
            operator, authoriser = (case.operator.user_id, case.operator.name), (case.authoriser.user_id, case.authoriser.name)
            wanted.append(reports.Cleared(case.specimen_id, operator, authoriser, one.number, ahead.get(case.specimen_id)))
    return reports.release_auto(uow, work, wanted, found, desk) if wanted else {}
