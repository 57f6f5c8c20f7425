"""A scripted hospital system: an MLLP listener that answers as told, records everything, and can send orders.

It is a test's other side, so it speaks raw sockets and knows nothing of the product's port. Each script entry answers one received
message; when the script is used up it answers ``ack``.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

Closable = TypeVar("Closable", bound=Any)
VT, FS, CR = b"\x0b", b"\x1c", b"\r"

ACTS = ("ack", "ae", "ar", "silent", "close", "half", "wrong_id", "late", "noise", "twice", "garbage")


@dataclass
class Seen:
    """One message the HIS received and how it was answered."""

    control_id: str
    raw: bytes
    act: str


def control_id(raw: bytes) -> str:
    """MSH-10 of a message."""
    header = raw.split(CR, 1)[0].split(b"|")
    return header[9].decode() if len(header) > 9 else ""


def answer(code: str, msg_id: str, text: str = "") -> bytes:
    """A minimal acknowledgement, framed."""
    return VT + f"MSH|^~\\&|HIS|H1|JIANLIAN|LAB|20260506||ACK|A{msg_id}|P|2.5.1\rMSA|{code}|{msg_id}|{text}\r".encode() + FS + CR


@dataclass
class FakeHis:
    """``with FakeHis(["silent", "ae"]) as his: … his.port``. ``down`` refuses connections until ``up()``."""

    script: Iterable[str] = ()
    tls: ssl.SSLContext | None = None
    decide: Callable[[bytes], str] | None = None
    seen: list[Seen] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._script = iter(self.script)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._held: list[socket.socket] = []
        self._late: list[bytes] = []
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._clients: list[Any] = []
        self.port = 0

    def cleanup(self, client: Closable) -> Closable:
        """Close this with the HIS."""
        self._clients.append(client)
        return client

    def __enter__(self) -> FakeHis:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for client in self._clients:
            client.close()
        self.down()
        for thread in self._threads:
            thread.join(5)

    def up(self) -> None:
        """Begin to listen (again, on the same port)."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(50)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._spawn(self._accept, listener)

    def down(self) -> None:
        """Stop listening and cut every connection."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            held, self._held = self._held, []
        for sock in held:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def ids(self, act: str = "ack") -> list[str]:
        """MSH-10 of the messages that got this answer, in order of arrival."""
        with self._lock:
            return [s.control_id for s in self.seen if s.act == act]

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self._spawn(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self.tls is not None:
                sock.settimeout(5)
                sock = self.tls.wrap_socket(sock, server_side=True)
                sock.settimeout(None)
            with self._lock:
                self._held.append(sock)
            buffer = b""
            while not self._stop.is_set():
                data = sock.recv(65536)
                if not data:
                    return
                buffer += data
                while FS in buffer:
                    block, buffer = buffer.split(FS, 1)
                    if not self._respond(sock, block.rpartition(VT)[2]):
                        return
        except (OSError, ssl.SSLError):
            return
        finally:
            sock.close()

    def _respond(self, sock: socket.socket, raw: bytes) -> bool:
        """Answer one message; False ends the connection."""
        with self._lock:
            act = self.decide(raw) if self.decide is not None else next(self._script, "ack")
            msg_id = control_id(raw)
            self.seen.append(Seen(msg_id, raw, act))
            late, self._late = self._late, []
            if act in ("ack", "late", "twice", "noise") and msg_id not in self.accepted:
                self.accepted.append(msg_id)
        for block in late:
            sock.sendall(block)
        if act == "close":
            return False
        if act == "half":
            sock.sendall(answer("AA", msg_id)[:-12])
            return False
        if act == "late":
            # Stored, but the answer comes only when the next message arrives, on whatever connection that uses.
            with self._lock:
                self._late.append(answer("AA", msg_id))
            return True
        sock.sendall(self._reply(act, msg_id))
        return True

    @staticmethod
    def _reply(act: str, msg_id: str) -> bytes:
        good = answer("AA", msg_id)
        replies = {
            "ack": good,
            "ae": answer("AE", msg_id, "busy"),
            "ar": answer("AR", msg_id, "unknown patient"),
            "silent": b"",
            "wrong_id": answer("AA", msg_id + "9"),
            "noise": b"hello\r\n" + answer("AA", "0") + good,
            "twice": good + good,
            "garbage": VT + b"MSH|^~" + FS + CR,
        }
        return replies[act]


def send(
    port: int, *messages: bytes, tls: ssl.SSLContext | None = None, server_name: str = "localhost", timeout: float = 15.0
) -> list[bytes]:
    """Send order messages over one connection, waiting for each answer; the answers without frame. As a HIS would."""
    out: list[bytes] = []
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout))
        if tls is not None:
            sock = stack.enter_context(tls.wrap_socket(sock, server_hostname=server_name))
        buffer = b""
        for message in messages:
            sock.sendall(VT + message + FS + CR)
            until = time.monotonic() + timeout
            while FS not in buffer:
                data = sock.recv(65536)
                if not data or time.monotonic() > until:
                    return out
                buffer += data
            block, _, buffer = buffer.partition(FS)
            out.append(block.rpartition(VT)[2])
    return out
