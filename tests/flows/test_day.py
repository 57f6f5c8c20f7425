"""A laboratory's morning at the keyboard: tubes, three analyzers, rules that release, people who read; at the end the counts balance.

``JIANLIAN_DAY_TUBES`` sets how many tubes come (36 in the ordinary run; 300 for a hospital's morning). Nobody has a mouse: every job goes
through ``Hands``, which counts keys and seconds; the keys are bounded here, the seconds printed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from common.protocol.astm.framing import build_frames
from tests.flows import morning
from tests.flows.hands import Counted, Hands
from tests.flows.morning import Bench, Morning
from tests.flows.stack import World, eventually, world

TUBES = int(os.environ.get("JIANLIAN_DAY_TUBES", "36"))
CRITICAL = "7.2"  # potassium
# The most keys a job may take, a scan counting as one. What is typed as free text (a reason, a name) is counted too.
BOUNDS = {
    "receive": 1,
    "reject": 3,
    "review": 1,
    "find a tube": 2,
    "release a batch": 20,
}


class Day:
    """One laboratory, its people and what they did."""

    def __init__(self, lab: World, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.jobs: dict[str, Counted] = {}
        self.pages: dict[str, Page] = {}
        third = TUBES // 6
        self.made: Morning = morning.prepare(lab, {"xn1": 3 * third, "bs1": 2 * third, "cs1": TUBES - 5 * third})

    def of(self, line: str) -> list[Bench]:
        return [t for t in self.made.tubes if t.line == line]

    def hands(self, role: str, path: str) -> Hands:
        """A person at a page."""
        if role not in self.pages:
            self.pages[role] = self.lab.person(role)
        page = self.pages[role]
        if not page.url.endswith(path):
            page.goto(self.lab.url(path))
        return Hands(page, self.jobs)

    def sign(self, hands: Hands, role: str) -> None:
        """Give the PIN when the signing window is closed."""
        field = hands.page.locator("dialog[open] input[name=pin]")
        hands.sees(field)
        hands.type(self.lab.account(role).pin)
        hands.press("Enter")

    def measure(self, line: str, tubes: Sequence[Bench], odd: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """The analyzer sends these tubes' results, one after the other."""
        self.play(line, [morning.message(line, t, n + 1, (odd or {}).get(t.barcode)) for n, t in enumerate(tubes)])

    def play(self, line: str, messages: Sequence[bytes]) -> None:
        if line != "bs1":
            messages = [b"\x05" + b"".join(build_frames(m)) + b"\x04" for m in messages]
        ports = self.lab.stack.ports
        serial = ("--serial", str(self.lab.stack.state.serial("rm", "cs1")[1]))
        to = serial if line == "cs1" else ("--tcp", f"127.0.0.1:{ports[f'rm-{line}']}")
        done = self.lab.simulate(self.folder, b"".join(messages), *to)
        assert done.returncode == 0, done.stdout + done.stderr

    def states(self, tubes: Sequence[Bench]) -> dict[str, int]:
        """State → how many tests of these tubes."""
        query = "SELECT state, count(*) FROM test WHERE tenant_id = :t AND specimen_id = ANY(:s) GROUP BY state"
        return {row[0]: row[1] for row in self.made.sql(query, s=[t.specimen for t in tubes])}

    def arrived(self, tubes: Sequence[Bench]) -> None:
        """Wait until every test of the tubes has a value."""
        query = "SELECT count(*) FROM test WHERE tenant_id = :t AND specimen_id = ANY(:s) AND current_id IS NULL"
        eventually(lambda: self.made.one(query, s=[t.specimen for t in tubes]) == 0, 120, "results arrive")

    def told(self, tubes: Sequence[Bench]) -> dict[str, str]:
        """Barcode → number of the released report."""
        query = (
            "SELECT s.barcode, r.no FROM report r JOIN specimen s ON s.tenant_id = r.tenant_id AND s.id = r.specimen_id "
            "WHERE r.tenant_id = :t AND s.id = ANY(:s) AND r.state IN ('released', 'amended', 'recalled')"
        )
        return {row[0]: row[1] for row in self.made.sql(query, s=[t.specimen for t in tubes])}

    # --- what people do ---

    def receive(self, tubes: Sequence[Bench]) -> None:
        desk = self.hands("receiver", "/sp/receive")
        for tube in tubes:
            with desk.job("receive"):
                desk.scan(tube.barcode)
                desk.sees(desk.page.locator("#answer .answer.ok", has_text=tube.barcode))

    def reject(self, tubes: Sequence[Bench]) -> None:
        desk = self.hands("receiver", "/sp/reject")
        for tube in tubes:
            with desk.job("reject"):
                desk.scan(tube.barcode)
                desk.sees(desk.page.locator("#form .code", has_text=tube.barcode))
                desk.page.wait_for_timeout(150)  # no hand is as fast as a scanner, whose keys are never choices
                desk.press("2", "F4")
                desk.sees(desk.page.locator("#form .answer.ok", has_text=tube.barcode))

    def review(self, section: str, count: int, role: str = "tester") -> None:
        """F4 from tube to tube until so many were reviewed."""
        bench = self.hands(role, f"/bench/{section}")
        for _ in range(count):
            shown = bench.page.locator("#tube .tube")
            bench.sees(shown)
            tube = shown.get_attribute("data-specimen")
            bench.sees(bench.page.locator(f"#lines tr#t{tube}[aria-selected=true]"))
            with bench.job("review"):
                bench.press("F4")
                bench.gone(bench.page.locator(f"#lines tr#t{tube}"))
                bench.gone(bench.page.locator(f"#tube .tube[data-specimen='{tube}'] button[data-key=F4]"))

    def release(self, section: str, tubes: Sequence[Bench], role: str = "verifier") -> None:
        """All clean ones ticked, F4, the PIN when it is asked for."""
        desk = self.hands(role, f"/review/{section}")
        desk.page.reload()
        with desk.job("release a batch"):
            desk.press("F4")
            dialog = desk.page.locator("dialog[open] input[name=pin]")
            done = desk.page.locator("#notice .notice, #lines td.empty")
            eventually(lambda: dialog.count() or done.count(), 20, "an answer to the release")
            if dialog.count():
                self.sign(desk, role)
            eventually(lambda: len(self.told(tubes)) == len(tubes), 60, "released")

    def find(self, tube: Bench) -> None:
        bench = self.hands("tester", "/alerts")
        with bench.job("find a tube"):
            bench.press("F2")
            bench.scan(tube.barcode)
            bench.sees(bench.page.locator("main", has_text=tube.barcode))


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    folder = tmp_path_factory.mktemp("day")
    with world(folder) as lab:
        made = Day(lab, folder)
        yield made
        lab.pictures(folder)


