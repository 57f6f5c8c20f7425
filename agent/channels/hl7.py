"""The shell of an HL7 line: MLLP blocks into the journal, and the acknowledgement after the COMMIT."""

from __future__ import annotations

from datetime import datetime

from agent.channels.base import Line, Outcome, Timer, Write, now_ms
from agent.channels.hl7_ack import acks
from agent.channels.hl7_orders import Orders, heard
from agent.channels.sentences import MLLP
from agent.health import SAMPLE
from common.protocol.hl7 import mllp
from common.protocol.hl7.mllp import Block, BlockProblem, Deframer


class Hl7Channel:
    """One MLLP link. AA or CA (before them, under release 2, the commit answer) is written only after the block's bytes are on disk."""

    def __init__(self, line: Line, write: Write, peer: str) -> None:
        self._line = line
        self._write = write
        self._peer = peer
        self._deframer = Deframer()
        self._timer = Timer(line.loop, self._silent)
        self._started = 0
        self._answers = 0
        self._orders = Orders(line.loop, self.send)
        line.offers.append(self.offer)

    def received(self, data: bytes) -> None:
        """Bytes came."""
        now = now_ms()
        health = self._line.health
        health.last_byte = now / 1000
        health.unread += len(data)
        health.sample = data if len(data) >= SAMPLE else (health.sample + data)[-SAMPLE:]
        if not self._deframer.waiting:
            self._started = now
        self._take(self._deframer.receive(data))
        if self._deframer.waiting:
            self._line.health.state = "transferring"
            self._timer.start(mllp.IDLE_SECONDS)
        else:
            self._line.health.state = "idle"
            self._timer.stop()

    def closed(self) -> None:
        """The link is gone: what was begun is kept."""
        self._write = _nowhere
        if self.offer in self._line.offers:
            self._line.offers.remove(self.offer)
        self._timer.close()
        self._orders.lost()
        self._take(self._deframer.close())

    def send(self, messages: list[bytes]) -> None:
        """Send messages, each in a block."""
        for message in messages:
            self._write(mllp.frame(message))

    def offer(self, message: bytes, outcome: Outcome) -> None:
        """Send an order nobody asked for, after those before it were answered."""
        self._orders.offer(message, outcome)

    def _answered(self, message: bytes) -> None:
        """The analyzer's word about an order of ours."""
        said = heard(message)
        if said is None:
            return
        if said.refusal:
            self._line.health.notice("order-refused")
            self._line.trouble(f"仪器拒收下发的申请：{said.refusal} (order refused)")
        self._orders.answered(said)

    def _silent(self) -> None:
        self._line.health.notice("timeout")
        self._take(self._deframer.idle())

    def _take(self, blocks: list[Block]) -> None:
        for block in blocks:
            if not mllp.is_commit(block):
                self._store(block)

    def _store(self, block: Block) -> None:
        line = self._line
        if block.problem is BlockProblem.TOO_LARGE:
            line.trouble(MLLP[block.problem])
            line.health.refused += 1
            if line.conn.transport.mllp == 2:
                self._write(mllp.commit(False))
            self._acknowledge(block, stored=False)  # final: sent again it would be as large
            return
        if block.problem is not BlockProblem.STRAY:
            line.health.unread, line.health.sample = 0, b""
            line.health.frames += 1
        problems = [] if block.problem is None else [MLLP[block.problem]]
        message = line.outgoing(block.raw, self._started, 1, complete=block.complete, problems=problems, peer=self._peer)
        line.journal.message(message, lambda ok: self._stored(block, ok))
        self._answered(block.message)

    def _stored(self, block: Block, ok: bool) -> None:
        line = self._line
        if line.conn.transport.mllp == 2 and block.problem is not BlockProblem.STRAY:
            self._write(mllp.commit(ok))
            if not ok:  # the peer sends the block again: an application answer would end the matter
                line.health.refused += 1
                line.trouble("本机无法保存，已答复 NAK (cannot store, refused)")
                return
        if not ok:
            line.health.refused += 1
            line.trouble("本机无法保存，已答复 AE (cannot store, refused)")
        if ok and line.queries.asks(line.conn, block.message):
            line.health.queries += 1
            line.queries.answer(line.conn, block.raw, lambda messages: self._reply(block, messages))
            return
        self._acknowledge(block, stored=ok)

    def _reply(self, block: Block, messages: list[bytes]) -> None:
        if messages:
            self.send(messages)
        else:
            self._acknowledge(block, stored=True)

    def _acknowledge(self, block: Block, *, stored: bool) -> None:
        if block.problem is BlockProblem.STRAY:
            return
        self._answers += 1
        # MSH-7 is the hospital's local time, as analyzers expect it.
        now = datetime.now().astimezone()
        self.send(acks(block.message, stored=stored, now=now, number=self._answers))


def _nowhere(data: bytes) -> None:
    """Where writes go when the link is gone."""
