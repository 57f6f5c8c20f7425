"""The journal: what was answered is there, what is there balances, and damage is noticed."""

import random
from pathlib import Path

import apsw
import pytest

from agent import salvage, store
from agent.inbox import Inbox
from agent.journal import KEEP_RECEIPTED_MS, Journal
from agent.rows import FRAME_PLACE, Outgoing, Unfinished
from agent.vault import KEY_FILE

NOW = 1_790_000_000_000
FRAMES = [b"\x021H|\\^&\rE5\r\n", b"\x022P|1\r\x0300\r\n", b"\x023L|1\r\x0300\r\n"]


def build(found: Unfinished) -> Outgoing:
    return Outgoing(found.conn, b"".join(found.frames), found.ended, {"complete": False, "damaged": found.damaged})


def message(text: str, urgent: bool = False) -> Outgoing:
    return Outgoing("xn", text.encode(), NOW, {"complete": True, "名": "值"}, urgent)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db")


def put(journal: Journal, *texts: str) -> None:
    for text in texts:
        journal.message(message(text))
    journal.flush()


def bodies(journal: Journal) -> list[bytes]:
    return [stored.body for stored in journal.messages()]


def test_nobody_hears_before_the_commit(journal: Journal) -> None:
    heard: list[bool] = []
    session = journal.open_session("xn", NOW)
    journal.frame(session, NOW, FRAMES[0], heard.append)
    assert heard == []
    other = apsw.Connection(str(journal.path))
    assert other.execute("SELECT count(*) FROM frames").get == 0
    journal.flush()
    assert heard == [True]
    assert other.execute("SELECT count(*) FROM frames").get == 1


def test_the_store_syncs_every_commit(journal: Journal) -> None:
    assert journal.db.pragma("journal_mode") == "wal"
    assert journal.db.pragma("synchronous") == 2
    assert journal.db.pragma("foreign_keys") == 1


def test_several_links_share_one_commit(journal: Journal) -> None:
    heard: list[bool] = []
    for conn in ("a", "b", "c"):
        journal.frame(journal.open_session(conn, NOW), NOW, FRAMES[0], heard.append)
    begun: list[str] = []
    journal.db.trace_v2(apsw.SQLITE_TRACE_STMT, lambda event: begun.append(event["sql"]))
    journal.flush()
    assert begun.count("COMMIT") == 1
    assert heard == [True] * 3


