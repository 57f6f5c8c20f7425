"""F19 and F15 on the agent's side: renewed at two thirds, never half, and a clock that cannot be right is not believed."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent import renewal
from agent.config import DataDir, Identity, write_atomic
from common import crypto, envelope
from tests.agent.test_enrolment import AGENT, Office

LIFE = timedelta(days=365)


@pytest.fixture
def office(tmp_path: Path) -> Any:
    import threading

    found = Office(tmp_path)
    threading.Thread(target=found.server.serve_forever, daemon=True).start()
    yield found
    found.server.shutdown()
    found.server.server_close()


def folder(root: Path, office: Office, began: datetime, key: crypto.PrivateKey) -> tuple[DataDir, Identity]:
    data = DataDir(root / "agent")
    data.create()
    leaf = crypto.issue_agent(office.ca, office.ca_key, key.public_key(), office.tenant, AGENT, began, began + LIFE)
    write_atomic(data.file("key.pem"), crypto.private_pem(key))
    write_atomic(data.file("certificate.pem"), crypto.certificate_pem(leaf))
    write_atomic(data.file("ca.pem"), crypto.certificate_pem(office.ca))
    write_atomic(data.file("cloud.pem"), crypto.public_pem(office.cloud_key.public_key()))
    identity = Identity(AGENT, office.tenant, office.url, "127.0.0.1", 1)
    raw = {"agent": AGENT, "tenant": office.tenant, "url": office.url, "mqtt": {"host": "127.0.0.1", "port": 1}}
    write_atomic(data.file("identity.json"), json.dumps(raw).encode())
    return data, identity


def renewing(office: Office, now: Callable[[], datetime], key: crypto.PrivateKey) -> None:
    """Make the office answer renewals: a signed envelope in, a year's certificate out."""

    def do_post(handler: Any) -> None:
        sealed = envelope.parse(handler.rfile.read(int(handler.headers["Content-Length"])))
        assert envelope.verify(sealed, key.public_key()) and sealed.header.kind == "renew"
        csr = crypto.csr_key(str(sealed.json()["csr"]).encode())
        leaf = crypto.issue_agent(office.ca, office.ca_key, csr, office.tenant, AGENT, now(), now() + LIFE)
        answer: dict[str, Any] = {
            "certificate": crypto.certificate_pem(leaf).decode(),
            "ca": crypto.certificate_pem(office.ca).decode(),
            "cloud_key": crypto.public_pem(office.cloud_key.public_key()).decode(),
            "mqtt": {"host": "broker.example", "port": 8883},
        }
        office.bend(answer)
        handler._send(200, json.dumps(answer).encode())

    office.server.RequestHandlerClass.do_POST = do_post  # type: ignore[attr-defined]


def test_three_years_of_days_without_one_expired(office: Office, tmp_path: Path) -> None:
    """Daily steps; two of three tries fail, as in a bad network."""
    key, day = crypto.new_key(), datetime.now(UTC)
    data, identity = folder(tmp_path, office, day, key)
    clock = [day]
    renewing(office, lambda: clock[0], key)
    renewals = 0
    for number in range(3 * 365):
        clock[0] = day + timedelta(days=number)
        kept = data.file("certificate.pem").read_bytes()
        assert crypto.load_certificate(kept).not_valid_after_utc > clock[0] + timedelta(days=100), "never near its end"
        if renewal.due(kept, clock[0]) and number % 3 == 0:
            identity = renewal.renew(data, identity, "boot")
            renewals += 1
    assert renewals == 4
    assert data.identity() == identity and identity.mqtt_host == "broker.example"


def test_a_new_ca_is_believed_beside_the_old_one(office: Office, tmp_path: Path) -> None:
    key = crypto.new_key()
    data, identity = folder(tmp_path, office, datetime.now(UTC) - LIFE, key)
    renewing(office, lambda: datetime.now(UTC), key)
    other = crypto.make_ca(crypto.new_key(), "Next CA", datetime.now(UTC), datetime.now(UTC) + LIFE)
    office.bend = lambda answer: answer.update(ca=crypto.certificate_pem(other).decode())
    renewal.renew(data, identity, "boot")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=str(data.file("ca.pem")))
    assert len(context.get_ca_certs()) == 2


