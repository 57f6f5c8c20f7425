"""The receiving desk in a real browser: its keys, and a refusal that stays until it is read, or until the next step went right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text

from cloud.modules.catalog.models import SavedSetting
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
        uow.s.add(SavedSetting(key="specimens", value={"transport_minutes": 60}))
    yield made
    made.db.dispose()


def collected(lab: Lab, no: str) -> str:
    """A tube on its way; its barcode."""
    with lab.uow() as uow:
        placed = place(uow, "1001", patient_no=no)
        service.print_labels(uow, placed.patient_id, placed.item_ids, ("name", "birth"))
        (tube,) = service.open_tubes(uow, placed.patient_id)
        service.collect(uow, tube.barcode, placed.patient_id)
        return tube.barcode


def scan(page: Page, code: str) -> None:
    page.fill("input[data-scan-here]", code)
    page.keyboard.press("Enter")
    expect(page.locator("#answer")).to_contain_text(code)


def test_a_late_tube_is_conceded_by_its_key(lab: Lab) -> None:
    code = collected(lab, "D1")
    lab.clock.advance(minutes=61)
    with browser(lab.client("receiver")) as page:
        page.goto(f"{BASE}/sp/receive")
        scan(page, code)
        expect(page.locator("#answer .answer.bad")).to_be_visible()
        assert page.locator("[data-key=F4]").count() == 0  # a receiver may not concede: no key that answers with a refusal
    with browser(lab.client("senior")) as page:
        page.goto(f"{BASE}/sp/receive")
        scan(page, code)
        page.keyboard.press("F4")
        page.wait_for_url(f"{BASE}/sp/tubes/*#conditional")
        expect(page.locator("#conditional input[name=caveat]")).to_be_focused()
        page.keyboard.type("超时送达")
        page.keyboard.press("Enter")
        expect(page.locator(".notice.warn", has_text="超时送达")).to_be_visible()
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT state FROM specimen WHERE barcode = :b"), {"b": code}).scalar_one() == "conditional"


def register(page: Page, name: str, drawn: str = "") -> None:
    """A tube with its paper, by the keyboard."""
    page.fill("input[name=name]", name)
    page.select_option("select[name=sex]", "F")
    page.fill("input[name=birth]", "1990-03-07")
    page.check("input[name=paid]")
    page.check("input[name=order_set] >> nth=0")
    page.evaluate("at => { document.querySelector('[name=collected_at]').value = at }", drawn)
    for key in ("Alt+1", "Alt+2", "F8"):
        page.keyboard.press(key)


def test_a_tube_is_registered_with_its_paper_and_a_late_one_left_to_who_decides(lab: Lab) -> None:
    """What is asked beside the form (is this person known?) must not take the form away."""
    with browser(lab.client("receiver")) as page:
        page.goto(f"{BASE}/sp/register")
        register(page, "登记甲")
        expect(page.locator("#work .answer.ok", has_text="登记甲")).to_be_visible()
        register(page, "登记甲")  # the same name and birthday: asked, and nothing typed is lost
        expect(page.locator("#like .notice", has_text="是同一人吗")).to_be_visible()
        expect(page.locator("#notice .notice")).to_contain_text("确为另一人")
        assert page.input_value("input[name=name]") == "登记甲"
        drawn = (lab.clock() - timedelta(minutes=61)).astimezone(ZoneInfo("Asia/Shanghai"))
        page.goto(f"{BASE}/sp/register")
        register(page, "登记乙", drawn.strftime("%Y-%m-%dT%H:%M"))
        late = page.locator("#work .answer.bad", has_text="没有核收")
        expect(late).to_contain_text("登记乙")
        code = late.locator(".code").inner_text()
        page.keyboard.press("Alt+r")
        page.wait_for_url(f"{BASE}/sp/reject?code={code}")
        expect(page.locator("input[name=reason_id] >> nth=0")).to_be_focused()
        page.wait_for_timeout(150)
        page.keyboard.press("1")
        expect(page.locator("input[name=reason_id] >> nth=0")).to_be_checked()
        page.keyboard.press("F4")
        expect(page.locator("#form .answer.ok")).to_contain_text(code)


def note_haemolysis(page: Page) -> None:
    """What is seen on the tube just scanned, by its keys."""
    page.keyboard.press("F6")
    page.wait_for_timeout(150)  # no hand is as fast as a scanner, whose keys are never choices
    page.keyboard.press("1")
    expect(page.locator("#issues-box input[value=haemolysis]")).to_be_checked()
    page.keyboard.press("F4")


def test_what_is_seen_on_a_tube_is_noted_by_keys_alone(lab: Lab) -> None:
    code = collected(lab, "D2")
    with browser(lab.client("receiver")) as page:
        page.goto(f"{BASE}/sp/receive")
        scan(page, code)
        note_haemolysis(page)
        expect(page.locator("#noted")).to_contain_text("溶血")
        expect(page.locator("#issues-box")).to_be_hidden()
        expect(page.locator("input[data-scan-here]")).to_be_focused()
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT issues FROM specimen WHERE barcode = :b"), {"b": code}).scalar_one() == ["haemolysis"]


def test_a_refusal_stays_until_it_is_read_or_the_next_step_went_right(lab: Lab) -> None:
    first, second = collected(lab, "D3"), collected(lab, "D4")

    def refused(page: Page, code: str) -> None:
        """Its condition is to be noted, and meanwhile somebody said that it is lost."""
        scan(page, code)
        with lab.uow() as uow:
            tube = uow.s.execute(text("SELECT id FROM specimen WHERE barcode = :b"), {"b": code}).scalar_one()
            service.mark_lost(uow, tube, "冰箱、离心机")
        note_haemolysis(page)
        expect(page.locator("#notice .notice")).to_contain_text("丢失")
        assert page.locator("#issues-box").get_attribute("open") is not None  # what was ticked is not lost with it
        page.keyboard.press("Escape")
        expect(page.locator("#notice .notice")).to_be_visible()  # Esc closed the box, which lay over it

    with browser(lab.client("receiver")) as page:
        page.goto(f"{BASE}/sp/receive")
        refused(page, first)
        page.keyboard.press("Escape")
        expect(page.locator("#notice .notice")).to_have_count(0)
        refused(page, second)
        # A look at something is no step: it stays. A scan that went right is one.
        page.evaluate("htmx.ajax('GET', '/sp/find?code=T0', { target: '#noted' })")
        expect(page.locator("#noted")).not_to_be_empty()
        expect(page.locator("#notice .notice")).to_be_visible()
        third = collected(lab, "D5")
        scan(page, third)
        expect(page.locator("#notice .notice")).to_have_count(0)


def test_at_the_bedside_a_tube_stands_in_two_lines_of_a_phone(lab: Lab) -> None:
    """Number and state in one, what it is in the other: side by side the tube's kind stood one character wide."""
    collected(lab, "D5")
    with browser(lab.client("nurse"), width=375, height=740) as page:
        page.goto(f"{BASE}/sp/collect")
        page.keyboard.type("D5")
        page.keyboard.press("Enter")
        tube = page.locator(".tube")
        expect(tube).to_contain_text("已采集")
        code, kind = tube.locator(".code").bounding_box(), tube.locator(".grow").bounding_box()
        assert code is not None and kind is not None and kind["y"] >= code["y"] + code["height"] and kind["width"] > 250
