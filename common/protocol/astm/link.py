"""The ASTM link layer (E1381 / LIS01-A2) without I/O: bytes and replies in, effects out. `table` says what follows what.

One `Link` is one line, receiver and sender alike; `Role` says who wins contention. The shell carries out the effects in
order, hands every read to `receive()`, answers each `Persist` with `persisted()` or `refused()`, and calls `timer()`
when the last timer started runs out. An ACK is only ever written by `persisted()`: a frame is stored, THEN acknowledged.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.protocol.astm.effects import (
    Effect,
    MessageDone,
    Notice,
    Persist,
    Problem,
    SendFailed,
    Sent,
    SessionStart,
    StartTimer,
    StopTimer,
    Write,
)
from common.protocol.astm.framing import ACK, CR, ENQ, EOT, ETB, ETX, LF, NAK, STX, SUMS, checksum, total
from common.protocol.astm.table import TABLE, Event, State

REPLY_SECONDS = 15.0  # LIS01 6.5.2: a sender waits this long for the reply to ENQ or to a frame
RECEIVE_SECONDS = 30.0  # LIS01 6.5.2: a receiver waits this long for the next frame or EOT
BUSY_SECONDS = 10.0  # LIS01 6.2.5: at least this long between a NAK to ENQ and the next ENQ
YIELD_SECONDS = 20.0  # LIS01 6.2.7: the computer lost contention and waits for the instrument's next ENQ
CONTENTION_SECONDS = 1.0  # LIS01 6.2.7: the instrument won contention and asks again after this
GRACE_SECONDS = 0.5  # ours: how long a frame whose CR LF is missing is held before it counts as ended
ASKED_SECONDS = 3.0  # ours: silence after an ENQ inside a frame, until we believe that the sender began anew
MAX_SENDS = 6  # LIS01 6.5.1.2: one frame is sent at most six times
MAX_SESSION = 16 << 20  # M06: above 16 MB a message is refused

# What ends a frame, or shows that its end was lost. ENQ is not among them: nobody sends one inside a frame, so there it
# is noise, and answering it would be taken for the answer to the frame. Only where silence follows did an analyzer that
# was switched off and on ask, and it would ask for ever.
_STOP = re.compile(rb"[\x02\x03\x04\x17]")
_TEXT = bytes(set(range(256)) - {STX, ETX, EOT, ETB})
_TAILS = [one + b"\r\n" for one in SUMS]


class Role(StrEnum):
    """Which end of the line we play; decides contention only."""

    HOST = "host"
    INSTRUMENT = "instrument"


_ACK, _NAK, _ENQ, _EOT = Write(bytes((ACK,))), Write(bytes((NAK,))), Write(bytes((ENQ,))), Write(bytes((EOT,)))
_RECEIVE_TIMER, _REPLY_TIMER, _STOP_TIMER = StartTimer(RECEIVE_SECONDS), StartTimer(REPLY_SECONDS), StopTimer()
_GRACE_TIMER, _ASKED_TIMER, _START = StartTimer(GRACE_SECONDS), StartTimer(ASKED_SECONDS), SessionStart()


@dataclass(slots=True)
class _Outgoing:
    tag: object
    frames: Sequence[bytes]
    at: int = 0
    sends: int = 0
    asks: int = 0


class Link:
    """One line. See the module's text for the conversation between it and its shell."""

    __slots__ = (
        "_bad", "_buffer", "_busy", "_frames", "_last", "_last_number", "_outgoing", "_pending", "_problems", "_role",
        "_scan", "_size", "_state",
    )  # fmt: skip

    def __init__(self, role: Role = Role.HOST) -> None:
        self._role = role
        self._state = State.NEUTRAL
        self._buffer = bytearray()
        self._scan = 0  # how much of the buffer's first frame was searched for its end
        self._busy = False
        self._frames: list[bytes] = []
        self._size = 0
        self._last = b""  # number and text of the last accepted frame, to know a retransmission
        self._last_number = -1
        self._bad = False  # a frame was refused and not yet replaced
        self._pending = b""
        self._problems: list[Problem] = []
        self._outgoing: deque[_Outgoing] = deque()

    @property
    def state(self) -> State:
        """Where the line is now."""
        return self._state

    @property
    def sending(self) -> bool:
        """True while something waits to be sent or is being sent."""
        return bool(self._outgoing)

    def busy(self, busy: bool) -> None:
        """Say whether new sessions must be refused (ENQ is answered with NAK), e.g. when the disk is nearly full."""
        self._busy = busy

    def receive(self, data: bytes) -> list[Effect]:
        """Take bytes as they came, cut or merged in any way."""
        self._buffer += data
        return self._drain([])

    def take(self, data: bytes) -> bool:
        """A short way for a read that is exactly the next frame: True when all that `receive` would ask for is `Persist(data)`.

        False: nothing was done, and `receive` must be given the read. Tests hold both ways against each other.
        """
        if self._state is not State.RECEIVING or self._buffer:
            return False
        marks = data.translate(None, _TEXT)
        if (marks != b"\x02\x03" and marks != b"\x02\x17") or data[0] != STX or len(data) < 7 or data[-5] != marks[1]:
            return False
        number, last, body = data[1] - 48, self._last_number, data[1:-4]
        if number != (last + 1) & 7 and not (last < 0 and number == 1):
            return False
        if data[-4:] != _TAILS[total(body)] or self._size + len(data) > MAX_SESSION:
            return False
        self._pending, self._last, self._last_number = data, body, number
        self._state = State.STORING
        return True

    def kept(self) -> bool:
        """A short way for `persisted`: True when all it would ask for is an ACK and the receive timer. False: nothing was done."""
        if self._state is not State.STORING or self._buffer:
            return False
        pending = self._pending
        self._frames.append(pending)
        self._size += len(pending)
        self._bad = False
        self._state = State.RECEIVING
        return True

    def persisted(self) -> list[Effect]:
        """The last `Persist` is safely on disk."""
        out: list[Effect] = []
        self._step(Event.STORED, out)
        return self._drain(out)

    def refused(self) -> list[Effect]:
        """The last `Persist` could not be stored."""
        out: list[Effect] = []
        self._step(Event.REFUSED, out)
        return self._drain(out)

    def timer(self) -> list[Effect]:
        """The last timer started ran out."""
        out: list[Effect] = []
        if self._state is State.RECEIVING and self._buffer:
            self._step(self._after_grace(out), out)
        else:
            self._step(Event.TIMER, out)
        return self._drain(out)

    def send(self, frames: Sequence[bytes], tag: object = None) -> list[Effect]:
        """Queue one transfer phase (ready frames, numbered from 1); it starts when the line is neutral."""
        self._outgoing.append(_Outgoing(tag, frames))
        return self._drain([])

    def lost(self) -> list[Effect]:
        """The connection under the line is gone. What was being received is kept as incomplete."""
        out: list[Effect] = []
        self._buffer.clear()
        self._scan = 0
        self._step(Event.LOST, out)
        while self._outgoing:
            out.append(SendFailed(self._outgoing.popleft().tag, Problem.LINK_LOST))
        return out

    # --- from bytes to events

    def _drain(self, out: list[Effect]) -> list[Effect]:
        while self._buffer and self._state is not State.STORING and self._state is not State.STORING_LOST:
            event = self._next_event(out)
            if event is None:
                break
            self._step(event, out)
        if self._outgoing and self._state is State.NEUTRAL:
            self._step(Event.SEND, out)
        return out

    def _next_event(self, out: list[Effect]) -> Event | None:
        first = self._buffer[0]
        if self._state is State.RECEIVING:
            if first == STX:
                return self._frame_event(out)
            if first == ENQ:
                return self._repeated_enq(out)
        del self._buffer[0]
        self._scan = 0
        if first == ENQ:
            return Event.ENQ_BUSY if self._busy else Event.ENQ
        if first == EOT:
            return self._acknowledged() if self._state is State.SENDING else Event.EOT
        if first == ACK:
            return self._acknowledged()
        if first == NAK:
            return self._not_acknowledged()
        return self._stray(first, out)

    def _acknowledged(self) -> Event:
        # LIS01 6.3.5: EOT in place of ACK also accepts the frame; the interrupt it asks for we may ignore.
        if self._state is State.SENDING and self._outgoing[0].at + 1 >= len(self._outgoing[0].frames):
            return Event.ACK_LAST
        return Event.ACK

    def _not_acknowledged(self) -> Event:
        outgoing = self._outgoing
        if not outgoing:
            return Event.NAK
        tries = outgoing[0].asks if self._state is State.ASKING else outgoing[0].sends
        return Event.NAK_LAST if tries >= MAX_SENDS else Event.NAK

    def _stray(self, first: int, out: list[Effect]) -> Event:
        """Anything between frames is ignored (LIS01 6.3.2.3); a wrong reply counts as NAK (6.3.4.2), but not CR LF."""
        if self._state is State.SENDING and first not in (CR, LF):
            self._buffer.clear()
            return self._not_acknowledged()
        if first == STX and self._state is State.NEUTRAL:
            out.append(Notice(Problem.OUTSIDE_SESSION))
        keep = next((i for i, byte in enumerate(self._buffer) if byte in _CONTROLS), len(self._buffer))
        del self._buffer[:keep]
        return Event.STRAY

    def _repeated_enq(self, out: list[Effect]) -> Event | None:
        """ENQ inside a session: with anything behind it, it is noise; a sender that means it waits for our answer."""
        if len(self._buffer) == 1:
            out.append(_GRACE_TIMER)
            return None
        del self._buffer[0]
        return Event.STRAY

    def _frame_event(self, out: list[Effect]) -> Event | None:
        """The frame at the head of the buffer, or None while its end is not here yet."""
        buffer = self._buffer
        stop = _STOP.search(buffer, self._scan or 1)
        if stop is None:
            self._scan = len(buffer)
            return self._unended(out)
        end = self._scan = stop.start()
        if buffer[end] not in _ENDS:
            # The end of this frame was lost. No answer: a second one for the same frame would be taken for the next.
            del buffer[:end]
            self._scan, self._bad = 0, True
            out.append(Notice(Problem.FRAME_CUT))
            return Event.STRAY
        whole = _frame_length(buffer, end)
        if whole < 0:
            out.append(_GRACE_TIMER if len(buffer) >= end + 3 else _RECEIVE_TIMER)
            return None
        return self._judge(end, whole, out)

    def _unended(self, out: list[Effect]) -> Event | None:
        if len(self._buffer) > MAX_SESSION:
            return self._refuse(len(self._buffer), Problem.TOO_LARGE, out)
        # A long frame may take longer than the timer at 9600 baud, so that each byte starts it anew.
        out.append(_ASKED_TIMER if self._buffer[-1] == ENQ else _RECEIVE_TIMER)
        return None

    def _after_grace(self, out: list[Effect]) -> Event:
        """The timer ran out with bytes at hand: an ENQ and nothing behind it, a frame whose CR LF never came, or half a frame."""
        buffer, end = self._buffer, self._scan
        if buffer[0] == ENQ or (end == len(buffer) and buffer[-1] == ENQ):
            if buffer[0] == STX:
                out.append(Notice(Problem.FRAME_CUT))
            buffer.clear()
            self._scan = 0
            return Event.ENQ
        if end and len(buffer) >= end + 3 and buffer[end] in _ENDS:
            return self._judge(end, min(len(buffer), end + 4), out)
        return Event.TIMER

    def _judge(self, end: int, whole: int, out: list[Effect]) -> Event:
        """Accept, recognise or refuse a whole frame (LIS01 6.3.2, 6.3.3)."""
        buffer = self._buffer
        body = bytes(buffer[1 : end + 1])
        given = buffer[end + 1 : end + 3]
        right = checksum(body)
        if given != right and given.upper() != right:
            return self._refuse(whole, Problem.CHECKSUM, out)
        if self._size + whole > MAX_SESSION:
            return self._refuse(whole, Problem.TOO_LARGE, out)
        number, last = body[0] - 48, self._last_number
        if number == last and body == self._last:
            del buffer[:whole]
            self._scan = 0
            return Event.REPEAT
        if number != (last + 1) & 7 and not (last < 0 and number == 1):
            if number != last or last < 0:
                return self._refuse(whole, Problem.FRAME_NUMBER, out)
            self._problems.append(Problem.NUMBER_REUSED)  # other text under the same number: kept, and told
        self._pending = bytes(buffer[:whole])
        self._last, self._last_number = body, number
        del buffer[:whole]
        self._scan = 0
        return Event.FRAME

    def _refuse(self, length: int, problem: Problem, out: list[Effect]) -> Event:
        del self._buffer[:length]
        self._scan = 0
        out.append(Notice(problem))
        return Event.BAD

    # --- from events to effects

    def _step(self, event: Event, out: list[Effect]) -> None:
        entry = _STEPS[self._state].get(event)
        if entry is None:
            return
        action, self._state = entry
        action(self, out)

    def _do_open(self, out: list[Effect]) -> None:
        self._forget()
        out += (_START, _ACK, _RECEIVE_TIMER)

    def _do_restart(self, out: list[Effect]) -> None:
        """ENQ inside a session: the sender lost our ACK, or gave up without EOT."""
        self._finish(Problem.RESTARTED, out)
        self._do_open(out)

    def _do_store(self, out: list[Effect]) -> None:
        out.append(Persist(self._pending))

    def _do_stored(self, out: list[Effect]) -> None:
        self._keep()
        out += _ACK_AND_WAIT

    def _do_unstored(self, out: list[Effect]) -> None:
        """The store refused: the number is free again, so that the resent frame is taken as new."""
        self._unaccept()
        out.append(Notice(Problem.REFUSED))
        self._do_nak(out)

    def _do_stored_lost(self, out: list[Effect]) -> None:
        self._keep()
        self._finish(Problem.LINK_LOST, out)

    def _do_unstored_lost(self, out: list[Effect]) -> None:
        self._unaccept()
        self._finish(Problem.LINK_LOST, out)

    def _do_ack(self, out: list[Effect]) -> None:
        self._bad = False
        out += _ACK_AND_WAIT

    def _do_nak(self, out: list[Effect]) -> None:
        self._bad = True
        out += (_NAK, _RECEIVE_TIMER)

    def _do_busy(self, out: list[Effect]) -> None:
        out += (Notice(Problem.REFUSED), _NAK)

    def _do_end(self, out: list[Effect]) -> None:
        out.append(_STOP_TIMER)
        self._finish(None, out)

    def _do_timeout(self, out: list[Effect]) -> None:
        out.append(Notice(Problem.TIMEOUT))
        self._buffer.clear()
        self._scan = 0
        self._finish(Problem.TIMEOUT, out)

    def _do_lost(self, out: list[Effect]) -> None:
        out.append(_STOP_TIMER)
        self._finish(Problem.LINK_LOST, out)

    def _do_nothing(self, out: list[Effect]) -> None:
        """The state changes; nothing is to be done."""

    def _do_ask(self, out: list[Effect]) -> None:
        self._outgoing[0].asks += 1
        out += (_ENQ, _REPLY_TIMER)

    def _do_first(self, out: list[Effect]) -> None:
        self._outgoing[0].at = -1
        self._do_next(out)

    def _do_next(self, out: list[Effect]) -> None:
        outgoing = self._outgoing[0]
        outgoing.at += 1
        outgoing.sends = 1
        out += (Write(outgoing.frames[outgoing.at]), _REPLY_TIMER)

    def _do_again(self, out: list[Effect]) -> None:
        outgoing = self._outgoing[0]
        outgoing.sends += 1
        out += (Write(outgoing.frames[outgoing.at]), _REPLY_TIMER)

    def _do_sent(self, out: list[Effect]) -> None:
        out += (_EOT, _STOP_TIMER, Sent(self._outgoing.popleft().tag))

    def _do_hold(self, out: list[Effect]) -> None:
        out.append(StartTimer(BUSY_SECONDS))

    def _do_yield(self, out: list[Effect]) -> None:
        """Contention: the instrument wins; the ENQ met in it is not answered."""
        wins = self._role is Role.INSTRUMENT
        out.append(StartTimer(CONTENTION_SECONDS if wins else YIELD_SECONDS))

    def _do_give_up_busy(self, out: list[Effect]) -> None:
        self._give_up(Problem.BUSY, out)

    def _do_give_up_silent(self, out: list[Effect]) -> None:
        self._give_up(Problem.NO_REPLY, out)

    def _do_give_up_refused(self, out: list[Effect]) -> None:
        self._give_up(Problem.NOT_ACCEPTED, out)

    def _do_send_lost(self, out: list[Effect]) -> None:
        out.append(_STOP_TIMER)

    # --- helpers of the actions

    def _give_up(self, problem: Problem, out: list[Effect]) -> None:
        out += (_EOT, _STOP_TIMER, SendFailed(self._outgoing.popleft().tag, problem))

    def _keep(self) -> None:
        self._frames.append(self._pending)
        self._size += len(self._pending)
        self._bad = False

    def _unaccept(self) -> None:
        previous = self._frames[-1] if self._frames else b""
        end = max(previous.rfind(b"\x03"), previous.rfind(b"\x17"))
        self._last = previous[1 : end + 1]
        self._last_number = self._last[0] - 48 if self._last else -1

    def _finish(self, problem: Problem | None, out: list[Effect]) -> None:
        """Hand over what was stored in this session."""
        if self._frames:
            if problem is None and (self._bad or self._last[-1] != ETX):
                problem = Problem.NO_END
            if problem is not None:
                self._problems.append(problem)
            ended = b"\x04" if problem in (None, Problem.NO_END) else b""
            body = b"".join((b"\x05", *self._frames, ended))
            out.append(MessageDone(body, len(self._frames), problem is None, tuple(dict.fromkeys(self._problems))))
        self._forget()

    def _forget(self) -> None:
        self._frames = []
        self._size = 0
        self._last, self._last_number = b"", -1
        self._bad = False
        self._pending = b""
        self._problems = []


