"""Read-only looks of autoverification: sets, decisions in words, the board's figures, stops, simulations, certificates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import listing
from cloud.modules.autoverify.case import Expression, Failure, from_json
from cloud.modules.autoverify.models import AvCase, Decision, RuleSet, Simulation, Suspension, Validation
from cloud.modules.autoverify.rules import State, percent
from cloud.modules.autoverify.variants import Expected
from cloud.modules.autoverify.words import Said, explain, together
from cloud.modules.autoverify.would import compared as compared
from cloud.modules.autoverify.would import would as would
from cloud.modules.catalog import queries as md

PAGE = 100


@dataclass(frozen=True, slots=True)
class Told:
    """What a rule set said of a tube, in words."""

    id: int
    at: datetime
    outcome: str
    shadow: bool
    number: int
    said: tuple[Said, ...]
    rule_set: int
    section: str


def words(uow: UnitOfWork, failures: Sequence[Failure], messages: Mapping[str, str]) -> tuple[Said, ...]:
    """Failures in words, with the items' names of today."""
    names = {i.code: i.name for i in md.catalog(uow).items.values()}
    return tuple(explain(f, names, messages) for f in failures)


def each_once(uow: UnitOfWork, failures: Sequence[Failure], messages: Mapping[str, str]) -> tuple[Said, ...]:
    """The same, one sentence for all items with the same reason."""
    return together(failures, {i.code: i.name for i in md.catalog(uow).items.values()}, messages)


def reasons(uow: UnitOfWork, specimen_id: int) -> list[Told]:
    """The latest word of each set about a tube, the one that counts first; names as stored with it."""
    query = (
        select(Decision, RuleSet.number, RuleSet.policy)
        .join(RuleSet, (RuleSet.tenant_id == Decision.tenant_id) & (RuleSet.id == Decision.rule_set_id))
        .where(Decision.specimen_id == specimen_id)
        .order_by(Decision.id.desc())
    )
    out: list[Told] = []
    seen: set[int] = set()
    for row, number, policy in uow.s.execute(query):
        if row.rule_set_id in seen:
            continue
        seen.add(row.rule_set_id)
        expressions = [from_json(Expression, e) for e in (*row.logic, *policy.get("context", ()))]
        failures = [Failure(*each) for each in row.reasons]
        said = each_once(uow, failures, {e.code: e.message for e in expressions})
        section = md.catalog(uow).sections[row.section_id].code
        out.append(Told(row.id, row.at, row.outcome, row.shadow, number, said, row.rule_set_id, section))
    return sorted(out, key=lambda t: (t.shadow, -t.id))


_LATEST = text("""
SELECT DISTINCT ON (d.specimen_id) d.specimen_id, d.outcome, d.reasons, d.logic, s.policy FROM av_decision d
JOIN av_rule_set s ON s.tenant_id = d.tenant_id AND s.id = d.rule_set_id AND s.state IN ('active','suspended')
WHERE d.tenant_id = :t AND NOT d.shadow AND d.specimen_id = ANY(:ids) ORDER BY d.specimen_id, d.id DESC
""")
NOT_OF_THE_VALUES = frozenset({14})
"""Nobody on duty to answer for an automatic release: says nothing against a person's own review."""


def held_by(uow: UnitOfWork, specimen_ids: Iterable[int]) -> dict[int, tuple[Said, ...]]:
    """Tube → what the section's rules in use last said against its values, in words; one statement."""
    out: dict[int, tuple[Said, ...]] = {}
    for r in uow.s.execute(_LATEST, {"t": uow.tenant_id, "ids": list(specimen_ids)}):
        failures = [f for each in r.reasons if (f := Failure(*each)).category not in NOT_OF_THE_VALUES]
        if failures:
            expressions = [from_json(Expression, e) for e in (*r.logic, *r.policy.get("context", ()))]
            out[r.specimen_id] = words(uow, failures, {e.code: e.message for e in expressions})
    return out


