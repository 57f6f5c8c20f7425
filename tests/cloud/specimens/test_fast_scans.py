"""Scan after scan faster than the answers come, in a real browser: no code is lost, cut or sent twice, and their order stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Dialog, Page, Route, expect

from cloud.modules.specimens import service
from cloud.web import cookie
from tests.cloud.catalog.seed import seed
from tests.support.browse import BASE, browser
from tests.support.database import TestDatabase
from tests.support.hospital import MORNING
from tests.support.lab import Clock, Lab, make
from tests.support.ordering import place


@pytest.fixture
def lab(fresh_db: TestDatabase) -> Iterator[Lab]:
    made = make(fresh_db, Clock(MORNING))
    with made.uow() as uow:
        seed(uow)
    yield made
    made.db.dispose()


def labelled(lab: Lab, no: str, *codes: str) -> tuple[int, list[str]]:
    """A patient's labelled tubes."""
    with lab.uow() as uow:
        placed = place(uow, *codes, patient_no=no)
        service.print_labels(uow, placed.patient_id, placed.item_ids, ("name", "birth"))
        return placed.patient_id, [t.barcode for t in service.open_tubes(uow, placed.patient_id)]


def slow(page: Page, path: str, seconds: float) -> list[str]:
    """Answers of a page come late from now on; the codes it was asked, as they were asked."""
    asked: list[str] = []

    def later(route: Route) -> None:
        if route.request.method == "POST":
            asked.append(parse_qs(route.request.post_data or "").get("code", [""])[0])
            time.sleep(seconds)
        route.fallback()

    page.route(f"**{path}", later)
    return asked


def type_like_a_scanner(page: Page, codes: list[str]) -> None:
    """One code behind the other, each with its Enter, without looking at the screen."""
    for code in codes:
        page.keyboard.type(code, delay=3)
        page.keyboard.press("Enter")


def test_ten_tubes_are_received_without_waiting_for_an_answer(lab: Lab) -> None:
    codes = []
    for n in range(10):
        patient, (code,) = labelled(lab, f"F{n}", "1001")
        with lab.uow() as uow:
            service.collect(uow, code, patient)
        codes.append(code)
    with browser(lab.client("receiver")) as page:
        page.goto(f"{BASE}/sp/receive")
        asked = slow(page, "/sp/receive", 0.07)
        page.focus("input[data-scan-here]")
        type_like_a_scanner(page, [*codes, codes[0]])
        expect(page.locator("#scans li")).to_have_count(11)
        assert asked == [*codes, codes[0]]
        assert page.locator("#scans li.ok").count() == 10 and page.locator("#scans li.warn").count() == 1
        assert page.input_value("input[data-scan-here]") == "" and page.evaluate("document.activeElement.name") == "code"


def test_patient_and_tubes_are_scanned_in_one_go(lab: Lab) -> None:
    """The collection page is replaced by each answer, and the field with it."""
    _patient, codes = labelled(lab, "G1", "1001", "1002")
    with browser(lab.client("nurse")) as page:
        page.goto(f"{BASE}/sp/collect")
        asked = slow(page, "/sp/collect", 0.11)
        page.focus("input[data-scan-here]")
        type_like_a_scanner(page, ["G1", *codes])
        expect(page.locator(".tube.done")).to_have_count(len(codes))
        assert asked == ["G1", *codes] and page.input_value("input[data-scan-here]") == ""


def test_a_code_that_never_reached_the_server_stays_in_the_field(lab: Lab) -> None:
    with browser(lab.client("receiver")) as page:
        page.goto(f"{BASE}/sp/receive")
        page.route("**/sp/receive", lambda route: route.abort() if route.request.method == "POST" else route.fallback())
        page.fill("input[data-scan-here]", "126124999990")
        page.keyboard.press("Enter")
        expect(page.locator("#notice .bad")).to_be_visible()
        assert page.input_value("input[data-scan-here]") == "126124999990"


