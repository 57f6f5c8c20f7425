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
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from cloud.modules.platform.models import LoginEvent, User, UserSession
from tests.support.database import TestDatabase
from tests.support.lab import PASSWORD, Clock, Lab, make

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
FRONT = "f" * 32


class Authority:
    """A CA that issues cards."""

    def __init__(self, name: str) -> None:
        self.key, self.name = ec.generate_private_key(ec.SECP256R1()), _name(name)
        self.pem = self._signed(self.name, self.key.public_key(), 3650, ca=True)

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


def test_bad_input_expired_certificate_is_refused_with_how_to_renew(lab: Lab, ca: Authority) -> None:
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
    granted = {row[0]: row[column] for row in rights[head + 1 :]}
    assert granted["results:release"] == "✓" and not granted["platform:users"]
    mine = next(row for row in people if row[0] == "tester1")
    assert mine[1:3] == ["=1+1", "@科"] and "检验者" in mine[5]
    assert all(cell.data_type != "f" for sheet in book for row in sheet.iter_rows() for cell in row)
