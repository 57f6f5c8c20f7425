"""Analyzers under load: threads that send sessions over TCP one frame at a time, and start anew when the link breaks."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator

from common.protocol.astm.framing import build_frames
from tests.support.crash.recorder import Attempt, Recorder

ENQ, ACK, EOT = b"\x05", b"\x06", b"\x04"
REPLY_SECONDS = 15.0

Records = Callable[[str], bytes]


def cbc(key: str, analytes: int = 12) -> bytes:
    """An invented blood count for a specimen, records ended by CR."""
    head = f"H|\\^&|||Sim^1||||||||P|1\rP|1||{key}\rO|1|{key}||^^^CBC\r"
    return (head + "".join(f"R|{n}|^^^T{n}|{n}.5|g/L||N||F||{key}\r" for n in range(1, analytes + 1)) + "L|1|N\r").encode()


class Instrument(threading.Thread):
    """One analyzer on one TCP address. With `resend` a broken session is sent again under the same key, as analyzers do."""

    def __init__(
        self, conn: str, address: tuple[str, int], recorder: Recorder, *, records: Records = cbc, resend: bool = False, pause: float = 0.0
    ) -> None:
        super().__init__(name=f"instrument {conn}", daemon=True)
        self.conn = conn
        self.address = address
        self.recorder = recorder
        self.records = records
        self.resend = resend
        self.pause = pause
        self.halt = threading.Event()
        self.finished = 0

    def run(self) -> None:
        """Send sessions until told to halt."""
        for number in itertools.count(1):
            key = f"{self.conn}-{number}"
            tries = 0
            while not self.halt.is_set():
                tries += 1
                if self._session(key if self.resend else f"{key}-{tries}"):
                    self.finished += 1
                    break
                time.sleep(0.01)
            if self.halt.is_set():
                return
            time.sleep(self.pause)

    def _session(self, key: str) -> bool:
        try:
            link = self._link()
            link.sendall(ENQ)
            if self._reply(link) != ACK:
                return False
            attempt = self.recorder.begin(key, self.conn, build_frames(self.records(key), per_record=True))
            return self._frames(link, attempt)
        except OSError:
            self._drop()
            return False

    def _frames(self, link: socket.socket, attempt: Attempt) -> bool:
        for frame in attempt.frames:
            link.sendall(frame)
            if self._reply(link) != ACK:
                link.sendall(EOT)
                return False
            attempt.acked += 1
        link.sendall(EOT)
        attempt.ended = True
        return True

    _socket: socket.socket | None = None

    def _link(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(self.address, REPLY_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _reply(self, link: socket.socket) -> bytes:
        answer = link.recv(1)
        if not answer:
            raise ConnectionResetError
        return answer

    def _drop(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def stop(self) -> None:
        """Halt after what is on the way."""
        self.halt.set()
        self.join(REPLY_SECONDS + 1)
        self._drop()


@contextlib.contextmanager
def under_load(instruments: list[Instrument]) -> Iterator[list[Instrument]]:
    """Analyzers sending while the block runs."""
    for instrument in instruments:
        instrument.start()
    try:
        yield instruments
    finally:
        for instrument in instruments:
            instrument.halt.set()
        for instrument in instruments:
            instrument.stop()
