"""Orders sent unasked: what the cloud's worklist says reaches an analyzer that does not ask, as it comes and changes (M06: broadcast).

Each tube goes once a version: a new order, an added test, a rerun; what was sent and is ordered no more is taken back. What was sent is
remembered while the agent runs; after a restart every valid order of the last day goes again, which analyzers take as the same order. An
order the analyzer refused is tried again after half a minute.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from agent import log
from agent.channels.base import Line, now_ms
from agent.host_query import model, order_for
from agent.worklist import Tube, Worklist
from common.instruments.orders import TubeOrder, order_push

MOST = 50
"""Tubes sent in one second to one analyzer."""
AGAIN_SECONDS = 30

_log = log.get("broadcast")


@dataclass(slots=True)
class _Told:
    """What one analyzer was told."""

    sent: dict[str, TubeOrder] = field(default_factory=dict)
    last: list[str] = field(default_factory=list)
    unsent: int = 0
    wait: int = 0


class Broadcasts:
    """Looks once a second at every line that wants orders unasked."""

    def __init__(self, worklist: Worklist) -> None:
        self._worklist = worklist
        self._told: dict[str, _Told] = {}

    def second(self, line: Line) -> None:
        """Send what is due on this line."""
        conn = line.conn
        if not conn.broadcast or not conn.enabled or not line.senders:
            return
        told = self._told.setdefault(conn.key, _Told(unsent=line.unsent))
        if line.unsent != told.unsent:
            told.unsent, told.wait = line.unsent, AGAIN_SECONDS
            for barcode in told.last:
                told.sent.pop(barcode, None)
        if told.wait:
            told.wait -= 1
            return
        now = now_ms()
        due = [tube for tube in self._worklist.of(conn.key) if self._due(told, tube, now)][:MOST]
        told.last = [tube.barcode for tube in due]
        for tube in due:
            self._send(line, told, tube, now)
        if due:
            _log.info("orders sent", conn=conn.key, tubes=len(due))

    def _due(self, told: _Told, tube: Tube, now: int) -> bool:
        before = told.sent.get(tube.barcode)
        if before is not None and before.order_version >= tube.version:
            return False
        return tube.valid(now) or (before is not None and not before.cancelled)

    def _send(self, line: Line, told: _Told, tube: Tube, now: int) -> None:
        conn, before = line.conn, told.sent.get(tube.barcode)
        order = order_for(conn, tube)
        gone = not tube.valid(now)
        if gone and before is not None:
            order = replace(before, order_version=tube.version, cancelled=True)
        at = datetime.now().astimezone().strftime("%Y%m%d%H%M%S")
        messages = order_push([replace(order, cancelled=False)], conn.protocol, model(conn), at, cancel=gone, encoding=conn.encoding)
        line.senders[-1](messages)
        told.sent[tube.barcode] = order
