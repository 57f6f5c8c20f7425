"""Chinese first, English behind the same switch: every message a page shows has its English."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[2]
CALL = re.compile(r"""_\(\s*(['"])(.+?)\1""")


def catalogue() -> set[str]:
    """Every msgid that has a translation in some en.po."""
    out: set[str] = set()
    for path in (ROOT / "cloud").rglob("en.po"):
        with path.open("rb") as f:
            out |= {str(m.id) for m in read_po(f, locale="en") if m.id and m.string}
    return out


def used() -> dict[str, str]:
    """Message → first file that shows it: template calls, menus, titles and refusals of the code."""
    out: dict[str, str] = {}
    for path in sorted((ROOT / "cloud").rglob("*.html")):
        for found in CALL.finditer(path.read_text(encoding="utf-8")):
            out.setdefault(found[2], str(path.relative_to(ROOT)))
    for path in sorted((ROOT / "cloud").rglob("__init__.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "MenuItem":
                for arg in (node.args[0], node.args[3]):
                    if isinstance(arg, ast.Constant):
                        out.setdefault(str(arg.value), str(path.relative_to(ROOT)))
    return out


def test_every_message_has_english() -> None:
    have = catalogue()
    missing = {m: f for m, f in used().items() if m not in have and re.search(r"[\u4e00-\u9fff]", m)}
    assert not missing, "\n".join(f"{f}: {m}" for m, f in sorted(missing.items(), key=lambda x: x[1]))
