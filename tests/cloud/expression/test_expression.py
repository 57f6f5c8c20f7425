"""The expression language: what may be written, what it yields, where and why it refuses. Arithmetic against Python's fractions."""

from decimal import Decimal
from fractions import Fraction
from graphlib import CycleError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.expression import Cause, Env, ExpressionError, Function, Kind, NotCalculable, Symbol, Symbols, compile, cycle, in_order
from cloud.expression.builtin import limit_compare
from common.values import parse

D = Decimal
SEX = {"M": "M", "男": "M", "F": "F", "女": "F"}
SYMBOLS = Symbols(
    refs={"CK-MB": Symbol(unit="U/L"), "血糖": Symbol(), "TG": Symbol(unit="mmol/L"), "X": Symbol(label="某项"), "颜色": Symbol(Kind.TEXT)},
    names={"sex": Symbol(Kind.TEXT, choices=SEX), "age": Symbol(label="年龄")},
    functions={"prev": Function((Kind.REF, Kind.NUMBER), required=1), "flag": Function((Kind.REF,), Kind.TEXT)},
)
CALLS: dict[str, Any] = {"prev": lambda code, n=1: D(7) if code == "TG" and n == 1 else None, "flag": lambda code: "H"}
ENV = Env({"CK-MB": D("24.5"), "血糖": parse("5.5"), "TG": D("1.76"), "颜色": "黄"}, {"sex": "F", "age": 45}, CALLS)


def value(source: str, env: Env = ENV) -> Any:
    return compile(source, SYMBOLS).evaluate(env)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 + 2 * 3", D(7)),
        ("(1＋2)×3", D(9)),
        ("7/2", D("3.5")),
        ("5 ÷ 2", D("2.5")),
        ("72.05 - 44.5", D("27.55")),
        ("10 - 3 - 2", D(5)),
        ("8/4/2", D(1)),
        ("-2^2", D(-4)),
        ("2^3^2", D(512)),
        ("2^-1", D("0.5")),
        ("2**3", D(8)),
        ("9^0.5", D(3)),
        ("round(2.345, 2)", D("2.35")),
        ("round(2.5)", D(3)),
        ("round(-2.5)", D(-3)),
        ("min(3, 1, 2) + max(1, 2)", D(3)),
        ("abs(1 - 3)", D(2)),
        ("ln(1)", D(0)),
        ('"CK-MB" − 0.5', D(24)),
        ("“血糖”*2", D(11)),
        ("if(age≥18，1，0)", D(1)),
        ("如果(sex = '男' 或 age > 40, 1, 2)", D(1)),
        ("sex = '女'", True),
        ("sex in ('M', '女')", True),
        ("age in (44, -45)", False),
        ("not (1 < 2) or 2 <= 2 and 3 <> 4", True),
        ("1 == 1 且 非 1 != 1", True),
        ("\"颜色\" = '黄' # 注释", True),
        ('prev("TG") - prev("TG", 1)', D(0)),
        ("flag(\"TG\") = 'H'", True),
        ('has("TG") and not has("X")', True),
        ("'阴性'", "阴性"),
        ("true", True),
    ],
)
def test_yields(source: str, expected: object) -> None:
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "cause", "words"),
    [
        ('"X" + 1', Cause.MISSING, "缺少 某项"),
        ("1/0", Cause.DIVISION, "除数为 0"),
        ("0/0", Cause.DIVISION, "除数为 0"),
        ("ln(0)", Cause.DOMAIN, "ln"),
        ("(-8)^(1/3)", Cause.DOMAIN, "乘方"),
        ("0^-1", Cause.OVERFLOW, "过大"),
        ("9^9^9^9", Cause.OVERFLOW, "过大"),
        ("na('TG≥4.5')", Cause.STATED, "TG≥4.5"),
        ("if(\"TG\" < 1, 1, na('太高'))", Cause.STATED, "太高"),
        ('prev("X")', Cause.MISSING, 'prev("X")'),
        ('grade("TG")', Cause.NOT_NUMERIC, "TG"),
        ('"X" > 1 and 1 = 1', Cause.MISSING, "某项"),
        ('"X" > 1 or 1 = 2', Cause.MISSING, "某项"),
        ('not "X" > 1', Cause.MISSING, "某项"),
    ],
)
def test_what_cannot_be_calculated_says_why(source: str, cause: Cause, words: str) -> None:
    result = value(source)
    assert isinstance(result, NotCalculable)
    assert result.cause is cause and words in result.text
    assert result.english


