"""What an agent is told to do: its connections and its kiosk, as one signed document with a version that only rises."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.edge import downlink
from cloud.modules.edge.models import Agent, Connection, MappingVersion
from common.errors import UserError
from common.say import Listed, say

PROTOCOL_WORDS = {
    "astm": "ASTM / LIS2",
    "hl7": "HL7 v2（MLLP）",
    "text": "单向文本、小票",
    "fixed": "定位格式",
    "bci": "bioMérieux BCI",
    "integra": "Roche Integra",
    "blocks": "主机块（SOH/STX）",
    "poct1a": "POCT1-A",
    "unknown": "不清楚：先原样收下",
}
PROTOCOLS = tuple(PROTOCOL_WORDS)
ENCODINGS = ("", "utf-8", "gb18030", "latin-1", "cp1251")
_NAME = re.compile(r"[\w$#]+(\.[\w$#]+)*")  # of a table or column, as the agent takes it
TRANSPORT_WORDS = {
    "tcp-listen": "网络：仪器连采集端",
    "tcp-dial": "网络：采集端连仪器",
    "serial": "串口",
    "file": "文件夹",
    "odbc": "数据表（ODBC）",
    "hid": "USB 读取器",
}
TRANSPORTS = tuple(TRANSPORT_WORDS)
BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
PARITY_WORDS = {"N": "无", "E": "偶", "O": "奇", "M": "标记", "S": "空格"}
LINE_FIELDS = (
    "transport",
    "host",
    "port",
    "device",
    "baud",
    "bytesize",
    "parity",
    "stopbits",
    "idle_ms",
    "answer",
    "table",
    "watermark",
    "since",
)
_KEY = re.compile(r"[a-z0-9][a-z0-9_.-]{0,40}")


def document(uow: UnitOfWork, agent_id: int) -> dict[str, Any]:
    """The configuration in force, in the wire contract's shape."""
    agent = uow.s.get(Agent, (uow.tenant_id, agent_id))
    if agent is None:
        raise UserError("not_found", "采集端不存在，请核对后重试。")
    analyzers = md.catalog(uow).analyzers
    rows = uow.s.scalars(select(Connection).where(Connection.agent_id == agent_id).order_by(Connection.key))
    in_use = {m.analyzer_id: m for m in uow.s.scalars(select(MappingVersion).where(MappingVersion.state == "active"))}
    return {
        "version": agent.config_version,
        "connections": [_connection(row, analyzers, in_use.get(row.analyzer_id or 0)) for row in rows],
        "kiosk": agent.kiosk,
    }


def _connection(row: Connection, analyzers: Any, mapping: MappingVersion | None) -> dict[str, Any]:
    analyzer = analyzers.get(row.analyzer_id)
    return {
        "key": row.key,
        "name": row.name,
        "analyzer": "" if analyzer is None else analyzer.code,
        "protocol": row.protocol,
        "driver": row.driver or (None if analyzer is None else analyzer.driver),
        "encoding": row.encoding or (None if mapping is None else mapping.encoding),
        "transport": row.transport,
        "host_query": row.host_query,
        "broadcast": row.broadcast,
        "enabled": row.enabled,
        "simulator": row.simulator,
        "idle_group_ms": row.transport.get("idle_group_ms"),
        "answer": row.transport.get("answer"),
        # What the agent needs to find the specimen of a query the way the cloud does, and the version it then runs.
        "mapping": None if mapping is None else mapping.number,
        "site": None if mapping is None else mapping.site,
    }


def changed(uow: UnitOfWork, agent: Agent) -> None:
    """The version rises and the new document goes down; an agent that is away gets it when it reports its old version."""
    agent.config_version += 1
    uow.s.flush()
    if agent.state == "enrolled":
        downlink.enqueue(uow, agent.id, "config", document(uow, agent.id))
    uow.notify("edge_registry", {})
    uow.notify("edge", {"what": "agent", "agent": agent.id})


