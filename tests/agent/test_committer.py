"""When the journal is flushed: what the links said in one look shares a commit before the loop goes on; all else has its turn."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import apsw

from agent.committer import Committer
from agent.journal import Journal
from agent.transport.poller import Poller

NOW = 1_790_000_000_000


def test_what_is_read_together_is_committed_together_and_at_once(tmp_path: Path) -> None:
    journal, commits, heard, sockets = Journal(tmp_path / "journal.db"), list[str](), list[bool](), list[socket.socket]()
    journal.db.trace_v2(apsw.SQLITE_TRACE_STMT, lambda event: commits.append(event["sql"]))

    def link(poller: Poller) -> socket.socket:
        ours, theirs = socket.socketpair()
        session = journal.open_session("xn", NOW)
        sockets.extend((ours, theirs))
        poller.add(ours, lambda: journal.frame(session, NOW, ours.recv(99), heard.append))
        return theirs

    async def talk() -> None:
        loop = asyncio.get_running_loop()
        poller = Poller(loop)
        journal.schedule = Committer(journal, loop, poller).schedule
        peers = [link(poller) for _ in range(3)]
        for peer in peers:
            peer.send(b"frame")
        poller.look()
        assert heard == [True] * 3, "before the loop has another turn"
        assert commits.count("COMMIT") == 1
        journal.frame(journal.open_session("serial", NOW), NOW, b"from elsewhere", heard.append)
        assert len(heard) == 3
        await asyncio.sleep(0)
        assert heard == [True] * 4
        poller.close()
        for one in sockets:
            one.close()

    asyncio.run(talk())
    journal.close()


def test_ends_of_sessions_wait_for_one_commit(tmp_path: Path) -> None:
    journal, commits = Journal(tmp_path / "journal.db"), list[str]()
    journal.db.trace_v2(apsw.SQLITE_TRACE_STMT, lambda event: commits.append(event["sql"]))

    async def talk() -> None:
        loop = asyncio.get_running_loop()
        journal.schedule = Committer(journal, loop).schedule
        for _ in range(5):
            session = journal.open_session("xn", NOW)
            journal.close_session(session, None)
        assert not commits
        while journal.open_sessions != 0 or not commits:
            await asyncio.sleep(0.005)

    asyncio.run(talk())
    assert commits.count("COMMIT") == 1
    journal.close()
