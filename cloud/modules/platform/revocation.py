"""Revocation lists of people's certificates (M01 R2): files of the hospital's CA beside ``client_ca``, read anew whenever they change.

Where lists are kept (``client_crl``) a certificate counts only while a list of its own issuer is there, signed and not out of date: a list
that is absent proves nothing. How a list comes to the file (a timer that fetches it from the CA) is the hospital's; see infra/README.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from common.say import Said, say

_PEM = b"-----BEGIN X509 CRL-----"
_read: dict[str, tuple[tuple[int, int], tuple[x509.CertificateRevocationList, ...]]] = {}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the lists say of a certificate. ``until``: when the list it was looked up in must be replaced; None: there is no such list."""

    revoked: datetime | None = None
    until: datetime | None = None

    def problem(self, now: datetime) -> Said | None:
        """Why the certificate does not count at this moment, and what to do."""
        if self.revoked is not None:
            return say("这张证书已于 {day} 吊销，不能登录。请到发证部门换发，再由安全管理员登记新证书。", day=self.revoked.date())
        if self.until is None:
            return say("没有这张证书签发机构的吊销列表，无法确认它仍然有效。请用动态口令登录，并通知系统管理员更新吊销列表。")
        if now >= self.until:
            day = self.until.date()
            return say("吊销列表已于 {day} 过期，无法确认这张证书仍然有效。请用动态口令登录，并通知系统管理员更新吊销列表。", day=day)
        return None


def lists(path: str) -> tuple[x509.CertificateRevocationList, ...]:
    """The lists of a file (one in DER, or several in PEM); nothing where it cannot be read. Kept until the file changes."""
    try:
        state = Path(path).stat()
        mark = (state.st_mtime_ns, state.st_size)
        if path not in _read or _read[path][0] != mark:
            _read[path] = mark, _parsed(Path(path).read_bytes())
    except (OSError, ValueError):
        return ()
    return _read[path][1]


def _parsed(data: bytes) -> tuple[x509.CertificateRevocationList, ...]:
    if _PEM not in data:
        return (x509.load_der_x509_crl(data),)
    return tuple(x509.load_pem_x509_crl(_PEM + each) for each in data.split(_PEM)[1:])


def standing(serial: int, authority: x509.Certificate, found: Sequence[x509.CertificateRevocationList]) -> Standing:
    """Look a serial number up in the newest list that this authority signed."""
    own = [each for each in found if each.issuer == authority.subject and _signed(each, authority)]
    if not own:
        return Standing()
    newest = max(own, key=lambda each: each.last_update_utc)
    entry = newest.get_revoked_certificate_by_serial_number(serial)
    return Standing(None if entry is None else entry.revocation_date_utc, newest.next_update_utc or newest.last_update_utc)


def _signed(crl: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except (TypeError, ValueError, InvalidSignature):
        return False
