"""Bugs to plant into an agent that lives in this process (tests/support/crash/life.py). Each must be caught by the judge.

A bug is a function of a MonkeyPatch that changes the running code; the product has no switches for it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from agent import journal as journal_module
from agent import rows, salvage, store, uplink, vault
from agent.channels.astm import AstmChannel
from agent.channels.base import Line
from agent.channels.hl7 import Hl7Channel
from agent.journal import Journal
from agent.uplink import Uplink
from common import envelope
from common.protocol.astm import link
from common.protocol.astm.table import Event
from tests.support.crash.plans import LONG, ORDINARY, WORN, Plan

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]
BUGS: dict[str, Bug] = {}


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug, and the kind of life that shows it."""

    plant: Plant
    plan: Plan

    def __call__(self, patch: Patch) -> None:
        """Plant it."""
        self.plant(patch)


def bug(name: str, plan: Plan = ORDINARY) -> Callable[[Plant], Plant]:
    """Enter a bug into the list."""

    def enter(plant: Plant) -> Plant:
        BUGS[name] = Bug(plant, plan)
        return plant

    return enter


def around(patch: Patch, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replace a function by one made from it."""
    patch.setattr(owner, name, make(getattr(owner, name)))


# --- answers


@bug("ACK before the commit")
def _(patch: Patch) -> None:
    def make(real: Any) -> Any:
        def frame(self: Journal, session: int, at: int, data: bytes, done: Any) -> None:
            real(self, session, at, data, lambda ok: None)
            done(True)

        return frame

    around(patch, Journal, "frame", make)


@bug("a failed commit is answered as stored")
def _(patch: Patch) -> None:
    around(patch, Journal, "_answer", lambda real: staticmethod(lambda waiting, work, *, ok: real(waiting, work, ok=True)))


@bug("a full disk drops and acknowledges")
def _(patch: Patch) -> None:
    def make(real: Any) -> Any:
        return lambda self, session, at, data, done: done(True) if self.refusing else real(self, session, at, data, done)

    around(patch, Journal, "frame", make)


@bug("AA before the commit")
def _(patch: Patch) -> None:
    around(patch, Journal, "message", lambda real: lambda self, m, done=None: (real(self, m, None), done and done(True)))


@bug("AA although refused")
def _(patch: Patch) -> None:
    around(patch, Hl7Channel, "_acknowledge", lambda real: lambda self, block, *, stored: real(self, block, stored=True))


@bug("checksums are not looked at")
def _(patch: Patch) -> None:
    around(patch, link.Link, "_refuse", _accept_anyway)


def _accept_anyway(real: Any) -> Any:
    """A frame that is to be refused for its checksum is taken."""

    def refuse(self: Any, length: int, problem: Any, out: Any) -> Any:
        if str(problem) != "checksum":
            return real(self, length, problem, out)
        self._pending = bytes(self._buffer[:length])
        self._last = self._pending[1:-4]
        self._last_number = (self._last_number + 1) & 7
        del self._buffer[:length]
        self._scan = 0
        return Event.FRAME

    return refuse


@bug("a frame sent again is stored again")
def _(patch: Patch) -> None:
    def make(real: Any) -> Any:
        def body(self: Any, event: Any, out: Any) -> None:
            if event is Event.REPEAT:
                self._pending = b"\x02" + self._last + (b"%02X" % (sum(self._last) & 0xFF)) + b"\r\n"
                event = Event.FRAME
            real(self, event, out)

        return body

    around(patch, link.Link, "_step", make)


# --- sessions and messages


@bug("what a crash cut is thrown away")
def _(patch: Patch) -> None:
    patch.setattr(Journal, "recover", lambda self, build: self.db.execute("DELETE FROM frames") and 0)


@bug("a session's end leaves no mark")
def _(patch: Patch) -> None:
    def make(real: Any) -> Any:
        def close(self: Journal, session: int, message: Any, done: Any = None) -> None:
            self._sessions[session].first = 0
            real(self, session, message, done)

        return close

    around(patch, Journal, "close_session", make)


@bug("the first frame is left out of the message")
def _(patch: Patch) -> None:
    def make(real: Any) -> Any:
        return lambda self, done: real(self, replace(done, body=b"\x05\x02" + done.body.split(b"\x02", 2)[-1]))

    around(patch, AstmChannel, "_done", make)


@bug("messages are cut at 500 bytes")
def _(patch: Patch) -> None:
    around(patch, Journal, "_insert", lambda real: lambda self, m: real(self, replace(m, body=m.body[:500])))


@bug("a lost link loses its session")
def _(patch: Patch) -> None:
    def make(real: Any) -> Any:
        def closed(self: AstmChannel) -> None:
            self._drop_session()
            self._link = link.Link()
            real(self)

        return closed

    around(patch, AstmChannel, "closed", make)


@bug("links share one session")
def _(patch: Patch) -> None:
    def make(real: Any) -> Any:
        def opened(self: Journal, conn: str, at: int) -> int:
            found = next(iter(self._sessions), None)
            return found if found is not None else real(self, conn, at)

        return opened

    around(patch, Journal, "open_session", make)


@bug("every message says that it is complete, and is")
def _(patch: Patch) -> None:
    around(patch, Line, "outgoing", lambda real: lambda self, body, *a, complete, **k: real(self, body[:-1], *a, complete=True, **k))


@bug("whole messages say that they are not")
def _(patch: Patch) -> None:
    around(patch, Line, "outgoing", lambda real: lambda self, body, *a, complete, **k: real(self, body, *a, complete=False, **k))


@bug("intermediate frames are not kept", LONG)
def _(patch: Patch) -> None:
    def make(real: Any) -> Any:
        return lambda self, frame: self._stored(True) if b"\x17" in frame else real(self, frame)

    around(patch, AstmChannel, "_persist", make)


@bug("HL7 blocks are dropped")
def _(patch: Patch) -> None:
    count = itertools.count(1)
    around(patch, Hl7Channel, "_store", lambda real: lambda self, block: real(self, block) if next(count) % 5 else None)


# --- the store


@bug("synchronous NORMAL")
def _(patch: Patch) -> None:
    around(patch, store, "prepare", lambda real: lambda db: (real(db), db.execute("PRAGMA synchronous = NORMAL"))[0])


@bug("synchronous OFF")
def _(patch: Patch) -> None:
    around(patch, store, "prepare", lambda real: lambda db: (real(db), db.execute("PRAGMA synchronous = OFF"))[0])


@bug("numbers begin anew at each start")
def _(patch: Patch) -> None:
    patch.setattr(Journal, "_highest_seq", lambda self: 0)
    patch.setattr(journal_module, "_INSERT_MESSAGE", journal_module._INSERT_MESSAGE.replace("OR IGNORE", "OR REPLACE"))


@bug("nothing is encrypted")
def _(patch: Patch) -> None:
    patch.setattr(vault.Vault, "seal", lambda self, data, place: data)


@bug("salvage leaves what is pending behind")
def _(patch: Patch) -> None:
    patch.setattr(salvage, "_keep", lambda db, journal, streams: [])


@bug("salvage leaves unfinished sessions behind")
def _(patch: Patch) -> None:
    patch.setattr(salvage, "_unfinished", lambda db, box: [])


@bug("a damaged file is replaced by an empty one")
def _(patch: Patch) -> None:
    patch.setattr(salvage, "salvage", lambda old, journal, build: None)


@bug("a new file goes on with the old stream", WORN)
def _(patch: Patch) -> None:
    def make(real: Any) -> Any:
        def rescue(old: Any, journal: Journal, build: Any) -> None:
            real(old, journal, build)
            for (stream,) in journal.db.execute(
                "SELECT uuid FROM streams WHERE uuid <> ? ORDER BY no LIMIT 1", (journal.stream,)
            ).fetchall():
                journal.stream, journal._stream_no = stream, journal.number_of(stream)
                journal._next_seq = 1 + (journal._highest_seq() & rows.SEQ_MASK)
                journal.put("stream", stream)

        return rescue

    around(patch, salvage, "salvage", make)


@bug("good records are put into quarantine")
def _(patch: Patch) -> None:
    around(patch, Journal, "read", lambda real: lambda self, n: self.quarantine(n) if n % 5 == 0 else real(self, n))


@bug("the key is made anew at each start")
def _(patch: Patch) -> None:
    patch.setattr(vault, "beside", lambda path: vault.Vault(bytes([len(str(path)) & 0xFF]) * 32))


# --- the way to the cloud


@bug("a PUBACK counts as stored")
def _(patch: Patch) -> None:
    def make(real: Any) -> Any:
        def puback(self: Uplink, mid: int) -> None:
            number = self._tokens.get(mid)
            stored = self._journal.read(number) if number is not None else None
            if stored is not None:
                self._journal.receipt(stored.stream, [(stored.seq, stored.sha256)], 1)
            real(self, mid)

        return puback

    around(patch, Uplink, "_puback", make)


@bug("whoever signs a receipt is believed")
def _(patch: Patch) -> None:
    patch.setattr(envelope, "verify", lambda read, key: True)


@bug("a receipt's hash is not compared")
def _(patch: Patch) -> None:
    def receipt(self: Journal, stream: int, seq: int, sha256: str, now: int) -> None:
        number = stream << rows.SEQ_BITS | seq
        mark = rows.state_mark(number, 1, now)
        self.db.execute("UPDATE messages SET state = 1, receipted_at = ?, mark = ? WHERE id = ?", (now, mark, number))
        self._leave_pending(stream, seq)

    patch.setattr(Journal, "_receipt_one", receipt)


@bug("a receipt counts for the number after it, too")
def _(patch: Patch) -> None:
    def make(real: Any) -> Any:
        def receipt(self: Journal, stream: int, seq: int, sha256: str, now: int) -> None:
            real(self, stream, seq, sha256, now)
            for (other,) in self.db.execute("SELECT sha256 FROM messages WHERE id = ?", (stream << rows.SEQ_BITS | seq + 1,)).fetchall():
                real(self, stream, seq + 1, other, now)

        return receipt

    around(patch, Journal, "_receipt_one", make)


@bug("nothing is sent twice")
def _(patch: Patch) -> None:
    patch.setattr(uplink, "RECEIPT_SECONDS", 1e9)
    patch.setattr(uplink, "RECEIPT_MOST", 1e9)
    around(
        patch, Uplink, "_connected", lambda real: lambda self: (flights := dict(self._flights), real(self), self._flights.update(flights))
    )


@bug("receipted messages are deleted at once")
def _(patch: Patch) -> None:
    def make(real: Any) -> Any:
        def receipt(self: Journal, stream: int, seq: int, sha256: str, now: int) -> None:
            real(self, stream, seq, sha256, now)
            self.db.execute("DELETE FROM messages WHERE state = 1 AND id < ?", (self.highest,))

        return receipt

    around(patch, Journal, "_receipt_one", make)


@bug("the reserve is kept for a day")
def _(patch: Patch) -> None:
    patch.setattr(journal_module, "KEEP_RECEIPTED_MS", 86_400_000)


@bug("a full outbox forgets its oldest")
def _(patch: Patch) -> None:
    def make(real: Any) -> Any:
        def insert(self: Journal, message: Any) -> None:
            real(self, message)
            if self.pending_count > 8:
                self.db.execute("DELETE FROM messages WHERE id = (SELECT min(id) FROM messages WHERE state = 0)")

        return insert

    around(patch, Journal, "_insert", make)


@bug("urgent ones wait their turn")
def _(patch: Patch) -> None:
    def choose(self: Uplink, count: int) -> list[int]:
        sql = "SELECT id FROM messages WHERE state = 0 ORDER BY id LIMIT ?"
        return [n for (n,) in self._journal.select(sql, (count + len(self._flights),)) if n not in self._flights][:count]

    patch.setattr(Uplink, "_choose", choose)


@bug("messages leave under the newest stream's name")
def _(patch: Patch) -> None:
    around(patch, Uplink, "_header", lambda real: lambda self, stored: replace(real(self, stored), stream=self._journal.stream))


@bug("metadata is lost on the way")
def _(patch: Patch) -> None:
    around(patch, Journal, "_stored", lambda real: lambda self, row: real(self, replace(row, meta=json.dumps({}))))


__all__ = ["BUGS", "Bug"]
