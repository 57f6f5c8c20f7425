"""The checks behind `doctor`: each looks at one thing and says, in a sentence, how it is and what to do."""

from __future__ import annotations

import json
import os
import socket
import ssl
import stat
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import apsw

from agent import disk, store
from agent.config import Config, ConfigError, Connection, DataDir, Identity
from agent.lock import is_locked
from agent.salvage import damaged_files
from agent.transport.table import first, read
from agent.uplink import tls_context
from common import crypto, diagnosis

GOOD, LOOK, BAD = 0, 1, 2
STALE_SECONDS = 15
CHECK_BYTES = 256 << 20
_TIMEOUT = 4.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    check: str
    level: int
    text: str
    advice: str = ""
    layer: str = ""
    """Where the fault is (common/diagnosis.py), for what concerns a running agent."""


def run(data: DataDir) -> list[Finding]:
    """All checks."""
    if not data.root.is_dir():
        return [Finding("data", BAD, f"数据目录 {data.root} 不存在。", "先运行 jianlian-agent enrol 登记码，或用 --data 指定目录。")]
    found: list[Finding] = []
    config, problem = _configuration(data)
    found.append(problem)
    identity = _identity(data, found)
    running = is_locked(data.lock)
    status = _status(data, running, found)
    found += _disk(data)
    found += _journal(data, running)
    if identity is not None:
        found += _certificate(data)
        found += _clock(identity)
        found += _broker(data, identity)
    found += _uplink(status)
    found += _lines(config, status)
    return found


def _configuration(data: DataDir) -> tuple[Config, Finding]:
    try:
        config = data.config()
    except ConfigError as error:
        return Config(), Finding("config", BAD, error.message, "在网页上重新下发配置，或修正 local.json。")
    if not config.connections:
        return config, Finding("config", LOOK, "没有配置任何仪器连接。", "在网页“采集端”中为本代理添加连接。")
    local = "（本机 local.json）" if data.file("local.json").exists() else ""
    return config, Finding("config", GOOD, f"配置第 {config.version} 版{local}，{len(config.connections)} 个连接。")


def _identity(data: DataDir, found: list[Finding]) -> Identity | None:
    try:
        identity = data.identity()
    except ConfigError as error:
        found.append(Finding("identity", BAD, error.message, "用新的登记码重新登记。"))
        return None
    if identity is None:
        found.append(Finding("identity", LOOK, "尚未登记：数据只保存在本机。", "在网页上生成登记码，运行 jianlian-agent enrol 登记码。"))
        return None
    found.append(Finding("identity", GOOD, f"已登记：医院 {identity.tenant}，代理 {identity.agent}。"))
    mode = stat.S_IMODE(data.file("key.pem").stat().st_mode) if data.file("key.pem").exists() else None
    if mode is not None and os.name == "posix" and mode & 0o077:
        found.append(Finding("key", LOOK, "密钥文件其他用户也能读。", f"运行 chmod 600 {data.file('key.pem')}"))
    return identity


def _status(data: DataDir, running: bool, found: list[Finding]) -> dict[str, Any]:
    if not running:
        found.append(Finding("running", BAD, "代理没有运行，仪器数据不会被接收。", "启动服务 jianlian-agent，或运行 jianlian-agent run。"))
        return {}
    try:
        age = time.time() - data.status.stat().st_mtime
        status: dict[str, Any] = json.loads(data.status.read_bytes())
    except (OSError, ValueError):
        found.append(Finding("running", LOOK, "代理刚刚启动，状态还没有写出。", "几秒后再检查一次。"))
        return {}
    if age > STALE_SECONDS:
        found.append(Finding("running", BAD, f"代理已 {age:.0f} 秒没有动静。", "重新启动代理；若再次发生，请把日志发给工程师。"))
    else:
        found.append(Finding("running", GOOD, f"代理正在运行（进程 {status.get('pid')}）。"))
    return status


