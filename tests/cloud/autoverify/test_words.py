"""Why a tube was held, in sentences: one for all items with the same reason, and each says what clears it."""

from cloud.modules.autoverify.case import Failure
from cloud.modules.autoverify.words import explain, together

NAMES = {"AST": "天门冬氨酸氨基转移酶", "GGT": "γ-谷氨酰转移酶", "K": "钾"}


def test_items_with_the_same_reason_stand_in_one_sentence() -> None:
    found = together(
        [
            Failure(5, "QC", "AST", "no_plan"),
            Failure(9, "DELTA_PCT", "K", "40>20"),
            Failure(5, "QC", "GGT", "no_plan"),
            Failure(5, "QC", "K", "rejected"),
            Failure(14, "AUTH_NONE"),
        ],
        NAMES,
    )
    assert [s.code for s in found] == ["QC AST GGT no_plan", "DELTA_PCT K 40>20", "QC K rejected", "AUTH_NONE"]
    assert found[0].zh.startswith("天门冬氨酸氨基转移酶、γ-谷氨酰转移酶 室内质控未在控（没有质控计划）；在质控计划页")
    assert "失控处理" in found[2].zh


def test_rules_of_expressions_are_never_put_together() -> None:
    """Their item is the rule, and each has words of its own."""
    found = together([Failure(10, "LOGIC", "A"), Failure(10, "LOGIC", "B")], {}, {"A": "总蛋白低于白蛋白", "B": "比容不符"})
    assert [("总蛋白" in s.zh, "比容" in s.zh) for s in found] == [(True, False), (False, True)]


def test_what_clears_missing_quality_control_is_not_what_clears_a_rejection() -> None:
    said = {
        state: explain(Failure(5, "QC", "K", state), NAMES) for state in ("no_plan", "none", "overdue", "bypassed", "rejected", "doubtful")
    }
    assert [state for state, s in said.items() if "失控处理" in s.zh] == ["rejected", "doubtful"]
    assert len({s.zh.partition("；")[2] for s in said.values()}) == 5 and "plan" in said["no_plan"].en
