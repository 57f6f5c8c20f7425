"""Who is let in: topic, header and signature must name the same registered agent; everything else is refused and told (F18)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from cloud.modules.edge import service
from cloud.modules.edge.rules import AgentState
from cloud.ports.ca import revoked_serials
from common import crypto, envelope, topics
from tests.cloud.edge.world import Edge, Sender, add_agent, astm


@pytest.fixture
def neighbour(edge: Edge) -> Sender:
    """An agent of the other hospital."""
    with edge.lab.uow(edge.lab.b) as uow:
        return add_agent(uow, edge.pki, "b", None)


def alarms(edge: Edge, tenant: int | None = None) -> list[tuple[str, int]]:
    edge.loop._alarm()
    return [tuple(r) for r in edge.rows("SELECT kind, count FROM edge_alarm ORDER BY kind", tenant)]


def stored(edge: Edge) -> int:
    return sum(edge.rows("SELECT count(*) FROM raw_message", t)[0][0] for t in (edge.lab.a, edge.lab.b))


def forgeries(me: Sender, other: Sender, body: bytes) -> dict[str, Any]:
    """Each way to lie about who one is, and the alarm it must raise for ``me`` (or for nobody)."""
    mine, theirs = topics.up("a", me.uuid, "raw"), topics.up("b", other.uuid, "raw")
    return {
        "header names another hospital": (me.raw(body, 1, tenant="b"), "header_differs"),
        "header names another agent": (me.raw(body, 1, agent=other.uuid), "header_differs"),
        "header names another kind": (me.seal("ticket", body, 1, topic=mine), "header_differs"),
        "topic of another hospital with my name": (me.raw(body, 1, topic=topics.up("b", me.uuid, "raw")), "wrong_tenant"),
        "topic of another agent, signed by me": (me.raw(body, 1, topic=theirs, tenant="b", agent=other.uuid), None),
        "signed by somebody else": (me.raw(body, 1, signed_by=crypto.new_key()), "bad_signature"),
        "signed by the neighbour": (me.raw(body, 1, signed_by=other.key), "bad_signature"),
        "a name nobody has": (me.raw(body, 1, topic=topics.up("a", "nobody", "raw")), None),
        "a topic outside the grammar": (me.raw(body, 1, topic="t/a/a/+/up/raw"), None),
        "a downward topic": (me.raw(body, 1, topic=topics.down("a", me.uuid, "receipt")), None),
        "no number": (me.raw(body, 0), "no_sequence"),
    }


def test_every_lie_is_refused_and_told(edge: Edge, neighbour: Sender) -> None:
    body = astm(edge.tube(), {"K": "4.1"})
    expected: Counter[str] = Counter()
    for lie, (message, alarm) in forgeries(edge.agent, neighbour, body).items():
        edge.wire.acked.clear()
        edge.take(message)
        assert stored(edge) == 0, lie
        assert edge.wire.sent == [] and edge.wire.acked == [message], lie
        expected.update([alarm] if alarm else [])
        assert dict(alarms(edge)) == expected, lie
    assert alarms(edge, edge.lab.b) == [("bad_signature", 1)]  # the neighbour's own hospital hears of its topic's abuse
    edge.take(edge.agent.raw(body, 1))
    assert stored(edge) == 1


def test_every_changed_byte_of_an_envelope_is_refused(edge: Edge) -> None:
    good = edge.agent.raw(b"x", 1)
    for at in range(0, len(good.payload), 3):
        broken = bytearray(good.payload)
        broken[at] ^= 1
        edge.take(type(good)(good.topic, bytes(broken), 1, 1, 1))
    for cut in range(0, len(good.payload), 40):
        edge.take(type(good)(good.topic, good.payload[:cut], 1, 1, 1))
    assert stored(edge) == 0
    assert edge.wire.sent == []
    edge.take(good)
    assert stored(edge) == 1


def test_an_alarm_counts_and_is_audited_once(edge: Edge) -> None:
    for _ in range(50):
        edge.take(edge.agent.raw(b"x", 1, signed_by=crypto.new_key()))
    edge.loop._alarm()
    edge.take(edge.agent.raw(b"x", 1, signed_by=crypto.new_key()))
    assert alarms(edge) == [("bad_signature", 51)]
    assert edge.rows("SELECT count(*) FROM audit_log WHERE entity = 'edge_alarm'") == [(1,)]


def test_a_revoked_agent_is_refused_at_once(edge: Edge) -> None:
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.1"})))
    assert stored(edge) == 1
    with edge.lab.uow() as uow:
        service.revoke(uow, edge.agent.id, "电脑失窃", edge.lab.settings)
    # the intake's copy of the registrations is still the old one: the database is asked in the transaction
    assert edge.loop.registry.find(edge.agent.uuid).state == AgentState.ENROLLED  # type: ignore[union-attr]
    edge.wire.sent.clear()
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.2"})))
    assert stored(edge) == 1
    assert edge.receipts() == {}
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.3"})))
    assert alarms(edge) == [("revoked", 2)]
    [(serial,)] = edge.rows("SELECT serial FROM agent")
    assert int(serial, 16) in revoked_serials(edge.pki.crl_file)


def test_a_stranger_makes_no_load(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    edge.loop.registry.reload()
    reloads = []
    real = edge.loop.registry.reload
    monkeypatch.setattr(edge.loop.registry, "reload", lambda: (reloads.append(1), real()))
    for n in range(200):
        edge.take(edge.agent.raw(b"x", 1, topic=topics.up("a", f"n{n}", "raw")))
    assert len(reloads) <= 5


def test_a_copied_agent_is_noticed_and_nothing_of_it_interpreted(edge: Edge) -> None:
    """F17: one number, two contents; both are kept, both get their own receipt, the second is not interpreted."""
    barcode = edge.tube()
    first, second = astm(barcode, {"K": "4.1"}), astm(barcode, {"K": "6.9"}, time="20260504120000")
    edge.take(edge.agent.raw(first, 1))
    edge.take(edge.agent.raw(second, 1))
    edge.take(edge.agent.raw(second, 1))
    assert stored(edge) == 2
    assert edge.versions(barcode) == [("K", "4.1")]
    assert edge.receipts()[(edge.agent.stream, 1)] == crypto.sha256_hex(second)
    assert ("clone", 2) in alarms(edge)
    assert edge.rows("SELECT count(*) FROM raw_message WHERE state = 'quarantined'") == [(1,)]


def test_the_neighbour_with_the_same_barcode_never_meets(edge: Edge) -> None:
    """C1: two hospitals may hold the same barcode; a result stays in the hospital of the agent's certificate."""
    barcode = edge.tube()
    with edge.lab.uow(edge.lab.b) as uow:
        other = add_agent(uow, edge.pki, "b", None)
    edge.take(other.raw(astm(barcode, {"K": "4.1"})))
    assert edge.versions(barcode) == []
    assert edge.rows("SELECT state FROM observation", edge.lab.b) == [("orphan",)]
    assert edge.rows("SELECT count(*) FROM observation") == [(0,)]
    down = [envelope.parse(p).header for _, p in edge.wire.sent]
    assert [(h.tenant, h.agent) for h in down] == [("b", other.uuid)]
