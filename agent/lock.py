"""One running agent a data folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

from common.errors import UserError
from common.say import say


class DataLock:
    """Held while the agent runs; the system lets it go when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> DataLock:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        if not take(self._fd):
            os.close(self._fd)
            raise UserError("agent.running", say("数据目录 {folder} 已有一个代理在运行，请先停止它。", folder=self._path.parent))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._fd)


def take(fd: int) -> bool:
    """Take the lock without waiting; False when another process holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """True when a running agent holds the folder."""
    if not path.exists():
        return False
    fd = os.open(path, os.O_RDWR)
    try:
        return not take(fd)
    finally:
        os.close(fd)
