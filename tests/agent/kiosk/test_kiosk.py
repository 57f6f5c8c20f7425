"""The kiosk whole: its page, the agent's real journal, and the real cloud app that goes away and comes back."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from werkzeug.serving import BaseWSGIServer, make_server

from agent.committer import Committer
from agent.config import DataDir
from agent.journal import Journal
from agent.kiosk import server
from agent.kiosk.desk import NO_NUMBERS, NOT_KEPT
from agent.kiosk.tickets import CHINA
from agent.rows import Stored
from cloud.modules.edge.models import Agent
from cloud.modules.queue import service as queue
from cloud.modules.queue.models import QueueWindow
from common import crypto
from tests.cloud.catalog.seed import seed
from tests.support.database import TestDatabase
from tests.support.lab import Lab, make
from tests.support.ordering import place

UUID = "7b0a8f3e-6f2d-4f63-9f5c-000000000001"
HALL = "1F"


@pytest.fixture(scope="module")
def shared(pg: Any, schema_template: TestDatabase) -> Iterator[Lab]:
    made = pg.create(schema_template.name)
    lab = make(made)
    with lab.uow() as uow:
        seed(uow)
        uow.s.add(QueueWindow(hall=HALL, no=1))
    yield lab
    lab.db.dispose()
    pg.drop(made.name)


@dataclass
class Loop:
    """An event loop in a thread of its own, as the agent has one."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __enter__(self) -> "Loop":
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()

    def call(self, fn: Any) -> Any:
        """Run a function in the loop's thread."""

        async def run() -> Any:
            return fn()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)


@dataclass
class Station:
    """One kiosk PC: data folder, journal, page; and the cloud's address it was enrolled for."""

    root: Path
    loop: Loop
    port: int
    key: crypto.PrivateKey
    kiosk: Any = None
    journal: Any = None
    tenant: str = "a"

    def start(self, **config: Any) -> None:
        data = DataDir(self.root)
        data.create()
        (self.root / "key.pem").write_bytes(crypto.private_pem(self.key))
        identity = {"agent": UUID, "tenant": self.tenant, "url": f"http://127.0.0.1:{self.port}", "mqtt": {"host": "x", "port": 1}}
        (self.root / "identity.json").write_text(json.dumps(identity))

        def begin() -> Any:
            self.journal = Journal(data.journal)
            self.journal.schedule = Committer(self.journal, self.loop.loop).schedule
            wanted = {"host": "127.0.0.1", "port": 0, "hall": HALL, "name": "K1", **config}
            return server.Kiosk(wanted, data, self.journal, self.loop.loop, "boot")

        self.kiosk = self.loop.call(begin)

    def stop(self) -> None:
        self.kiosk.stop()
        self.loop.call(self.journal.close)

    def ask(self, code: str, answers: dict[str, str] | None = None, **headers: str) -> tuple[int, Any]:
        body = json.dumps({"code": code, "answers": answers or {}}).encode()
        return self.http("/checkin", body, **{"Content-Type": "application/json", **headers})

    def recognise(self, code: str) -> tuple[int, Any]:
        return self.http("/recognise", json.dumps({"code": code}).encode(), Content_Type="application/json")

    def http(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.kiosk.port}{path}", body, {k.replace("_", "-"): v for k, v in headers.items()}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                data = answer.read()
                return answer.status, json.loads(data) if "json" in answer.headers["Content-Type"] else data
        except urllib.error.HTTPError as error:
            data = error.read()
            return error.code, json.loads(data) if "json" in error.headers["Content-Type"] else data

    def outbox(self) -> list[Stored]:
        found: list[Stored] = self.loop.call(lambda: list(self.journal.messages()))
        return found


