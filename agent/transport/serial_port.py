"""Serial lines: the only importer of pyserial. PTY devices work too.

On POSIX the port's descriptor is watched by the event loop; elsewhere (Windows) a thread reads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import serial

from agent.channels.base import Channel, Line, OpenChannel, Write, iso, now_ms
from agent.transport.tcp import tune

RETRY_FIRST, RETRY_MOST = 1.0, 15.0
REACH_SECONDS = 4.0
WRITE_SECONDS = 120  # Windows: the longest frame (64 000 bytes) takes 67 s at 9600 baud
_READ = 65_536
_POLL = 0.05


def open_port(line: Line) -> Any:
    """Open the device with the line's settings, non-blocking, exclusively where the system can. Raises OSError.

    `socket://HOST:PORT` and `rfc2217://HOST:PORT` are ports of a serial device server, for PCs too old for this program.
    """
    wanted = line.conn.transport
    if "://" in wanted.device:
        settings: dict[str, Any] = {
            "baudrate": wanted.baud,
            "bytesize": wanted.bytesize,
            "parity": wanted.parity,
            "stopbits": wanted.stopbits,
        }
        url = wanted.device
        if url.startswith("rfc2217://") and "ign_set_control" not in url:
            url += ("&" if "?" in url else "?") + "ign_set_control"  # ser2net 4 never confirms the flow control that is asked for
        port: Any = serial.serial_for_url(url, timeout=_POLL, **settings)
        tune(port._socket)  # both kinds are sockets underneath: a server that vanished is noticed in 30 s
        return port
    return serial.Serial(
        wanted.device,
        baudrate=wanted.baud,
        bytesize=wanted.bytesize,
        parity=wanted.parity,
        stopbits=wanted.stopbits,
        timeout=0,
        write_timeout=WRITE_SECONDS,
        exclusive=True if os.name == "posix" else None,
    )


def present(device: str) -> None:
    """Is there such a port now? Nothing is opened: another program may use it, and DTR would move. Raises OSError."""
    if "://" in device:
        server = urlsplit(device)
        socket.create_connection((server.hostname or "", server.port or 0), REACH_SECONDS).close()
    elif os.name == "posix":
        os.stat(device)
    else:
        from serial.tools import list_ports  # of Windows' registry; the running agent has no use for it

        if device.upper().removeprefix("\\\\.\\") not in (one.device.upper() for one in list_ports.comports()):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def as_os_error(error: Exception) -> OSError:
    """pyserial's exceptions keep the system's number only at times, and then in their text."""
    if isinstance(error, OSError) and error.errno:
        return error
    for number in (errno.ENOENT, errno.EACCES, errno.EBUSY):
        if f"[Errno {number}]" in str(error) or (number == errno.EBUSY and "lock" in str(error)):
            return OSError(number, str(error))
    return OSError(errno.EINVAL, str(error))


class SerialLine:
    """Keeps one serial device open; a device that vanishes is tried again with growing pauses."""

    def __init__(self, line: Line, open_channel: OpenChannel) -> None:
        self._line = line
        self._open = open_channel

    async def run(self) -> None:
        """Serve the device until cancelled."""
        wait = RETRY_FIRST
        health = self._line.health
        while True:
            try:
                # A device server may take seconds to answer, or not to: no other line waits for it.
                remote = "://" in self._line.conn.transport.device
                port = await asyncio.to_thread(open_port, self._line) if remote else open_port(self._line)
            except (OSError, ValueError) as error:
                self._line.fault(as_os_error(error), f"串口 {self._line.conn.transport.device} 打不开：{error}")
            else:
                wait = RETRY_FIRST
                health.errno = ""
                health.state, health.links, health.peer = "idle", 1, self._line.conn.transport.device
                await self._serve(port)
                health.state, health.links = "fault", 0
            await asyncio.sleep(wait)
            wait = min(wait * 2, RETRY_MOST)

    async def _serve(self, port: Any) -> None:
        remote = "://" in self._line.conn.transport.device
        link = (_Watched if os.name == "posix" and not remote else _Threaded)(port, self._line)
        channel: Channel = Looked(self._line, link.write, self._open)
        try:
            await link.pump(channel)
        except OSError as error:
            gone = OSError(errno.EIO, str(error)) if error.errno is None else error
            self._line.fault(gone, f"串口 {self._line.conn.transport.device} 断开：{error}")
        finally:
            channel.closed()
            link.close()


class Looked:
    """A channel whose bytes somebody may look at (agent/tail.py)."""

    def __init__(self, line: Line, write: Write, open_channel: OpenChannel) -> None:
        self._line = line
        self._write = write
        self._channel = open_channel(line, self.write, line.conn.transport.device)
        self.closed = self._channel.closed

    def received(self, data: bytes) -> None:
        """Bytes came."""
        if self._line.tap is not None:
            self._line.tap.note("in", data, iso(now_ms()))
        self._channel.received(data)

    def write(self, data: bytes) -> None:
        """Bytes go."""
        if self._line.tap is not None:
            self._line.tap.note("out", data, iso(now_ms()))
        self._write(data)


class _Watched:
    """A port whose descriptor the event loop watches."""

    def __init__(self, port: Any, line: Line) -> None:
        self._port = port
        self._fd: int = port.fileno()
        self._loop = line.loop
        self._out = bytearray()
        self._gone: asyncio.Future[None] = line.loop.create_future()
        os.set_blocking(self._fd, False)

    async def pump(self, channel: Channel) -> None:
        """Hand over what is read until the device is gone. Raises OSError then."""
        self._loop.add_reader(self._fd, self._readable, channel)
        await self._gone

    def write(self, data: bytes) -> None:
        """Write now as much as the device takes, the rest when it is ready."""
        if self._out:
            self._out += data
            return
        sent = self._send(data)
        if sent < len(data):
            self._out += data[sent:]
            self._loop.add_writer(self._fd, self._writable)

    def close(self) -> None:
        """Let go of the device."""
        with contextlib.suppress(OSError, ValueError):
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
        with contextlib.suppress(OSError):
            self._port.close()

    def _readable(self, channel: Channel) -> None:
        try:
            data = os.read(self._fd, _READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            channel.received(data)
        else:
            self._end(OSError("设备已不在（读到文件结尾）"))

    def _writable(self) -> None:
        sent = self._send(bytes(self._out))
        del self._out[:sent]
        if not self._out:
            self._loop.remove_writer(self._fd)

    def _send(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._end(error)
            return len(data)

    def _end(self, error: OSError) -> None:
        self._loop.remove_reader(self._fd)
        if not self._gone.done():
            self._gone.set_exception(error)


class _Threaded:
    """A port read and written by threads, for systems whose event loop cannot watch a serial device.

    Writing has its own: on Windows a write lasts until the line has carried the bytes (a frame at 9600 baud: a quarter of a second), and
    no other analyzer waits for it.
    """

    def __init__(self, port: Any, line: Line) -> None:
        self._port = port
        self._port.timeout = _POLL
        self._loop = line.loop
        self._gone: asyncio.Future[None] = line.loop.create_future()
        self._stop = threading.Event()
        self._out: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    async def pump(self, channel: Channel) -> None:
        """Hand over what the thread reads until the device is gone. Raises OSError then."""
        threading.Thread(target=self._read, args=(channel,), name="serial-reader", daemon=True).start()
        threading.Thread(target=self._send, name="serial-writer", daemon=True).start()
        await self._gone

    def write(self, data: bytes) -> None:
        """Hand over to the writing thread."""
        self._out.put(data)

    def close(self) -> None:
        """Stop the threads and let go of the device."""
        self._stop.set()
        self._out.put(b"")
        with contextlib.suppress(OSError, AttributeError):  # not every kind of port has it
            self._port.cancel_write()
        with contextlib.suppress(OSError):
            self._port.close()

    def _send(self) -> None:
        while True:
            data = self._out.get()
            if self._stop.is_set():
                return
            try:
                self._port.write(data)
            except (OSError, TypeError, AttributeError) as error:  # what pyserial raises once the port was closed beside it
                self._tell(self._end, OSError(str(error)))
                return

    def _read(self, channel: Channel) -> None:
        while not self._stop.is_set():
            try:
                data = self._port.read(1)
                data += self._port.read(self._port.in_waiting or 0)
            except (OSError, TypeError) as error:
                self._tell(self._end, OSError(str(error)))
                return
            if data:
                self._tell(channel.received, data)

    def _tell(self, call: Callable[[Any], None], what: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call, what)

    def _end(self, error: OSError) -> None:
        if not self._gone.done():
            self._gone.set_exception(error)
