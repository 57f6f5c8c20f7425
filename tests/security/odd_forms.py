"""Every form that a page shows, sent with each field missing or odd: answered in words, and what was typed stands in what comes back.

    python -m tests.security.odd_forms     each field with each value, and the routes that were tried (minutes)

Nothing is kept: every request is rolled back, so that one form does not change what the next one meets.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import islice
from typing import Any
from unittest.mock import patch
from urllib.parse import quote_plus, urlsplit

from sqlalchemy import text

from cloud.db.session import Database, UnitOfWork
from tests.security.test_routes import ENDS_SESSION, STREAMS
from tests.support.lab import Client, Lab

ROLES = ("leader", "infogroup", "sysadmin", "secadmin", "nurse", "receiver", "senior", "quality", "director")
ODD = (
    None, "", "x" * 10_000, "a\x00b", "\ud800", "１２", "١٢", "²", "0000-00-00", "9999-12-31", "0001-01-01", "2026-02-30", "-1", "9" * 40,
    "1e999", "NaN", "987654321", "abc", "25:99", "<b>\"'&", "a\r\nb", "1_000", '{"a": [1]}', "\u202e\ufeff",
)  # fmt: skip
"""None: the field is missing."""
TYPED = ("text", "textarea", "search", "number", "tel")
MANY = 12
"""A form of more fields has them alike: that many are enough."""


@dataclass
class Form:
    """What a browser would send, and the kind of each field."""

    action: str
    whole: bool
    """Sent by the browser itself, not by htmx."""
    sent: list[tuple[str, str]] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)


class Page(HTMLParser):
    """The links and forms of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links, self.forms = list[str](), list[Form]()
        self.form: Form | None = None
        self.select, self.options, self.area = "", list[tuple[str, bool]](), list[str]()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = {name: value or "" for name, value in attrs}
        self.links += [url for url in (at.get("href", ""), at.get("hx-get", "")) if url.startswith("/")]
        if tag == "form":
            action = at.get("hx-post") or at.get("action", "")
            self.form = Form(action, "hx-post" not in at) if action and ("hx-post" in at or at.get("method") == "post") else None
            self.forms += [self.form] if self.form else []
        name, form = at.get("name", ""), self.form
        if form is None or not name or "disabled" in at:
            if tag == "option":
                self.options.append((at.get("value", ""), "selected" in at))
            return
        if tag in ("input", "textarea", "select", "button"):
            form.kinds.setdefault(name, at.get("type", "text") if tag == "input" else tag)
        if tag == "input" and (at.get("type") not in ("checkbox", "radio", "file", "submit") or "checked" in at):
            form.sent.append((name, at.get("value", "")))
        self.select, self.options = (name, []) if tag == "select" else (self.select, self.options)
        self.area = [name, ""] if tag == "textarea" else self.area

    def handle_data(self, data: str) -> None:
        if self.area:
            self.area[1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.form = None
        if self.form is not None and tag == "select" and self.select and self.options:
            self.form.sent.append((self.select, next((v for v, on in self.options if on), self.options[0][0])))
            self.select = ""
        if self.form is not None and tag == "textarea" and self.area:
            self.form.sent.append((self.area[0], self.area[1].removeprefix("\n")))
        self.area = [] if tag == "textarea" else self.area


def _rule(lab: Lab, url: str, method: str) -> str | None:
    try:
        rule, _ = lab.app.url_map.bind("localhost").match(urlsplit(url).path, method=method, return_rule=True)
    except Exception:  # no such page for this method: nothing to walk to
        return None
    return None if rule.endpoint in ENDS_SESSION | STREAMS or rule.endpoint == "static" else rule.rule


def forms(lab: Lab, roles: tuple[str, ...] = ROLES, most: int = 150) -> Iterator[tuple[str, Client, str, Form]]:
    """(route, who, page, form) of each form that these people come to, once."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for role in roles:
        client = lab.client(role)
        lab.sign(client)
        waiting = deque(r.rule for r in lab.app.url_map.iter_rules() if "GET" in (r.methods or ()) and not r.arguments)
        walked: Counter[tuple[str, str]] = Counter()
        done: set[str] = set()
        while waiting and sum(walked.values()) < most:
            url = waiting.popleft().split("#")[0]
            rule = None if url in done else _rule(lab, url, "GET")
            done.add(url)
            key = (rule or "", re.sub(r"=[^&]*", "", urlsplit(url).query))
            if rule is None or walked[key] >= 2:
                continue
            walked[key] += 1
            answer = client.get(url)
            if answer.status_code != 200 or "html" not in answer.content_type:
                continue
            page = Page(answer.text)
            waiting += page.links
            for form in page.forms:
                to = _rule(lab, form.action, "POST")
                if to is not None and (to, tuple(sorted(form.kinds))) not in seen:
                    seen.add((to, tuple(sorted(form.kinds))))
                    yield to, client, url, form


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Every transaction does all it does, and is rolled back."""
    real = Database.tenant

    class Enough(Exception):
        pass

    @contextmanager
    def dry(self: Database, *given: Any, **named: Any) -> Iterator[UnitOfWork]:
        answered = False
        try:
            with real(self, *given, **named) as uow:
                yield uow
                answered = True
                uow.finish()
                uow.s.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
                raise Enough
        except Enough:
            assert answered

    with patch.object(Database, "tenant", dry):
        yield


def _send(client: Client, form: Form, fields: list[tuple[str, str]]) -> Any:
    body = "&".join(f"{quote_plus(k)}={quote_plus(v.encode('utf-8', 'surrogatepass'))}" for k, v in fields if k != "_csrf")
    return client.post(form.action, body, htmx=not form.whole, content_type="application/x-www-form-urlencoded")  # type: ignore[arg-type]  # the body as it is


def lost(form: Form, fields: list[tuple[str, str]], answer: Any) -> list[str]:
    """Names of typed fields that a form shown again does not show as they were typed."""
    if answer.status_code != 422 or "html" not in answer.content_type:
        return []
    for again in Page(answer.text).forms:
        if again.action == form.action and again.sent:
            shown: dict[str, list[str]] = {}
            for name, value in again.sent:
                shown.setdefault(name, []).append(value.strip())
            typed = [(n, v.strip()) for n, v in fields if form.kinds.get(n) in TYPED and n in shown and v.isprintable()]
            return [n for n, v in typed if v and v not in shown[n]]
    return []


def wrong(lab: Lab, *, whole: bool = False, tried: Counter[str] | None = None, roles: tuple[str, ...] = ROLES) -> list[str]:
    """What answered 500 or more, or lost what was typed. Not ``whole``: each field with two of the values, in turn."""
    found, turn = [], 0
    known = list(forms(lab, roles))
    with nothing_kept():
        for rule, client, page, form in known:
            for name in islice((n for n in form.kinds if n != "_csrf" and form.kinds[n] != "file"), None if whole else MANY):
                turn += 1
                for value in ODD if whole else (ODD[turn % len(ODD)], ODD[(turn * 5 + 3) % len(ODD)]):
                    fields = [(k, v) for k, v in form.sent if k != name] + ([] if value is None else [(name, value)])
                    answer = _send(client, form, fields)
                    if answer.status_code >= 500 or (gone := lost(form, fields, answer)):
                        said = answer.status_code if answer.status_code >= 500 else f"lost {gone}"
                        found.append(f"{rule} ({page}) {name}={value!r:.40} → {said}")
                    if tried is not None:
                        tried[f"{rule} {answer.status_code}"] += 1
    return found


def main() -> int:
    """All of it, on the floor of the autoverification's tests: tubes, reports, controls, a rule set."""
    from tests.security.test_odd_forms import scene
    from tests.support import database
    from tests.support.lab import make

    tried: Counter[str] = Counter()
    with database.server() as server:
        made = server.create()
        database.build_schema(made)
        lab = make(made)
        scene(lab)
        found = wrong(lab, whole=True, tried=tried)
        lab.db.dispose()
    print("\n".join(f"{n:6} {what}" for what, n in sorted(tried.items())), "\n".join(found), f"{len(found)} wrong", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
