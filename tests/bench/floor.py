"""The laboratory floor with 1 and with 5 million results in the database: receiving, the bench's list and keys, a Levey-Jennings month.

Part of ``./dev bench lab``. Server times are the server's own (Server-Timing, from arrival to answer with commit included); the answer to
a scan is what the receiving station waits for; the keys are pressed in a real Chromium, measured by the page's own clock. The section
keeps 2 000 open results (200 tubes of ten) at both sizes; the quality control has ten years of daily runs of three levels.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright
from sqlalchemy import create_engine, text

from cloud.web import cookie
from tests.bench import product
from tests.bench.common import emit, percentile
from tests.bench.pages import BASE, SECTION, grow, server_times
from tests.bench.product import Browser, Product, Refused
from tests.bench.web import PREFIX, together
from tests.flows.stack import CHROMIUM, FLAGS

SIZES = (1_000_000, 5_000_000)
QUICK = (2_000, 10_000)
STATIONS = 4
PACE = 0.3  # seconds from tube to tube at a station, a very quick hand
YEARS = 10
_codes = count(time.time_ns() // 1_000_000 % 10**8 * 1000)

# Tubes as a ward sends them: ordered, paid, labelled, collected. Foreign keys are not checked while it is written.
_COLLECTED = """
SET session_replication_role = replica;
CREATE TEMP TABLE tube AS SELECT u.code, :b + u.n AS id, :p + u.n % 10 AS who
  FROM unnest(CAST(:codes AS text[])) WITH ORDINALITY AS u(code, n);
INSERT INTO lab_order (tenant_id, id, source, placer_no, patient_id, visit_id, doctor, dept, ordered_at, created_at)
  SELECT :t, id, 'BENCH', 'BR' || code, who, who, '测试医生', '内科', now(), now() FROM tube;
INSERT INTO order_item (tenant_id, id, order_id, source, order_item_no, his_code, order_set_id, charge_state, status, specimen_id)
  SELECT :t, id, id, 'BENCH', 'BR' || code, 'BENCH', :os, 'paid', 'collected', id FROM tube;
INSERT INTO specimen (tenant_id, id, barcode, patient_id, visit_id, specimen_type_id, container_id, section_id, state, volume_ml,
                      labelled_at, collected_at)
  SELECT :t, id, code, who, who, :st, :ct, :s, 'collected', 2, now(), now() - interval '5 minutes' FROM tube;
DROP TABLE tube;
SET session_replication_role = origin
"""
_CONTROL = """
INSERT INTO qc_plan (tenant_id, analyzer_id, item_id, levels) VALUES (:t, :a, :i, '[1, 2, 3]') RETURNING id
"""
_MATERIAL = """
INSERT INTO qc_material (tenant_id, code, name, level, lot)
SELECT :t, 'BENCHQC' || l, '测速质控', l, '1' FROM generate_series(1, 3) l RETURNING id
"""
_TARGET = """
INSERT INTO qc_target (tenant_id, plan_id, level, material_id, mean, sd, proposed_at, effective_at)
SELECT :t, :plan, l, (CAST(:m AS bigint[]))[l], 100 * l, 2, now(), now() - interval '11 years' FROM generate_series(1, 3) l RETURNING id
"""
_RUNS = """
WITH run AS (
  INSERT INTO qc_run (tenant_id, plan_id, at, state, source)
  SELECT :t, :plan, now() - d * interval '1 day', 'in_control', 'analyzer' FROM generate_series(:days, 1, -1) d RETURNING id, at)