def waiting(uow: UnitOfWork, specimen_ids: Iterable[int]) -> set[int]:
    """Of these tubes those the rules have still to decide."""
    query = text("SELECT specimen_id FROM av_due WHERE tenant_id = :t AND specimen_id = ANY(:ids)")
    return set(uow.s.execute(query, {"t": uow.tenant_id, "ids": list(specimen_ids)}).scalars())


def sets(uow: UnitOfWork, section_id: int) -> Sequence[RuleSet]:
    """A section's sets, the newest first."""
    return (
        uow.s.execute(select(RuleSet).where(RuleSet.section_id == section_id).order_by(RuleSet.number.desc()).limit(PAGE)).scalars().all()
    )


def suspended(uow: UnitOfWork, sections: Sequence[int]) -> Sequence[RuleSet]:
    """The sets of these sections that somebody suspended: nothing of theirs is released until they are resumed."""
    query = select(RuleSet).where(RuleSet.section_id.in_(sections), RuleSet.state == State.SUSPENDED.value)
    return uow.s.execute(query.order_by(RuleSet.section_id, RuleSet.number)).scalars().all()


def one_set(uow: UnitOfWork, rule_set_id: int) -> RuleSet | None:
    """A set by id."""
    return uow.s.execute(select(RuleSet).where(RuleSet.id == rule_set_id)).scalar_one_or_none()


def releasing(uow: UnitOfWork) -> set[int]:
    """Sections with a set in use: where the end of a hospital's stop lets results pass."""
    return set(uow.s.execute(select(RuleSet.section_id).where(RuleSet.state == State.ACTIVE)).scalars())


def open_stops(uow: UnitOfWork) -> Sequence[Suspension]:
    """Stops in force, the newest first."""
    return uow.s.execute(select(Suspension).where(Suspension.ended_at.is_(None)).order_by(Suspension.id.desc())).scalars().all()


_PAST_STOPS = text("""
SELECT s.target_name, s.reason, s.by_name, s.from_at, s.ended_at, s.end_reason, coalesce(u.name, '') AS ended_by FROM av_suspension s
LEFT JOIN app_user u ON u.tenant_id = s.tenant_id AND u.id = s.ended_by
WHERE s.tenant_id = :t AND s.ended_at IS NOT NULL ORDER BY s.id DESC LIMIT 30
""")


def past_stops(uow: UnitOfWork) -> Sequence[Any]:
    """Stops that ended, with who let results pass again."""
    return uow.s.execute(_PAST_STOPS, {"t": uow.tenant_id}).all()


def simulations(uow: UnitOfWork, rule_set_id: int) -> Sequence[Simulation]:
    """Runs of a set, the newest first."""
    query = select(Simulation).where(Simulation.rule_set_id == rule_set_id).order_by(Simulation.id.desc()).limit(20)
    return uow.s.execute(query).scalars().all()


@dataclass(frozen=True, slots=True)
class Example:
    """A report of a simulation to look at. ``kept``: items that left early and were held later; none: people changed what would be told."""

    no: str
    barcode: str
    kept: tuple[str, ...]


def examples(uow: UnitOfWork, runs: Iterable[Simulation]) -> dict[int, list[Example]]:
    """Run → the reports it kept as examples."""
    ids = {e["report"] for run in runs for e in run.examples}
    query = text("""SELECT r.id, r.no, s.barcode FROM report r JOIN specimen s ON s.tenant_id = r.tenant_id AND s.id = r.specimen_id
                    WHERE r.tenant_id = :t AND r.id = ANY(:ids)""")
    known = {r.id: r for r in uow.s.execute(query, {"t": uow.tenant_id, "ids": list(ids)})} if ids else {}
    return {
        run.id: [
            Example(known[e["report"]].no, known[e["report"]].barcode, tuple(e.get("kept", ())))
            for e in run.examples
            if e["report"] in known
        ]
        for run in runs
    }


