"""A folder an analyzer's program drops files into: claim by renaming, store, move to `done` after the COMMIT."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from agent.channels.base import Line, now_ms

POLL_SECONDS = 1.0
SETTLE_SECONDS = 1.0  # a file still growing is left alone
MAX_FILE = 16 << 20
_CLAIMED = ".claimed"


class FileDrop:
    """Watches one folder."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._folder = Path(line.conn.transport.folder)

    async def run(self) -> None:
        """Look every second until cancelled."""
        while True:
            try:
                (self._folder / "done").mkdir(parents=True, exist_ok=True)
                await self._look()
                self._line.health.state, self._line.health.links = "idle", 1
            except OSError as error:
                self._line.health.links = 0
                self._line.fault(error, f"文件夹 {self._folder} 无法使用：{error}")
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self) -> None:
        for path in sorted(self._folder.iterdir()):
            if not path.is_file() or path.name.startswith("."):
                continue
            if path.suffix != _CLAIMED:
                if time.time() - path.stat().st_mtime < SETTLE_SECONDS:
                    continue
                path = path.rename(path.with_name(path.name + _CLAIMED))
            await self._store(path)

    async def _store(self, path: Path) -> None:
        line = self._line
        if path.stat().st_size > MAX_FILE:
            line.trouble(f"文件 {path.name} 超过 16 MB，未读取")
            path.rename(self._folder / "done" / f"{now_ms()}-toolarge-{path.name}")
            return
        body = path.read_bytes()
        now = now_ms()
        line.health.last_byte = now / 1000
        stored: asyncio.Future[bool] = line.loop.create_future()
        message = line.outgoing(body, now, 1, complete=True, problems=[], peer=path.name.removesuffix(_CLAIMED))
        line.journal.message(message, stored.set_result)
        if await stored:
            path.rename(self._folder / "done" / f"{now}-{path.name.removesuffix(_CLAIMED)}")
