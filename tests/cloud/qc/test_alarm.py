"""A rejection that an analyzer's own control makes is heard, whatever page one is on (M11 alerts)."""

from __future__ import annotations

from tests.cloud.qc.shop import HOUR, NOON, Shop
from tests.support.browse import BASE, browser


def test_a_rejection_is_heard_once_on_any_page_and_is_no_scans_sound(shop: Shop) -> None:
    lab = shop.world.lab
    heard = "[document.body.dataset.alarm ?? '', document.body.dataset.lastSound ?? '']"
    with browser(lab.client("tester")) as page:

        def count(urgent: int) -> None:
            """Until the top bar has been counted."""
            for _ in range(200):
                if page.evaluate("sessionStorage.getItem('urgent')") == str(urgent):
                    return
                page.wait_for_timeout(50)
            raise AssertionError("the top bar was never counted")

        page.goto(f"{BASE}/qc/today")
        count(0)
        with lab.uow() as uow:
            shop.run(uow, "K", NOON - 4 * HOUR, {1: "4.22", 2: "6.50"})
        page.goto(f"{BASE}/qc/sigma")
        page.wait_for_selector("a.alerts [data-urgent='0']")
        assert page.evaluate(heard) == ["", ""], "a warning is seen, not heard"
        with lab.uow() as uow:
            shop.bad(uow, "NA", NOON - 2 * HOUR)
        page.goto(f"{BASE}/qc/sigma")
        page.wait_for_selector("a.alerts [data-urgent='1']")
        count(1)
        assert page.evaluate(heard) == ["1", ""]
        page.goto(f"{BASE}/qc/today")
        page.wait_for_selector("a.alerts [data-urgent='1']")
        assert page.evaluate(heard) == ["", ""], "once"
