"""The raw messages of an agent or analyzer taken out of use go into files (M27 R7), before their bytes are cleared (keeping.py).

The minute's job writes them one file after another into the file store, reads each back, and notes in the database how far it came: a kill
or a store that is away costs the files of that run, which are written again. What an analyzer's agent still held and sends later is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge.models import Agent, Connection, RawArchive, RawArchivePart
from cloud.modules.edge.rules import ARCHIVE_MESSAGES, SETTLED, Perm, archive_share
from cloud.modules.platform import alerts
from cloud.ports import s3
from common import raw_archive
from common.errors import LocalError, PeerError, UserError
from common.raw_archive import Kept

PARTS_A_RUN = 4
PAGE = 100

OF_AGENT = "FROM raw_message WHERE tenant_id = :t AND kind = 'raw' AND id > :last AND agent_id = :agent"
OF_LINKS = "FROM raw_message WHERE tenant_id = :t AND kind = 'raw' AND id > :last AND connection_id = ANY(:links)"


def begin_agent(uow: UnitOfWork, agent: Agent, reason: str) -> None:
    """An agent was revoked: all it ever sent that is not in a file yet."""
    before = select(func.max(RawArchive.last_id)).where(RawArchive.agent_id == agent.id)
    _begin(uow, RawArchive(agent_id=agent.id, name=agent.name, last_id=uow.s.scalar(before) or 0), reason)


def begin_analyzer(uow: UnitOfWork, analyzer_id: int, name: str, reason: str) -> None:
    """An analyzer was retired: all that came over its links."""
    links = list(uow.s.scalars(select(Connection.id).where(Connection.analyzer_id == analyzer_id).order_by(Connection.id)))
    before = select(func.max(RawArchive.last_id)).where(RawArchive.analyzer_id == analyzer_id)
    _begin(uow, RawArchive(analyzer_id=analyzer_id, name=name, connections=links, last_id=uow.s.scalar(before) or 0), reason)


def _begin(uow: UnitOfWork, row: RawArchive, reason: str) -> None:
    row.reason, row.by, row.at = reason, uow.actor.name, uow.now
    uow.s.add(row)
    uow.s.flush()
    row.total = _count(uow, row)
    subject = {"agent": row.agent_id} if row.agent_id is not None else {"analyzer": row.analyzer_id, "connections": row.connections}
    uow.audit("edge_archive", row.id, "begin", after={"name": row.name, **subject, "messages": row.total}, reason=reason)


# --- the job -----------------------------------------------------------------------------------------------------------


def work(uow: UnitOfWork) -> None:
    """Once a minute: the next files of every archive that is not done, and of what came after one was."""
    retired = {a.id for a in md.catalog(uow).analyzers.values() if not a.active}
    late = RawArchive.analyzer_id.in_(retired)
    for row in uow.s.scalars(select(RawArchive).where(or_(RawArchive.done_at.is_(None), late)).order_by(RawArchive.id).with_for_update()):
        was = row.problem
        try:
            _go_on(uow, row)
            row.problem = ""
        except (PeerError, LocalError) as error:
            row.problem = str(error)
        if row.problem != was:
            uow.notify("edge", {"what": "archive"})
    stuck = uow.s.scalars(select(RawArchive).where(RawArchive.problem != "")).all()
    alerts.sync(uow, "edge.archive", [_stuck(row) for row in stuck])


def _go_on(uow: UnitOfWork, row: RawArchive) -> None:
    for _ in range(PARTS_A_RUN):
        if not _part(uow, row):
            break
    else:
        return  # the next run goes on
    left = _count(uow, row)
    row.total = row.messages + left
    if left or row.done_at is not None or uow.now - row.at < 2 * SETTLED:
        return
    row.done_at = uow.now
    parts = parts_of(uow, row.id)
    after = {"messages": row.messages, "files": {p.key: p.sha256 for p in parts}, "cleared_before": sum(p.cleared for p in parts)}
    uow.audit("edge_archive", row.id, "archive", after=after)
    uow.notify("edge", {"what": "archive"})


def _part(uow: UnitOfWork, row: RawArchive) -> bool:
    """One file more; False when there is nothing to write now."""
    chosen = _ours(uow, row, f"SELECT id, length(body) AS size, received_at {_whose(row)} ORDER BY id LIMIT {ARCHIVE_MESSAGES + 1}")
    n = archive_share([(r.size, r.received_at) for r in chosen], uow.now)
    if not n:
        return False
    ids, first, last = [r.id for r in chosen[:n]], chosen[0].received_at, chosen[n - 1].received_at
    messages = _read(uow, ids)
    data = raw_archive.pack(messages)
    files = s3.files_of(s3.current_store(), uow.tenant_id)
    key = f"edge/archive-{row.id}/{ids[0]:012d}-{ids[-1]:012d}-{raw_archive.sha256(data)[:12]}.zip"
    sha256 = files.put(key, data)
    if raw_archive.unpack(files.get(key, sha256)) != messages:
        raise LocalError("file_damaged", f"文件 {key} 读回后与报文不符，请通知信息科检查文件库。", key=key)
    number = len(parts_of(uow, row.id)) + 1
    cleared = sum(m.body is None for m in messages)
    part = RawArchivePart(archive_id=row.id, number=number, key=key, sha256=sha256, size=len(data), messages=n, cleared=cleared,
                          first_at=first, last_at=last, at=uow.now)  # fmt: skip
    uow.s.add(part)
    row.last_id, row.messages, row.done_at = ids[-1], row.messages + n, None
    row.total = max(row.total, row.messages)
    uow.s.flush()
    uow.notify("edge", {"what": "archive"})
    return True


MESSAGES = text("""
SELECT r.seq, r.stream_uuid, r.conn_key, r.agent_at, r.received_at, r.sha256, r.boot_uuid, r.mono_ns, r.body, r.cleared_at, r.meta,
       a.uuid AS agent, coalesce(c.driver, y.driver) AS driver, coalesce(c.encoding, m.encoding) AS encoding,
       m.site
