"""The shell for analyzers without a link layer: bytes are stored as they come and grouped into messages by silence.

Each read is on disk as soon as it is seen, so that a crash keeps even half a message. Formats whose blocks end in ETX or
EOT end there when nothing follows within the group time, like the others.
"""

from __future__ import annotations

from agent.channels.base import Line, Timer, Write, now_ms

MAX_GROUP = 16 << 20


class OneWayChannel:
    """One link of a one-way analyzer."""

    def __init__(self, line: Line, write: Write, peer: str) -> None:
        self._line = line
        self._write = write
        self._peer = peer
        self._timer = Timer(line.loop, self._end)
        self._parts: list[bytes] = []
        self._size = 0
        self._refused = False
        self._session: int | None = None
        self._started = 0

    def received(self, data: bytes) -> None:
        """Bytes came."""
        now = now_ms()
        line = self._line
        line.health.last_byte = now / 1000
        line.health.state = "transferring"
        if self._session is None:
            self._session = line.journal.open_session(line.conn.key, now)
            self._started = now
        self._parts.append(data)
        self._size += len(data)
        line.journal.frame(self._session, now, data, self._stored)
        if self._size > MAX_GROUP:
            self._end()
        else:
            self._timer.start(line.conn.idle_group_ms / 1000)

    def closed(self) -> None:
        """The link is gone: what is there is a message."""
        self._write = _nowhere
        self._timer.close()
        self._end()

    def _stored(self, ok: bool) -> None:
        if not ok:
            self._refused = True
            self._line.health.refused += 1
            self._line.trouble("本机无法保存单向仪器的数据，请立即处理磁盘 (cannot store)")

    def _end(self) -> None:
        if self._session is None:
            return
        line = self._line
        session, self._session = self._session, None
        body, count = b"".join(self._parts), len(self._parts)
        self._parts, self._size = [], 0
        line.health.state = "idle"
        if not body.strip(b"\r\n \x00"):
            line.journal.close_session(session, None)
            return
        complete = self._size <= MAX_GROUP
        message = line.outgoing(body, self._started, count, complete=complete, problems=[], peer=self._peer)
        line.journal.close_session(session, message, lambda: self._answer(body))

    def _answer(self, body: bytes) -> None:
        line = self._line
        if line.conn.answer:
            self._write(line.conn.answer)
        if line.queries.asks(line.conn, body):  # a column format can ask too (Sysmex CA)
            line.health.queries += 1
            line.queries.answer(line.conn, body, self._send)

    def _send(self, messages: list[bytes]) -> None:
        for message in messages:
            self._write(message)


def _nowhere(data: bytes) -> None:
    """Where writes go when the link is gone."""
