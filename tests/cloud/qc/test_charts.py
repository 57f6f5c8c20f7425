"""The chart: how it marks, and what it costs."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import event, text

from cloud.modules.catalog import queries as md
from cloud.modules.qc import chart, charts, months, plans, queries, record, registers, targets
from cloud.reports.documents import ChartDocument
from cloud.reports.fonts import default_fonts
from cloud.reports.payload import chart_payload
from tests.cloud.qc.shop import DAY, HOUR, NOON, T0, Shop


def test_a_chart_marks_by_shape_and_costs_five_statements(shop: Shop) -> None:
    lab = shop.world.lab
    with lab.uow() as uow:
        for n in range(6):
            shop.good(uow, "K", T0 + n * 20 * HOUR)
        shop.run(uow, "K", T0 + 6 * 20 * HOUR, {1: "4.22", 2: "6.50"})
        bad = shop.bad(uow, "K", T0 + 7 * 20 * HOUR)
        plans.add_note(uow, shop.world.analyzer, "calibration", T0 + 50 * HOUR, "两点校准<b>")
    lab.clock.set(T0 + 10 * DAY)
    reader = lab.client("director")
    url = f"/qc/lj?plan={shop.plans['K']}&month=2026-05"
    shown = reader.get(url).text
    assert shown.count("<circle") == 14 and shown.count("l5.5 9.5h-11z") == 1 and shown.count("l9 9m0 -9l-9 9") == 1
    assert (
        "批号 LOT1  靶值 4.00 ± 0.10 mmol/L  CV 2.50%" in shown and "两点校准&lt;b&gt;" in shown and "<b>" not in shown.split("</svg>")[0]
    )
    assert "4.30" in shown and "+3SD" in shown and "style=" not in shown
    for view in ("z", "youden"):
        assert "<svg" in reader.get(f"{url}&view={view}").text
    assert "还没有质控点" in reader.get(f"/qc/lj?plan={shop.plans['NA']}&month=2026-05").text
    assert reader.get("/qc/lj?plan=x&month=2026-99&view=q").status_code == 200
    with lab.uow() as uow:
        plan, asked = shop.plan(uow, "K"), charts.Asked(date(2026, 5, 1), "lj")
        md.catalog(uow)
        seen: list[str] = []
        event.listen(lab.db.engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
        charts.draw(uow, plan, asked)
        assert len(seen) == 5
    leader = lab.client("leader")
    with lab.uow() as uow:
        point = uow.s.execute(text("SELECT id FROM qc_result WHERE run_id = :r AND rejected"), {"r": bad}).scalar_one()
    assert leader.post(f"/qc/result/{point}/exclude", {"cause": ""}, htmx=True).status_code == 422
    assert leader.post(f"/qc/result/{point}/exclude", {"cause": "校准品误用"}).status_code == 303
    after = reader.get(url).text
    assert "校准品误用" in after and 'fill="#ffffff"' in after


def test_a_year_of_other_months_does_not_cost_this_month(shop: Shop) -> None:
    """The plan of the chart's statement walks the index of plan and time, whatever lies in the years before."""
    with shop.world.lab.uow() as uow:
        shop.good(uow, "K", T0)
        insert = """
        INSERT INTO qc_result (tenant_id, run_id, plan_id, level, material_id, raw_text, value, z, at, received_at)
        SELECT 1, (SELECT min(id) FROM qc_run), :p, 1, :m, '4', 4, 0, CAST(:at AS timestamptz) - n * interval '8 hours', :at
        FROM generate_series(1, 11000) n"""
        uow.s.execute(text(insert), {"p": shop.plans["K"], "m": shop.materials[1], "at": T0 - 30 * DAY})
        uow.s.execute(text("ANALYZE qc_result"))
        params = {"t": 1, "plan": shop.plans["K"], "start": T0 - DAY, "end": T0 + DAY}
        found = uow.s.execute(text("EXPLAIN " + queries._POINTS.text), params).scalars()
        plan = "\n".join(found)
        assert "ix_qc_result_plan" in plan and "Seq Scan on qc_result" not in plan