def validations(uow: UnitOfWork, sections: Sequence[int]) -> Sequence[Any]:
    """Certificates of these sections, the newest first: (validation, set)."""
    query = select(Validation, RuleSet).join(RuleSet, (RuleSet.tenant_id == Validation.tenant_id) & (RuleSet.id == Validation.rule_set_id))
    return uow.s.execute(query.where(RuleSet.section_id.in_(sections)).order_by(Validation.id.desc()).limit(PAGE)).all()


def validation(uow: UnitOfWork, validation_id: int) -> Any:
    """A certificate with its set, or None."""
    query = select(Validation, RuleSet).join(RuleSet, (RuleSet.tenant_id == Validation.tenant_id) & (RuleSet.id == Validation.rule_set_id))
    return uow.s.execute(query.where(Validation.id == validation_id)).one_or_none()


def set_of_run(uow: UnitOfWork, simulation_id: int) -> int:
    """The set a simulation is of; 0: there is no such run."""
    return uow.s.execute(select(Simulation.rule_set_id).where(Simulation.id == simulation_id)).scalar_one_or_none() or 0


def section_of(uow: UnitOfWork, decision_id: int) -> int | None:
    """The section of a decision."""
    return uow.s.execute(select(Decision.section_id).where(Decision.id == decision_id)).scalar_one_or_none()


def kept_cases(uow: UnitOfWork, section_id: int) -> list[tuple[Any, Expected]]:
    """A section's validation cases with what must come out of them."""
    query = (
        select(AvCase.id, AvCase.name, AvCase.expected)
        .where(AvCase.section_id == section_id, AvCase.retired_at.is_(None))
        .order_by(AvCase.id)
        .limit(500)
    )
    return [(row, Expected.of(row.expected)) for row in uow.s.execute(query)]


# --- board ----------------------------------------------------------------------------------------------------------

