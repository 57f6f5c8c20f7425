"""The certificate authority that agents and brokers trust: one folder with a key, a certificate and a revocation list.

Who holds the folder can make agents, so only the process that enrols reads the key; brokers read certificate and list.
"""

import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from common import crypto

CA_DAYS = 3650
AGENT_DAYS = 365
CRL_DAYS = 3650  # The list is rewritten at each change; a broker that meets an outdated one refuses every agent.
CLOCK_SLACK = timedelta(minutes=5)  # a lab PC whose clock is a little slow must still find its certificate valid


class CertificateAuthority:
    """Signs agents' certificates and keeps the list of the revoked ones."""

    def __init__(self, certificate_file: Path, key_file: Path) -> None:
        """Open an existing authority. Raises CryptoError or OSError."""
        self.certificate_file = certificate_file
        self.certificate = crypto.load_certificate(certificate_file.read_bytes())
        self._key = crypto.load_private(key_file.read_bytes())

    @property
    def revoked_file(self) -> Path:
        """The list that brokers read, beside the certificate."""
        return self.certificate_file.with_name("crl.pem")

    @classmethod
    def create(cls, folder: Path, name: str, now: datetime) -> "CertificateAuthority":
        """Make a new authority in an empty folder, with an empty revocation list."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = crypto.new_key()
        certificate = crypto.make_ca(key, name, now - CLOCK_SLACK, now + timedelta(days=CA_DAYS))
        write_secret(folder / "ca.key", crypto.private_pem(key))
        (folder / "ca.pem").write_bytes(crypto.certificate_pem(certificate))
        made = cls(folder / "ca.pem", folder / "ca.key")
        made.write_revoked([], now)
        return made

    def certificate_pem(self) -> bytes:
        return crypto.certificate_pem(self.certificate)

    def pin(self) -> str:
        """What an enrolment code carries: SHA-256 of this certificate."""
        return crypto.pin(self.certificate)

    def sign_agent(self, csr: bytes, tenant: str, agent: str, now: datetime, days: int = AGENT_DAYS) -> x509.Certificate:
        """A client certificate for the request's key. Its names are ours, whatever the request asks for."""
        key = crypto.csr_key(csr)
        return crypto.issue_agent(self.certificate, self._key, key, tenant, agent, now - CLOCK_SLACK, now + timedelta(days=days))

    def sign_server(self, key: crypto.PublicKey, hosts: list[str], now: datetime, days: int = AGENT_DAYS) -> x509.Certificate:
        return crypto.issue_server(self.certificate, self._key, key, hosts, now - CLOCK_SLACK, now + timedelta(days=days))

    def sign_cloud(self, key: crypto.PublicKey, name: str, now: datetime, days: int = AGENT_DAYS) -> x509.Certificate:
        """A client certificate for one of our own processes at the broker."""
        return crypto.issue_client(self.certificate, self._key, key, name, now - CLOCK_SLACK, now + timedelta(days=days))

    def write_revoked(self, serials: Iterable[int], now: datetime) -> None:
        """Replace the revocation list by one that names these serial numbers, in one step."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(now - CLOCK_SLACK).next_update(now + timedelta(days=CRL_DAYS))
        for serial in sorted(set(serials)):
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(entry)
        signed = builder.sign(self._key, hashes.SHA256())
        fresh = self.revoked_file.with_name("crl.pem.new")
        fresh.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        fresh.replace(self.revoked_file)


def revoked_serials(crl: Path) -> frozenset[int]:
    """The serial numbers on a revocation list."""
    return frozenset(entry.serial_number for entry in x509.load_pem_x509_crl(crl.read_bytes()))


def write_secret(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
