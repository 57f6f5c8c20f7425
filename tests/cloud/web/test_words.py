"""One Chinese word has the English of the module whose page shows it."""

from __future__ import annotations

import re
from dataclasses import replace

from cloud.modules.platform import alerts
from cloud.modules.platform.alerts import Alert
from cloud.modules.platform.rules import Level
from cloud.web.i18n import English
from tests.support.lab import Client, Lab

NOTICE = Alert("edge.offline", "agent:1", Level.NOTICE, "%(name)s 离线", "/edge/board", "edge:read", {"name": "A"})


def test_a_modules_word_before_anybodys() -> None:
    english = English({"锁定": "Locked", "急": "Stat"}, {"platform": {"锁定": "Locked"}, "web": {"锁定": "Lock"}})
    assert [english.on_page(name, "锁定") for name in ("platform/users.html", "base.html", None)] == ["Locked", "Lock", "Lock"]
    # What the module does not say itself is said by another, and what nobody says stays.
    assert [english.on_page(name, "急") for name in ("platform/users.html", "nowhere/x.html")] == ["Stat", "Stat"]
    assert english.on_page("base.html", "无") == "无" and english.gettext("锁定") == "Locked"


def in_english(client: Client, path: str) -> str:
    client.c.set_cookie("lang", "en", domain="localhost", secure=True)
    return client.get(path).text


def test_the_button_that_locks_and_the_level_of_a_notice(lab: Lab) -> None:
    with lab.uow() as uow:
        alerts.raise_alert(uow, NOTICE)
        alerts.raise_alert(uow, replace(NOTICE, subject="agent:2", level=Level.URGENT))
    shown = in_english(lab.client("tester"), "/alerts")
    assert re.search(r'data-key="F9"[^>]*>\s*Lock\s*<kbd>', shown), "not the state of an account"
    assert '<span class="tag">Notice</span>' in shown and "Marks" not in shown
    # In Chinese it is one word.
    assert '<span class="tag">提示</span>' in lab.client("tester").get("/alerts").text
