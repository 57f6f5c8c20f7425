"""Sources that are no link: workbooks dropped into a folder, tables with a watermark, readers that type."""

from __future__ import annotations

import asyncio
import io
import os
import sqlite3
import stat
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import openpyxl
import pytest

from agent.config import ConfigError, parse_config
from agent.journal import Journal
from agent.transport import table
from common.instruments import workbook
from common.instruments.decode import decode
from common.instruments.site import site_from_json
from common.protocol.hid import Keyboard
from tests.agent.test_links import has, stored
from tests.support.agent_process import configure, running, until

LAYOUT = {
    "telegram": "line",
    "separator": "\t",
    "quiet": ["编号"],
    "marks": [{"role": "specimen", "start": 0}, {"role": "value", "start": 1, "code": "K"}, {"role": "value", "start": 2, "code": "NA"}],
}


def book(*rows: list[Any]) -> bytes:
    made = openpyxl.Workbook()
    sheet = made.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    for cells in sheet.iter_rows(min_row=2, min_col=2, max_col=2):
        cells[0].number_format = "0.00"
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def connection(transport: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"key": "s", "name": "S", "analyzer": "s", "protocol": "text", "transport": transport, **more}


# --- workbooks


def test_a_dropped_workbook_is_kept_byte_for_byte_and_read_by_its_columns(tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    data = book(["编号", "K", "Na"], ["S1", 4.1, 140], ["S2", 0, 7.5])
    (folder / "~$a.xlsx").write_bytes(b"who has it open")
    (folder / "half.xlsx").write_bytes(data[: len(data) // 2])
    with running(tmp_path / "data", connection({"type": "file", "folder": str(folder)})) as agent:
        (folder / "a.xlsx").write_bytes(data)
        has(agent, 1)
        until(lambda: [path.name.split("-", 1)[1] for path in (folder / "done").iterdir()] == ["a.xlsx"])
        assert (folder / "~$a.xlsx").exists()
        assert (folder / "half.xlsx").exists(), "a workbook without its end is still being written"
    (found,) = stored(tmp_path / "data")
    assert (found.body, found.meta["peer"], found.meta["complete"]) == (data, "a.xlsx", True)
    reading = decode(found.body, None, None, site_from_json({"layout": LAYOUT}))
    results = [(s.specimen_id, r.code, r.value) for m in reading.messages for s in m.specimens for r in s.results]
    assert results == [("S1", "K", "4.10"), ("S1", "NA", "140"), ("S2", "K", "0.00"), ("S2", "NA", "7.5")]
    assert reading.problems == []


def test_what_is_no_workbook_stays_as_it_is() -> None:
    whole = book(["编号", "K", "Na"], ["S1", 4.1, 140])
    for data in (b"", b"PK\x03\x04", whole[:300], whole[:-30], b"1H|\\^&", b"PK\x03\x04" + bytes(5000)):
        assert workbook.plain(data) == data
        decode(data)
    made = openpyxl.Workbook()
    assert made.active is not None
    made.active.append([datetime.fromisoformat("2026-07-01T08:05"), "a\tb\nc", None, 12, 1e-9, True])
    made.create_sheet("二").append(["x"])
    out = io.BytesIO()
    made.save(out)
    assert workbook.plain(out.getvalue()).decode() == "2026-07-01 08:05:00\ta b c\t\t12\t1e-09\tTrue\r\nx\r\n"


def test_a_file_stored_before_a_kill_is_moved_and_not_stored_again(tmp_path: Path) -> None:
    folder, data = tmp_path / "drop", tmp_path / "data"
    folder.mkdir()
    conn = connection({"type": "file", "folder": str(folder)})
    with running(data, conn) as agent:
        (folder / "a.csv").write_bytes(b"S1;4.1\r\n")
        has(agent, 1)
        (moved,) = until(lambda: list((folder / "done").iterdir()))
        agent.kill()
    moved.rename(folder / "a.csv.claimed")  # as if the kill had come between the commit and the move
    with running(data, conn) as agent:
        until(lambda: list((folder / "done").iterdir()))
        os.utime(folder / "done")
        (folder / "a.csv").write_bytes(b"S1;4.1\r\n")  # the same text in a new file is a new message
        has(agent, 2)
    assert len(stored(data)) == 2


# --- tables


def rows_of(data: Path) -> list[str]:
    return [message.body.decode().split("\r\n")[1] for message in stored(data)]


def test_new_rows_of_a_table_are_kept_once_also_over_a_kill(tmp_path: Path) -> None:
    source, data = tmp_path / "lab.db", tmp_path / "data"
    with sqlite3.connect(source) as db:
        db.execute("CREATE TABLE results(id INTEGER PRIMARY KEY, sid TEXT, k REAL)")
        db.executemany("INSERT INTO results VALUES (?, ?, ?)", [(n, f"S{n}", n / 10) for n in range(1, 6)])
    conn = connection({"type": "odbc", "dsn": f"sqlite:{source}", "table": "results", "watermark": "ID", "since": "3"})
    with running(data, conn) as agent:
        has(agent, 3)
        until(lambda: agent.line("s")["state"] == "idle")
        assert agent.line("s")["address"] == "results"
        agent.kill()
    with sqlite3.connect(source) as db:
        db.execute("INSERT INTO results VALUES (6, 'S6', NULL)")
    with running(data, conn) as agent:
        has(agent, 4)
    assert rows_of(data) == ["3\tS3\t0.3", "4\tS4\t0.4", "5\tS5\t0.5", "6\tS6\t"]
    assert stored(data)[0].meta["peer"] == "results 3"


class _Line:
    """What a table needs of a line, without a loop."""

    def __init__(self, journal: Journal, transport: dict[str, Any]) -> None:
        from agent.channels.base import Health

        self.conn = parse_config({"connections": [connection(transport)]}).connections[0]
        self.journal, self.health = journal, Health()
        self.told: list[str] = []
        self.loop: asyncio.AbstractEventLoop | None = None

    def outgoing(self, body: bytes, started: int, frames: int, **more: Any) -> Any:
        from agent.rows import Outgoing

        return Outgoing(self.conn.key, body, started, {"complete": True})

    def trouble(self, text: str) -> None:
        self.told.append(text)


def test_rows_at_one_time_are_told_apart_and_a_refused_row_is_read_again(tmp_path: Path) -> None:
    source = tmp_path / "lab.db"
    with sqlite3.connect(source) as db:
        db.execute("CREATE TABLE r(at TEXT, sid TEXT)")
        db.executemany("INSERT INTO r VALUES (?, ?)", [("2026-07-01 08:00", "S1"), ("2026-07-01 08:00", "S2")])
    journal = Journal(tmp_path / "journal.db")
    line = _Line(journal, {"type": "odbc", "dsn": f"sqlite:{source}", "table": "r", "watermark": "at", "since": "2026"})

    async def look() -> None:
        loop = asyncio.get_running_loop()
        line.loop = loop
        journal.schedule = lambda patient: loop.call_soon(journal.flush)
        await table.Table(cast(Any, line))._look()

    def bodies() -> list[bytes]:
        return [message.body.split(b"\t")[-1].strip() for message in journal.messages()]

    journal.refusing = True
    asyncio.run(look())
    assert bodies() == []
    assert line.told
    journal.refusing = False
    asyncio.run(look())
    asyncio.run(look())
    assert bodies() == [b"S1", b"S2"]
    with sqlite3.connect(source) as db:
        db.execute("INSERT INTO r VALUES ('2026-07-01 08:00', 'S3')")
    asyncio.run(look())
    asyncio.run(look())
    assert bodies() == [b"S1", b"S2", b"S3"]
    journal.db.execute("CREATE TEMP TRIGGER no BEFORE INSERT ON main.messages BEGIN SELECT raise(ABORT, 'no'); END")
    with sqlite3.connect(source) as db:
        db.execute("INSERT INTO r VALUES ('2026-07-01 09:00', 'S4')")
    asyncio.run(look())
    journal.db.execute("DROP TRIGGER no")
    asyncio.run(look())
    assert bodies() == [b"S1", b"S2", b"S3", b"S4"], "the watermark did not run ahead of a commit that failed"
    journal.close()


def test_watermarks_of_every_kind_come_back() -> None:
    for value in (7, -1, 2.5, Decimal("1.10"), datetime.fromisoformat("2026-07-01T08:00:00.123"), date(2026, 7, 1), "a'b"):
        assert table.thaw(table.freeze(value)) == value
        assert type(table.thaw(table.freeze(value))) is type(value)
    with pytest.raises(table.TableUnreadable):
        table.freeze(None)


@pytest.mark.parametrize(("name", "value"), [("table", "r; DROP TABLE r"), ("watermark", "id)--"), ("columns", ["a b"]), ("since", "")])
def test_a_table_that_cannot_be_meant_is_refused(name: str, value: object) -> None:
    transport = {"type": "odbc", "dsn": "DSN=x", "table": "dbo.结果", "watermark": "id", "since": "0"}
    parse_config({"connections": [connection(transport)]})
    with pytest.raises(ConfigError):
        parse_config({"connections": [connection({**transport, name: value})]})


def test_a_source_that_is_not_there_is_said_without_its_connection_string(tmp_path: Path) -> None:
    for dsn in (f"sqlite:{tmp_path / 'none.db'}", "Driver=/no/such/driver.so;PWD=secret"):
        transport = {"type": "odbc", "dsn": dsn, "table": "r", "watermark": "id", "since": "0"}
        wanted = parse_config({"connections": [connection(transport)]}).connections[0].transport
        with pytest.raises(table.TableUnreadable) as caught:
            table.read(wanted, ["int", "0"], frozenset())
        assert "secret" not in str(caught.value)
        assert wanted.label == "r"


def test_the_same_through_odbc(tmp_path: Path) -> None:
    """A real driver manager and driver (Debian's libsqliteodbc)."""
    driver = next(Path("/usr/lib").glob("*/odbc/libsqlite3odbc.so"), None)
    assert driver is not None, "no ODBC driver here: ./dev setup installs libsqliteodbc"
    with sqlite3.connect(tmp_path / "lab.db") as db:
        db.execute("CREATE TABLE r(id INTEGER PRIMARY KEY, sid TEXT)")
        db.executemany("INSERT INTO r VALUES (?, ?)", [(n, f"标本{n}") for n in range(1, 4)])
    transport = {"type": "odbc", "dsn": f"Driver={driver};Database={tmp_path / 'lab.db'}", "table": "r", "watermark": "id", "since": "2"}
    wanted = parse_config({"connections": [connection(transport)]}).connections[0].transport
    names, rows = table.read(wanted, table.first(wanted), frozenset())
    assert ([name.lower() for name in names], [tuple(row) for row in rows]) == (["id", "sid"], [(2, "标本2"), (3, "标本3")])
    assert table.body(names, rows[0]).decode().endswith("2\t标本2\r\n")
    assert len(table.read(wanted, table.freeze(rows[1][0]), frozenset([table.fingerprint(rows[1])]))[1]) == 0


# --- readers


def typed(text: str) -> bytes:
    """The reports of a US keyboard, a press and a release each; Enter is \\n."""
    plain, upper = "abcdefghijklmnopqrstuvwxyz1234567890\n", "ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()"
    out = b""
    for sign in text:
        shift = sign in upper
        key = 0x2D if sign == "-" else 4 + (upper if shift else plain).index(sign)
        out += bytes([2 if shift else 0, 0, key, 0, 0, 0, 0, 0]) + bytes(8)
    return out


def test_reports_become_lines_whatever_the_reads_are() -> None:
    data = typed("AB-12\n\n77\n")
    for size in (1, 3, 8, 1000):
        keyboard = Keyboard()
        assert [line for at in range(0, len(data), size) for line in keyboard.receive(data[at : at + size])] == ["AB-12", "77"]
    keyboard = Keyboard()
    rollover = bytes([0, 0, 4, 0, 0, 0, 0, 0]) + bytes([0, 0, 4, 5, 0, 0, 0, 0]) + bytes([0, 0, 5, 0, 0, 0, 0, 0]) + typed("c")
    assert keyboard.receive(rollover) == []
    assert keyboard.receive(bytes([0, 0, 1, 1, 1, 1, 1, 1])) == []
    assert keyboard.waiting
    assert keyboard.idle() == "abc"
    assert not keyboard.waiting


def test_a_reader_that_types_and_is_pulled_out(tmp_path: Path) -> None:
    device, data = tmp_path / "hidraw0", tmp_path / "data"
    os.mkfifo(device)
    assert stat.S_ISFIFO(device.stat().st_mode)
    configure(data, connection({"type": "hid", "device": str(device)}, idle_group_ms=300))
    held = os.open(device, os.O_RDWR)
    with running(data) as agent:
        until(lambda: agent.line("s")["links"] == 1)
        os.write(held, typed("S1001\nS10"))
        has(agent, 1)
        has(agent, 2)  # silence ends the second
        os.close(held)
        until(lambda: agent.line("s")["state"] == "fault")
        assert "断开" in agent.line("s")["last_error"]
        held = os.open(device, os.O_RDWR)
        until(lambda: agent.line("s")["links"] == 1)
        os.write(held, typed("B2\n"))
        has(agent, 3)
    os.close(held)
    assert [(m.body, m.meta["complete"]) for m in stored(data)] == [(b"S1001\r", True), (b"S10\r", False), (b"B2\r", True)]
