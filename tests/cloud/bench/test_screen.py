"""The bench in a browser: what its keys do while the tube that is looked at changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from cloud.modules.bench import queries
from tests.cloud.bench.world import NORMAL, World, build
from tests.support import lab as labs
from tests.support.browse import browser
from tests.support.database import TestDatabase, TestServer

# Live notices come when the test says so.
LIVE = "window.EventSource = class extends EventTarget { constructor() { super(); window.source = this; } close() {} }"


@pytest.fixture(scope="module")
def world(pg: TestServer, schema_template: TestDatabase) -> Iterator[World]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    yield build(lab)
    lab.db.dispose()
    pg.drop(made.name)


def holds(page: Page, pattern: str, wanted: Callable[[Route], bool]) -> list[Route]:
    """Requests that wait until the test lets them go."""
    held: list[Route] = []
    page.route(pattern, lambda route: held.append(route) if wanted(route) else route.fallback())
    return held


def until(page: Page, done: Callable[[], object]) -> None:
    for _ in range(200):
        if done():
            return
        page.wait_for_timeout(50)
    raise AssertionError("never came")


def test_a_tube_that_was_read_again_while_it_was_reviewed_still_hands_over_to_the_next(world: World) -> None:
    """Found with forty held tubes: the news of a value just chosen arrived behind F4 and took the pressed button away."""
    with world.lab.uow() as uow:
        first, second = world.tube(uow), world.tube(uow)
        for tube in (first, second):
            world.send(uow, tube, NORMAL)
    with browser(world.lab.client("tester")) as page:
        page.add_init_script(LIVE)
        page.goto("https://localhost/bench/CHEM")
        page.click(f"#t{first}")
        expect(page.locator(f"#tube .tube[data-specimen='{first}']")).to_be_visible()
        read = holds(page, f"**/tube/{first}", lambda route: "x-live" in route.request.headers)
        sent = holds(page, f"**/tube/{first}/review", lambda route: True)
        page.evaluate(f"document.getElementById('t{first}').dataset.revision = '0'")
        note = json.dumps({"section_id": world.section, "specimen_id": first})
        page.evaluate("note => window.source.dispatchEvent(new MessageEvent('bench', { data: note }))", note)
        until(page, lambda: read)
        page.keyboard.press("F4")
        until(page, lambda: sent)
        with page.expect_response(lambda answer: "x-live" in answer.request.headers):
            read[0].fallback()
        page.wait_for_timeout(100)
        sent[0].fallback()
        expect(page.locator(f"#tube .tube[data-specimen='{second}']")).to_be_visible()
        expect(page.locator(f"#t{first}")).to_have_count(0)


def test_every_key_of_the_page_is_listed_once_and_found_without_knowing_any(world: World) -> None:
    with world.lab.uow() as uow:
        world.send(uow, world.tube(uow), NORMAL)
    with browser(world.lab.client("tester")) as page:
        page.goto("https://localhost/bench/CHEM")
        page.click("#lines tr[tabindex]")
        expect(page.locator("#tube button[data-key=F4]")).to_be_visible()
        page.click("[data-keys]")
        listed = page.locator("#keys-list kbd").all_inner_texts()
        assert len(set(listed)) == len(listed)
        shown = set(page.locator("[data-key]:visible").evaluate_all("all => all.map((el) => el.dataset.key)"))
        assert shown | {"F2", "↑ ↓", "?"} == set(listed)
        page.keyboard.press("Escape")
        expect(page.locator("#keys")).to_be_hidden()
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_visible()


def test_escape_gives_up_what_was_asked_about_one_value_and_leaves_what_is_typed_elsewhere(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL)
    with browser(world.lab.client("tester")) as page:
        page.goto(f"https://localhost/bench/CHEM?tube={tube}")
        lines = page.locator("#tube tbody.test")
        first, second = lines.nth(0), lines.nth(1)
        for line, value in ((first, "4.5"), (second, "141")):
            line.locator(".value input").fill(value)
            line.locator(".value input").press("Enter")
            expect(line.locator(".ask input[name=reason]")).to_be_focused()
        second.locator(".ask input[name=reason]").press("Escape")
        expect(second.locator(".ask")).to_have_count(0)
        expect(second.locator(".value input")).to_be_focused()
        expect(second.locator(".value input")).to_have_value("140")
        expect(first.locator(".value input")).to_have_value("4.5")
        expect(first.locator(".ask")).to_have_count(1)


def test_a_rerun_asked_for_on_one_result_is_of_that_one(world: World) -> None:
    """Twenty-five boxes to step through with Tab, where the result was in hand."""
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL | {"GLU": "阳性"})
        asked = {t.item.code: t.id for t in queries.tests_of(uow, [tube])[tube]}
    with browser(world.lab.client("tester")) as page:
        page.goto(f"https://localhost/bench/CHEM?tube={tube}")
        ticked = "[...document.querySelectorAll('#rerun-box [name=test]:checked')].map(x => Number(x.value))"
        expect(page.locator("#tube button[data-open=rerun-box]")).to_be_visible()
        page.keyboard.press("Alt+r")
        expect(page.locator("#rerun-box")).to_be_visible()
        assert page.evaluate(ticked) == [asked["GLU"]]
        page.keyboard.press("Escape")
        page.locator(f"#r{asked['NA']} .value input").focus()
        page.keyboard.press("Alt+r")
        expect(page.locator("#rerun-box input[name=reason]")).to_be_focused()
        assert page.evaluate(ticked) == [asked["NA"]]
        page.keyboard.type("与前次相差大")
        page.keyboard.press("Enter")
        expect(page.locator(f"#r{asked['NA']}")).to_contain_text("复查中")
        expect(page.locator(f"#r{asked['K']}")).not_to_contain_text("复查中")


OVER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_on_a_phone_a_result_shows_its_interval_and_unit_and_nothing_runs_off_the_side(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL)
    with browser(world.lab.client("leader"), width=375, height=740) as page:
        page.goto(f"https://localhost/bench/CHEM?tube={tube}")
        lines = page.locator("#tube tbody.test > tr:first-child")
        expect(lines.first.locator(".value input")).to_be_visible()
        assert page.evaluate(OVER) <= 0
        for cell in (".name", ".value", ".unit", ".ref"):
            boxes = [lines.nth(i).locator(cell).bounding_box() for i in range(lines.count())]
            assert all(b is not None and b["x"] >= 0 and b["x"] + b["width"] <= 375 for b in boxes), cell
