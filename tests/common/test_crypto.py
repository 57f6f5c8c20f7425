"""Keys, certificates and the enrolment code."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.verification import PolicyBuilder, Store

from common import crypto
from common.crypto import CryptoError, EnrolCode

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
CA_KEY = crypto.new_key()
CA = crypto.make_ca(CA_KEY, "Test CA", START, END)


def test_keys_survive_pem() -> None:
    key = crypto.new_key()
    again = crypto.load_private(crypto.private_pem(key))
    public = crypto.load_public(crypto.public_pem(key.public_key()))
    assert crypto.verify(public, b"data", crypto.sign(again, b"data"))
    assert not crypto.verify(public, b"other", crypto.sign(again, b"data"))


def test_other_kinds_of_key_are_refused() -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(CryptoError):
            crypto.load_private(pem)
    with pytest.raises(CryptoError):
        crypto.load_public(b"no key")


def test_an_agent_certificate_names_its_tenant_and_agent() -> None:
    key = crypto.new_key()
    asked = crypto.csr_key(crypto.make_csr(key, "lab-pc-3"))
    agent = "0b2f6f3e-6a55-4c3c-9a58-0d2f1a2b3c4d"
    issued = crypto.issue_agent(CA, CA_KEY, asked, "renmin", agent, START, END)
    again = crypto.load_certificate(crypto.certificate_pem(issued))
    assert crypto.certificate_agent(again) == ("renmin", agent)
    assert again.subject.rfc4514_string() == f"CN=renmin/a/{agent}"
    assert crypto.verify(crypto.certificate_key(again), b"x", crypto.sign(key, b"x"))
    verifier = PolicyBuilder().store(Store([CA])).time(datetime(2027, 1, 1, tzinfo=UTC)).build_client_verifier()
    assert verifier.verify(again, [])


def test_a_server_certificate_names_no_agent_and_verifies_for_its_hosts() -> None:
    key = crypto.new_key()
    issued = crypto.issue_server(CA, CA_KEY, key.public_key(), ["broker.example", "127.0.0.1"], START, END)
    from cryptography.x509 import DNSName

    builder = PolicyBuilder().store(Store([CA])).time(datetime(2027, 1, 1, tzinfo=UTC))
    assert builder.build_server_verifier(DNSName("broker.example")).verify(issued, [])
    with pytest.raises(CryptoError):
        crypto.certificate_agent(issued)


def test_a_damaged_signing_request_is_refused() -> None:
    pem = crypto.make_csr(crypto.new_key(), "pc").replace(b"A", b"B", 3)
    with pytest.raises(CryptoError):
        crypto.csr_key(pem)


def test_the_enrolment_code_survives_being_copied() -> None:
    code = EnrolCode("https://lis.example:8443", "K7QM-2F9D", crypto.pin(CA))
    text = crypto.encode_enrol_code(code)
    assert text.startswith("JL1.")
    assert crypto.decode_enrol_code(f" {text[:20]}\n{text[20:]} ") == code


@pytest.mark.parametrize("text", ["", "JL2.abc", "JL1.", "JL1.e30", "JL1.####"])
def test_a_damaged_enrolment_code_is_refused(text: str) -> None:
    with pytest.raises(CryptoError):
        crypto.decode_enrol_code(text)
