"""What people type, as the bench's verbs take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cloud.modules.bench.choosing import Choice
from common.errors import UserError
from common.say import say

MOST_TESTS = 300


@dataclass(frozen=True, slots=True)
class Entry:
    """What a person typed for one test. ``version``: the one the form showed; ``again``: typed twice; ``sure``: the hint was confirmed."""

    test_id: int
    version: int
    text: str
    again: str = ""
    sure: bool = False
    reason: str = ""


def entries_of(form: Mapping[str, str]) -> list[Entry]:
    """All values typed for a tube: ``v-<test>`` with the version the page showed (``n-``), and the answers to what was asked back
    (``again-``, ``sure-``, ``reason-``). Raises UserError for more than any tube has."""
    wanted = sorted(int(k[2:]) for k in form if k.startswith("v-") and k[2:].isascii() and k[2:].isdigit() and len(k) < 20)
    if len(wanted) > MOST_TESTS:
        raise UserError("invalid", say("一次提交的项目太多，请刷新页面后重试。"))
    return [
        Entry(
            test_id=i,
            version=_number(form.get(f"n-{i}", "")),
            text=form[f"v-{i}"],
            again=form.get(f"again-{i}", ""),
            sure=form.get(f"sure-{i}") == "1",
            reason=form.get(f"reason-{i}", ""),
        )
        for i in wanted
    ]


def choices_of(form: Mapping[str, str]) -> list[Choice]:
    """What was chosen of a tube's rival values: ``c-<test>`` the version, ``n-<test>`` the test as it was shown."""
    wanted = sorted(int(k[2:]) for k in form if k.startswith("c-") and k[2:].isascii() and k[2:].isdigit() and len(k) < 20)
    if len(wanted) > MOST_TESTS:
        raise UserError("invalid", say("一次提交的项目太多，请刷新页面后重试。"))
    return [Choice(i, _number(form.get(f"n-{i}", "")), _id(form[f"c-{i}"])) for i in wanted]


def _id(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
