"""What agents ask over HTTPS, and what they are ordered: renewal, live tail, releases only after consent."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent import renewal
from agent.config import DataDir, write_atomic
from cloud.modules.edge import commands, downlink, service, updates
from cloud.ports.ca import revoked_serials
from common import crypto, release
from common.errors import UserError
from tests.cloud.edge import test_agents
from tests.cloud.edge.world import Edge

https = test_agents.https


@pytest.fixture
def folder(edge: Edge, https: str, tmp_path: Path) -> DataDir:
    """The data folder of the enrolled agent, which finds the app under its real address."""
    data = DataDir(tmp_path / "agent")
    data.create()
    [(certificate,)] = edge.rows("SELECT certificate FROM agent")
    write_atomic(data.file("key.pem"), crypto.private_pem(edge.agent.key))
    write_atomic(data.file("certificate.pem"), certificate.encode())
    write_atomic(data.file("ca.pem"), edge.pki.ca_file.read_bytes())
    write_atomic(data.file("cloud.pem"), crypto.public_pem(edge.cloud_key))
    identity = {"agent": edge.agent.uuid, "tenant": "a", "url": https, "mqtt": {"host": "localhost", "port": 1}}
    write_atomic(data.file("identity.json"), json.dumps(identity).encode())
    return data


def serial(data: DataDir) -> int:
    return crypto.load_certificate(data.file("certificate.pem").read_bytes()).serial_number


def renew(data: DataDir) -> None:
    identity = data.identity()
    assert identity is not None
    renewal.renew(data, identity, "boot")


def test_an_agent_renews_by_itself_and_goes_on_with_the_same_key(edge: Edge, folder: DataDir) -> None:
    first = serial(folder)
    renew(folder)
    renew(folder)
    [(known,)] = edge.rows("SELECT serial FROM agent")
    assert int(known, 16) == serial(folder) != first
    assert folder.file("ca.pem").read_bytes().count(b"BEGIN CERTIFICATE") == 1
    edge.loop.registry.reload()
    edge.take(edge.agent.raw(test_agents.astm(edge.tube(), {"K": "4.1"})))
    assert len(edge.receipts()) == 1, "what was signed before and after counts alike"
    actions = [a for (a,) in edge.rows("SELECT action FROM audit_log WHERE entity = 'agent'")]
    assert actions.count("renew") == 2


def test_revoking_revokes_every_certificate_it_ever_got(edge: Edge, folder: DataDir) -> None:
    serials = {serial(folder)}
    renew(folder)
    serials.add(serial(folder))
    with edge.lab.uow() as uow:
        service.revoke(uow, edge.agent.id, "电脑报废", edge.lab.settings)
    assert revoked_serials(edge.pki.crl_file) == serials
    with pytest.raises(renewal.RenewalFailed, match="403"):
        renew(folder)


def test_a_certificate_that_has_ended_is_renewed_but_never_with_a_foreign_key(edge: Edge, folder: DataDir) -> None:
    with edge.lab.uow() as uow:
        old = edge.pki.authority().sign_agent(crypto.make_csr(edge.agent.key, "x"), "a", edge.agent.uuid, uow.now - timedelta(days=500))
    edge.rows("UPDATE agent SET certificate = :c RETURNING id", c=crypto.certificate_pem(old).decode())
    write_atomic(folder.file("certificate.pem"), crypto.certificate_pem(old))
    assert renewal.due(folder.file("certificate.pem").read_bytes(), datetime.now(UTC))
    renew(folder)
    assert not renewal.due(folder.file("certificate.pem").read_bytes(), datetime.now(UTC))
    before = serial(folder)
    write_atomic(folder.file("key.pem"), crypto.private_pem(crypto.new_key()))
    with pytest.raises(renewal.RenewalFailed):
        renew(folder)
    assert serial(folder) == before


# --- live tail -------------------------------------------------------------------------------------------------------


def test_a_tail_is_ordered_kept_an_hour_and_belongs_to_its_connection(edge: Edge) -> None:
    with edge.lab.uow() as uow:
        commands.tail(uow, edge.agent.id, "au1", 9999)
        with pytest.raises(UserError):
            commands.tail(uow, edge.agent.id, "nothing")
        with pytest.raises(UserError, match="原因"):
            commands.capture(uow, edge.agent.id, "au1", 60, " ")
    edge.loop.registry.reload()
    downlink.drain(edge.lab.db, edge.loop.registry, edge.loop.sender, list(edge.loop.registry.tenants()))
    [order] = edge.down("command")
    assert (order["do"], order["conn"], order["seconds"]) == ("tail", "au1", 300)
    now = datetime.now(UTC)
    lines: list[Any] = [{"at": now.isoformat(), "dir": "in", "text": "⟨ENQ⟩"}, {"at": "?", "text": "x\x00"}, 7]
    edge.take(edge.agent.say("tail", {"conn": "au1", "lines": lines}), edge.agent.say("tail", {"lines": "none"}))
    with edge.lab.uow() as uow:
        found = commands.lines(uow, edge.agent.id, "au1")
        assert [(line.direction, line.text) for line in found] == [("in", "⟨ENQ⟩"), ("in", "x␀")]
        assert commands.lines(uow, edge.agent.id, "au1", after=found[-1].id) == []
    edge.rows("UPDATE edge_tail SET at = at - interval '2 hours' RETURNING id")
    with edge.lab.uow() as uow:
        service.expire(uow)
        assert commands.lines(uow, edge.agent.id, "au1") == []


# --- releases --------------------------------------------------------------------------------------------------------

MAKER = crypto.new_key()
BUNDLE = b"PK-bundle" * 100


def manifest(version: str = "0.2.0", bundle: bytes = BUNDLE, days: int = 30) -> tuple[bytes, bytes]:
    now = datetime.now(UTC)
    made = release.Manifest(version, crypto.sha256_hex(bundle), len(bundle), now.isoformat(), (now + timedelta(days=days)).isoformat())
    return made.text(), crypto.sign(MAKER, made.text())


def test_ac_rl_1_no_release_goes_out_without_the_laboratorys_consent(edge: Edge, folder: DataDir) -> None:
    text, signature = manifest()
    with edge.lab.uow() as uow:
        made = updates.publish(uow, text, signature, BUNDLE, MAKER.public_key())
        with pytest.raises(UserError, match="没有本院检验科的同意"):
            updates.offer(uow, edge.agent.id, made)
        with pytest.raises(UserError, match="发布人不能"):
            updates.consent(uow, made, "王组长")
    identity = folder.identity()
    assert identity is not None
    ask: dict[str, Any] = {"boot": "b", "path": "/edge/bundle"}
    with pytest.raises(renewal.RenewalFailed, match="403"):
        renewal.ask(folder, identity, "bundle", {"version": "0.2.0"}, **ask)
    edge.rows("UPDATE agent_release SET published_by = 'maker' RETURNING id")
    with edge.lab.uow() as uow:
        given = updates.consent(uow, made, "王组长", by_phone=True)
        updates.offer(uow, edge.agent.id, made)
    edge.loop.registry.reload()
    downlink.drain(edge.lab.db, edge.loop.registry, edge.loop.sender, list(edge.loop.registry.tenants()))
    [order] = edge.down("command")
    assert order["consent"]["person"] == "王组长" and order["manifest"] == text.decode()
    assert base64.b64decode(order["signature"]) == signature
    assert renewal.ask(folder, identity, "bundle", {"version": "0.2.0"}, **ask) == BUNDLE
    edge.rows("UPDATE agent_consent SET at = at - interval '25 hours' RETURNING id")
    with edge.lab.uow() as uow:
        with pytest.raises(UserError, match="24 小时"):
            updates.offer(uow, edge.agent.id, made)
        updates.write_consent(uow, given)
        updates.offer(uow, edge.agent.id, made)
        updates.withdraw(uow, made, "发现缺陷")
        with pytest.raises(UserError, match="撤回"):
            updates.offer(uow, edge.agent.id, made)
    with pytest.raises(renewal.RenewalFailed, match="403"):
        renewal.ask(folder, identity, "bundle", {"version": "0.2.0"}, **ask)


@pytest.mark.parametrize("wrong", ["signature", "bundle", "expired", "key"])
def test_a_release_that_is_not_the_makers_or_not_whole_is_not_taken_in(edge: Edge, wrong: str) -> None:
    text, signature = manifest(days=-1 if wrong == "expired" else 30)
    maker = crypto.new_key() if wrong == "key" else MAKER
    if wrong == "signature":
        text = text.replace(b"0.2.0", b"0.3.0")
    with edge.lab.uow() as uow, pytest.raises(UserError):
        updates.publish(uow, text, signature, BUNDLE[:-1] if wrong == "bundle" else BUNDLE, maker.public_key())
