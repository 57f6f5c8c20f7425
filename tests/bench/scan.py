"""From the Enter of a scanner to the answer on the screen, at the receiving page in a real Chromium: 100 tubes, one after the other.

    python -m tests.bench.scan [--quick]

The clock is the page's own: it starts at the key and ends in the second frame after the answer was swapped in, when it is painted. Of
each scan the server's own time (Server-Timing) and the way there and back are told apart, so that it is seen where the time goes. The
first scans count too: a receiver does not know that a process is cold.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from cloud.web import cookie
from tests.bench import product
from tests.bench.common import arguments, emit, percentile
from tests.bench.latency import order_tubes
from tests.bench.product import Product

CHROMIUM = "/usr/bin/chromium"
WATCH = """() => {
  window.scans = []; let began = 0;
  addEventListener("keydown", (e) => { if (e.key === "Enter") began = performance.now(); }, true);
  document.addEventListener("htmx:afterSettle", (e) => {
    if (e.detail.requestConfig.path !== "/sp/receive") return;
    const start = began;
    requestAnimationFrame(() => requestAnimationFrame(() => {
      const asked = performance.getEntriesByType("resource").filter((r) => r.name.endsWith("/sp/receive")).pop();
      performance.clearResourceTimings();
      const [server, line] = [asked.serverTiming[0].duration, asked.responseEnd - asked.requestStart];
      window.scans.push({ all: performance.now() - start, server, line });
    }));
  });
}"""


def scan(page: Page, codes: list[str]) -> list[dict[str, Any]]:
    """Each code as a scanner types it; what the page measured."""
    page.evaluate(WATCH)
    for n, code in enumerate(codes, 1):
        page.keyboard.insert_text(code)
        page.keyboard.press("Enter")
        page.wait_for_function("n => window.scans.length === n", arg=n, timeout=60_000)
        assert code in page.inner_text("#answer"), f"the answer to {code} is another one"
    return list(page.evaluate("window.scans"))


def open_receiving(page: Page, lab: Product) -> None:
    """The page of somebody who is logged in with both factors."""
    who = lab.person("receiver")
    address = f"https://localhost:{lab.stack.ports['web']}"
    page.context.add_cookies([{"name": cookie.NAME, "value": f"{lab.tenant}.{who.token}", "url": address, "secure": True}])
    page.goto(f"{address}/sp/receive")
    page.wait_for_selector("[data-scan-here]:focus")


def main() -> int:
    """Measure and print."""
    count = 5 if arguments(__doc__) else 100
    with tempfile.TemporaryDirectory(prefix="jl-bench-") as name, product.running(Path(name)) as lab, sync_playwright() as play:
        codes = list(order_tubes(lab, count, received=False).values())
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(ignore_https_errors=True, viewport={"width": 1366, "height": 768}).new_page()
        open_receiving(page, lab)
        cpu = lab.cpu()
        times = scan(page, codes)
        spent = {part: round((now - cpu[part]) * 1000 / count, 1) for part, now in lab.cpu().items()}
        browser.close()
    whole = [t["all"] for t in times]
    parts = {
        f"{part}_{word}_ms": round(percentile([t[part] for t in times], share), 1)
        for part in ("server", "line")
        for word, share in (("p50", 0.5), ("max", 1.0))
    }
    first = {
        "first_ms": round(whole[0]),
        "first_server_ms": times[0]["server"],
        "first_line_ms": round(times[0]["line"]),
        "scans": len(times),
        "cpu_ms_a_scan": spent,
    }
    emit("scan to answer in the browser, p50 ms", round(percentile(whole, 0.5)), "", **parts, **first)
    emit("scan to answer in the browser, p95 ms", round(percentile(whole, 0.95)), "")
    emit("scan to answer in the browser, max ms", round(max(whole)), "< 300")
    return 0


if __name__ == "__main__":
    sys.exit(main())
