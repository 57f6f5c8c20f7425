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
from agent.transport import serial_port
from agent.transport.table import first, read
from agent.uplink import tls_context
from common import crypto, diagnosis
from common.say import say

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
        return [
            Finding(
                "data",
                BAD,
                say("数据目录 {folder} 不存在。", folder=data.root),
                say("先运行 jianlian-agent enrol 登记码，或用 --data 指定目录。"),
            )
        ]
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
        return Config(), Finding("config", BAD, error.message, say("在网页上重新下发配置，或修正 local.json。"))
    if not config.connections:
        return config, Finding("config", LOOK, say("没有配置任何仪器连接。"), say("在网页“采集端”中为本代理添加连接。"))
    version, count = config.version, len(config.connections)
    if data.file("local.json").exists():
        return config, Finding("config", GOOD, say("配置第 {version} 版（本机 local.json），{n} 个连接。", version=version, n=count))
    return config, Finding("config", GOOD, say("配置第 {version} 版，{n} 个连接。", version=version, n=count))


def _identity(data: DataDir, found: list[Finding]) -> Identity | None:
    try:
        identity = data.identity()
    except ConfigError as error:
        found.append(Finding("identity", BAD, error.message, say("用新的登记码重新登记。")))
        return None
    if identity is None:
        found.append(
            Finding("identity", LOOK, say("尚未登记：数据只保存在本机。"), say("在网页上生成登记码，运行 jianlian-agent enrol 登记码。"))
        )
        return None
    found.append(Finding("identity", GOOD, say("已登记：医院 {tenant}，代理 {agent}。", tenant=identity.tenant, agent=identity.agent)))
    mode = stat.S_IMODE(data.file("key.pem").stat().st_mode) if data.file("key.pem").exists() else None
    if mode is not None and os.name == "posix" and mode & 0o077:
        found.append(Finding("key", LOOK, say("密钥文件其他用户也能读。"), say("运行 chmod 600 {file}", file=data.file("key.pem"))))
    return identity


def _status(data: DataDir, running: bool, found: list[Finding]) -> dict[str, Any]:
    if not running:
        found.append(
            Finding("running", BAD, say("代理没有运行，仪器数据不会被接收。"), say("启动服务 jianlian-agent，或运行 jianlian-agent run。"))
        )
        return {}
    try:
        age = time.time() - data.status.stat().st_mtime
        status: dict[str, Any] = json.loads(data.status.read_bytes())
    except (OSError, ValueError):
        found.append(Finding("running", LOOK, say("代理刚刚启动，状态还没有写出。"), say("几秒后再检查一次。")))
        return {}
    if age > STALE_SECONDS:
        found.append(
            Finding("running", BAD, say("代理已 {n} 秒没有动静。", n=f"{age:.0f}"), say("重新启动代理；若再次发生，请把日志发给工程师。"))
        )
    else:
        found.append(Finding("running", GOOD, say("代理正在运行（进程 {pid}）。", pid=status.get("pid"))))
    return status


def _disk(data: DataDir) -> Iterator[Finding]:
    space = disk.space(data.root)
    free = say("磁盘剩余 {free} GB（已用 {used}）", free=f"{space.free / (1 << 30):.1f}", used=f"{space.used:.0%}")
    if space.stop:
        stopped = say("{free}，已停止接收，仪器会报错并保留数据。", free=free)
        yield Finding("disk", BAD, stopped, say("立即清理磁盘；有空间后自动恢复。"))
    elif space.warn:
        yield Finding("disk", LOOK, free, say("请尽快清理磁盘。"))
    else:
        yield Finding("disk", GOOD, free)


