"""A whole life of an agent in one process, in half a second: analyzers, power cuts, a full disk, a broker that loses, a cloud that errs.

The parts are the product's own (channels, journal, salvage, uplink); disk, broker, cloud and time are played. A recorder notes what was
sent and what was answered. ``judge`` reads only the recorder, what the cloud stored, and the files that are left.
The same seed gives the same life.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import pytest

from agent import app, store, uplink
from agent.channels.astm import AstmChannel
from agent.channels.base import Line, now_ms
from agent.channels.hl7 import Hl7Channel
from agent.channels.oneway import OneWayChannel
from agent.config import Config, Connection, DataDir, Identity, Transport
from agent.salvage import open_journal
from agent.uplink import Keys, Uplink
from common import crypto, envelope, topics
from common.envelope import Header
from common.protocol.astm.framing import build_frames
from common.protocol.hl7 import mllp
from tests.support.crash.plans import ORDINARY, Plan
from tests.support.crash.power import Power

ENQ, ACK, NAK, EOT = b"\x05", b"\x06", b"\x15", b"\x04"
MARKER = b"ZHANGMARKER"  # the patient's name: it must lie readable nowhere
AGENT, TENANT = "0b2f6f3e-6a55-4c3c-9a58-0d2f1a2b3c4d", "renmin"


@dataclass
class Sent:
    """One session or block an analyzer sent: its parts, how many were acknowledged, whether its end was sent."""

    key: str
    parts: list[bytes]
    acked: int = 0
    tried: int = 0
    ended: bool = False
    sure: bool = False  # its end, which nobody acknowledges, had its commit
    urgent: bool = False


@dataclass
class Recorder:
    """Everything seen from outside."""

    sent: list[Sent] = field(default_factory=list)
    spoiled: list[bytes] = field(default_factory=list)  # sent with a wrong checksum: must never be stored
    stored: dict[tuple[str, int], tuple[bytes, dict[str, Any]]] = field(default_factory=dict)  # by the cloud
    notes: list[str] = field(default_factory=list)  # what a witness saw go wrong on the spot
    published: list[bytes] = field(default_factory=list)
    destroyed: set[tuple[str, int]] = field(default_factory=set)  # by the disk, when the cloud had them
    kills: int = 0


class Queries:
    """Stands where the worklist is: urgent is what says so."""

    def is_urgent(self, body: bytes) -> bool:
        return b"URGENT" in body

    def asks(self, conn: Connection, body: bytes) -> bool:
        return False


class Client:
    """Stands where paho is; the broker behind it acknowledges everything and loses some."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.mid = 0

    def publish(self, topic: str, data: bytes, qos: int) -> Any:
        self.mid += 1
        self.life.published(self.mid, topic, data)
        return self

    def disconnect(self) -> None:
        return None


class Wire(Uplink):
    """The product's uplink over that client."""

    life: Life

    def _make_client(self, tls: Any) -> Any:
        return Client(self.life)

    def _probe(self) -> None:
        return None


