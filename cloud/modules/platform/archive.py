"""Old audit entries as files that never change (M01 R9): the chain goes through them unbroken, and each is read back and checked.

A file is gzipped text, one JSON object a line: ``{"seq", "body", "hash"}``; ``hash`` is SHA-256(hash before ‖ body), in hex. It can be
checked without the database: ``check(data, previous hash)``. Entries stay online too; nothing is deleted here.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from itertools import takewhile

from sqlalchemy import select

from cloud.db.audit import GENESIS, AuditLog
from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts, rules
from cloud.modules.platform.models import AuditArchive
from cloud.ports import s3
from common.errors import LocalError, PeerError
from common.say import Said, say

BLOCK = 10_000
BLOCKS_A_NIGHT = 20
PAGE = 100


def pack(entries: Sequence[AuditLog]) -> bytes:
    """Entries as a file; equal entries give equal bytes."""
    lines = (json.dumps({"seq": e.seq, "body": e.body, "hash": bytes(e.hash).hex()}, ensure_ascii=False) for e in entries)
    return gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)


def check(data: bytes, previous: bytes) -> tuple[int, bytes] | Said:
    """(entries, last hash) of a file whose chain follows ``previous``; or the sentence that says what is wrong."""
    count, before = 0, previous
    try:
        for line in gzip.decompress(data).decode().splitlines():
            entry = json.loads(line)
            now = hashlib.sha256(before + entry["body"].encode()).digest()
            if now.hex() != entry["hash"] or json.loads(entry["body"])["seq"] != entry["seq"]:
                return say("第 {seq} 条起链条断裂。", seq=entry["seq"])
            count, before = count + 1, now
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        return say("归档文件读不出来：{why}", why=type(error).__name__)
    return count, before


def archive(uow: UnitOfWork) -> None:
    """Calendar job, 00:30: what has grown old goes into files, block after block; then the file checked longest ago is checked again."""
    for _ in range(BLOCKS_A_NIGHT):
        if not _block(uow):
            break
    oldest = uow.s.execute(select(AuditArchive).order_by(AuditArchive.verified_at, AuditArchive.id).limit(1)).scalar_one_or_none()
    if oldest is not None and oldest.verified_at < uow.now:
        verify(uow, oldest)
    _tell(uow)


def _block(uow: UnitOfWork) -> bool:
    last = uow.s.execute(select(AuditArchive).order_by(AuditArchive.last_seq.desc()).limit(1)).scalar_one_or_none()
    after, previous = (0, GENESIS) if last is None else (last.last_seq, bytes(last.last))
    query = select(AuditLog).where(AuditLog.seq > after).order_by(AuditLog.seq).limit(BLOCK)
    entries = list(takewhile(lambda e: e.at < uow.now - rules.AUDIT_ONLINE, uow.s.execute(query).scalars()))
    if not entries:
        return False
    data = pack(entries)
    key = f"audit/{entries[0].seq:012d}-{entries[-1].seq:012d}.jsonl.gz"
    files = s3.files_of(s3.current_store(), uow.tenant_id)
    sha256 = files.put(key, data)
    found = check(files.get(key, sha256), previous)
    if isinstance(found, Said):
        alerts.raise_alert(uow, _broken(f"block:{entries[0].seq}", found))
        return False
    uow.s.add(
        AuditArchive(
            first_seq=entries[0].seq,
            last_seq=entries[-1].seq,
            previous=previous,
            last=found[1],
            key=key,
            sha256=sha256,
            made_at=uow.now,
            verified_at=uow.now,
        )
    )
    uow.s.flush()
    uow.audit("audit", entries[-1].seq, "archive", after={"first": entries[0].seq, "entries": found[0], "sha256": sha256})
    return True


def verify(uow: UnitOfWork, row: AuditArchive) -> str:
    """Read a file again: its own bytes, its chain, and that it joins its neighbours; '' when all is well."""
    try:
        found = check(s3.files_of(s3.current_store(), uow.tenant_id).get(row.key, row.sha256), bytes(row.previous))
    except (LocalError, PeerError) as error:
        found = say("归档文件读不出来：{why}", why=str(error))
    if not isinstance(found, Said) and (found[1] != bytes(row.last) or found[0] != row.last_seq - row.first_seq + 1):
        found = say("归档文件与登记的不符。")
    row.verified_at, row.problem = uow.now, str(found) if isinstance(found, Said) else ""
    return row.problem


def _tell(uow: UnitOfWork) -> None:
    bad = uow.s.execute(select(AuditArchive).where(AuditArchive.problem != "").limit(20)).scalars()
    alerts.sync(uow, "platform.archive", [_broken(f"archive:{row.id}", row.problem) for row in bad])


def _broken(subject: str, why: str) -> alerts.Alert:
    words = "审计归档有问题：%(why)s"
    return alerts.Alert("platform.archive", subject, alerts.Level.URGENT, words, "/audit", rules.Perm.AUDIT, {"why": str(why)})


def files(uow: UnitOfWork) -> Sequence[AuditArchive]:
    """The newest archives."""
    return uow.s.execute(select(AuditArchive).order_by(AuditArchive.first_seq.desc()).limit(PAGE)).scalars().all()


def one(uow: UnitOfWork, archive_id: int) -> AuditArchive | None:
    """An archive, or None."""
    return uow.s.get(AuditArchive, (uow.tenant_id, archive_id))


def content(uow: UnitOfWork, row: AuditArchive) -> bytes:
    """Its file, compared with its hash."""
    return s3.files_of(s3.current_store(), uow.tenant_id).get(row.key, row.sha256)
