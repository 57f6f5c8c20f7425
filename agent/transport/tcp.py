"""TCP lines, listening and dialling. A line that fails never touches another."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import random
import socket
import time
from collections.abc import Callable
from typing import Any, cast

from agent import log
from agent.channels.base import Channel, Line, OpenChannel, iso, now_ms

BACKOFF_FIRST, BACKOFF_MOST = 1.0, 30.0
# A peer whose cable is out is noticed within 30 s of silence (RELIABILITY F7): 10 s idle, then 4 probes 5 s apart.
KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 30_000))
_READ = 65_536
_log = log.get("tcp")
WRITE_LIMIT = 4 << 20  # a peer that never reads what we answer is cut off


def no_delay(opened: Any) -> None:
    """Small messages that answer each other are sent at once: waiting to fill a packet (RFC 896) against a peer that acknowledges late
    (RFC 1122, 4.2.3.2) costs 40 ms a turn. `opened` is a TCP socket, plain or under TLS."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def tune(sock: socket.socket) -> None:
    """No delay for one-byte answers; notice dead peers."""
    no_delay(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        option = getattr(socket, name, None)  # Windows knows fewer of them
        if option is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


class TcpLink(asyncio.Protocol):
    """One TCP connection under one channel."""

    def __init__(self, line: Line, open_channel: OpenChannel, links: set[TcpLink], ended: Callable[[], None] | None = None) -> None:
        self._line = line
        self._open = open_channel
        self._links = links
        self._ended = ended
        self.transport: asyncio.Transport | None = None
        self._channel: Channel | None = None
        self._sock: socket.socket | None = None  # a handle of our own on the same connection, read through the poller
        self._behind = False  # asyncio still holds answers that could not go at once
        self._since, self._before = 0.0, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self.transport = transport = cast(asyncio.Transport, transport)  # uvloop's is one by duck typing only
        peer = transport.get_extra_info("peername") or ("?", 0)
        if not _allowed(self._line.conn.transport.peers, str(peer[0])):
            self._line.health.notice("peer_refused")
            self._line.trouble(f"拒绝了未登记地址 {peer[0]} 的连接 (peer not on the list)")
            transport.abort()
            return
        sock = transport.get_extra_info("socket")
        if sock is not None:
            tune(sock)
        self._links.add(self)
        health = self._line.health
        self._since, self._before = time.monotonic(), health.messages
        health.links = len(self._links)
        health.peer = f"{peer[0]}:{peer[1]}"
        health.state, health.errno = "idle", ""
        self._channel = channel = self._open(self._line, self._write, health.peer)
        self._received = channel.received
        if self._line.poller is not None and sock is not None:
            transport.pause_reading()
            self._sock = own = socket.socket(fileno=os.dup(sock.fileno()))
            own.setblocking(False)
            self._line.poller.add(own, self._readable)

    def _readable(self) -> None:
        """The poller says that there are bytes, or an end."""
        sock, transport = self._sock, self.transport
        if sock is None or transport is None or transport.is_closing():
            return
        try:
            data = sock.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._unwatch()
            self._line.health.errno = errno.errorcode.get(error.errno or 0, "")
            self._line.trouble(f"连接中断：{error}")
            transport.abort()
            return
        try:
            if data:
                if self._line.tap is not None:
                    self._line.tap.note("in", data, iso(now_ms()))
                self._received(data)
            else:
                self._unwatch()
                transport.close()
        except Exception:  # our own bug in one link ends that link, and nothing else
            _log.exception("link failed", conn=self._line.conn.key)
            self._unwatch()
            transport.abort()

    def _unwatch(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None and self._line.poller is not None:
            self._line.poller.remove(sock)
            sock.close()

    def data_received(self, data: bytes) -> None:
        """Bytes came, read by asyncio."""
        if self._line.tap is not None:
            self._line.tap.note("in", data, iso(now_ms()))
        self._received(data)

    def _write(self, data: bytes) -> None:
        if self._line.tap is not None:
            self._line.tap.note("out", data, iso(now_ms()))
        sent, sock = 0, self._sock
        if sock is not None and not self._behind:
            try:
                sent = sock.send(data)
            except OSError:  # what cannot go at once, and every error, is asyncio's to handle
                sent = 0
        if sent < len(data):
            self._write_later(data[sent:])

    def _write_later(self, data: bytes) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        waiting = transport.get_write_buffer_size()
        self._behind = waiting > 0
        if waiting > WRITE_LIMIT:
            self._line.trouble("对方不读取应答，已断开 (peer does not read)")
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._unwatch()
        self._links.discard(self)
        health = self._line.health
        health.links = len(self._links)
        if not self._links:
            health.state = "connecting"
        if exc is not None:
            self._line.health.errno = errno.errorcode.get(getattr(exc, "errno", None) or 0, "")
            self._line.trouble(f"连接中断：{exc}")
        if self._channel is not None:
            health.hung_up(time.monotonic() - self._since, health.messages > self._before, exc is None and not health.errno)
            self._channel.closed()
        if self._ended is not None:
            self._ended()


class TcpListen:
    """Waits for the analyzer to connect; several may at once."""

    def __init__(self, line: Line, open_channel: OpenChannel) -> None:
        self._line = line
        self._open = open_channel
        self._links: set[TcpLink] = set()
        self._server: asyncio.Server | None = None
        self.address: tuple[str, int] | None = None

    async def run(self) -> None:
        """Listen until cancelled, trying again while the port is taken."""
        try:
            await self._listen()
            await asyncio.get_running_loop().create_future()
        finally:
            await self._close()

    async def _listen(self) -> None:
        transport, wait = self._line.conn.transport, BACKOFF_FIRST
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._server = await loop.create_server(
                    lambda: TcpLink(self._line, self._open, self._links), transport.host, transport.port, backlog=512
                )
            except OSError as error:
                self._line.fault(error, f"端口 {transport.label} 无法监听：{error.strerror or error}")
                await asyncio.sleep(wait)
                wait = min(wait * 2, BACKOFF_MOST)
                continue
            self.address = self._server.sockets[0].getsockname()[:2]
            self._line.health.state, self._line.health.errno = "connecting", ""
            return

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            if link.transport is not None:
                link.transport.close()
        await asyncio.sleep(0)


class TcpDial:
    """Connects to the analyzer, and again when the connection ends."""

    def __init__(self, line: Line, open_channel: OpenChannel) -> None:
        self._line = line
        self._open = open_channel
        self._links: set[TcpLink] = set()

    async def run(self) -> None:
        """Dial until cancelled."""
        wait = BACKOFF_FIRST
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                await self._once(asyncio.Event())
                wait = BACKOFF_FIRST if loop.time() - began > BACKOFF_MOST else min(wait * 2, BACKOFF_MOST)
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))
        finally:
            for link in list(self._links):
                if link.transport is not None:
                    link.transport.close()

    async def _once(self, ended: asyncio.Event) -> None:
        """One connection, from dialling to its end."""
        target = self._line.conn.transport
        loop = asyncio.get_running_loop()
        dialling = loop.create_connection(lambda: TcpLink(self._line, self._open, self._links, ended.set), target.host, target.port)
        try:
            await asyncio.wait_for(dialling, timeout=10)
        except (OSError, TimeoutError) as error:
            found = error if isinstance(error, OSError) and error.errno else OSError(errno.ETIMEDOUT, "超时")
            self._line.fault(found, f"连接不上 {target.label}：{error or '超时'}")
        else:
            await ended.wait()


def _allowed(peers: tuple[str, ...], address: str) -> bool:
    if not peers:
        return True
    found = ipaddress.ip_address(address.split("%", 1)[0])
    return any(found in ipaddress.ip_network(peer, strict=False) for peer in peers)
