"""Serial cables without serial ports: pairs of pseudo-terminals, what goes in at one end comes out at the other.

    python -m cloud.demo.nullmodem END OTHER [END OTHER ...]

Each END becomes a link to a device. Ends stay usable when whoever used them closes them, as a cable does.
"""

import os
import selectors
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from pathlib import Path

CHUNK = 4096
MOST_WAITING = 65_536
RETRY_SECONDS = 0.02


class End:
    """One end of a cable. Its device is kept open here too: a terminal whose last user closes it would hang up."""

    def __init__(self, link: Path) -> None:
        self.master, self._kept = os.openpty()
        tty.setraw(self._kept, termios.TCSANOW)
        os.set_blocking(self.master, False)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self._kept))
        self.waiting = bytearray()  # what the device could not take yet

    def read(self) -> bytes:
        try:
            return os.read(self.master, CHUNK)
        except BlockingIOError:
            return b""

    def flush(self) -> None:
        """Hand on as much as the device takes now."""
        try:
            del self.waiting[: os.write(self.master, self.waiting)]
        except BlockingIOError:
            return


def run(links: Sequence[Path]) -> None:
    """Carry bytes between each pair until the process is stopped."""
    selector = selectors.DefaultSelector()
    ends = [End(link) for link in links]
    for end, other in zip(ends[::2], ends[1::2], strict=True):
        selector.register(end.master, selectors.EVENT_READ, (end, other))
        selector.register(other.master, selectors.EVENT_READ, (other, end))
    while True:
        busy = any(end.waiting for end in ends)
        for key, _ in selector.select(RETRY_SECONDS if busy else None):
            source, target = key.data
            target.waiting += source.read()
            del target.waiting[MOST_WAITING:]  # nobody listens: a cable keeps nothing
        for end in ends:
            if end.waiting:
                end.flush()


def main(argv: Sequence[str]) -> int:
    if not argv or len(argv) % 2:
        print(__doc__, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    run([Path(name) for name in argv])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
