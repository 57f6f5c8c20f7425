"""Nothing that a patient could be known by lies readable on the disk (RELIABILITY SR18), nor after an older journal was taken over."""

import json
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import apsw
import pytest

from agent import rows, salvage, sealing, store, vault
from agent.inbox import Inbox
from agent.journal import Journal
from agent.rows import Outgoing, Unfinished, frame_crc, message_crc, state_mark, text_crc
from common.crypto import sha256_hex

NOW = 1_790_000_000_000
MARKERS = (b"ZHANGSAN", b"BC7700881", b"5.61 mmol", "\u674e\u56db".encode(), b"CARD6217")


def build(found: Unfinished) -> Outgoing:
    return Outgoing(found.conn, b"".join(found.frames), found.ended, {"complete": False})


def seen(folder: Path) -> list[tuple[str, bytes]]:
    """Markers found in any file of a folder."""
    return [(path.name, marker) for path in sorted(folder.iterdir()) for marker in MARKERS if marker in path.read_bytes()]


def test_no_marker_in_any_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    session = journal.open_session("xn", NOW)
    journal.frame(session, NOW, b"2P|1||ZHANGSAN|5.61 mmol", lambda ok: None)
    journal.message(Outgoing("xn", b"O|1|BC7700881", NOW, {"peer": "\u674e\u56db"}))
    journal.message(Outgoing("kiosk", json.dumps({"code": "CARD6217"}).encode(), NOW, kind="ticket"))
    journal.put("kiosk.book", "CARD6217")
    Inbox(journal).put("xn", [("BC7700881", '{"patient_name": "ZHANGSAN"}')], NOW)
    journal.flush()
    assert (tmp_path / "journal.db-wal").stat().st_size > 0
    assert seen(tmp_path) == []
    journal.close()
    assert seen(tmp_path) == []
    again = Journal(tmp_path / "journal.db")
    assert [m.body for m in again.messages()][0] == b"O|1|BC7700881"
    assert again.get("kiosk.book") == "CARD6217"
    assert Inbox(again).all() == [("xn", "BC7700881", '{"patient_name": "ZHANGSAN"}', NOW)]


def old_journal(path: Path, messages: int) -> str:
    """A journal as the version before wrote it, written by hand; with a cut session and a WAL."""
    db = apsw.Connection(str(path))
    db.execute("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; BEGIN").fetchall()
    db.execute(store._TABLES)
    stream = "11111111-2222-4333-8444-555555555555"
    db.execute("INSERT INTO streams(uuid, crc) VALUES (?, ?)", (stream, text_crc(stream)))
    db.execute("INSERT INTO state VALUES ('stream', ?), ('kiosk.book', 'CARD6217')", (stream,))
    for seq in range(1, messages + 1):
        number, body, meta = 1 << 40 | seq, b"%d 5.61 mmol ZHANGSAN " % seq + b"x" * 3000, '{"peer":"\u674e\u56db"}'
        sha, state = sha256_hex(body), seq % 2
        values = (number, "raw", "xn", NOW, meta, body, sha, message_crc(number, "raw", "xn", NOW, meta, sha))
        at = NOW if state else 0
        db.execute("INSERT INTO messages VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", (*values, 0, state, at, state_mark(number, state, at)))
    frame = b"\x022P|1||BC7700881\r\x0300\r\n"
    db.execute("INSERT INTO frames VALUES (1, 1, 'xn', ?, ?, ?)", (NOW, frame, frame_crc(1, "xn", NOW, frame)))
    db.execute("INSERT INTO inbox VALUES ('xn', 'BC7700881', '{}', ?, ?)", (NOW, text_crc("xn", "BC7700881", "{}", NOW)))
    db.execute("DELETE FROM messages WHERE id = ?", (1 << 40 | 2,))  # leaves free pages with plain text behind
    db.execute("PRAGMA user_version = 1; COMMIT")
    db.close()
    return stream


def check_taken_over(journal: Journal, stream: str, messages: int) -> None:
    assert journal.stream == stream
    found = {m.seq: m for m in journal.messages()}
    wanted = [n for n in range(1, messages + 1) if n != 2] + [messages + 1]
    assert sorted(found) == wanted, "each once, and the cut session as one more"
    assert all(found[n].body.startswith(b"%d 5.61 mmol" % n) and found[n].state == n % 2 for n in wanted[:-1])
    assert b"BC7700881" in found[messages + 1].body
    assert Inbox(journal).all() == [("xn", "BC7700881", "{}", NOW)]
    assert journal.get("kiosk.book") == "CARD6217"


