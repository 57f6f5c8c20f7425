"""Orders sent unasked: what the cloud's worklist says reaches an analyzer that does not ask, as it comes and changes (M06: broadcast).

Each tube goes once a version: a new order, an added test, a rerun; what was sent and is ordered no more is taken back. What an analyzer
took is remembered on disk (agent/told.py), so a restart repeats nothing and takes back what was cancelled meanwhile. An order that got lost
on the way goes again after half a minute; one the analyzer refused is tried again, ever more seldom, and is shown until it is taken,
ordered anew or a person has it sent once more.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from agent import log
from agent.channels.base import Fate, Line, iso, now_ms
from agent.host_query import model, order_for
from agent.told import Told
from agent.worklist import Tube, Worklist
from common.instruments.orders import TubeOrder, order_push

MOST = 50
"""Tubes sent in one second to one analyzer."""
AGAIN_SECONDS = 30
TRIES = 5
"""So often a refused order is offered: after 30 s, 1, 2 and 4 minutes more."""
SHOWN = 20

_log = log.get("broadcast")


@dataclass(slots=True)
class _Sent:
    """The newest order of a tube that left for the analyzer."""

    order: TubeOrder
    sure: bool = False  # the analyzer took it
    flying: bool = True  # its word is awaited


@dataclass(slots=True)
class _Refused:
    """An order the analyzer did not want, and when it is offered again (milliseconds; None: not by itself)."""

    order: TubeOrder
    why: str
    tries: int
    again: int | None


@dataclass(slots=True)
class _Analyzer:
    sent: dict[str, _Sent] = field(default_factory=dict)
    refused: dict[str, _Refused] = field(default_factory=dict)
    wait: int = 0


class Broadcasts:
    """Looks once a second at every line that wants orders unasked."""

    def __init__(self, worklist: Worklist, told: Told) -> None:
        self._worklist = worklist
        self._told = told
        self._analyzers: dict[str, _Analyzer] = {}
        for conn, order, refused in told.all():
            about = self._of(conn)
            about.sent[order.barcode] = _Sent(order, sure=True, flying=False)
            if refused:
                about.refused[order.barcode] = _Refused(order, refused, 1, None)

    def second(self, line: Line) -> None:
        """Send what is due on this line."""
        conn = line.conn
        if not conn.broadcast or not conn.enabled or not line.offers:
            return
        about = self._of(conn.key)
        line.refusals[:] = [_shown(one) for one in list(about.refused.values())[-SHOWN:]]
        if about.wait:
            about.wait -= 1
            return
        now = now_ms()
        tubes = self._worklist.of(conn.key)
        for tube in tubes if about.refused else ():
            if not tube.valid(now) and tube.barcode not in about.sent:  # ordered no more, and never taken
                about.refused.pop(tube.barcode, None)
        due = [tube for tube in tubes if self._due(about, tube, now)][:MOST]
        for tube in due:
            self._send(line, about, tube, now)
        if due:
            _log.info("orders sent", conn=conn.key, tubes=len(due))

    def anew(self, line: Line) -> None:
        """Everything valid goes once more: the analyzer forgot it, or what it refused was put right (a person's word)."""
        about = self._analyzers.pop(line.conn.key, None)
        line.refusals.clear()
        for barcode in about.sent if about is not None else ():
            self._told.drop(line.conn.key, barcode)

    def drop_old(self) -> None:
        """Forget tubes that left the worklist."""
        for conn, about in self._analyzers.items():
            known = {tube.barcode for tube in self._worklist.of(conn)}
            for barcode in about.sent.keys() - known:
                del about.sent[barcode]
                self._told.drop(conn, barcode)
            for barcode in about.refused.keys() - known:
                del about.refused[barcode]

    def _of(self, conn: str) -> _Analyzer:
        return self._analyzers.setdefault(conn, _Analyzer())

    def _due(self, about: _Analyzer, tube: Tube, now: int) -> bool:
        refused = about.refused.get(tube.barcode)
        if refused is not None and refused.order.order_version >= tube.version and (refused.again is None or now < refused.again):
            return False
        before = about.sent.get(tube.barcode)
        if before is not None and (before.sure or before.flying) and before.order.order_version >= tube.version:
            return False
        return tube.valid(now) or (before is not None and not before.order.cancelled)

    def _send(self, line: Line, about: _Analyzer, tube: Tube, now: int) -> None:
        conn, before = line.conn, about.sent.get(tube.barcode)
        order = order_for(conn, tube)
        gone = not tube.valid(now)
        if gone and before is not None:
            order = replace(before.order, order_version=tube.version, cancelled=True)
        at = datetime.now().astimezone().strftime("%Y%m%d%H%M%S")
        messages = order_push([replace(order, cancelled=False)], conn.protocol, model(conn), at, cancel=gone, encoding=conn.encoding)
        sent = about.sent[tube.barcode] = _Sent(order)
        for message in messages:
            line.offers[-1](message, partial(self._ended, line, about, sent, before))

    def _ended(self, line: Line, about: _Analyzer, sent: _Sent, before: _Sent | None, fate: Fate, why: str) -> None:
        """The analyzer's word about one order."""
        barcode, conn = sent.order.barcode, line.conn.key
        sent.flying = False
        if about.sent.get(barcode) is not sent:  # a newer version is on its way, or all goes anew
            return
        if fate is Fate.LOST:
            about.wait = AGAIN_SECONDS
        elif fate is Fate.TAKEN:
            sent.sure = True
            about.refused.pop(barcode, None)
            self._told.put(conn, sent.order)
        else:
            self._refuse(about, sent.order, fate, why)
            if fate is Fate.PARTLY:
                sent.sure = True
                self._told.put(conn, sent.order, why)
            elif fate is not Fate.UNANSWERED:  # what the analyzer had before still stands there
                about.sent.pop(barcode)
                about.sent |= {} if before is None else {barcode: replace(before, flying=False)}

    @staticmethod
    def _refuse(about: _Analyzer, order: TubeOrder, fate: Fate, why: str) -> None:
        had = about.refused.pop(order.barcode, None)
        tries = 1 + (had.tries if had is not None and had.order.order_version == order.order_version else 0)
        final = fate in (Fate.IMPOSSIBLE, Fate.PARTLY) or tries >= TRIES
        about.refused[order.barcode] = _Refused(order, why, tries, None if final else now_ms() + (AGAIN_SECONDS * 1000 << tries - 1))


def _shown(one: _Refused) -> dict[str, Any]:
    """What the connection's page shows of a refused order."""
    return {
        "specimen": one.order.barcode,
        "tests": list(one.order.tests[:40]),
        "cancel": one.order.cancelled,
        "why": one.why[:300],
        "tries": one.tries,
        "again": None if one.again is None else iso(one.again),
    }
