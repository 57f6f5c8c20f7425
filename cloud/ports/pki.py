"""Keys and certificates of one installation: a CA, servers for web, MQTT and MLLP, our client at the broker.

    python -m cloud.ports.pki DIR HOST [HOST ...]

Made once and kept; a later call renews leaf certificates of which less than a month is left. A hospital with a CA of its
own puts its files under the same names.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from cloud.ports.ca import CertificateAuthority, write_secret
from common import crypto

CLOUD_NAME = "jianlian-cloud"  # CN of our own processes at the broker; an agent's has two slashes, so they never meet
SERVERS = ("web", "mqtt", "mllp")
HOSTS = ("localhost", "127.0.0.1", "::1")
RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True)
class KeyPair:
    """A private key and its certificate, as files."""

    key: Path
    certificate: Path


class Pki:
    """The folder of all keys. `ensure` makes what is missing."""

    def __init__(self, folder: Path, hosts: tuple[str, ...] = HOSTS) -> None:
        self.folder = folder
        self.hosts = hosts
        self.ca_folder = folder / "ca"

    @property
    def ca_file(self) -> Path:
        return self.ca_folder / "ca.pem"

    @property
    def ca_key(self) -> Path:
        return self.ca_folder / "ca.key"

    @property
    def crl_file(self) -> Path:
        return self.ca_folder / "crl.pem"

    @property
    def signing_key(self) -> Path:
        """The cloud's key for envelopes to the agents, who pin its public half."""
        return self.folder / "cloud-signing.key"

    def pair(self, name: str) -> KeyPair:
        return KeyPair(self.folder / f"{name}.key", self.folder / f"{name}.pem")

    def ensure(self, now: datetime) -> "Pki":
        """Make the CA, the servers' and our client's certificates and the signing key, where missing or soon outdated."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.ca_key.exists() and self.ca_file.exists():
            ca = self.authority()
        else:
            ca = CertificateAuthority.create(self.ca_folder, "Jianlian CA", now)
        for name in SERVERS:
            self._ensure_pair(name, now, lambda key: ca.sign_server(key, list(self.hosts), now))
        self._ensure_pair(CLOUD_NAME, now, lambda key: ca.sign_cloud(key, CLOUD_NAME, now))
        if not self.signing_key.exists():
            write_secret(self.signing_key, crypto.private_pem(crypto.new_key()))
        return self

    def authority(self) -> CertificateAuthority:
        return CertificateAuthority(self.ca_file, self.ca_key)

    def _ensure_pair(self, name: str, now: datetime, sign: Callable[[crypto.PublicKey], x509.Certificate]) -> None:
        pair = self.pair(name)
        if pair.certificate.exists() and pair.key.exists() and _expiry(pair.certificate) - now > RENEW_BEFORE:
            return
        key = crypto.new_key()
        write_secret(pair.key, crypto.private_pem(key))
        pair.certificate.write_bytes(crypto.certificate_pem(sign(key.public_key())))


def _expiry(certificate: Path) -> datetime:
    return crypto.load_certificate(certificate.read_bytes()).not_valid_after_utc


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m cloud.ports.pki", description="make or renew an installation's keys and certificates")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("hosts", nargs="+", metavar="HOST", help="names and addresses that browsers, agents and HIS use")
    args = parser.parse_args(argv)
    pki = Pki(args.folder, tuple(args.hosts)).ensure(datetime.now(UTC))
    print(pki.ca_file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
