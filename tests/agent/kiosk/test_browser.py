"""The kiosk's page in a real browser: three steps, targets of 64 px and more, back to the start by itself."""

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright
from werkzeug.serving import make_server

from agent.kiosk.cloud import Told
from agent.kiosk.desk import Desk, Settings
from agent.kiosk.screen import make_app
from agent.kiosk.tickets import CHINA, Book

CHROMIUM = "/usr/bin/chromium"


class Says:
    """A cloud that gives a card one answer; the real one speaks in test_kiosk."""

    def __init__(self, status: int, **body: Any) -> None:
        self.told = Told(status, body)
        self.asked: list[str] = []

    def ask(self, question: Mapping[str, Any]) -> Told:
        self.asked.append(question["do"])
        return self.told


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
def desk(shelf: Shelf) -> Desk:
    return Desk(Settings("K1", "1F"), shelf, None)


@pytest.fixture
def page(desk: Desk) -> Iterator[Page]:
    server = make_server("127.0.0.1", 0, make_app(desk), threaded=True)
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
    page.wait_for_selector(".question:not([hidden])")
    assert small_targets(page) == [] and not page.is_visible(".who")
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
    page.wait_for_selector(".question:not([hidden])")
    page.clock.run_for(31_000)
    assert page.is_visible("#card") and shelf.tickets == []


def test_whom_nobody_knows_is_told_so_before_any_question(page: Page, desk: Desk) -> None:
    cloud = desk._cloud = Says(404, message="没有找到您的信息。")
    page.keyboard.type("C-1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#trouble:not([hidden])")
    assert page.inner_text("#message") == "没有找到您的信息。" and cloud.asked == ["recognise"]
    page.click("#trouble .back")
    assert page.is_visible("#card") and page.inner_text("#code") == ""


def test_a_patient_is_greeted_with_a_masked_name_and_then_asked(page: Page, desk: Desk) -> None:
    cloud = desk._cloud = Says(200, name="张*伟", has_number=False)
    page.keyboard.type("C-1")
    page.keyboard.press("Enter")
    page.wait_for_selector(".question:not([hidden])")
    assert page.inner_text(".who") == "张*伟，您好" and cloud.asked == ["recognise"]
    # An impatient second scan of the card answers nothing.
    page.keyboard.type("C-1")
    page.keyboard.press("Enter")
    assert page.is_visible(".question") and cloud.asked == ["recognise"]


def test_what_is_answered_after_the_patient_left_is_nobodys(page: Page, desk: Desk) -> None:
    gate, answered = threading.Event(), list[str]()
    # From the beginning: the driver tells of requests only once it has heard that somebody listens, and the answer does not wait for that.
    page.on("requestfinished", lambda request: answered.append(request.url) if request.url.endswith("/recognise") else None)

    class Slow(Says):
        def ask(self, question: Mapping[str, Any]) -> Told:
            assert gate.wait(30)
            return super().ask(question)

    desk._cloud = Slow(200, name="张*伟", has_number=False)
    page.keyboard.type("C-1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#wait:not([hidden])")
    page.keyboard.press("Escape")
    gate.set()
    for _ in range(600):
        if answered:
            break
        page.wait_for_timeout(50)
    assert answered
    page.keyboard.type("C")
    assert page.is_visible("#card") and page.inner_text("#code") == "C"


def test_english_by_one_touch_and_chinese_again_for_the_next(page: Page, desk: Desk) -> None:
    page.click("#lang")
    assert small_targets(page) == [] and page.inner_text("#go") == "Next" and page.inner_text("#lang") == "中文"
    desk._cloud = Says(404, message="没有找到您的信息。", english="You were not found.")
    page.keyboard.type("C-1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#trouble:not([hidden])")
    assert page.inner_text("#message") == "You were not found."
    # Who starts again is still the same person.
    page.click("#trouble .back")
    assert page.inner_text("#go") == "Next"
    desk._cloud = Says(200, name="张*伟", has_number=False)
    page.keyboard.type("C-2")
    page.keyboard.press("Enter")
    page.wait_for_selector(".question:not([hidden])")
    assert page.inner_text(".who") == "Welcome, 张*伟" and page.inner_text('[data-answer="no"]') == "Yes, I have"
    desk._cloud = None
    page.click('[data-answer="no"]')
    page.wait_for_selector("#ticket:not([hidden])")
    assert page.inner_text("#ticket-head") == "Your number" and "valid" in page.inner_text("#ahead")
    shown = page.inner_text("main") + page.inner_text("footer")
    assert not [sign for sign in shown if "\u4e00" <= sign <= "\u9fff"], shown
    paper = next(iter(desk._papers.values()))
    assert paper.lines()[1].startswith("【离线】") and paper.lines()[-1].startswith("check in again")
    page.clock.run_for(13_000)
    assert page.is_visible("#card") and page.inner_text("#go") == "下一步" and page.get_attribute("html", "lang") == "zh-CN"


@pytest.mark.parametrize("size", [(375, 667), (375, 812), (768, 1024), (1080, 1920), (1024, 600)])
def test_all_steps_fit_the_screen_they_are_shown_on(page: Page, size: tuple[int, int]) -> None:
    """From a phone to a standing kiosk: nothing is cut off at the side, and no target is too small for a finger."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for language in ("zh", "en"):
        assert page.evaluate(over) <= 0 and small_targets(page) == [], language
        page.click("#lang")
    for digit in "20260042":
        page.click(f'[data-digit="{digit}"]')
    page.click("#go")
    page.wait_for_selector(".question:not([hidden])")
    assert page.evaluate(over) <= 0 and small_targets(page) == []
    page.click('[data-answer="yes"]')
    page.wait_for_selector("#ticket:not([hidden])")
    assert page.evaluate(over) <= 0 and small_targets(page) == []
