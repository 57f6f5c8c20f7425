"""Every template compiles, and none carries what our content security policy forbids or what lets data become markup."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment

from tests.support.sources import REPO

FORBIDDEN = {
    "inline script": re.compile(r"<script(?![^>]*\bsrc=)[^>]*>", re.I),
    "inline style element": re.compile(r"<style\b", re.I),
    "style attribute": re.compile(r"\sstyle\s*=", re.I),
    "event attribute": re.compile(r"\son[a-z]+\s*=\s*[\"']", re.I),
    "hx-on": re.compile(r"\s(data-)?hx-on\b", re.I),
    "javascript address": re.compile(r"javascript:", re.I),
    "js: expression of htmx": re.compile(r"hx-(vals|headers)\s*=\s*[\"']\s*js:", re.I),
    "markup from data": re.compile(r"\|\s*safe\b|\bMarkup\(|autoescape\s+false", re.I),
    "quote with a backslash": re.compile(r"=\\[\"']"),  # HTML knows no such escape: the value would begin with the backslash
    "address of another host": re.compile(r"(src|href)\s*=\s*[\"']https?://", re.I),
}


def templates() -> list[Path]:
    found = [file for tree in ("cloud", "agent") for file in sorted((REPO / tree).rglob("templates/**/*.html"))]
    return [file for file in found if "vendor" not in file.parts]


def problems(text: str) -> Iterator[str]:
    """What is wrong with one template's text."""
    for what, pattern in FORBIDDEN.items():
        yield from (f"{what}: {found.group(0).strip()}" for found in pattern.finditer(text))


def test_every_template_compiles() -> None:
    environment = Environment(extensions=["jinja2.ext.i18n", "jinja2.ext.do", "jinja2.ext.loopcontrols"], autoescape=True)
    found = templates()
    assert found
    for file in found:
        environment.parse(file.read_text(encoding="utf-8"), filename=str(file))


def test_no_template_breaks_the_policy() -> None:
    assert [f"{file.relative_to(REPO)}: {what}" for file in templates() for what in problems(file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<p style='color: red'>",
        '<a onclick="x()">',
        '<a hx-on:click="x()">',
        '<a hx-on::after-request="x()">',
        "<a hx-vals='js:{a: 1}'>",
        "{{ name|safe }}",
        "{{ name | safe }}",
        "{% autoescape false %}",
        '<script src="https://cdn.example/x.js"></script>',
        r"<option value=\"{{ p }}\">",
    ],
)
def test_each_breach_is_noticed(text: str) -> None:
    assert list(problems(text))


def test_no_page_gives_a_key_of_every_page_another_meaning() -> None:
    """The top bar stands first in every page: its keys win, and the button that shows the same key does something else."""
    key = re.compile(r'data-key="([^"{]+)"')
    usual = set(key.findall((REPO / "cloud/web/templates/base.html").read_text()))
    assert "F9" in usual
    shared = {
        path.name: both for path in sorted((REPO / "cloud/modules").rglob("*.html")) if (both := usual & set(key.findall(path.read_text())))
    }
    assert shared == {}
