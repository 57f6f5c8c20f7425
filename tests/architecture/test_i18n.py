"""Chinese first, English behind the same switch: every message a page shows has its English."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from agent.english import ENGLISH as AGENT
from cloud.doctor_english import ENGLISH as DOCTOR
from common.english import ENGLISH as BOTH

ROOT = Path(__file__).parents[2]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
CALL = re.compile(r"""_\(\s*(['"])(.+?)\1""")


def catalogue() -> set[str]:
    """Every msgid that has a translation in some en.po."""
    out = set(AGENT) | set(DOCTOR) | set(BOTH)
    for path in (ROOT / "cloud").rglob("en.po"):
        with path.open("rb") as f:
            out |= {str(m.id) for m in read_po(f, locale="en") if m.id and m.string}
    return out


@functools.cache
def code(folder: str) -> dict[Path, list[ast.AST]]:
    """Calls, functions and returns of every file of a folder that has Chinese in it; read once."""
    out = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        if CHINESE.search(text := path.read_text(encoding="utf-8")):
            out[path] = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call | ast.FunctionDef | ast.Return)]
    return out


REFUSALS = {"UserError": 1, "Invalid": 0, "Conflict": 0, "NotFound": 0, "Stale": 0}
"""What is raised to be shown to a person, and where its words stand."""


def refusal(node: ast.AST) -> str | None:
    """The words of a refusal that are a plain literal."""
    at = REFUSALS.get(node.func.id) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
    if at is None or not isinstance(node, ast.Call) or len(node.args) <= at:
        return None
    words = node.args[at]
    return words.value if isinstance(words, ast.Constant) and isinstance(words.value, str) else None


def used() -> dict[str, str]:
    """Message → first file that shows it: template calls, menus, titles and refusals of the code."""
    out: dict[str, str] = {}
    for path in sorted((ROOT / "cloud").rglob("*.html")):
        for found in CALL.finditer(path.read_text(encoding="utf-8")):
            out.setdefault(found[2], str(path.relative_to(ROOT)))
    for path in sorted((ROOT / "cloud").rglob("__init__.py")):
        for node in code("cloud").get(path, ()):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "MenuItem":
                for arg in (node.args[0], node.args[3]):
                    if isinstance(arg, ast.Constant):
                        out.setdefault(str(arg.value), str(path.relative_to(ROOT)))
    for message, file in said("agent", "cloud", "common").items():
        out.setdefault(message, file)
    return out


@functools.cache
def said(*folders: str) -> dict[str, str]:
    """Key of a ``say`` → first file that says it."""
    out: dict[str, str] = {}
    for path, nodes in ((path, nodes) for folder in folders for path, nodes in code(folder).items()):
        for node in nodes:
            if (words := refusal(node)) is not None:
                out.setdefault(words, str(path.relative_to(ROOT)))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                assert isinstance(node.args[0], ast.Constant), (
                    f"{path}:{node.lineno}: the key of say() is a literal, so that it can be found"
                )
                out.setdefault(str(node.args[0].value), str(path.relative_to(ROOT)))
    return out


def placeholders(text: str) -> set[str]:
    """Names a sentence is filled with."""
    return set(re.findall(r"\{(\w+)\}", text))


def test_english_sentences_are_filled_with_nothing_their_chinese_lacks() -> None:
    for path in (ROOT / "cloud").rglob("en.po"):
        with path.open("rb") as f:
            wrong = [m.id for m in read_po(f, locale="en") if m.id and m.string and placeholders(str(m.string)) - placeholders(str(m.id))]
        assert not wrong, f"{path}: {wrong}"


@pytest.mark.parametrize("words", [AGENT, DOCTOR, BOTH])
def test_english_of_commands_is_filled_alike_and_spoken(words: dict[str, str]) -> None:
    assert not [key for key, said in words.items() if placeholders(key) != placeholders(said) or not said]
    spoken = said("agent", "cloud", "common")
    assert not [key for key in words if key not in spoken], "no sentence says this any more"


def test_what_the_agent_says_has_its_english_where_the_agent_finds_it() -> None:
    assert not {key for key in said("agent", "common") if CHINESE.search(key)} - set(AGENT) - set(BOTH)


def chinese(node: ast.AST) -> bool:
    """Whether a Chinese text stands anywhere in it."""
    return any(isinstance(c, ast.Constant) and isinstance(c.value, str) and CHINESE.search(c.value) for c in ast.walk(node))


def filled(node: ast.AST) -> bool:
    """Whether Chinese is put together with values here by other means than ``say``: nobody could translate it."""
    if isinstance(node, ast.JoinedStr | ast.BinOp):
        return chinese(node)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "join", "replace"):
        return chinese(node.func.value) or any(filled(each) for each in node.args)
    return any(filled(each) for each in ast.iter_child_nodes(node))


def sentences(function: ast.FunctionDef) -> list[ast.AST]:
    """What a function refuses with: the words of each refusal, and what a name in them was given before."""
    nodes = list(ast.walk(function))
    calls = ((node, REFUSALS.get(node.func.id)) for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    words = [node.args[at] for node, at in calls if at is not None and len(node.args) > at]
    names = {each.id for said in words for each in ast.walk(said) if isinstance(each, ast.Name)}
    given = [node for node in nodes if isinstance(node, ast.Assign)]
    return [*words, *(node.value for node in given if any(isinstance(t, ast.Name) and t.id in names for t in node.targets))]


NOT_REFUSALS = {
    "bench/rules.py": "危",  # a sign, not a sentence
    "queue/rules.py": "号窗口采血",  # spoken in the hall
    "orders/rules.py": "年龄超过",  # answered to the HIS
}
"""Sentences that ``rules.py`` files return and nobody raises."""


def test_a_refusal_with_values_is_said_so_that_it_can_be_translated() -> None:
    wrong = []
    for path, nodes in code("cloud").items():
        place = f"{path.parent.name}/{path.name}"
        returns = path.name.endswith(("rules.py", "_checks.py"))
        for node in nodes:
            if isinstance(node, ast.FunctionDef):
                wrong += [f"{path}:{node.lineno} {ast.unparse(each)[:80]}" for each in sentences(node) if filled(each)]
            elif returns and isinstance(node, ast.Return) and node.value is not None and filled(node.value):
                words = ast.unparse(node.value)
                wrong += [f"{path}:{node.lineno} {words[:80]}"] if NOT_REFUSALS.get(place, "-") not in words else []
    assert not wrong, "say(…) it (common/say.py):\n" + "\n".join(wrong)


def test_every_message_has_english() -> None:
    have = catalogue()
    missing = {m: f for m, f in used().items() if m not in have and CHINESE.search(m)}
    assert not missing, "\n".join(f"{f}: {m}" for m, f in sorted(missing.items(), key=lambda x: x[1]))
