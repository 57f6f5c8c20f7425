"""The MLLP listener process: connections in, messages to the inbox of the hospital they belong to, answers out.

Nothing is answered positively before its transaction is committed. A sender nobody registered gets AR and is logged without content;
when the database is away the sender gets AE and keeps its message.
"""

from __future__ import annotations

import hashlib
import signal
import ssl
import threading
import time
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from cloud.config import Settings
from cloud.db.session import Database
from cloud.modules.interfaces import inbox
from cloud.modules.interfaces.endpoints import Incoming, route
from cloud.modules.interfaces.hl7_in import UNKNOWN_KEY, Refused
from cloud.modules.interfaces.hl7_wire import Header, glance
from cloud.modules.interfaces.models import Endpoint
from cloud.modules.orders.messages import Problem
from cloud.modules.platform import queries as platform
from cloud.ports.mllp import Limits, MllpServer, Peer, where
from common.errors import LocalError
from common.protocol.hl7.mllp import Block

FRESH_S = 5.0
log = structlog.get_logger("interfaces")


class Directory:
    """The incoming endpoints of all hospitals, read again every few seconds; the last good reading serves while the database is away."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._known: tuple[Incoming, ...] = ()
        self._read_at = float("-inf")

    def find(self, header: Header, peer: Peer) -> Incoming | None:
        """Whose message this is; an unknown sender is looked up once more in the database before it is refused."""
        found = route(self._endpoints(FRESH_S), header, peer.tls, peer.certificate)
        return found or route(self._endpoints(0.5), header, peer.tls, peer.certificate)

    def _endpoints(self, max_age: float) -> tuple[Incoming, ...]:
        with self._lock:
            if time.monotonic() - self._read_at > max_age:
                try:
                    self._known = tuple(self._load())
                    self._read_at = time.monotonic()
                except SQLAlchemyError as error:
                    if self._read_at == float("-inf"):
                        raise
                    log.warning("endpoints_not_read", error=type(error).__name__)
            return self._known

    def _load(self) -> list[Incoming]:
        out = []
        for tenant_id in platform.open_tenants(self._db):
            with self._db.tenant(tenant_id) as uow:
                rows = uow.s.scalars(select(Endpoint).where(Endpoint.direction == "in", Endpoint.enabled, Endpoint.transport == "mllp"))
                for row in rows:
                    try:
                        out.append(Incoming.read(tenant_id, row.id, row.code, row.source, row.config))
                    except ValueError as error:
                        log.error("endpoint_settings_wrong", tenant=tenant_id, endpoint=row.code, error=str(error))
        return out


class Gate:
    """What the MLLP server calls with each block."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._directory = Directory(db)

    def handle(self, block: Block, peer: Peer) -> bytes:
        """The answer's bytes."""
        raw, header = block.message, glance(block.message)
        try:
            to = self._directory.find(header, peer)
            if to is None:
                return self._unknown(header, raw, peer)
            refusal = Refused("AE", header, (inbox.CUT[block.problem],), "cut") if block.problem in inbox.CUT else None
            return inbox.receive(self._db, to, raw, peer.address, refusal)
        except Exception as error:
            trace = where(error)
            log.error("message_not_stored", peer=peer.address, control_id=header.control_id[:60], sha256=_sha(raw), error=trace)
            return inbox.unstored(header, raw, self._now(), "AE", inbox.UNAVAILABLE)

    def _unknown(self, header: Header, raw: bytes, peer: Peer) -> bytes:
        log.warning(
            "unknown_sender", peer=peer.address, tls=peer.tls, certificate=peer.certificate[:16], app=header.app[:60],
            facility=header.facility[:60], to_facility=header.to_facility[:60], control_id=header.control_id[:60], sha256=_sha(raw),
        )  # fmt: skip
        problem = Problem("MSH^1^4", UNKNOWN_KEY, f"未登记的发送方 {header.app}/{header.facility}，消息未接收；请联系信息科登记接口")
        return inbox.unstored(header, raw, self._now(), "AR", problem)

    def _now(self) -> datetime:
        return self._db.clock()


def _sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def tls_context(settings: Settings) -> ssl.SSLContext:
    """TLS 1.2+, our certificate; a client certificate is asked for and, when shown, must be of our authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    if settings.ca_cert:
        context.load_verify_locations(settings.ca_cert)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def open_listeners(db: Database, settings: Settings, limits: Limits | None = None) -> tuple[MllpServer, dict[str, int]]:
    """The server with the listeners the settings ask for, and their ports by name. Raises LocalError when none can be opened."""
    server = MllpServer(Gate(db).handle, limits)
    ports: dict[str, int] = {}
    try:
        if settings.mllp_port:
            ports["plain"] = server.listen(settings.mllp_bind, settings.mllp_port)
        if settings.mllp_tls_port:
            ports["tls"] = server.listen(settings.mllp_bind, settings.mllp_tls_port, tls_context(settings))
    except OSError as error:
        server.close()
        raise LocalError(
            "mllp_listen", f"HIS 接口无法监听 {settings.mllp_bind}：{error}。请检查端口是否被占用、证书文件是否可读。"
        ) from error
    if not ports:
        server.close()
        raise LocalError("mllp_no_port", "没有设置 HIS 接口端口：请在配置中写 mllp_port 或 mllp_tls_port。")
    return server, ports


def run_mllp(db: Database, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server, ports = open_listeners(db, settings)
    log.info("mllp_listening", **ports)
    while not stop.wait(3600):
        pass
    server.close()
    db.dispose()
