"""Manual worklists and what is typed twice (M07 R6); the section's figures with their drill-down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from cloud.modules.bench import figures, queries, rules, worklist
from cloud.modules.bench import service as bench
from cloud.modules.bench.messages import Entry
from cloud.modules.bench.rules import Twice
from cloud.modules.catalog import models as md
from cloud.modules.catalog.queries import HOSPITAL_ZONE, catalog
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer

RUN = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def world(pg: TestServer, schema_template: TestDatabase) -> Iterator[World]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    world = build(lab)
    with lab.uow() as uow:
        # The last item is one nobody sends.
        uow.s.execute(text("DELETE FROM analyzer_item_map WHERE item_id = :i"), {"i": world.items["EXTRA"]})
    yield world
    lab.db.dispose()
    pg.drop(made.name)


@pytest.mark.parametrize(
    ("critical", "infectious", "interfaced", "choice", "word"),
    [
        (True, False, True, Twice.CRITICAL, "危急值"),
        (True, True, False, Twice.ALL, "危急值"),
        (False, True, True, Twice.ALL, "传染病"),
        (False, True, True, Twice.CRITICAL, None),
        (False, False, False, Twice.ALL, "接口"),
        (False, False, False, Twice.CRITICAL, None),
        (False, False, True, Twice.ALL, None),
    ],
)
def test_critical_infectious_and_manual_items_are_typed_twice(
    critical: bool, infectious: bool, interfaced: bool, choice: Twice, word: str | None
) -> None:
    why = rules.typed_twice(critical, infectious, interfaced, choice)
    assert (why is None) is (word is None) and (word or "") in (why or "")


def test_one_item_is_typed_down_all_tubes_and_what_is_refused_stays_in_its_line(world: World) -> None:
    with world.lab.uow() as uow:
        tubes = [world.tube(uow) for _ in range(4)]
        [manual, *rest] = worklist.choices(uow, world.section)
        assert (manual.item.code, manual.n, manual.manual) == ("EXTRA", 4, True) and not any(c.manual for c in rest)
        lines = worklist.lines(uow, world.section, manual.item.id)
        assert [line.specimen_id for line in lines] == tubes and worklist.twice(uow, manual.item)
    one, two, three, four = lines
    tester = world.lab.client("tester")
    page = tester.get("/bench/entry/CHEM").text
    assert page.count('name="again-') == 4 and "data-enter-next" in page
    form: dict[str, object] = {"item": manual.item.id}
    for line, value, again in ((one, "12", "12"), (two, "1,5", "1,5"), (three, "30", "31")):
        form |= {f"v-{line.test_id}": value, f"again-{line.test_id}": again, f"n-{line.test_id}": line.version}
    answer = tester.post("/bench/entry/CHEM", form, htmx=True)
    assert answer.status_code == 200 and "已保存 1 个结果" in answer.text and "2 个须先回答" in answer.text
    assert 'value="1,5"' in answer.text and "逗号" in answer.text and 'value="30"' in answer.text and "没有仪器接口" in answer.text
    with world.lab.uow() as uow:
        left = worklist.lines(uow, world.section, manual.item.id)
        assert [line.specimen_id for line in left] == tubes[1:]
        saved = worklist.enter(uow, world.section, [Entry(four.test_id, four.version + 1, "5", "5"), Entry(10**9, 1, "5", "5")])
        assert saved.written == 0 and {e.code for e in saved.asked.values()} == {"stale", "not_found"}
        with pytest.raises(UserError, match="还没有录入"):
            worklist.enter(uow, world.section, [Entry(four.test_id, four.version, " ")])
    printed = tester.post("/bench/entry/CHEM/print", {"item": manual.item.id, "kind": "pdf"})
    assert printed.status_code == 303 and printed.headers["Location"].startswith("/lists/")
    assert tester.post("/bench/entry/CHEM/print", {"item": "0", "kind": "pdf"}).status_code == 422


def test_the_figures_count_causes_indices_and_reruns_and_lead_to_the_results(world: World) -> None:
    with world.lab.uow() as uow:
        for kind in "HI":
            uow.s.add(md.TestItem(code=f"HIL-{kind}", name=f"指数{kind}", abbr=kind, section_id=world.section, decimals=0, mandatory=False))
        uow.s.flush()
        codes = text("SELECT code, id FROM test_item WHERE code LIKE 'HIL-%'")
        world.items |= {r.code: r.id for r in uow.s.execute(codes)}
    with world.lab.uow() as uow:
        for h in ("10", "60", "400"):
            tube = world.tube(uow)
            world.send(uow, tube, NORMAL | {"HIL-H": h}, RUN)
        world.send(uow, tube, {"K": "5.2"}, RUN + timedelta(minutes=3))
    with world.lab.uow() as uow:
        today = uow.now.date()
        found = figures.figures(uow, world.section, today - timedelta(days=2), today + timedelta(days=1))
        assert [(code, n) for code, _, n in found.held] == [("DIFFERENT", 1)]
        [(item, bands, n)] = found.indices
        assert (item.code, n, [b.n for b in bands]) == ("HIL-H", 3, [1, 1, 0, 0, 1])
        assert [(w.ward, w.n, w.beyond) for w in found.wards] == [("内科一病区", 3, 2)]
        [row] = figures.held_by(uow, world.section, today - timedelta(days=2), today + timedelta(days=1), "DIFFERENT")
        assert row.barcode == queries.barcodes(uow, [tube])[tube] and row.reported_text == "5.2"
        assert figures.figures(uow, world.section, today - timedelta(days=20), today - timedelta(days=10)).total == 0
    tester = world.lab.client("tester")
    page = tester.get("/bench/figures/CHEM").text
    assert "/bench/figures/CHEM/held/DIFFERENT" in page and "≥300" in page
    assert row.barcode in tester.get("/bench/figures/CHEM/held/DIFFERENT").text
    links = re.findall(r'href="(/bench/figures/CHEM/index/[^"]*)">(\d+)<', page)
    assert [n for _, n in links] == ["1", "1", "1", "3", "2"]  # three bands, then the ward's tubes and those of them beyond the limit
    for href, n in links:
        assert tester.get(href.replace("&amp;", "&")).text.count("<tr><td>") == int(n), href
    assert "没有这样的结果" in tester.get("/bench/figures/CHEM/index/K?low=0").text  # an index and no other item
    assert {tester.get(f"/bench/figures/CHEM/index/HIL-H?{q}").status_code for q in ("low=-1", "low=50&high=50", "low=9999999")} == {422}
    for what, status in (("held", 303), ("hil", 303), ("rerun", 303), ("x", 422)):
        assert tester.post("/bench/figures/CHEM/export", {"what": what, "kind": "xlsx"}).status_code == status
    assert tester.get("/bench/figures/CHEM?from=2026-13-01").status_code == 422
    assert tester.get("/bench/figures/CHEM?from=2026-05-04&to=2026-05-01").status_code == 422
    assert tester.get("/bench/figures/CHEM?from=2020-05-04&to=2026-05-01").status_code == 422


def test_every_number_of_the_reruns_opens_its_own_list(world: World) -> None:
    with world.lab.uow() as uow:
        for n in range(3):
            tube = world.tube(uow)
            world.send(uow, tube, NORMAL, RUN)
            found = {t.item.code: t for t in queries.tests_of(uow, [tube])[tube]}
            revision = uow.s.execute(text("SELECT revision FROM bench_tube WHERE specimen_id = :s"), {"s": tube}).scalar_one()
            dilution = Decimal(5) if n == 0 else Decimal(1)
            bench.request_rerun(uow, tube, revision, [found["K"].id], "与前次相差大", dilution)
            if n == 1:
                [row] = uow.s.execute(text("SELECT id FROM follow_up WHERE specimen_id = :s"), {"s": tube}).scalars()
                bench.withdraw(uow, row, "不必", True)
    tester = world.lab.client("tester")
    day = world.lab.clock().astimezone(HOSPITAL_ZONE).date()
    page = tester.get(f"/bench/figures/CHEM?from={day}&to={day}").text
    links = re.findall(r'href="(/bench/rerun\?[^"]*kind=rerun[^"]*)">(\d+)<', page)
    assert [n for _, n in links] == ["3", "1", "1", "2"]
    for href, n in links:
        listed = tester.get(href.replace("&amp;", "&")).text
        assert listed.count("<tr><td><a href=") == int(n), href
    before = day - timedelta(days=30)
    assert "<tr><td><a href=" not in tester.get(f"/bench/rerun?section=CHEM&show=all&from={before}&to={before}").text
    for wrong in ("only=x", "kind=x", "from=x", "to=2026-13-01"):
        assert tester.get(f"/bench/rerun?section=CHEM&show=all&{wrong}").status_code == 422, wrong


def test_the_list_of_a_cause_is_paged_and_says_how_many_of_its_number_are_withheld(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "PAGE", 2)
    with world.lab.uow() as uow:
        for minutes in range(1, 6):
            tube = world.tube(uow)
            world.send(uow, tube, NORMAL, RUN)
            world.send(uow, tube, {"K": f"5.{minutes}"}, RUN + timedelta(minutes=minutes))
            world.send(uow, tube, {"CREA": "99"}, RUN + timedelta(minutes=minutes))
        uow.s.execute(text("UPDATE test_item SET sensitive = true WHERE code = 'CREA'"))
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, RUN)
        rerun = {t.item.code: t.id for t in queries.tests_of(uow, [tube])[tube]}
    tester = world.lab.client("tester")
    [counted] = re.findall(r'held/DIFFERENT[^>]*>[^<]*</a></td><td class="num">(\d+)<', tester.get("/bench/figures/CHEM").text)
    href, shown = "/bench/figures/CHEM/held/DIFFERENT", list[str]()
    while href:
        listed = tester.get(href).text
        assert "5 条敏感项目的记录未列出" in listed
        shown += re.findall(r'href="/bench/CHEM\?tube=(\d+)"', listed)
        onward = re.search(r'href="([^"]*)">下一页', listed)
        href = f"/bench/figures/CHEM/held/DIFFERENT{onward[1].replace('&amp;', '&')}" if onward else ""
    assert len(shown) == len(set(shown)) == int(counted) - 5 >= 5, "each once on one of at least three pages"
    wrong = {tester.get(f"/bench/figures/CHEM/held/DIFFERENT?start={n}").status_code for n in ("-1", "1000000")}
    assert "上一页" in listed and wrong == {422}
    with world.lab.uow() as uow:
        revision = uow.s.execute(text("SELECT revision FROM bench_tube WHERE specimen_id = :s"), {"s": tube}).scalar_one()
        bench.request_rerun(uow, tube, revision, [rerun["K"], rerun["CREA"]], "与前次相差大", Decimal(1))
        uow.s.flush()
        section, day = catalog(uow).sections[world.section], uow.now.astimezone(HOSPITAL_ZONE).date()
        made = figures.document(uow, "rerun", section, day, day, "医院", "某人")
        assert {row[3] for row in made.rows} == {"项目K"} and made.notes == ("1 条敏感项目的记录未列出。",)
        n = len(made.rows)
        monkeypatch.setattr(figures, "EXPORT_MOST", 0)
        made = figures.document(uow, "rerun", section, day, day, "医院", "某人")
        assert made.notes[1:] == (f"共 {n} 条，只列最早的 0 条；请缩短日期范围。",)
