"""No odd id, parameter or form field makes a page fail: every route answers in words, never with 500."""

from __future__ import annotations

from tests.security.odd import failed
from tests.support.lab import Lab


def test_odd_input_is_answered_in_words(lab: Lab) -> None:
    assert failed(lab) == []
