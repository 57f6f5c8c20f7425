"""The shell of an ASTM link: carries out the effects of `common.protocol.astm.link` on one connection."""

from __future__ import annotations

from time import time_ns

from agent.channels.base import Fate, Line, Outcome, Timer, Write, now_ms
from agent.channels.sentences import ASTM
from agent.health import SAMPLE
from common.protocol.astm import effects as fx
from common.protocol.astm.framing import ACK, build_frames
from common.protocol.astm.link import RECEIVE_SECONDS, Link, Role

_ACK = bytes((ACK,))


class AstmChannel:
    """One ASTM link. Every frame goes to the journal before it is acknowledged."""

    def __init__(self, line: Line, write: Write, peer: str) -> None:
        self._line = line
        self._health = line.health
        self._journal = line.journal
        self._write = write
        self._peer = peer
        self._link = Link(Role.HOST)
        self._timer = Timer(line.loop, self._ring)
        self._heard = self._stored
        self._session: int | None = None
        self._started = 0
        line.offers.append(self.offer)

    def received(self, data: bytes) -> None:
        """Bytes came."""
        if self._link.take(data):
            self._persist(data)
            return
        self._link.busy(self._journal.refusing)
        health = self._health
        health.unread += len(data)
        health.sample = data if len(data) >= SAMPLE else (health.sample + data)[-SAMPLE:]
        self._run(self._link.receive(data))
        health.last_byte = now_ms() / 1000

    def closed(self) -> None:
        """The link is gone: a frame being stored is still kept."""
        self._write = _nowhere
        if self.offer in self._line.offers:
            self._line.offers.remove(self.offer)
        self._run(self._link.lost())
        self._timer.close()

    def _run(self, effects: list[fx.Effect]) -> None:
        for effect in effects:
            kind = type(effect)
            if kind is fx.Persist:
                self._persist(effect.frame)  # type: ignore[union-attr]
            elif kind is fx.Write:
                self._write(effect.data)  # type: ignore[union-attr]
            elif kind is fx.StartTimer:
                self._timer.start(effect.seconds)  # type: ignore[union-attr]
            else:
                self._seldom(effect)

    def _persist(self, frame: bytes) -> None:
        now = time_ns() // 1_000_000
        if self._session is None:
            self._session = self._journal.open_session(self._line.conn.key, now)
        health = self._health
        health.frames += 1
        health.last_byte = now / 1000
        if health.unread or health.bad_run:
            health.unread, health.sample, health.bad_run = 0, b"", 0
        self._journal.frame(self._session, now, frame, self._heard)

    def _stored(self, ok: bool) -> None:
        if ok and self._link.kept():
            self._write(_ACK)
            self._timer.start(RECEIVE_SECONDS)
        else:
            self._run(self._link.persisted() if ok else self._link.refused())

    def _ring(self) -> None:
        self._run(self._link.timer())

    def _seldom(self, effect: fx.Effect) -> None:
        if isinstance(effect, fx.StopTimer):
            self._timer.stop()
            self._health.state = "idle"
        elif isinstance(effect, fx.SessionStart):
            self._drop_session()
            self._started = now_ms()
            self._health.state = "transferring"
        elif isinstance(effect, fx.MessageDone):
            self._done(effect)
        elif isinstance(effect, fx.Notice):
            self._notice(effect.problem)
        elif isinstance(effect, fx.Sent):
            if callable(effect.tag):
                effect.tag(Fate.TAKEN, "")
        elif isinstance(effect, fx.SendFailed):
            self._health.notice(effect.problem.value)
            self._line.trouble(f"下发申请失败：{ASTM[effect.problem]}")
            if callable(effect.tag):
                effect.tag(Fate.LOST, ASTM[effect.problem])

    def _done(self, done: fx.MessageDone) -> None:
        problems = [ASTM[problem] for problem in done.problems]
        message = self._line.outgoing(done.body, self._started, done.frames, complete=done.complete, problems=problems, peer=self._peer)
        session, self._session = self._session, None
        if session is not None:
            self._journal.close_session(session, message)
        line = self._line
        if done.complete and line.queries.asks(line.conn, done.body):
            line.health.queries += 1
            line.queries.answer(line.conn, done.body, self.send)

    def send(self, messages: list[bytes]) -> None:
        """Send order messages, each in a transfer phase of its own."""
        for message in messages:
            self._run(self._link.send(build_frames(message), None))

    def offer(self, message: bytes, outcome: Outcome) -> None:
        """Send an order nobody asked for; the analyzer took it when it acknowledged every frame (LIS01 has no other answer)."""
        self._run(self._link.send(build_frames(message), outcome))

    def _drop_session(self) -> None:
        """A session all of whose frames were refused leaves nothing behind."""
        if self._session is not None:
            self._journal.close_session(self._session, None)
            self._session = None

    def _notice(self, problem: fx.Problem) -> None:
        health = self._health
        health.notice(problem.value)
        health.unread, health.sample = 0, b""  # the link knows what it was
        if problem is fx.Problem.CHECKSUM:
            health.checksum_errors += 1
            health.bad_run += 1
        elif problem is fx.Problem.REFUSED:
            health.refused += 1
        self._line.trouble(ASTM[problem])


def _nowhere(data: bytes) -> None:
    """Where writes go when the link is gone."""
