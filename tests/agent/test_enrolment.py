"""Enrolment against a real HTTPS server: the pin decides, the key stays here, half an answer changes nothing."""

from __future__ import annotations

import json
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.config import DataDir
from agent.enrolment import enrol
from agent.journal import Journal
from agent.rows import Outgoing
from common import crypto
from common.errors import JianlianError

NOW = datetime.now(UTC)
AGENT = "0b2f6f3e-6a55-4c3c-9a58-0d2f1a2b3c4d"


class Office:
    """The server's side of enrolment, which tests may bend."""

    def __init__(self, folder: Path) -> None:
        self.ca_key = crypto.new_key()
        self.ca = crypto.make_ca(self.ca_key, "Office CA", NOW - timedelta(days=1), NOW + timedelta(days=90))
        self.cloud_key = crypto.new_key()
        self.requests: list[dict[str, Any]] = []
        self.tenant = "renmin"
        self.used: set[str] = set()
        self.bend: Callable[[dict[str, Any]], None] = lambda answer: None
        key = crypto.new_key()
        life = (NOW - timedelta(days=1), NOW + timedelta(days=90))
        leaf = crypto.issue_server(self.ca, self.ca_key, key.public_key(), ["127.0.0.1"], *life)
        (folder / "server.pem").write_bytes(crypto.certificate_pem(leaf) + crypto.private_pem(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(folder / "server.pem"))
        self.server = HTTPServer(("127.0.0.1", 0), self._handler())
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"

    def code(self, secret: str = "once", pin: str | None = None) -> str:
        return crypto.encode_enrol_code(crypto.EnrolCode(self.url, secret, pin or crypto.pin(self.ca)))

    def answer(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.requests.append(asked)
        if asked["code"] in self.used:
            return 410, {"message": "登记码已用过。", "message_en": "The code was used."}
        self.used.add(asked["code"])
        key = crypto.csr_key(asked["csr"].encode())
        leaf = crypto.issue_agent(self.ca, self.ca_key, key, self.tenant, AGENT, NOW - timedelta(days=1), NOW + timedelta(days=90))
        answer = {
            "agent": AGENT,
            "tenant": self.tenant,
            "certificate": crypto.certificate_pem(leaf).decode(),
            "ca": crypto.certificate_pem(self.ca).decode(),
            "cloud_key": crypto.public_pem(self.cloud_key.public_key()).decode(),
            "mqtt": {"host": "127.0.0.1", "port": 1},
            "config": {"version": 3, "connections": []},
        }
        self.bend(answer)
        return 200, answer

    def _handler(office) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(200, crypto.certificate_pem(office.ca))

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = office.answer(asked)
                self._send(status, json.dumps(answer).encode())

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        return Handler


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_an_agent_enrols_with_a_code_once(office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = DataDir(tmp_path / "agent")
    assert main(["enrol", office.code(), "--data", str(data.root)]) == 0
    identity = data.identity()
    assert identity is not None
    assert (identity.agent, identity.tenant, identity.mqtt_port) == (AGENT, "renmin", 1)
    assert data.config().version == 3
    key = crypto.load_private(data.file("key.pem").read_bytes())
    leaf = crypto.load_certificate(data.file("certificate.pem").read_bytes())
    assert crypto.public_pem(key.public_key()) == crypto.public_pem(crypto.certificate_key(leaf))
    assert stat.S_IMODE(data.file("key.pem").stat().st_mode) == 0o600
    assert "PRIVATE" not in json.dumps(office.requests)
    capsys.readouterr()
    for lang, words in (("en", "The code was used."), ("zh", "登记码已用过。")):
        assert main(["enrol", office.code(), "--data", str(data.root), "--lang", lang]) == 2
        assert words in capsys.readouterr().err


def test_a_server_that_is_not_the_pinned_one_gets_no_code(office: Office, tmp_path: Path) -> None:
    with pytest.raises(JianlianError) as caught:
        enrol(DataDir(tmp_path / "agent"), office.code(pin="0" * 64), "pc", "boot")
    assert caught.value.code == "enrol.pin"
    assert office.requests == []


@pytest.mark.parametrize("missing", ["agent", "tenant", "certificate", "cloud_key", "mqtt", "config"])
def test_half_an_answer_changes_nothing(office: Office, tmp_path: Path, missing: str) -> None:
    office.bend = lambda answer: answer.pop(missing)
    data = DataDir(tmp_path / "agent")
    with pytest.raises(JianlianError):
        enrol(data, office.code(), "pc", "boot")
    assert data.identity() is None
    assert not data.file("key.pem").exists()


def test_a_certificate_for_somebody_else_is_refused(office: Office, tmp_path: Path) -> None:
    def other(answer: dict[str, Any]) -> None:
        answer["tenant"] = "another"

    office.bend = other
    with pytest.raises(JianlianError) as caught:
        enrol(DataDir(tmp_path / "agent"), office.code(), "pc", "boot")
    assert caught.value.code == "enrol.certificate"


def test_results_of_one_hospital_never_move_to_another(office: Office, tmp_path: Path) -> None:
    data = DataDir(tmp_path / "agent")
    enrol(data, office.code("first"), "pc", "boot")
    journal = Journal(data.journal)
    journal.message(Outgoing("xn", b"x", 1))
    journal.close()
    office.tenant = "zhongyi"
    with pytest.raises(JianlianError) as caught:
        enrol(data, office.code("second"), "pc", "boot")
    assert caught.value.code == "enrol.tenant"
    identity = data.identity()
    assert identity is not None and identity.tenant == "renmin"
    office.tenant = "renmin"
    enrol(data, office.code("third"), "pc", "boot")


@pytest.mark.parametrize("text", ["", "JL1.xx", "hello"])
def test_a_damaged_code_says_what_to_do(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    for lang, words in (("zh", "请从网页重新复制"), ("en", "copy the whole code")):
        assert main(["enrol", text, "--data", str(tmp_path / "a"), "--lang", lang]) == 2
        assert words in capsys.readouterr().err


def test_plain_http_is_refused(tmp_path: Path) -> None:
    code = crypto.encode_enrol_code(crypto.EnrolCode("http://lis.example", "x", "0" * 64))
    with pytest.raises(JianlianError) as caught:
        enrol(DataDir(tmp_path / "a"), code, "pc", "boot")
    assert caught.value.code == "enrol.url"
