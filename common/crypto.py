"""Keys, certificates, signatures and the enrolment code: what agent and cloud must agree on to trust each other.

One algorithm everywhere: ECDSA on P-256 with SHA-256. Nothing here reads the clock; validity is passed in.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common import topics
from common.errors import PeerError

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey

_ALGORITHM = ec.ECDSA(hashes.SHA256())
_URI_PREFIX = "spiffe://jianlian/t/"
_CODE_PREFIX = "JL1."


class CryptoError(PeerError):
    """A key, certificate, request or code that cannot be read or must not be trusted."""


# --- keys -----------------------------------------------------------------------------------------------------------


def new_key() -> PrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: PrivateKey) -> bytes:
    """The private key as unencrypted PKCS#8 PEM; the caller keeps the file to its owner (mode 600)."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def public_pem(key: PublicKey) -> bytes:
    """The public key as SubjectPublicKeyInfo PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_private(pem: bytes) -> PrivateKey:
    """Read a private key. Raises CryptoError when it is not a P-256 key."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CryptoError("crypto.key", "private key cannot be read") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CryptoError("crypto.key", "private key is not on P-256")
    return key


def load_public(pem: bytes) -> PublicKey:
    """Read a public key. Raises CryptoError when it is not a P-256 key."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CryptoError("crypto.key", "public key cannot be read") from error
    return _p256(key)


def _p256(key: object) -> PublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CryptoError("crypto.key", "public key is not on P-256")
    return key


# --- signatures -----------------------------------------------------------------------------------------------------


def sign(key: PrivateKey, data: bytes) -> bytes:
    """ECDSA-P256-SHA256 over `data`, DER encoded (70 to 72 bytes)."""
    return key.sign(data, _ALGORITHM)


def verify(key: PublicKey, data: bytes, signature: bytes) -> bool:
    """True when `signature` is this key's over `data`."""
    try:
        key.verify(signature, data, _ALGORITHM)
    except InvalidSignature:
        return False
    return True


def sha256_hex(data: bytes) -> str:
    """SHA-256 of `data` as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


# --- certificates ---------------------------------------------------------------------------------------------------


def load_certificate(pem: bytes) -> x509.Certificate:
    """Read one PEM certificate. Raises CryptoError."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise CryptoError("crypto.certificate", "certificate cannot be read") from error


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """The certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def certificate_key(certificate: x509.Certificate) -> PublicKey:
    """The certificate's public key. Raises CryptoError when it is not on P-256."""
    return _p256(certificate.public_key())


