"""Rules of reports: states without gaps, four eyes, completeness, amendments."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.modules.platform import signing
from cloud.modules.reports import rules
from cloud.modules.reports.rules import Candidate, Look, Needs, State, Verifier

NOW = datetime(2026, 5, 4, 15, 0, tzinfo=UTC)
GOOD = Candidate("张三 126", State.TESTED, 7, "CHEM", 1, frozenset(), (), (), (), "1:1", "1:1")
VERIFIER = Verifier(2, frozenset())
ALLOWED = {
    (State.DRAFT, State.TESTED),
    (State.TESTED, State.TESTED),
    (State.TESTED, State.DRAFT),
    (State.TESTED, State.RELEASED),
    (State.TESTED, State.PRELIMINARY),
    (State.TESTED, State.RECALLED),  # of a report a part of which is told
    (State.PRELIMINARY, State.PRELIMINARY),
    (State.PRELIMINARY, State.TESTED),
    (State.PRELIMINARY, State.RECALLED),
    (State.RECALLED, State.PRELIMINARY),
    (State.RELEASED, State.AMENDED),
    (State.RELEASED, State.RECALLED),
    (State.AMENDED, State.AMENDED),
    (State.AMENDED, State.RECALLED),
    (State.RECALLED, State.AMENDED),
    (State.RECALLED, State.CANCELLED),
}


@pytest.mark.parametrize(("state", "to"), list(product(State, State)))
def test_every_pair_of_states_is_decided(state: State, to: State) -> None:
    assert rules.may_move(state, to) is ((state, to) in ALLOWED)


def test_a_good_report_may_leave() -> None:
    assert rules.release_problem(GOOD, VERIFIER) is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"state": State.DRAFT}, "待初审"),
        ({"state": State.RELEASED}, "已发布"),
        ({"missing": ("钾",)}, "缺少必报项目：钾"),
        ({"held": ("钠",)}, "待处理的结果：钠"),
        ({"unreviewed": ("钾",)}, "初审之后又处理过：钾"),
        ({"blocked": ("钾（生化仪一号 漏液）",)}, "仪器停用期间测定：钾（生化仪一号 漏液）"),
        ({"found": "1:2"}, "重新初审"),
        ({"tester_id": 2}, "同一人"),
        ({"hands": frozenset({2})}, "同一人"),
        ({"section_code": "HEM"}, "专业组"),
        ({"unasked": ("钾",)}, "申请已取消或退费：钾"),
        ({"qc_closed": ("钾（失控）",)}, "质控未放行：钾（失控）"),
        # A part leaves without what follows it, with nothing else that speaks against it.
        *(
            ({"part": True, "missing": ("钠",), "held": ("钠",), "unreviewed": ("钠",), **more}, word)
            for more, word in (
                ({"unasked": ("钾",)}, "申请已取消或退费：钾"),
                ({"qc_closed": ("钾（失控）",)}, "质控未放行：钾（失控）"),
                ({"blocked": ("钾（漏液）",)}, "仪器停用期间测定：钾（漏液）"),
                ({"found": "1:2"}, "重新初审"),
                ({"tester_id": 2}, "同一人"),
            )
        ),
    ],
)
def test_each_fault_stops_it_with_its_own_words(change: dict[str, object], word: str) -> None:
    who = Verifier(2, frozenset({"CHEM"}))
    assert word in str(rules.release_problem(replace(GOOD, **change), who))  # type: ignore[arg-type]


def test_a_part_leaves_while_the_rest_is_missing_held_or_settled_anew() -> None:
    for what in ("missing", "held", "unreviewed"):
        open_ = replace(GOOD, **{what: ("钠",)})  # type: ignore[arg-type]  # the fields are of one kind
        assert rules.release_problem(open_, VERIFIER) is not None and rules.release_problem(replace(open_, part=True), VERIFIER) is None


def test_an_item_told_no_more_is_a_difference_and_a_new_one_is_none() -> None:
    line = {"item_id": 1, "name": "钾", "value": "4.1", "unit": "mmol/L", "interval": "3.5–5.3", "flag": "", "critical": ""}
    assert rules.differing([line], [line]) == [] and rules.differing([], [line]) == []
    assert rules.differing([line], [line | {"value": "4.2"}]) == [(1, "钾", "4.1 mmol/L", "4.2 mmol/L")]
    assert rules.differing([line], []) == [(1, "钾", "4.1 mmol/L", "—")]
    for name in ("value", "unit", "interval", "flag", "critical"):
        assert [d[0] for d in rules.differing([line], [line | {name: "x"}])] == [1], name
    assert rules.differing([line], [line | {"method": "x"}]) == []


def test_a_refused_batch_names_five_and_counts_the_rest() -> None:
    for n in (1, 5, 6):
        said = str(rules.refused([(f"报告{k}", "缺项") for k in range(n)]))
        assert said.count("缺项") == min(n, 5) and (f"共 {n} 份" in said) is (n > 5)


@given(st.sampled_from([s for s in State if s is not State.TESTED]))
def test_only_a_tested_report_leaves(state: State) -> None:
    assert rules.release_problem(replace(GOOD, state=state), VERIFIER) is not None


def test_alone_by_the_roster_counts_for_that_section_only() -> None:
    own = Verifier(1, frozenset())
    assert rules.release_problem(GOOD, own) is not None
    assert rules.release_problem(GOOD, replace(own, alone_in=frozenset({7}))) is None
    assert rules.release_problem(GOOD, replace(own, alone_in=frozenset({8}))) is not None


@pytest.mark.parametrize(
    ("text", "flag", "found"),
    [
        ("阳性", "", True),
        ("弱阳性", "A", True),
        ("++", "", True),
        ("检出", "", True),
        ("待复检", "A", True),
        ("5.20", "H", True),
        ("5.20", "L", False),
        ("阴性", "A", False),
        ("未检出", "", False),
        ("Non-reactive", "", False),
        ("Reactive", "", True),
        ("negative", "A", False),
        ("0.05", "", False),
    ],
)
def test_what_counts_as_a_finding_of_a_notifiable_item(text: str, flag: str, found: bool) -> None:
    assert rules.is_positive(text, flag) is found


def test_an_amendment_needs_a_class_words_and_a_change() -> None:
    def problem(state: State = State.RELEASED, reason: str = "result", why: str = "录错", after: str = "13.2") -> str:
        return str(rules.amend_problem(state, reason, why, {"1": "3.2"}, {"1": after}))

    assert problem() == "None"
    assert "类别" in problem(reason="") and "写明" in problem(why=" ") and "没有变化" in problem(after="3.2")
    assert "不能修改" in problem(state=State.TESTED)


def test_a_batch_takes_unseen_only_what_nothing_speaks_against() -> None:
    assert rules.batch_exceptions(Look(0, 0, 0, False)) == ()
    assert rules.batch_exceptions(Look(2, 1, 3, True)) == ((Needs.CRITICAL, 1), (Needs.ABNORMAL, 2), (Needs.ALARM, 3), (Needs.OWN, 1))
    assert rules.batch_exceptions(Look(0, 0, 0, False, 2)) == ((Needs.EMPTY, 2),)


PLAIN = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=3)


@given(st.dictionaries(st.text(max_size=5), PLAIN | st.dictionaries(st.text(max_size=3), PLAIN, max_size=3), max_size=5))
def test_equal_documents_have_equal_bytes(document: dict[str, object]) -> None:
    turned = dict(reversed(list(document.items())))
    assert signing.canonical(document) == signing.canonical(turned)
    assert signing.content_hash(document | {"x": 1}) != signing.content_hash(document | {"x": 2})


def test_a_signature_is_over_exactly_its_payload() -> None:
    import hashlib

    signer = signing.open_signer("", "secret")
    payload = signing.batch_payload("release", 5, "w", NOW, ["aa", "bb"])
    value, digest = signer.sign(payload), hashlib.sha256(payload).hexdigest()
    assert signing.holds(signer.public, payload, digest, value)
    other = signing.batch_payload("release", 5, "w", NOW, ["bb", "aa"])
    assert not signing.holds(signer.public, other, hashlib.sha256(other).hexdigest(), value)
    assert not signing.holds(signing.open_signer("", "another").public, payload, digest, value)
    assert not signing.holds(signer.public, payload, digest, value[:-4] + "AAAA") and not signing.holds(signer.public, payload, digest, "?")


def test_what_is_told_in_part_may_be_corrected_too() -> None:
    may = {State.PRELIMINARY, State.RELEASED, State.AMENDED, State.RECALLED}
    assert {state for state in State if rules.may_amend(state)} == may


def test_one_changed_item_among_equal_ones_is_a_change_and_so_is_something_beside_the_items() -> None:
    def problem(before: dict[str, str], after: dict[str, str], other: bool = False) -> object:
        return rules.amend_problem(State.RELEASED, "result", "录错", before, after, other)

    assert problem({"1": "3.2", "2": "7"}, {"1": "13.2", "2": "7"}) is None
    assert "没有变化" in str(problem({"1": "3.2"}, {"1": "3.2"})) and "没有变化" in str(problem({}, {}))
    assert problem({"1": "3.2"}, {"1": "3.2"}, other=True) is None and problem({}, {}, other=True) is None


def test_the_law_s_hours() -> None:
    assert dict(rules.NOTIFY_WITHIN) == {"A": timedelta(hours=2), "B": timedelta(hours=24)}
    assert timedelta(hours=24) == rules.CHECK_WITHIN


def test_a_small_trend_is_drawn_between_its_edges() -> None:
    def drawn(low: str | None, high: str | None) -> rules.Spark:
        ends = (None if each is None else Decimal(each) for each in (low, high))
        made = rules.spark([Decimal(1), Decimal(2), Decimal(3)], *ends)
        assert made is not None
        return made

    # Three points of the height stay free above and below.
    assert drawn(None, None) == rules.Spark(((4.0, 17.0), (36.0, 10.0), (68.0, 3.0)), None)
    assert drawn("1", "3").band == (3.0, 14.0) and drawn("1", "2").band == (10.0, 7.0)
    # Open to one side the band goes to the edge.
    assert drawn("2", None).band == (0.0, 10.0) and drawn(None, "2").band == (10.0, 10.0)
    wide = drawn("-1", "5")
    assert [y for _, y in wide.points] == [12.3, 10.0, 7.7] and wide.band == (3.0, 14.0)
    flat = rules.spark([Decimal(5)] * 2, None, None)
    assert flat is not None and [y for _, y in flat.points] == [17.0, 17.0]


def test_a_small_trend_keeps_order_and_band() -> None:
    drawn = rules.spark([Decimal(4), Decimal(6), Decimal("5.0")], Decimal("3.5"), Decimal("5.3"))
    assert drawn is not None and [x for x, _ in drawn.points] == [4.0, 36.0, 68.0]
    assert drawn.points[1][1] < drawn.points[2][1] < drawn.points[0][1]  # higher values stand higher
    assert drawn.band is not None and drawn.band[1] > 0
    assert rules.spark([Decimal(4)], None, None) is None
    flat = rules.spark([Decimal(0), Decimal(0)], None, None)
    assert flat is not None and flat.band is None
