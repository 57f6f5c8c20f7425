"""The hospital's signature server: away, back, and lying; a real HTTP server on the loopback."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import text

from cloud.modules.platform import signing
from cloud.ports import signature_server
from common.errors import LocalError, PeerError
from tests.support import lab as labs
from tests.support.database import TestDatabase

KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "审核者一号")])
CERTIFICATE = (
    x509.CertificateBuilder()
    .subject_name(NAME)
    .issuer_name(NAME)
    .public_key(KEY.public_key())
    .serial_number(0xABCDEF)
    .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
    .sign(KEY, hashes.SHA256())
)


class Server(HTTPServer):
    """A signature server that may lie."""

    honest = True


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        payload = base64.b64decode(asked["payload"])
        signature = KEY.sign(payload if self.server.honest else payload + b"!", ec.ECDSA(hashes.SHA256()))
        pem = CERTIFICATE.public_bytes(serialization.Encoding.PEM).decode()
        body = json.dumps({"certificate": pem, "signature": base64.b64encode(signature).decode()}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_a_signature_is_believed_only_when_it_holds(server: Server) -> None:
    authority = signature_server.HttpAuthority(f"http://127.0.0.1:{server.server_port}/sign")
    assert authority.countersign(b"x", 7).serial == "abcdef"
    server.honest = False
    with pytest.raises(PeerError, match="不符"):
        authority.countersign(b"x", 7)
    with pytest.raises(LocalError, match="https"):
        signature_server.HttpAuthority("http://ca.example/sign")


def test_a_ca_that_is_away_keeps_signatures_waiting_and_signs_them_later(fresh_db: TestDatabase, server: Server) -> None:
    lab = labs.make(fresh_db)
    signer = signing.open_signer("", "x")
    act = signing.Act("report", "release", lab.users[(lab.a, "verifier")], "w")
    port = server.server_port
    signature_server.configure(replace(lab.settings, ca_sign_url="http://127.0.0.1:1/sign"))
    try:
        with lab.uow() as uow:
            signing.sign(uow, act, [(1, "aa"), (2, "bb")], signer)
        with lab.uow() as uow:
            signing.countersign(uow)
            assert {(s.ca_state, s.ca_serial) for s in signing.of(uow, "report", 1)} == {("pending", None)}
            assert "连不上" in str(signing.of(uow, "report", 2)[0].ca_error)
            assert signing.signed(uow, "report", 1, "aa") and not signing.signed(uow, "report", 1, "bb")
        signature_server.configure(replace(lab.settings, ca_sign_url=f"http://127.0.0.1:{port}/sign"))
        lab.clock.set(datetime.now(UTC) + timedelta(minutes=1))
        with lab.uow() as uow:
            signing.countersign(uow)
            uow.s.expire_all()
            assert {(s.ca_state, s.ca_serial, s.ca_error) for s in signing.of(uow, "report", 2)} == {("done", "abcdef", None)}
            signing.countersign(uow)  # nothing left to do
        with lab.uow() as uow:
            assert uow.s.execute(text("SELECT count(*) FROM audit_log WHERE action = 'countersigned'")).scalar_one() == 1
    finally:
        signature_server.configure(lab.settings)
        lab.db.dispose()


def test_without_a_ca_nothing_waits(fresh_db: TestDatabase) -> None:
    lab = labs.make(fresh_db)
    with lab.uow() as uow:
        signing.sign(uow, signing.Act("report", "release", lab.users[(lab.a, "verifier")], "w"), [(1, "aa")], signing.open_signer("", "x"))
        uow.s.flush()
        assert [s.ca_state for s in signing.of(uow, "report", 1)] == ["none"]
    lab.db.dispose()
