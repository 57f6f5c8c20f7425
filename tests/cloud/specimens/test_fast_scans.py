"""Scan after scan faster than the answers come, in a real browser: no code is lost, cut or sent twice, and their order stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page, Route, expect

from cloud.modules.specimens import service
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
