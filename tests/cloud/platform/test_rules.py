"""Who may come in and stay: passwords, the shut account, sessions, the second factor, tickets; each at its edge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloud.modules.platform import rules
from cloud.modules.platform.rules import Lockout, Perm, Places, Scope

NOW = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("Lab-2026ab", None),
        ("Lab-2026a", "至少 10 个字符"),
        ("lab-2026ab", None),  # small letters, figures, a sign
        ("LAB-2026AB", None),
        ("Labor2026ab", None),
        ("lab-labor-ab", "至少三种"),
        ("2026-2026-26", "至少三种"),
        ("labor2026ab", "至少三种"),
        ("p@ssw0rd123", "太容易"),
        ("P@ssw0rd123", "太容易"),
        ("Xt1001-2026", "太容易"),  # the own number in it
        ("XT1001-2026", "太容易"),
        ("Xt1002-2026", None),
    ],
)
def test_a_password_is_long_mixed_and_not_to_be_guessed(password: str, words: str | None) -> None:
    said = rules.password_problem(password, "t1001")
    assert said is None if words is None else words in (said or "")


def test_who_has_no_number_may_have_any_good_password() -> None:
    assert rules.password_problem("Lab-2026ab", "") is None


def test_ac_pl_2_the_fifth_wrong_one_shuts_for_thirty_minutes() -> None:
    state = Lockout(0, None)
    for n in range(1, 5):
        state = rules.after_failure(state, NOW)
        assert (state.failures, rules.is_locked(state, NOW)) == (n, False)
    state = rules.after_failure(state, NOW)
    end = NOW + timedelta(minutes=30)
    assert state == Lockout(5, end)
    assert rules.is_locked(state, NOW) and rules.is_locked(state, end - TICK) and not rules.is_locked(state, end)
    # After the half hour one begins again; a wrong one inside it makes it no shorter.
    assert rules.after_failure(state, end) == Lockout(1, None)
    assert rules.after_failure(state, end - TICK) == Lockout(6, end - TICK + timedelta(minutes=30))


@pytest.mark.parametrize(
    ("over", "life"),
    [(rules.session_over, timedelta(hours=12)), (rules.password_expired, timedelta(days=90))],
)
def test_what_is_over_from_its_last_moment_on(over: object, life: timedelta) -> None:
    assert callable(over)
    assert [over(NOW - life + by, NOW) for by in (-TICK, timedelta(0), TICK)] == [True, True, False]


def test_the_second_factor_counts_for_twelve_hours() -> None:
    life = timedelta(hours=12)
    assert [rules.mfa_fresh(each, NOW) for each in (None, NOW, NOW - life, NOW - life - TICK)] == [False, True, True, False]


def test_a_signing_window_is_open_until_its_end() -> None:
    assert [rules.signing_open(each, NOW) for each in (None, NOW - TICK, NOW, NOW + TICK)] == [False, False, False, True]


def test_a_bench_locks_sooner_than_a_desk() -> None:
    assert (rules.idle_limit(True), rules.idle_limit(False)) == (timedelta(minutes=5), timedelta(minutes=15))


@pytest.mark.parametrize(
    ("age", "problem"),
    [(0, None), (60, None), (60.000001, "expired"), (3600, "expired"), (-5, None), (-5.000001, "future"), (-3600, "future")],
)
def test_ac_pl_3_a_ticket_is_a_minute_old_at_most_and_not_of_tomorrow(age: float, problem: str | None) -> None:
    assert rules.ticket_problem(NOW - timedelta(seconds=age), NOW) == problem


@pytest.mark.parametrize(
    ("roles", "conflict"),
    [
        ((), False),
        (("sysadmin",), False),
        (("sysadmin", "leader"), False),
        (("sysadmin", "secadmin"), True),
        (("auditadmin", "secadmin"), True),
    ],
)
def test_nobody_is_two_of_the_three_administrators(roles: tuple[str, ...], conflict: bool) -> None:
    assert rules.admin_conflict(roles) is conflict


def test_what_administers_is_told_apart_from_what_works() -> None:
    assert {Perm.USERS, Perm.ROLES, Perm.SESSIONS, Perm.SSO, Perm.WORKSTATIONS, Perm.AUDIT, Perm.OPERATE} == rules.ADMINISTRATION


@pytest.mark.parametrize(
    ("scope", "own", "campus", "found"),
    [
        (Scope.TENANT, ((), ()), None, ((), ())),
        (Scope.TENANT, (("CHEM",), ()), None, (("CHEM",), ())),
        (Scope.SECTION, ((), ("W1",)), None, None),
        (Scope.SECTION, (("CHEM",), ()), None, (("CHEM",), ())),
        (Scope.OWN, (("CHEM",), ()), None, None),
        (Scope.OWN, ((), ("W1",)), None, ((rules.NOWHERE,), ("W1",))),
        (Scope.OWN, (("CHEM",), ("W1",)), None, (("CHEM",), ("W1",))),
        (Scope.CAMPUS, ((), ()), None, None),
        (Scope.CAMPUS, ((), ()), ((), ()), None),
        (Scope.CAMPUS, ((), ()), (("CHEM", "HEM"), ()), (("CHEM", "HEM"), (rules.NOWHERE,))),
        (Scope.CAMPUS, (("CHEM",), ("W9",)), (("CHEM", "HEM"), ("W1",)), (("CHEM",), (rules.NOWHERE,))),
        (Scope.CAMPUS, ((), ("W1",)), ((), ("W1", "W2")), ((rules.NOWHERE,), ("W1",))),
    ],
)
def test_where_a_role_counts(scope: Scope, own: object, campus: object, found: object) -> None:
    def of(given: object) -> Places | None:
        assert given is None or isinstance(given, tuple)
        return None if given is None else Places(frozenset(given[0]), frozenset(given[1]))

    mine = of(own)
    assert mine is not None and rules.places(scope, mine, of(campus)) == of(found)


def test_of_several_grants_the_widest_counts() -> None:
    here, there, anywhere = Places(frozenset("A"), frozenset("X")), Places(frozenset("B"), frozenset("Y")), Places(frozenset(), frozenset())
    assert rules.together([here, there]) == Places(frozenset("AB"), frozenset("XY"))
    assert rules.together([here, anywhere]) == anywhere
    assert rules.together([Places(frozenset("A"), frozenset()), there]) == Places(frozenset("AB"), frozenset())


@pytest.mark.parametrize(
    ("ip", "remote"),
    [
        ("10.20.0.1", False),
        ("::ffff:10.20.0.1", False),
        ("10.21.0.1", True),
        ("::1", True),
        ("nonsense", True),
        ("", True),
        (" 10.20.9.9 ", False),
    ],
)
def test_who_comes_from_outside(ip: str, remote: bool) -> None:
    assert rules.is_remote(ip, ["10.20.0.0/16"]) is remote and not rules.is_remote(ip, [])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("10.20.0.5/16", "10.20.0.0/16"),
        ("10.20.0.5", "10.20.0.5/32"),
        ("0.0.0.0/0", None),
        ("::/0", None),
        ("10.20.0.0/1", None),
        ("10.20.0.0/7", None),
        ("10.20.0.0/8", "10.0.0.0/8"),
        ("fd00::1/8", "fd00::/8"),
        ("fd00::/7", None),
        ("x", None),
    ],
)
def test_a_network_in_one_spelling(given: str, kept: str | None) -> None:
    assert rules.network(given) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("aa-bb-cc-dd-ee-ff", "AA:BB:CC:DD:EE:FF"),
        ("aabb.ccdd.eeff", "AA:BB:CC:DD:EE:FF"),
        ("", ""),
        (" - ", ""),
        ("aabbccddee", None),
        ("gg" * 6, None),
    ],
)
def test_a_network_card_in_one_spelling(given: str, kept: str | None) -> None:
    assert rules.mac(given) == kept
