"""Text → program: one grammar, a check of every name and kind, closures over Decimal. Nothing outside the grammar can be written."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from cloud.expression.builtin import BUILTIN, CONTEXT, Built, Look, compare, logic, truth
from cloud.expression.program import Env, Function, Program, Run, Stop, Symbol, Symbols, read_value
from cloud.expression.types import Cause, ExpressionError, Kind, NotCalculable

MAX_LENGTH = 4000
MAX_DEPTH = 40
MAX_DIGITS = 40

_GRAMMAR = r"""
start: expr
?expr: conj | conj (_OR conj)+ -> any_of
?conj: inv | inv (_AND inv)+   -> all_of
?inv: _NOT inv                 -> negation
    | comparison
?comparison: sum
    | sum COMPARE sum          -> compare
    | sum _IN _L text_list _R  -> one_of
text_list: literal (_COMMA literal)*
literal: TEXT | SIGN? NUMBER
?sum: product | product (SIGN product)+     -> arithmetic
?product: signed | signed (TIMES signed)+   -> arithmetic
?signed: SIGN signed           -> sign
    | power
?power: atom | atom _POWER signed -> power
?atom: NUMBER                      -> number
    | TEXT                         -> text
    | REF                          -> ref
    | NAME                         -> name
    | NAME _L [expr (_COMMA expr)*] _R -> call
    | _L expr _R

