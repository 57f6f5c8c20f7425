"""``jianlian doctor``: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from sqlalchemy import create_engine, text

from cloud.config import Settings
from cloud.doctor_english import ENGLISH
from cloud.ports import s3
from common import english
from common.errors import JianlianError
from common.say import say

OK, WARN, BAD = "ok", "warn", "bad"
SIGNS = {OK: "✓", WARN: "!", BAD: "✕"}


@dataclass(frozen=True)
class Finding:
    """One check: its part, its state, what was seen and what to do."""

    part: str
    state: str
    seen: str
    advice: str = ""

    @property
    def exit_code(self) -> int:
        """0 fine, 1 warning, 2 broken."""
        return {OK: 0, WARN: 1, BAD: 2}[self.state]

    def line(self) -> str:
        """For people."""
        return f"{SIGNS[self.state]} {self.part}: {self.seen}" + (f"\n    → {self.advice}" if self.advice else "")

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)

    def in_language(self, lang: str) -> Finding:
        """The same in another language (``zh``, ``en``)."""
        part, seen, advice = (english.in_language(words, lang, ENGLISH) for words in (self.part, self.seen, self.advice))
        return Finding(part, self.state, seen, advice)


def check(settings: Settings) -> list[Finding]:
    """All checks, each isolated from the others' trouble."""
    return [f for probe in (_secret, _database, _certificates, _broker, _files, _disk, _fonts) for f in probe(settings)]


def _secret(s: Settings) -> Iterator[Finding]:
    good = len(s.secret) >= 64
    yield Finding(
        say("配置"),
        OK if good else BAD,
        say("密钥长度足够") if good else say("secret 太短"),
        "" if good else say("请设为 32 字节以上的随机十六进制"),
    )


def _database(s: Settings) -> Iterator[Finding]:
    engine = create_engine(s.database_url, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as conn:
            version = int(conn.execute(text("SHOW server_version_num")).scalar_one())
            yield Finding(
                say("数据库"),
                OK if version >= 150000 else BAD,
                f"PostgreSQL {version // 10000}",
                "" if version >= 150000 else say("需要 15 以上"),
            )
            role = conn.execute(text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")).scalar_one()
            yield Finding(
                say("数据库角色"),
                BAD if role else OK,
                say("应用角色可绕过行级隔离") if role else say("应用角色受行级隔离约束"),
                say("请换用普通角色") if role else "",
            )
            before = time.time()
            remote = conn.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
            skew = abs(float(remote) - (before + time.time()) / 2)
            wrong = say("与数据库相差 {n} 秒", n=f"{skew:.1f}")
            yield Finding(say("时钟"), OK if skew <= 2 else WARN, wrong, "" if skew <= 2 else say("请检查 NTP"))
            schema = conn.execute(text("SELECT to_regclass('tenant') IS NOT NULL")).scalar_one()
            yield Finding(
                say("数据库结构"),
                OK if schema else BAD,
                say("已建立") if schema else say("未建立"),
                "" if schema else say("请运行 jianlian migrate"),
            )
    except Exception as exc:
        failed = say("连不上（{why}）", why=type(exc).__name__)
        yield Finding(say("数据库"), BAD, failed, say("请检查 database_url 与数据库服务"))
    finally:
        engine.dispose()


def _certificates(s: Settings) -> Iterator[Finding]:
    for name, path in ((say("网页证书"), s.tls_cert), (say("根证书"), s.ca_cert), (say("消息代理客户端证书"), s.mqtt_cert)):
        if not path:
            yield Finding(name, WARN, say("未配置"))
            continue
        try:
            cert = x509.load_pem_x509_certificate(Path(path).read_bytes())
        except (OSError, ValueError) as exc:
            yield Finding(name, BAD, say("读不出来（{why}）", why=type(exc).__name__), say("请检查 {path}", path=path))
            continue
        left = cert.not_valid_after_utc - datetime.now(UTC)
        state = BAD if left <= timedelta(0) else WARN if left < timedelta(days=30) else OK
        yield Finding(name, state, say("还有 {n} 天到期", n=left.days), "" if state == OK else say("请尽快更换"))


def _broker(s: Settings) -> Iterator[Finding]:
    where = f"{s.mqtt_host}:{s.mqtt_port}"
    try:
        with socket.create_connection((s.mqtt_host, s.mqtt_port), 5):
            yield Finding(say("消息代理"), OK, say("{where} 可连接", where=where))
    except OSError as exc:
        failed = say("{where} 连不上（{why}）", where=where, why=exc.strerror or type(exc).__name__)
        yield Finding(say("消息代理"), BAD, failed, say("采集端会继续保存数据；请启动消息代理"))


def _files(s: Settings) -> Iterator[Finding]:
    try:
        good = s3.keeps_its_word(s3.open_store(s))
    except (JianlianError, OSError) as exc:
        advice = say("报告会排队等待；请检查文件库的地址、口令与空间，或运行 jianlian migrate 建立存储桶")
        yield Finding(say("文件库"), BAD, say("不能读写（{why}）", why=getattr(exc, "message", exc)), advice)
        return
    yield Finding(
        say("文件库"),
        OK if good else BAD,
        say("可读写，已存文件不可被替换") if good else say("已存文件可被替换"),
        "" if good else say("请换用支持条件写入的 S3 服务"),
    )


def _disk(s: Settings) -> Iterator[Finding]:
    path = Path(s.data_dir)
    usage = shutil.disk_usage(path if path.exists() else Path.cwd())
    used = 100 * (usage.total - usage.free) // usage.total
    state = BAD if used >= 95 else WARN if used >= 80 else OK
    seen = say("已用 {used}%，剩余 {free} GB", used=used, free=usage.free // 2**30)
    yield Finding(say("磁盘"), state, seen, "" if state == OK else say("请清理或扩容"))


def _fonts(_s: Settings) -> Iterator[Finding]:
    found = any(Path("/usr/share/fonts").rglob("NotoSansCJK*"))
    yield Finding(
        say("中文字体"),
        OK if found else BAD,
        say("Noto CJK 已安装") if found else say("缺少 Noto CJK"),
        "" if found else say("请安装 fonts-noto-cjk，否则报告无法打印"),
    )
