"""Client certificates as the second factor (M01 R2): shown by the TLS front, registered to a person, told in words when they expired."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import openpyxl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import select, text, update
from werkzeug.test import TestResponse

from cloud.modules.platform import certificates
from cloud.modules.platform.models import LoginEvent, User, UserSession
from cloud.web.front import behind
from tests.support.database import TestDatabase
from tests.support.lab import PASSWORD, Clock, Lab, make

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
FRONT = "f" * 32


class Authority:
    """A CA that issues cards."""

    def __init__(self, name: str) -> None:
        self.key, self.name = ec.generate_private_key(ec.SECP256R1()), _name(name)
        self.pem = self._signed(self.name, self.key.public_key(), 3650, ca=True)

    def revoked(self, *pems: str, days: int = 7, since: datetime | None = None, pem: bool = True) -> bytes:
        """The list that names these."""
        at = since or NOW - timedelta(hours=1)
        made = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(at).next_update(at + timedelta(days=days))
        for each in pems:
            serial = x509.load_pem_x509_certificate(each.encode()).serial_number
            made = made.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build())
        encoding = serialization.Encoding.PEM if pem else serialization.Encoding.DER
        return made.sign(self.key, hashes.SHA256()).public_bytes(encoding)

    def card(self, who: str, days: int = 365) -> str:
        return self._signed(_name(who), ec.generate_private_key(ec.SECP256R1()).public_key(), days)

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int, ca: bool = False) -> str:
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(NOW - timedelta(days=1))
        made = made.not_valid_after(NOW + timedelta(days=days)).add_extension(x509.BasicConstraints(ca, None), critical=True)
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@pytest.fixture
def ca() -> Authority:
    return Authority("Hospital CA")


@pytest.fixture
def lab(fresh_db: TestDatabase, ca: Authority, tmp_path: Path) -> Iterator[Lab]:
    (tmp_path / "ca.pem").write_text(ca.pem)
    made = make(fresh_db, Clock(NOW), client_ca=str(tmp_path / "ca.pem"), front_key=FRONT)
    yield made
    made.db.dispose()


def login(lab: Lab, employee_no: str, card: str = "", front: str = FRONT) -> TestResponse:
    headers = {"X-Front-Key": front, "X-Client-Cert": quote(card)}
    form = {"tenant": "a", "employee_no": employee_no, "password": PASSWORD, "totp": ""}
    return lab.app.test_client().post("/login", base_url="https://localhost", data=form, headers=headers)


def register(lab: Lab, role: str, pem: str) -> TestResponse:
    return lab.client("secadmin").post(f"/admin/users/{lab.users[(lab.a, role)]}/certificate", {"pem": pem})


def test_a_certificate_that_the_front_saw_is_the_second_factor(lab: Lab, ca: Authority) -> None:
    card = ca.card("verifier1")
    assert "动态口令" in login(lab, "verifier1", card).text, "nobody's card yet: the code is asked"
    assert "证书登记已更改" in register(lab, "verifier", card).text
    assert login(lab, "verifier1", card).status_code == 303
    with lab.uow() as uow:
        session = uow.s.scalars(select(UserSession).order_by(UserSession.id.desc()).limit(1)).one()
        assert session.user_id == lab.users[(lab.a, "verifier")] and session.mfa_at == NOW


def test_what_does_not_prove_that_this_person_holds_the_card(lab: Lab, ca: Authority) -> None:
    card, other = ca.card("verifier1"), ca.card("leader1")
    register(lab, "verifier", card)
    register(lab, "leader", other)
    for pem, front in [(card, ""), (card, "g" * 32), (other, FRONT)]:  # no front, another's headers, another's card
        answer = login(lab, "verifier1", pem, front)
        assert answer.status_code == 200 and "动态口令" in answer.text
    with lab.uow() as uow:
        uow.s.execute(update(User).where(User.id == lab.users[(lab.a, "verifier")]).values(totp_sealed=None))
    refused = login(lab, "verifier1")
    assert refused.status_code == 422 and "请插入登记在您名下的 UKey" in refused.text and 'value="verifier1"' in refused.text
    assert login(lab, "verifier1", card).status_code == 303, "the card alone is a second factor"


def test_what_cannot_be_registered_is_said_and_stays_in_the_form(lab: Lab, ca: Authority) -> None:
    stranger = Authority("Somebody else").card("verifier1")
    for pem, words in [
        ("无", "不是可以读出的证书"),
        ("", "不是可以读出的证书"),
        (stranger, "不是本院认可的机构签发"),
        (ca.card("verifier1", days=0), "已于 2026-11-23 过期"),
    ]:
        answer = register(lab, "verifier", pem)
        assert answer.status_code == 422 and words in answer.text and pem.strip()[:60] in answer.text
    card = ca.card("verifier1")
    register(lab, "verifier", card)
    assert "已登记在 审核者一号 名下" in register(lab, "leader", card).text
    removed = lab.client("secadmin").post(f"/admin/users/{lab.users[(lab.a, 'verifier')]}/certificate", {"remove": "1"})
    assert removed.status_code == 200 and "取消登记" not in removed.text and "动态口令" in login(lab, "verifier1", card).text


def test_m01_bad_input_expired_certificate_is_refused_with_how_to_renew(lab: Lab, ca: Authority) -> None:
    """expired cert → login refused with renew hint"""
    card = ca.card("verifier1", days=30)
    register(lab, "verifier", card)
    lab.clock.set(NOW + timedelta(days=30))
    refused = login(lab, "verifier1", card)
    assert refused.status_code == 422 and "证书已于 2026-12-23 过期" in refused.text and "续期" in refused.text
    assert 'value="verifier1"' in refused.text, "what was typed stays"
    assert "动态口令" in login(lab, "verifier1").text, "without the card the code is asked"
    with lab.uow() as uow:
        assert "certificate" in set(uow.s.scalars(select(LoginEvent.outcome)))


def test_the_matrix_of_rights_goes_to_excel_and_its_cells_are_texts(lab: Lab) -> None:
    with lab.uow() as uow:
        uow.s.execute(update(User).where(User.id == lab.users[(lab.a, "tester")]).values(name="=1+1", dept="@科"))
    answer = lab.client("secadmin").post("/admin/roles/export")
    assert answer.status_code == 200 and lab.client("tester").post("/admin/roles/export").status_code == 403
    book = openpyxl.load_workbook(io.BytesIO(answer.data))
    rights, people = ([[c.value for c in row] for row in sheet.iter_rows()] for sheet in book)
    head = next(n for n, row in enumerate(rights) if row[0] == "权限")
    column = rights[head].index("审核者")
    granted = {row[1]: (row[0], row[column]) for row in rights[head + 1 :]}
    assert granted["results:release"] == ("审核发布报告", "✓") and not granted["platform:users"][1]
    mine = next(row for row in people if row[0] == "tester1")
    assert mine[1:3] == ["=1+1", "@科"] and "检验者" in mine[5]
    assert all(cell.data_type != "f" for sheet in book for row in sheet.iter_rows() for cell in row)


# --- revocation lists ----------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(fresh_db: TestDatabase, ca: Authority, tmp_path: Path) -> Iterator[tuple[Lab, Path]]:
    """A hospital that keeps its CA's revocation list in a file."""
    (tmp_path / "ca.pem").write_text(ca.pem)
    path = tmp_path / "people.crl"
    path.write_bytes(ca.revoked())
    made = make(fresh_db, Clock(NOW), client_ca=str(tmp_path / "ca.pem"), client_crl=str(path), front_key=FRONT)
    certificates.configure(made.settings)
    yield made, path
    made.db.dispose()


