"""One epoll for the bytes of all TCP links, inside the event loop: half the loop's own work per frame is left out.

asyncio accepts, dials and closes; only reading (and a write that needs no waiting) goes past it. The journal's committer works as soon as
all were heard, and looks at the links itself while it waits for more frames to share a commit. Where the system has no epoll (Windows)
asyncio reads.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable

_AT_ONCE = 256


class Poller:
    """Calls back for each link that has bytes. Made in the event loop's thread, used only there."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._loop = loop
        self.looking = False
        self.then: Callable[[], None] | None = None  # what somebody who was called back wants done when all were
        loop.add_reader(self._epoll.fileno(), self.look)

    @staticmethod
    def make(loop: asyncio.AbstractEventLoop) -> Poller | None:
        """A poller, or None where there is none to be had."""
        return Poller(loop) if hasattr(select, "epoll") else None

    def add(self, sock: socket.socket, call: Callable[[], None]) -> None:
        """Watch a socket."""
        self._calls[sock.fileno()] = call
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def remove(self, sock: socket.socket) -> None:
        """Forget a socket; it must still be open."""
        if self._calls.pop(sock.fileno(), None) is not None:
            self._epoll.unregister(sock.fileno())

    def look(self) -> None:
        """Hand over what has come, then do what was left for `then`."""
        self.looking = True
        try:
            self.hand_over()
        finally:
            self.looking = False
            then, self.then = self.then, None
            if then is not None:
                then()

    def hand_over(self) -> None:
        """Call back for each link that has bytes."""
        for fd, _ in self._epoll.poll(0, _AT_ONCE):
            call = self._calls.get(fd)
            if call is not None:
                call()

    def close(self) -> None:
        """Stop."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
