"""``jianlian doctor``: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import re
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from sqlalchemy import Connection, create_engine, text

import cloud.modules.tables  # noqa: F401  # every table known, or a foreign key to another module's cannot be resolved
from cloud import admin
from cloud.config import Settings
from cloud.db import migrate
from cloud.doctor_english import ENGLISH
from cloud.modules.edge import facts, signals
from cloud.ports import s3
from cloud.web import i18n
from common import english
from common.errors import JianlianError
from common.say import Said, say

OK, WARN, BAD = "ok", "warn", "bad"
EDGE = Path(__file__).parent / "modules" / "edge"
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
        pages = i18n.load((EDGE,))
        of_pages = {_braces(key): _braces(pages.gettext(key)) for key in (*signals.WORDS.values(), str(self.advice))}
        part, seen, advice = (english.in_language(words, lang, of_pages, ENGLISH) for words in (self.part, self.seen, self.advice))
        return Finding(part, self.state, seen, advice)


def check(settings: Settings) -> list[Finding]:
    """All checks, each isolated from the others' trouble."""
    return [f for probe in (_secret, _database, _certificates, _broker, _files, _disk, _fonts, _instruments) for f in probe(settings)]


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
            state, seen = _schema(conn)
            yield Finding(say("数据库结构"), state, seen, "" if state == OK else say("请运行 jianlian migrate"))
    except Exception as exc:
        failed = say("连不上（{why}）", why=type(exc).__name__)
        yield Finding(say("数据库"), BAD, failed, say("请检查 database_url 与数据库服务"))
    finally:
        engine.dispose()


def _schema(conn: Connection) -> tuple[str, str]:
    """Whether the tables are those of this release."""
    if not conn.execute(text("SELECT to_regclass('alembic_version') IS NOT NULL")).scalar_one():
        return BAD, say("未建立")
    if not conn.execute(text("SELECT has_table_privilege('alembic_version', 'SELECT')")).scalar_one():
        return BAD, say("比本版本旧")
    here, wanted = conn.execute(text("SELECT version_num FROM alembic_version")).scalar(), migrate.newest()
    if here == wanted:
        return OK, say("已是最新（{here}）", here=here)
    return BAD, say("是 {here}，本版本需要 {wanted}", here=here, wanted=wanted)


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


def _instruments(s: Settings) -> Iterator[Finding]:
    """Each hospital's agents and their lines to the analyzers, as the board sees them; asked now, so outside working hours too."""
    try:
        for hospital in admin.tenants(s):
            if hospital.status != "closed":
                with admin.hospital(s, hospital.code) as uow:
                    found = list(_edge(say("仪器（{hospital}）", hospital=hospital.name), facts.load(uow)))
                yield from found
    except Exception as exc:
        yield Finding(say("仪器"), WARN, say("查不到采集端（{why}）", why=type(exc).__name__), say("请先解决数据库的问题"))


def _edge(part: str, views: list[facts.AgentView]) -> Iterator[Finding]:
    agents = [v for v in views if v.facts.enrolled]
    if not agents:
        yield Finding(part, WARN, say("还没有登记采集端"), say("请在网页“采集端”新建一个，取得登记码"))
        return
    links = [link for view in agents for link in view.links if link.connection.enabled]
    ask = say("请在该电脑上运行 jianlian-agent doctor")
    never = [v for v in agents if not v.facts.online and v.facts.offline_for is None]
    told = [(say("采集端 {name} 登记后从未连上", name=v.agent.name), ask) for v in never]
    told += [(_words(each, v.agent.name), ask) for v in agents for each in signals.agent_signals(v.facts, True)]
    for link in links:
        told += [(_words(each, link.connection.name), _of_pages(link.verdict.do)) for each in signals.link_signals(link.facts, True)]
    for seen, do in told:
        yield Finding(part, WARN, seen, do)
    if not told:
        yield Finding(part, OK, say("{agents} 个采集端、{links} 条连接，没有发现故障", agents=len(agents), links=len(links)))


def _words(signal: signals.Signal, name: str) -> Said:
    return _of_pages(signals.WORDS[signal.kind], name=name, **signal.fields)


def _of_pages(words: str, **values: object) -> Said:
    """A sentence of the pages, whose values stand in another form and whose English is theirs."""
    made = Said(words % values if values else words)
    made.key, made.values = _braces(words), values
    return made


def _braces(words: str) -> str:
    return re.sub(r"%\((\w+)\)s", r"{\1}", words)
