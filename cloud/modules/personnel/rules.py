"""Rules of authorisation (M21): its states, when it counts, what it covers. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Perm(StrEnum):
    """Permissions of this module."""

    READ = "personnel:read"
    GRANT = "personnel:grant"


class Function(StrEnum):
    """What an authorisation is for."""

    TEST = "test"
    VERIFY = "verify"


FUNCTION_WORDS = {Function.TEST: "检验", Function.VERIFY: "审核"}


class State(StrEnum):
    """Stored states; whether an active one counts today also depends on its dates."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.ACTIVE: frozenset({State.SUSPENDED, State.REVOKED}),
    State.SUSPENDED: frozenset({State.ACTIVE, State.REVOKED}),
    State.REVOKED: frozenset(),
}
WORDS = {State.ACTIVE: "有效", State.SUSPENDED: "暂停", State.REVOKED: "撤销"}


@dataclass(frozen=True, slots=True)
class Grant:
    """One authorisation: a section (None: all), an item group (None: all items of it), first and last day (local, both included)."""

    user_id: int
    function: Function
    section_id: int | None
    items: frozenset[int] | None
    first: date
    until: date
    state: State


def may_move(state: State, to: State) -> bool:
    """Whether the table allows the move."""
    return to in TRANSITIONS[state]


def trimmed(wanted: date, competency_until: date, licence_until: date) -> date:
    """The last day an authorisation may have: never past competency or licence (R1, AC-HR-1)."""
    return min(wanted, competency_until, licence_until)


def counts(grant: Grant, day: date) -> bool:
    """Whether the authorisation is in force on this local day."""
    return grant.state is State.ACTIVE and grant.first <= day <= grant.until


def uncovered(grants: Iterable[Grant], user_id: int, function: Function, section_id: int, items: Collection[int], day: date) -> set[int]:
    """The items of a section that no valid authorisation of this person covers. A person without any covers nothing."""
    left = set(items)
    for grant in grants:
        if grant.user_id != user_id or grant.function is not function or grant.section_id not in (None, section_id):
            continue
        if counts(grant, day):
            left = set() if grant.items is None else left - grant.items
    return left
