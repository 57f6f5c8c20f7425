"""The fourteen categories (M08, WS/T 616): each looks at the whole report and lists every reason to hold. Absent data holds. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from cloud.modules.autoverify import delta, mixup
from cloud.modules.autoverify.case import Case, Failure, Item, Policy

SPECIMEN_STATES = frozenset({"received", "on_analyzer", "tested"})
SEXES = frozenset({"M", "F"})


def reach(case: Case, policy: Policy) -> Iterator[Failure]:
    """What the set was not made and validated for stays with people: another department (11), item (7) or analyzer (3)."""
    wanted = policy.reach
    if wanted.depts and case.dept not in wanted.depts:
        yield Failure(11, "SCOPE_DEPT", "", case.dept)
    for item in _present(case):
        if wanted.items and item.code not in wanted.items:
            yield Failure(7, "SCOPE_ITEM", item.code)
        if wanted.analyzers and item.source == "analyzer" and item.analyzer not in wanted.analyzers:
            yield Failure(3, "SCOPE_ANALYZER", item.code, item.analyzer)


def complete(case: Case, _policy: Policy) -> Iterator[Failure]:
    """1 Order and demographics complete; an interval for every item."""
    if not case.ordered:
        yield Failure(1, "ORDER")
    if case.age_years is None:
        yield Failure(1, "DEMOG", "", "age")
    if case.sex not in SEXES:
        yield Failure(1, "DEMOG", "", "sex")
    if not case.patient_no or not case.patient_name:
        yield Failure(1, "DEMOG", "", "patient")
    if not any(item.present for item in case.items):
        yield Failure(1, "NO_RESULT")
    for item in case.items:
        if item.mandatory and not item.present:
            yield Failure(1, "MISSING", item.code)
        if item.present and not item.interval:
            yield Failure(1, "NO_RI", item.code)


def specimen(case: Case, policy: Policy) -> Iterator[Failure]:
    """2 Specimen valid: state, caveat, clot, volume, HIL, collection → test within stability."""
    if case.specimen_state not in SPECIMEN_STATES:
        yield Failure(2, "SPECIMEN", "", case.specimen_state)
    if case.caveat:
        yield Failure(2, "CAVEAT")
    if case.fed:
        yield Failure(2, "FED")
    for issue in case.specimen_issues:
        yield Failure(2, "SPECIMEN", "", issue)
    if case.collected_at is None:
        yield Failure(2, "NO_TIME", "", "collected")
    for item in _present(case):
        yield from _hil(case, item)
        yield from _stability(case, item, policy)


def _hil(case: Case, item: Item) -> Iterator[Failure]:
    for limit in item.hil:
        index = case.indices.get(limit.index)
        if index is None:
            yield Failure(2, "HIL_NONE", item.code, limit.index)
        elif index >= limit.above:  # M07 R3: the threshold itself interferes
            yield Failure(2, "HIL", item.code, f"{limit.index} {index:f}≥{limit.above:f}")


def _stability(case: Case, item: Item, policy: Policy) -> Iterator[Failure]:
    hours = item.stability_h if item.stability_h is not None else policy.stability_h
    if item.run_at is None:
        yield Failure(2, "NO_TIME", item.code, "run")
    # An analyzer says whole seconds: what it measured within the second of the collection was not measured before it.
    elif case.collected_at is not None and item.run_at < case.collected_at.replace(microsecond=0):
        yield Failure(2, "TIME_ORDER", item.code)
    elif hours is None:
        yield Failure(2, "STABILITY_NONE", item.code)
    elif case.collected_at is not None and item.run_at - case.collected_at > timedelta(hours=hours):
        yield Failure(2, "STABILITY", item.code, f">{hours}h")


def analyzer(case: Case, policy: Policy) -> Iterator[Failure]:
    """3 Analyzer state and flags."""
    for fault in case.faults:
        yield Failure(3, "FAULT", "", fault)
    for item in _present(case):
        for alarm in item.alarms:
            yield Failure(3, "FLAG", item.code, alarm)
        if item.source == "manual" and not policy.manual:
            yield Failure(3, "MANUAL", item.code)
        if item.source == "analyzer" and not item.analyzer:
            yield Failure(3, "NO_ANALYZER", item.code)
        if item.run_at is not None and item.run_at > case.at + timedelta(minutes=5):
            yield Failure(3, "FUTURE_TIME", item.code)


def validity(case: Case, _policy: Policy) -> Iterator[Failure]:
    """4 Calibration in force, reagent lot accepted and not expired on board."""
    for item in _measured(case):
        if item.calibration != "ok":
            yield Failure(4, f"CAL_{item.calibration.upper()}", item.code)
        if item.reagent != "ok":
            yield Failure(4, f"REAGENT_{item.reagent.upper()}", item.code, item.lot)


def quality(case: Case, _policy: Policy) -> Iterator[Failure]:
    """5 IQC in control for item × analyzer at run time, and the patients' moving average."""
    for item in _measured(case):
        if item.qc != "ok":
            yield Failure(5, "QC", item.code, item.qc)
        if item.moving == "out":
            yield Failure(5, "MA", item.code)


