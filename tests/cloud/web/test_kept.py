"""What is kept: a web process goes on with the pages it started with; a person keeps what was typed where it was refused."""

from __future__ import annotations

from urllib.parse import parse_qs

import jinja2
import pytest
from playwright.sync_api import expect

from tests.support.browse import browser
from tests.support.lab import Lab


def test_pages_are_read_at_the_start_and_never_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_self: object, _environment: object, name: str) -> object:
        raise AssertionError(f"{name} is read from disk while people work")

    monkeypatch.setattr(jinja2.FileSystemLoader, "get_source", gone)
    assert lab.client("tester").get("/login").status_code == 200
    for role, path in (("tester", "/bench"), ("nurse", "/queue/window"), ("clinician", "/clinic"), ("receiver", "/sp/receive")):
        assert lab.client(role).get(path).status_code in (200, 303), path


def test_what_was_typed_into_a_refused_form_is_still_there(lab: Lab) -> None:
    """Any form of ours, sent without htmx: the refusal says why, and Esc leads back to the form as it was filled in."""
    with browser(lab.client("tester")) as page:
        page.goto("https://localhost/me")
        page.fill("input[name=to]", "nobody7")
        page.fill("input[name=reason]", "外出会议")
        page.uncheck("input[value='results:enter']")
        page.evaluate("for (const f of document.querySelectorAll('form')) f.noValidate = true")
        page.click("form[action='/me/delegations'] button:not([type=button])")
        page.wait_for_selector("[data-back]")
        assert "请填写结束时间" in page.content() and "填写的内容还在上一页" in page.content()
        page.keyboard.press("Escape")
        expect(page.locator("input[name=to]")).to_have_value("nobody7")  # the browser fills it in after the page is there
        expect(page.locator("input[name=reason]")).to_have_value("外出会议")
        assert not page.is_checked("input[value='results:enter']") and page.is_checked("input[value='results:read']")


def test_what_an_answer_brings_takes_keys_at_once(lab: Lab) -> None:
    """A key in the moment between an answer's arrival and its coming alive sent the form as an address, with all that was typed in it."""
    form = '<form id="new" hx-post="/sp/bag/9/send" hx-swap="none"><input name="courier" value="运送甲"><button>发出</button></form>'
    seen = "new MutationObserver(() => document.querySelector('#new button').click())"
    asked: list[str] = []
    with browser(lab.client("tester"), asked) as page:
        page.goto("https://localhost/me")
        page.route("**/answer", lambda route: route.fulfill(body=form, content_type="text/html"))
        with page.expect_response("**/sp/bag/9/send") as told:
            page.evaluate(f"{seen}.observe(document.querySelector('main'), {{ childList: true }})")
            page.evaluate("htmx.ajax('GET', '/answer', { target: 'main', swap: 'innerHTML' })")
        request = told.value.request
        assert (request.method, parse_qs(request.post_data or "")["courier"]) == ("POST", ["运送甲"])
        assert page.url == "https://localhost/me" and [a for a in asked if a.endswith("/send")] == ["POST /sp/bag/9/send"]
