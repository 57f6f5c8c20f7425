"""An analyzer from nothing: the catalog's row and its line to an agent in one step, and the list of all of them.

Nothing it sends reaches a patient before a mapping of its codes went through change control (approval.activate), so whoever installs
analyzers may add one; changing a line that is in use stays with the system's administrator.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.catalog import service as catalog
from cloud.modules.edge import archiving, configuration
from cloud.modules.edge.configuration import NewConnection
from cloud.modules.edge.models import Agent, Connection, MappingVersion
from common.errors import UserError
from common.instruments.driver import Driver
from common.instruments.drivers import DRIVERS
from common.say import say

LINES = {"fixed": "serial", "text": "serial", "blocks": "serial", "bci": "serial"}
"""How a model of this protocol is usually wired; every other one by network."""


@dataclass(frozen=True, slots=True)
class NewInstrument:
    """An analyzer as the form gives it; ``line.key`` and ``line.analyzer_id`` are filled here."""

    code: str
    name: str
    model: str
    section_id: int
    agent_id: int
    line: NewConnection


def start(driver_id: str) -> NewConnection:
    """What the form begins with for a model: its protocol, its character set, its usual line, whether it asks for orders."""
    driver = DRIVERS.get(driver_id)
    if driver is None:
        return NewConnection("", "", None, "astm")
    line = LINES.get(driver.protocol, "tcp-listen")
    asks = driver.reply is not None
    return NewConnection("", "", None, driver.protocol, driver.id, driver.encoding or "", line, host_query=asks)


def add(uow: UnitOfWork, new: NewInstrument) -> Connection:
    """The analyzer and its connection, or neither; the agent gets its new configuration. Raises UserError naming the field."""
    driver = DRIVERS.get(new.line.driver)
    if new.line.driver and driver is None:
        raise UserError("invalid", "驱动不存在，请从列表中选择型号。", field="driver")
    if driver is not None and driver.protocol != new.line.protocol:
        raise UserError(
            "invalid",
            say(
                "{vendor} {model} 的协议是 {protocol}，请改选协议或型号。",
                vendor=driver.vendor,
                model=driver.model,
                protocol=driver.protocol,
            ),
            field="protocol",
        )
    model = new.model.strip() or ("" if driver is None else f"{driver.vendor} {driver.model}")
    key = re.sub(r"[^a-z0-9_.-]+", "-", new.code.strip().lower()).strip("-._")
    if not key:
        raise UserError("invalid", "仪器编号请用字母和数字，如 XN1。", field="code")
    analyzer = catalog.add_analyzer(uow, new.code, new.name, model, new.section_id, new.line.driver or None)
    taken = uow.s.scalars(select(Connection.name).where(Connection.agent_id == new.agent_id, Connection.key == key)).first()
    if taken is not None:
        raise UserError(
            "conflict", say("这个采集端已有代号为“{key}”的连接（{taken}），请换一个仪器编号。", key=key, taken=taken), field="code"
        )
    line = replace(new.line, key=key, name=analyzer.name, analyzer_id=analyzer.id)
    return configuration.save_connection(uow, new.agent_id, line)


def as_shown(row: md.AnalyzerRow) -> str:
    """What a page showed of an analyzer, to tell a stale save by."""
    return f"{row.name}|{row.model}|{row.section_id}"


def change(uow: UnitOfWork, analyzer_id: int, was: str, name: str, model: str, section_id: int) -> None:
    """Another name, model or section. ``was``: as the page showed it; somebody's change meanwhile is not overwritten (C7)."""
    row = md.catalog(uow).analyzers.get(analyzer_id)
    if row is None:
        raise UserError("not_found", "仪器不存在，请核对后重试。")
    if as_shown(row) != was:
        raise UserError(
            "conflict",
            say("这台仪器已被他人改为“{name}”“{model}”，您的修改没有保存，请刷新后再改。", name=row.name, model=row.model or "—"),
        )
    catalog.change_analyzer(uow, analyzer_id, name, model, section_id, row.active, "")


