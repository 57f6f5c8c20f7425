"""The verifier's queue in a browser."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from cloud.modules.catalog.queries import HOSPITAL_ZONE
from cloud.modules.reports import queries
from cloud.modules.scheduling import service as roster
from tests.cloud.bench.world import World
from tests.cloud.reports.test_pages import reviewed, world
from tests.support.browse import BASE, browser
from tests.support.lab import PIN

__all__ = ["world"]


def test_how_many_went_and_how_many_wait_unlisted_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch left without a word, and the number of those behind the list stayed what it was when the page was opened."""
    monkeypatch.setattr(queries, "PAGE", 2)
    monkeypatch.setattr(queries.queue, "__defaults__", (2,))
    for _ in range(5):
        reviewed(world)
    with browser(world.lab.client("verifier")) as page:
        page.goto(f"{BASE}/review/CHEM")
        assert "另有 3 份未列出" in page.inner_text("#unlisted") and page.inner_text("#went") == ""
        page.keyboard.press("F4")
        page.wait_for_selector("dialog.signing[open]")
        page.keyboard.type(PIN)
        page.keyboard.press("Enter")
        page.wait_for_selector("#went:text-is('✓ 已发布 2 份')")
        assert "另有 1 份未列出" in page.inner_text("#unlisted")
        page.keyboard.press("F4")
        page.wait_for_selector("#lines tr:nth-child(2)", state="detached")
        assert page.inner_text("#unlisted") == ""


def test_a_release_sent_before_the_scripts_are_there_is_a_release(world: World) -> None:
    """Without an address of its own the form went to the page it stood on, with the token in the address, and nothing was released."""
    reports = [reviewed(world) for _ in range(2)]
    verifier = world.lab.client("verifier")
    page = verifier.get("/review/CHEM").text
    forms = re.findall('<form[^>]* hx-post="(/review/CHEM/release)"[^>]*>', page)
    native = re.findall('<form[^>]* method="post" action="(/review/CHEM/release)"[^>]*>', page)
    assert forms == native and len(native) == 2, "the batch, and the one that is shown"
    world.lab.sign(verifier)
    answer = verifier.post(native[0], {"id": reports[0]})
    assert answer.status_code == 303 and answer.headers["Location"] == "/review/CHEM"
    with world.lab.uow() as uow:
        assert [queries.released(uow, report_id=r) is not None for r in reports] == [True, False]


def test_who_is_alone_tonight_is_not_told_that_somebody_else_must_release(world: World) -> None:
    report = reviewed(world)
    with world.lab.uow() as uow:
        verifier = world.lab.users[(uow.tenant_id, "verifier")]
        uow.s.execute(text("UPDATE report SET tester_id = :u WHERE id = :r"), {"u": verifier, "r": report})
    client, page = world.lab.client("verifier"), f"/review/CHEM?report={report}"
    assert "本人初审的报告须由他人审核" in client.get(page).text
    with world.lab.uow() as uow:
        began = uow.now.astimezone(HOSPITAL_ZONE) - timedelta(hours=1)
        shift = roster.add_shift(
            uow, "X", "班", began.time().replace(microsecond=0), (began + timedelta(hours=8)).time().replace(microsecond=0)
        )
        roster.assign(uow, verifier, world.section, shift.id, began.date(), began.date(), alone=True)
    shown = client.get(page).text
    assert "单人值班：可以发布，24 小时内由他人复核" in shown and "须由他人审核" not in shown