def look(lab: Lab) -> list[str]:
    """The kinds of alerts that the job leaves open."""
    with lab.uow() as uow:
        certificates.look(uow)
        query = text("SELECT kind FROM alert WHERE kind IN ('platform.crl', 'platform.revoked') AND cleared_at IS NULL ORDER BY kind")
        return list(uow.s.execute(query).scalars())


def test_a_revoked_certificate_logs_nobody_in_and_its_sessions_end(listed: tuple[Lab, Path], ca: Authority) -> None:
    lab, path = listed
    card, other = ca.card("verifier1"), ca.card("leader1")
    register(lab, "verifier", card)
    assert login(lab, "verifier1", card).status_code == 303 and look(lab) == []
    path.write_bytes(ca.revoked(other) + ca.revoked(card, since=NOW - timedelta(minutes=1)))  # the newest list of several counts
    refused = login(lab, "verifier1", card)
    assert refused.status_code == 422 and "证书已于 2026-11-23 吊销" in refused.text and "换发" in refused.text
    assert "吊销" in register(lab, "leader", card).text, "nor is it registered for anybody"
    assert look(lab) == ["platform.revoked"]
    with lab.uow() as uow:
        user = lab.users[(lab.a, "verifier")]
        living = select(UserSession).where(UserSession.user_id == user, UserSession.revoked_at.is_(None))
        assert uow.s.scalars(living).all() == []
        uow.s.execute(update(UserSession).where(UserSession.user_id == user).values(revoked_at=None))
    look(lab)
    with lab.uow() as uow:
        assert uow.s.scalars(living).first() is not None, "ended once: who came in by code since then stays"
    register(lab, "verifier", ca.card("verifier1"))
    assert look(lab) == []


