"""Order + 10 results + verification through the pages, 8 clients, against the product's own gunicorn, TLS and all; then the newest-50 list.

    python -m tests.bench.web [--quick]

Two ways a hospital works, both with the requests that people's browsers make, no fewer. *Tube in hand*: the tube lies there with its paper
(health checks, other hospitals), so one form takes it in, and the tube's ten values are saved and reviewed in one post. *Full path*:
registration form and list, label plan and print, collection (patient, tube), receipt, the tube on the bench, each value saved by itself,
the tube as it stands, review, the reviewer's list and report. Both: release inside an open signing window, the clinician's search and
report. Left out are files of the page (cached) and the label's PDF (the printer's).

The first figure is that of processes that have just begun: their sessions of the database still learn. The second follows on the same
processes, so some hundred flows have gone before it, and ends where issue 4 does: verified, not yet looked at by the clinician.
"""

from __future__ import annotations

import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from itertools import count
from pathlib import Path

from cloud.demo.catalog_data import ITEMS
from cloud.demo.messages import DECIMALS, limits
from tests.bench import product
from tests.bench.common import arguments, emit, percentile
from tests.bench.product import PIN, Product, Refused

SECTION = "SH"
SETS = ("RFT", "ELE", "FBG")  # 3 + 6 + 1 items, one tube
RESULTS = 10
STAFF = ("infogroup", "nurse", "receiver", "tester", "leader", "clinician", "guide")
CLIENTS = 8
PATIENCE_S = 300
PREFIX = "T"
NAMES = {row.name: row.code for rows in ITEMS.values() for row in rows}


def one(pattern: str, html: str) -> str:
    """The first group of the first match; Refused when the page does not have it."""
    found = re.search(pattern, html)
    if found is None:
        raise Refused(f"no {pattern} in: {re.sub(r'<[^>]+>', ' ', html)[:400]}")
    return found[1]


class Quick:
    """Ordered, labelled, collected and received in one form (the tube and its paper lie there, with a pre-printed code), ten values and the
    review in one post, the report looked at and released by another person."""

    title, reach, letter = "tube in hand, after the former, to the verified report", ">= 60", "V"

    def __init__(self, lab: Product, tag: str) -> None:
        self.tag, self.key = tag, ""
        self.one, self.verifier = lab.person(*STAFF), lab.person("verifier", "senior")
        self.verifier.post("/sign/open", ("pin", PIN))

    @property
    def requests(self) -> int:
        """How many so far."""
        return self.one.requests + self.verifier.requests

    def run(self, n: int) -> None:
        """One patient."""
        self._verified(preprinted(), n)

    def _verified(self, barcode: str, n: int) -> str:
        """The patient's name."""
        me = self.one
        # The form for the next patient comes with the answer for the last one.
        page = self.key or me.get("/sp/register", page=True)
        form = {"key": one(r'name="key" value="(\w+)"', page), "patient_no": f"{self.letter}{self.tag}{n}", "sex": "M"}
        form["name"] = f"测速{self.letter}{self.tag}{n}"
        form |= {"birth": "1980-01-02", "kind": "exam", "priority": "routine", "dept": "内科", "doctor": "测试医生", "paid": "1"}
        form |= {"barcode": barcode, "collector": "体检中心"}
        chosen = (*(("order_set", code) for code in SETS), ("identifier", "name"), ("identifier", "birth"))
        self.key = me.post("/sp/register", *form.items(), *chosen)
        if barcode not in self.key:
            raise Refused("not taken in")
        tube = me.post(f"/bench/{SECTION}/find", ("code", barcode))
        tests = tests_of(tube)
        typed = [pair for name, test, version in tests for pair in ((f"v-{test}", middle(NAMES[name])), (f"n-{test}", version))]
        specimen, revision = one(r'data-specimen="(\d+)"', tube), one(r'data-revision="(\d+)"', tube)
        if me.post(f"/bench/{SECTION}/tube/{specimen}/review", ("revision", revision), *typed):
            raise Refused("not reviewed")
        report = one(r'data-report="(\d+)"', self.verifier.post(f"/review/{SECTION}/find", ("code", barcode)))
        if f'id="q{report}"' in self.verifier.post(f"/review/{SECTION}/release", ("id", report)):
            raise Refused("not released")
        return form["name"]