def copy(source: Path, target: Path) -> Path:
    """The files as a kill leaves them at this moment."""
    target.mkdir()
    for path in source.iterdir():
        if path.is_file() and not path.name.endswith("-shm"):
            (target / path.name).write_bytes(path.read_bytes())
    return target


def test_an_older_journal_is_sealed_and_a_kill_at_any_statement_costs_nothing(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    stream = old_journal(live / "journal.db", 40)
    assert seen(live)
    journal = salvage.open_journal(live / "journal.db", build, NOW)
    check_taken_over(journal, stream, 40)
    cuts: list[Path] = []
    statements = 0

    def traced(event: dict[str, object]) -> None:
        nonlocal statements
        statements += 1
        if statements % 5 == 0:
            cuts.append(copy(live, tmp_path / f"cut{statements}"))

    journal.db.trace_v2(apsw.SQLITE_TRACE_STMT, traced)
    while not sealing.step(journal, 15):
        continue
    journal.db.trace_v2(0, None)
    assert len(cuts) > 10
    check_taken_over(journal, stream, 40)
    assert not sealing.needed(journal)
    assert seen(live) == []
    journal.close()
    for cut in cuts:
        again = salvage.open_journal(cut / "journal.db", build, NOW)
        while sealing.needed(again) and not sealing.step(again):
            continue
        check_taken_over(again, stream, 40)
        again.close()
        assert seen(cut) == []


def test_capture_goes_on_while_an_older_journal_is_sealed(tmp_path: Path) -> None:
    old_journal(tmp_path / "journal.db", 40)
    journal = salvage.open_journal(tmp_path / "journal.db", build, NOW)
    heard: list[bool] = []
    session = journal.open_session("xn", NOW)
    done = False
    while not done:
        journal.frame(session, NOW, b"fresh", heard.append)
        journal.flush()
        done = sealing.step(journal, 15)
    assert len(heard) > 2 and all(heard)
    (cut,) = rows.unfinished(journal.db, journal.vault)
    assert cut.frames == [b"fresh"] * len(heard)


def test_a_record_opens_only_in_its_own_place(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.message(Outgoing("xn", b"one", NOW))
    journal.message(Outgoing("xn", b"two", NOW))
    journal.flush()
    first = journal.highest - 1
    journal.db.execute("UPDATE messages SET body = (SELECT body FROM messages WHERE id = ?) WHERE id = ?", (first, first + 1))
    assert journal.read(first + 1) is None
    assert journal.read(first) is not None


def test_another_key_sets_the_file_aside_and_capture_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    first = Journal(path)
    first.message(Outgoing("xn", b"one", NOW))
    first.close()
    key = (tmp_path / vault.KEY_FILE).read_bytes()
    (tmp_path / vault.KEY_FILE).unlink()
    again = salvage.open_journal(path, build, NOW)
    assert again.stream != first.stream
    assert list(again.messages()) == []
    (aside,) = salvage.damaged_files(path)
    again.close()
    (tmp_path / vault.KEY_FILE).write_bytes(key)
    assert [m.body for m in Journal(aside).messages()] == [b"one"], "whoever has the key still reads it"


@pytest.mark.parametrize("spoil", [lambda d: b"??" + d[2:], lambda d: d[:5] + b"0" + d[6:-1], lambda d: d[: len(d) // 2 + 3]])
def test_one_damaged_copy_of_the_key_is_no_harm(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    one = vault.beside(tmp_path / "journal.db")
    path = tmp_path / vault.KEY_FILE
    assert path.stat().st_mode & 0o077 == 0
    path.write_bytes(spoil(path.read_bytes()))
    assert vault.beside(tmp_path / "journal.db").open(one.seal(b"x", b"p"), b"p") == b"x"
    path.write_bytes(b"nothing of ours")
    with pytest.raises(vault.VaultError):
        vault.beside(tmp_path / "journal.db")


def test_a_systemd_credential_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / vault.CREDENTIAL).write_bytes(b"a secret of any length")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    one = vault.beside(tmp_path / "data" / "journal.db")
    assert not (tmp_path / "data").exists()
    assert vault.beside(tmp_path / "journal.db").open(one.seal(b"x", b"p"), b"p") == b"x"


def test_nonces_do_not_repeat() -> None:
    box = vault.Vault(bytes(32))
    box._count = vault._ROLL - 3
    nonces = {box.seal(b"x", b"")[2:14] for _ in range(8)}
    assert len(nonces) == 8


def test_the_key_file_says_what_is_whole() -> None:
    line = vault._lines(b"k" * 32).splitlines()[0].split()
    assert int(line[1], 16) == crc32(b"k" * 32)