def test_a_list_that_is_absent_old_broken_or_anothers_proves_nothing(listed: tuple[Lab, Path], ca: Authority) -> None:
    lab, path = listed
    card = ca.card("verifier1")
    register(lab, "verifier", card)
    path.write_bytes(ca.revoked(pem=False))
    assert login(lab, "verifier1", card).status_code == 303, "DER is read too"
    stranger = Authority("Somebody else")
    forged = Authority("Hospital CA")  # the name is right, the signature is not
    for data, words in [
        (b"", "没有这张证书签发机构的吊销列表"),
        (b"-----BEGIN X509 CRL-----\nnonsense", "没有这张证书签发机构的吊销列表"),
        (stranger.revoked(), "没有这张证书签发机构的吊销列表"),
        (forged.revoked(), "没有这张证书签发机构的吊销列表"),
        (ca.revoked(days=0), "吊销列表已于 2026-11-23 过期"),
    ]:
        path.write_bytes(data)
        refused = login(lab, "verifier1", card)
        assert refused.status_code == 422 and words in refused.text and "动态口令" in refused.text, data
        assert look(lab) == ["platform.crl"]
    path.write_bytes(ca.revoked(days=2, since=NOW - timedelta(minutes=1)))
    assert look(lab) == ["platform.crl"], "it runs out within two days"
    assert login(lab, "verifier1", card).status_code == 303
    path.unlink()
    assert "没有这张证书签发机构的吊销列表" in login(lab, "verifier1", card).text


# --- behind the front ------------------------------------------------------------------------------------------------------


def test_the_address_is_the_fronts_word_only_with_its_secret() -> None:
    def seen(front: str, told: str, key: str = FRONT) -> str:
        environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FRONT_KEY": front, "HTTP_X_FORWARDED_FOR": told}
        return str(behind(lambda e, _: [str(e["REMOTE_ADDR"]).encode()], key)(environ, lambda *_: None))

    assert seen(FRONT, "10.1.2.3") == "[b'10.1.2.3']"
    assert seen(FRONT, "6.6.6.6, 10.1.2.3") == "[b'10.1.2.3']", "what came from outside stands before it"
    for front, told, key in [("", "10.1.2.3", FRONT), ("g" * 32, "10.1.2.3", FRONT), (FRONT, "nobody", FRONT), ("", "10.1.2.3", "")]:
        assert seen(front, told, key) == "[b'127.0.0.1']"
