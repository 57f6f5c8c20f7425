"""Rule sets of a hospital, ready to decide: loaded with one statement, compiled once and kept until set or catalog changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.expression import ExpressionError
from cloud.modules.autoverify.case import Element, Expression, Identity, Pattern, Policy, from_json, to_json
from cloud.modules.autoverify.decision import Ready, prepare
from cloud.modules.autoverify.fingerprint import logic_of, of_section
from cloud.modules.autoverify.models import RuleSet
from cloud.modules.autoverify.rules import State, must_revalidate
from cloud.modules.catalog import queries as md
from common.say import Said, say

D = Decimal
STARTING_PATTERNS = (
    Pattern(
        "CONTAM_EDTA",
        (
            Element("K", True, D("5.5"), D(20)),
            Element("CA", False, D("1.9"), D(15)),
            Element("ALP", False, D(40), D(30)),
            Element("MG", False, D("0.6"), D(20)),
        ),
        ("K", "CA"),
        2,
    ),
    Pattern(
        "CONTAM_DRIP",
        (
            Element("GLU", True, D(15), D(100)),
            Element("NA", False, D(130), D(5)),
            Element("CL", False, D(95), D(5)),
            Element("K", False, D("3.3"), D(15)),
        ),
        ("GLU",),
        3,
    ),
)
STARTING_WEIGHTS = dict.fromkeys(("MCV", "HGB", "PLT", "CREA", "ALB", "TP", "ALP"), D(1))


def starting_policy() -> Policy:
    """What a new set starts from: patterns and mix-up weights; limits come with the items from the catalog. Placeholders [C]."""
    return Policy(patterns=STARTING_PATTERNS, identity=Identity(STARTING_WEIGHTS, {"ABO": D(2)}))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A set that decides now: ``blocked`` says why nothing may leave by it."""

    id: int
    number: int
    section_id: int
    shadow: bool
    blocked: str
    ready: Ready
    logic: tuple[Expression, ...]


_compiled: dict[tuple[Any, ...], Ready] = {}


def ready_of(uow: UnitOfWork, row: RuleSet) -> Ready:
    """A set's policy with the catalog's logic rules, compiled; kept by set version and catalog number. Raises ExpressionError."""
    catalog = md.catalog(uow)
    key = (*uow.place, row.id, row.version, catalog.number)
    if md.is_own(uow):
        # A catalog this transaction changed may be rolled back, and its number given to another: nothing of it is kept.
        return _prepared(row, catalog)
    if key not in _compiled:
        _compiled[key] = _prepared(row, catalog)
    return _compiled[key]


def _prepared(row: RuleSet, catalog: md.Catalog) -> Ready:
    return prepare(as_written(row, catalog), codes(catalog))


def as_written(row: RuleSet, catalog: md.Catalog) -> Policy:
    """A set's policy with the catalog's logic rules, whether it can be read or not."""
    policy = from_json(Policy, row.policy)
    return replace(policy, logic=(*logic_of(catalog, row.section_id), *policy.logic))


def codes(catalog: md.Catalog, retired: bool = False) -> Mapping[str, bool]:
    """Item code → numeric, of the items in use; ``retired``: of those that were, too, for what was decided then."""
    return {i.code: i.result_type == "numeric" for i in catalog.items.values() if i.active or retired}


def deciding(uow: UnitOfWork, sections: Collection[int]) -> dict[int, list[Loaded]]:
    """Section → the sets that decide: the active (or suspended) one, then shadows; one statement."""
    query = select(RuleSet).where(RuleSet.section_id.in_(sections), RuleSet.state.in_(("active", "suspended")) | RuleSet.shadow)
    out: dict[int, list[Loaded]] = {}
    for row in uow.s.execute(query.order_by(RuleSet.shadow, RuleSet.id)).scalars():
        if row.state != State.RETIRED:
            shadow = row.state not in ("active", "suspended")
            try:
                ready, broken = ready_of(uow, row), ""
            except ExpressionError as error:
                # A rule names what is no longer in use: the set holds everything and says why; other sections go on.
                ready, broken = prepare(Policy(), codes(md.catalog(uow))), str(broken_by(error))
            blocked = broken or ("" if shadow else _blocked(uow, row))
            out.setdefault(row.section_id, []).append(
                Loaded(row.id, row.number, row.section_id, shadow, blocked, ready, ready.policy.logic)
            )
    return out


def deciding_now(uow: UnitOfWork) -> None:
    """A batch reads what stops it and releases in one transaction: until it ends nobody says that something is stopped."""
    uow.s.execute(text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:key, 0))"), {"key": f"autoverify:{uow.tenant_id}"})


def nobody_decides(uow: UnitOfWork) -> None:
    """Waits for the batch under way (50 tubes, less than a second): what is said to be stopped from now on is (R4). First of all locks."""
    uow.s.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"autoverify:{uow.tenant_id}"})


def unreadable(uow: UnitOfWork, row: RuleSet) -> Said | None:
    """Why a set cannot be read any more, or None."""
    try:
        ready_of(uow, row)
    except ExpressionError as error:
        return broken_by(error)
    return None


def broken_by(error: ExpressionError) -> Said:
    """Why a set can no longer be read."""
    return say("规则引用了已停用或不存在的项目：{why}", why=error.message)


def _blocked(uow: UnitOfWork, row: RuleSet) -> str:
    if row.state == State.SUSPENDED:
        return f"规则集暂停：{row.reason}"
    return must_revalidate(row.fingerprint, of_section(uow, row.section_id), row.valid_until, uow.now) or ""


def stored_logic(ready: Ready) -> list[Any]:
    """The expressions as they decided, for the snapshot."""
    return [to_json(e) for e in ready.policy.logic]


def again(policy: Mapping[str, Any], logic: list[Any], known: Mapping[str, bool]) -> Ready:
    """The set as it stood when it decided: its policy with the logic rules kept in the decision."""
    made = from_json(Policy, policy)
    return prepare(replace(made, logic=tuple(from_json(Expression, e) for e in logic)), known)
