"""The ward's pop-up in a browser: it cannot be closed, so what it asks for must come in front of it."""

from __future__ import annotations

from sqlalchemy import text

from tests.cloud.bench.world import World
from tests.cloud.critical.test_critical import call, confirmed, day, state, version, world
from tests.support.browse import BASE, browser
from tests.support.lab import PIN

__all__ = ["day", "world"]


def test_a_doctor_signs_in_front_of_the_pop_up(day: World) -> None:
    event = confirmed(day)
    with day.lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET wards = ARRAY['内科一病区'] WHERE employee_no = 'clinician1'"))
    with browser(day.lab.client("clinician"), width=375, height=812) as page:
        page.goto(f"{BASE}/clinic")
        page.wait_for_selector("dialog.cv-popup[open]")
        page.keyboard.press("Escape")
        page.fill("dialog.cv-popup input[name=readback]", "6.8")
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog.signing[open]")
        assert page.evaluate("document.activeElement.name") == "pin"
        page.keyboard.type("000000")
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog.signing[open] .notice.bad")
        page.keyboard.type(PIN)
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog.cv-popup", state="detached")
    assert state(day, event) == "doctor_acknowledged"


def test_why_an_answer_did_not_count_stays_until_somebody_answers(day: World) -> None:
    """A wrong read-back is told to the whole ward, so the pop-up is asked for anew at once: the reason was gone after half a second."""
    event = confirmed(day)
    with day.lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET wards = ARRAY['内科一病区'] WHERE employee_no = 'nurse1'"))
    seen: list[str] = []
    with browser(day.lab.client("nurse"), seen) as page:

        def refresh() -> None:
            asked = seen.count("GET /critical/clinic/waiting")
            with page.expect_response("**/critical/clinic/waiting"):
                page.evaluate("htmx.trigger(document.querySelector('.front'), 'sse:critical')")
            assert seen.count("GET /critical/clinic/waiting") == asked + 1
            page.wait_for_timeout(100)

        page.goto(f"{BASE}/")
        page.wait_for_selector("dialog.cv-popup[open]")
        page.fill("dialog.cv-popup input[name=readback]", "8.6")
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog.cv-popup .answer.bad")
        refresh()
        assert "不一致" in page.inner_text("dialog.cv-popup .answer.bad")
        answer = day.lab.client("tester").post(f"/critical/phone/{event}", call() | {"version": version(day, event)}, htmx=True)
        assert answer.status_code == 200 and state(day, event) == "received"
        refresh()
        page.wait_for_selector("dialog.cv-popup", state="detached")
