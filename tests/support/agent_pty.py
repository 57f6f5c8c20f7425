"""A serial cable made of pseudo terminals: two device names, each other's far end."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import threading
import tty
from collections.abc import Iterator


@contextlib.contextmanager
def cable() -> Iterator[tuple[str, str]]:
    """Two device names while the block runs; what is written to one is read from the other."""
    pairs = [pty.openpty() for _ in range(2)]
    for _, slave in pairs:
        tty.setraw(slave)
    masters = [master for master, _ in pairs]
    wake_read, wake_write = os.pipe()
    thread = threading.Thread(target=_carry, args=(masters, wake_read), daemon=True)
    thread.start()
    try:
        yield os.ttyname(pairs[0][1]), os.ttyname(pairs[1][1])
    finally:
        os.write(wake_write, b"x")
        thread.join(5)
        for fd in (*(fd for pair in pairs for fd in pair), wake_read, wake_write):
            with contextlib.suppress(OSError):
                os.close(fd)


def _carry(masters: list[int], wake: int) -> None:
    while True:
        ready, _, _ = select.select([*masters, wake], [], [])
        if wake in ready:
            return
        for source in ready:
            target = masters[1 - masters.index(source)]
            with contextlib.suppress(OSError):
                os.write(target, os.read(source, 4096))
