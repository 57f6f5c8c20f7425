"""Dates are typed and read the same in every browser (dates.js): here in an English one, whose own fields show 11/27/2026."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.flows.stack import CHROMIUM, FLAGS

SCRIPT = Path(__file__).parents[3] / "cloud/web/static/dates.js"
FORM = """<html lang="zh-CN"><body><form onsubmit="document.title = new URLSearchParams(new FormData(this)); return false">
<label>到 <input type="date" name="date" value="2026-05-04" max="2030-12-31" autofocus></label>
<label>时间 <input type="datetime-local" name="moment" value="2026-05-04T08:30"></label>
<label>月份 <input type="month" name="month" value="2026-05"></label><label>从 <input type="time" name="time" value="08:30"></label>
<button>ok</button></form></body></html>"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        made = browser.new_context(locale="en-US").new_page()
        made.set_content(FORM)
        made.add_script_tag(path=str(SCRIPT))
        yield made
        browser.close()


@pytest.mark.parametrize(
    ("name", "typed", "read"),
    [
        ("date", "20261127", "2026-11-27"),
        ("date", "2026-11-27", "2026-11-27"),
        ("date", "2026/1/7", "2026-01-07"),
        ("date", "2026年11月27日", "2026-11-27"),
        ("date", "２０２６－１１－２７", "2026-11-27"),
        ("date", "11-27", "{y}-11-27"),
        ("date", "1127", "{y}-11-27"),
        ("date", "2028-02-29", "2028-02-29"),
        ("date", "2026-02-29", None),
        ("date", "27-11-2026", None),
        ("date", "11/27/2026", None),
        ("date", "明天", None),
        ("date", "2031-01-01", None),
        ("date", "", ""),
        ("moment", "2026-11-27T08:30", "2026-11-27 08:30"),
        ("moment", "2026-11-27 8:30:05", "2026-11-27 08:30:05"),
        ("moment", "20261127 0830", "2026-11-27 08:30"),
        ("moment", "202611270830", "2026-11-27 08:30"),
        ("moment", "11-27 20：05", "{y}-11-27 20:05"),
        ("moment", "2026-11-27", None),
        ("moment", "2026-11-27 24:00", None),
        ("month", "2026-9", "2026-09"),
        ("month", "202609", "2026-09"),
        ("month", "9", "{y}-09"),
        ("month", "2026-13", None),
        ("time", "830", None),
        ("time", "0830", "08:30"),
        ("time", "8:5", "08:05"),
        ("time", "24:00", None),
    ],
)
def test_what_is_typed_is_read_shown_at_once_and_sent_so(page: Page, name: str, typed: str, read: str | None) -> None:
    field = page.locator(f"input[name={name}]")
    field.fill(typed)
    page.keyboard.press("Enter")
    if read is None:
        assert field.input_value() == typed and field.get_attribute("aria-invalid") == "true", "nothing typed is lost"
        assert page.evaluate(f"document.querySelector('[name={name}]').validationMessage"), "and it says how to write it"
        field.fill("")
        return
    read = read.format(y=page.evaluate("new Date().getFullYear()"))
    assert field.input_value() == read and field.get_attribute("aria-invalid") is None
    sent = page.evaluate("Object.fromEntries(new URLSearchParams(document.title))")
    assert sent[name] == read and set(sent) == {"date", "moment", "month", "time"}, "the picker itself sends nothing"


def test_values_of_the_page_stand_in_the_same_writing_and_the_calendar_can_be_opened(page: Page) -> None:
    page.set_content(FORM)
    page.focus("input[name=date]")
    page.add_script_tag(path=str(SCRIPT))
    assert [f.input_value() for f in page.locator("input.when").all()] == ["2026-05-04", "2026-05-04 08:30", "2026-05", "08:30"]
    assert page.evaluate("document.activeElement.name") == "date" and page.get_by_label("到").input_value() == "2026-05-04"
    page.keyboard.press("Alt+ArrowDown")
    picker = page.locator("input.picker[type=date]")
    assert picker.input_value() == "2026-05-04"
    picker.evaluate("p => { p.value = '2026-06-30'; p.dispatchEvent(new Event('change', {bubbles: true})) }")
    assert page.locator("input[name=date]").input_value() == "2026-06-30"