def range_settled(case: Case, _policy: Policy) -> Iterator[Failure]:
    """6 Inside the measuring range, or diluted into the reportable one; ``<low`` only at the undiluted range's own end. What was measured
    of a diluted tube must itself have been inside the range: a value times twenty may look fine and have been no measurement."""
    for item in _measured(case):
        if not item.numeric or item.value is None:
            continue
        high, low = item.amr_high, item.amr_low
        if item.dilution > 1:
            low = None if low is None else low * item.dilution
            high = item.crr_high if high is None or item.crr_high is None else min(item.crr_high, high * item.dilution)
        if low is None or high is None:
            yield Failure(6, "AMR_NONE", item.code)
        elif item.comparator in (">", "≥"):
            yield Failure(6, "DILUTE", item.code, item.text)
        elif item.value < low or (item.comparator and (item.value != low or item.dilution > 1)):
            yield Failure(6, "AMR", item.code, f"{item.comparator}{item.value:f}<{low:f}" if item.value < low else item.text)
        elif item.value > high:
            yield Failure(6, "AMR", item.code, f"{item.value:f}>{high:f}")


def limits(case: Case, policy: Policy) -> Iterator[Failure]:
    """7 Inside the range of automatic release, never beyond critical; on the unrounded value."""
    for item in _present(case):
        if item.numeric and item.value is None:
            yield Failure(7, "NOT_NUMERIC", item.code, item.text)
        elif item.flag == "?":
            yield Failure(7, "UNSURE", item.code, item.text)
        elif not item.numeric and item.flag:
            yield Failure(7, "AV_TEXT", item.code, item.text)
        elif item.numeric:
            yield from _inside(item, policy)


def _inside(item: Item, policy: Policy) -> Iterator[Failure]:
    found = policy.ranges.get(item.code, item.range)
    if found is None or (found.low is None and found.high is None):
        yield Failure(7, "NO_RANGE", item.code)
        return
    low = max((each for each in (found.low, item.critical_low) if each is not None), default=None)
    high = min((each for each in (found.high, item.critical_high) if each is not None), default=None)
    value = item.value
    if value is None:
        return
    shown = f"{item.comparator}{value:f}"
    if low is not None and (value < low or (item.comparator in ("<", "≤") and low > 0)):
        yield Failure(7, "AV_RANGE", item.code, f"{shown}<{low:f}")
    elif high is not None and (value > high or item.comparator in (">", "≥")):
        yield Failure(7, "AV_RANGE", item.code, f"{shown}>{high:f}")


def critical(case: Case, _policy: Policy) -> Iterator[Failure]:
    """8 A critical value is never released by itself; judged again on what is printed, whatever was marked before."""
    for item in _present(case):
        if item.critical:
            yield Failure(8, "CRITICAL_MAYBE" if item.critical == "maybe" else "CRITICAL", item.code, item.text)
        elif item.reported is not None and _beyond(item, item.reported):
            yield Failure(8, "CRITICAL", item.code, item.text)


def _beyond(item: Item, value: Decimal) -> bool:
    low, high = item.critical_low, item.critical_high
    return (low is not None and value < low) or (high is not None and value > high)


def changes(case: Case, policy: Policy) -> Iterator[Failure]:
    """9 Delta against the latest released value."""
    for item in _present(case):
        yield from delta.check(item, mixup.rules_of(item, policy), item.run_at or case.at)


def pending(case: Case, _policy: Policy) -> Iterator[Failure]:
    """12 Nothing waits: no rerun, no reflex, no hold of the bench."""
    for item in case.items:
        for each in item.pending:
            yield Failure(12, "PENDING", item.code, each)
        for each in item.holds:
            yield Failure(12, "HELD", item.code, each)


def identity(case: Case, policy: Policy) -> Iterator[Failure]:
    """13 Nothing speaks for another patient's blood or for something in the tube."""
    yield from mixup.check(case, policy)


def authorised(case: Case, _policy: Policy) -> Iterator[Failure]:
    """14 In this shift an operator and another, authorised person answer for the section."""
    if case.authoriser is None:
        yield Failure(14, "AUTH_NONE")
    elif not case.authoriser.covers:
        yield Failure(14, "AUTH", "", case.authoriser.name)
    if case.operator is None:
        yield Failure(14, "OPERATOR_NONE")
    elif not case.operator.covers:
        yield Failure(14, "OPERATOR", "", case.operator.name)


def _present(case: Case) -> Iterator[Item]:
    return (item for item in case.items if item.present)


def _measured(case: Case) -> Iterator[Item]:
    """What an analyzer measured: calculated values stand on their inputs, typed ones on the person."""
    return (item for item in case.items if item.present and item.source == "analyzer")
