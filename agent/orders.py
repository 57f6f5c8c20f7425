"""What the cloud orders a running agent to do (`command` envelopes, verified): tail, capture, log, send again, orders once more, update."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agent import log, tail
from agent.channels.base import iso, now_ms
from agent.journal import wall_ms

if TYPE_CHECKING:
    from agent.app import Agent

_log = log.get("orders")


def obey(agent: Agent, body: Any) -> None:
    """Carry out one command. Raises KeyError, TypeError, ValueError for one of a shape we do not know."""
    do = str(body["do"])
    until = body.get("until")
    if until is not None and datetime.fromisoformat(str(until)) < datetime.now(UTC):
        _log.warning("a command came too late", do=do)
        return
    if do in ("tail", "capture"):
        _look(agent, body)
    elif do == "log":
        if agent.uplink is not None:
            agent.uplink.publish_now("tail", {"conn": "", "lines": log.recent()})
    elif do == "resend":
        since = int(datetime.fromisoformat(str(body["since"])).timestamp() * 1000)
        agent.journal.pend_again(since, agent.uplink.wake if agent.uplink is not None else lambda: None)
    elif do == "orders":
        agent.broadcasts.anew(agent.lines[str(body["conn"])])
    elif do == "update":
        agent.loop.run_in_executor(None, agent.updater.take, body)
    else:
        raise ValueError(do)
    _log.info("command", do=do, conn=body.get("conn", ""))


def _look(agent: Agent, body: dict[str, Any]) -> None:
    line = agent.lines[str(body["conn"])]
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in line.conn.key)
    file = agent.data.root / "captures" / f"{name}-{wall_ms()}.bin"
    line.tap = tail.order(body, line.conn.encoding, line.tap, agent.loop.time(), file)


def second(agent: Agent) -> None:
    """Each second: send what was seen, end what has had its time."""
    for key, line in agent.lines.items():
        if line.tap is None:
            continue
        at = iso(now_ms())
        seen = line.tap.take(at)
        if seen and agent.uplink is not None:
            agent.uplink.publish_now("tail", {"conn": key, "lines": seen}, key)
        if line.tap.expire(agent.loop.time()):
            line.tap = None
