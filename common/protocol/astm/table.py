"""The state table of the ASTM link: the whole of LIS01-A2 section 6, read from top to bottom. Values only.

A `Link` turns bytes into events, looks the event up under the state it is in, goes to the state named here and does what
is named here. What is not listed is ignored.
"""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """Where the line is."""

    NEUTRAL = auto()
    RECEIVING = auto()  # we are receiver and wait for a frame or EOT
    STORING = auto()  # a frame is being stored; no byte is read until that is answered
    STORING_LOST = auto()  # as STORING, and the link is gone
    ASKING = auto()  # we sent ENQ
    SENDING = auto()  # we sent a frame
    WAITING = auto()  # we want to send and must wait (busy, contention)


class Event(Enum):
    """What can happen to a line."""

    ENQ = auto()
    ENQ_BUSY = auto()  # ENQ while the shell said it cannot receive
    FRAME = auto()
    REPEAT = auto()
    BAD = auto()
    EOT = auto()
    ACK = auto()
    ACK_LAST = auto()
    NAK = auto()
    NAK_LAST = auto()  # the sixth
    STRAY = auto()
    STORED = auto()
    REFUSED = auto()
    SEND = auto()
    TIMER = auto()
    LOST = auto()


class Do(Enum):
    """What is done at an event: `Link` has a method of each name."""

    NOTHING = auto()  # only the state changes
    # as receiver
    OPEN = auto()  # a session begins: ACK
    BUSY = auto()  # an ENQ we must refuse: NAK
    STORE = auto()  # have the frame stored; no answer before that
    STORED = auto()  # it is on disk: ACK
    UNSTORED = auto()  # the store refused: NAK, and the frame's number is free again
    ACK = auto()  # a frame we have already: ACK again
    NAK = auto()
    RESTART = auto()  # ENQ inside a session: hand over what came, begin anew
    END = auto()  # EOT: hand over the session
    TIMEOUT = auto()  # silence: hand over what came, as incomplete
    LOST = auto()  # the connection is gone: the same
    STORED_LOST = auto()
    UNSTORED_LOST = auto()
    # as sender
    ASK = auto()  # ENQ
    YIELD = auto()  # contention: the instrument wins
    HOLD = auto()  # the other side is busy: ask again later
    FIRST = auto()  # our ENQ was accepted: the first frame
    NEXT = auto()
    AGAIN = auto()  # the same frame
    SENT = auto()  # the last frame was accepted: EOT
    GIVE_UP_BUSY = auto()
    GIVE_UP_SILENT = auto()
    GIVE_UP_REFUSED = auto()
    SEND_LOST = auto()


# What happens, what is done, and where the line is then.
TABLE: dict[State, dict[Event, tuple[Do, State]]] = {
    State.NEUTRAL: {
        Event.ENQ: (Do.OPEN, State.RECEIVING),
        Event.ENQ_BUSY: (Do.BUSY, State.NEUTRAL),
        Event.SEND: (Do.ASK, State.ASKING),
    },
    State.RECEIVING: {
        Event.FRAME: (Do.STORE, State.STORING),
        Event.REPEAT: (Do.ACK, State.RECEIVING),
        Event.BAD: (Do.NAK, State.RECEIVING),
        Event.EOT: (Do.END, State.NEUTRAL),
        Event.ENQ: (Do.RESTART, State.RECEIVING),
        Event.ENQ_BUSY: (Do.RESTART, State.RECEIVING),
        Event.TIMER: (Do.TIMEOUT, State.NEUTRAL),
        Event.LOST: (Do.LOST, State.NEUTRAL),
    },
    State.STORING: {
        Event.STORED: (Do.STORED, State.RECEIVING),
        Event.REFUSED: (Do.UNSTORED, State.RECEIVING),
        Event.LOST: (Do.NOTHING, State.STORING_LOST),
    },
    State.STORING_LOST: {
        Event.STORED: (Do.STORED_LOST, State.NEUTRAL),
        Event.REFUSED: (Do.UNSTORED_LOST, State.NEUTRAL),
    },
    State.ASKING: {
        Event.ACK: (Do.FIRST, State.SENDING),
        Event.NAK: (Do.HOLD, State.WAITING),
        Event.NAK_LAST: (Do.GIVE_UP_BUSY, State.NEUTRAL),
        Event.ENQ: (Do.YIELD, State.WAITING),
        Event.ENQ_BUSY: (Do.YIELD, State.WAITING),
        Event.TIMER: (Do.GIVE_UP_SILENT, State.NEUTRAL),
        Event.LOST: (Do.SEND_LOST, State.NEUTRAL),
    },
    State.SENDING: {
        Event.ACK: (Do.NEXT, State.SENDING),
        Event.ACK_LAST: (Do.SENT, State.NEUTRAL),
        Event.NAK: (Do.AGAIN, State.SENDING),
        Event.ENQ: (Do.AGAIN, State.SENDING),
        Event.ENQ_BUSY: (Do.AGAIN, State.SENDING),
        Event.NAK_LAST: (Do.GIVE_UP_REFUSED, State.NEUTRAL),
        Event.TIMER: (Do.GIVE_UP_SILENT, State.NEUTRAL),
        Event.LOST: (Do.SEND_LOST, State.NEUTRAL),
    },
    State.WAITING: {
        Event.ENQ: (Do.OPEN, State.RECEIVING),
        Event.ENQ_BUSY: (Do.BUSY, State.WAITING),
        Event.TIMER: (Do.ASK, State.ASKING),
        Event.LOST: (Do.SEND_LOST, State.NEUTRAL),
    },
}
