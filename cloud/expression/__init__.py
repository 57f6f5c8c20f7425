"""The laboratory's one small expression language: formulas, judgements and rules over results, in Decimal. Pure; see README.md."""

from cloud.expression.language import MAX_DEPTH, MAX_LENGTH, Problem, compile
from cloud.expression.order import cycle, in_order
from cloud.expression.program import Env, Function, Program, Symbol, Symbols, read_value
from cloud.expression.types import Cause, ExpressionError, Kind, NotCalculable, Result

__all__ = [
    "MAX_DEPTH",
    "MAX_LENGTH",
    "Cause",
    "Env",
    "ExpressionError",
    "Function",
    "Kind",
    "NotCalculable",
    "Problem",
    "Program",
    "Result",
    "Symbol",
    "Symbols",
    "compile",
    "cycle",
    "in_order",
    "read_value",
]