def test_a_morning_of_the_laboratory(day: Day, record_property: Any) -> None:
    made = day.made
    blood, chemistry, clotting = day.of("xn1"), day.of("bs1"), day.of("cs1")

    # Last night's two tubes: from them the rule sets were validated and approved.
    samples = [blood[0], chemistry[0]]
    day.receive(samples)
    for line, tube in zip(("xn1", "bs1"), samples, strict=True):
        day.measure(line, [tube])
    day.arrived(samples)
    morning.rules(made)

    # Eight o'clock: three are refused at the desk, the rest is scanned in.
    refused = [blood[-1], chemistry[-1], clotting[-1]]
    day.reject(refused)
    rest = [t for t in made.tubes if t not in (*refused, *samples)]
    day.receive(rest)

    # Three analyzers. Rules release what is clean; two potassiums are critical.
    blood, chemistry, clotting = ([t for t in rest if t.line == line] for line in ("xn1", "bs1", "cs1"))
    criticals = chemistry[:2]
    day.measure("xn1", blood)
    day.measure("bs1", chemistry, {t.barcode: {"K": CRITICAL} for t in criticals})
    day.measure("cs1", clotting)
    day.arrived(rest)
    clean = [*blood, *chemistry[2:]]
    eventually(lambda: len(day.told(clean)) == len(clean), 120, "clean reports leave by themselves")
    assert len(clean) * 100 >= 60 * len(made.tubes), "60 % and more were released by rules"
    assert not day.told(criticals) and not day.told(clotting), "no critical value, and nothing without a rule set, leaves by itself"

    # Clotting is read by people; the critical values are phoned, reviewed and released by hand.
    day.review("NX", len(clotting))
    day.release("NX", clotting)
    day.find(blood[0])

    # Every tube that people or rules let go has one report, and the HIS has each; the rest waits for the person it was held for.
    gone = [*clean, *clotting]
    numbers = day.told(gone)
    assert len(set(numbers.values())) == len(gone)
    assert made.one("SELECT count(*) FROM report WHERE tenant_id = :t AND state = 'released'") == len(gone)
    assert made.one("SELECT count(*) FROM critical_event WHERE tenant_id = :t AND state = 'detected'") == len(criticals)
    assert made.one("SELECT count(*) FROM specimen WHERE tenant_id = :t AND state = 'rejected'") == len(refused)
    reports = eventually(lambda: heard(day, numbers.values()), 90, "the HIS has every report")
    assert max(reports.values()) == 1, "each of them once"

    for name, one in sorted(day.jobs.items()):
        print(one.line(name))
        record_property(name, max(one.keys))
        assert max(one.keys) <= BOUNDS[name], one.line(name)


def heard(day: Day, numbers: Collection[str]) -> dict[str, int]:
    """Report number → how many different messages told the HIS of it; empty while one is missing."""
    words = {s.control_id: s.raw.decode("utf-8", "replace") for s in list(day.lab.his.seen) if b"ORU^R01" in s.raw}
    found = {no: sum(no in word for word in words.values()) for no in numbers}
    return found if all(found.values()) else {}
