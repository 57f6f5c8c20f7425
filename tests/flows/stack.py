"""The whole product as real processes, as the demo starts it, but with Mosquitto as we ship it and a HIS that the test plays."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyotp
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from cloud.demo.launcher import Demo
from cloud.demo.processes import Child
from cloud.demo.state import Account, State
from cloud.embedded import postgres
from tests.support import brokers, machines
from tests.support.fake_his import FakeHis

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 60_000
"""How long a page may take before something is wrong: a whole stack on a busy machine is slow, and no test judges speed."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]
# What a hospital's outage of our side takes away; the agents, their lines and the database's disk stay.
CLOUD = ("web", "intake", "worker", "mllp", "broker")


class Stack(Demo):
    """A demo without its own bustle: nobody works but the test."""

    def _broker(self) -> Child:
        folder = self.state.folder / "mosquitto"
        folder.mkdir(exist_ok=True)
        spare = brokers.free_port()
        config = brokers.mosquitto_files(folder, self.pki, self.ports["mqtt"], spare)
        assert self.settings is not None
        # As in an installation: agents come in by their own listener, our processes by another.
        self.settings = replace(self.settings, mqtt_port=spare, mqtt_public_host=f"localhost:{self.ports['mqtt']}")
        text = re.sub(r"mqtt_port = \d+", f"mqtt_port = {spare}", self.state.settings_file.read_text())
        text = re.sub(r'mqtt_public_host = ".*"', f'mqtt_public_host = "localhost:{self.ports["mqtt"]}"', text)
        self.state.settings_file.write_text(text)
        return self.supervisor.start("broker", brokers.MOSQUITTO or "mosquitto", "-c", str(config))

    def _cloud(self, name: str, verb: str) -> Child:
        """Each process by its own command, as an installation starts it."""
        return self.supervisor.python(name, "cloud.cli", "--config", str(self.state.settings_file), verb)

    def _his(self) -> None:
        """The test is the HIS."""

    def _bustle(self) -> None:
        """The test is the analyzers and the staff."""

    def stop_cloud(self) -> None:
        """kill -9 everything of the hosted side but the database."""
        for child in self.supervisor.children:
            if child.name in CLOUD:
                os.killpg(child.process.pid, signal.SIGKILL)  # gunicorn's workers too
                child.process.wait()

    def start_cloud(self) -> None:
        """Start it again, as a service manager would."""
        for child in self.supervisor.children:
            if child.name in CLOUD:
                child.started = 0.0
        self.supervisor.watch()


@dataclass
class World:
    """A running stack with a browser."""

    stack: Stack
    browser: Browser
    his: FakeHis

    def account(self, role: str, tenant: str = "rm") -> Account:
        return next(a for a in self.stack.state.accounts() if a.tenant == tenant and a.role == role)

    def anonymous(self, **options: Any) -> BrowserContext:
        made = self.browser.new_context(ignore_https_errors=True, viewport={"width": 1366, "height": 768}, locale="zh-CN", **options)
        made.set_default_timeout(PATIENCE_MS)
        return made

    def person(self, role: str, tenant: str = "rm", **options: Any) -> Page:
        """A logged-in person's page."""
        account = self.account(role, tenant)
        page = self.anonymous(**options).new_page()
        page.goto(f"https://localhost:{self.stack.ports['web']}/login")
        page.fill("#tenant", tenant)
        page.fill("#employee_no", account.username)
        page.fill("#password", account.password)
        page.keyboard.press("Enter")
        if account.totp:
            page.fill("#totp", pyotp.TOTP(account.totp).now())
            page.keyboard.press("Enter")
        page.wait_for_selector("header.top")
        return page

    def pictures(self, folder: Path) -> None:
        """What every open page shows, for whoever reads a failure."""
        for n, page in enumerate(p for c in self.browser.contexts for p in c.pages):
            with contextlib.suppress(Exception):
                page.screenshot(path=str(folder / f"page-{n}.png"))
                print(n, page.url)

    def url(self, path: str) -> str:
        return f"https://localhost:{self.stack.ports['web']}{path}"

    def simulate(self, folder: Path, message: bytes, *line: str, wait: float = 0.0, most: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Play an analyzer with the product's own command, which may take so many seconds."""
        file = folder / f"play-{time.monotonic_ns()}.txt"
        file.write_bytes(message)
        command = [sys.executable, "-m", "agent", "simulate", str(file), *line, "--wait", str(wait)]
        return subprocess.run(command, capture_output=True, text=True, timeout=most, check=False)


def eventually(check: Callable[[], Any], seconds: float = 15.0, what: str = "") -> Any:
    """Wait for something true; its value."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


@contextlib.contextmanager
def world(folder: Path) -> Iterator[World]:
    """Everything up, a browser beside it; all of it gone afterwards."""
    expect.set_options(timeout=PATIENCE_MS)
    stack = Stack(State(folder / "state"), brokers.free_port())
    with contextlib.ExitStack() as until:
        until.callback(stack.down)
        stack.up()
        machines.watch(stack.postgres.conninfo(postgres.OWNER))
        his = FakeHis()
        his.port = stack.ports["his-rm"]
        until.enter_context(his)
        play = until.enter_context(sync_playwright())
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        until.callback(browser.close)
        yield World(stack, browser, his)
