"""The people of a whole day at the keyboard: what each does, through ``Hands``, which counts keys and seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from playwright.sync_api import Locator, Page

from common.protocol.astm.framing import build_frames
from tests.flows import morning
from tests.flows.hands import Counted, Hands
from tests.flows.morning import Bench, Morning
from tests.flows.stack import World, eventually

TUBES = int(os.environ.get("JIANLIAN_DAY_TUBES", "30"))
LARGE = TUBES > 60
STATIONS = 4 if LARGE else 1
PATIENCE = max(1.0, TUBES / 30)  # how many times longer than a small day something may take
IDLE = 600.0  # seconds after which a person's page may have locked itself
WRONG, RIGHT = "2.7", "7.2"  # a critical potassium as the ward first reads it back, and as it is


class Day:
    """One laboratory, its people and what they did."""

    def __init__(self, lab: World, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.jobs: dict[str, Counted] = {}
        self.pages: dict[str, tuple[Page, float]] = {}
        self.began = time.monotonic()
        third = TUBES // 6
        self.made: Morning = morning.prepare(lab, {"xn1": 3 * third, "bs1": 2 * third, "cs1": TUBES - 5 * third})

    def of(self, line: str) -> list[Bench]:
        return [t for t in self.made.tubes if t.line == line]

    def mark(self, what: str) -> None:
        """A line for whoever waits for a long day."""
        print(f"{time.monotonic() - self.began:6.0f} s  {what}", flush=True)

    def hands(self, role: str, path: str, place: int = 0) -> Hands:
        """A person at a page; with ``place``, one of several at their own. Who was away for long unlocks the page first."""
        who = f"{role}{place}"
        page, last = self.pages[who] if who in self.pages else (self.lab.person(role), 0.0)
        away = time.monotonic() - last > IDLE
        self.pages[who] = page, time.monotonic()
        if away or not page.url.endswith(path):
            page.goto(self.lab.url(path))
            if page.locator("form[action='/unlock']").count():
                page.keyboard.type(self.lab.account(role).pin)
                page.keyboard.press("Enter")
                page.wait_for_url(f"**{path}")
            self.painted(page)
        return Hands(page, self.jobs)

    def painted(self, page: Page) -> None:
        """A page that was just opened takes keys only then."""
        paints = "performance.getEntriesByType('paint').length"
        eventually(lambda: page.evaluate(paints), 60, "the page is painted: keys before that reach nobody")
        page.wait_for_timeout(200)

    def sign(self, hands: Hands, role: str) -> None:
        """Give the PIN when the signing window is closed."""
        field = hands.page.locator("dialog[open] input[name=pin]")
        hands.sees(field)
        hands.type(self.lab.account(role).pin)
        hands.press("Enter")

    def signed(self, hands: Hands, role: str, done: Locator) -> None:
        """Wait for what a signature brings, giving the PIN if it is asked for."""
        dialog = hands.page.locator("dialog[open] input[name=pin]")
        eventually(lambda: dialog.count() or done.count(), 20, "an answer to the signature")
        if dialog.count():
            self.sign(hands, role)
        hands.sees(done)

    def measure(self, line: str, tubes: Sequence[Bench], odd: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """The analyzer sends these tubes' results, one after the other."""
        self.play(line, [morning.message(line, t, n + 1, (odd or {}).get(t.barcode)) for n, t in enumerate(tubes)])

    def play(self, line: str, messages: Sequence[bytes]) -> None:
        if line != "bs1":
            messages = [b"\x05" + b"".join(build_frames(m)) + b"\x04" for m in messages]
        ports = self.lab.stack.ports
        serial = ("--serial", str(self.lab.stack.state.serial("rm", "cs1")[1]))
        to = serial if line == "cs1" else ("--tcp", f"127.0.0.1:{ports[f'rm-{line}']}")
        done = self.lab.simulate(self.folder, b"".join(messages), *to, most=60 * PATIENCE)
        assert done.returncode == 0, done.stdout + done.stderr

    def states(self, tubes: Sequence[Bench]) -> dict[str, int]:
        """State → how many tests of these tubes."""
        query = "SELECT state, count(*) FROM test WHERE tenant_id = :t AND specimen_id = ANY(:s) GROUP BY state"
        return {row[0]: row[1] for row in self.made.sql(query, s=[t.specimen for t in tubes])}

    def arrived(self, tubes: Sequence[Bench]) -> None:
        """Wait until every test of the tubes has a value."""
        query = "SELECT count(*) FROM test WHERE tenant_id = :t AND specimen_id = ANY(:s) AND current_id IS NULL"
        eventually(lambda: self.made.one(query, s=[t.specimen for t in tubes]) == 0, 120 * PATIENCE, "results arrive")

    def told(self, tubes: Sequence[Bench]) -> dict[str, str]:
        """Barcode → number of the released report."""
        query = (
            "SELECT s.barcode, r.no FROM report r JOIN specimen s ON s.tenant_id = r.tenant_id AND s.id = r.specimen_id "
            "WHERE r.tenant_id = :t AND s.id = ANY(:s) AND r.state IN ('released', 'amended', 'recalled')"
        )
        return {row[0]: row[1] for row in self.made.sql(query, s=[t.specimen for t in tubes])}

    # --- what people do ---

    def receive(self, tubes: Sequence[Bench]) -> None:
        """Singly, at as many stations as there are: all scan, then each waits for its own answer."""
        desks = [self.hands("receiver", "/sp/receive", n) for n in range(min(STATIONS, len(tubes)))]
        self.scan_in(desks, [tubes[n :: len(desks)] for n in range(len(desks))], "#answer")

    def scan_in(self, desks: Sequence[Hands], piles: Sequence[Sequence[Bench]], where: str) -> None:
        """Each station works through its own pile."""
        for n in range(max(map(len, piles))):
            busy = [(desk, pile[n]) for desk, pile in zip(desks, piles, strict=True) if n < len(pile)]
            for desk, tube in busy:
                desk.begin()
                desk.scan(tube.barcode)
            for desk, tube in busy:
                desk.sees(desk.page.locator(f"{where} .answer.ok", has_text=tube.barcode))
                desk.end("receive")

    def pack(self, bag: str, tubes: Sequence[Bench]) -> None:
        """The ward: the bag, tube after tube, the porter's name."""
        desk = self.hands("nurse", "/sp/bag/pack")
        for n, tube in enumerate(tubes):
            with desk.job("pack"):
                if n == 0:  # Enter in the bag's field goes on to the tube's
                    desk.scan(bag)
                    desk.sees(desk.page.locator("input[name=code]:focus"))
                desk.scan(tube.barcode)
                desk.sees(desk.page.locator("#packed .answer.ok", has_text=tube.barcode))
        desk.press("F8")
        desk.type("运送甲")
        desk.press("F4")
        desk.sees(desk.page.locator("tr", has_text=bag).locator(".tag.warn"))

    def unpack(self, bags: Mapping[str, Sequence[Bench]], missing: Bench) -> None:
        """The desk, a bag a station at the same time: opened, scanned out, closed; where one tube lacks, only with a note."""
        names = list(bags)
        for some in (names[n : n + STATIONS] for n in range(0, len(names), STATIONS)):
            desks = [self.hands("receiver", "/sp/bag", n) for n in range(len(some))]
            for desk, bag in zip(desks, some, strict=True):
                desk.scan(bag)
                desk.sees(desk.page.locator("h1", has_text=bag))
                self.painted(desk.page)
            self.scan_in(desks, [[t for t in bags[bag] if t is not missing] for bag in some], "#compared")
            for desk, bag in zip(desks, some, strict=True):
                with desk.job("close a bag"):
                    desk.press("F4")
                    if missing in bags[bag]:
                        desk.sees(desk.page.locator("#notice .notice"))
                        desk.press("F8")
                        desk.type("缺一管，病区补送")
                        desk.press("F4")
                    desk.sees(desk.page.locator("tr", has_text=bag).locator(".tag.ok"))
                self.painted(desk.page)

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
        reviewed = set[str | None]()
        for _ in range(count):
            shown = bench.page.locator("#tube .tube")
            bench.sees(shown)
            tube = shown.get_attribute("data-specimen")
            # Its line is the chosen one, unless the tube was opened by a scan and stands further down than the list was read.
            bench.sees(bench.page.locator(f"#lines:not(:has(#t{tube})), #lines tr#t{tube}[aria-selected=true]"))
            reviewed.add(tube)
            with bench.job("review"):
                bench.press("F4")
                bench.gone(bench.page.locator(f"#lines tr#t{tube}"))
                bench.gone(bench.page.locator(f"#tube .tube[data-specimen='{tube}'] button[data-key=F4]"))
        assert len(reviewed) == count, "each F4 brings another tube"

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
            eventually(lambda: len(self.told(tubes)) == len(tubes), 60 * PATIENCE, "released")

    def release_seen(self, section: str, tubes: Sequence[Bench], role: str = "verifier") -> None:
        """What is not clean is looked at one by one: the tube is scanned, F3 releases the one on the screen."""
        desk = self.hands(role, f"/review/{section}")
        desk.page.reload()
        for tube in tubes:
            desk.scan(tube.barcode)
            desk.sees(desk.page.locator("#tube .tube .code", has_text=tube.barcode))
            desk.sees(desk.page.locator("#lines tr[aria-selected=true]"))
            before = desk.page.locator("#tube .tube").get_attribute("data-report")
            desk.press("F3")
            self.signed(desk, role, desk.page.locator(f"#lines:not(:has(#q{before}))"))
            if desk.page.locator("#lines tr[id]").count():  # the next one opens by itself
                desk.gone(desk.page.locator(f"#tube .tube[data-report='{before}']"))
                desk.sees(desk.page.locator("#tube .tube button[data-key=F3]"))
        eventually(lambda: len(self.told(tubes)) == len(tubes), 60, "released")

    def enter(self, tube: Bench, other: Bench, section: str, values: Mapping[str, str]) -> None:
        """What an analyzer did not measure is typed line by line."""
        desk = self.hands("tester", f"/bench/{section}")
        # A tube scanned while a value field is open is opened, and its code is no result.
        desk.scan(tube.barcode)
        desk.sees(desk.page.locator(f"#tube:not([inert]) .tube[data-specimen='{tube.specimen}']"))
        desk.press("F7")
        desk.sees(desk.page.locator("#tube .value input:focus"))
        desk.scan_into_a_field(other.barcode)
        desk.sees(desk.page.locator(f"#tube:not([inert]) .tube[data-specimen='{other.specimen}']"))
        assert set(self.states([tube])) == {"expected"}
        with desk.job("enter"):
            desk.scan(tube.barcode)
            desk.sees(desk.page.locator(f"#tube:not([inert]) .tube[data-specimen='{tube.specimen}']"))
            desk.press("F7")
            for name, value in values.items():
                desk.sees(desk.page.locator(f"#tube input[aria-label*='{name}']:focus"))
                desk.type(value)
                desk.press("Enter")
            eventually(lambda: set(self.states([tube])) <= {"received", "held"}, 20, "every value is saved")

    def rerun(self, tube: Bench, section: str, item: str, value: str) -> None:
        """One item is asked for again, comes back from the analyzer and is chosen with its reason."""
        desk = self.hands("senior", f"/bench/{section}")
        with desk.job("rerun"):
            desk.scan(tube.barcode)
            desk.sees(desk.page.locator(f"#tube:not([inert]) .tube[data-specimen='{tube.specimen}']"))
            desk.press("Alt+r")
            desk.sees(desk.page.locator("#rerun-box input[name=reason]:focus"))
            desk.type("凝块")
            desk.press("Tab", "Tab", " ", "Enter")
            desk.sees(desk.page.locator("#tube .warn", has_text="凝块"))
            self.play(tube.line, [morning.message(tube.line, tube, 1, {item: value}, only=(item,))])
            desk.sees(desk.page.locator("#tube button[data-key='Alt+W']"), 60)
            desk.press("Alt+w")  # the reason is missing: the browser goes there
            desk.sees(desk.page.locator("#tube form.choose:has(button[data-key='Alt+W']) input[name=reason]:focus"))
            desk.type("以复查为准")
            desk.press("Alt+w")
            desk.gone(desk.page.locator("#tube button[data-key='Alt+W']"))
        query = (
            "SELECT v.reported_text FROM test t JOIN result_version v ON v.tenant_id = t.tenant_id AND v.id = t.current_id "
            "JOIN test_item i ON i.tenant_id = t.tenant_id AND i.id = t.item_id "
            "WHERE t.tenant_id = :t AND t.specimen_id = :s AND i.code = :i"
        )
        assert self.made.one(query, s=tube.specimen, i=item) == value

    def find(self, tube: Bench) -> None:
        bench = self.hands("tester", "/alerts")
        with bench.job("find a tube"):
            bench.press("F2")
            bench.scan(tube.barcode)
            bench.sees(bench.page.locator("main", has_text=tube.barcode))

    def report(self, role: str, tube: Bench) -> Hands:
        """A person has the tube's report before them."""
        desk = self.hands(role, "/reports")
        desk.scan(tube.barcode)
        desk.sees(desk.page.locator("h1 .code"))
        self.painted(desk.page)
        return desk

    def amend(self, tube: Bench, item: str, value: str) -> None:
        desk = self.hands("senior", "/reports")
        with desk.job("amend"):
            self.report("senior", tube)
            desk.press("F6")
            desk.sees(desk.page.locator("#amend"))
            self.painted(desk.page)
            field, find = desk.page.locator(f"#amend input[aria-label='{item}']"), desk.page.locator("#amend-find")
            if find.count():  # one of many is found by its name, code or number
                desk.type(item)
                desk.press("Enter")
            else:
                desk.tab_to(field, 5)
            eventually(lambda: field.evaluate("i => i === document.activeElement"), 10, "the item's field has the cursor")
            desk.type(value)
            desk.press("F8", "ArrowDown", "Tab")
            desk.type("复核后更正")
            desk.press("F4")
            self.signed(desk, "senior", desk.page.locator("h1 .tag.warn", has_text="V2"))

    def phone(self, tube: Bench) -> None:
        """Two people look again, the ward reads back wrongly first, then rightly; what was done is noted and the line closed."""
        event = self.made.one("SELECT id FROM critical_event WHERE tenant_id = :t AND specimen_id = :s", s=tube.specimen)
        for role in ("tester", "verifier"):
            looks = self.hands(role, f"/critical/phone/{event}")
            looks.press("F7")
            looks.sees(looks.page.locator(".tag.ok", has_text=self.lab.account(role).name))
        desk = self.hands("tester", f"/critical/phone/{event}")
        desk.page.reload()
        with desk.job("phone a critical value"):
            for said in (WRONG, RIGHT):
                if said == WRONG:
                    desk.tab_to(desk.page.locator("input[name=receiver]"))
                    desk.type("病区护士")
                desk.tab_to(desk.page.locator("input[name=readback]"))
                desk.type(said)
                if said == WRONG:
                    desk.tab_to(desk.page.locator("input[name=identity]"))
                    desk.press(" ")
                desk.press("Enter")
                desk.sees(desk.page.locator(".answer.bad" if said == WRONG else ".answer.ok"))
            desk.tab_to(desk.page.locator("input[name=action]"), 40)
            desk.type("已报告医生")
            desk.press("Enter")
            desk.sees(desk.page.locator(".answer.ok", has_text="已报告医生"))
            desk.tab_to(desk.page.locator("form[hx-post$='/close'] button"), 40)
            desk.press("Enter")
            desk.sees(desk.page.locator(".answer.ok", has_text="已关闭"))

    def out_of_control(self, line: str, item: str, off: str) -> None:
        """A control is rejected; cause and action noted, the retest signed, patients' tubes looked at again; the leader closes."""
        made = self.made
        self.play(line, [morning.control(line, 1, {item: off})])
        query = "SELECT max(id) FROM qc_ooc WHERE tenant_id = :t AND state = 'open'"
        path = f"/qc/ooc/{eventually(lambda: made.one(query), 60, 'the control is rejected')}"
        desk = self.hands("tester", path)
        with desk.job("sign QC"):
            desk.press("F4")
            desk.sees(desk.page.locator("input[name=cause_class]:focus"))
            desk.press(" ", "Tab")
            desk.type("加样针堵塞")
            desk.press("Tab")
            desk.type("清洗后复测")
            desk.press("F4")
            desk.sees(desk.page.locator("ol.steps [aria-current=step]", has_text="待复测"))
            desk.page.wait_for_timeout(1100)  # an analyzer's clock shows whole seconds
            self.play(line, [morning.control(line, level) for level in (1, 2)])
            query = (
                "SELECT count(*) FROM qc_run r JOIN qc_ooc o ON o.tenant_id = r.tenant_id AND o.plan_id = r.plan_id "
                "WHERE r.tenant_id = :t AND r.at > o.corrected_at AND r.state = 'in_control'"
            )
            eventually(lambda: made.one(query), 60, "the retest is in control")
            desk.page.reload()
            desk.press("F4")
            self.signed(desk, "tester", desk.page.locator("ol.steps [aria-current=step]", has_text="待组长关闭"))
        rows = desk.page.locator("#lines tr")
        values = [t.split()[0] for t in rows.locator("td:nth-child(5)").all_inner_texts()]
        for _ in range(min(5, len(values))):
            again = desk.page.locator("#lines input[name=again]:focus")
            desk.sees(again)
            at = again.evaluate("el => [...document.querySelectorAll('#lines tr')].indexOf(el.closest('tr'))")
            desk.type(values[at])
            desk.press("Enter")
            desk.sees(rows.nth(at).locator("td:last-child .tag.ok"))
        desk.press("Alt+a", "Alt+k")
        desk.sees(rows.first.locator("td:nth-child(7)", has_text=self.lab.account("tester").name))
        leader = self.hands("leader", path)
        leader.tab_to(leader.page.locator("input[name=conclusion]"))
        leader.type("放行")
        leader.press("F4")
        self.signed(leader, "leader", leader.page.locator("ol.steps [aria-current=step]", has_text="已关闭"))

    def recall(self, tube: Bench) -> None:
        desk = self.report("leader", tube)
        desk.press("F7")
        desk.type("标本采错患者")
        desk.press("Enter")
        desk.sees(desk.page.locator("h1 .tag.bad", has_text="已召回"))
