"""The product's Python files, parsed, for the tests that look at how they are written."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
TREES = ("agent", "cloud", "common")


@dataclass(frozen=True)
class Source:
    """One file: its path from the root, its dotted name, its tree."""

    path: str
    module: str
    tree: ast.Module


def parse(path: str, text: str) -> Source:
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Source(path, module, ast.parse(text))


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file of the product."""
    files = [file for tree in TREES for file in sorted((REPO / tree).rglob("*.py"))]
    return tuple(parse(file.relative_to(REPO).as_posix(), file.read_text(encoding="utf-8")) for file in files)


def imports(source: Source, typing_too: bool = False) -> Iterator[tuple[str, int]]:
    """Each imported module with its line, `from a import b` as `a.b`. Imports for the type checker only count on demand."""
    package = source.module if source.path.endswith("__init__.py") else source.module.rpartition(".")[0]
    skip = set() if typing_too else _typing_only(source.tree)
    for node in ast.walk(source.tree):
        if node in skip:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
                base = f"{parent}.{base}".rstrip(".")
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def _typing_only(tree: ast.Module) -> set[ast.AST]:
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            found.update(child for statement in node.body for child in ast.walk(statement))
    return found


def is_under(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")