class Cloud:
    """The real app behind a real socket that can be closed."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.port = 0
        self._server: BaseWSGIServer | None = None

    def up(self) -> None:
        self._server = make_server("127.0.0.1", self.port, self.lab.app, threaded=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def cloud(shared: Lab) -> Iterator[Cloud]:
    made = Cloud(shared)
    made.up()
    yield made
    made.down()


@pytest.fixture
def station(shared: Lab, cloud: Cloud, tmp_path: Path) -> Iterator[Station]:
    key = crypto.new_key()
    enrol(shared, key)
    with Loop() as loop:
        yield Station(tmp_path, loop, cloud.port, key)


def enrol(lab: Lab, key: crypto.PrivateKey, state: str = "enrolled") -> None:
    now = datetime.now(UTC)
    authority_key = crypto.new_key()
    authority = crypto.make_ca(authority_key, "Test CA", now - timedelta(hours=1), now + timedelta(days=1))
    request = crypto.make_csr(key, "kiosk")
    certificate = crypto.issue_agent(
        authority, authority_key, crypto.csr_key(request), "a", UUID, now - timedelta(hours=1), now + timedelta(days=1)
    )
    with lab.uow() as uow:
        for table in (
            "number_lease",
            "patient_merge",
            "queue_ticket",
            "queue_counter",
            "order_item",
            "lab_order",
            "visit",
            "patient_identifier",
            "patient",
        ):
            uow.s.execute(text(f"DELETE FROM {table}"))
        row = uow.s.query(Agent).filter_by(uuid=UUID).one_or_none() or Agent(uuid=UUID, name="自助机")
        row.state, row.certificate, row.kiosk = state, crypto.certificate_pem(certificate).decode(), {"hall": HALL}
        uow.s.add(row)


def order(lab: Lab, no: str, **more: Any) -> None:
    with lab.uow() as uow:
        place(uow, "1001", patient_no=no, **more)


def renewed(station: Station) -> None:
    station.kiosk.desk.renew()
    assert station.kiosk.desk.online and station.kiosk.desk.book.left(datetime.now(UTC).date()) >= 0


def test_a_number_from_the_cloud_with_its_paper(shared: Lab, cloud: Cloud, station: Station, tmp_path: Path) -> None:
    station.start(printer={"type": "file", "folder": str(tmp_path / "paper")})
    renewed(station)
    order(shared, "P1", name="张小伟")
    status, told = station.ask("P1", {"fasting": "yes"})
    assert status == 200 and told["number"] == "N001" and told["name"] == "张*伟" and not told["offline"] and told["printed"]
    assert len(list((tmp_path / "paper").iterdir())) == 1
    status, again = station.ask("P1")
    assert again["number"] == "N001" and again["repeated"]
    code, pdf = station.http(told["pdf"])
    assert code == 200 and pdf.startswith(b"%PDF")
    with shared.uow() as uow:
        assert uow.s.execute(text("SELECT answers->>'fasting' FROM queue_ticket")).scalar() == "yes"
    station.stop()


NOBODY = {
    "message": "没有找到您的信息。请换一张卡或手工输入卡号再试，或到导诊台。",
    "english": "You were not found. Try another card or type its number, or go to the service desk.",
}


def test_what_the_cloud_says_reaches_the_patient(shared: Lab, station: Station) -> None:
    station.start()
    assert station.ask("NOBODY") == (409, NOBODY)
    order(shared, "P1", paid=False)
    status, told = station.ask("P1")
    assert status == 409 and "未缴费" in told["message"] and "cannot be collected now" in told["english"]
    station.stop()


def test_a_card_is_recognised_before_anything_is_asked(shared: Lab, cloud: Cloud, station: Station) -> None:
    station.start()
    renewed(station)
    assert station.recognise("NOBODY") == (409, NOBODY)
    order(shared, "P1", name="张小伟")
    order(shared, "P2", paid=False)
    assert "未缴费" in station.recognise("P2")[1]["message"]
    assert station.recognise("P1") == (200, {"name": "张*伟", "has_number": False})
    with shared.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM queue_ticket")).scalar() == 0
    number = station.ask("P1")[1]["number"]
    assert station.recognise("P1") == (200, {"name": "张*伟", "has_number": True})
    cloud.down()
    assert station.recognise("P9") == (200, {"name": "", "has_number": False})
    assert station.ask("P9")[1]["offline"] and station.recognise("P9")[1]["has_number"]
    assert number == "N001"
    station.stop()


def test_ac_q_5_offline_numbers_arrive_once_when_the_cloud_is_back(shared: Lab, cloud: Cloud, station: Station) -> None:
    station.start()
    renewed(station)
    for n in range(6):
        order(shared, f"P{n}")
    cloud.down()
    given = [station.ask(f"P{n}")[1] for n in range(6)]
    assert [g["number"] for g in given] == [f"N80{n}" for n in range(6)] and all(g["offline"] for g in given)
    assert station.ask("P0")[1]["number"] == "N800" and station.http("/state")[1]["online"] is False
    cloud.up()
    sent = [m for m in station.outbox() if m.kind == "ticket"]
    assert len(sent) == 6
    for message in [*sent, *reversed(sent)]:
        with shared.uow() as uow:
            queue.take_offline_ticket(uow, json.loads(message.body))
    with shared.uow() as uow:
        rows = uow.s.execute(text("SELECT no, offline FROM queue_ticket ORDER BY eff_at, seq")).all()
    assert [tuple(r) for r in rows] == [(f"N80{n}", True) for n in range(6)]
    renewed(station)
    assert station.ask("P0")[1]["number"] == "N800"
    station.stop()


def test_a_kiosk_killed_after_the_commit_gives_no_number_twice(shared: Lab, cloud: Cloud, station: Station) -> None:
    station.start()
    renewed(station)
    cloud.down()
    assert station.ask("CARD-1")[1]["number"] == "N800"
    # Killed before it could print: nothing is closed in order, the next start reads what is on disk.
    station.kiosk.stop()
    station.journal.db.close()
    station.start()
    assert station.ask("CARD-1")[1]["number"] == "N800" and station.ask("CARD-1")[1]["repeated"]
    assert station.ask("CARD-2")[1]["number"] == "N801"
    assert [json.loads(m.body)["number"] for m in station.outbox()] == [800, 801]
    station.stop()


def test_a_short_block_is_followed_by_another(shared: Lab, cloud: Cloud, station: Station) -> None:
    station.start()
    renewed(station)
    desk, today = station.kiosk.desk, datetime.now(UTC).astimezone(CHINA).date()
    desk._book = replace(desk.book, used={today.isoformat(): 45})
    renewed(station)
    assert desk.book.left(today) == 55
    renewed(station)
    assert desk.book.left(today) == 55
    station.stop()


def test_when_the_block_is_spent_the_patient_is_sent_to_a_person(shared: Lab, cloud: Cloud, station: Station) -> None:
    station.start()
    cloud.down()
    station.kiosk.desk._book = type(station.kiosk.desk.book)()
    assert station.ask("CARD-1")[1]["message"] == NO_NUMBERS
    station.stop()


def test_a_full_disk_gives_no_number_and_burns_none_twice(shared: Lab, cloud: Cloud, station: Station) -> None:
    station.start()
    renewed(station)
    cloud.down()
    station.journal.refusing = True
    assert station.ask("CARD-1")[1]["message"] == NOT_KEPT
    station.journal.refusing = False
    assert station.ask("CARD-2")[1]["number"] == "N801" and station.ask("CARD-1")[1]["number"] == "N802"
    station.stop()


def test_a_printer_without_paper_keeps_the_number(shared: Lab, cloud: Cloud, station: Station) -> None:
    station.start(printer={"type": "tcp", "host": "127.0.0.1", "port": 1})
    order(shared, "P1")
    status, told = station.ask("P1")
    assert status == 200 and not told["printed"] and "没有打印出来" in told["message"] and told["number"] == "N001"
    station.stop()


@pytest.mark.parametrize("wrong", ["key", "revoked", "tenant", "not_a_kiosk"])
def test_nobody_else_is_let_in(shared: Lab, cloud: Cloud, station: Station, wrong: str) -> None:
    if wrong == "key":
        station.key = crypto.new_key()
    elif wrong == "tenant":
        station.tenant = "b"
    with shared.uow() as uow:
        agent = uow.s.query(Agent).filter_by(uuid=UUID).one()
        agent.state = "revoked" if wrong == "revoked" else "enrolled"
        agent.kiosk = None if wrong == "not_a_kiosk" else agent.kiosk
    station.start()
    order(shared, "P1")
    status, told = station.ask("P1")
    assert status == 409 and "没有被本院登记" in told["message"]
    station.stop()


@pytest.mark.parametrize("data", [b"", b"x", b"JLE1" + b"\xff" * 40, b"J" * 20_000])
def test_the_door_survives_anything(shared: Lab, cloud: Cloud, data: bytes) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{cloud.port}/queue/kiosk/checkin", data, {"Content-Type": "application/octet-stream"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert caught.value.code == 403
    caught.value.close()


def test_only_this_pcs_own_page_may_speak_to_it(station: Station) -> None:
    station.start()
    good = {"Content_Type": "application/json"}
    assert station.ask("C1", Origin="https://evil.example")[0] == 403
    assert station.ask("C1", Host="kiosk.example")[0] == 403
    assert station.http("/checkin", b"code=C1", Content_Type="application/x-www-form-urlencoded")[0] == 403
    for address in ("/checkin", "/recognise"):
        assert station.http(address, b"[]", **good)[0] == 400
    assert station.http("/checkin", json.dumps({"code": "x" * 65}).encode(), **good)[0] == 400
    assert station.http("/ticket/nothing.pdf")[0] == 404
    status, html = station.http("/")
    assert status == 200 and b"<script src=" in html and b"onclick" not in html
    station.stop()
