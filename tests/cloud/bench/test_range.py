"""Measuring range, dilution and contradictions on the bench: what an instrument or a person says becomes what may be told."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal as D

import pytest
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import measure, queries, service
from cloud.modules.bench.queries import TestLine
from cloud.modules.bench.service import Entry
from common.errors import UserError
from common.values import parse
from tests.cloud.bench.world import World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase

ITEMS = (
    ("HCG", "IU/L", 0, None, "5", None, None, True),
    ("TC", "mmol/L", 2, None, "5.2", None, None, False),
    ("HDL-C", "mmol/L", 2, "1.0", None, None, None, False),
    ("LDL-C", "mmol/L", 2, None, "3.4", None, None, False),
)
RANGE = "UPDATE test_item SET amr_low = 1, amr_high = 10000, crr_high = 2000000, dilutions = '[20, 200]' WHERE code = 'HCG'"


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = labs.make(fresh_db)
    made = build(lab, items=ITEMS)
    with lab.uow() as uow:
        uow.s.execute(text(RANGE))
        uow.s.execute(text("UPDATE catalog_version SET number = number + 1"))
    yield made
    lab.db.dispose()


def line(uow: UnitOfWork, tube: int, code: str) -> TestLine:
    return next(t for t in queries.tests_of(uow, [tube])[tube] if t.item.code == code)


def current(uow: UnitOfWork, tube: int, code: str) -> int:
    found = line(uow, tube, code).current
    assert found is not None
    return found.id


def enter(uow: UnitOfWork, tube: int, code: str, value: str) -> TestLine:
    found = line(uow, tube, code)
    reason = "" if found.current is None else "稀释重测"
    service.enter_result(uow, Entry(found.id, found.version, value, reason=reason))
    return line(uow, tube, code)


def test_ac_b_1_a_person_types_the_raw_value_with_its_dilution(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        high = enter(uow, tube, "HCG", "10001")
        assert high.state.value == "held" and high.current is not None and "1:20" in high.current.holds[0]["text"]
        told = enter(uow, tube, "HCG", "8600*20")
        assert told.state.value == "received" and told.current is not None and told.current.reported_text == "172000"
        raw, used = uow.s.execute(text("SELECT raw_text, snapshot FROM result_version WHERE id = :i"), {"i": told.current.id}).one()
        assert (raw, used["dilution"], used["range"]) == ("8600*20", "20", ["1", "10000", "2000000"])
        end = enter(uow, tube, "HCG", "10001*200")
        assert end.current is not None and end.current.reported_text == ">2000000" and end.state.value == "received"


def test_an_instruments_value_is_held_to_the_range_too(world: World) -> None:
    with world.lab.uow() as uow:
        low, high = world.tube(uow), world.tube(uow)
        world.send(uow, low, {"HCG": "0.4"})
        world.send(uow, high, {"HCG": ">10000"})
        below, above = line(uow, low, "HCG"), line(uow, high, "HCG")
        assert below.current is not None and below.current.reported_text == "<1" and below.state.value == "received"
        assert above.state.value == "held" and above.current is not None and above.current.flag == "H"
        with pytest.raises(UserError, match="待处理"):
            service.review(uow, high)


def test_a_rerun_begins_with_the_dilution_its_hold_asks_for(world: World) -> None:
    """At 1:1 the technician had to remember the figure of the sentence; another held item must not be diluted along."""

    def box(tube: int) -> tuple[str, list[tuple[str, bool]]]:
        page = world.lab.client("tester").fragment(f"/bench/{world.section_code}/tube/{tube}").text
        form = page[page.index('id="rerun-box"') :]
        form = form[: form.index("</dialog>")]
        factor = re.search(r'name="dilution"[^>]* value="([^"]*)"', form)
        assert factor is not None
        ticks = re.findall(r'name="test" data-at="\d+" value="\d+"( checked)?> (?:项目)?([\w-]+)', form)
        return factor[1], [(name, bool(on)) for on, name in ticks]

    with world.lab.uow() as uow:
        plain, high = world.tube(uow), world.tube(uow)
        world.send(uow, plain, {"HCG": "50", "TC": "阳性"})
        world.send(uow, high, {"HCG": ">10000", "TC": "阳性", "HDL-C": "1.2"})
        held = line(uow, high, "HCG")
        assert held.next_dilution == 20
    assert box(plain) == ("1", [("TC", True), ("HCG", False)])
    assert box(high) == ("20", [("HCG", True), ("TC", False), ("HDL-C", False)])
    with world.lab.uow() as uow:
        revision = uow.s.execute(text("SELECT revision FROM bench_tube WHERE specimen_id = :i"), {"i": high}).scalar_one()
        service.request_rerun(uow, high, revision, [held.id], "超出线性范围", D(20))
        world.send(uow, high, {"HCG": "10001"}, uow.now + timedelta(minutes=1))
        twice = line(uow, high, "HCG")
        assert twice.current is not None and twice.pending is not None
        service.choose_version(uow, twice.id, twice.version, twice.pending.id, "按稀释后")
        assert line(uow, high, "HCG").next_dilution is None  # chosen: nothing is asked any more
        low = world.tube(uow)
        assert enter(uow, low, "HCG", "0.4*200").next_dilution == 20 and enter(uow, low, "HCG", "10001*20").next_dilution == 200


def test_the_diluted_number_of_a_value_beyond_the_range_is_chosen_by_whoever_tests_it(world: World) -> None:
    """Found by hand: a routine dilution waited for a senior and a written reason, and nothing said what was multiplied."""
    with world.lab.uow() as uow:
        tube, again = world.tube(uow), world.tube(uow)
        for each, answer in ((tube, "8600"), (again, "400")):
            world.send(uow, each, {"HCG": ">10000"})
            revision = uow.s.execute(text("SELECT revision FROM bench_tube WHERE specimen_id = :i"), {"i": each}).scalar_one()
            service.request_rerun(uow, each, revision, [line(uow, each, "HCG").id], "超出线性范围", D(20))
            world.send(uow, each, {"HCG": answer}, uow.now + timedelta(minutes=1))
        waits, less = line(uow, tube, "HCG"), line(uow, again, "HCG")
        assert waits.pending is not None and waits.pending.reported_text == "172000" and waits.completed and not less.completed
        assert less.current is not None and less.pending is not None
    page = world.lab.client("tester").fragment(f"/bench/{world.section_code}/tube/{tube}").text
    assert "8600 × 20" in page and 'placeholder="说明（可不填）"' in page
    with world.lab.uow() as uow:
        service.choose_version(uow, waits.id, waits.version, waits.pending.id, "", may_decide=False)
        told = line(uow, tube, "HCG")
        assert (told.state.value, told.current and told.current.reported_text) == ("received", "172000")
        assert "1:20 稀释" in told.follow[0].outcome
        # The first value against its own dilution, or a number below the limit: a senior's, with the reason.
        with pytest.raises(UserError, match="高年资"):
            service.choose_version(uow, less.id, less.version, less.pending.id, "稀释", may_decide=False)
        with pytest.raises(UserError, match="写明理由"):
            service.choose_version(uow, less.id, less.version, less.pending.id, "")


@pytest.mark.parametrize(
    ("first", "second", "dilution", "ok"),
    [
        (">1420", "8500", "10", True),
        ("≥1420", "1420", "10", True),
        (">1420", "1419", "10", False),
        (">1420", ">14200", "10", False),
        (">1420", "<8500", "10", False),
        (">1420", "8500", "1", False),
        ("1420", "8500", "10", False),
        ("<5", "8500", "10", False),
        ("阳性", "8500", "10", False),
        (">1420", "阳性", "10", False),
    ],
)
def test_what_a_dilution_completes(first: str, second: str, dilution: str, ok: bool) -> None:
    assert measure.completes(parse(first), parse(second), D(dilution)) is ok


def test_why_a_value_waits_is_read_in_english_too(world: World) -> None:
    """The sentence is stored with the result, in Chinese; what it is made of is stored beside it."""
    with world.lab.uow() as uow:
        tube, old = world.tube(uow), world.tube(uow)
        world.send(uow, tube, {"HCG": ">10000", "TC": "阳性"})
        world.send(uow, old, {"HCG": ">10000"})
        plain = '[{"code": "OVER_RANGE", "text": "超出测量范围上限"}]'  # as releases before this one stored it
        uow.s.execute(
            text("UPDATE result_version SET holds = CAST(:h AS jsonb) WHERE id = :i"), {"h": plain, "i": current(uow, old, "HCG")}
        )
    tester = world.lab.client("tester")

    def page(which: int) -> str:
        return html.unescape(tester.fragment(f"/bench/{world.section_code}/tube/{which}").text)

    assert "超出测量范围上限 10000，请按 1:20 稀释后重测。" in page(tube)
    tester.c.set_cookie("lang", "en", domain="localhost", secure=True)
    english = page(tube)
    assert "Above the measuring range (10000); please dilute 1:20 and measure again." in english
    assert "“阳性” was received" in english and "请按" not in english
    assert "超出测量范围上限" in page(old)


LIPIDS = {"HCG": "2", "TC": "5.00", "HDL-C": "1.50", "LDL-C": "3.90"}


def test_ac_b_3_a_contradiction_stops_the_review_until_somebody_says_why(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, LIPIDS)
        with pytest.raises(UserError, match="5.40 大于总胆固醇 5.00"):
            service.review(uow, tube)
        service.review(uow, tube, because="重测同样，已通知医生")
    with world.lab.uow() as uow:
        entry = uow.s.execute(text("SELECT body::jsonb FROM audit_log WHERE action = 'bench:review'")).scalar_one()
        assert entry["reason"] == "重测同样，已通知医生" and "5.40" in entry["after"]["contradictions"][0]


def test_the_page_asks_for_the_reason_and_keeps_what_was_typed(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        lines = {t.item.code: t for t in queries.tests_of(uow, [tube])[tube]}
    tester, url = world.lab.client("tester"), f"/bench/{world.section_code}/tube/{tube}/review"
    form = {f"v-{lines[c].id}": v for c, v in LIPIDS.items()} | {f"n-{lines[c].id}": "1" for c in LIPIDS}
    asked = tester.post(url, form, htmx=True)
    assert asked.status_code == 200 and 'name="because"' in asked.text and "5.40" in asked.text
    with world.lab.uow() as uow:
        assert line(uow, tube, "TC").current is not None
    assert tester.post(url, {"because": "复查一致"}, htmx=True).status_code == 204


CELLS = (
    ("WBC", "10^9/L", 1, "3.5", "9.5", None, None, True),
    *((code, "%", 1, None, None, None, None, False) for code in ("NEUT%", "LYMPH%", "MONO%", "EO%", "BASO%")),
)


def test_ac_b_2_and_ac_b_4_a_slide_is_counted_to_a_hundred_and_nrbc_corrects_the_white_cells(fresh_db: TestDatabase) -> None:
    lab = labs.make(fresh_db)
    world = build(lab, items=CELLS)
    with lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"WBC": "12.0"})
        lines = {t.item.code: t for t in queries.tests_of(uow, [tube])[tube]}
    tester, url = lab.client("tester"), f"/bench/{world.section_code}/tube/{tube}/diff"
    shown = tester.fragment(url).text
    assert shown.count('name="c-') == 5
    assert "扫玻片" in tester.get("/bench/diff").text
    with lab.uow() as uow:
        barcode = uow.s.execute(text("SELECT barcode FROM specimen WHERE id = :i"), {"i": tube}).scalar_one()
    scanned = tester.get(f"/bench/diff?code={barcode}")
    assert scanned.status_code == 303 and scanned.headers["Location"] == url
    assert tester.get("/bench/diff?code=126332000044").status_code == 404
    counts = dict(zip(("NEUT%", "LYMPH%", "MONO%", "EO%", "BASO%"), ("60", "30", "6", "3", ""), strict=True))
    form = {f"c-{lines[c].id}": n for c, n in counts.items()} | {f"n-{lines[c].id}": "1" for c in counts}
    refused = tester.post(url, form, htmx=True)
    assert refused.status_code == 422 and "合计 99" in refused.text
    assert tester.post(url, form | {f"c-{lines['EO%'].id}": "3.5"}, htmx=True).status_code == 422
    saved = tester.post(url, form | {f"c-{lines['EO%'].id}": "4", "nrbc": "20"}, htmx=True)
    assert saved.status_code == 200, saved.text
    with lab.uow() as uow:
        told = {t.item.code: t.current.reported_text for t in queries.tests_of(uow, [tube])[tube] if t.current is not None}
        assert told == {"WBC": "10.0", "NEUT%": "60.0", "LYMPH%": "30.0", "MONO%": "6.0", "EO%": "4.0", "BASO%": "0.0"}
        before = uow.s.execute(
            text("SELECT reported_text FROM result_version WHERE test_id = :i ORDER BY version_no"), {"i": lines["WBC"].id}
        )
        assert list(before.scalars()) == ["12.0", "10.0"]
    # Sent by the browser itself, before the page's scripts are there.
    with lab.uow() as uow:
        lines = {t.item.code: t for t in queries.tests_of(uow, [tube])[tube]}
    again = {f"c-{lines[c].id}": n for c, n in counts.items()} | {f"n-{lines[c].id}": str(lines[c].version) for c in counts}
    plain = tester.post(url, again | {f"c-{lines['EO%'].id}": "4", "nrbc": "20"})
    assert plain.status_code == 303 and plain.headers["Location"] == f"/bench/{world.section_code}?tube={tube}"
    with lab.uow() as uow:
        service.review(uow, tube)
    lab.db.dispose()


def test_a_slide_counted_again_corrects_the_white_cells_from_what_was_counted(fresh_db: TestDatabase) -> None:
    """Saved twice, 12.0 became 10.0 and then 8.3: nucleated red cells were taken off twice."""
    lab = labs.make(fresh_db)
    world = build(lab, items=CELLS)
    with lab.uow() as uow:
        tube, beyond = world.tube(uow), world.tube(uow)
        world.send(uow, tube, {"WBC": "12.0"})
        world.send(uow, beyond, {"WBC": ">100"})

    def count(which: int, nrbc: int | None, eo: int = 4, lymph: int = 30) -> str:
        with lab.uow() as uow:
            lines = {t.item.code: t for t in queries.tests_of(uow, [which])[which]}
            cells = {"NEUT%": 60, "LYMPH%": lymph, "MONO%": 6, "EO%": eo, "BASO%": 0}
            service.enter_differential(uow, which, {lines[c].id: (n, lines[c].version) for c, n in cells.items()}, nrbc)
            uow.s.flush()
            told = line(uow, which, "WBC").current
            assert told is not None
            return told.reported_text

    assert count(tube, 0) == "12.0"
    assert count(tube, 20) == "10.0"
    assert count(tube, 20) == "10.0" and count(tube, 20, eo=5, lymph=29) == "10.0"
    assert count(tube, None, eo=6, lymph=28) == "10.0"
    assert count(tube, 50) == "8.0" and count(tube, 0) == "12.0" and count(tube, 20) == "10.0"
    with lab.uow() as uow:  # another value than the corrected one is counted anew
        found = line(uow, tube, "WBC")
        service.enter_result(uow, Entry(found.id, found.version, "6.0", again="6.0", reason="重测", sure=True))
    assert count(tube, 20) == "5.0" and count(tube, 20) == "5.0"
    with pytest.raises(UserError, match="没有确切的白细胞计数"):
        count(beyond, 20)
    assert count(beyond, None) == ">100"
    lab.db.dispose()
