"""The ward's pop-up in a browser: it cannot be closed, so what it asks for must come in front of it."""

from __future__ import annotations

from playwright.sync_api import expect
from sqlalchemy import text

from tests.cloud.bench.world import NORMAL, World
from tests.cloud.critical.test_critical import call, confirmed, day, found, state, version, world
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


def test_the_bench_shows_a_critical_value_with_the_way_to_its_check(day: World) -> None:
    tube, event = found(day)
    with day.lab.uow() as uow:
        calm = day.tube(uow)
        day.send(uow, calm, NORMAL)
    with browser(day.lab.client("tester")) as page:
        page.goto(f"{BASE}/bench/CHEM?tube={tube}")
        strip = page.locator(f"#criticals #cv-{event}")
        expect(strip).to_contain_text("6.8")
        page.keyboard.press("Alt+c")
        expect(strip.locator(".tag.ok")).to_have_count(1)
        expect(strip.locator("button")).to_contain_text("2/2")
        # One that is typed has its strip as soon as it is saved.
        page.goto(f"{BASE}/bench/CHEM?tube={calm}")
        expect(page.locator("#tube tbody.test").first).to_be_visible()
        assert page.locator("#criticals .cv-strip").count() == 0
        line = page.locator("#tube tbody.test", has_text="项目K")
        line.locator(".value input").fill("7.1")
        for _step in range(4):
            page.keyboard.press("Enter")
            page.wait_for_timeout(300)
            for name, value in (("reason", "复查"), ("again", "7.1")):
                asked = line.locator(f".ask input[name={name}]:not([type=hidden])")
                if asked.count():
                    asked.fill(value)
        expect(page.locator("#criticals .cv-strip")).to_contain_text("7.1")
    assert day.lab.client("nurse").fragment(f"/critical/tube/{tube}").status_code == 403


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
        said = page.inner_text("dialog.cv-popup .answer.bad")
        assert "您填写的“8.6”与危急值 6.8 不一致" in said and "致电检验科" in said and "重新告知" not in said
        answer = day.lab.client("tester").post(f"/critical/phone/{event}", call() | {"version": version(day, event)}, htmx=True)
        assert answer.status_code == 200 and state(day, event) == "received"
        refresh()
        page.wait_for_selector("dialog.cv-popup", state="detached")