_HOURS = text("""
SELECT date_trunc('hour', at) AS hour, count(*) AS n, count(*) FILTER (WHERE outcome = 'released') AS passed
FROM av_decision WHERE tenant_id = :t AND NOT shadow AND at >= :since AND section_id = ANY(:sections) GROUP BY 1 ORDER BY 1
""")
_REASONS = text("""
SELECT (r->>0)::int AS category, r->>1 AS code, count(DISTINCT d.id) AS n
FROM av_decision d, jsonb_array_elements(d.reasons) AS r
WHERE d.tenant_id = :t AND NOT d.shadow AND d.at >= :since AND d.section_id = ANY(:sections) GROUP BY 1, 2 ORDER BY 3 DESC, 2 LIMIT 12
""")
# Of how many: the reports that have the item, not all of them; one asked for twice a day would pass at 99 % whatever became of it.
_ITEMS = text("""
WITH held AS (
  SELECT r->>2 AS item, count(DISTINCT d.id) AS n FROM av_decision d, jsonb_array_elements(d.reasons) AS r
  WHERE d.tenant_id = :t AND NOT d.shadow AND d.at >= :since AND d.section_id = ANY(:sections)
    AND r->>2 <> '' AND (r->>0)::int NOT IN (10, 11)
  GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 15
), seen AS (
  SELECT i.code, count(*) AS n FROM av_decision d
  JOIN test x ON x.tenant_id = d.tenant_id AND x.specimen_id = d.specimen_id AND x.state <> 'cancelled'
  JOIN test_item i ON i.tenant_id = x.tenant_id AND i.id = x.item_id AND i.code IN (SELECT item FROM held)
  WHERE d.tenant_id = :t AND NOT d.shadow AND d.at >= :since AND d.section_id = ANY(:sections) GROUP BY 1
)
SELECT held.item, held.n, greatest(held.n, coalesce(seen.n, 0)) AS seen FROM held LEFT JOIN seen ON seen.code = held.item
ORDER BY held.n DESC, held.item
""")
_TOTALS = text("""
SELECT count(*) AS n, count(*) FILTER (WHERE outcome = 'released') AS passed, count(*) FILTER (WHERE outcome = 'partial') AS partly,
       count(*) FILTER (WHERE audit) AS sampled,
       count(*) FILTER (WHERE audit_agrees IS NOT NULL) AS answered, count(*) FILTER (WHERE audit_agrees = false) AS disagreed,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM d.at - s.received_at) / 60)
         FILTER (WHERE outcome = 'released') AS auto_minutes
FROM av_decision d JOIN specimen s ON s.tenant_id = d.tenant_id AND s.id = d.specimen_id
WHERE d.tenant_id = :t AND NOT d.shadow AND d.at >= :since AND d.section_id = ANY(:sections)
""")
_HUMAN = text("""
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM r.released_at - s.received_at) / 60) AS minutes
FROM report r JOIN specimen s ON s.tenant_id = r.tenant_id AND s.id = r.specimen_id
WHERE r.tenant_id = :t AND NOT r.auto AND r.state <> 'preliminary' AND r.released_at >= :since AND r.section_id = ANY(:sections)
""")
_AUDIT = text("""
SELECT d.id, d.at, d.specimen_id, b.barcode, r.no, d.audit_agrees, d.audit_note FROM av_decision d
JOIN bench_tube b ON b.tenant_id = d.tenant_id AND b.specimen_id = d.specimen_id
LEFT JOIN report r ON r.tenant_id = d.tenant_id AND r.id = d.report_id
WHERE d.tenant_id = :t AND d.audit AND d.section_id = ANY(:sections) AND (d.audited_at IS NULL OR d.audited_at >= :since)
ORDER BY d.audited_at IS NOT NULL, d.id DESC LIMIT 60
""")
_SHADOW = text(f"""
SELECT s.number, s.name, s.section_id, d.rule_set_id, count(*) AS n,
       {", ".join(f"count(*) FILTER (WHERE {sql}) AS {name}" for name, sql in listing.AGAINST_SQL.items())}
FROM av_decision d
JOIN av_rule_set s ON s.tenant_id = d.tenant_id AND s.id = d.rule_set_id
LEFT JOIN report r ON r.tenant_id = d.tenant_id AND r.specimen_id = d.specimen_id
{listing.PART_TOLD}
WHERE d.tenant_id = :t AND d.shadow AND d.at >= :since AND d.section_id = ANY(:sections) GROUP BY 1, 2, 3, 4 ORDER BY 3, 4
""")


@dataclass(frozen=True, slots=True)
class Board:
    """The figures since a moment."""

    totals: Any
    human_minutes: float | None
    hours: Sequence[Any]
    reasons: Sequence[Any]
    items: Sequence[Any]
    audit: Sequence[Any]
    shadow: Sequence[Any]
    unchanged: int
    """Held by rules, and then released by people as it stood."""

    @property
    def false_hold(self) -> Decimal | None:
        """Their share of all that left as it stood, in %; None while nothing has."""
        left = self.unchanged + self.totals.passed
        return percent(self.unchanged, left) if left else None


def board(uow: UnitOfWork, sections: Sequence[int], since: datetime) -> Board:
    """Pass rate by hour, what holds, which items, the audit sample, the shadows."""
    given = {"t": uow.tenant_id, "since": since, "sections": list(sections)}

    def rows(query: Any) -> Sequence[Any]:
        return uow.s.execute(query, given).all()

    totals, human = uow.s.execute(_TOTALS, given).one(), uow.s.execute(_HUMAN, given).scalar()
    unchanged = listing.count(uow, listing.Wanted(sections, since, unchanged=True))
    return Board(totals, human, rows(_HOURS), rows(_REASONS), rows(_ITEMS), rows(_AUDIT), rows(_SHADOW), unchanged)
