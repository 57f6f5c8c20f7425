"""MLLP over TCP and TLS: a server that hands each block to a function, and a client that sends and waits for its answer.

The only place of the cloud that opens HL7 sockets. Framing is ``common.protocol.hl7.mllp``; this port adds sockets, limits and time
limits, and knows nothing of what a message says. It answers only what the handler returns: when the handler fails, the connection
is closed without an answer, so that the sender keeps the message (RELIABILITY R5).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from cloud.ports.sockets import no_delay
from common.protocol.hl7.mllp import Block, BlockProblem, Deframer, frame, is_commit

MAX_ANSWERED = 1 << 20  # an acknowledgement is never this long; what is, is not one
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is connected: address, whether over TLS, and the fingerprint (SHA-256, hex) of the certificate it showed."""

    address: str
    tls: bool = False
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds. ``half_message``: silence after which a begun message counts as cut. A block's size is the framer's limit."""

    half_message: float = 30.0
    idle: float = 12 * 3600.0
    connections: int = 200
    threads: int = 8


Handler = Callable[[Block, Peer], bytes | None]
"""Gets every block that holds a message, a cut or oversized one too (``block.problem`` says so), and returns the answer's bytes."""


class MllpServer:
    """Listeners in an event loop of their own thread; the handler runs in a pool, in order within a connection."""

    def __init__(self, handler: Handler, limits: Limits | None = None) -> None:
        self._handler = handler
        self._limits = limits or Limits()
        self._pool = ThreadPoolExecutor(self._limits.threads, thread_name_prefix="mllp")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mllp-loop", daemon=True)
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread.start()

    def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Open a listener (port 0 picks one) and return its port. Raises OSError when it cannot."""
        return asyncio.run_coroutine_threadsafe(self._listen(host, port, tls), self._loop).result(15)

    def close(self) -> None:
        """Stop listening, end the connections, wait for handlers under way."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(15)
        self._pool.shutdown(wait=True)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(15)
        self._loop.close()

    async def _listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        server = await asyncio.start_server(self._connected, host, port, ssl=tls, limit=256 * 1024)
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = _peer(writer)
        try:
            if len(self._tasks) > self._limits.connections:
                log.warning("mllp_too_many_connections", peer=peer.address)
                return
            await self._talk(reader, writer, peer)
        except (TimeoutError, ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass
        except Exception as error:
            # The sender gets no answer and keeps its message; the next connection is served as before.
            log.error("mllp_handler_failed", peer=peer.address, error=where(error))
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(Exception):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer) -> None:
        blocks = Deframer()
        while True:
            try:
                async with asyncio.timeout(self._limits.half_message if blocks.waiting else self._limits.idle):
                    data = await reader.read(256 * 1024)
            except TimeoutError:
                # A message begun and not ended: it is answered (as cut), and the connection, which may be out of step, is closed.
                for block in blocks.idle():
                    await self._answer(block, writer, peer)
                return
            if not data:
                return
            for block in blocks.receive(data):
                await self._answer(block, writer, peer)

    async def _answer(self, block: Block, writer: asyncio.StreamWriter, peer: Peer) -> None:
        if block.problem is BlockProblem.STRAY or is_commit(block):
            log.warning("mllp_stray_bytes", peer=peer.address, count=len(block.raw))
            return
        answer = await self._loop.run_in_executor(self._pool, self._handler, block, peer)
        if answer is not None:
            writer.write(frame(answer))
            async with asyncio.timeout(self._limits.half_message):
                await writer.drain()


def where(error: BaseException) -> str:
    """An error for the log: its type and the places it came through, but no message and no values, which may be a patient's."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return type(error).__name__ + " " + " < ".join(f"{f.filename.rpartition('/')[2]}:{f.lineno}" for f in reversed(frames))


def _peer(writer: asyncio.StreamWriter) -> Peer:
    name = writer.get_extra_info("peername")
    address = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)
    tls: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    return Peer(address, tls is not None, hashlib.sha256(certificate).hexdigest() if certificate else "")


class SendFailed(Exception):
    """No usable answer: ``reason`` is a stable word (connect, timeout, closed, tls, broken) for the delivery's page."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class MllpClient:
    """One outgoing connection, opened when needed and closed at any doubt, so that a late answer dies with its socket."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None = None, connect_s: float = 5.0, answer_s: float = 30.0) -> None:
        self._address, self._tls = (host, port), tls
        self._connect_s, self._answer_s = connect_s, answer_s
        self._socket: socket.socket | None = None
        self._blocks = Deframer()

    def send(self, message: bytes, is_answer: Callable[[bytes], bool]) -> bytes:
        """Send one message and return the first block ``is_answer`` accepts; other blocks are passed over. Raises SendFailed."""
        try:
            return self._exchange(message, is_answer)
        except TimeoutError:
            raise SendFailed("timeout", f"no answer within {self._answer_s:g} s") from None
        except ssl.SSLError as error:
            raise SendFailed("tls", str(error.reason or error)) from error
        except OSError as error:
            raise SendFailed("broken", str(error)) from error

    def __enter__(self) -> MllpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection and whatever it might still say."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket, self._blocks = None, Deframer()

    def _exchange(self, message: bytes, is_answer: Callable[[bytes], bool]) -> bytes:
        done = False
        try:
            sock = self._connected()
            deadline = time.monotonic() + self._answer_s
            sock.settimeout(self._answer_s)
            sock.sendall(frame(message))
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                sock.settimeout(left)
                data = sock.recv(65536)
                if not data:
                    raise SendFailed("closed", "the other side closed without an answer")
                for block in self._blocks.receive(data):
                    if block.complete and len(block.message) < MAX_ANSWERED and is_answer(block.message):
                        done = True
                        return block.message
        finally:
            if not done:
                self.close()

    def _connected(self) -> socket.socket:
        """The open connection, or a new one; a connection the other side has closed or spoken on meanwhile is not reused."""
        if self._socket is not None and self._fresh(self._socket):
            return self._socket
        self.close()
        try:
            raw = socket.create_connection(self._address, self._connect_s)
        except OSError as error:
            raise SendFailed("connect", str(error) or type(error).__name__) from error
        no_delay(raw)
        self._socket = raw
        if self._tls is not None:
            self._socket = self._tls.wrap_socket(raw, server_hostname=self._address[0])
        return self._socket

    @staticmethod
    def _fresh(sock: socket.socket) -> bool:
        sock.setblocking(False)
        try:
            sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False