def _disk(data: DataDir) -> Iterator[Finding]:
    space = disk.space(data.root)
    free = f"磁盘剩余 {space.free / (1 << 30):.1f} GB（已用 {space.used:.0%}）"
    if space.stop:
        yield Finding("disk", BAD, f"{free}，已停止接收，仪器会报错并保留数据。", "立即清理磁盘；有空间后自动恢复。")
    elif space.warn:
        yield Finding("disk", LOOK, f"{free}。", "请尽快清理磁盘。")
    else:
        yield Finding("disk", GOOD, f"{free}。")


def _journal(data: DataDir, running: bool) -> Iterator[Finding]:
    for path in damaged_files(data.journal):
        yield Finding("journal", LOOK, f"曾发现损坏的日志库，已另存为 {path.name}，完好的记录已转入新库。", "请工程师核对后移走该文件。")
    if not data.journal.exists():
        yield Finding("journal", GOOD, "日志库将在代理第一次运行时建立。")
        return
    try:
        yield _counts(data, running)
    except (apsw.Error, store.StoreDamaged, store.StoreError) as error:
        yield Finding("journal", BAD, f"日志库有问题：{error}", "重新启动代理，它会另存损坏的文件并救出完好的记录。")


def _counts(data: DataDir, running: bool) -> Finding:
    db = apsw.Connection(str(data.journal), flags=apsw.SQLITE_OPEN_READONLY if running else apsw.SQLITE_OPEN_READWRITE)
    try:
        if data.journal.stat().st_size <= CHECK_BYTES:
            store.check(db)
        counts: dict[Any, Any] = dict(map(tuple, db.execute("SELECT state, count(*) FROM messages GROUP BY state")))
    finally:
        db.close()
    text = f"日志库完好：待上传 {counts.get(0, 0)}，已确认 {counts.get(1, 0)}，隔离 {counts.get(2, 0)}。"
    if counts.get(2, 0):
        return Finding("journal", LOOK, text, "隔离的记录在磁盘上已损坏，请工程师核对原始仪器数据。")
    return Finding("journal", GOOD, text)


def _certificate(data: DataDir) -> Iterator[Finding]:
    try:
        certificate = crypto.load_certificate(data.file("certificate.pem").read_bytes())
        key = crypto.load_private(data.file("key.pem").read_bytes())
        crypto.load_public(data.file("cloud.pem").read_bytes())
    except (OSError, crypto.CryptoError) as error:
        yield Finding("certificate", BAD, f"证书或密钥读不出来：{error}", "用新的登记码重新登记。")
        return
    if crypto.public_pem(key.public_key()) != crypto.public_pem(crypto.certificate_key(certificate)):
        yield Finding("certificate", BAD, "证书与密钥不是一对。", "用新的登记码重新登记。")
    days = (certificate.not_valid_after_utc - datetime.now(UTC)).days
    if days < 0:
        yield Finding("certificate", BAD, f"证书已过期 {-days} 天：仪器数据仍保存在本机，但不能上传。", "用新的登记码重新登记。")
    elif days < 30:
        yield Finding("certificate", LOOK, f"证书还有 {days} 天到期。", "请在到期前用新的登记码重新登记。")
    else:
        yield Finding("certificate", GOOD, f"证书还有 {days} 天到期。")