BENT: list[Callable[[dict[str, Any]], None]] = [
    lambda answer: answer.pop("certificate"),
    lambda answer: answer.update(certificate="nonsense"),
    lambda answer: answer.update(cloud_key="nonsense"),
    lambda answer: answer.update(mqtt={}),
]


@pytest.mark.parametrize("bend", BENT)
def test_half_an_answer_changes_nothing(office: Office, tmp_path: Path, bend: Callable[[dict[str, Any]], None]) -> None:
    key = crypto.new_key()
    data, identity = folder(tmp_path, office, datetime.now(UTC) - LIFE, key)
    renewing(office, lambda: datetime.now(UTC), key)
    office.bend = bend
    before = {path.name: path.read_bytes() for path in data.root.iterdir()}
    with pytest.raises(renewal.RenewalFailed):
        renewal.renew(data, identity, "boot")
    assert {path.name: path.read_bytes() for path in data.root.iterdir()} == before


def test_a_certificate_for_somebody_else_is_not_kept(office: Office, tmp_path: Path) -> None:
    key = crypto.new_key()
    data, identity = folder(tmp_path, office, datetime.now(UTC) - LIFE, key)
    renewing(office, lambda: datetime.now(UTC), key)
    now = datetime.now(UTC)
    foreign = crypto.issue_agent(office.ca, office.ca_key, crypto.new_key().public_key(), office.tenant, AGENT, now, now + LIFE)
    moved = crypto.issue_agent(office.ca, office.ca_key, key.public_key(), "other", AGENT, now, now + LIFE)
    for leaf in (foreign, moved):
        office.bend = lambda answer, leaf=leaf: answer.update(certificate=crypto.certificate_pem(leaf).decode())  # type: ignore[misc]
        with pytest.raises(renewal.RenewalFailed):
            renewal.renew(data, identity, "boot")


@pytest.mark.parametrize(
    ("clock", "cloud", "right"),
    [
        ("1970-01-01", None, False),
        ("2026-07-01", None, True),
        ("2036-07-01", None, True),  # nobody ever told us better
        ("2036-07-01", "2026-07-01", False),
        ("2026-06-20", "2026-07-01", False),
        ("2026-07-01", "2026-07-01", True),
        ("2027-07-01", "2026-07-01", True),  # a year in the cupboard
        ("2026-06-30T10:00:00", "2026-07-01T00:00:00", True),  # an hour back, and a time zone
    ],
)
def test_when_a_clock_cannot_be_right(clock: str, cloud: str | None, right: bool) -> None:
    told = None if cloud is None else datetime.fromisoformat(cloud).replace(tzinfo=UTC)
    assert renewal.plausible(datetime.fromisoformat(clock).replace(tzinfo=UTC), told) is right


@pytest.mark.parametrize("began", [-3 * LIFE, LIFE])
def test_with_an_impossible_clock_the_pinned_ca_alone_decides(tmp_path: Path, began: timedelta) -> None:
    """The server's certificate is of another time than our clock: refused by the dates, taken by the CA; a foreign CA never."""
    import socket
    import threading

    now, key, ca_key = datetime.now(UTC), crypto.new_key(), crypto.new_key()
    ca = crypto.make_ca(ca_key, "CA", now + began, now + began + 2 * LIFE)
    leaf = crypto.issue_server(ca, ca_key, key.public_key(), ["127.0.0.1"], now + began, now + began + LIFE)
    (tmp_path / "server.pem").write_bytes(crypto.certificate_pem(leaf) + crypto.private_pem(key))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(str(tmp_path / "server.pem"))
    foreign = crypto.make_ca(crypto.new_key(), "Other", now + began, now + began + LIFE)

    def shake(ca: Any, forgive: bool) -> bool:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=crypto.certificate_pem(ca).decode())
        if forgive:
            renewal.forgive_dates(context)
        ours, theirs = socket.socketpair()

        def serve() -> None:
            try:
                server.wrap_socket(theirs, server_side=True).close()
            except OSError:
                theirs.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            context.wrap_socket(ours, server_hostname="127.0.0.1").close()
        except ssl.SSLError:
            return False
        finally:
            ours.close()
            thread.join()
        return True

    assert not shake(ca, forgive=False)
    assert shake(ca, forgive=True)
    assert not shake(foreign, forgive=True)