def pin(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate's DER as hex: the pin an enrolment code carries."""
    return sha256_hex(certificate.public_bytes(serialization.Encoding.DER))


def agent_uri(tenant: str, agent: str) -> str:
    """The SPIFFE name of an agent, the SAN of its certificate."""
    return f"{_URI_PREFIX}{topics.client_name(tenant, agent)}"


def certificate_agent(certificate: x509.Certificate) -> tuple[str, str]:
    """The (tenant, agent) a client certificate was issued to. Raises CryptoError when it names none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise CryptoError("crypto.certificate", "certificate names no agent") from error
    for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
        parts = uri.removeprefix(_URI_PREFIX).split("/")
        if uri.startswith(_URI_PREFIX) and len(parts) == 3 and parts[1] == "a":
            return parts[0], parts[2]
    raise CryptoError("crypto.certificate", "certificate names no agent")


def make_csr(key: PrivateKey, common_name: str) -> bytes:
    """A certificate signing request (PEM) for a key; the issuer decides the final names."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM)


def csr_key(pem: bytes) -> PublicKey:
    """The public key of a signing request whose own signature holds. Raises CryptoError."""
    try:
        csr = x509.load_pem_x509_csr(pem)
        valid = csr.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise CryptoError("crypto.csr", "signing request cannot be read") from error
    if not valid:
        raise CryptoError("crypto.csr", "signing request is not signed by its own key")
    return _p256(csr.public_key())


def make_ca(key: PrivateKey, common_name: str, not_before: datetime, not_after: datetime) -> x509.Certificate:
    """A self-signed CA certificate that may sign leaf certificates only."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usage = _usage(sign_certificates=True)
    return (
        _builder(name, name, key.public_key(), not_before, not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def issue_agent(
    ca: x509.Certificate,
    ca_key: PrivateKey,
    public_key: PublicKey,
    tenant: str,
    agent: str,
    not_before: datetime,
    not_after: datetime,
) -> x509.Certificate:
    """A client certificate for an agent: CN `{tenant}/a/{agent}` and the SPIFFE URI as SAN."""
    san: list[x509.GeneralName] = [x509.UniformResourceIdentifier(agent_uri(tenant, agent))]
    # X.509 limits CN to 64 characters; a tenant code of up to 25 fits beside a UUID.
    common_name = topics.client_name(tenant, agent)
    eku = ExtendedKeyUsageOID.CLIENT_AUTH
    return _issue(ca, ca_key, public_key, common_name, san, eku, not_before, not_after)


def issue_server(
    ca: x509.Certificate,
    ca_key: PrivateKey,
    public_key: PublicKey,
    hosts: Sequence[str],
    not_before: datetime,
    not_after: datetime,
) -> x509.Certificate:
    """A server certificate for host names and IP addresses (the first one is its CN)."""
    san = [_general_name(host) for host in hosts]
    eku = ExtendedKeyUsageOID.SERVER_AUTH
    return _issue(ca, ca_key, public_key, hosts[0][:64], san, eku, not_before, not_after)


def issue_client(
    ca: x509.Certificate,
    ca_key: PrivateKey,
    public_key: PublicKey,
    common_name: str,
    not_before: datetime,
    not_after: datetime,
) -> x509.Certificate:
    """A client certificate for one of our own processes (the intake), told from agents by having no SPIFFE name."""
    san: list[x509.GeneralName] = [x509.DNSName(common_name)]
    eku = ExtendedKeyUsageOID.CLIENT_AUTH
    return _issue(ca, ca_key, public_key, common_name, san, eku, not_before, not_after)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _issue(
    ca: x509.Certificate,
    ca_key: PrivateKey,
    public_key: PublicKey,
    common_name: str,
    san: Sequence[x509.GeneralName],
    eku: x509.ObjectIdentifier,
    not_before: datetime,
    not_after: datetime,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    return (
        _builder(subject, ca.subject, public_key, not_before, not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([eku]), critical=False)
        .add_extension(x509.SubjectAlternativeName(san), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: PublicKey, not_before: datetime, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


# --- the enrolment code ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EnrolCode:
    """What a person carries from the web page to the agent: address, single-use secret, CA pin."""

    url: str
    code: str
    pin: str


def encode_enrol_code(code: EnrolCode) -> str:
    """`JL1.` + base64url(JSON {u, c, p}) without padding."""
    text = json.dumps({"u": code.url, "c": code.code, "p": code.pin}, sort_keys=True, separators=(",", ":"))
    return _CODE_PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_enrol_code(text: str) -> EnrolCode:
    """Read an enrolment code; blanks and line breaks from copying are ignored. Raises CryptoError."""
    packed = "".join(text.split())
    if not packed.startswith(_CODE_PREFIX):
        raise CryptoError("enrol.code", "the enrolment code must start with JL1.")
    packed = packed.removeprefix(_CODE_PREFIX)
    try:
        fields = json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
        found = EnrolCode(str(fields["u"]).rstrip("/"), str(fields["c"]), str(fields["p"]).lower())
    except (ValueError, KeyError, TypeError) as error:
        raise CryptoError("enrol.code", "the enrolment code is damaged") from error
    if len(found.pin) != 64:
        raise CryptoError("enrol.code", "the enrolment code is damaged")
    return found
