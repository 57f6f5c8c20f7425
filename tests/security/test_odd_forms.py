"""No field of a form that a page shows, missing or odd, makes the page fail or lose what was typed beside it."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

from tests.cloud.autoverify.floor import Floor, open_floor
from tests.security.odd_forms import Page, lost, wrong
from tests.support.database import TestDatabase
from tests.support.lab import Lab, make


def scene(lab: Lab) -> Floor:
    """Tubes that wait, are held and are told, with a critical value, controls and a rule set."""
    floor = open_floor(lab)
    floor.tube({"K": "6.8", "NA": "140"})
    floor.tube({"K": "4.1"})
    floor.tube()
    floor.decide()
    return floor


def test_no_field_of_a_form_breaks_it_or_loses_what_was_typed(fresh_db: TestDatabase) -> None:
    lab, tried = make(fresh_db), Counter[str]()
    scene(lab)
    found = wrong(lab, tried=tried)
    lab.db.dispose()
    assert found == []
    routes = {what.rsplit(" ", 1)[0] for what in tried}
    assert len(routes) > 60 and {"/sp/receive", "/qc/entry", "/orders/manual"} & routes, sorted(routes)


def test_a_field_that_comes_back_empty_is_named() -> None:
    html = (
        '<form method="post" action="/x"><input name="a" value="{}"><textarea name="b">\n{}</textarea><input type="hidden" name="c"></form>'
    )
    (form,) = Page(html.format("1", "2")).forms
    assert form.sent == [("a", "1"), ("b", "2"), ("c", "")]
    for a, b, named in (("1", "2", []), ("", "2", ["a"]), ("1", "3", ["b"])):
        answer = SimpleNamespace(status_code=422, content_type="text/html", text=html.format(a, b))
        assert lost(form, form.sent, answer) == named