FROM raw_message r JOIN agent a ON a.tenant_id = r.tenant_id AND a.id = r.agent_id
LEFT JOIN connection c ON c.tenant_id = r.tenant_id AND c.id = r.connection_id
LEFT JOIN analyzer y ON y.tenant_id = r.tenant_id AND y.id = c.analyzer_id
LEFT JOIN edge_mapping m ON m.tenant_id = r.tenant_id AND m.analyzer_id = c.analyzer_id AND m.state = 'active'
WHERE r.tenant_id = :t AND r.id = ANY(:ids) ORDER BY r.id
""")


def _read(uow: UnitOfWork, ids: Sequence[int]) -> list[Kept]:
    """These messages with all that is needed to read them without us."""
    out = []
    for r in uow.s.execute(MESSAGES, {"t": uow.tenant_id, "ids": list(ids)}):
        facts: dict[str, Any] = {
            "agent": r.agent, "stream": r.stream_uuid, "seq": r.seq, "conn": r.conn_key, "agent_at": _text(r.agent_at),
            "received_at": _text(r.received_at), "boot": r.boot_uuid, "mono_ns": r.mono_ns, "sha256": r.sha256, "meta": r.meta,
            "driver": r.driver, "encoding": r.encoding, "site": r.site,
        }  # fmt: skip
        if r.cleared_at is not None:
            facts["cleared_at"] = _text(r.cleared_at)
        out.append(Kept(facts, None if r.cleared_at is not None else bytes(r.body)))
    return out


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _whose(row: RawArchive) -> str:
    return OF_AGENT if row.agent_id is not None else OF_LINKS


def _ours(uow: UnitOfWork, row: RawArchive, sql: str) -> Sequence[Any]:
    at = {"t": uow.tenant_id, "last": row.last_id}
    whose = {"agent": row.agent_id} if row.agent_id is not None else {"links": row.connections}
    return uow.s.execute(text(sql), {**at, **whose}).all()


def _count(uow: UnitOfWork, row: RawArchive) -> int:
    return int(_ours(uow, row, f"SELECT count(*) {_whose(row)}")[0][0])


def _stuck(row: RawArchive) -> alerts.Alert:
    words = "%(name)s 的原始报文归档停住了：%(why)s"
    fields = {"name": row.name, "why": row.problem}
    return alerts.Alert("edge.archive", f"archive:{row.id}", alerts.Level.WARNING, words, "/edge/archives", Perm.RAW, fields)


# --- the page ----------------------------------------------------------------------------------------------------------


def archives(uow: UnitOfWork) -> list[RawArchive]:
    """The newest archives."""
    return list(uow.s.scalars(select(RawArchive).order_by(RawArchive.id.desc()).limit(PAGE)))


def one(uow: UnitOfWork, archive_id: int) -> RawArchive | None:
    """One of them."""
    return uow.s.get(RawArchive, (uow.tenant_id, archive_id))


def parts_of(uow: UnitOfWork, archive_id: int) -> list[RawArchivePart]:
    """Its files."""
    return list(uow.s.scalars(select(RawArchivePart).where(RawArchivePart.archive_id == archive_id).order_by(RawArchivePart.number)))


def download(uow: UnitOfWork, archive_id: int, number: int, reason: str) -> tuple[str, bytes]:
    """A file's name and its bytes, compared with their hash. Patients' data as sent: with a reason, and in the audit."""
    part = next((p for p in parts_of(uow, archive_id) if p.number == number), None)
    if part is None:
        raise UserError("not_found", "归档文件不存在，请刷新页面。")
    if not reason.strip():
        raise UserError("invalid", "归档里是未遮盖的患者资料，请写明下载用途。", field="reason")
    data = s3.files_of(s3.current_store(), uow.tenant_id).get(part.key, part.sha256)
    uow.audit("edge_archive", archive_id, "download", after={"file": number, "sha256": part.sha256}, reason=reason.strip())
    return f"raw-{archive_id}-{number:03d}.zip", data