def test_large_figures_are_written_as_people_write_them(shop: Shop) -> None:
    """hCG, BNP and CK run into the ten thousands: no exponent on a page or on paper."""
    lab, world = shop.world.lab, shop.world
    with lab.uow() as uow:
        plan = plans.save_plan(uow, plans.NewPlan(world.analyzer, world.items["EXTRA"], (1,)))
        new = plans.NewTarget(plan.id, 1, shop.materials[1], Decimal(12000), Decimal(250), targets.Basis.MAKER)
        made = plans.propose_target(uow, new)
        plans.approve_target(uow, made.id, made.version)
        for n, value in enumerate(("12345", "12344", "11800")):
            one = record.Measured(plan.id, shop.materials[1], 1, NOON + n * 2 * HOUR, value, Decimal(value), "manual")
            record.record(uow, [one])
        months.draft(uow, date(2026, 5, 1), md.HOSPITAL_ZONE)
        [row] = registers.month_summary(uow, date(2026, 5, 1), registers.Stamp("甲医院", "组长", NOON)).rows
        assert row[4:7] == ("3", "12163", "314")
    lab.clock.set(NOON + DAY)
    reader = lab.client("tester")
    for url in (f"/qc/lj?plan={plan.id}&month=2026-05", "/qc/month?month=2026-05", f"/qc/targets?plan={plan.id}"):
        shown = reader.get(url).text
        assert "12163" in shown, url
        assert "E+" not in shown, url


def test_a_power_in_a_drawing_is_raised_and_its_words_are_still_checked_before_printing() -> None:
    span = chart.Span(T0, T0 + DAY, md.HOSPITAL_ZONE)
    panel = chart.Panel(1, "靶值 7.20 ± 0.16 10^9/L", Decimal("7.20"), Decimal("0.16"))
    drawn = chart.levey_jennings([panel], [], [], span)
    assert '7.20 ± 0.16 ×10<tspan dy="-4" font-size="9">9</tspan><tspan dy="4">/L</tspan></text>' in drawn
    paper = ChartDocument("甲医院", "质控图", "", str(drawn), (), T0, "")
    assert "靶值 7.20 ± 0.16 ×109/L" in chart_payload(paper, default_fonts())["chart_words"]


@pytest.mark.parametrize(("levels", "width_mm"), [(1, 273), (2, 273), (3, 273), (4, 232)])
def test_a_printed_chart_has_the_width_of_its_sheet(levels: int, width_mm: int) -> None:
    """A landscape A4 sheet is 273 mm wide inside its margins, and the drawing at most 108 mm high: figures and signatures come below."""
    span = chart.Span(T0, T0 + DAY, md.HOSPITAL_ZONE)
    panels = [chart.Panel(n, f"水平 {n}", Decimal("7.20"), Decimal("0.16")) for n in range(1, levels + 1)]
    dots = [chart.Dot(T0 + DAY / 2, n, Decimal(4), "7.84", "reject", 0) for n in range(1, levels + 1)]
    drawn = chart.levey_jennings(panels, dots, [], span, paper=True)
    ratio = chart_payload(ChartDocument("甲医院", "质控图", "", str(drawn), (), T0, ""), default_fonts())["ratio"]
    assert int(min(273, 108 / ratio)) == width_mm
    heights = [float(y) for y in re.findall(r'<line x1="[^"]+" y1="([^"]+)"', str(drawn))]
    assert heights and max(heights) < ratio * chart.WIDTH
    assert (drawn.count("+3SD</text>"), drawn.count("+2SD</text>")) == (levels, levels if levels < 3 else 0)  # words never lie on words
    on_screen = chart.levey_jennings(panels, dots, [], span)
    assert f'viewBox="0 0 {chart.WIDTH} {levels * chart.PANEL + chart.TOP + chart.FOOT}"' in on_screen


