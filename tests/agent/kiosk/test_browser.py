"""The kiosk's page in a real browser: three steps, targets of 64 px and more, back to the start by itself."""

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright
from werkzeug.serving import make_server

from agent.kiosk.desk import Desk, Settings
from agent.kiosk.screen import make_app
from agent.kiosk.tickets import CHINA, Book

CHROMIUM = "/usr/bin/chromium"


class Shelf:
    """A shelf in memory; the real one has its tests in test_kiosk."""

    def __init__(self) -> None:
        self.tickets: list[Mapping[str, Any] | None] = []

    def book(self) -> str:
        today = datetime.now(UTC).astimezone(CHINA).date().isoformat()
        return Book("甲医院（虚构）", 1, {today: ((800, 849),)}).to_json()

    def keep(self, book: str, ticket: Mapping[str, Any] | None) -> bool:
        self.tickets.append(ticket)
        return True


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def page(shelf: Shelf) -> Iterator[Page]:
    server = make_server("127.0.0.1", 0, make_app(Desk(Settings("K1", "1F"), shelf, None)), threaded=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1366, "height": 768})
        shown.clock.install()
        shown.goto(f"http://127.0.0.1:{server.server_port}/")
        yield shown
        browser.close()
    server.shutdown()
    server.server_close()


def small_targets(page: Page) -> list[Any]:
    """What a finger would miss."""
    found: list[Any] = page.evaluate(
        "[...document.querySelectorAll('button, a')].map(e => [e.textContent.trim(), e.getBoundingClientRect()])"
        ".filter(([, r]) => r.height && (r.height < 64 || r.width < 64)).map(([t]) => t)"
    )
    return found


def test_three_steps_to_a_number(page: Page, shelf: Shelf) -> None:
    assert page.is_disabled("#go") and small_targets(page) == []
    for digit in "20260042":
        page.click(f'[data-digit="{digit}"]')
    page.click("#go")
    assert small_targets(page) == []
    page.click('[data-answer="yes"]')
    page.wait_for_selector("#ticket:not([hidden])")
    assert page.inner_text("#number") == "N800" and small_targets(page) == []
    assert shelf.tickets[0] is not None and shelf.tickets[0]["answers"] == {"fasting": "yes"} and shelf.tickets[0]["card"] == "20260042"
    assert page.is_visible("#offline")
    page.clock.run_for(13_000)
    assert page.is_visible("#card") and page.inner_text("#code") == ""


def test_a_scanner_types_and_an_idle_page_forgets(page: Page, shelf: Shelf) -> None:
    page.keyboard.type("C-778899")
    assert page.inner_text("#code") == "C-778899"
    page.clock.run_for(31_000)
    assert page.inner_text("#code") == ""
    page.keyboard.type("C-778899")
    page.keyboard.press("Enter")
    assert page.is_visible(".question")
    page.clock.run_for(31_000)
    assert page.is_visible("#card") and shelf.tickets == []
