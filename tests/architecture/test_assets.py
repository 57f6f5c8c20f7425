"""Our scripts and styles run in Chrome 109 — and the check that says so notices when they would not."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.web.assets_build import REPO
from tests.support import assets

pytestmark = pytest.mark.skipif(not (REPO / "node_modules" / "eslint").exists(), reason="the check's tools are not fetched (./dev setup)")

TOO_NEW_SCRIPTS = [
    "const a = Object.groupBy([1], (x) => x); a.b = 1;",
    "document.startViewTransition(() => 1);",
    "Promise.withResolvers();",
    "const re = /[a--b]/v; re.test('a');",
    "using x = open();",
    "new Set([1]).union(new Set([2]));",
    "eval('1');",
]
TOO_NEW_STYLES = [
    ".a { color: red; .b { color: blue; } }",
    ".a { color: color-mix(in srgb, red, blue); }",
    ".a { display: grid; grid-template-columns: subgrid; }",
    ".a { text-wrap: balance; }",
    "@scope (.a) { p { color: red; } }",
    ".a { font-style: italic; }",
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Inside the project: the tools look at nothing outside of it."""
    (REPO / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=REPO / "build") as name:
        yield Path(name)


def test_our_files_pass() -> None:
    scripts, sheets = assets.own_files("js"), assets.own_files("css")
    assert scripts
    assert sheets
    done = assets.lint(scripts, sheets)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_planted_script_is_caught(folder: Path) -> None:
    files = _write(folder, TOO_NEW_SCRIPTS, "js")
    out = assets.lint(files, []).stdout
    assert [file.name for file in files if file.name not in out] == []


def test_each_planted_style_is_caught(folder: Path) -> None:
    files = _write(folder, TOO_NEW_STYLES, "css")
    done = assets.lint([], files)
    out = done.stdout + done.stderr
    assert [file.name for file in files if file.name not in out] == []


def _write(folder: Path, texts: list[str], ending: str) -> list[Path]:
    files = [folder / f"planted{i}.{ending}" for i in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text + "\n")
    return files
