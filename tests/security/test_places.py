"""Every address, asked by somebody whose roles all count at one campus about what is of another: nothing is read or changed (M01)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from werkzeug.routing import Rule

from cloud import relay, worker
from cloud.db.session import UnitOfWork
from cloud.db.tenancy import tenant_tables
from cloud.modules.bench import watch as bench_watch
from cloud.modules.catalog.models import RejectReason, Section
from cloud.modules.critical import service as calls
from cloud.modules.orders import merge, verbal
from cloud.modules.orders.models import RefundRequest, VerbalOrder
from cloud.modules.reports import watch as reports_watch
from cloud.modules.specimens import bags, discard, late, referral, service, storage, ward
from cloud.modules.specimens.models import Specimen
from cloud.modules.tables import METADATA
from common import ids
from tests.cloud.bench.world import NORMAL, World, build
from tests.cloud.platform.test_campuses import campus, give
from tests.cloud.qc.shop import Shop, open_shop
from tests.security.test_routes import ENDS_SESSION, readable, rules, url
from tests.support import lab as labs
from tests.support.database import TestDatabase
from tests.support.lab import Client

NAME = "丁西院"
HERE = "东一病区"
THERE = "西一病区"
RUN = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)
ROLES = ("tester", "verifier", "senior", "leader", "quality", "director", "infogroup", "receiver", "nurse", "guide")
NUMBERS = (1, 2, 4)
"""Each table counts from one: a tube on its way, one received, one told; and the first rows of everything else."""
APART = ("/login", "/sso", "/lang", "/healthz", "/readyz", "/metrics", "/sp/receive/stray")
"""Codes that nobody knows are listed as they were typed."""


@pytest.fixture
def shop(fresh_db: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A west campus with a tube in every state that matters, and an east one where nothing happens."""
    lab = labs.make(fresh_db, data_dir=str(tmp_path_factory.mktemp("files")))
    made = open_shop(build(lab))
    with lab.uow() as uow:
        uow.s.add_all([Section(code="HEM", name="血液组"), RejectReason(code="HEMO", name="溶血")])
    campus(lab, "WEST", "CHEM", wards=THERE)
    campus(lab, "EAST", "HEM", wards=HERE)
    fill(made)
    yield made
    lab.db.dispose()


def tube(world: World, uow: UnitOfWork, state: str = "received") -> tuple[int, str]:
    made = world.tube(uow, world.patient(uow, NAME), ward=THERE, state=state)
    code = ids.accession_number(1, date(2026, 5, 4), made)
    uow.s.execute(text("UPDATE specimen SET barcode = :c WHERE id = :i"), {"c": code, "i": made})
    return made, code


def fill(shop: Shop) -> None:
    world, lab = shop.world, shop.world.lab
    with lab.uow() as uow:
        way, on_way = tube(world, uow, "collected")
        uow.s.execute(text("UPDATE specimen SET received_at = NULL WHERE id = :i"), {"i": way})
        bags.pack(uow, "BAG01", on_way)
        tube(world, uow)
        critical, _ = tube(world, uow)
        world.send(uow, critical, NORMAL | {"K": "6.8"}, RUN)
        told, _ = tube(world, uow)
        world.send(uow, told, NORMAL, RUN)
        _, bad = tube(world, uow, "collected")
        service.reject(uow, bad, 1)
        _, away = tube(world, uow)
        referral.send_out(uow, away, referral.Sending("外送所", due=uow.now.date() + timedelta(days=9)))
        stored, in_rack = tube(world, uow)
        rack = storage.make_rack(uow, storage.NewRack("RK01", place="冰箱"))
        storage.scan(uow, rack.id, None, in_rack)
        asked = {"requested_at": uow.now, "reason": "退"}
        item, order = uow.s.execute(text("SELECT id, order_id FROM order_item WHERE specimen_id = :s"), {"s": stored}).one()
        uow.s.add(RefundRequest(order_item_id=item, **asked))
        uow.s.add(VerbalOrder(order_id=order, caller="赵护士", taken_by="x", taken_at=uow.now, deadline=uow.now + timedelta(days=1)))
        shop.good(uow, "K", RUN - timedelta(hours=1))
        shop.good(uow, "NA", RUN - timedelta(hours=1))
    tester, verifier = lab.client("tester"), lab.client("verifier")
    for each in (critical, told):
        assert tester.post(f"/bench/CHEM/tube/{each}/review", htmx=True).status_code == 204
    lab.sign(verifier)
    with lab.uow() as uow:
        report = uow.s.execute(text("SELECT id FROM report WHERE specimen_id = :s"), {"s": told}).scalar_one()
    assert verifier.post("/review/CHEM/release", {"id": report}, htmx=True).status_code == 200
    with lab.uow() as uow:
        shop.bad(uow, "K", uow.now)
    relay.drain(lab.db, world.tenant, worker.all_handlers())
    with lab.uow() as uow:
        pair = uow.s.execute(text("SELECT id FROM patient WHERE name = :n ORDER BY id LIMIT 2"), {"n": NAME}).scalars().all()
        merge.propose(uow, pair[0], pair[1], "同名")
        calls.save_contact(uow, 1, THERE, NAME, "8001")
        lost = uow.s.get_one(Specimen, (uow.tenant_id, stored))
        ward.tell_lost(uow, lost, "架上、冰箱")
    lab.clock.advance(hours=26)  # by then everything that waits is late
    for watch in (calls.watch, late.look, referral.look, discard.daily, verbal.look, bench_watch.look, reports_watch.watch):
        with lab.uow() as uow:
            watch(uow)
    lab.clock.advance(hours=-26)


