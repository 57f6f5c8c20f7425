"""A power cut, honestly: an SQLite VFS that remembers what every file was at its last sync.

``kill -9`` leaves the operating system's cache alive, so it can't tell ``synchronous=FULL`` from ``NORMAL``. Here a cut
copies the files and takes back every write that no sync followed; with ``tear`` the last of them survive in part.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import apsw

NAME = "jl-power"


class _File(apsw.VFSFile):
    """A file that keeps an undo log since its last sync."""

    def __init__(self, power: Power, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._power = power
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else str(name)).name
        power.undo.setdefault(self._name, [])

    def xWrite(self, data: bytes, offset: int) -> None:
        size = super().xFileSize()
        old = super().xRead(min(len(data), size - offset), offset) if offset < size else b""
        self._power.undo[self._name].append((offset, old, size))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        size = super().xFileSize()
        old = super().xRead(size - newsize, newsize) if size > newsize else b""
        self._power.undo[self._name].append((newsize, old, size))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._power.undo[self._name].clear()


class Power(apsw.VFS):
    """Register once a test; ``undo``: file name → (offset, bytes before, size before) since its last sync."""

    def __init__(self, name: str = NAME) -> None:
        self.name = name
        self.undo: dict[str, list[tuple[int, bytes, int]]] = {}
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)

    def cut(self, folder: Path, into: Path, tear: random.Random | None = None) -> None:
        """Copy the journal as the disk would hold it after the power went. The shared-memory file never survives."""
        into.mkdir()
        for file in folder.iterdir():
            if not file.is_file() or file.name.endswith("-shm"):
                continue
            shutil.copy(file, into / file.name)
            self._forget(into / file.name, self.undo.get(file.name, []), tear)

    def _forget(self, file: Path, undo: list[tuple[int, bytes, int]], tear: random.Random | None) -> None:
        keep = tear.randint(0, len(undo)) if tear is not None else 0
        with file.open("r+b") as f:
            for offset, old, size in reversed(undo[keep:]):
                f.seek(offset)
                f.write(old)
                f.truncate(size)
