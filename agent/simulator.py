"""Plays an analyzer: ASTM with its link layer, HL7 over MLLP, or a one-way printer port. Nothing here is real data's judge."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from agent.channels.base import Health, Line, Queries, Timer, Write
from agent.channels.hl7_ack import acks, read_head
from agent.config import Connection
from agent.journal import Journal
from common.instruments.decode import decode, protocol_of
from common.protocol.astm import effects as fx
from common.protocol.astm.framing import build_frames
from common.protocol.astm.link import Link, Role
from common.protocol.astm.unframe import restore_controls, unframe
from common.protocol.hl7 import mllp

ANSWER_SECONDS = 30.0  # an HL7 answer
ORDER_SECONDS = 5.0  # orders after a query; a host with none may stay silent


@dataclass(frozen=True, slots=True)
class Script:
    """What to send: a protocol and its messages (ASTM: records ended by CR)."""

    protocol: str
    messages: tuple[bytes, ...]


def load(data: bytes) -> Script:
    """Read a raw capture, bare records (one a line or CR separated) or HL7."""
    protocol = protocol_of(data)
    if protocol == "hl7":
        return Script("hl7", tuple(_hl7_messages(data)))
    if protocol == "astm":
        texts = [found.text for found in unframe(restore_controls(data))]
        return Script("astm", tuple(_records(text) for text in texts if text.strip()))
    return Script("text", (data,))


def _hl7_messages(data: bytes) -> list[bytes]:
    if mllp.VT in data:
        deframer = mllp.Deframer()
        return [block.message for block in deframer.receive(data) + deframer.close() if block.complete or block.message[:3] == b"MSH"]
    text = re.sub(rb"\r?\n", b"\r", data).strip(b"\r") + b"\r"
    return [part for part in re.split(rb"(?<=\r)\r*(?=MSH)", text) if part.strip()]


def _records(text: bytes) -> bytes:
    lines = re.split(rb"[\r\n]+", text)
    return b"".join(line + b"\r" for line in lines if line.strip(b"\x00 "))


def vary(script: Script, number: int) -> Script:
    """The same messages for another specimen: each specimen id keeps its length where it can and ends in `number`."""
    return Script(script.protocol, tuple(_vary(message, number) for message in script.messages))


def _vary(message: bytes, number: int) -> bytes:
    for sid in specimens(message):
        digits = str(number).zfill(min(6, max(1, len(sid) - 1)))
        changed = (sid[: max(1, len(sid) - len(digits))] + digits).encode()
        message = respecimen(message, sid.encode(), changed)
    return renumber(message, number)


def specimens(message: bytes) -> set[str]:
    """The specimen ids a message names."""
    return {sid for m in decode(message).messages for sid in (*m.query, *(s.specimen_id for s in m.specimens)) if sid}


def respecimen(message: bytes, old: bytes, new: bytes) -> bytes:
    """Replace a specimen id where records name specimens (O, Q, P; OBR, SPM, SAC, ORC, QRD, QPD), as a whole component."""
    record = re.compile(rb"(?:(?<=\r)|^)(?:[OQP][^A-Za-z0-9]|OBR|SPM|SAC|ORC|QRD|QPD)[^\r]*")
    word = re.compile(rb"(?<![A-Za-z0-9])" + re.escape(old) + rb"(?![A-Za-z0-9])")
    return record.sub(lambda found: word.sub(lambda _: new, found.group()), message)


def renumber(message: bytes, number: int) -> bytes:
    """Give an HL7 message a control id of its own."""
    head = read_head(message)
    if head is None or not head.get(10):
        return message
    first, _, rest = message.partition(b"\r")
    fields = first.split(head.separator)
    fields[9] = fields[9][:12] + b"-%d" % number
    return head.separator.join(fields) + b"\r" + rest


def standalone_line(conn: Connection, loop: asyncio.AbstractEventLoop) -> Line:
    """A line without a journal, for playing the other side with the agent's own transports."""
    return Line(conn, cast(Journal, None), cast(Queries, None), loop, health=Health())


class Player:
    """What all players share: a connected link, messages that came, whether the link is up."""

    def __init__(self, line: Line, write: Write, peer: str) -> None:
        self.line = line
        self.write = write
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.gone = asyncio.Event()

    def closed(self) -> None:
        """The link is gone."""
        self.gone.set()

    def received(self, data: bytes) -> None:
        """Bytes came: a printer port ignores them."""

    async def send(self, message: bytes) -> bool:
        """Send one message; True when it was acknowledged (a printer port cannot know)."""
        self.write(message)
        await asyncio.sleep(0.01)
        return not self.gone.is_set()


