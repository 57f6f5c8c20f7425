"""The start page: what waits for the reader, by section, and each number opens a list of as many."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog.models import RejectReason
from cloud.modules.specimens import bag_rules
from cloud.modules.specimens.models import Rejection, SpecimenBag
from cloud.web.module import Waiting
from cloud.web.principal import Principal
from cloud.web.view import Access
from common.say import say
from tests.cloud.autoverify.floor import Floor, open_floor
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer
from tests.support.lab import Client

ROWS = {  # what a row of each list has exactly once
    "/bench/rerun": r'<tr id="f\d+"',
    "/bench/handover": r"hx-post=\"/bench/handover/CHEM/receive",
    "/bench/": r'<tr id="t\d+"',
    "/review/": r'<tr id="q\d+"',
    "/critical/board": r'<b class="clock',
    "/sp/rejections": r' action="/sp/rejections/\d+/read[?"]',
    "/sp/bag": r'<td class="code"><a href="/sp/bags/',
    "/alerts": r'<form[^>]* hx-post="/alerts/\d+/acknowledge"',
    "/qc/ooc": r'<tr><td class="nowrap"><a href="/qc/ooc/',
}


@pytest.fixture(scope="module")
def floor(pg: TestServer, schema_template: TestDatabase) -> Iterator[Floor]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    yield open_floor(lab, active=False)
    lab.db.dispose()
    pg.drop(made.name)


def shown(who: Client) -> dict[str, tuple[int, str]]:
    """Address → number and words."""
    page = who.get("/")
    assert page.status_code == 200, page.text
    found = re.findall(r'<a class="thing \w+" href="([^"]+)"><b class="n">\S (\d+)</b><span>([^<]+)</span>', page.text)
    assert len(found) == page.text.count('<a class="thing'), page.text
    return {html.unescape(url): (int(n), words) for url, n, words in found}


def rows_of(who: Client, url: str) -> int:
    answer = who.get(url)
    assert answer.status_code == 200, f"{url}: {answer.status_code}"
    pattern = next((p for start, p in ROWS.items() if url.startswith(start)), None)
    assert pattern is not None, f"how many rows has {url}?"
    return len(re.findall(pattern, answer.text))


def test_nothing_waits_where_nothing_happened(floor: Floor) -> None:
    lab = floor.world.lab
    for tenant, role in lab.users:
        if tenant == lab.b:
            assert shown(lab.client(role, tenant)) == {}, role


def test_what_waits_is_counted_by_section_and_each_number_opens_its_list(floor: Floor) -> None:
    lab, world = floor.world.lab, floor.world
    ready = [floor.tube(), floor.tube(), floor.tube({"K": "7.4", "NA": "141"})]
    assert lab.client("tester").post(f"/bench/CHEM/tube/{ready[0]}/review", htmx=True).status_code in (200, 204)
    with lab.db.tenant(lab.a, floor.actor("nurse")) as uow:
        reason = RejectReason(code="CLOT", name="凝块")
        uow.s.add(reason)
        for state in bag_rules.BagState:  # two of the four are on the way
            uow.s.add(SpecimenBag(code=f"BAG-{state}", origin="内科一病区", state=state.value, packed_by="护士", packed_at=uow.now))
        uow.s.flush()
        tube = world.tube(uow, state="rejected")
        uow.s.execute(text("UPDATE order_item SET status = 'rejected' WHERE specimen_id = :s"), {"s": tube})
        for read in (None, uow.now):  # one is read
            uow.s.add(Rejection(specimen_id=tube, reason_id=reason.id, at=uow.now, ward_read_at=read))
    seen = {role: shown(lab.client(role)) for role in ("tester", "verifier", "senior", "nurse", "receiver")}
    section = "CHEM"
    assert seen["tester"][f"/bench/{section}?show=ready"] == (2, "有结果待初审的标本")
    assert seen["tester"][f"/critical/board?section={section}&show=untold"] == (1, "危急值未通知到")
    assert f"/review/{section}" not in seen["tester"], "who may not release is not told to"
    assert seen["verifier"][f"/review/{section}"] == (1, "初审后未发布的报告")
    assert seen["nurse"]["/sp/rejections?unread=1"] == (1, "拒收未读")
    assert seen["receiver"]["/sp/bag?sent=1"] == (2, "标本袋运送中或核对中")
    for role, numbers in seen.items():
        for url, (n, words) in numbers.items():
            assert rows_of(lab.client(role), url) == n, f"{role}: {words} {url}"


def test_every_number_of_every_role_opens(floor: Floor) -> None:
    lab = floor.world.lab
    for tenant, role in lab.users:
        who = lab.client(role, tenant)
        for url in shown(who):
            assert who.get(url).status_code == 200, f"{role}: {url}"


def test_a_module_that_cannot_count_is_named_and_the_others_are_shown(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it broke the transaction, and after it: whoever begins the day gets a page."""
    lab = floor.world.lab
    before = shown(lab.client("tester"))
    assert before

    def broken(uow: UnitOfWork, who: Principal) -> Iterator[Waiting]:
        yield Waiting(say("有结果待初审的标本"), 1, "/half", "")
        uow.s.execute(text("SELECT * FROM a_table_that_is_not_there"))

    mine = lab.app.extensions["starts"]
    monkeypatch.setitem(lab.app.extensions, "starts", (("检验工作台", Access.LOGIN, broken), *mine, ("报告", Access.LOGIN, broken)))
    page = lab.client("tester").get("/")
    assert "没有数到：检验工作台、报告。" in page.text and "/half" not in page.text
    assert shown(lab.client("tester")) == before