class Told(Quick):
    """The same, opened by the clinician."""

    title, reach, letter = "tube in hand", ">= 40", "T"

    def run(self, n: int) -> None:
        """One patient."""
        barcode = preprinted()
        name = self._verified(barcode, n)
        if name not in self.one.get(f"/clinic/find?code={barcode}", page=True):
            raise Refused("the clinician does not see the report")


_codes = count(time.time_ns() // 1_000_000 % 10**8 * 1000)


def preprinted() -> str:
    """The next code of a roll that the hospital had printed (PREFIX)."""
    return f"{PREFIX}{next(_codes):011d}"


def tests_of(tube: str) -> list[tuple[str, str, str]]:
    """(name, test, version) of each line of a tube's page."""
    tests = re.findall(r'<tbody id="r\d+" data-test="(\d+)" data-version="(\d+)"[\s\S]*?<td class="name"><span>([^<]+)</span>', tube)
    if len(tests) != RESULTS:
        raise Refused(f"{len(tests)} tests on the tube")
    return [(name, test, version) for test, version, name in tests]


class Flow:
    """Two people at their desks: one does everything up to the review, another releases."""

    title, reach = "full path", ""

    def __init__(self, lab: Product, tag: str) -> None:
        self.tag = tag
        self.one, self.verifier = lab.person(*STAFF), lab.person("verifier", "senior")
        self.verifier.post("/sign/open", ("pin", PIN))

    @property
    def requests(self) -> int:
        """How many so far."""
        return self.one.requests + self.verifier.requests

    def run(self, n: int) -> None:
        """One patient."""
        number, name = f"W{self.tag}{n}", f"测速台{self.tag}{n}"
        barcode = self._tube(number, name)
        self._results(barcode)
        rows = self.verifier.get(f"/review/{SECTION}")
        report = one(rf'<tr id="q(\d+)"(?:(?!<tr).)*?<td>{name} <span'.replace(".)", r"[\s\S])"), rows)
        self.verifier.get(f"/review/{SECTION}/{report}")
        self.verifier.post(f"/review/{SECTION}/release", ("id", report))
        if name not in self.one.get(f"/clinic/find?code={barcode}", page=True):
            raise Refused("the clinician does not see the report")

    def _tube(self, number: str, name: str) -> str:
        """Ordered, labelled, collected, received; the barcode."""
        me = self.one
        key = one(r'name="key" value="(\w+)"', me.get("/orders/manual", page=True))
        form = {
            "key": key,
            "patient_no": number,
            "name": name,
            "sex": "M",
            "birth": "1980-01-02",
            "kind": "outpatient",
            "priority": "routine",
        }
        form |= {"dept": "内科", "doctor": "测试医生", "paid": "1"}
        me.post("/orders/manual", *form.items(), *(("order_set", code) for code in SETS))
        me.get("/orders", page=True)
        plan = me.get(f"/sp/labels?code={number}")
        patient = one(r'name="patient_id" value="(\d+)"', plan)
        items = re.findall(r'name="item" value="(\d+)"', plan)
        printed = me.post(
            "/sp/labels/print", ("patient_id", patient), ("identifier", "name"), ("identifier", "birth"), *(("item", i) for i in items)
        )
        barcode = one(r'<span class="code">(\d{12})</span>', printed)
        me.post("/sp/collect", ("code", number), ("patient_id", ""))
        me.post("/sp/collect", ("code", barcode), ("patient_id", patient))
        me.post("/sp/receive", ("code", barcode))
        return barcode

    def _results(self, barcode: str) -> None:
        """Ten values typed, the tube reviewed."""
        me = self.one
        tube = me.post(f"/bench/{SECTION}/find", ("code", barcode))
        tests = tests_of(tube)
        for name, test, version in tests:
            if 'class="ask"' in me.post(f"/bench/test/{test}/enter", ("value", middle(NAMES[name])), ("version", version)):
                raise Refused(f"{name}: asked something")
        specimen = one(r'data-specimen="(\d+)"', tube)
        revision = one(r'"revision": "(\d+)"', me.get(f"/bench/{SECTION}/tube/{specimen}"))
        me.post(f"/bench/{SECTION}/tube/{specimen}/review", ("revision", revision))


def middle(item: str) -> str:
    """A value nobody has to look at twice."""
    low, high = limits(item, "M")
    return str(((low + high) / 2).quantize(Decimal(1).scaleb(-DECIMALS[item]), ROUND_HALF_UP))


def together(jobs: list[Callable[[], None]]) -> float:
    """All at once; the seconds until the last is done. The first error of any is raised."""
    errors: list[Exception] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return time.perf_counter() - start


def measured(lab: Product, kind: type[Flow] | type[Quick], clients: int, count: int) -> list[Flow | Quick]:
    """Run ``count`` flows a client and print the figure; the people it ran with."""
    flows: list[Flow | Quick] = [kind(lab, f"{c}X") for c in range(clients)]
    for flow in flows:
        flow.run(0)  # caches of the workers are warm
    before, times = sum(f.requests for f in flows), list[float]()
    used = lab.cpu()

    def work(flow: Flow | Quick) -> None:
        for n in range(1, count + 1):
            start = time.perf_counter()
            flow.run(n)
            times.append(time.perf_counter() - start)

    seconds = together([lambda f=flow: work(f) for flow in flows])  # type: ignore[misc]
    done, requests = len(times), sum(f.requests for f in flows) - before
    more: dict[str, object] = {
        "clients": clients,
        "flow_p50_ms": round(percentile(times, 0.5) * 1000),
        "flow_p99_ms": round(percentile(times, 0.99) * 1000),
    }
    # With two cores, 2000 ms over the sum of these is what could be reached if nothing else ran.
    more["cpu_ms_per_flow"] = {name: round((now - used[name]) / done * 1000, 1) for name, now in lab.cpu().items()}
    more |= {"requests_per_flow": round(requests / done, 1), "requests_per_s": round(requests / seconds)}
    emit(f"order + 10 results + verify through the web, {kind.title}, flows/s", round(done / seconds, 2), kind.reach, **more)
    return flows


_UNPRINTED = "SELECT count(*) FROM report_version WHERE pdf_sha256 IS NULL AND render_error IS NULL"
_OPEN = "SELECT count(*) FROM outbox_event WHERE done_at IS NULL"


def owed(lab: Product) -> None:
    """What the worker, which steps back behind people, has not done yet when the last flow is, and how long until it has: flows that leave
    more behind than they found were not all paid for in the figure before."""
    start, used = time.perf_counter(), sum(lab.cpu().values())
    [(left,)], [(events,)] = lab.sql(_UNPRINTED), lab.sql(_OPEN)
    while lab.sql(_UNPRINTED) != [(0,)] and time.perf_counter() - start < PATIENCE_S:
        time.sleep(0.2)
    spent = round(sum(lab.cpu().values()) - used, 1)
    more = {"events_open": events, "drained_after_s": round(time.perf_counter() - start, 1), "cpu_s_of_it": spent}
    emit("reports without their PDF when the last flow ended", int(str(left)), "", **more)


def main() -> int:
    """Measure and print."""
    quick = arguments(__doc__)
    clients, count = (2, 2) if quick else (CLIENTS, 40)
    with tempfile.TemporaryDirectory(prefix="jl-bench-") as name, product.running(Path(name)) as lab:
        lab.printed_roll(PREFIX)
        measured(lab, Told, clients, count)
        owed(lab)
        measured(lab, Quick, clients, count)
        owed(lab)
        flows = measured(lab, Flow, clients, count)
        lists = list[float]()

        def look(flow: Flow | Quick) -> None:
            for _ in range(5 if quick else 50):
                start = time.perf_counter()
                flow.verifier.get("/reports", page=True)
                lists.append((time.perf_counter() - start) * 1000)

        seconds = together([lambda f=flow: look(f) for flow in flows])  # type: ignore[misc]
        more = {"p99_ms": round(percentile(lists, 0.99), 1), "lists_per_s": round(len(lists) / seconds), "clients": clients}
        emit("newest reports list, p50 ms", round(percentile(lists, 0.5), 1), "", **more)
    return 0


if __name__ == "__main__":
    sys.exit(main())
