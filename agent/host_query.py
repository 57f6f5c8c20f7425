"""Host queries: an analyzer asks what to do with a tube and is answered within 2 s, with the cloud or without.

The cached worklist answers at once. A tube it does not know (or no longer trusts) is asked of the cloud, which has 1.5 s;
after that the answer is "no order". Never is another tube's order sent, nor one cancelled or older than 24 h (F25).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from agent import log
from agent.channels.base import now_ms
from agent.config import Connection
from agent.worklist import Tube, Worklist
from common.instruments.decode import decode
from common.instruments.driver import Driver
from common.instruments.drivers import DRIVERS
from common.instruments.orders import TubeOrder, order_reply
from common.instruments.reading import Message

CLOUD_SECONDS = 1.5
_MAY_ASK = re.compile(
    rb"(?:^|[\r\n\x02\x0b])(?:[0-7]?Q[^A-Za-z0-9\s]|QRD[^A-Za-z0-9]|QPD[^A-Za-z0-9]|ORC[^A-Za-z0-9]RF|R1\d{6})|(?:^|[\x02\x1e])mt(?!rsl)[a-z]{3}\|"
)
"""ASTM Q, HL7 QRD, QPD and ORC|RF (Mindray haematology), an R telegram of Sysmex CA, a BCI request."""

_log = log.get("query")


class Asker(Protocol):
    """The way to the cloud (agent/uplink.py)."""

    connected: bool

    def publish_now(self, kind: str, body: object, conn: str = "") -> bool:
        """Send something that is not kept; False while there is no connection."""


@dataclass(eq=False, slots=True)
class _Asked:
    """A query on its way to the cloud."""

    conn: str
    specimens: set[str]
    told: asyncio.Event = field(default_factory=asyncio.Event)


class HostQueries:
    """Answers host queries of all lines."""

    def __init__(self, worklist: Worklist, loop: asyncio.AbstractEventLoop) -> None:
        self._worklist = worklist
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: list[_Asked] = []
        self.asker: Asker | None = None
        self.answered_offline = 0

    def is_urgent(self, body: bytes) -> bool:
        """True when the message names a tube the cached worklist calls urgent."""
        return self._worklist.is_urgent(body)

    def asks(self, conn: Connection, body: bytes) -> bool:
        """True when the message may be a host query: a cheap look before it is read."""
        return conn.host_query and _MAY_ASK.search(body) is not None

    def answer(self, conn: Connection, body: bytes, reply: Callable[[list[bytes]], None]) -> None:
        """Find the orders, then call `reply` once with the messages to send (maybe none)."""
        reading = decode(body, conn.driver, conn.encoding, conn.site)
        queries = [message for message in reading.messages if message.kind == "query"]
        if not queries:
            reply([])
            return
        task = self._loop.create_task(self._answer(conn, queries, reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def worklist_came(self, conn: str, names: set[str]) -> None:
        """The cloud sent tubes (barcodes and sample numbers): it answers whoever asked about one of them.

        An empty worklist is the cloud's way to say that it knows none of the tubes asked about.
        """
        for asked in self._asked:
            if asked.conn == conn and (not names or asked.specimens & names):
                asked.told.set()

    async def _answer(self, conn: Connection, queries: Sequence[Message], reply: Callable[[list[bytes]], None]) -> None:
        wanted = list(dict.fromkeys(specimen.strip() for query in queries for specimen in query.query))
        messages: list[bytes] = []
        try:
            await self._fetch(conn, wanted)
            for query in queries:
                tubes = [tube for specimen in query.query if (tube := self._order(conn, specimen.strip())) is not None]
                messages += order_reply(query, tubes, model(conn, query), datetime.now().astimezone().strftime("%Y%m%d%H%M%S"))
        except Exception as error:  # the analyzer must not be left without an answer
            _log.error("host query could not be answered", conn=conn.key, error=type(error).__name__)
        reply(messages)

    async def _fetch(self, conn: Connection, wanted: list[str]) -> None:
        """Ask the cloud for tubes the cache has no order for, and wait for its word as long as the analyzer allows."""
        missing = [specimen for specimen in wanted if self._valid(conn, specimen) is None]
        if not missing:
            return
        if self.asker is None or not self.asker.publish_now("query", {"conn": conn.key, "specimen_ids": missing}, conn.key):
            self.answered_offline += 1
            return
        asked = _Asked(conn.key, {specimen.upper() for specimen in missing})
        self._asked.append(asked)
        try:
            await asyncio.wait_for(asked.told.wait(), CLOUD_SECONDS)
        except TimeoutError:
            self.answered_offline += 1
        finally:
            self._asked.remove(asked)

    def _valid(self, conn: Connection, specimen: str) -> Tube | None:
        tube = self._worklist.find(conn.key, specimen)
        return tube if tube is not None and tube.valid(now_ms()) else None

    def _order(self, conn: Connection, specimen: str) -> TubeOrder | None:
        tube = self._valid(conn, specimen)
        return None if tube is None else order_for(conn, tube)


def model(conn: Connection, query: Message | None = None) -> Driver | str | None:
    """The driver an answer is written by: the connection's or the recognised one, with the site's differences over it."""
    if conn.site is None:
        return conn.driver
    recognised = query.driver if query is not None else None
    return conn.site.over(DRIVERS.get(conn.driver or recognised or ""), query.protocol if query is not None else conn.protocol)


def order_for(conn: Connection, tube: Tube) -> TubeOrder:
    """A cached tube in the analyzer's own codes: the worklist names tests as the mapping does, the analyzer as it sends."""
    order = tube_order(tube)
    if conn.site is None or not conn.site.codes:
        return order
    own = {ours: sent for sent, ours in conn.site.codes.items()}
    return replace(order, tests=tuple(own.get(test, test) for test in order.tests))


def tube_order(tube: Tube) -> TubeOrder:
    """A cached tube as the order builder wants it: local times, dates without dashes."""
    body = tube.body

    def text(name: str) -> str:
        value = body.get(name)
        return "" if value is None else str(value)

    return TubeOrder(
        barcode=tube.barcode,
        tests=tuple(str(test) for test in body.get("tests") or ()),
        sample_no=text("sample_no"),
        priority=text("priority") or "routine",
        patient_id=text("patient_id"),
        patient_name=text("patient_name"),
        sex=text("sex"),
        birth=text("birth")[:10].replace("-", ""),
        specimen=text("specimen"),
        collected_at=_local(text("collected_at")),
        order_version=tube.version,
        cancelled=bool(body.get("cancelled")),
        expires_at=text("expires_at"),
    )


def _local(at: str) -> str:
    try:
        return datetime.fromisoformat(at).astimezone().strftime("%Y%m%d%H%M%S") if at else ""
    except ValueError:
        return at
