"""Bugs to plant into an agent, to show that the judge catches them. Each is a function that patches the running code."""

from __future__ import annotations

from collections.abc import Callable

from agent import journal as journal_module
from agent.channels.astm import AstmChannel
from agent.journal import Journal


def ack_before_commit() -> None:
    """The frame is acknowledged when it was queued, not when it is on disk."""
    original = Journal.frame

    def frame(self: Journal, session: int, at: int, data: bytes, done: Callable[[bool], None]) -> None:
        original(self, session, at, data, lambda ok: None)
        done(True)

    Journal.frame = frame  # type: ignore[method-assign]


def late_commit() -> None:
    """Frames are answered at once and written a second later."""
    ack_before_commit()
    Journal.flush = lambda self: None  # type: ignore[method-assign]


def forget_unfinished() -> None:
    """What a crash cut is thrown away at the next start."""

    def recover(self: Journal, build: object) -> int:
        self.db.execute("DELETE FROM frames")
        return 0

    Journal.recover = recover  # type: ignore[method-assign]


def no_marker() -> None:
    """A session's end leaves no mark: after a restart its frames become a message once more."""
    original = journal_module.Journal.close_session

    def close_session(self: Journal, session: int, message: object, done: object = None) -> None:
        self._sessions[session].first = 0
        original(self, session, message, done)  # type: ignore[arg-type]

    Journal.close_session = close_session  # type: ignore[method-assign]


def drop_at_end() -> None:
    """The message is only made of the last frames."""
    original = AstmChannel._done

    def done(self: AstmChannel, effect: object) -> None:
        from dataclasses import replace

        body: bytes = effect.body  # type: ignore[attr-defined]
        original(self, replace(effect, body=b"\x05\x02" + body.split(b"\x02", 2)[2]))  # type: ignore[type-var, arg-type]

    AstmChannel._done = done  # type: ignore[method-assign, assignment]


__all__ = ["ack_before_commit", "drop_at_end", "forget_unfinished", "late_commit", "no_marker"]
