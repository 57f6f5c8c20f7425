"""A folder an analyzer's program drops files into: claim by renaming, store, move to `done` after the COMMIT.

Text files and workbooks (.xlsx) are kept byte for byte. Which file was stored last enters the journal in the same transaction as the
file, so that a kill between the COMMIT and the move doubles nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

from agent.channels.base import Line, now_ms
from common.crypto import sha256_hex

POLL_SECONDS = 1.0
SETTLE_SECONDS = 1.0  # a file still growing is left alone
MAX_FILE = 16 << 20
_CLAIMED = ".claimed"
_OPEN = ("~$", ".")  # the lock file of an open workbook, hidden and half-copied files
_END_OF_ZIP = b"PK\x05\x06"
UNFINISHED_SECONDS = 60.0  # a workbook without its end is taken as it is after so long


class FileDrop:
    """Watches one folder."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._folder = Path(line.conn.transport.folder)
        self._key = f"file {line.conn.key}"

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
        for path in sorted(self._folder.iterdir(), key=lambda one: (one.suffix != _CLAIMED, one)):  # what was claimed comes first
            if not path.is_file() or path.name.startswith(_OPEN):
                continue
            if path.suffix != _CLAIMED:
                claimed = path.with_name(path.name + _CLAIMED)
                if claimed.exists() or not _settled(path):  # one of the same name waits for room on the disk: it is not written over
                    continue
                try:
                    path = path.rename(claimed)
                except PermissionError as error:  # Windows: the program still has it open; the others do not wait
                    self._line.trouble(f"文件 {path.name} 正被占用，稍后再取：{error.strerror}")
                    continue
            await self._store(path)

    def _done(self, now: int, name: str) -> Path:
        """Where a file is moved: nothing that lies there is written over."""
        for at in itertools.count(now):
            target = self._folder / "done" / f"{at}-{name}"
            if not target.exists():
                return target
        raise AssertionError

    async def _store(self, path: Path) -> None:
        line = self._line
        if path.stat().st_size > MAX_FILE:
            line.trouble(f"文件 {path.name} 超过 16 MB，未读取")
            path.rename(self._done(now_ms(), f"toolarge-{path.name}"))
            return
        body = path.read_bytes()
        now = now_ms()
        name = path.name.removesuffix(_CLAIMED)
        last = f"{name} {sha256_hex(body)} {path.stat().st_mtime_ns}"
        if line.journal.get(self._key) == last:  # stored before a kill, and not moved any more
            path.rename(self._done(now, name))
            return
        line.health.last_byte = now / 1000
        stored: asyncio.Future[bool] = line.loop.create_future()
        whole = not name.lower().endswith(".xlsx") or _END_OF_ZIP in body[-66_000:]
        problems = [] if whole else ["工作簿不完整 (workbook cut)"]
        message = line.outgoing(body, now, 1, complete=whole, problems=problems, peer=name)
        line.journal.message(message, stored.set_result, note=(self._key, last))
        if await stored:
            path.rename(self._done(now, name))


def _settled(path: Path) -> bool:
    """Nobody writes it any more: untouched for a second, and a workbook has its end."""
    age = time.time() - path.stat().st_mtime
    if age < SETTLE_SECONDS:
        return False
    if path.suffix.lower() != ".xlsx" or age > UNFINISHED_SECONDS:
        return True
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 66_000))
        return _END_OF_ZIP in file.read()