def test_one_decisive_side_decides() -> None:
    assert value('"X" > 1 or 1 = 1') is True
    assert value('"X" > 1 and 1 = 2') is False


@pytest.mark.parametrize(
    ("given", "cause"), [("阳性", Cause.NOT_NUMERIC), ("<0.5", Cause.CENSORED), ("-----", Cause.MISSING), ("", Cause.MISSING)]
)
def test_an_input_that_is_no_exact_number(given: str, cause: Cause) -> None:
    result = value('"X" * 2', Env({"X": parse(given)}))
    assert isinstance(result, NotCalculable) and result.cause is cause and result.subject == "某项"
    assert value('"X" * 2', Env({"X": parse("0")})) == 0


def test_inputs_are_looked_at_even_where_no_branch_reads_them() -> None:
    program = compile('if("TG" < 4.5, "TG", "X")', SYMBOLS)
    env = Env({"TG": D(1), "X": parse("<3")})
    assert program.evaluate(env) == 1
    found = program.unusable_input(env, {"X": "某项"})
    assert found == NotCalculable(Cause.CENSORED, "某项")
    assert program.unusable_input(Env({"TG": D(1), "X": D(0)})) is None


@pytest.mark.parametrize(
    ("source", "position", "token", "zh"),
    [
        ('"TG" + 血糖', 7, "血糖", "双引号"),
        ('"NOPE" + 1', 0, '"NOPE"', "没有编码为 NOPE"),
        ("1 + nope", 4, "nope", "不认识的名称"),
        ("open('a')", 0, "open", "没有这个函数"),
        ('"TG".real', 4, ".", "不认识的符号"),
        ("1 < 2 < 3", 6, "<", "不应出现"),
        ("1 + ", 4, "", "没有写完"),
        ("min(1,2", 7, "", "没有写完"),
        ('1 + "颜色"', 4, '"颜色"', "数值"),
        ("'a' < 'b'", 4, "<", "比大小"),
        ("'a' = 1", 6, "1", "不能与"),
        ("sex = 'X'", 6, "'X'", "只能是"),
        ("sex in ('M', '不详')", 13, "'不详'", "只能是"),
        ("age in ('M')", 8, "'M'", "列表"),
        ('1 + "TG', 4, '"', "引号"),
        ("round(1, age)", 9, "age", "0 到 12"),
        ("round(1, 13)", 9, "13", "0 到 12"),
        ("if(1, 2, 3)", 3, "1", "条件"),
        ("if(1 = 1, 2, '三')", 13, "'三'", "同一种"),
        ("abs(1, 2)", 0, "abs(1, 2)", "1 个参数"),
        ("min()", 0, "min()", "参数"),
        ("prev(1)", 5, "1", "项目编码"),
        ("prev()", 0, "prev()", "参数"),
        ("na(1)", 3, "1", "单引号"),
        ("", 0, "", "没有内容"),
        ("1 2", 2, "2", "不应出现"),
        ("__import__('os')", 0, "__import__", "没有这个函数"),
        ("9" * 41, 0, "9" * 40, "太长"),
        ("not 1", 4, "1", "条件"),
    ],
)
def test_refuses_naming_position_and_token(source: str, position: int, token: str, zh: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile(source, SYMBOLS)
    error = caught.value
    assert (error.position, error.token) == (position, token)
    assert zh in error.message and str(error.column) in error.message and error.english


def test_lines_and_columns() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile("1 +\n  nope", SYMBOLS)
    assert (caught.value.line, caught.value.column) == (2, 3) and "第 2 行第 3 列" in caught.value.message


def test_size_and_depth_are_bounded() -> None:
    assert value("(" * 500 + "1" + ")" * 500) == 1  # brackets alone are no depth
    for source in ("-" * 100 + "1", "abs(" * 60 + "1" + ")" * 60, "1+" * 3000 + "1"):
        with pytest.raises(ExpressionError):
            compile(source, SYMBOLS)
    assert value("1+" * 1500 + "1") == 1501


def test_a_condition_may_be_asked_for() -> None:
    assert compile("age > 3", SYMBOLS, Kind.BOOL).kind is Kind.BOOL
    with pytest.raises(ExpressionError, match="条件"):
        compile("age + 3", SYMBOLS, Kind.BOOL)


def test_a_program_tells_what_it_uses() -> None:
    program = compile('if(has("X"), "CK-MB", prev("TG")) + age', SYMBOLS)
    assert program.references == {"X", "CK-MB", "TG"} and program.names == {"age"} and program.kind is Kind.NUMBER
    assert program.units == {"X": "", "CK-MB": "U/L", "TG": "mmol/L"}


def test_grades_of_words() -> None:
    assert value('grade("颜色") >= 2', Env({"颜色": parse("2+", "semi-quant")})) is True
    assert value('grade("颜色")', Env({"颜色": parse("阴性", "enum")})) == 0


# --- limits ------------------------------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from("<≤>≥"),
    st.integers(-3, 3),
    st.sampled_from("<≤>≥=≠"),
    st.integers(-3, 3),
)
def test_a_limit_decides_only_when_all_its_values_agree(comparator: str, limit: int, sign: str, other: int) -> None:
    """Against every half step that the limit allows."""
    tests = {
        "<": lambda a, b: a < b,
        "≤": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        "≥": lambda a, b: a >= b,
        "=": lambda a, b: a == b,
        "≠": lambda a, b: a != b,
    }
    allowed = [Fraction(n, 2) for n in range(-40, 41) if tests[comparator](Fraction(n, 2), limit)]
    answers = {tests[sign](x, other) for x in allowed}
    expected = answers.pop() if len(answers) == 1 else None
    assert limit_compare(comparator, D(limit), sign, D(other)) is expected