class AstmPlayer(Player):
    """An ASTM analyzer."""

    def __init__(self, line: Line, write: Write, peer: str) -> None:
        super().__init__(line, write, peer)
        self._link = Link(Role.INSTRUMENT)
        self._timer = Timer(line.loop, lambda: self._run(self._link.timer()))
        self._waiting: dict[object, asyncio.Future[bool]] = {}

    def received(self, data: bytes) -> None:
        """Bytes came."""
        self._run(self._link.receive(data))

    def closed(self) -> None:
        """The link is gone: nothing more is acknowledged."""
        self._timer.close()
        self._run(self._link.lost())
        for future in self._waiting.values():
            if not future.done():
                future.set_result(False)
        super().closed()

    async def send(self, message: bytes) -> bool:
        """Send one message, a record a frame; True when every frame was acknowledged."""
        return await self.send_frames(build_frames(message, per_record=True))

    async def send_frames(self, frames: list[bytes]) -> bool:
        """Send ready frames in one transfer phase."""
        tag = object()
        future = self._waiting[tag] = self.line.loop.create_future()
        self._run(self._link.send(frames, tag))
        if self.gone.is_set() and not future.done():
            future.set_result(False)
        return bool(await future)

    def _run(self, effects: list[fx.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, fx.Write):
                self.write(effect.data)
            elif isinstance(effect, fx.Persist):
                self._run(self._link.persisted())
            elif isinstance(effect, fx.StartTimer):
                self._timer.start(effect.seconds)
            elif isinstance(effect, fx.StopTimer):
                self._timer.stop()
            elif isinstance(effect, fx.MessageDone):
                self.inbox.put_nowait(effect.body)
            elif isinstance(effect, fx.Sent | fx.SendFailed):
                future = self._waiting.pop(effect.tag)
                if not future.done():
                    future.set_result(isinstance(effect, fx.Sent))


class Hl7Player(Player):
    """An HL7 analyzer."""

    def __init__(self, line: Line, write: Write, peer: str) -> None:
        super().__init__(line, write, peer)
        self._deframer = mllp.Deframer()
        self._answers: dict[bytes, asyncio.Future[bool]] = {}

    def received(self, data: bytes) -> None:
        """Bytes came: answers to what was sent, and orders, which are acknowledged."""
        for block in self._deframer.receive(data):
            answered = _msa(block.message)
            future = self._answers.pop(answered[1], None) if answered else None
            if answered and future is not None and not future.done():
                future.set_result(answered[0] in (b"AA", b"CA"))
            head = read_head(block.message)
            if head is not None and head.type in (b"OML", b"ORM", b"DSR", b"RSP", b"ORR"):
                self.inbox.put_nowait(block.raw)
                for ack in acks(block.message, stored=True, now=datetime.now().astimezone(), number=1):
                    self.write(mllp.frame(ack))

    async def send(self, message: bytes) -> bool:
        """Send one message; True when the answer with its control id says AA or CA."""
        head = read_head(message)
        future = self._answers[head.get(10) if head else b""] = self.line.loop.create_future()
        self.write(mllp.frame(message))
        gone = asyncio.ensure_future(self.gone.wait())
        await asyncio.wait({future, gone}, timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        return bool(future.done() and future.result())


PLAYERS: dict[str, type[Player]] = {"astm": AstmPlayer, "hl7": Hl7Player}


def _msa(message: bytes) -> tuple[bytes, bytes] | None:
    head = read_head(message)
    if head is None:
        return None
    for line in message.replace(b"\n", b"\r").split(b"\r"):
        if line.startswith(b"MSA" + head.separator):
            fields = [*line.split(head.separator), b"", b""]
            return fields[1], fields[2]
    return None


async def play(player: Player, script: Script, report: list[dict[str, Any]]) -> bool:
    """Send a script's messages in order; after a query wait for orders (null: none came). True when all was acknowledged."""
    good = True
    for message in script.messages:
        query = any(found.kind == "query" for found in decode(message).messages)
        ok = await player.send(message)
        entry: dict[str, Any] = {"acknowledged": ok}
        if query and ok:
            entry["orders"] = await orders(player)
        good = good and ok
        report.append(entry)
        print(json.dumps(entry, ensure_ascii=False), flush=True)
        if not ok:
            break
    return good


async def orders(player: Player, seconds: float = ORDER_SECONDS) -> list[dict[str, Any]] | None:
    """The host's answer to a query: the ordered tests by specimen; None when it never came."""
    try:
        first = await asyncio.wait_for(player.inbox.get(), seconds)
    except TimeoutError:
        return None
    bodies = [first]
    try:
        while True:
            bodies.append(await asyncio.wait_for(player.inbox.get(), 0.5))
    except TimeoutError:
        return [order for body in bodies for order in _ordered(body)]


def _ordered(body: bytes) -> list[dict[str, Any]]:
    return [
        {"specimen_id": specimen.specimen_id, "tests": [result.code for result in specimen.results]}
        for message in decode(body).messages
        if message.kind == "order"
        for specimen in message.specimens
    ]
