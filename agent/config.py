"""The agent's data folder and its configuration, read and checked.

`identity.json`, `key.pem`, `certificate.pem`, `ca.pem`, `cloud.pem` come from enrolment; `config.json` is the last signed
configuration accepted; `local.json`, when a technician puts it there, is used in its place (tests, bench set-ups).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.instruments.site import Site, site_from_json
from common.say import say

# Links we answer on; every other protocol name ("text", "fixed", "bci" …) is a line that only listens.
ANSWERED = ("astm", "hl7")
DEFAULT_IDLE_MS = 500
REPLACE_TRIES, REPLACE_PAUSE = 10 if os.name == "nt" else 0, 0.01


class ConfigError(UserError):
    """A configuration that cannot be used; the message says which part."""


@dataclass(frozen=True, slots=True)
class Transport:
    """How bytes reach us: `tcp-listen`, `tcp-dial`, `serial`, `file` (a folder), `odbc` (a table) or `hid` (a reader that types)."""

    type: str
    host: str = "127.0.0.1"
    port: int = 0
    device: str = ""
    baud: int = 9600
    bytesize: int = 8
    parity: str = "N"
    stopbits: float = 1
    folder: str = ""
    peers: tuple[str, ...] = ()
    """Addresses allowed to connect; empty means any."""
    mllp: int = 1
    """HL7: the release of MLLP the peer speaks. Under 2 it waits for a commit answer after each block."""
    dsn: str = ""
    """`odbc`: the connection string, or `sqlite:PATH`. May hold a password: never shown."""
    table: str = ""
    watermark: str = ""
    """The rising column rows are read by."""
    since: str = ""
    """Where reading begins the first time."""
    columns: tuple[str, ...] = ()
    """What is read; empty means all."""

    @property
    def label(self) -> str:
        """The address as a person writes it."""
        if self.type == "serial":
            return f"{self.device} {self.baud} {self.bytesize}{self.parity}{self.stopbits:g}"
        plain = {"file": self.folder, "odbc": self.table, "hid": self.device}
        return plain.get(self.type) or f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Connection:
    """One analyzer's line."""

    key: str
    name: str
    analyzer: str
    protocol: str
    transport: Transport
    driver: str | None = None
    encoding: str | None = None
    host_query: bool = False
    broadcast: bool = False
    """Orders go to the analyzer unasked, as they come and change."""
    enabled: bool = True
    idle_group_ms: int = DEFAULT_IDLE_MS
    """One-way formats: silence that ends a message."""
    answer: bytes = b""
    """One-way formats: bytes written after a message is stored (some printers' ports want an ACK)."""
    site: Site | None = None
    """How this analyzer differs from its driver, so that a query is read, and answered, as the cloud would."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the cloud (or local.json) says this agent does."""

    version: int = 0
    connections: tuple[Connection, ...] = ()
    kiosk: Mapping[str, Any] | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this agent is and where its broker stands; from enrolment."""

    agent: str
    tenant: str
    url: str
    mqtt_host: str
    mqtt_port: int


@dataclass(frozen=True, slots=True)
class DataDir:
    """The folder that holds everything the agent keeps."""

    root: Path

    @property
    def journal(self) -> Path:
        """The SQLite file."""
        return self.root / "journal.db"

    @property
    def status(self) -> Path:
        """The live state, rewritten each second."""
        return self.root / "status.json"

    @property
    def lock(self) -> Path:
        """Held by the running agent."""
        return self.root / "agent.lock"

    def file(self, name: str) -> Path:
        """One of the files named in the module's text."""
        return self.root / name

    def create(self) -> None:
        """Make the folder, for its owner only: it holds the key and patient data."""
        self.root.mkdir(parents=True, exist_ok=True)
        os.chmod(self.root, 0o700)

    def identity(self) -> Identity | None:
        """Who we are, or None before enrolment. Raises ConfigError."""
        path = self.file("identity.json")
        if not path.exists():
            return None
        raw = read_json(path)
        try:
            mqtt = raw["mqtt"]
            return Identity(raw["agent"], raw["tenant"], raw["url"], mqtt["host"], int(mqtt["port"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError("config.identity", say("身份文件 {path} 不完整，请重新登记本代理。", path=path)) from error

    def config(self) -> Config:
        """The configuration in force: local.json, else the last accepted one, else empty. Raises ConfigError."""
        for name in ("local.json", "config.json"):
            path = self.file(name)
            if path.exists():
                return parse_config(read_json(path))
        return Config()

    def save_config(self, raw: Mapping[str, Any]) -> None:
        """Keep an accepted configuration."""
        write_atomic(self.file("config.json"), json.dumps(raw, ensure_ascii=False, indent=1).encode())


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises ConfigError."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError("config.file", say("文件 {path} 读不出来：{error}。请修正或删除它。", path=path, error=error)) from error


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Write a file so that a reader, or a power cut, meets the old one or the new one and nothing between."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        os.chmod(name, mode)
        _replace(name, path)
        if sync:
            sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _replace(name: str, path: Path) -> None:
    """Put a file in another's place. Windows refuses while a reader or an antivirus program has the old one open: a few times again."""
    for _ in range(REPLACE_TRIES):
        try:
            os.replace(name, path)
        except PermissionError:
            time.sleep(REPLACE_PAUSE)
        else:
            return
    os.replace(name, path)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder outlive a power cut (Windows has no such call and does it by itself)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def parse_config(raw: Any) -> Config:
    """Check a configuration. Raises ConfigError naming the part at fault."""
    if not isinstance(raw, dict):
        raise ConfigError("config.shape", say("配置不是一个 JSON 对象。"))
    connections = tuple(_connection(item) for item in _list(raw.get("connections", []), "connections"))
    keys = [connection.key for connection in connections]
    if len(set(keys)) != len(keys):
        raise ConfigError("config.key", say("配置中有两个连接使用同一个 key。"))
    return Config(_number(raw.get("version", 0), "version"), connections, raw.get("kiosk"), raw)


def _connection(raw: Any) -> Connection:
    if not isinstance(raw, dict) or not isinstance(raw.get("key"), str) or not raw["key"]:
        raise ConfigError("config.key", say("配置中有一个连接没有 key。"))
    key = raw["key"]
    protocol = str(raw.get("protocol") or "unknown")
    if not protocol.isidentifier():
        raise ConfigError("config.protocol", say("连接 {key} 的协议 {protocol} 不认识。", key=key, protocol=protocol), conn=key)
    try:
        answer = bytes.fromhex(raw.get("answer") or "")
    except (TypeError, ValueError) as error:
        raise ConfigError("config.answer", say("连接 {key} 的 answer 不是十六进制。", key=key), conn=key) from error
    return Connection(
        key=key,
        name=str(raw.get("name") or key),
        analyzer=str(raw.get("analyzer") or ""),
        protocol=protocol,
        transport=_transport(raw.get("transport"), key),
        driver=raw.get("driver") or None,
        encoding=raw.get("encoding") or None,
        host_query=bool(raw.get("host_query", False)),
        broadcast=bool(raw.get("broadcast", False)),
        enabled=bool(raw.get("enabled", True)),
        idle_group_ms=_number(raw.get("idle_group_ms") or DEFAULT_IDLE_MS, "idle_group_ms"),
        answer=answer,
        site=_site(raw.get("site"), key),
    )


def _site(raw: Any, key: str) -> Site | None:
    if not raw:
        return None
    try:
        return site_from_json(raw)
    except (UserError, TypeError, ValueError) as error:
        raise ConfigError("config.site", say("连接 {key} 的仪器差异读不出来：{error}。", key=key, error=error), conn=key) from error


_NEEDS = {
    "tcp-listen": ("port",),
    "tcp-dial": ("host", "port"),
    "serial": ("device",),
    "file": ("folder",),
    "odbc": ("dsn", "table", "watermark", "since"),
    "hid": ("device",),
}
_NAME = re.compile(r"[\w$#]+(\.[\w$#]+)*")  # of a table or column: it goes into SQL


def _transport(raw: Any, key: str) -> Transport:
    kind = raw.get("type") if isinstance(raw, dict) else None
    if kind not in _NEEDS:
        raise ConfigError("config.transport", say("连接 {key} 的传输方式 {kind} 不认识。", key=key, kind=kind), conn=key)
    missing = [name for name in _NEEDS[kind] if raw.get(name) in (None, "")]
    if missing:
        raise ConfigError("config.transport", say("连接 {key} 缺少 {missing}。", key=key, missing=missing), conn=key)
    columns = tuple(str(name) for name in _list(raw.get("columns") or [], "columns"))
    if kind == "odbc" and not all(_NAME.fullmatch(str(name)) for name in (raw["table"], raw["watermark"], *columns)):
        raise ConfigError("config.table", say("连接 {key} 的表名或列名只能用字母、数字、_ 和点。", key=key), conn=key)
    return Transport(
        type=kind,
        host=str(raw.get("host") or ("0.0.0.0" if kind == "tcp-listen" else "")),
        port=_number(raw.get("port") or 0, "port"),
        device=str(raw.get("device") or ""),
        baud=_number(raw.get("baud") or 9600, "baud"),
        bytesize=_number(raw.get("bytesize") or 8, "bytesize"),
        parity=str(raw.get("parity") or "N").upper()[:1],
        stopbits=float(raw.get("stopbits") or 1),
        folder=str(raw.get("folder") or ""),
        peers=tuple(str(peer) for peer in _list(raw.get("peers") or [], "peers")),
        mllp=2 if _number(raw.get("mllp") or 1, "mllp") == 2 else 1,
        dsn=str(raw.get("dsn") or ""),
        table=str(raw.get("table") or ""),
        watermark=str(raw.get("watermark") or ""),
        since=str(raw.get("since") or ""),
        columns=columns,
    )


def _number(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ConfigError("config.number", say("配置项 {name} 应为整数。", name=name))
    try:
        return int(value)
    except ValueError as error:
        raise ConfigError("config.number", say("配置项 {name} 应为整数。", name=name)) from error


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError("config.list", say("配置项 {name} 应为列表。", name=name))
    return value