def retire(uow: UnitOfWork, analyzer_id: int, reason: str) -> None:
    """Out of use: its lines are switched off at their agents, it leaves the lists; what it measured stays with its name, and its
    raw messages go into an archive (M27 R7)."""
    if not reason.strip():
        raise UserError("invalid", "请写明停用原因，例如：报废、移出、更换。", field="reason")
    row = md.catalog(uow).analyzers.get(analyzer_id)
    if row is None or not row.active:
        raise UserError("not_found", "仪器不存在或已停用，请核对后重试。")
    for link in uow.s.scalars(select(Connection).where(Connection.analyzer_id == analyzer_id, Connection.enabled)).all():
        configuration.switch(uow, link.id, "enabled", False, reason.strip())
    archiving.begin_analyzer(uow, analyzer_id, row.name, reason.strip())
    catalog.change_analyzer(uow, analyzer_id, row.name, row.model, row.section_id, False, reason.strip())


def line_of(row: Connection) -> NewConnection:
    """A connection as its form shows it."""
    t = row.transport

    def told(*names: str) -> str:
        return next((str(t[n]) for n in names if t.get(n) not in (None, "")), "")

    return NewConnection(
        row.key, row.name, row.analyzer_id, row.protocol, row.driver or "", row.encoding or "", str(t.get("type") or "tcp-listen"),
        host=told("host"), port=told("port"), device=told("device", "folder", "dsn"), baud=told("baud") or "9600", table=told("table"),
        watermark=told("watermark"), since=told("since"), mllp2=t.get("mllp") == 2, bytesize=told("bytesize") or "8",
        parity=told("parity") or "N", stopbits=f"{float(t.get('stopbits') or 1):g}", idle_ms=told("idle_group_ms"), answer=told("answer"),
        host_query=row.host_query, enabled=row.enabled, broadcast=row.broadcast, track=row.track,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One analyzer of the list."""

    analyzer: md.AnalyzerRow
    driver: Driver | None
    links: tuple[tuple[Connection, str], ...]
    """Connections, each with its agent's name."""
    mapping: MappingVersion | None
    codes: int


def all_lines(uow: UnitOfWork) -> list[Line]:
    """Every analyzer in use by section and code, with its lines, its mapping in use and how many codes are mapped."""
    known = md.catalog(uow)
    links: dict[int | None, list[tuple[Connection, str]]] = {}
    question = select(Connection, Agent.name).join(Agent, Agent.id == Connection.agent_id).order_by(Connection.id)
    for link, agent in uow.s.execute(question):
        links.setdefault(link.analyzer_id, []).append((link, agent))
    mappings = {m.analyzer_id: m for m in uow.s.scalars(select(MappingVersion).where(MappingVersion.state == "active"))}
    codes: dict[int, int] = {}
    for analyzer_id, _ in known.channels:
        codes[analyzer_id] = codes.get(analyzer_id, 0) + 1
    rows = sorted((a for a in known.analyzers.values() if a.active), key=lambda a: (a.section_id, a.code))
    return [Line(a, DRIVERS.get(a.driver or ""), tuple(links.get(a.id, ())), mappings.get(a.id), codes.get(a.id, 0)) for a in rows]


def agents(uow: UnitOfWork) -> list[Any]:
    """Agents an analyzer may be wired to."""
    return list(uow.s.scalars(select(Agent).where(Agent.state != "revoked").order_by(Agent.name)))


def models_by_vendor() -> list[tuple[str, list[Driver]]]:
    """The driver library as the form's list shows it."""
    out: dict[str, list[Driver]] = {}
    for driver in sorted(DRIVERS.values(), key=lambda d: (d.vendor.lower(), d.model)):
        out.setdefault(driver.vendor, []).append(driver)
    return list(out.items())