def _journal(data: DataDir, running: bool) -> Iterator[Finding]:
    for path in damaged_files(data.journal):
        kept = say("曾发现损坏的日志库，已另存为 {file}，完好的记录已转入新库。", file=path.name)
        yield Finding("journal", LOOK, kept, say("请工程师核对后移走该文件。"))
    if not data.journal.exists():
        yield Finding("journal", GOOD, say("日志库将在代理第一次运行时建立。"))
        return
    try:
        yield _counts(data, running)
    except (apsw.Error, store.StoreDamaged, store.StoreError) as error:
        yield Finding("journal", BAD, say("日志库有问题：{error}", error=error), say("重新启动代理，它会另存损坏的文件并救出完好的记录。"))


def _counts(data: DataDir, running: bool) -> Finding:
    db = apsw.Connection(str(data.journal), flags=apsw.SQLITE_OPEN_READONLY if running else apsw.SQLITE_OPEN_READWRITE)
    try:
        if data.journal.stat().st_size <= CHECK_BYTES:
            store.check(db)
        counts: dict[Any, Any] = dict(map(tuple, db.execute("SELECT state, count(*) FROM messages GROUP BY state")))
    finally:
        db.close()
    found = {"pending": counts.get(0, 0), "done": counts.get(1, 0), "bad": counts.get(2, 0)}
    text = say("日志库完好：待上传 {pending}，已确认 {done}，隔离 {bad}。", **found)
    if counts.get(2, 0):
        return Finding("journal", LOOK, text, say("隔离的记录在磁盘上已损坏，请工程师核对原始仪器数据。"))
    return Finding("journal", GOOD, text)


def _certificate(data: DataDir) -> Iterator[Finding]:
    try:
        certificate = crypto.load_certificate(data.file("certificate.pem").read_bytes())
        key = crypto.load_private(data.file("key.pem").read_bytes())
        crypto.load_public(data.file("cloud.pem").read_bytes())
    except (OSError, crypto.CryptoError) as error:
        yield Finding("certificate", BAD, say("证书或密钥读不出来：{error}", error=error), say("用新的登记码重新登记。"))
        return
    if crypto.public_pem(key.public_key()) != crypto.public_pem(crypto.certificate_key(certificate)):
        yield Finding("certificate", BAD, say("证书与密钥不是一对。"), say("用新的登记码重新登记。"))
    days = (certificate.not_valid_after_utc - datetime.now(UTC)).days
    if days < 0:
        over = say("证书已过期 {n} 天：仪器数据仍保存在本机，但不能上传。", n=-days)
        yield Finding("certificate", BAD, over, say("用新的登记码重新登记。"))
    elif days < 30:
        yield Finding("certificate", LOOK, say("证书还有 {n} 天到期。", n=days), say("请在到期前用新的登记码重新登记。"))
    else:
        yield Finding("certificate", GOOD, say("证书还有 {n} 天到期。", n=days))


