"""The kiosk's line to the cloud: one signed envelope over HTTPS, a JSON answer; or the news that nobody answers."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.config import Identity
from common import envelope
from common.crypto import PrivateKey
from common.envelope import Header

TIMEOUT_S = 4.0
MAX_ANSWER = 1 << 16


class Away(Exception):
    """Nobody answered in time, or not in a way that can be trusted: the kiosk goes on by itself."""


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: ``status`` of HTTP and its JSON."""

    status: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where to ask, and as whom. ``context`` trusts the pinned CA only."""

    identity: Identity
    key: PrivateKey
    context: ssl.SSLContext | None
    boot: str = ""

    def ask(self, body: Mapping[str, Any]) -> Told:
        """Ask once. Raises Away."""
        header = Header(
            tenant=self.identity.tenant,
            agent=self.identity.agent,
            kind="ticket",
            at=datetime.now(UTC).isoformat(),
            mono=time.monotonic_ns(),
            boot=self.boot,
        )
        sealed = envelope.seal(header, json.dumps(dict(body), ensure_ascii=False).encode(), self.key)
        request = urllib.request.Request(f"{self.identity.url.rstrip('/')}/queue/kiosk/checkin", sealed, method="POST")
        request.add_header("Content-Type", "application/octet-stream")
        return self._send(request)

    def _send(self, request: urllib.request.Request) -> Told:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=self.context) as answer:
                return _read(answer.status, answer.read(MAX_ANSWER))
        except urllib.error.HTTPError as error:
            with error:
                if error.code >= 500:
                    raise Away(f"HTTP {error.code}") from error
                return _read(error.code, error.read(MAX_ANSWER))
        except (OSError, ValueError) as error:
            raise Away(str(error)) from error


def _read(status: int, data: bytes) -> Told:
    try:
        body = json.loads(data)
    except ValueError as error:
        raise Away("not our server's answer") from error
    if not isinstance(body, dict):
        raise Away("not our server's answer")
    return Told(status, body)


def trusting(ca_pem: str) -> ssl.SSLContext:
    """TLS that believes the enrolled CA only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca_pem)
    return context
