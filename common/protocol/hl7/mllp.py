"""MLLP release 1 without I/O: `VT message FS CR`, liberal on input, strict on output.

A read may hold half a block or several. Accepted beside the standard: no VT before MSH, FHS or BHS; FS without CR before or behind it
(inside a line it is damage, and ends nothing: a value cut there would look whole); no FS at all (the block ends at the next VT, when the
line falls silent, or when it closes); text outside blocks, which is handed over as a block of its own, so that nothing read is dropped in
silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

VT, FS, CR = b"\x0b", b"\x1c", b"\r"
IDLE_SECONDS = 5.0  # silence after which a block without FS counts as ended
MAX_BLOCK = 16 << 20  # M06: above 16 MB a message is refused
_HEAD = 64 << 10  # what is kept of a refused block, enough to answer it
_STARTS = (b"MSH", b"FHS", b"BHS")
_BLANK = b" \t\r\n\x00"
_COMMITS = (b"\x06", b"\x15")  # release 2 commit answers; nothing in release 1 uses them


class BlockProblem(StrEnum):
    """What is wrong with a block, as stable words."""

    NO_START = "no-start"  # VT missing; the message is whole
    NO_END = "no-end"  # FS missing: it may be cut
    STRAY = "stray"  # text outside any block
    TOO_LARGE = "too-large"  # above MAX_BLOCK; only its head is kept


@dataclass(frozen=True, slots=True)
class Block:
    """One block: `raw` as it came with its VT and FS CR, `message` without them."""

    raw: bytes
    message: bytes
    problem: BlockProblem | None = None

    @property
    def complete(self) -> bool:
        """True when the end of the message was seen."""
        return self.problem in (None, BlockProblem.NO_START)


def frame(message: bytes) -> bytes:
    """A message as a block."""
    return VT + message + FS + CR


class Deframer:
    """Cuts a byte stream into blocks."""

    __slots__ = ("_buffer", "_refusing", "_scan")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scan = 0
        self._refusing = False  # the head of a block too large was kept, the rest of it is skipped

    @property
    def waiting(self) -> bool:
        """True while a block is begun and not ended; the shell then calls `idle()` after IDLE_SECONDS of silence."""
        return bool(self._buffer)

    def receive(self, data: bytes) -> list[Block]:
        """Take bytes as they came; return the blocks that ended in them."""
        self._buffer += data
        blocks: list[Block] = []
        while self._buffer:
            before = len(self._buffer)
            block = self._next()
            if block is not None:
                blocks.append(block)
            elif len(self._buffer) == before:
                break
        return blocks

    def idle(self) -> list[Block]:
        """The line fell silent: what is begun counts as ended."""
        return self.close()

    def close(self) -> list[Block]:
        """The line closed: what is begun is handed over as it is."""
        raw = bytes(self._buffer)
        self._reset(len(raw))
        if not raw.strip(_BLANK + VT):
            return []
        if not _begins(raw):
            return [self._ended(raw, BlockProblem.STRAY)]
        ended = raw.rstrip(_BLANK).endswith(FS)  # nothing came behind it
        return [self._ended(raw, None if ended and raw[:1] == VT else BlockProblem.NO_START if ended else BlockProblem.NO_END)]

    def _next(self) -> Block | None:
        buffer = self._buffer
        if buffer[:1] == VT:
            return self._block(1, None)
        start = len(buffer) - len(buffer.lstrip(_BLANK))
        if start:
            del buffer[:start]
            return None
        head = bytes(buffer[:3])
        if head in _STARTS:
            return self._block(0, BlockProblem.NO_START)
        if any(name.startswith(head) for name in _STARTS):
            return None  # two bytes of MSH may come before the third
        return self._stray()

    def _block(self, start: int, problem: BlockProblem | None) -> Block | None:
        """The block at the head of the buffer, or None while its end is not here."""
        buffer = self._buffer
        end = buffer.find(FS, max(self._scan, start))
        while 0 <= end < len(buffer) - 1 and _inside(buffer, end):
            end = buffer.find(FS, end + 1)
        restart = buffer.find(VT, max(self._scan, start), end if end >= 0 else len(buffer))
        if restart >= 0:
            return self._ended(self._take(restart), BlockProblem.NO_END)
        if end < 0 or end == len(buffer) - 1 and _inside(buffer, end):
            self._scan = len(buffer) if end < 0 else end
            self._shed()
            return None
        after = end + 2 if buffer[end + 1 : end + 2] == CR else end + 1
        return self._ended(self._take(after), problem)

    def _shed(self) -> None:
        """Above the limit only the head is kept, so that a sender cannot fill the memory."""
        if len(self._buffer) > MAX_BLOCK or (self._refusing and len(self._buffer) > _HEAD):
            del self._buffer[_HEAD:]
            self._scan = len(self._buffer)
            self._refusing = True

    def _stray(self) -> Block | None:
        buffer = self._buffer
        ends = [at for at in (buffer.find(VT), *(buffer.find(CR + name) for name in _STARTS)) if at >= 0]
        if not ends:
            self._shed()
            return None
        raw = self._take(min(ends))
        return Block(raw, raw, BlockProblem.STRAY)

    def _take(self, length: int) -> bytes:
        raw = bytes(self._buffer[:length])
        self._reset(length)
        return raw

    def _reset(self, length: int) -> None:
        del self._buffer[:length]
        self._scan = 0

    def _ended(self, raw: bytes, problem: BlockProblem | None) -> Block:
        if self._refusing:
            self._refusing, problem = False, BlockProblem.TOO_LARGE
        message = raw.removeprefix(VT)
        whole = message.rstrip(_BLANK)
        return Block(raw, whole[:-1] if whole.endswith(FS) else message, problem)


def commit(accepted: bool) -> bytes:
    """The commit answer of release 2 (``VT ACK FS CR`` or ``VT NAK FS CR``), for a peer that is known to wait for one; never unasked."""
    return frame(_COMMITS[0] if accepted else _COMMITS[1])


def is_commit(block: Block) -> bool:
    """True for a release 2 commit answer, which carries no message."""
    return block.message in _COMMITS


def _inside(buffer: bytearray, at: int) -> bool:
    """Whether an FS stands in the middle of a line: no end of a line before it, none behind it, and no new block."""
    return buffer[at - 1] not in b"\r\n" and buffer[at + 1 : at + 2] not in (CR, b"\n", b"\x00", VT)


def _begins(raw: bytes) -> bool:
    return raw[:1] == VT or raw[:3] in _STARTS