class Analyzer:
    """Sends sessions over one line, one part at a time, and reads the answers."""

    def __init__(self, life: Life, key: str, kind: str) -> None:
        self.life, self.key, self.kind = life, key, kind
        self.conn = Connection(key, key, "", kind, Transport("tcp-listen", port=1), idle_group_ms=10_000)
        self.numbers = 0
        self.last: tuple[Sent, int] | None = None  # the newest session that ended, and the commits until then
        self.begin()

    def begin(self) -> None:
        """A new link."""
        life = self.life
        self.answers = bytearray()
        self.now: Sent | None = None
        self.waiting, self.last, self.asked = False, None, 0
        line = Line(self.conn, life.journal, Queries(), life.loop)  # type: ignore[arg-type]
        channel = {"astm": AstmChannel, "hl7": Hl7Channel}.get(self.kind, OneWayChannel)
        self.channel: Any = channel(line, self.answers.extend, "peer")

    def lose(self) -> None:
        """The link breaks; what was on the way is sent anew under another key."""
        self.channel.closed()
        self.begin()

    def step(self) -> None:
        """Hear the answer, say the next thing."""
        if self.last is not None and self.life.flushes > self.last[1]:
            self.last[0].sure = True
        if self.kind == "astm":
            self._astm()
        elif self.kind == "hl7":
            self._hl7()

    def _new(self) -> str:
        self.numbers += 1
        urgent = self.life.dice.random() < 0.1
        return f"{self.key}-{self.life.era}-{self.numbers}{'-URGENT' if urgent else ''}"

    def _astm(self) -> None:
        dice = self.life.dice
        if self.now is None:
            key = self._new()
            results = "".join(f"R|{n}|^^^T{n}|{n}.5|g/L||N||F||{key}\r" for n in range(1, dice.randint(2, 5)))
            records = f"H|\\^&|||S\rP|1|||{MARKER.decode()}|{key}\rO|1|{key}||^^^CBC\r{results}L|1|N|{key}\r".encode()
            if dice.random() < self.life.plan.comments:
                numbered = "".join(f"{n:04d}" for n in range(self.life.plan.comment // 4)).encode()  # no two frames of it alike
                records = records.replace(b"L|1", b"C|1|" + numbered + key.encode() + b"\rL|1")
            self.now = Sent(key, build_frames(records, per_record=dice.random() < 0.7, limit=240), urgent="URGENT" in key)
            self.answers.clear()
            self.channel.received(ENQ)
            return
        sent = self.now
        answer, self.answers[:] = bytes(self.answers[-1:]), b""
        if not answer:
            return
        if not self.waiting:
            if answer == NAK:  # busy
                self.now = None
                return
            self.life.record.sent.append(sent)
        elif answer == ACK:
            sent.acked += 1
        self.waiting = True
        if sent.acked == len(sent.parts):
            sent.ended = True
            self.channel.received(EOT)
            self.last = (sent, self.life.flushes)
            self.now, self.waiting = None, False
            return
        self._frame(sent, dice)

    def _frame(self, sent: Sent, dice: random.Random) -> None:
        frame = sent.parts[sent.acked]
        sent.tried = max(sent.tried, sent.acked + 1)
        roll = dice.random()
        if roll < 0.08:
            bad = frame.replace(b".5|g", b".6|g") if b".5|g" in frame else frame[:2] + b"~" + frame[3:]
            self.life.record.spoiled.append(bad)
            self.channel.received(bad)
        elif roll < 0.16 and sent.acked:
            self.channel.received(sent.parts[sent.acked - 1])  # as after a lost ACK: answered, stored once
            sent.acked -= 1
        elif roll < 0.3:
            cut = dice.randrange(1, len(frame))
            self.channel.received(frame[:cut])
            self.channel.received(frame[cut:])
        else:
            self.channel.received(frame)

    def _hl7(self) -> None:
        if self.now is not None:
            answer, self.answers[:] = bytes(self.answers), b""
            if not answer:
                if self.life.flushes - self.asked == 3:
                    self.life.record.notes.append(f"no answer: {self.now.key}")
                return
            if b"MSA|AA" in answer:
                self.now.acked, self.now.ended, self.now.sure = 1, True, True
            self.now = None
            return
        key = self._new()
        text = f"MSH|^~\\&|BC|L|||20260701||ORU^R01|{key}|P|2.3.1\rPID|1||{MARKER.decode()}\rOBX|1|NM|WBC||6.1|g|{key}\r"
        self.now = Sent(key, [mllp.frame(text.encode())], tried=1, urgent="URGENT" in key)
        self.life.record.sent.append(self.now)
        self.asked = self.life.flushes
        self.channel.received(self.now.parts[0])


class Life:
    """See the module's text."""

    def __init__(self, folder: Path, seed: int, patch: pytest.MonkeyPatch, plan: Plan) -> None:
        self.folder, self.dice, self.record = folder, random.Random(seed), Recorder()
        self.seed, self.era = seed, 0
        self.cloud_key, self.agent_key, self.stranger = crypto.new_key(), crypto.new_key(), crypto.new_key()
        self.online = self.calm = False
        self.receipts: list[tuple[str, int, str]] = []
        self.first_of_connection = False
        self.patch, self.plan = patch, plan
        self.flushes = 0

    # --- the disk

    def open(self, folder: Path) -> None:
        """Start the agent's parts on the files of a folder."""
        self.era += 1
        self.here = folder
        self.power = power = Power(f"jl-life-{self.seed}-{id(self)}-{self.era}")
        real = self._connect
        self.patch.setattr(store, "connect", lambda path, vfs=None: real(path, power.name))
        maker = app.Agent(DataDir(folder))
        maker.config = Config(connections=tuple(a.conn for a in getattr(self, "analyzers", [])))
        self.journal = open_journal(folder / "journal.db", maker.unfinished, now_ms())
        self.uplink: Wire | None = None

    _connect = staticmethod(store.connect)

    def cut(self) -> None:
        """The power goes. Sometimes the file's head is destroyed, too."""
        after = self.folder / f"era{self.era}"
        spoil = self.dice.random() < self.plan.spoil
        self.record.kills += 1
        if spoil and self.plan.wear:
            self._wear()
        if spoil:
            self.journal.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # or the WAL would hold the head once more
        self.power.cut(self.here, after, self.dice)
        if self.uplink is not None:
            self.uplink.connected = False
        self.uplink, self.online = None, False
        self.journal.db.close(True)
        if spoil and (after / "journal.db").stat().st_size > 8192:
            with open(after / "journal.db", "r+b") as file:
                file.write(bytes(100))
        self.open(after)
        for analyzer in self.analyzers:
            analyzer.begin()

    def _wear(self) -> None:
        """The newest message can't be read any more."""
        number, key = self.journal.highest, (self.journal.stream, self.journal.highest_seq)
        if key in self.record.stored:
            self.record.destroyed.add(key)
            self.journal.db.execute("UPDATE messages SET crc = crc + 1 WHERE id = ?", (number,))

    # --- the cloud

    def connect(self) -> None:
        """The broker is there."""
        if self.uplink is None:
            Wire.life = self
            keys = Keys(self.agent_key, self.cloud_key.public_key())
            self.uplink = Wire(self.journal, Identity(AGENT, TENANT, "", "", 0), keys, "boot", lambda kind, found: None, None)
            self.journal.on_message = self.uplink.wake
        self.online, self.first_of_connection = True, True
        self.uplink._connected()

    def published(self, mid: int, topic: str, data: bytes) -> None:
        """The broker took it: acknowledged at once, delivered perhaps."""
        assert self.uplink is not None
        self.loop.call_soon(self.uplink._puback, mid)
        read = envelope.parse(data)
        if read.header.kind != "raw":
            return
        self._order(read.body)
        self.record.published.append(read.body)
        if not self.calm and self.dice.random() < 0.25:
            return
        self._store(read)

    def _order(self, body: bytes) -> None:
        if not self.first_of_connection:
            return
        self.first_of_connection = False
        known = b"".join(self.record.published)
        waiting = [s.key for s in self.record.sent if s.urgent and s.sure and s.key.encode() not in known]
        if waiting and b"URGENT" not in body:
            self.record.notes.append(f"urgent {waiting[0]} waits behind {body[:40]!r}")

    def _store(self, read: envelope.Envelope) -> None:
        header = read.header
        if not envelope.verify(read, self.agent_key.public_key()) or (header.tenant, header.agent) != (TENANT, AGENT):
            self.record.notes.append("an envelope that is not this agent's")
            return
        key = (header.stream, header.seq)
        if self.record.stored.setdefault(key, (read.body, dict(header.meta)))[0] != read.body:
            self.record.notes.append(f"one number, two contents: {key}")
        self.receipts.append((header.stream, header.seq, header.sha256))

    def say(self, stream: str, items: list[tuple[int, str]], key: crypto.PrivateKey) -> None:
        """A receipt goes down."""
        assert self.uplink is not None
        header = Header(TENANT, AGENT, "receipt", at="2026-07-01T00:00:00+00:00", stream=stream)
        body = f'{{"stream":"{stream}","items":[{",".join(f"[{seq},{chr(34)}{sha}{chr(34)}]" for seq, sha in items)}]}}'.encode()
        self.uplink._received(topics.down(TENANT, AGENT, "receipt"), envelope.seal(header, body, key))

    def _answer(self) -> None:
        """Receipts, some late, some twice; some forged, some for other contents."""
        rest = []
        for stream, seq, sha in self.receipts:
            if self.calm or self.dice.random() < 0.6:
                self.say(stream, [(seq, sha)], self.cloud_key)
            else:
                rest.append((stream, seq, sha))
        self.receipts = rest
        waiting = [] if self.calm else self.journal.pending_ids(urgent=False, above=0, limit=20)
        if waiting and self.dice.random() < 0.3:
            for key, sha in ((self.stranger, None), (self.cloud_key, "0" * 64)):
                stored = self.journal.read(self.dice.choice(waiting))
                if stored is not None:
                    self.say(stored.stream, [(stored.seq, sha or stored.sha256)], key)

    # --- a life

    async def run(self, steps: int) -> Recorder:
        """Live, then let everything come to rest."""
        self.loop = asyncio.get_running_loop()
        (self.folder / "start").mkdir()
        self.open(self.folder / "start")
        kinds = {"a1": "astm", "a2": "astm", "h1": "hl7"}
        self.analyzers = [Analyzer(self, key, kind) for key, kind in kinds.items()]
        for number in range(steps):
            await self._step(number)
        await self._rest()
        return self.record

    async def _step(self, number: int) -> None:
        dice = self.dice
        for analyzer in self.analyzers:
            analyzer.step()
        if dice.random() < 0.8:
            self._flush(dice.random() < 0.06)
        roll = dice.random()
        if roll < self.plan.cut:
            self.cut()
        elif roll < self.plan.cut + 0.008:
            dice.choice(self.analyzers).lose()
        elif roll < 0.05:
            self.journal.refusing = True
        elif roll < 0.11:
            self.journal.refusing = False
        elif roll < 0.11 + self.plan.connect and number > 60:
            self.connect()
        elif roll < 0.12 + self.plan.connect and self.uplink is not None:
            self.online = False
            self.uplink._disconnected("lost")
        await self._uplink()

    def _flush(self, fails: bool) -> None:
        if fails:  # the disk says no in the middle of a commit
            self.journal.db.execute("CREATE TEMP TRIGGER f BEFORE INSERT ON main.frames BEGIN SELECT raise(ABORT, 'no'); END")
            self.journal.db.execute("CREATE TEMP TRIGGER m BEFORE INSERT ON main.messages BEGIN SELECT raise(ABORT, 'no'); END")
        self.journal.flush()
        self.flushes += not fails
        if fails:
            self.journal.db.execute("DROP TRIGGER f")
            self.journal.db.execute("DROP TRIGGER m")

    async def _uplink(self) -> None:
        if self.uplink is None or not self.online:
            return
        self.uplink.tick()
        for _ in range(4):
            await asyncio.sleep(0)
        self._answer()
        self.journal.flush()

    async def _rest(self) -> None:
        self.journal.refusing = False
        for analyzer in self.analyzers:
            analyzer.lose()
        self.journal.flush()
        if self.uplink is None or self.dice.random() < 0.3:
            self.cut()
        self.calm = True
        self.connect()
        for _ in range(150):
            await self._uplink()
            if not self.journal.pending_count:
                break
        self.journal.drop_old(now_ms() + 13 * 86_400_000)
        self.journal.flush()
        self.uplink.connected = False  # type: ignore[union-attr]
        self.journal.db.close(True)


def judge(record: Recorder, folder: Path) -> list[str]:
    """What is wrong; empty when nothing is."""
    bad = list(record.notes)
    found: Counter[bytes] = Counter()
    for body, _ in record.stored.values():
        for part in _parts(body):
            found[part] += 1
    most: Counter[bytes] = Counter()
    for sent in record.sent:
        for number, part in enumerate(sent.parts):
            most[part] += number < sent.tried
            if number < sent.acked and not found[part]:
                bad.append(f"acknowledged and lost: {sent.key} part {number}")
    bad += [f"stored {n} times: {part!r:.60}" for part, n in found.items() if n > most[part] > 0]
    bad += [f"invented: {part!r:.60}" for part in found if not most[part]]
    bodies = {body for body, meta in record.stored.values() if meta.get("complete") is True}
    for sent in record.sent:
        whole = sent.parts[0] if sent.parts[0][:1] == b"\x0b" else ENQ + b"".join(sent.parts) + EOT
        if sent.sure and whole not in bodies:
            bad.append(f"a whole session is not a whole message: {sent.key}")
    return bad + _left(record, folder)


def _left(record: Recorder, folder: Path) -> list[str]:
    """The files that are left: everything in its reserve and receipted, nothing readable."""
    db = apsw.Connection(str(folder / "journal.db"))
    rows = db.execute("SELECT s.uuid, m.id & 1099511627775, m.state FROM messages m JOIN streams s ON s.no = m.id >> 40").fetchall()
    db.close()
    bad = [f"not receipted at the end: {stream} {seq} state {state}" for stream, seq, state in rows if state != 1]
    kept = {(stream, seq) for stream, seq, _ in rows}
    bad += [f"stored by the cloud and gone from the reserve: {key}" for key in record.stored if key not in kept | record.destroyed]
    bad += [f"in the reserve and never stored by the cloud: {key}" for key in kept if key not in record.stored]
    return bad + [f"readable in {path.name}" for path in folder.iterdir() if path.is_file() and MARKER in path.read_bytes()]


def _parts(body: bytes) -> list[bytes]:
    if body[:1] == b"\x0b":
        return [body]
    return [b"\x02" + part.removesuffix(EOT) for part in body.removeprefix(ENQ).split(b"\x02")[1:]]


def live(folder: Path, seed: int, bug: Any = None, steps: int = 400, plan: Plan = ORDINARY) -> list[str]:
    """One life, with a bug planted or none; what the judge says."""
    return lived(folder, seed, bug, steps, plan)[0]


def lived(folder: Path, seed: int, bug: Any = None, steps: int = 400, plan: Plan = ORDINARY) -> tuple[list[str], int]:
    """The same, and how often the power was cut in it. An agent that dies of its bug is caught, too."""
    folder.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uplink, "RECEIPT_SECONDS", 0.0)
        patch.setattr("agent.log._least", [9])
        if bug is not None:
            bug(patch)
        life = Life(folder, seed, patch, bug.plan if bug is not None else plan)
        try:
            record = asyncio.run(life.run(steps))
        except Exception as error:
            if bug is None:
                raise
            return [f"the agent died: {type(error).__name__}: {error}"], life.record.kills
        return judge(record, life.here), record.kills