@dataclass(frozen=True, slots=True)
class NewConnection:
    """A connection as a form gives it."""

    key: str
    name: str
    analyzer_id: int | None
    protocol: str
    driver: str = ""
    encoding: str = ""
    transport: str = "tcp-listen"
    host: str = ""
    port: str = ""
    device: str = ""
    baud: str = "9600"
    table: str = ""
    watermark: str = ""
    since: str = ""
    mllp2: bool = False
    bytesize: str = "8"
    parity: str = "N"
    stopbits: str = "1"
    idle_ms: str = ""
    """One-way formats: silence in milliseconds that ends a message; empty: as the agent does."""
    answer: str = ""
    """One-way formats: bytes written after a message is stored, in hex (06 = ACK)."""
    host_query: bool = False
    enabled: bool = True
    broadcast: bool = False
    """Orders are sent unasked, as they come and change."""
    track: bool = False
    """A pre-analytical system or track line."""

    def line(self) -> dict[str, Any]:
        """The transport part of the document. Raises UserError naming the field."""
        return {**self._address(), **self._one_way()}

    def _one_way(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if self.idle_ms.strip():
            if not self.idle_ms.strip().isdecimal() or not 50 <= int(self.idle_ms) <= 60_000:
                raise UserError("invalid", "静默时间请填写 50–60000 毫秒。", field="idle_ms")
            out["idle_group_ms"] = int(self.idle_ms)
        if self.answer.strip():
            if not re.fullmatch(r"(?:[0-9a-fA-F]{2}\s*){1,16}", self.answer.strip()):
                raise UserError("invalid", "应答字节请用十六进制填写，如 06。", field="answer")
            out["answer"] = "".join(self.answer.split()).lower()
        return out

    def _address(self) -> dict[str, Any]:
        if self.transport == "serial":
            if not self.device.strip() or not self.baud.isdecimal():
                raise UserError("invalid", "串口连接请填写设备名（如 COM3 或 /dev/ttyS0）和波特率。", field="device")
            if self.bytesize not in ("5", "6", "7", "8") or self.parity not in PARITY_WORDS or self.stopbits not in ("1", "1.5", "2"):
                raise UserError("invalid", "数据位 5–8、校验和停止位请从列表中选择，与仪器设置一致。", field="parity")
            set_as = {"bytesize": int(self.bytesize), "parity": self.parity, "stopbits": float(self.stopbits)}
            return {"type": "serial", "device": self.device.strip(), "baud": int(self.baud), **set_as}
        if self.transport == "file":
            if not self.device.strip():
                raise UserError("invalid", "文件连接请填写文件夹。", field="device")
            return {"type": "file", "folder": self.device.strip()}
        if self.transport == "hid":
            if not self.device.strip():
                raise UserError("invalid", "读取器请填写设备（如 /dev/hidraw0）。", field="device")
            return {"type": "hid", "device": self.device.strip()}
        if self.transport == "odbc":
            return self._table()
        if not self.port.isdecimal() or not 0 < int(self.port) < 65536:
            raise UserError("invalid", "网络连接请填写 1–65535 的端口。", field="port")
        if self.transport == "tcp-dial" and not self.host.strip():
            raise UserError("invalid", "主动连接仪器时请填写仪器地址。", field="host")
        return {
            "type": self.transport,
            "host": self.host.strip() or "0.0.0.0",
            "port": int(self.port),
            **({"mllp": 2} if self.mllp2 else {}),
        }

    def _table(self) -> dict[str, Any]:
        """The transport of a table. A password belongs into the PC's data source, not into our database and its audit."""
        dsn, table, watermark, since = (one.strip() for one in (self.device, self.table, self.watermark, self.since))
        if not dsn or re.search(r"(?i)(pwd|password)\s*=", dsn):
            raise UserError("invalid", "数据表请填写数据源（如 DSN=仪器 或 sqlite:路径）；口令请存在该电脑的系统数据源里。", field="device")
        if not _NAME.fullmatch(table) or not _NAME.fullmatch(watermark) or not since:
            raise UserError("invalid", "数据表请填写表名、递增列（只用字母、数字、_ 和点）和起始值。", field="table")
        return {"type": "odbc", "dsn": dsn, "table": table, "watermark": watermark, "since": since}


def line_fields(form: Any) -> dict[str, Any]:
    """The fields of a line as a form sends them; what it leaves out keeps its default."""
    return {name: form[name] for name in LINE_FIELDS if form.get(name, "").strip()}


def save_connection(uow: UnitOfWork, agent_id: int, new: NewConnection, version: int = 0) -> Connection:
    """Add a connection to an agent, or change the one of that key, and send the new configuration.

    ``version``: of the connection as the page showed it, 0 for a new one. Somebody's change meanwhile is not overwritten (C7).
    """
    agent = uow.s.get(Agent, (uow.tenant_id, agent_id), with_for_update=True)
    if agent is None:
        raise UserError("not_found", "采集端不存在，请核对后重试。")
    if not _KEY.fullmatch(new.key) or not new.name.strip():
        raise UserError("invalid", "连接代号用小写字母、数字和 . _ -，并填写名称。", field="key")
    if new.protocol not in PROTOCOLS or new.encoding not in ENCODINGS or new.transport not in TRANSPORTS:
        raise UserError("invalid", "协议、字符集或连接方式不在列表中，请重新选择。", field="protocol")
    if new.analyzer_id is not None and new.analyzer_id not in md.catalog(uow).analyzers:
        raise UserError("not_found", "仪器不存在，请核对后重试。")
    rows = uow.s.scalars(select(Connection).where(Connection.agent_id == agent_id)).all()
    row = next((r for r in rows if r.key == new.key), None)
    _unchanged(row, new, version, md.catalog(uow).analyzers)
    _free(uow, agent_id, new.line(), 0 if row is None else row.id)
    before = None if row is None else {"transport": row.transport, "analyzer_id": row.analyzer_id, "enabled": row.enabled}
    if row is None:
        row = Connection(agent_id=agent_id, key=new.key, name="", protocol="", transport={})
        uow.s.add(row)
    row.name, row.analyzer_id, row.protocol, row.transport = new.name.strip(), new.analyzer_id, new.protocol, new.line()
    row.driver, row.encoding, row.host_query, row.enabled = new.driver or None, new.encoding or None, new.host_query, new.enabled
    row.broadcast, row.track = new.broadcast, new.track
    uow.s.flush()
    after = {
        "key": new.key,
        "broadcast": row.broadcast,
        "track": row.track,
        "transport": row.transport,
        "analyzer_id": row.analyzer_id,
        "enabled": row.enabled,
    }
    uow.audit("connection", row.id, "save", before, after)
    _known_links(uow, agent_id, row)
    changed(uow, agent)
    return row


def _unchanged(row: Connection | None, new: NewConnection, version: int, analyzers: Any) -> None:
    """Refuse a save over what the page did not show. Raises UserError with what stands there now."""
    if row is None or row.version == version:
        return
    if not version:
        said = say("代号“{key}”已是连接“{name}”，请换一个代号，或在列表中点“修改”改那一条。", key=new.key, name=row.name)
        raise UserError("conflict", said, field="key")
    raise UserError(
        "stale",
        say(
            "保存未成功：您打开之后，这条连接已被他人修改。与您填写的不同之处现在是：{theirs}。您输入的内容没有丢失，请核对后再保存。",
            theirs=Listed(_differences(row, new, analyzers) or [say("没有不同")], "；"),
        ),
    )


def _differences(row: Connection, new: NewConnection, analyzers: Any) -> list[Any]:
    """What stands in the row and differs from what was typed, field by field."""
    own = analyzers.get(row.analyzer_id)
    rest = [str(value) for name, value in sorted(row.transport.items()) if name != "type"]
    line = " ".join([str(row.transport.get("type")), *rest])
    fields = [
        (say("名称"), row.name, new.name.strip(), row.name),
        (say("仪器"), row.analyzer_id, new.analyzer_id, own.name if own is not None else "—"),
        (say("协议"), row.protocol, new.protocol, row.protocol),
        (say("驱动"), row.driver or "", new.driver, row.driver or "—"),
        (say("字符集"), row.encoding or "", new.encoding, row.encoding or "—"),
        (say("线路"), row.transport, new.line(), line),
    ]
    switches = [
        (say("启用"), row.enabled, new.enabled),
        (say("应答仪器查询"), row.host_query, new.host_query),
        (say("主动下发申请"), row.broadcast, new.broadcast),
        (say("前处理/流水线"), row.track, new.track),
    ]
    fields += [(name, had, typed, say("是") if had else say("否")) for name, had, typed in switches]
    return [say("{name} {now}", name=name, now=shown) for name, had, typed, shown in fields if had != typed]


def _free(uow: UnitOfWork, agent_id: int, line: dict[str, Any], own: int) -> None:
    """Two analyzers on one port of an agent would be taken for each other (M27: a reused serial port or address), and an analyzer that
    two agents dial would be read twice.
    """
    names = {"tcp-listen": ("port",), "tcp-dial": ("host", "port"), "file": ("folder",), "odbc": ("dsn", "table")}.get(
        line["type"], ("device",)
    )
    alive = select(Agent.id).where(Agent.state != "revoked")  # a PC that was replaced dials nobody
    used = select(Connection).where(Connection.enabled, Connection.id != own, Connection.agent_id.in_(alive)).order_by(Connection.id)
    for other in uow.s.scalars(used).all():
        had = other.transport
        if other.agent_id != agent_id and line["type"] != "tcp-dial":
            continue
        if had.get("type") == line["type"] and all(had.get(name) == line[name] for name in names):
            shown = ":".join(str(line[name]) for name in names)
            field = "port" if "port" in names else "device"
            if other.agent_id != agent_id:
                said = say("{shown} 已由另一采集端的连接“{name}”使用，请核对仪器地址，或先停用那个连接。", shown=shown, name=other.name)
            else:
                said = say("{shown} 已由本采集端的连接“{name}”使用，请换一个端口，或先停用那个连接。", shown=shown, name=other.name)
            raise UserError("conflict", said, field=field)


def _known_links(uow: UnitOfWork, agent_id: int, row: Connection) -> None:
    """Messages that came before the connection was known here now belong to it."""
    uow.s.execute(
        text(
            "UPDATE raw_message SET connection_id = :c WHERE tenant_id = :t AND agent_id = :a AND conn_key = :k AND connection_id IS NULL"
        ),
        {"c": row.id, "t": uow.tenant_id, "a": agent_id, "k": row.key},
    )


def switch(uow: UnitOfWork, connection_id: int, what: str, on: bool, reason: str) -> Connection:
    """Turn a connection, its simulator mode or its standing as a spare one on or off (M06 R13); audited, and the agent hears of it."""
    row = uow.s.get(Connection, (uow.tenant_id, connection_id), with_for_update=True)
    if row is None or what not in ("enabled", "simulator", "spare"):
        raise UserError("not_found", "连接不存在，请核对后重试。")
    if not reason.strip():
        raise UserError("invalid", "请写明原因。", field="reason")
    agent = uow.s.get(Agent, (uow.tenant_id, row.agent_id), with_for_update=True)
    assert agent is not None
    before = {"enabled": row.enabled, "simulator": row.simulator, "spare": row.spare}
    if what == "enabled":
        if on:
            _free(uow, row.agent_id, row.transport, row.id)
        row.enabled = on
    elif what == "spare":
        row.spare = on
    elif on:
        row.simulator_from, row.simulator_until = uow.now, None
    elif row.simulator:
        row.simulator_until = uow.now
    uow.s.flush()
    uow.audit("connection", row.id, "switch", before, {name: getattr(row, name) for name in before}, reason.strip())
    changed(uow, agent)
    return row
