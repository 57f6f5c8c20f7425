"""What people type, as the bench's verbs take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from common.errors import UserError

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
        raise UserError("invalid", "一次提交的项目太多，请刷新页面后重试。")
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


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