def _clock(identity: Identity) -> Iterator[Finding]:
    """Our clock against the server's, by the Date header (whole seconds)."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only a time is read, nothing is believed
    try:
        with urllib.request.urlopen(f"{identity.url}/healthz", timeout=_TIMEOUT, context=context) as answer:
            told = answer.headers.get("Date")
    except OSError as error:
        why = say("无法核对时钟：连接不上 {url}（{why}）。", url=identity.url, why=getattr(error, "reason", error))
        yield Finding("clock", LOOK, why, say("检查网络。"))
        return
    if not told:
        return
    skew = (datetime.now(UTC) - parsedate_to_datetime(told)).total_seconds()
    wrong = say("本机时钟与服务器相差 {n} 秒。", n=f"{skew:.0f}")
    if abs(skew) > 30:
        yield Finding("clock", BAD, wrong, say("打开系统的自动对时（NTP），或手工校正时间。"))
    elif abs(skew) > 3:
        yield Finding("clock", LOOK, wrong, say("打开系统的自动对时（NTP）。"))
    else:
        yield Finding("clock", GOOD, say("本机时钟与服务器一致。"))


def _broker(data: DataDir, identity: Identity) -> Iterator[Finding]:
    where = f"{identity.mqtt_host}:{identity.mqtt_port}"
    try:
        context = tls_context(*(str(data.file(name)) for name in ("ca.pem", "certificate.pem", "key.pem")))
        with (
            socket.create_connection((identity.mqtt_host, identity.mqtt_port), _TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=identity.mqtt_host),
        ):
            yield Finding("broker", GOOD, say("消息服务器 {where} 可达，加密正常。", where=where))
    except ssl.SSLError as error:
        failed = say("消息服务器 {where} 的加密连接失败：{why}。", where=where, why=error.reason)
        yield Finding("broker", BAD, failed, say("核对时钟和证书；必要时重新登记。"))
    except OSError as error:
        failed = say("连接不上消息服务器 {where}：{why}。", where=where, why=error.strerror or error)
        yield Finding("broker", BAD, failed, say("检查网络和防火墙；数据先保存在本机。"))


def _uplink(status: dict[str, Any]) -> Iterator[Finding]:
    cloud = status.get("cloud")
    if not cloud or status.get("standalone"):
        return
    pending = status.get("pending", 0)
    troubles = diagnosis.agent(status, datetime.now(UTC))
    for trouble in troubles:
        said = {"layer": diagnosis.WORDS[trouble.layer], "trouble": trouble.text}
        if cloud.get("connected"):
            text = say("{layer}：{trouble}。", **said)
        else:
            text = say("{layer}：{trouble}；自 {since} 起断开，{n} 条待上传。", **said, since=cloud.get("since"), n=pending)
        yield Finding("uplink", LOOK, text, trouble.advice, trouble.layer)
    if not troubles:
        yield Finding("uplink", LOOK if pending > 100 else GOOD, say("已连接云端，{n} 条待上传。", n=pending))


def _lines(config: Config, status: dict[str, Any]) -> Iterator[Finding]:
    live = {row["conn"]: row for row in status.get("connections", [])}
    for conn in config.connections:
        if not conn.enabled:
            yield Finding(f"line:{conn.key}", GOOD, say("{name}：已停用。", name=conn.name))
        elif conn.key in live:
            yield _live(conn, live[conn.key])
        else:
            yield _offline(conn)


def _live(conn: Connection, row: dict[str, Any]) -> Finding:
    check = f"line:{conn.key}"
    what = say("{name}（{line}）", name=conn.name, line=conn.transport.label)
    trouble = diagnosis.connection(row, datetime.now(UTC))
    if trouble is not None:
        level = BAD if row["state"] == "fault" else LOOK
        said = {"line": what, "layer": diagnosis.WORDS[trouble.layer], "trouble": trouble.text}
        if row["last_error"]:
            text = say("{line}：{layer}：{trouble}。（{error}）", **said, error=row["last_error"])
        else:
            text = say("{line}：{layer}：{trouble}。", **said)
        return Finding(check, level, text, trouble.advice, trouble.layer)
    if row["last_byte"]:
        return Finding(check, GOOD, say("{line}：已连接，最近数据 {at}。", line=what, at=row["last_byte"]))
    return Finding(check, GOOD, say("{line}：已连接，还没有数据。", line=what))


def _offline(conn: Connection) -> Finding:
    """Look at a line while the agent does not run."""
    check, wanted = f"line:{conn.key}", conn.transport
    what = say("{name}（{line}）", name=conn.name, line=wanted.label)
    try:
        if wanted.type == "serial":
            serial_port.present(wanted.device)
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
                if os.name == "posix":  # on Windows it would let us share a port that is taken
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((wanted.host, wanted.port))
    except OSError as error:
        failed = say("{line}不可用：{why}。", line=what, why=error.strerror or error)
        return Finding(check, BAD, failed, say("检查电缆、地址，或占用它的其他程序。"))
    return Finding(check, GOOD, say("{line}可用。", line=what))


__all__ = ["Finding", "run"]