_OR.2: /or\b|或/i
_AND.2: /and\b|且/i
_NOT.2: /not\b|非/i
_IN.2: /in\b|属于/i
COMPARE: "<=" | ">=" | "!=" | "<>" | "==" | /[<>=≤≥≠＜＞＝]/
SIGN: /[-+−＋－]/
TIMES: /[*\/×÷＊／]/
_POWER: /\^|＾|\*\*/
_L: /[(（]/
_R: /[)）]/
_COMMA: /[,，]/
NUMBER: /[0-9]+(\.[0-9]+)?/
TEXT: /['‘’][^'‘’\n]*['‘’]/
REF: /["“”][^"“”\n]*["“”]/
NAME: /[A-Za-z_\u4e00-\u9fff][A-Za-z0-9_\u4e00-\u9fff]*/
%ignore /\s+/
%ignore /#[^\n]*/
"""
_PARSER = Lark(_GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=False)
_COMPARE = {"==": "=", "＝": "=", "<>": "≠", "!=": "≠", "<=": "≤", ">=": "≥", "＜": "<", "＞": ">"}
_MINUS = frozenset("-−－")
_TIMES = frozenset("*×＊")
_KINDS = {
    Kind.NUMBER: ("数值", "a number"),
    Kind.TEXT: ("文字", "a text"),
    Kind.BOOL: ("条件", "a condition"),
    Kind.REF: ("带引号的项目编码", "a quoted item code"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake for an editor: ``position`` from 0, length of the token, the reason in both languages."""

    position: int
    length: int
    text: str
    english: str


def compile(source: str, symbols: Symbols, expect: Kind | None = None) -> Program:
    """Check a text against the names it may use and make a program of it; raises ExpressionError naming position and token."""
    if not source.strip():
        raise ExpressionError(source, 0, "", "还没有内容", "there is nothing yet")
    if len(source) > MAX_LENGTH:
        raise ExpressionError(source, MAX_LENGTH, "", f"太长，最多 {MAX_LENGTH} 个字符", f"too long, at most {MAX_LENGTH} characters")
    try:
        tree = _PARSER.parse(source)
    except UnexpectedInput as error:
        raise _syntax(source, error) from None
    compiler = _Compiler(source, symbols)
    top = tree.children[0]
    kind, run = compiler.build(top, 1)
    if expect is not None and kind not in (expect, Kind.NEVER):
        compiler.wrong(top, f"这里要一个{_KINDS[expect][0]}", f"{_KINDS[expect][1]} is needed here")
    units = {code: symbols.refs[code].unit for code in compiler.refs}
    return Program(source, kind, frozenset(compiler.refs), frozenset(compiler.names), MappingProxyType(units), run)


def _syntax(source: str, error: UnexpectedInput) -> ExpressionError:
    if isinstance(error, UnexpectedEOF) or (isinstance(error, UnexpectedToken) and error.token.type == "$END"):
        return ExpressionError(source, len(source), "", "没有写完，后面还缺内容", "unfinished, something is missing here")
    at: int = error.pos_in_stream or 0
    if isinstance(error, UnexpectedCharacters):
        char = source[at]
        if char in "\"“”'‘’":
            return ExpressionError(source, at, char, "引号没有成对", "the quote is not closed")
        return ExpressionError(source, at, char, "不认识的符号", "unknown sign")
    token = str(getattr(error, "token", source[at : at + 1]))
    return ExpressionError(source, at, token, "不应出现在这里", "not expected here")


class _Compiler:
    """One compilation; collects the names used."""

    def __init__(self, source: str, symbols: Symbols) -> None:
        self.source, self.symbols = source, symbols
        self.refs: dict[str, None] = {}
        self.names: dict[str, None] = {}

    def wrong(self, at: Any, chinese: str, english: str) -> None:
        """Refuse, at a token or a tree."""
        start, end = (at.start_pos, at.end_pos) if isinstance(at, Token) else (at.meta.start_pos, at.meta.end_pos)
        raise ExpressionError(self.source, start or 0, self.source[start:end][:40], chinese, english)

    def build(self, tree: Any, depth: int) -> tuple[Kind, Run]:
        """The kind of a node and what computes it."""
        if depth > MAX_DEPTH:
            self.wrong(tree, f"嵌套太深，最多 {MAX_DEPTH} 层", f"nested too deep, at most {MAX_DEPTH} levels")
        build: Callable[[Tree[Token], int], tuple[Kind, Run]] = getattr(self, f"_{tree.data}")
        return build(tree, depth + 1)

    def need(self, tree: Any, depth: int, kind: Kind) -> Run:
        """What computes a node that must be of one kind."""
        found, run = self.build(tree, depth)
        if found not in (kind, Kind.NEVER):
            self.wrong(
                tree, f"这里要{_KINDS[kind][0]}，不是{_KINDS[found][0]}", f"{_KINDS[kind][1]} is needed here, not {_KINDS[found][1]}"
            )
        return run

    # --- leaves

    def _number(self, tree: Tree[Token], _depth: int) -> tuple[Kind, Run]:
        number = self._decimal(tree.children[0])
        return Kind.NUMBER, lambda _env: number

    def _decimal(self, token: Any) -> Decimal:
        if len(token) > MAX_DIGITS:
            self.wrong(token, f"数字太长，最多 {MAX_DIGITS} 位", f"number too long, at most {MAX_DIGITS} digits")
        return Decimal(str(token))

    def _text(self, tree: Tree[Token], _depth: int) -> tuple[Kind, Run]:
        text = str(tree.children[0])[1:-1]
        return Kind.TEXT, lambda _env: text

    def _ref(self, tree: Tree[Token], _depth: int) -> tuple[Kind, Run]:
        code, symbol = self.reference(tree)
        label, kind = symbol.label or code, symbol.kind
        return kind, lambda env: read_value(env.refs.get(code), kind, label)

    def reference(self, tree: Any) -> tuple[str, Symbol]:
        """A quoted reference that exists."""
        code = str(tree.children[0])[1:-1].strip()
        symbol = self.symbols.refs.get(code)
        if symbol is None:
            self.wrong(tree, f"没有编码为 {code} 的项目", f"there is no item with the code {code}")
            raise AssertionError
        self.refs[code] = None
        return code, symbol

    def _name(self, tree: Tree[Token], _depth: int) -> tuple[Kind, Run]:
        name = str(tree.children[0])
        if name in ("true", "真", "false", "假"):
            value = name in ("true", "真")
            return Kind.BOOL, lambda _env: value
        symbol = self.symbols.names.get(name)
        if symbol is None:
            hint = f'；项目编码要写在双引号里："{name}"' if name in self.symbols.refs else ""
            self.wrong(tree, f"不认识的名称{hint}", "unknown name" + (f'; item codes are quoted: "{name}"' if hint else ""))
            raise AssertionError
        self.names[name] = None
        kind, label = symbol.kind, symbol.label or name
        return kind, lambda env: read_value(env.names.get(name), kind, label)

    # --- operators

    def _arithmetic(self, tree: Tree[Token], depth: int) -> tuple[Kind, Run]:
        first, rest = self.need(tree.children[0], depth, Kind.NUMBER), tree.children[1:]
        steps = []
        for operator, operand in zip(rest[::2], rest[1::2], strict=True):
            steps.append((_operation(str(operator)), self.need(operand, depth, Kind.NUMBER)))

        def run(env: Env) -> Decimal:
            total: Decimal = first(env)
            for operation, operand in steps:
                total = exact(operation, total, operand(env))
            return total

        return Kind.NUMBER, run

    def _sign(self, tree: Tree[Token], depth: int) -> tuple[Kind, Run]:
        operand = self.need(tree.children[1], depth, Kind.NUMBER)
        return (Kind.NUMBER, lambda env: -operand(env)) if str(tree.children[0]) in _MINUS else (Kind.NUMBER, operand)

    def _power(self, tree: Tree[Token], depth: int) -> tuple[Kind, Run]:
        base, exponent = (self.need(each, depth, Kind.NUMBER) for each in tree.children)
        return Kind.NUMBER, lambda env: exact(CONTEXT.power, base(env), exponent(env), "乘方")

    def _compare(self, tree: Tree[Token], depth: int) -> tuple[Kind, Run]:
        left, sign, right = tree.children
        operator = _COMPARE.get(str(sign), str(sign))
        a, b = self.build(left, depth), self.build(right, depth)
        kinds = {a[0], b[0]} - {Kind.NEVER}
        if len(kinds) == 2:
            self.wrong(
                right, f"{_KINDS[a[0]][0]}不能与{_KINDS[b[0]][0]}比较", f"{_KINDS[a[0]][1]} cannot be compared with {_KINDS[b[0]][1]}"
            )
        if operator not in ("=", "≠") and kinds - {Kind.NUMBER}:
            self.wrong(sign, "只有数值可以比大小", "only numbers have an order")
        chosen = [(self._chosen(left, right) or a[1]), (self._chosen(right, left) or b[1])]
        numbers = Kind.NUMBER in kinds
        looks = [self._look(each) if numbers else None for each in (left, right)]
        return Kind.BOOL, compare(operator, (chosen[0], looks[0]), (chosen[1], looks[1]))

    @staticmethod
    def _look(tree: Any) -> Look | None:
        """The input behind a plain reference or name, unread."""
        if tree.data == "ref":
            code = str(tree.children[0])[1:-1].strip()
            return lambda env: env.refs.get(code)
        if tree.data == "name":
            name = str(tree.children[0])
            return lambda env: env.names.get(name)
        return None

    def _chosen(self, literal: Any, symbol_tree: Any) -> Run | None:
        """A text compared with a symbol of fixed choices: only those, in their one spelling."""
        symbol = self._symbol(symbol_tree)
        if literal.data != "text" or symbol is None or not symbol.choices:
            return None
        meant = symbol.choices.get(str(literal.children[0])[1:-1])
        if meant is None:
            options = "、".join(symbol.choices)
            self.wrong(literal, f"只能是 {options}", f"must be one of {options}")
        return lambda _env: meant

    def _symbol(self, tree: Any) -> Symbol | None:
        if tree.data == "ref":
            return self.symbols.refs.get(str(tree.children[0])[1:-1].strip())
        return self.symbols.names.get(str(tree.children[0])) if tree.data == "name" else None

    def _one_of(self, tree: Tree[Token], depth: int) -> tuple[Kind, Run]:
        subject, listed = tree.children[0], tree.children[1].children  # type: ignore[union-attr]
        kind, run = self.build(subject, depth)
        options: list[Any] = []
        for literal in listed:
            sign, token = ([None, *literal.children])[-2:]  # type: ignore[union-attr]
            is_text = token.type == "TEXT"
            if (kind is Kind.TEXT) is not is_text:
                self.wrong(literal, f"列表里要{_KINDS[kind][0]}", f"the list needs {_KINDS[kind][1]}")
            number = None if is_text else self._decimal(token)
            options.append(str(token)[1:-1] if number is None else -number if sign in _MINUS else number)
        symbol = self._symbol(subject)
        if symbol is not None and symbol.choices:
            for literal, option in zip(listed, options, strict=True):
                if option not in symbol.choices:
                    self.wrong(literal, f"只能是 {'、'.join(symbol.choices)}", f"must be one of {', '.join(symbol.choices)}")
            options = [symbol.choices[each] for each in options]
        allowed = frozenset(options)
        return Kind.BOOL, lambda env: run(env) in allowed

    def _any_of(self, tree: Tree[Token], depth: int) -> tuple[Kind, Run]:
        return Kind.BOOL, logic(True, [self.need(each, depth, Kind.BOOL) for each in tree.children])

    def _all_of(self, tree: Tree[Token], depth: int) -> tuple[Kind, Run]:
        return Kind.BOOL, logic(False, [self.need(each, depth, Kind.BOOL) for each in tree.children])

    def _negation(self, tree: Tree[Token], depth: int) -> tuple[Kind, Run]:
        operand = self.need(tree.children[0], depth, Kind.BOOL)
        return Kind.BOOL, lambda env: not operand(env)

    # --- calls

    def _call(self, tree: Tree[Token], depth: int) -> tuple[Kind, Run]:
        token, *args = tree.children
        name = str(token)
        if name in ("if", "如果"):
            return self._if(tree, args, depth)
        if name == "na":
            return self._na(tree, args)
        if name == "round":
            return self._round(tree, args, depth)
        built = BUILTIN.get(name)
        if built is not None:
            return self._built(tree, built, args, depth)
        function = self.symbols.functions.get(name)
        if function is None:
            self.wrong(token, "没有这个函数", "there is no such function")
            raise AssertionError
        return self._provided(tree, name, function, args, depth)

    def _count(self, tree: Any, args: Sequence[Any], low: int, high: int | None) -> None:
        if len(args) < low or (high is not None and len(args) > high):
            count = str(low) if low == high else f"{low}–{high}" if high is not None else f"≥{low}"
            self.wrong(tree, f"要 {count} 个参数，写了 {len(args)} 个", f"takes {count} arguments, {len(args)} given")

    def _if(self, tree: Any, args: Sequence[Any], depth: int) -> tuple[Kind, Run]:
        self._count(tree, args, 3, 3)
        condition = self.need(args[0], depth, Kind.BOOL)
        (kind_a, a), (kind_b, b) = self.build(args[1], depth), self.build(args[2], depth)
        if len({kind_a, kind_b} - {Kind.NEVER}) == 2:
            self.wrong(args[2], "两个分支要同一种值", "both branches must yield the same kind")
        return kind_b if kind_a is Kind.NEVER else kind_a, lambda env: a(env) if truth(condition(env)) else b(env)

    def _na(self, tree: Any, args: Sequence[Any]) -> tuple[Kind, Run]:
        self._count(tree, args, 1, 1)
        if args[0].data != "text":
            self.wrong(args[0], "原因要写在单引号里", "the reason is a text in single quotes")
        why = NotCalculable(Cause.STATED, str(args[0].children[0])[1:-1])

        def run(_env: Env) -> Any:
            raise Stop(why)

        return Kind.NEVER, run

    def _round(self, tree: Any, args: Sequence[Any], depth: int) -> tuple[Kind, Run]:
        self._count(tree, args, 1, 2)
        number = self.need(args[0], depth, Kind.NUMBER)
        digits = 0
        if len(args) == 2:
            if args[1].data != "number" or not str(args[1].children[0]).isdecimal() or int(args[1].children[0]) > 12:
                self.wrong(args[1], "小数位数是 0 到 12 的整数", "the places are a whole number from 0 to 12")
            digits = int(args[1].children[0])
        unit = Decimal(1).scaleb(-digits)
        return Kind.NUMBER, lambda env: exact(lambda x, y: x.quantize(y, decimal.ROUND_HALF_UP, CONTEXT), number(env), unit, "round")

    def _built(self, tree: Any, built: Built, args: Sequence[Any], depth: int) -> tuple[Kind, Run]:
        self._count(tree, args, built.low, built.high)
        runs = [self._argument(each, built.param, depth) for each in args]
        return built.returns, built.make(runs)

    def _argument(self, arg: Any, kind: Kind, depth: int) -> Run:
        if kind is not Kind.REF:
            return self.need(arg, depth, kind)
        if arg.data != "ref":
            self.wrong(arg, "这里要带双引号的项目编码", "a quoted item code is needed here")
        code, _symbol = self.reference(arg)
        return lambda _env: code

    def _provided(self, tree: Any, name: str, function: Function, args: Sequence[Any], depth: int) -> tuple[Kind, Run]:
        least = len(function.params) if function.required is None else function.required
        self._count(tree, args, least, len(function.params))
        runs = [self._argument(arg, kind, depth) for arg, kind in zip(args, function.params, strict=False)]
        shown = self.source[tree.meta.start_pos : tree.meta.end_pos]
        returns = function.returns

        def run(env: Env) -> Any:
            call = env.functions.get(name)
            if call is None:
                raise Stop(NotCalculable(Cause.MISSING, shown))
            return read_value(call(*(each(env) for each in runs)), returns, shown)

        return returns, run


def _operation(sign: str) -> Callable[[Decimal, Decimal], Decimal]:
    if sign in _MINUS:
        return CONTEXT.subtract
    if sign in "+＋":
        return CONTEXT.add
    return CONTEXT.multiply if sign in _TIMES else CONTEXT.divide


def exact(operation: Callable[[Decimal, Decimal], Decimal], a: Decimal, b: Decimal, name: str = "算式") -> Decimal:
    """One step in Decimal; what arithmetic cannot say becomes a cause, never an infinity."""
    try:
        result = operation(a, b)
    except decimal.DivisionByZero:
        raise Stop(NotCalculable(Cause.DIVISION)) from None
    except decimal.Overflow:
        raise Stop(NotCalculable(Cause.OVERFLOW)) from None
    except decimal.InvalidOperation:
        division = b == 0 and operation == CONTEXT.divide
        raise Stop(NotCalculable(Cause.DIVISION) if division else NotCalculable(Cause.DOMAIN, name)) from None
    if not result.is_finite():  # 0^-1 raises nothing
        raise Stop(NotCalculable(Cause.OVERFLOW))
    return result
