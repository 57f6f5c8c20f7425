"""Plants one fault at a time in the rules of autoverification: a comparison flipped, a condition turned, a reason or a category dropped …

The rules are compiled anew with the fault in memory; nothing on disk changes.
"""

from __future__ import annotations

import ast
import copy
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud.modules import autoverify

PACKAGE = "cloud.modules.autoverify"
FOLDER = Path(autoverify.__file__).parent
RULES = ("delta", "mixup", "categories", "decision")
FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
# Only how a reason is written, not whether there is one; or faults that change nothing anybody could see.
IGNORED_FUNCTIONS = {"figures", "symbols", "prepare"}
EQUIVALENT = {
    "delta._limit: diff > 0 → diff >= 0": "no change at all stays below every limit, whichever way it is looked at",
}


@dataclass(frozen=True)
class Mutant:
    """One planted fault."""

    module: str
    where: str
    what: str
    tree: ast.Module

    def __str__(self) -> str:
        return f"{self.module}.{self.where}: {self.what}"


def every() -> Iterator[Mutant]:
    """All faults, one a mutant."""
    for module in RULES:
        tree = ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))
        for where, count in _functions(tree):
            for n in range(count):
                for what, mutated in _at(tree, where, n):
                    yield Mutant(module, where, what, mutated)
        if module == "decision":
            yield from _dropped_categories(tree)


def _functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name not in IGNORED_FUNCTIONS:
            yield node.name, sum(1 for _ in ast.walk(node))


def _at(tree: ast.Module, where: str, n: int) -> Iterator[tuple[str, ast.Module]]:
    node = _nth(_find(tree, where), n)
    if not isinstance(node, ast.Compare | ast.BoolOp | ast.If | ast.IfExp | ast.Expr | ast.BinOp | ast.keyword | ast.Name):
        return
    for edit in (_compare, _turn, _bool, _not, _drop, _constant, _choice):
        target = copy.deepcopy(node)
        if edit(target):
            twin = copy.deepcopy(tree)
            edit(_nth(_find(twin, where), n))
            after = "(dropped)" if edit is _drop else ast.unparse(target)
            yield f"{ast.unparse(node).splitlines()[0]} → {after.splitlines()[0]}", ast.fix_missing_locations(twin)


def _find(tree: ast.Module, name: str) -> ast.FunctionDef:
    return next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name)


def _nth(function: ast.AST, n: int) -> ast.AST:
    return next(node for i, node in enumerate(ast.walk(function)) if i == n)


def _compare(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in FLIPPED:
        node.ops[0] = FLIPPED[type(node.ops[0])]()
        return True
    return False


def _turn(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in TURNED:
        node.ops[0] = TURNED[type(node.ops[0])]()
        return True
    return False


def _bool(node: ast.AST) -> bool:
    if isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return True
    return False


def _not(node: ast.AST) -> bool:
    if isinstance(node, ast.If | ast.IfExp):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return True
    return False


def _drop(node: ast.AST) -> bool:
    """A reason that is no longer given: a yield without its value's statement."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom):
        node.value = ast.YieldFrom(ast.Tuple([], ast.Load()))
        return True
    return False


def _constant(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Mult | ast.Sub):
        node.op = ast.Mult() if isinstance(node.op, ast.Div) else ast.Add()
        return True
    if isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, int):
        node.value = ast.Constant(node.value.value + 1)
        return True
    return False


def _choice(node: ast.AST) -> bool:
    if isinstance(node, ast.Name) and node.id in ("min", "max"):
        node.id = "max" if node.id == "min" else "min"
        return True
    return False


def _dropped_categories(tree: ast.Module) -> Iterator[Mutant]:
    for n in range(len(_checks(tree).elts)):
        twin = copy.deepcopy(tree)
        gone = _checks(twin).elts.pop(n)
        yield Mutant("decision", "CHECKS", f"{ast.unparse(gone)} → (dropped)", ast.fix_missing_locations(twin))


def _checks(tree: ast.Module) -> ast.Tuple:
    found = next(n for n in tree.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name) and n.target.id == "CHECKS")
    assert isinstance(found.value, ast.Tuple)
    return found.value


@contextmanager
def planted(mutant: Mutant) -> Iterator[Callable[..., Any]]:
    """``decide`` with the fault in it."""
    names = [f"{PACKAGE}.{each}" for each in RULES]
    kept = {name: sys.modules[name] for name in names}
    try:
        for each, name in zip(RULES, names, strict=True):
            made = types.ModuleType(name)
            sys.modules[name] = made
            source: Any = mutant.tree if each == mutant.module else ast.parse((FOLDER / f"{each}.py").read_text(encoding="utf-8"))
            exec(compile(source, f"<{each}>", "exec"), made.__dict__)  # noqa: S102 (our own rules, with one fault)
            setattr(autoverify, each, made)
        yield sys.modules[f"{PACKAGE}.decision"].decide
    finally:
        for each, name in zip(RULES, names, strict=True):
            sys.modules[name] = kept[name]
            setattr(autoverify, each, kept[name])