def test_a_limit_on_either_side() -> None:
    env = Env({"TG": parse("<0.5"), "X": parse(">9")})
    assert value('"TG" < 0.9', env) is True
    assert value('0.9 > "TG"', env) is True
    for source in ('"TG" < 0.4', '"TG" < "X"', '"TG" + 0 < 0.9'):
        found = value(source, env)
        assert isinstance(found, NotCalculable) and found.cause is Cause.CENSORED


# --- arithmetic against fractions --------------------------------------------------------------------------------------------------------

NUMBERS = st.integers(0, 999).map(lambda n: (str(D(n) / 100), Fraction(n, 100)))


def _join(parts: tuple[tuple[str, Fraction | None], str, tuple[str, Fraction | None]]) -> tuple[str, Fraction | None]:
    (a, x), sign, (b, y) = parts
    text = f"({a} {sign} {b})"
    if x is None or y is None or (sign == "/" and y == 0):
        return text, None
    return text, {"+": lambda: x + y, "-": lambda: x - y, "*": lambda: x * y, "/": lambda: x / y}[sign]()


@given(st.recursive(NUMBERS, lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(_join), max_leaves=8))
def test_arithmetic_agrees_with_fractions(case: tuple[str, Fraction | None]) -> None:
    source, expected = case
    result = compile(source, Symbols()).evaluate(Env())
    if expected is None:
        assert result == NotCalculable(Cause.DIVISION)
    else:
        assert isinstance(result, D)
        assert abs(Fraction(result) - expected) <= Fraction(1, 10**25) * max(1, abs(expected))


@given(st.text(alphabet="0123456789+-*/^()'\"“”,<>=. abcTGsexminround\n且", max_size=40))
def test_no_text_brings_it_down(source: str) -> None:
    try:
        program = compile(source, SYMBOLS)
    except ExpressionError:
        return
    for env in (ENV, Env()):
        result = program.evaluate(env)
        assert not isinstance(result, D) or result.is_finite()


# --- formulas that use formulas ----------------------------------------------------------------------------------------------------------


def test_circles_are_named() -> None:
    assert cycle({"A": {"B"}, "B": {"A"}}) in (("A", "B", "A"), ("B", "A", "B"))
    assert cycle({"A": {"A"}}) == ("A", "A")
    assert cycle({"A": {"B", "K"}, "B": {"K"}}) == ()
    with pytest.raises(CycleError):
        in_order({"A": {"B"}, "B": {"A"}})


def test_inputs_come_before_their_users() -> None:
    assert (
        in_order({"AG": {"GLO", "ALB"}, "GLO": {"TP", "ALB"}, "Z": set()}) == ("GLO", "AG", "Z")
        or in_order({"AG": {"GLO", "ALB"}, "GLO": {"TP", "ALB"}, "Z": set()}).index("GLO") < 2
    )