def _clock(identity: Identity) -> Iterator[Finding]:
    """Our clock against the server's, by the Date header (whole seconds)."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only a time is read, nothing is believed
    try:
        with urllib.request.urlopen(f"{identity.url}/healthz", timeout=_TIMEOUT, context=context) as answer:
            told = answer.headers.get("Date")
    except OSError as error:
        yield Finding("clock", LOOK, f"无法核对时钟：连接不上 {identity.url}（{getattr(error, 'reason', error)}）。", "检查网络。")
        return
    if not told:
        return
    skew = (datetime.now(UTC) - parsedate_to_datetime(told)).total_seconds()
    if abs(skew) > 30:
        yield Finding("clock", BAD, f"本机时钟与服务器相差 {skew:.0f} 秒。", "打开系统的自动对时（NTP），或手工校正时间。")
    elif abs(skew) > 3:
        yield Finding("clock", LOOK, f"本机时钟与服务器相差 {skew:.0f} 秒。", "打开系统的自动对时（NTP）。")
    else:
        yield Finding("clock", GOOD, "本机时钟与服务器一致。")


def _broker(data: DataDir, identity: Identity) -> Iterator[Finding]:
    where = f"{identity.mqtt_host}:{identity.mqtt_port}"
    try:
        context = tls_context(*(str(data.file(name)) for name in ("ca.pem", "certificate.pem", "key.pem")))
        with (
            socket.create_connection((identity.mqtt_host, identity.mqtt_port), _TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=identity.mqtt_host),
        ):
            yield Finding("broker", GOOD, f"消息服务器 {where} 可达，加密正常。")
    except ssl.SSLError as error:
        yield Finding("broker", BAD, f"消息服务器 {where} 的加密连接失败：{error.reason}。", "核对时钟和证书；必要时重新登记。")
    except OSError as error:
        yield Finding("broker", BAD, f"连接不上消息服务器 {where}：{error.strerror or error}。", "检查网络和防火墙；数据先保存在本机。")


def _uplink(status: dict[str, Any]) -> Iterator[Finding]:
    cloud = status.get("cloud")
    if not cloud or status.get("standalone"):
        return
    pending = status.get("pending", 0)
    troubles = diagnosis.agent(status, datetime.now(UTC))
    for trouble in troubles:
        more = "" if cloud.get("connected") else f"；自 {cloud.get('since')} 起断开，{pending} 条待上传"
        yield Finding("uplink", LOOK, f"{diagnosis.WORDS[trouble.layer]}：{trouble.text}{more}。", trouble.advice, trouble.layer)
    if not troubles:
        yield Finding("uplink", LOOK if pending > 100 else GOOD, f"已连接云端，{pending} 条待上传。")


def _lines(config: Config, status: dict[str, Any]) -> Iterator[Finding]:
    live = {row["conn"]: row for row in status.get("connections", [])}
    for conn in config.connections:
        if not conn.enabled:
            yield Finding(f"line:{conn.key}", GOOD, f"{conn.name}：已停用。")
        elif conn.key in live:
            yield _live(conn, live[conn.key])
        else:
            yield _offline(conn)


def _live(conn: Connection, row: dict[str, Any]) -> Finding:
    check = f"line:{conn.key}"
    what = f"{conn.name}（{conn.transport.label}）"
    trouble = diagnosis.connection(row, datetime.now(UTC))
    if trouble is not None:
        level = BAD if row["state"] == "fault" else LOOK
        more = f"（{row['last_error']}）" if row["last_error"] else ""
        return Finding(check, level, f"{what}：{diagnosis.WORDS[trouble.layer]}：{trouble.text}。{more}", trouble.advice, trouble.layer)
    last = f"最近数据 {row['last_byte']}" if row["last_byte"] else "还没有数据"
    return Finding(check, GOOD, f"{what}：已连接，{last}。")


def _offline(conn: Connection) -> Finding:
    """Look at a line while the agent does not run."""
    check, wanted = f"line:{conn.key}", conn.transport
    try:
        if wanted.type == "serial":
            os.stat(wanted.device)
        elif wanted.type == "file":
            os.listdir(wanted.folder)
        elif wanted.type == "hid":
            os.stat(wanted.device)
        elif wanted.type == "odbc":
            read(wanted, first(wanted), frozenset())
        elif wanted.type == "tcp-dial":
            socket.create_connection((wanted.host, wanted.port), _TIMEOUT).close()
        else:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((wanted.host, wanted.port))
    except OSError as error:
        return Finding(
            check, BAD, f"{conn.name}（{wanted.label}）不可用：{error.strerror or error}。", "检查电缆、地址，或占用它的其他程序。"
        )
    return Finding(check, GOOD, f"{conn.name}（{wanted.label}）可用。")


__all__ = ["Finding", "run"]
