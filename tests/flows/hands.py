"""A person's hands at the keyboard: every key and every second of a job is counted, and there is no mouse."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from playwright.sync_api import Locator, Page, expect


@dataclass
class Counted:
    """One kind of job: keys and seconds of each time it was done. A scan counts as one key."""

    keys: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def middle(self) -> float:
        """Seconds of the one in the middle."""
        return sorted(self.seconds)[len(self.seconds) // 2]

    def line(self, name: str) -> str:
        most, times = max(self.seconds), len(self.keys)
        return f"{name}: {max(self.keys)} keys at most, {self.middle:.2f} s in the middle, {most:.2f} s at most, {times} times"


class Hands:
    """Types on a page. ``jobs`` is shared by all people of a day."""

    def __init__(self, page: Page, jobs: dict[str, Counted]) -> None:
        self.page, self.jobs, self.keys, self.start = page, jobs, 0, 0.0

    def press(self, *names: str) -> None:
        for name in names:
            self.page.keyboard.press(name)
            self.keys += 1

    def type(self, words: str) -> None:
        self.page.keyboard.type(words)
        self.keys += len(words)

    def scan(self, code: str) -> None:
        """A scanner types into whatever the page has open for it, and ends with Enter."""
        if self.page.evaluate("() => document.activeElement.matches('[data-scan-here],input:not([inputmode=decimal])')"):
            self.page.keyboard.type(code)
            self.page.keyboard.press("Enter")
            self.keys += 1
        else:
            self.scan_into_a_field(code)

    def scan_into_a_field(self, code: str) -> None:
        """A scan while a value field is open, or none. The keys are made in the page: sent one by one they are not as fast as a scanner's
        on a busy machine, and what is slow is no scan."""
        self.page.evaluate(
            """code => {
              const el = document.activeElement, key = (key) => new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
              for (const c of code) { if (el.dispatchEvent(key(c))) el.value += c; }
              el.dispatchEvent(key("Enter"));
            }""",
            code,
        )
        self.keys += 1

    def tab_to(self, goal: Locator, most: int = 12) -> None:
        """Tab until the field is reached."""
        for _ in range(most):
            if goal.evaluate("el => el === document.activeElement"):
                return
            self.press("Tab")
        assert goal.evaluate("el => el === document.activeElement"), "not reached with Tab"

    def sees(self, goal: Locator, seconds: float = 60) -> None:
        """Wait until it stands on the page."""
        goal.first.wait_for(state="visible", timeout=seconds * 1000)

    def gone(self, goal: Locator, seconds: float = 60) -> None:
        expect(goal).to_have_count(0, timeout=seconds * 1000)

    @contextlib.contextmanager
    def job(self, name: str) -> Iterator[None]:
        """Count what is done inside, to the answer on the screen."""
        self.begin()
        yield
        self.end(name)

    def begin(self) -> None:
        """The first key of a job comes; for jobs that several people do at the same time."""
        self.keys, self.start = 0, time.monotonic()

    def end(self, name: str) -> None:
        """The answer stands on the screen."""
        one = self.jobs.setdefault(name, Counted())
        one.keys.append(self.keys)
        one.seconds.append(time.monotonic() - self.start)