def _frame_length(buffer: bytearray, end: int) -> int:
    """Length of the frame whose ETX/ETB is at `end`, with its CR LF (or what came instead); -1 while undecided."""
    have = len(buffer) - end - 1  # bytes after ETX/ETB
    if have >= 4 and buffer[end + 3] == CR:
        return end + 5 if buffer[end + 4] == LF else end + 4
    if have < 1 or (have < 2 and buffer[end + 1] not in _NOT_HEX):
        return -1
    if buffer[end + 1] in _NOT_HEX or buffer[end + 2] in _NOT_HEX:
        return end + 1  # no checksum: judged wrong, the rest is stray
    if have == 2 or (have == 3 and buffer[end + 3] == CR):
        return -1
    return end + 4 if buffer[end + 3] == LF else end + 3


_ENDS = b"\x03\x17"
_CONTROLS = frozenset((STX, ENQ, EOT, ACK, NAK))
_NOT_HEX = frozenset(range(256)) - frozenset(b"0123456789ABCDEFabcdef")
_ACK_AND_WAIT: tuple[Effect, ...] = (_ACK, _RECEIVE_TIMER)

# The table with this class's methods in place of their names, so that a step is one look-up.
_STEPS: dict[State, dict[Event, tuple[Callable[[Link, list[Effect]], None], State]]] = {
    state: {event: (getattr(Link, f"_do_{do.name.lower()}"), then) for event, (do, then) in entries.items()}
    for state, entries in TABLE.items()
}
