"""M07's rules of measuring: range and dilution, corrections, indices, reruns, reflex, contradictions; every AC-B example."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.modules.bench import measure
from cloud.modules.bench.measure import Action, Index, IndexRule, Kind, NoteCode, RerunRule, Span, in_range
from cloud.modules.bench.rules import Hold
from common import values
from common.errors import UserError
from common.say import Said

HCG = Span(D("0.5"), D(10000), D(2000000), (D(20), D(200)))


def test_ac_b_1_the_dilution_ladder_up_to_the_reportable_limit() -> None:
    told = in_range("", D(8600), D(20), HCG)
    assert (told.comparator, told.number, told.hold) == ("", D(172000), None)
    end = in_range("", D(10001), D(200), HCG)
    assert (end.comparator, end.number, end.hold) == (">", D(2000000), None)


@pytest.mark.parametrize(("factor", "then"), [(1, 20), (20, 200)])
def test_above_the_range_the_next_dilution_is_asked_for(factor: int, then: int) -> None:
    told = in_range("", D(10001), D(factor), HCG)
    assert told.hold is not None and told.hold.code == "OVER_RANGE" and told.next_factor == then and f"1:{then}" in told.hold.text


def test_the_limits_themselves_are_inside() -> None:
    assert in_range("", D(10000), D(1), HCG).hold is None
    assert in_range("", D("0.5"), D(1), HCG).number == D("0.5")
    assert in_range(">", D(10000), D(1), HCG).next_factor == 20  # the instrument itself says "more than I can measure"


@pytest.mark.parametrize(
    ("sign", "raw", "shown"), [("<", "20000", "<20000"), ("≤", "10001", "≤10001"), (">", "0.1", ">0.1"), ("≥", "0.4", "≥0.4")]
)
def test_a_limit_is_never_turned_round(sign: str, raw: str, shown: str) -> None:
    """ "<20000" may be 5, and ">0.1" may be 5000: neither is above or below the range."""
    told = in_range(sign, D(raw), D(1), HCG)
    assert f"{told.comparator}{told.number}" == shown and told.hold is None


def test_below_the_range_is_less_than_its_limit_unless_diluted() -> None:
    told = in_range("", D("0.49"), D(1), HCG)
    assert (told.comparator, told.number, told.hold) == ("<", D("0.5"), None)
    thin = in_range("", D("0.4"), D(200), HCG)
    assert thin.hold is not None and thin.hold.code == "OVER_DILUTED" and thin.next_factor == 20


def test_without_limits_nothing_changes_and_zero_is_a_value() -> None:
    assert in_range("", D(0), D(1), Span()) == measure.Ranged("", D(0))
    assert in_range("<", D(5), D(2), Span()) == measure.Ranged("<", D(10))


def test_a_limit_without_a_ladder_ends_at_what_was_measured() -> None:
    assert in_range("", D(500), D(1), Span(high=D(400))) == measure.Ranged(">", D(400))
    assert in_range("", D(300), D(1), Span(high=D(400), crr=D(250))) == measure.Ranged(">", D(250))


@given(st.decimals("0", "1000000", places=2), st.sampled_from([D(1), D(20), D(200)]))
def test_nothing_beyond_what_was_verified_is_ever_told(raw: D, factor: D) -> None:
    told = in_range("", raw, factor, HCG)
    if told.hold is None and told.comparator == "":
        assert HCG.low is not None and HCG.low <= told.number / factor <= D(10000) and told.number <= D(2000000)
    assert told.hold is not None or told.number <= D(2000000)


def test_a_dilution_is_typed_behind_the_value() -> None:
    assert measure.typed_dilution("8600*20") == ("8600", D(20))
    assert measure.typed_dilution(" >10000 × 200 ") == (">10000", D(200))
    assert measure.typed_dilution("4.1") == ("4.1", D(1))
    assert measure.typed_dilution("1:80") == ("1:80", D(1))  # a titre is none
    with pytest.raises(UserError, match="不能是 0"):
        measure.typed_dilution("5*0")


def test_ac_b_2_nucleated_red_cells_are_taken_out() -> None:
    assert measure.corrected_wbc(D("12.0"), D(20)) == D("10.0")
    assert measure.corrected_wbc(D("12.0"), D(0)) == D("12.0")
    with pytest.raises(UserError):
        measure.corrected_wbc(D("12.0"), D(-1))


def test_ac_b_3_hdl_and_ldl_beyond_total_cholesterol_contradict() -> None:
    [wrong] = measure.contradictions({"HDL-C": D("1.50"), "LDL-C": D("3.90"), "TC": D("5.00")})
    assert wrong.items == ("TC", "HDL-C", "LDL-C") and "5.40 大于总胆固醇 5.00" in wrong.text
    assert measure.contradictions({"HDL-C": D("1.10"), "LDL-C": D("3.90"), "TC": D("5.00")}) == []


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"TP": "60", "ALB": "60"}, 0),
        ({"TP": "60", "ALB": "60.1"}, 1),
        ({"TBIL": "10", "DBIL": "12"}, 1),
        ({"ALB": "60"}, 0),
        ({"NEUT%": "60", "LYMPH%": "30", "MONO%": "6", "EO%": "3.5", "BASO%": "0"}, 0),
        ({"NEUT%": "60", "LYMPH%": "30", "MONO%": "6", "EO%": "3.4", "BASO%": "0"}, 1),
        ({"NEUT%": "60", "LYMPH%": "30", "MONO%": "6", "EO%": "4", "BASO%": "0.6"}, 1),
        ({"HGB": "140", "HCT": "39"}, 0),
        ({"HGB": "140", "HCT": "38.9"}, 1),
        ({"MCHC": "370"}, 0),
        ({"MCHC": "371"}, 1),
        ({"TPSA": "2.0", "FPSA": "2.1"}, 1),
        ({"PT": "12.0", "INR": "1.00"}, 0),
        ({"PT": "12.0", "INR": "2.10"}, 1),
        ({"PT": "25.0", "INR": "0.98"}, 1),
    ],
)
def test_each_logic_rule_at_its_edge(values: dict[str, str], wrong: int) -> None:
    assert len(measure.contradictions({k: D(v) for k, v in values.items()})) == wrong


def test_units_are_brought_together_before_comparing() -> None:
    assert measure.comparable("HCT", D("0.42"), "L/L") == D(42)
    assert measure.comparable("HCT", D(42), "%") == D(42)
    assert measure.comparable("HGB", D(14), "g/dL") == D(140)


def test_ac_b_4_a_differential_must_count_a_hundred() -> None:
    with pytest.raises(UserError, match="合计 99.*还差 1 个"):
        measure.differential({"中性": 60, "淋巴": 30, "单核": 6, "嗜酸": 3})
    assert measure.differential({"中性": 60, "淋巴": 30, "单核": 6, "嗜酸": 4})["中性"] == 60
    assert measure.differential({"中性": 121, "淋巴": 79})["中性"] == D("60.5")
    with pytest.raises(UserError, match="多了 1 个"):
        measure.differential({"中性": 101})
    with pytest.raises(UserError, match="不能小于 0"):
        measure.differential({"中性": 101, "淋巴": -1})


RULES = (
    IndexRule("K", Index.HAEMOLYSIS, D(20), Action.COMMENT, "+"),
    IndexRule("K", Index.HAEMOLYSIS, D(50), Action.HOLD, "+"),
    IndexRule("K", Index.HAEMOLYSIS, D(150), Action.REJECT, "+"),
    IndexRule("CREA", Index.ICTERUS, D(5), Action.HOLD, "-"),
)


def test_ac_b_5_haemolysis_holds_potassium_and_not_sodium() -> None:
    at = {Index.HAEMOLYSIS: D(60)}
    k = measure.interference("K", at, RULES)
    assert k.action is Action.HOLD and k.texts == ("溶血指数 60（界限 50），结果可能偏高。",)
    assert measure.interference("NA", at, RULES) == measure.Interference(Action.NONE)


@pytest.mark.parametrize(("h", "action"), [("19", "none"), ("20", "comment"), ("49.9", "comment"), ("50", "hold"), ("150", "reject")])
def test_thresholds_are_reached_at_themselves(h: str, action: str) -> None:
    assert measure.interference("K", {Index.HAEMOLYSIS: D(h)}, RULES).action == action


def test_an_index_that_was_expected_and_did_not_come_holds() -> None:
    assert measure.interference("K", {}, RULES, expected=True).action is Action.HOLD
    assert measure.interference("K", {}, RULES).action is Action.NONE
    assert measure.interference("NA", {}, RULES, expected=True).action is Action.NONE


@pytest.mark.parametrize(("second", "stands"), [("10.5", True), ("10.51", False), ("9.5", True), ("9.4", False)])
def test_a_rerun_within_the_larger_limit_confirms(second: str, stands: bool) -> None:
    assert measure.first_stands(D(10), D(second), RerunRule(D("0.2"), D(5))) is stands


def test_near_zero_the_absolute_limit_counts() -> None:
    assert measure.first_stands(D(0), D("0.2"), RerunRule(D("0.2"), D(5)))
    assert not measure.first_stands(D(0), D("0.21"), RerunRule(D("0.2"), D(5)))


@pytest.mark.parametrize(
    ("action", "depth", "on_tube", "known", "kind"),
    [
        ("add", 1, False, False, Kind.ADD),
        ("add", 2, False, False, Kind.ADD),
        ("add", 3, False, False, None),
        ("add", 1, True, False, None),
        ("suggest", 1, False, False, Kind.SUGGEST),
        ("suggest", 1, False, True, None),
        ("repeat", 1, True, False, Kind.RERUN),
        ("repeat", 1, False, False, None),
        ("confirm", 1, True, False, Kind.CONFIRM),
        ("confirm", 1, True, True, None),
        ("confirm", 3, True, False, Kind.CONFIRM),  # it adds nothing: however often it was put aside
        ("confirm", 1, False, False, None),
        ("repeat", 1, True, True, None),
        ("repeat", 3, True, False, None),
    ],
)
def test_reflex_adds_within_depth_once_and_never_what_is_there(
    action: str, depth: int, on_tube: bool, known: bool, kind: Kind | None
) -> None:
    assert measure.reflex_kind(action, depth, on_tube, known) is kind
    # Where the requesters have not agreed beforehand, what would be added is proposed; what is on the tube needs nobody's word.
    assert measure.reflex_kind(action, depth, on_tube, known, standing=False) is (Kind.SUGGEST if kind is Kind.ADD else kind)


def test_a_limit_or_a_word_confirms_nothing() -> None:
    rule = RerunRule(D(0), D(5))
    assert measure.confirms(values.parse("5.0"), values.parse("5.2"), rule)
    assert not measure.confirms(values.parse(">5.0"), values.parse("5.2"), rule)
    assert not measure.confirms(values.parse("5.0"), values.parse("<5.2"), rule)
    assert not measure.confirms(values.parse("阳性", "enum"), values.parse("阳性", "enum"), rule)


def test_notes_and_holds_come_back_as_sentences_for_every_reader() -> None:
    rule = measure.IndexRule("K", Index.HAEMOLYSIS, D(50), Action.HOLD, "+")
    found = measure.interference("K", {Index.HAEMOLYSIS: D(60)}, [rule, measure.IndexRule("K", Index.ICTERUS, D(5), Action.COMMENT)], True)
    (note,) = measure.beside([], found, "7:H60", "")
    again = measure.notes_from(json.loads(json.dumps([note.to_json()])))[0]
    assert again == note and again.text == "溶血指数 60（界限 50），结果可能偏高。没有收到黄疸指数，请目测标本性状后再处理。"
    assert isinstance(again.text, Said)
    words = {"溶血": "H", "黄疸": "I", "{index}指数 {n}（界限 {limit}），结果可能偏高。": "{index} {n}/{limit} up."}
    words["没有收到{index}指数，请目测标本性状后再处理。"] = "no {index}."
    assert again.text.in_words_of(lambda key: words.get(key, key)) == "H 60/50 up. no I."
    old = {"code": "HIL", "text": "溶血指数 60。", "told": "", "key": "", "settled": False}
    assert measure.notes_from([old])[0].text == "溶血指数 60。"
    hold = measure.in_range("", D(20000), D(1), measure.Span(D(1), D(10000), None, (D(20),))).hold
    assert hold is not None and Hold.stored(json.loads(json.dumps(hold.to_json()))) == hold
    assert isinstance(Hold.stored(hold.to_json()).text, Said) and Hold.stored({"code": "X", "text": "旧"}) == Hold("X", "旧")


def test_an_acceptance_holds_for_the_values_it_was_given_for() -> None:
    held = measure.Interference(Action.HOLD, ("溶血指数 60。",))
    first = measure.beside([], held, "7:H60", "")
    assert [(n.code, n.holds, n.told) for n in first] == [(NoteCode.HIL, True, "溶血指数 60。")]
    accepted = [replace(first[0], settled=True)]
    assert not measure.beside(accepted, held, "7:H60", "")[0].holds
    assert measure.beside(accepted, held, "8:H60", "")[0].holds
    assert measure.beside(accepted, held, "7:H61", "")[0].holds
    assert measure.beside(accepted, measure.Interference(Action.NONE), "7:H0", "") == []
    refused = measure.beside(accepted, measure.Interference(Action.REJECT, ("溶血指数 160。",)), "7:H60", "溶血")[0]
    assert refused.code is NoteCode.HIL_REJECT and refused.holds and refused.told == "溶血"
    told = measure.beside([], measure.Interference(Action.COMMENT, ("轻度溶血。",)), "7:H30", "")[0]
    assert told.code is NoteCode.HIL_COMMENT and not told.holds
    assert measure.notes_from([told.to_json()]) == [told]


@pytest.mark.parametrize("factor", ["0", "-1"])
def test_no_value_is_multiplied_by_nothing(factor: str) -> None:
    with pytest.raises(ValueError):
        measure.in_range("", D("5"), D(factor), measure.Span())


@pytest.mark.parametrize(
    ("typed", "unit", "kept"),
    [
        ("5.2", "mmol/L", "5.2"),
        ("5.2 mmol/L", "mmol/L", "5.2"),
        ("<0.5mmol/L", "mmol/L", "<0.5"),
        ("12 ×10^9/L", "10^9/L", "12"),
        ("80 µmol/L", "umol/L", "80"),
        ("45%", "%", "45"),
        ("5.2 mg/dL", "mmol/L", None),
        ("45%", "", None),
        ("45 g/L", "%", None),
        ("5.2 a", "mmol/L", "5.2 a"),
    ],
)
def test_a_typed_unit_is_the_items_own_or_refused(typed: str, unit: str, kept: str | None) -> None:
    if kept is not None:
        assert measure.without_unit(typed, unit, "钾") == kept
        return
    with pytest.raises(UserError, match="请换算") as refused:
        measure.without_unit(typed, unit, "钾")
    assert refused.value.code == "invalid" and refused.value.fields["given"] == typed
