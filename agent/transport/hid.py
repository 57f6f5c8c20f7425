"""A USB reader that types (hidraw device): each line it types is a message, on disk before anything else happens to it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os

from agent.channels.base import Line, Timer, iso, now_ms
from common.protocol.hid import Keyboard

RETRY_FIRST, RETRY_MOST = 1.0, 15.0
_READ = 4096


class HidReader:
    """Keeps one device open; one that was pulled out is tried again with growing pauses."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._keyboard = Keyboard()
        self._timer = Timer(line.loop, self._silent)
        self._started = 0

    async def run(self) -> None:
        """Read until cancelled."""
        device, wait, health = self._line.conn.transport.device, RETRY_FIRST, self._line.health
        while True:
            try:
                handle = os.open(device, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            except OSError as error:
                self._line.fault(error, f"读取器 {device} 打不开：{error.strerror or error}")
            else:
                wait = RETRY_FIRST
                health.state, health.links, health.peer, health.errno = "idle", 1, device, ""
                await self._serve(handle)
                health.links = 0
            await asyncio.sleep(wait)
            wait = min(wait * 2, RETRY_MOST)

    async def _serve(self, handle: int) -> None:
        loop = self._line.loop
        gone: asyncio.Future[OSError] = loop.create_future()
        loop.add_reader(handle, self._readable, handle, gone)
        try:
            error = await gone
            self._line.fault(error, f"读取器 {self._line.conn.transport.device} 断开：{error.strerror or error}")
        finally:
            loop.remove_reader(handle)
            self._timer.close()
            self._silent()
            with contextlib.suppress(OSError):
                os.close(handle)

    def _readable(self, handle: int, gone: asyncio.Future[OSError]) -> None:
        try:
            data = os.read(handle, _READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            data, ended = b"", error
        else:
            ended = OSError(errno.ENODEV, "已拔出")
        if data:
            self._take(data)
        elif not gone.done():
            self._line.loop.remove_reader(handle)
            gone.set_result(ended)

    def _take(self, data: bytes) -> None:
        line, now = self._line, now_ms()
        line.health.last_byte = now / 1000
        if line.tap is not None:
            line.tap.note("in", data, iso(now))
        if not self._keyboard.waiting:
            self._started = now
        for text in self._keyboard.receive(data):
            self._keep(text, complete=True)
        if self._keyboard.waiting:
            self._timer.start(line.conn.idle_group_ms / 1000)
        else:
            self._timer.stop()

    def _silent(self) -> None:
        """No Enter came: what there is may be cut, and is kept as such."""
        text = self._keyboard.idle()
        if text:
            self._keep(text, complete=False)

    def _keep(self, text: str, *, complete: bool) -> None:
        line = self._line
        problems = [] if complete else ["读取器没有发送回车，可能不完整 (no Enter, may be cut)"]
        message = line.outgoing(
            text.encode() + b"\r", self._started, 1, complete=complete, problems=problems, peer=line.conn.transport.device
        )
        line.journal.message(message, self._stored)

    def _stored(self, ok: bool) -> None:
        if not ok:
            self._line.health.refused += 1
            self._line.trouble("本机无法保存读取的内容，请立即处理磁盘后重新扫描 (cannot store, scan again)")


__all__ = ["HidReader"]