def test_a_key_that_came_before_its_answer_stays_in_no_field(lab: Lab) -> None:
    patient, (code,) = labelled(lab, "H1", "1001")
    with lab.uow() as uow:
        service.collect(uow, code, patient)
    with browser(lab.client("receiver")) as page:
        page.goto(f"{BASE}/sp/reject")
        hands = "code => { const i = document.querySelector('[data-scan-here]'); i.value = code; i.form.requestSubmit(); i.value = '3'; }"
        page.evaluate(hands, code)  # the key falls between the scan and its answer
        expect(page.locator("#form [data-focus]")).to_be_focused()
        assert page.input_value("input[data-scan-here]") == "" and page.locator("input[name=reason_id]:checked").count() == 0


def test_what_is_left_behind_unanswered_is_asked_about_and_named_until_it_is_scanned_again(lab: Lab) -> None:
    """Left in the middle of a row of scans: the browser asks first; who leaves all the same is told which tubes are to be scanned again."""
    codes = []
    for n in range(3):
        patient, (code,) = labelled(lab, f"U{n}", "1001")
        with lab.uow() as uow:
            service.collect(uow, code, patient)
        codes.append(code)
    with browser(lab.client("receiver")) as page:
        page.goto(f"{BASE}/sp/receive")
        held: list[Route] = []
        page.route("**/sp/receive", lambda route: held.append(route) if route.request.method == "POST" else route.fallback())
        page.focus("input[data-scan-here]")
        type_like_a_scanner(page, codes)
        page.wait_for_function("!document.querySelector('[data-scan-here]').value")
        asked: list[str] = []

        def answer(dialog: Dialog) -> None:
            asked.append(dialog.type)
            dialog.accept()

        page.on("dialog", answer)
        page.goto(f"{BASE}/sp/late")
        assert asked == ["beforeunload"] and len(held) == 1
        assert page.locator("#unsent .code").text_content() == "  ".join(codes)
        page.unroute("**/sp/receive")
        page.goto(f"{BASE}/sp/receive")
        page.focus("input[data-scan-here]")
        type_like_a_scanner(page, codes[:1])
        expect(page.locator("#scans li.ok")).to_have_count(1)
        expect(page.locator("#unsent .code")).to_have_text("  ".join(codes[1:]))
        page.locator("#unsent button").click()
        assert page.locator("#unsent").count() == 0 and page.evaluate("document.activeElement.name") == "code"
        page.goto(f"{BASE}/sp/late")
        assert page.locator("#unsent").count() == 0 and asked == ["beforeunload"]


def test_what_waited_behind_a_code_that_never_came_there_is_named(lab: Lab) -> None:
    with browser(lab.client("receiver")) as page:
        page.goto(f"{BASE}/sp/receive")
        held: list[Route] = []
        page.route("**/sp/receive", lambda route: held.append(route) if route.request.method == "POST" else route.fallback())
        page.focus("input[data-scan-here]")
        type_like_a_scanner(page, ["126124999990", "126124999991"])
        page.wait_for_function("!document.querySelector('[data-scan-here]').value")
        held[0].abort()
        expect(page.locator("#unsent .code")).to_have_text("126124999991")
        assert page.input_value("input[data-scan-here]") == "126124999990"


def test_a_scan_after_the_session_ended_is_named_after_the_login_and_not_before_it(lab: Lab) -> None:
    person = lab.client("receiver")
    with browser(person) as page:
        page.goto(f"{BASE}/sp/receive")
        person.c.delete_cookie(cookie.NAME, domain="localhost")
        page.focus("input[data-scan-here]")
        type_like_a_scanner(page, ["126124999990"])
        page.wait_for_url("**/login**")
        assert page.locator("#unsent").count() == 0
        assert page.evaluate("sessionStorage.getItem('jl-unsent')") == '["126124999990"]'
