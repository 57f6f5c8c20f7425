"""Agents: enrolment with a code, configuration, heartbeats, worklists, what goes down and when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from werkzeug.serving import make_server

from agent.config import DataDir
from agent.enrolment import enrol as agent_enrol
from cloud.modules.edge import downlink, handlers, service, worklists
from cloud.modules.edge.models import Connection
from cloud.ports.ca import revoked_serials
from common import crypto
from common.errors import UserError
from tests.cloud.edge.world import Edge, astm

# --- enrolment -------------------------------------------------------------------------------------------------------


@pytest.fixture
def https(edge: Edge) -> Iterator[str]:
    """The app behind TLS with a certificate of the deployment's CA."""
    pair = edge.pki.pair("web")
    server = make_server("127.0.0.1", 0, edge.lab.web(), threaded=True, ssl_context=(str(pair.certificate), str(pair.key)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://localhost:{server.port}"
    server.shutdown()


def code_for(edge: Edge, url: str, agent_id: int | None = None) -> str:
    settings = edge.lab.settings.__class__(**{**edge.lab.settings.__dict__, "base_url": url})
    with edge.lab.uow() as uow:
        return service.enrolment_code(uow, agent_id or edge.agent.id, settings)


def test_ac_pj_2_a_real_agent_enrols_and_the_code_works_once(edge: Edge, https: str, tmp_path: Path) -> None:
    old = edge.rows("SELECT serial FROM agent")[0][0]
    code = code_for(edge, https)
    assert agent_enrol(DataDir(tmp_path / "agent"), code, "lab-pc", "boot") == edge.agent.uuid
    identity = DataDir(tmp_path / "agent").identity()
    assert identity is not None and (identity.tenant, identity.agent) == ("a", edge.agent.uuid)
    assert [c.key for c in DataDir(tmp_path / "agent").config().connections] == ["au1"]
    [(state, serial)] = edge.rows("SELECT state, serial FROM agent")
    assert state == "enrolled" and serial != old
    # the certificate it had before is on the list that brokers read
    assert revoked_serials(edge.pki.crl_file) == {int(old, 16)}
    with pytest.raises(UserError, match="登记码无效"):
        agent_enrol(DataDir(tmp_path / "thief"), code, "thief", "boot")
    # and what the old key signs is refused from now on
    edge.loop.registry.reload()
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.1"})))
    assert edge.receipts() == {}


def test_ac_pj_3_a_reinstalled_pc_gets_its_drivers_and_the_version_it_had(edge: Edge, https: str, tmp_path: Path) -> None:
    drivers = {"au1": "beckman_access", "xn": "sysmex_xn", "bc": "mindray_bc"}
    with edge.lab.uow() as uow:
        for key, driver in drivers.items():
            new = service.NewConnection(
                key, key, edge.bench.analyzer, "astm", driver=driver, transport="serial", device=f"/dev/tty-{key}", baud="19200"
            )
            service.save_connection(uow, edge.agent.id, new, version=1 if key == "au1" else 0)
    before = DataDir(tmp_path / "before")
    agent_enrol(before, code_for(edge, https), "old-pc", "boot")
    after = DataDir(tmp_path / "after")  # another disk: nothing of the old one is there
    agent_enrol(after, code_for(edge, https), "new-pc", "boot")
    assert after.config() == before.config()
    assert {c.key: c.driver for c in after.config().connections} == drivers
    assert after.config().version == edge.rows("SELECT config_version FROM agent")[0][0]


def test_a_code_ends_after_30_minutes_or_with_the_next_one(edge: Edge, https: str, tmp_path: Path) -> None:
    first = code_for(edge, https)
    second = code_for(edge, https)
    with pytest.raises(UserError):
        agent_enrol(DataDir(tmp_path / "x"), first, "pc", "boot")
    edge.lab.clock.advance(minutes=30, seconds=1)
    with pytest.raises(UserError):
        agent_enrol(DataDir(tmp_path / "y"), second, "pc", "boot")


def test_whatever_is_wrong_with_a_code_the_answer_is_the_same(edge: Edge) -> None:
    client = edge.lab.web().test_client()
    csr = crypto.make_csr(crypto.new_key(), "x").decode()
    answers = set()
    for bad in ("", "a:" + "x" * 32, "b:" + "x" * 32, "zz:1", "a", ":", "a:\x00", "张:三"):
        answer = client.post("/edge/enrol", json={"code": bad, "csr": csr}, base_url="https://localhost")
        answers.add((answer.status_code, answer.get_data()))
    assert len(answers) == 1 and next(iter(answers))[0] == 422
    for body in (b"", b"[]", b"{", b"null", b'{"code": 5}'):
        assert client.post("/edge/enrol", data=body, base_url="https://localhost").status_code == 422
    assert client.get("/edge/ca", base_url="https://localhost").data == edge.pki.ca_file.read_bytes()


def test_a_bad_request_does_not_spend_the_code(edge: Edge, https: str, tmp_path: Path) -> None:
    text_ = code_for(edge, https)
    code = crypto.decode_enrol_code(text_).code
    client = edge.lab.web().test_client()
    assert client.post("/edge/enrol", json={"code": code, "csr": "no request"}, base_url="https://localhost").status_code == 422
    assert agent_enrol(DataDir(tmp_path / "agent"), text_, "pc", "boot") == edge.agent.uuid


# --- heartbeats ------------------------------------------------------------------------------------------------------


def status(**more: Any) -> dict[str, Any]:
    return {"version": "0.1.0", "config_version": 1, "pending": 0, "oldest": None, "pending_ranges": [], "connections": [], **more}


def now(**delta: float) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


def test_an_agent_that_comes_gets_the_time_and_its_whole_worklist(edge: Edge) -> None:
    wanted, other = edge.tube(), edge.tube(state="rejected")
    edge.take(edge.agent.say("status", status(), at=now()))
    assert len(edge.down("time")) == 1
    [body] = edge.down("worklist")
    assert body["conn"] == "au1"
    assert [t["barcode"] for t in body["tubes"]] == [wanted] and other
    assert body["tubes"][0]["tests"] == ["K", "Na", "GLU", "CREA"]
    edge.wire.sent.clear()
    edge.take(edge.agent.say("status", status(), at=now()))
    assert edge.wire.sent == []  # an ordinary heartbeat is not an arrival
    edge.take(edge.agent.say("status", status(), at=now(), boot="another-boot"))
    assert len(edge.down("worklist")) == 1


def test_an_agent_with_an_old_configuration_gets_the_new_one(edge: Edge) -> None:
    with edge.lab.uow() as uow:
        new = service.NewConnection(key="au2", name="二号", analyzer_id=None, protocol="hl7", port="5002")
        service.save_connection(uow, edge.agent.id, new)
    edge.loop.registry.reload()
    downlink.drain(edge.lab.db, edge.loop.registry, edge.loop.sender, [edge.lab.a])
    [config] = edge.down("config")
    assert config["version"] == 2 and [c["key"] for c in config["connections"]] == ["au1", "au2"]
    edge.wire.sent.clear()
    edge.take(edge.agent.say("status", status(), at=now()))
    assert edge.down("config") == [config]
    edge.take(edge.agent.say("status", status(config_version=2), at=now()))
    assert edge.rows("SELECT applied_version FROM agent") == [(1,)]  # written at most every few seconds
    assert len(edge.down("config")) == 1


def alarms(edge: Edge) -> list[str]:
    return [r[0] for r in edge.rows("SELECT kind FROM edge_alarm WHERE closed_at IS NULL ORDER BY kind")]


def test_a_wrong_clock_is_told_and_the_alarm_ends_by_itself(edge: Edge) -> None:
    edge.take(edge.agent.say("status", status(), at=now(minutes=-10)))
    assert alarms(edge) == ["clock"]
    assert -601_000 < edge.rows("SELECT clock_skew_ms FROM agent")[0][0] < -599_000
    pulse = edge.loop.pulses.of(edge.loop.registry.find(edge.agent.uuid))  # type: ignore[arg-type]
    pulse.written = None
    edge.take(edge.agent.say("status", status(), at=now()))
    assert alarms(edge) == []
    # capture went on whatever the clock said (R6)
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.1"}), at="1970-01-01T00:00:00+00:00"))
    assert edge.receipts()


def test_a_boot_that_comes_back_is_a_copy(edge: Edge) -> None:
    for boot in ("one", "two", "one", "two"):
        edge.take(edge.agent.say("status", status(), at=now(), boot=boot))
    assert alarms(edge) == ["clone"]


def test_restarts_are_no_copies(edge: Edge) -> None:
    for n in range(10):
        edge.take(edge.agent.say("status", status(), at=now(), boot=f"boot-{n}"))
    assert alarms(edge) == []


def test_a_gap_is_told_after_a_minute_and_only_when_nobody_holds_the_message(edge: Edge) -> None:
    body = [astm(edge.tube(), {"K": "4.1"}) for _ in range(4)]
    for seq in (1, 2, 5):
        edge.take(edge.agent.raw(body[0], seq))
    pulse = edge.loop.pulses.of(edge.loop.registry.find(edge.agent.uuid))  # type: ignore[arg-type]

    def beat(pending: list[list[int]]) -> None:
        pulse.written = None
        edge.take(edge.agent.say("status", status(pending_ranges=pending), at=now()))

    beat([[3, 4]])
    edge.lab.clock.set(datetime.now(UTC) + timedelta(seconds=70))
    beat([[3, 4]])
    assert alarms(edge) == []  # the agent still has them
    beat([])
    assert alarms(edge) == []  # not yet a minute
    edge.lab.clock.advance(seconds=70)
    beat([])
    assert alarms(edge) == ["gap"]
    edge.take(edge.agent.raw(body[1], 3), edge.agent.raw(body[2], 4))
    beat([])
    assert alarms(edge) == []


def test_unusable_small_talk_is_ignored(edge: Edge) -> None:
    for body in ([], 5, "x", {"connections": 5, "pending": "many", "pending_ranges": [[1], "x", None], "config_version": "one"}):
        edge.take(edge.agent.say("status", body), edge.agent.say("query", body), edge.agent.say("pending", body))
    edge.take(edge.agent.seal("status", b"\xff"), edge.agent.seal("query", b"{"))
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.1"})))
    assert edge.receipts()
    assert edge.lab.client("tester").get("/edge/board").status_code == 200


# --- worklists -------------------------------------------------------------------------------------------------------


def ask(edge: Edge, *specimens: str, conn: str = "au1") -> list[dict[str, Any]]:
    edge.wire.sent.clear()
    edge.take(edge.agent.say("query", {"conn": conn, "specimen_ids": list(specimens)}))
    [body] = edge.down("worklist")
    return list(body["tubes"])


def test_a_query_is_answered_for_the_asked_tubes_only(edge: Edge) -> None:
    one, two, gone = edge.tube(), edge.tube("李四"), edge.tube(state="cancelled")
    [tube] = ask(edge, one)
    assert (tube["barcode"], tube["patient_name"], tube["cancelled"]) == (one, "张三丰", False)
    assert [t["barcode"] for t in ask(edge, two, one)] == [one, two]
    assert ask(edge, "999") == []
    assert [(t["cancelled"], t["tests"]) for t in ask(edge, gone)] == [(True, [])]
    assert ask(edge, one, conn="nobody") == []
    assert ask(edge) == []


def test_what_has_a_result_is_not_ordered_again(edge: Edge) -> None:
    barcode = edge.tube()
    before = ask(edge, barcode)[0]
    edge.take(edge.agent.raw(astm(barcode, {"K": "4.1", "Na": "140"})))
    after = ask(edge, barcode)[0]
    assert after["tests"] == ["GLU", "CREA"] and after["order_version"] > before["order_version"]
    edge.take(edge.agent.raw(astm(barcode, {"GLU": "5", "CREA": "80"})))
    # EXTRA has no channel here: for this analyzer the tube is done
    assert (ask(edge, barcode)[0]["tests"], ask(edge, barcode)[0]["cancelled"]) == ([], True)


def test_a_sample_number_can_be_asked_too(edge: Edge) -> None:
    barcode = edge.tube()
    [(number,)] = edge.rows("SELECT sample_no FROM specimen")
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE specimen SET sample_day = :d"), {"d": datetime.now(UTC).astimezone(edge.loop.zone).date()})
        uow.s.execute(text("UPDATE specimen SET received_at = now()"))
    assert [t["barcode"] for t in ask(edge, f"00{number}")] == [barcode]


def test_tubes_older_than_a_day_are_no_orders(edge: Edge) -> None:
    barcode = edge.tube()
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE specimen SET received_at = now() - interval '25 hours'"))
    assert ask(edge, barcode) == []
    with edge.lab.uow() as uow:
        assert worklists.full(uow, edge.agent.id) == {"au1": []}


def test_events_send_changes_down_to_the_analyzers_they_concern(edge: Edge) -> None:
    with edge.lab.uow() as uow:
        line = {"type": "tcp-listen", "host": "127.0.0.1", "port": 2}
        uow.s.add(Connection(agent_id=edge.agent.id, key="other", name="无关", analyzer_id=None, protocol="astm", transport=line))
    barcode = edge.tube()
    with edge.lab.uow() as uow:
        tube = uow.s.scalar(text("SELECT id FROM specimen WHERE barcode = :b"), {"b": barcode})
        handlers.on_received(uow, {"specimen_id": tube})
    with edge.lab.uow() as uow:
        for _ in range(3):  # what one unit says of a tube more than once goes down once
            handlers.on_tube(uow, {"specimen_id": tube})
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE specimen /* by hand */ SET state = 'rejected', version = version + 1 WHERE id = :i"), {"i": tube})
        handlers.on_tube(uow, {"specimen_id": tube})
    edge.loop.registry.reload()
    edge.wire.connected = False
    assert downlink.drain(edge.lab.db, edge.loop.registry, edge.loop.sender, [edge.lab.a]) == 0  # nothing is lost while the broker is away
    edge.wire.sent.clear()
    edge.wire.connected = True
    assert downlink.drain(edge.lab.db, edge.loop.registry, edge.loop.sender, [edge.lab.a]) == 3
    [body] = edge.down("worklist")  # of three changes of one tube the last one
    assert body["conn"] == "au1"
    assert [(t["barcode"], t["cancelled"], t["tests"]) for t in body["tubes"]] == [(barcode, True, [])]
    assert downlink.drain(edge.lab.db, edge.loop.registry, edge.loop.sender, [edge.lab.a]) == 0


# --- tickets ---------------------------------------------------------------------------------------------------------


def test_a_ticket_that_cannot_be_true_is_put_aside_and_receipted(edge: Edge) -> None:
    ticket = {"ticket_key": "k1", "kiosk": "k", "hall": "1", "number": 800, "checkin_at": now(), "card": "x"}
    barcode = edge.tube()
    tickets = [edge.agent.say("ticket", body, conn="") for body in (ticket, [1])]
    edge.take(*tickets, edge.agent.raw(astm(barcode, {"K": "4.1"})))
    assert len(edge.receipts()) == 3
    assert edge.rows("SELECT state FROM raw_message ORDER BY seq") == [("quarantined",), ("quarantined",), ("interpreted",)]
    assert edge.current(barcode) == {"K": "4.1"}
