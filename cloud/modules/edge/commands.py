"""Orders to a running agent, and what it answers with: a connection's live tail, a capture to a file, its log, messages sent once more.

Orders go down as ``command`` envelopes. A tail ends by itself; its lines were masked by the agent and are forgotten after an hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, text

from cloud.db.session import UnitOfWork
from cloud.modules.edge import downlink, interpret
from cloud.modules.edge.door import Admitted
from cloud.modules.edge.models import Agent, Connection, TailLine
from common.errors import PeerError, UserError

TAIL_SECONDS = 300
CAPTURE_SECONDS = 3600
MAX_LINES = 200
"""Lines of one tail message that are taken; an agent sends a message a second at most."""
KEEP = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Line:
    """One frame as the page shows it; ``direction`` is in or out, seen from the agent."""

    id: int
    at: datetime
    direction: str
    text: str


def tail(uow: UnitOfWork, agent_id: int, conn_key: str, seconds: int = TAIL_SECONDS) -> None:
    """Ask for the live tail of a connection for so long; asking again makes it longer."""
    _order(uow, agent_id, conn_key, {"do": "tail", "conn": conn_key, "seconds": max(0, min(seconds, TAIL_SECONDS))})


def capture(uow: UnitOfWork, agent_id: int, conn_key: str, seconds: int, reason: str) -> None:
    """Have the bytes of a connection written to a file on the lab PC: unmasked, so it is audited with a reason."""
    if not reason.strip():
        raise UserError("invalid", "请写明录制原因：录制文件含有患者数据。", field="reason")
    body = {"do": "capture", "conn": conn_key, "seconds": max(0, min(seconds, CAPTURE_SECONDS))}
    _order(uow, agent_id, conn_key, body, reason.strip())


def log(uow: UnitOfWork, agent_id: int) -> None:
    """Ask for the newest lines of an agent's own log, which hold no patient's data."""
    _order(uow, agent_id, "", {"do": "log"})


def resend(uow: UnitOfWork, agent_id: int, since: datetime, reason: str) -> None:
    """Have everything of the 14-day reserve that was received since then sent once more (RELIABILITY F24)."""
    if not reason.strip():
        raise UserError("invalid", "请写明补传原因。", field="reason")
    _order(uow, agent_id, "", {"do": "resend", "since": since.isoformat()}, reason.strip())


def orders_anew(uow: UnitOfWork, agent_id: int, conn_key: str, reason: str) -> None:
    """Have every valid order of a connection sent to its analyzer once more: it forgot them, or what it refused was put right."""
    if not reason.strip():
        raise UserError("invalid", "请写明重新下发的原因。", field="reason")
    _order(uow, agent_id, conn_key, {"do": "orders", "conn": conn_key}, reason.strip())


def _order(uow: UnitOfWork, agent_id: int, conn_key: str, body: dict[str, object], reason: str = "") -> None:
    agent = uow.s.get(Agent, (uow.tenant_id, agent_id))
    known = select(Connection.id).where(Connection.agent_id == agent_id, Connection.key == conn_key)
    if agent is None or (conn_key and uow.s.scalar(known) is None):
        raise UserError("not_found", "采集端或连接不存在，请核对后重试。")
    # An order is for now: after a minute in a queue (broker away, agent off) the agent does not obey it any more.
    downlink.enqueue(uow, agent_id, "command", {**body, "until": (uow.now + timedelta(minutes=1)).isoformat()}, conn_key)
    uow.audit("agent", agent_id, str(body["do"]), after={key: value for key, value in body.items() if key != "do"}, reason=reason)


def keep(uow: UnitOfWork, one: Admitted) -> None:
    """Take in lines an agent sent. Raises PeerError when they are none."""
    body = one.sealed.json() if one.sealed is not None else None
    lines = body.get("lines") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(lines, list):
        raise PeerError("tail", "a tail without lines")
    conn = str(body.get("conn") or "")[:64]
    if not conn:  # the agent's own log comes whole each time
        uow.s.execute(delete(TailLine).where(TailLine.agent_id == one.reg.agent_id, TailLine.conn_key == ""))
    for line in lines[:MAX_LINES]:
        if not isinstance(line, dict):
            continue
        at = interpret.agent_time(str(line.get("at") or "")) or uow.now
        said = (interpret.clean(str(line.get("text") or "")) or "")[:2000]
        direction = "out" if line.get("dir") == "out" else "in"
        uow.s.add(TailLine(agent_id=one.reg.agent_id, conn_key=conn, at=at, direction=direction, text=said))
    forget(uow)
    uow.notify("edge", {"what": "tail", "agent": one.reg.agent_id, "conn": conn})


def lines(uow: UnitOfWork, agent_id: int, conn_key: str, after: int = 0, limit: int = 200) -> list[Line]:
    """The newest lines of a connection (of the agent's log without one) after a line already shown, oldest first."""
    sql = text(
        "SELECT id, at, direction, text FROM edge_tail WHERE tenant_id = :t AND agent_id = :a AND conn_key = :c AND id > :after "
        "ORDER BY id DESC LIMIT :n"
    )
    rows = uow.s.execute(sql, {"t": uow.tenant_id, "a": agent_id, "c": conn_key, "after": after, "n": limit}).all()
    return [Line(row.id, row.at, row.direction, row.text) for row in reversed(rows)]


def forget(uow: UnitOfWork) -> None:
    """Lines are for looking, not for keeping."""
    uow.s.execute(text("DELETE FROM edge_tail WHERE tenant_id = :t AND at < :before"), {"t": uow.tenant_id, "before": uow.now - KEEP})
