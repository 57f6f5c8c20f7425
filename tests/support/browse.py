"""A real browser before the app of a test: no server, each request goes to the person's own test client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, Route, sync_playwright

from tests.flows.stack import CHROMIUM, FLAGS
from tests.support.lab import Client

BASE = "https://localhost"


@contextmanager
def browser(person: Client, seen: list[str] | None = None, width: int = 1366, height: int = 768) -> Iterator[Page]:
    """A page of a hospital PC, logged in as this person; ``seen`` gets what it asks for."""

    def serve(route: Route) -> None:
        asked = route.request
        path = asked.url.removeprefix(BASE)
        if seen is not None:
            seen.append(f"{asked.method} {path}")
        headers = {k: v for k, v in asked.headers.items() if k.startswith(("hx-", "x-"))}
        body = {"data": asked.post_data_buffer, "content_type": asked.headers.get("content-type")} if asked.method == "POST" else {}
        answer = person.c.open(path, method=asked.method, base_url=BASE, headers=headers, **body)  # type: ignore[arg-type]
        route.fulfill(status=answer.status_code, headers=dict(answer.headers), body=answer.data)
        answer.close()

    with sync_playwright() as play:
        chrome = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = chrome.new_page(viewport={"width": width, "height": height})
        page.route("**/*", serve)
        # A live channel never ends, and a test client answers whole: there is none.
        page.route("**/live*", lambda route: route.abort())
        try:
            yield page
        finally:
            chrome.close()