INSERT INTO qc_result (tenant_id, run_id, plan_id, level, material_id, target_id, raw_text, value, z, at, received_at)
SELECT :t, run.id, :plan, l, (CAST(:m AS bigint[]))[l], (CAST(:g AS bigint[]))[l], v.z::text, 100 * l + 2 * v.z, v.z, run.at, run.at
FROM run, generate_series(1, 3) l, LATERAL (SELECT round((((run.id * 7 + l * 13) % 41) - 20) / 10.0, 2) AS z) v
"""


def collected(lab: Product, section: int, n: int, base: int) -> list[str]:
    """Codes of tubes that wait to be received."""
    codes = [f"{PREFIX}{next(_codes):011d}" for _ in range(n)]
    kinds = lab.sql(
        "SELECT id, specimen_type_id, container_id FROM order_set WHERE tenant_id = :t AND section_id = :s ORDER BY id LIMIT 1",
        t=lab.tenant,
        s=section,
    )
    values = {"t": lab.tenant, "s": section, "b": base, "p": BASE + 1, "codes": codes}
    values |= dict(zip(("os", "st", "ct"), kinds[0], strict=True))
    engine = create_engine(lab.admin_url)
    with engine.begin() as conn:
        for statement in _COLLECTED.split(";\n"):
            query = text(statement)
            conn.execute(query, {name: values[name] for name in query.compile().params})
    engine.dispose()
    return codes


def receive(lab: Product, stations: Sequence[Browser], codes: Sequence[str], pace: float = 0.0) -> list[float]:
    """Milliseconds each station waits for the answer to each scan, all stations at work; ``pace``: seconds from scan to scan at a station,
    0 for the next one with the answer, as no hand is."""
    times: list[float] = []

    def work(station: Browser, mine: Sequence[str]) -> None:
        began = time.perf_counter()
        for n, code in enumerate(mine):
            time.sleep(max(0.0, began + n * pace - time.perf_counter()))
            start = time.perf_counter()
            answer = station.post("/sp/receive", ("code", code))
            times.append((time.perf_counter() - start) * 1000)
            if "已核收" not in answer:
                raise Refused(f"{code} was not received")

    together([partial(work, s, codes[n :: len(stations)]) for n, s in enumerate(stations)])
    return times


def control(lab: Product, section: int) -> int:
    """A plan of three levels with ten years of daily runs; its id."""
    [(analyzer,)] = lab.sql("SELECT id FROM analyzer WHERE tenant_id = :t AND section_id = :s ORDER BY id LIMIT 1", t=lab.tenant, s=section)
    [(item,)] = lab.sql(
        "SELECT i.id FROM test_item i WHERE i.tenant_id = :t AND i.section_id = :s AND i.result_type = 'numeric' "
        "AND NOT EXISTS (SELECT 1 FROM qc_plan p WHERE p.tenant_id = :t AND p.item_id = i.id) ORDER BY i.id LIMIT 1",
        t=lab.tenant,
        s=section,
    )
    [(plan,)] = lab.sql(_CONTROL, t=lab.tenant, a=analyzer, i=item)
    materials = [row[0] for row in lab.sql(_MATERIAL, t=lab.tenant)]
    targets = [row[0] for row in lab.sql(_TARGET, t=lab.tenant, plan=plan, m=materials)]
    lab.sql(_RUNS, t=lab.tenant, plan=plan, m=materials, g=targets, days=YEARS * 365)
    return int(str(plan))


# From a key to the focus on another value, by the page's own clock; -1 when it never comes.
_KEYS = """
async ([key, n]) => {
  const times = [];
  for (let i = 0; i < n; i++) {
    const here = document.activeElement, start = performance.now();
    const moved = new Promise((done) => {
      const look = () => {
        const now = document.activeElement;
        if (now && now !== here && now.closest("#tube .value")) done(performance.now() - start);
        else if (performance.now() - start > 5000) done(-1); else setTimeout(look, 0);
      };
      look();
    });
    here.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    times.push(await moved);
  }
  return times;
}
"""


def keys(lab: Product, token: str) -> list[float]:
    """Milliseconds from the arrow key to the next value, in Chromium at the bench with 2 000 open results."""
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            context = browser.new_context(ignore_https_errors=True, viewport={"width": 1366, "height": 768}, locale="zh-CN")
            context.add_cookies(
                [{"name": cookie.NAME, "value": f"{lab.tenant}.{token}", "domain": "localhost", "path": "/", "secure": True}]
            )
            page = context.new_page()
            page.goto(f"https://localhost:{lab.stack.ports['web']}/bench/{SECTION}?show=all")
            page.wait_for_selector("#tube .value input")
            return _pressed(page)
        finally:
            browser.close()


def _pressed(page: Page) -> list[float]:
    page.focus("#tube .value input >> nth=0")
    times: list[float] = []
    for key in ("ArrowDown", "ArrowUp", "ArrowDown", "ArrowUp"):
        times += page.evaluate(_KEYS, [key, 8])
    if min(times) < 0:
        raise Refused("the focus stayed where it was")
    return times


def measure(quick: bool) -> None:
    """Fill, measure, print; at both sizes."""
    sizes, times, scans = (QUICK, 20, 20) if quick else (SIZES, 200, 400)
    with tempfile.TemporaryDirectory(prefix="jl-bench-") as name, product.running(Path(name)) as lab:
        lab.printed_roll(PREFIX)
        [(found,)] = lab.sql("SELECT id FROM section WHERE tenant_id = :t AND code = :c", t=lab.tenant, c=SECTION)
        section, before, base = int(str(found)), 0, BASE
        plan = control(lab, section)
        first: dict[str, float] = {}
        for size in sizes:
            seconds = grow(lab, size, before, base)
            # New people at each size: while it was filled, sessions were idle and would be locked.
            stations = [lab.person("receiver") for _ in range(STATIONS)]
            tester, chemist = lab.person("tester"), lab.person("leader")
            reach = {"scan → answer, 4 stations, a tube every 0.3 s at each": "<= 100", "bench list of 2 000 open results, server": "<= 60"}
            reach["Levey-Jennings month, 3 levels, 10 years stored, server"] = "<= 150"
            codes = collected(lab, section, 2 * scans + 20 * STATIONS, base + 50_000_000)
            receive(lab, stations, codes[2 * scans :])  # both workers have met the page
            figures = {
                "scan → answer, 4 stations, a tube every 0.3 s at each": receive(lab, stations, codes[:scans], PACE),
                "scan → answer, 4 stations without a pause": receive(lab, stations, codes[scans : 2 * scans]),
                "bench list of 2 000 open results, server": server_times(tester, [f"/bench/{SECTION}"], times),
                "Levey-Jennings month, 3 levels, 10 years stored, server": server_times(chemist, [f"/qc/lj?plan={plan}"], times),
            }
            for what, values in figures.items():
                p95 = round(percentile(values, 0.95), 1)
                more = {"p50_ms": round(median(values), 1), "results": size, "filled_s": round(seconds)}
                emit(f"{what}, p95 ms", p95, reach.get(what, ""), **more)
                if what in first:
                    emit(f"{what}, p95 at {size} results over p95 at {sizes[0]}", round(p95 / first[what], 2), "<= 1.3")
                first.setdefault(what, p95)
            if before == 0:
                pressed = keys(lab, tester.token)
                emit("a keystroke to the next result in the browser, p95 ms", round(percentile(pressed, 0.95), 1), "<= 50")
            before, base = size, base + 100_000_000