def secrets(uow: UnitOfWork) -> list[str]:
    """Words that only what is of the west's patients carries."""
    sql = """SELECT barcode FROM specimen UNION SELECT patient_no FROM patient UNION SELECT no FROM report WHERE no IS NOT NULL
             UNION SELECT placer_no FROM lab_order WHERE length(placer_no) > 4"""
    return [NAME, *uow.s.execute(text(sql)).scalars()]


def answers(shop: Shop, who: Client, method: str) -> Iterator[tuple[str, str]]:
    """Every address with the ids and codes there are; (what was asked, what a person could read of the answer)."""
    with shop.world.lab.uow() as uow:
        barcodes = list(uow.s.execute(text("SELECT barcode FROM specimen ORDER BY id")).scalars())
        words = ["CHEM", *uow.s.execute(text("SELECT no FROM report WHERE no IS NOT NULL")).scalars(), barcodes[1]]
    narrowed = {"all": "1", "show": "all", "first": "2026-01-01", "section": "CHEM", "plan": "1", "s": "X1"}
    for rule in rules(shop.world.lab):
        if rule.endpoint in ENDS_SESSION or method not in (rule.methods or ()) or rule.rule.startswith(APART):
            continue
        values: list[object] = [0] if not rule.arguments else list(NUMBERS) if "<int:" in rule.rule else list(words)
        codes = barcodes[:3] if values == [0] else barcodes[:1]
        queries = [narrowed, narrowed | {"code": barcodes[1], "rack": "1"}] if values == [0] else [narrowed]
        for value in values:
            for form in queries if method == "GET" else [filled(code, value) for code in codes]:
                yield from one(who, rule, value, form)


def filled(code: str, value: object) -> dict[str, Any]:
    """What pages send: a scan, or the ids of what is listed, with reasons."""
    ids_ = ("specimen_id", "patient_id", "item", "id", "test", "event", "report", "plan", "version", "bag_id", "line", "analyzer")
    words = ("reason", "note", "why", "answer", "action", "text", "cause", "conclusion", "searched", "caveat", "outcome", "symptom")
    more = {"reason_id": "1", "identifier": "name", "rack": "1", "slot": "0", "section": "CHEM", "accept": "1", "kind": "xlsx"}
    more |= {"bag": "BAG01", "analyzer_id": "1", "item_id": "1", "barcode": code, "specimen": "X1", "agrees": "1", "code": code}
    return {n: str(value or 1) for n in ids_} | dict.fromkeys(words, "改") | more


def one(who: Client, rule: Rule, value: object, form: dict[str, Any]) -> Iterator[tuple[str, str]]:
    target = url(rule, value)
    if "GET" in (rule.methods or ()):
        found = who.get(target, query_string=form)
    else:
        found = who.post(target, form, htmx=True)
    said = readable(found)
    for typed in (str(form.get("code", "")), str(value)):
        said = said.replace(typed, "") if len(typed) > 6 else said
    yield f"{sorted((rule.methods or set()) - {'HEAD', 'OPTIONS'})} {target} {form.get('code', '')} → {found.status_code}", said


def rows(uow: UnitOfWork) -> dict[tuple[str, int], str]:
    """Every row there is, but for what keeps account of people and alerts that somebody took on."""
    apart = {"access_log", "login_event", "user_session", "audit_log", "audit_head", "outbox", "alert", "app_user", "stray_tube"}
    out = {}
    for table in tenant_tables(METADATA):
        if table.name not in apart and "id" in table.c:
            for number, row in uow.s.execute(text(f"SELECT id, x::text FROM {table.name} x")):
                out[table.name, number] = row
    return out


@pytest.mark.timeout(600)
def test_nothing_of_another_campus_is_read_or_changed_by_any_address(shop: Shop) -> None:
    lab = shop.world.lab
    who = lab.client("leader")
    lab.sign(who)
    with lab.uow() as uow:
        hidden = secrets(uow)

    def shown(method: str) -> list[str]:
        return [asked for asked, said in answers(shop, who, method) if any(word in said for word in hidden)]

    assert give(lab, "leader", dict.fromkeys(ROLES, "campus:WEST")) == 200
    # Whoever works there reads it at all these pages: a walk that finds nothing proves nothing.
    asked = {each.split(" ")[1].split("?")[0] for each in shown("GET")}
    assert len(asked) >= 40 and {"/alerts", "/patients/merge", "/patients/merge/1", "/critical/limits"} <= asked
    assert give(lab, "leader", dict.fromkeys(ROLES, "campus:EAST")) == 200
    with lab.uow() as uow:
        before = rows(uow)
    assert shown("GET") == [] and shown("POST") == []
    with lab.uow() as uow:
        after = rows(uow)
    assert {key: (row, after.get(key)) for key, row in before.items() if after.get(key) != row} == {}
    assert [key for key, row in after.items() if key not in before and any(word in row for word in hidden)] == []