def test_a_failing_caller_does_not_keep_the_others_waiting(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[bool] = []

    def broken(ok: bool) -> None:
        raise RuntimeError("PATIENT NAME")

    for done in (broken, heard.append):
        journal.frame(journal.open_session("a", NOW), NOW, FRAMES[0], done)
    journal.flush()
    assert heard == [True]
    told = capsys.readouterr().err
    assert "RuntimeError" in told
    assert "PATIENT NAME" not in told


def test_a_session_becomes_a_message(journal: Journal) -> None:
    session = journal.open_session("xn", NOW)
    for data in FRAMES:
        journal.frame(session, NOW, data, lambda ok: None)
    journal.close_session(session, message("whole"))
    journal.flush()
    (stored,) = journal.messages()
    assert (stored.seq, stored.conn, stored.body, stored.meta["名"]) == (1, "xn", b"whole", "值")
    assert journal.open_sessions == 0


def test_a_cut_session_becomes_an_incomplete_message_once(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j.db")
    done, cut = first.open_session("a", NOW), first.open_session("b", NOW)
    first.frame(done, NOW, FRAMES[0], lambda ok: None)
    first.frame(cut, NOW, FRAMES[0], lambda ok: None)
    first.frame(cut, NOW + 5, FRAMES[1], lambda ok: None)
    first.close_session(done, message("whole"))
    first.flush()
    first.db.close()
    again = Journal(tmp_path / "j.db")
    assert again.recover(build) == 1
    assert again.recover(build) == 0
    assert bodies(again) == [b"whole", FRAMES[0] + FRAMES[1]]
    again.close()
    assert Journal(tmp_path / "j.db").recover(build) == 0


def test_numbers_go_on_after_a_restart_and_after_all_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = Journal(path)
    stream = journal.stream
    put(journal, "1", "2", "3")
    items = [(stored.seq, stored.sha256) for stored in journal.messages()]
    journal.receipt(stream, items, NOW)
    journal.flush()
    journal.drop_old(NOW + KEEP_RECEIPTED_MS + 1)
    journal.close()
    journal = Journal(path)
    assert journal.stream == stream
    put(journal, "4")
    assert [stored.seq for stored in journal.messages()] == [3, 4]


def test_a_receipt_needs_the_stored_hash(journal: Journal) -> None:
    put(journal, "1", "2")
    first, second = journal.messages()
    journal.receipt(journal.stream, [(1, second.sha256), (2, second.sha256)], NOW)
    journal.receipt("another-stream", [(1, first.sha256)], NOW)
    journal.flush()
    assert [stored.state for stored in journal.messages()] == [0, 1]
    assert journal.pending_by_stream(10) == {journal.stream: [[1, 1]]}
    assert journal.counts() == {"pending": 1, "receipted": 1, "quarantined": 0}


def test_receipted_messages_stay_fourteen_days(journal: Journal) -> None:
    put(journal, "1", "2")
    journal.receipt(journal.stream, [(s.seq, s.sha256) for s in journal.messages()], NOW)
    journal.drop_old(NOW + KEEP_RECEIPTED_MS)
    journal.flush()
    assert len(bodies(journal)) == 2
    journal.drop_old(NOW + KEEP_RECEIPTED_MS + 1)
    journal.flush()
    assert bodies(journal) == [b"2"]


def test_urgent_ones_come_first(journal: Journal) -> None:
    journal.message(message("a"))
    journal.message(message("b", urgent=True))
    journal.flush()
    low = journal.highest - 2
    assert journal.pending_ids(urgent=True, above=0, limit=9) == [low + 2]
    assert journal.pending_ids(urgent=False, above=0, limit=9) == [low + 1]


def test_a_failed_commit_is_told_and_leaves_nothing(journal: Journal) -> None:
    heard: list[bool] = []
    put(journal, "before")
    journal.db.execute("CREATE TEMP TRIGGER full BEFORE INSERT ON messages BEGIN SELECT raise(ABORT, 'no room'); END")
    session = journal.open_session("xn", NOW)
    journal.frame(session, NOW, FRAMES[0], heard.append)
    journal.message(message("lost?"), heard.append)
    journal.flush()
    assert heard == [False, False]
    assert journal.pending_count == 1
    journal.close_session(session, message("later"))
    journal.flush()
    journal.db.execute("DROP TRIGGER full")
    journal.flush()
    assert bodies(journal) == [b"before", b"later"], "a session's end is tried again until it is stored"
    assert [stored.seq for stored in journal.messages()] == [1, 2]


def test_a_full_disk_refuses(journal: Journal) -> None:
    heard: list[bool] = []
    journal.refusing = True
    journal.frame(journal.open_session("xn", NOW), NOW, FRAMES[0], heard.append)
    journal.message(message("x"), heard.append)
    journal.flush()
    assert heard == [False, False]
    assert bodies(journal) == []


def test_spent_frames_are_cleared(journal: Journal) -> None:
    slow = None
    for number in range(1500):
        session = journal.open_session("xn", NOW)
        if slow is None and number == 700:
            slow = journal.open_session("slow", NOW)
            journal.frame(slow, NOW, b"slow", lambda ok: None)
        for data in FRAMES:
            journal.frame(session, NOW, data, lambda ok: None)
        journal.close_session(session, None)
        if number % 50 == 0:
            journal.flush()
    journal.flush()
    kept = [journal.vault.open(data, FRAME_PLACE) for (data,) in journal.db.execute("SELECT data FROM frames WHERE conn = 'slow'")]
    assert kept == [b"slow"], "an open session's frames stay"
    assert journal.db.execute("SELECT count(*) FROM frames").get < 1500 * 4 - 2000


# --- damage (F4)


def damage(path: Path, sql: str) -> None:
    """Change a byte in the middle of the one blob that `sql` selects, in the file."""
    db = apsw.Connection(str(path))
    blob = bytes(db.execute(sql).get)
    db.close()
    data = path.read_bytes()
    assert data.count(blob) == 1
    path.write_bytes(data.replace(blob, blob[:20] + bytes([blob[20] ^ 1]) + blob[21:]))


def test_every_changed_byte_of_a_body_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = Journal(path)
    put(journal, "first one", "GLU 5.60 mmol/L", "third one")
    journal.close()
    damage(path, "SELECT body FROM messages ORDER BY id LIMIT 1 OFFSET 1")
    journal = Journal(path)
    number = journal.highest - 1
    assert journal.read(number) is None
    journal.flush()
    assert bodies(journal) == [b"first one", b"third one"]
    assert journal.counts() == {"pending": 2, "receipted": 0, "quarantined": 1}


@pytest.mark.parametrize("column", ["kind", "conn", "at", "meta", "body", "sha256", "crc"])
def test_a_change_in_any_column_is_noticed(journal: Journal, column: str) -> None:
    put(journal, "GLU 5.60")
    flipped = "CASE typeof({0}) WHEN 'integer' THEN {0} + 1 WHEN 'blob' THEN x'00' ELSE replace({0}, substr({0}, 2, 1), '~') END"
    journal.db.execute(f"UPDATE messages SET {column} = {flipped.format(column)}")
    assert journal.read(journal.highest) is None
    journal.flush()
    assert journal.counts()["quarantined"] == 1


def test_a_changed_frame_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = Journal(path)
    session = journal.open_session("xn", NOW)
    for data in FRAMES:
        journal.frame(session, NOW, data, lambda ok: None)
    journal.close()
    damage(path, "SELECT data FROM frames ORDER BY id LIMIT 1 OFFSET 1")
    journal = Journal(path)
    journal.recover(build)
    (stored,) = journal.messages()
    assert stored.meta["damaged"] == 1
    assert stored.body == FRAMES[0] + FRAMES[2]


@pytest.mark.parametrize("what", ["header", "schema-page", "middle", "truncated", "zeroed-tail"])
def test_a_damaged_file_is_set_aside_and_what_is_whole_moves_on(tmp_path: Path, what: str) -> None:
    path = tmp_path / "j.db"
    journal = Journal(path)
    stream = journal.stream
    texts = [f"message {number} " + "x" * 3000 for number in range(60)]
    put(journal, *texts)
    journal.close()
    data = bytearray(path.read_bytes())
    pages = len(data) // 4096
    if what == "header":
        data[:100] = b"\x00" * 100
    elif what == "schema-page":
        data[100:200] = b"\xff" * 100
    elif what == "middle":
        data[4096 * (pages // 2) : 4096 * (pages // 2) + 64] = b"\xee" * 64
    elif what == "truncated":
        del data[4096 * (pages // 2) :]
    else:
        data[4096 * (pages * 3 // 4) :] = bytes(len(data) - 4096 * (pages * 3 // 4))
    path.write_bytes(data)
    journal = salvage.open_journal(path, build, NOW)
    assert salvage.damaged_files(path), "the old file stays beside the new one"
    assert journal.stream != stream, "a new file never goes on with the old numbers"
    saved = [(s.stream, s.seq, s.body.decode()) for s in journal.messages()]
    assert all(s == stream and text == texts[seq - 1] for s, seq, text in saved)
    if what in ("middle", "truncated", "zeroed-tail"):
        assert len(saved) >= 20
        assert journal.pending_count == len(saved)
    put(journal, "capture goes on")
    assert bodies(journal)[-1] == b"capture goes on" or b"capture goes on" in bodies(journal)


def test_a_flipped_bit_anywhere_costs_at_most_the_record_it_hits(tmp_path: Path) -> None:
    dice = random.Random(20260701)
    source = Journal(tmp_path / "source.db")
    texts = [f"message {number} {dice.getrandbits(800):x}" for number in range(25)]
    put(source, *texts)
    first = next(source.messages())
    source.receipt(source.stream, [(1, first.sha256)], NOW)
    source.close()
    whole = (tmp_path / "source.db").read_bytes()
    for number in range(60):
        flipped = bytearray(whole)
        flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
        path = tmp_path / str(number) / "j.db"
        path.parent.mkdir()
        path.write_bytes(flipped)
        path.with_name(KEY_FILE).write_bytes((tmp_path / KEY_FILE).read_bytes())
        journal = salvage.open_journal(path, build, NOW)
        found = {stored.seq: stored.body.decode() for stored in journal.messages() if stored.stream == source.stream}
        assert len(found) >= len(texts) - 1, f"flip {number}"
        assert all(text == texts[seq - 1] for seq, text in found.items()), f"flip {number}"
        put(journal, "capture goes on")
        assert journal.last_error is None
        journal.close()


def test_a_lost_wal_keeps_what_was_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = Journal(path)
    put(journal, "in the file")
    journal.db.pragma("wal_checkpoint")
    put(journal, "in the wal")
    wal = path.with_name("j.db-wal").read_bytes()
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    for cut in range(0, len(wal), 4000):
        copy.with_name("copy.db-wal").write_bytes(wal[:cut])
        copy.with_name("copy.db-shm").unlink(missing_ok=True)
        other = salvage.open_journal(copy, build, NOW)
        assert b"in the file" in bodies(other)
        other.close()
        copy.write_bytes(path.read_bytes())


def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = Journal(path)
    journal.db.execute("PRAGMA user_version = 99")
    journal.close()
    with pytest.raises(store.StoreError):
        salvage.open_journal(path, build, NOW)
    assert not salvage.damaged_files(path)


def test_the_worklist_cache_survives(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    Inbox(journal).put("xn", [("T1", "{}"), ("T2", "{}")], NOW)
    journal.flush()
    journal.db.execute("UPDATE inbox SET barcode = 'T3' WHERE barcode = ?", (journal.vault.alias("xn T2"),))
    journal.close()
    journal = Journal(tmp_path / "j.db")
    assert Inbox(journal).all() == [("xn", "T1", "{}", NOW)]
    Inbox(journal).drop(NOW + 1)
    journal.flush()
    assert Inbox(journal).all() == []
