"""Is this the patient's blood, and only blood? Mix-up score over several analytes and patterns of contamination (category 13). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from decimal import Decimal

from cloud.modules.autoverify import delta
from cloud.modules.autoverify.case import Case, Delta, Element, Failure, Identity, Item, Pattern, Policy


def check(case: Case, policy: Policy) -> list[Failure]:
    """Suspicions about the tube as a whole; they stand before single deltas, for those follow from them."""
    items = {item.code: item for item in case.items if item.present}
    return [*_identity(case, policy, items), *_patterns(case, policy, items)]


def rules_of(item: Item, policy: Policy) -> tuple[Delta, ...]:
    """The delta rules that count for an item: the rule set's own before the catalog's."""
    return policy.deltas.get(item.code, item.deltas)


def score(case: Case, policy: Policy, items: Mapping[str, Item]) -> tuple[Decimal, list[str]]:
    """The mix-up score and the items that made it."""
    identity, total, why = policy.identity, Decimal(0), []
    for code, item in items.items():
        weight = _weight(case, policy, identity, code, item)
        if weight > 0:
            total += weight
            why.append(code)
    return total, why


def _weight(case: Case, policy: Policy, identity: Identity, code: str, item: Item) -> Decimal:
    if code in identity.only and case.sex != identity.only[code]:
        return identity.threshold
    if code in identity.fixed and item.priors and item.text != item.priors[0].text:
        return identity.fixed[code]
    if code in identity.weights:
        near = delta.closeness(item, rules_of(item, policy), item.run_at or case.at)
        if near > 1:
            return identity.weights[code]
        if near >= identity.near:
            return identity.weights[code] / 2
    return Decimal(0)


def may_turn(case: Case, policy: Policy, coming: Collection[Item]) -> bool:
    """Whether items still to come could, together with what is there, make the tube suspect: until then nothing of it leaves (R1)."""
    items = {item.code: item for item in case.items if item.present}
    most = sum((_most(case, policy.identity, item) for item in coming), Decimal(0))
    if most > 0 and score(case, policy, items)[0] + most >= policy.identity.threshold:
        return True
    return any(_may_show(case, policy, pattern, items, {item.code for item in coming}) for pattern in policy.patterns)


def _most(case: Case, identity: Identity, item: Item) -> Decimal:
    """The most an item that is not there yet can add to the score; what has no earlier value has nothing to differ from."""
    if item.code in identity.only and case.sex != identity.only[item.code]:
        return identity.threshold
    weights = (identity.fixed.get(item.code), identity.weights.get(item.code)) if item.priors else ()
    return max((w for w in weights if w is not None), default=Decimal(0))


def _may_show(case: Case, policy: Policy, pattern: Pattern, items: Mapping[str, Item], coming: Collection[str]) -> bool:
    late = {e.item for e in pattern.elements} & set(coming)
    found = {e.item for e in pattern.elements if e.item in items and _sign(case, policy, e, items[e.item])}
    return bool(late) and len(found | late) >= pattern.least and set(pattern.required) <= found | late


def _identity(case: Case, policy: Policy, items: Mapping[str, Item]) -> list[Failure]:
    total, why = score(case, policy, items)
    if total < policy.identity.threshold:
        return []
    return [Failure(13, "ID_SUSPECT", "", f"{total:f}≥{policy.identity.threshold:f} {'+'.join(why)}")]


def _patterns(case: Case, policy: Policy, items: Mapping[str, Item]) -> list[Failure]:
    return [
        Failure(13, pattern.code, "", "+".join(found)) for pattern in policy.patterns if (found := _shows(case, policy, pattern, items))
    ]


def _shows(case: Case, policy: Policy, pattern: Pattern, items: Mapping[str, Item]) -> list[str]:
    found = [e.item for e in pattern.elements if e.item in items and _sign(case, policy, e, items[e.item])]
    if len(found) < pattern.least or not set(pattern.required) <= set(found):
        return []
    return found


def _sign(case: Case, policy: Policy, element: Element, item: Item) -> bool:
    if item.value is None:
        return False
    if element.limit is not None and (item.value > element.limit if element.up else item.value < element.limit):
        return True
    at = item.run_at or case.at
    prior = delta.previous(item, at, int(timedelta(days=policy.pattern_days).total_seconds() // 3600))
    if element.change is None or prior is None or prior.value is None or prior.value <= 0:
        return False
    change = 100 * (item.value - prior.value) / prior.value
    return change > element.change if element.up else -change > element.change