@pytest.mark.parametrize(
    ("lines", "stands"),
    [((), 97), ((90.0,), 112), ((111.0,), 97), ((90.0, 111.0), 97), ((86.0, 99.0), 97), ((86.1,), 112), ((98.9,), 112), ((101.0,), 97)],
)
def test_a_word_beside_a_line_is_not_crossed_by_another(lines: tuple[float, ...], stands: float) -> None:
    assert chart.clear_of(100.0, lines) == stands


def test_the_words_of_tea_stand_in_front_of_the_lines_on_paper() -> None:
    """+TEa near 3 SD was printed through by the 3 SD line."""
    drawn = str(chart._grid(chart.Panel(1, "", Decimal(5), Decimal("0.1"), Decimal("0.28")), 0, chart.LOW))
    for word in ("+TEa", "−TEa"):
        before = drawn[: drawn.index(word)]
        assert before.rindex("<rect") > before.rindex("<line")


def test_two_lots_of_a_level_have_a_panel_and_figures_each(shop: Shop) -> None:
    """The month a lot is changed: its values lie elsewhere, and one mean of both would say nothing (nor would their sigma)."""
    lab = shop.world.lab
    with lab.uow() as uow:
        fresh = plans.add_material(uow, plans.NewMaterial("QC-L1", "化学质控（虚构）水平1", 1, "LOT1B"))
        new = plans.NewTarget(shop.plans["K"], 1, fresh.id, Decimal("6.00"), Decimal("0.20"), targets.Basis.MAKER)
        made = plans.propose_target(uow, new)
        plans.approve_target(uow, made.id, made.version)
        uow.s.execute(text("UPDATE qc_target SET effective_at = :at"), {"at": T0 - DAY})
        for n in range(3):
            shop.good(uow, "K", T0 + n * DAY)
            one = record.Measured(shop.plans["K"], fresh.id, 1, T0 + n * DAY + 6 * HOUR, "6.10", Decimal("6.10"), "manual")
            record.record(uow, [one])
    lab.clock.set(T0 + 10 * DAY)
    with lab.uow() as uow:
        drawn = charts.draw(uow, shop.plan(uow, "K"), charts.Asked(date(2026, 5, 1), "lj"))
    assert [(x.panel.level, x.lot, x.raw.n if x.raw else 0) for x in drawn.levels] == [(1, "LOT1", 3), (1, "LOT1B", 3), (2, "LOT2", 3)]
    old, young, _ = (x.raw for x in drawn.levels)
    assert old is not None and young is not None
    assert abs(old.mean - 4) < Decimal("0.03") and young.mean == Decimal("6.10")
    shown = lab.client("director").get(f"/qc/lj?plan={shop.plans['K']}&month=2026-05").text
    assert "批号 LOT1  靶值 4.00" in shown and "批号 LOT1B  靶值 6.00" in shown
    # Each panel has its own three points and the line between them.
    picture = str(drawn.picture)
    assert picture.count("<circle") == 9 and picture.count('stroke="#0b6e6e" stroke-width="1.2"') == 6


def test_lots_of_one_number_are_told_apart(shop: Shop) -> None:
    """A maker numbers its kits, not their levels: statistics go by the lot registered, not by its number."""
    with shop.world.lab.uow() as uow:
        for n in (1, 2):
            plans.add_material(uow, plans.NewMaterial(f"OTHER-{n}", "另一种质控品（虚构）", n, f"LOT{n}"))
        shop.good(uow, "K", T0)
        shop.good(uow, "K", T0 + DAY)
        uow.s.flush()
        lots = {m.id: m for m in queries.materials(uow)}
    shop.world.lab.clock.set(T0 + 10 * DAY)
    with shop.world.lab.uow() as uow:
        found = queries.measured(uow, shop.plans["K"], lots)
    assert [(m.level, m.material, m.stats.n) for m in found] == [(1, shop.materials[1], 2), (2, shop.materials[2], 2)]
