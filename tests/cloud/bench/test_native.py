"""A scan before the page's scripts are there is sent by the browser itself: its answer is the whole page with the tube beside the list."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text

from cloud.modules.catalog import models as md
from cloud.web.assets_build import REPO
from tests.cloud.bench.test_entry import world
from tests.cloud.bench.world import NORMAL, World

__all__ = ["world"]


def scanned(world: World, values: dict[str, str]) -> tuple[int, str]:
    """A tube with these values, and its barcode."""
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, values)
        return tube, uow.s.execute(text("SELECT barcode FROM specimen WHERE id = :i"), {"i": tube}).scalar_one()


def test_the_bench_opens_the_scanned_tube(world: World) -> None:
    scanned(world, NORMAL)
    tube, barcode = scanned(world, NORMAL)
    tester = world.lab.client("tester")
    answer = tester.post("/bench/CHEM/find", {"code": barcode})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/bench/CHEM?tube={tube}")
    page = tester.get(answer.headers["Location"]).text
    assert page.count("<html") == 1 and f'data-specimen="{tube}"' in page and 'action="/bench/CHEM/find"' in page
    piece = tester.post("/bench/CHEM/find", {"code": barcode}, htmx=True).text
    assert "<html" not in piece and f'data-specimen="{tube}"' in piece
    missed = tester.post("/bench/CHEM/find", {"code": "000000000000"})
    assert missed.status_code == 404 and missed.text.count("<html") == 1


def test_the_review_opens_the_scanned_report(world: World) -> None:
    tubes = [scanned(world, NORMAL) for _ in range(2)]
    tester, verifier = world.lab.client("tester"), world.lab.client("verifier")
    for tube, _ in tubes:
        form = re.search(r'data-revision="(\d+)"', tester.fragment(f"/bench/CHEM/tube/{tube}").text)
        assert form is not None
        assert tester.post(f"/bench/CHEM/tube/{tube}/review", {"revision": form[1]}, htmx=True).status_code == 204
    tube, barcode = tubes[1]
    with world.lab.uow() as uow:
        report = uow.s.execute(text("SELECT id FROM report WHERE specimen_id = :i"), {"i": tube}).scalar_one()
    page = verifier.post("/review/CHEM/find", {"code": barcode}).text
    assert page.count("<html") == 1 and f'data-report="{report}"' in page and re.search(rf'id="q{report}"[^>]*aria-selected', page)
    assert 'action="/review/CHEM/find"' in page
    missed = verifier.post("/review/CHEM/find", {"code": "000000000000"})
    assert missed.status_code == 404 and missed.text.count("<html") == 1


def test_the_address_shows_a_tube_of_its_own_section_only(world: World) -> None:
    """Whoever works in one section alone opened any tube of the hospital beside its list."""
    tube, barcode = scanned(world, NORMAL)
    with world.lab.uow() as uow:
        uow.s.add(md.Section(code="HEM", name="血液组"))
    tester = world.lab.client("tester")
    elsewhere = tester.get(f"/bench/HEM?tube={tube}")
    assert (elsewhere.status_code, elsewhere.headers["Location"]) == (303, f"/bench/CHEM?tube={tube}")
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET sections = '{HEM}' WHERE id = :i"), {"i": world.lab.users[(world.lab.a, "tester")]})
    refused = tester.get(f"/bench/HEM?tube={tube}")
    assert refused.status_code == 404 and barcode not in refused.text


@pytest.mark.parametrize("page", ["bench/templates/bench/section.html", "reports/templates/reports/queue.html"])
def test_the_scan_line_says_where_it_goes_and_proves_who_sends_it(page: str) -> None:
    (form,) = re.findall(r'<form class="scanline".*?</form>', (REPO / "cloud/modules" / page).read_text(encoding="utf-8"), re.S)
    assert re.search(r'method="post" action="/\w+/\{\{ section\.code \}\}/find"', form) and 'name="_csrf"' in form
