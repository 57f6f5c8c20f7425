"""A table an analyzer's program writes results into: new rows become messages, read through ODBC or from an SQLite file.

Rows are read in the order of a rising column, the watermark. How far they were read enters the journal in the same transaction as the
row, so that a kill loses none and doubles none. Several rows may share a watermark (a time): those already kept are known by
their hash. A row that is committed late under a lower watermark than one already read is not seen: choose a column where that can't be.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from agent.channels.base import Line, now_ms
from agent.config import Transport
from common.crypto import sha256_hex

POLL_SECONDS = 5.0
AT_ONCE = 200  # rows of one look
TIMEOUT = 10
SQLITE = "sqlite:"


class TableUnreadable(OSError):
    """The source says no; the text is its own, without the connection string."""


class Table:
    """Watches one table."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._wanted = line.conn.transport
        self._key = f"watermark {line.conn.key} {self._wanted.table}"

    async def run(self) -> None:
        """Look every few seconds until cancelled."""
        health = self._line.health
        while True:
            more = False
            try:
                more = await self._look()
                health.state, health.links, health.errno = "idle", 1, ""
            except OSError as error:
                health.links = 0
                self._line.fault(error, f"表 {self._wanted.table} 读不到：{error}")
            await asyncio.sleep(0 if more else POLL_SECONDS)

    async def _look(self) -> bool:
        """Keep what is new; True when there may be more. A refused row is read again the next time."""
        line = self._line
        mark, seen = self._mark()
        names, rows = await asyncio.to_thread(read, self._wanted, mark, frozenset(seen))
        kept: list[asyncio.Future[bool]] = []
        at = [name.casefold() for name in names].index(self._wanted.watermark.casefold()) if rows else 0
        for row in rows:
            now, shown = now_ms(), freeze(row[at])
            seen = [*(seen if shown == mark else ()), fingerprint(row)]
            mark = shown
            line.health.last_byte = now / 1000
            message = line.outgoing(body(names, row), now, 1, complete=True, problems=[], peer=f"{self._wanted.table} {mark[1]}")
            stored: asyncio.Future[bool] = line.loop.create_future()
            line.journal.message(message, stored.set_result, note=(self._key, json.dumps([mark, seen])))
            kept.append(stored)
        good = all(await asyncio.gather(*kept))
        if not good:
            line.health.refused += 1
            line.trouble("本机无法保存表中的新行，稍后重读 (cannot store, will be read again)")
        return good and len(rows) >= AT_ONCE

    def _mark(self) -> tuple[list[str], list[str]]:
        """How far it was read, and the rows there."""
        kept = self._line.journal.get(self._key)
        if kept is not None:
            mark, seen = json.loads(kept)
            return mark, seen
        return first(self._wanted), []


def first(wanted: Transport) -> list[str]:
    """Where reading begins the first time."""
    return ["int" if wanted.since.lstrip("-").isdecimal() else "text", wanted.since]


def read(wanted: Transport, mark: Sequence[str], seen: frozenset[str]) -> tuple[list[str], list[Sequence[Any]]]:
    """Column names and at most AT_ONCE new rows. Raises TableUnreadable. Called in a thread: a slow source slows no line."""
    sql = f"SELECT {', '.join(wanted.columns) or '*'} FROM {wanted.table} WHERE {wanted.watermark} >= ? ORDER BY {wanted.watermark}"
    try:
        with _connected(wanted.dsn) as connection:
            cursor = connection.cursor()
            cursor.execute(sql, (thaw(mark),))
            names = [str(column[0]) for column in cursor.description]
            if wanted.watermark.casefold() not in [name.casefold() for name in names]:
                raise TableUnreadable(22, f"列 {wanted.watermark} 不在所选列中")
            rows: list[Sequence[Any]] = []
            while len(rows) < AT_ONCE and (row := cursor.fetchone()) is not None:
                if not seen or fingerprint(row) not in seen:
                    rows.append(tuple(row))
            return names, rows
    except OSError:
        raise
    except Exception as error:  # each driver has its own classes, and their texts may quote the connection string
        raise TableUnreadable(5, f"{type(error).__name__} {error.args[0] if error.args else ''}"[:200].replace(wanted.dsn, "…")) from None


@contextlib.contextmanager
def _connected(dsn: str) -> Iterator[Any]:
    if dsn.startswith(SQLITE):
        connection: Any = sqlite3.connect(f"file:{quote(dsn.removeprefix(SQLITE))}?mode=ro", uri=True, timeout=TIMEOUT)
    else:
        try:
            import pyodbc
        except ImportError as error:
            raise TableUnreadable(2, "本机没有 ODBC 驱动管理器，请安装 unixODBC（Windows 自带）") from error
        connection = pyodbc.connect(dsn, timeout=TIMEOUT, autocommit=True, readonly=True)
    try:
        yield connection
    finally:
        connection.close()


def body(names: Sequence[str], row: Sequence[Any]) -> bytes:
    """A row as two tab-separated lines: the columns' names, and what stands in them."""
    lines = (names, [_shown(value) for value in row])
    return "".join("\t".join(" ".join(text.split()) for text in line) + "\r\n" for line in lines).encode()


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def fingerprint(row: Sequence[Any]) -> str:
    """Knows a row again at the same watermark."""
    return sha256_hex("\x1f".join(_shown(value) for value in row).encode())[:24]


def freeze(value: Any) -> list[str]:
    """A watermark as text with its kind. Raises TableUnreadable for one that has no order (NULL never passes the condition)."""
    for kind, of in (("int", int), ("time", datetime), ("date", date), ("number", Decimal), ("float", float), ("text", str)):
        if isinstance(value, of):
            return [kind, value.isoformat() if isinstance(value, date) else str(value)]
    raise TableUnreadable(22, f"水位列的类型 {type(value).__name__} 不能用")


_THAW: dict[str, Any] = {"int": int, "time": datetime.fromisoformat, "date": date.fromisoformat, "number": Decimal, "float": float}


def thaw(mark: Sequence[str]) -> Any:
    """The other way."""
    return _THAW.get(mark[0], str)(mark[1])


__all__ = ["Table", "TableUnreadable", "body", "fingerprint", "first", "freeze", "read", "thaw"]
