"""A throw-away certificate authority and TLS contexts from it, for servers and clients of a test."""

from __future__ import annotations

import hashlib
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from common import crypto


@dataclass
class Authority:
    """Certificates by name, made when first asked for."""

    root: Path
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self._key = crypto.new_key()
        self.certificate = crypto.make_ca(self._key, "测试根证书（虚构）", self.now - timedelta(hours=1), self.now + timedelta(days=2))
        self.ca_file = self.root / "ca.pem"
        self.ca_file.write_bytes(crypto.certificate_pem(self.certificate))

    def pair(self, name: str, *, server: bool) -> tuple[Path, Path]:
        """Certificate and key files of one name."""
        kind = "server" if server else "client"
        cert_file, key_file = self.root / f"{kind}-{name}.pem", self.root / f"{kind}-{name}.key"
        if not cert_file.exists():
            key = crypto.new_key()
            span = (self.now - timedelta(hours=1), self.now + timedelta(days=1))
            if server:
                made = crypto.issue_server(self.certificate, self._key, key.public_key(), [name, "127.0.0.1"], *span)
            else:
                made = crypto.issue_client(self.certificate, self._key, key.public_key(), name, *span)
            cert_file.write_bytes(crypto.certificate_pem(made))
            key_file.write_bytes(crypto.private_pem(key))
        return cert_file, key_file

    def server(self, host: str) -> ssl.SSLContext:
        """A server context that asks for a client certificate and does not insist."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.pair(host, server=True))
        context.load_verify_locations(self.ca_file)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def client(self, name: str | None) -> ssl.SSLContext:
        """A client context that trusts this authority, with a certificate of that name or none."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if name is not None:
            context.load_cert_chain(*self.pair(name, server=False))
        return context

    def fingerprint(self, name: str) -> str:
        """SHA-256 of a client's certificate."""
        cert_file, _ = self.pair(name, server=False)
        return hashlib.sha256(crypto.load_certificate(cert_file.read_bytes()).public_bytes(Encoding.DER)).hexdigest()


@contextmanager
def authority() -> Iterator[Authority]:
    """A new authority, gone with its files afterwards."""
    with tempfile.TemporaryDirectory(prefix="jl-pki-") as folder:
        yield Authority(Path(folder))
