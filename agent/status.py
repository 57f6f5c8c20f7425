"""The agent's live state: the heartbeat for the cloud, and a file for doctor, tests and technicians on this PC."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from typing import Any

from agent import disk
from agent.channels.base import Line, iso
from agent.config import DataDir, write_atomic
from agent.journal import Journal

VERSION = "0.1.0"
MAX_RANGES = 500


def connections(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """One row a line, as the board shows it."""
    return [_connection(line) for line in lines]


def _connection(line: Line) -> dict[str, Any]:
    conn, health = line.conn, line.health
    return {
        "conn": conn.key,
        "name": conn.name,
        "protocol": conn.protocol,
        "transport": conn.transport.type,
        "address": conn.transport.label,
        "state": health.state if conn.enabled else "disabled",
        "links": health.links,
        "peer": health.peer,
        "last_byte": _time(health.last_byte),
        "last_result": _time(health.last_result),
        "messages": health.messages,
        "incomplete": health.incomplete,
        "frames": health.frames,
        "checksum_errors": health.checksum_errors,
        "refused": health.refused,
        "errors": health.errors,
        "queries": health.queries,
        "orders_refused": len(line.refusals),
        "last_error": health.last_error,
        "errno": health.errno,
        "unread": health.unread,
        "bad_run": health.bad_run,
        "seen": health.seen,
        "usual_gap": health.rhythm,
        "on_demand": health.on_demand,
        "recent": health.recent(time.monotonic()),
    }


def heartbeat(journal: Journal, lines: Iterable[Line], config_version: int, space: disk.Space, extra: dict[str, Any]) -> dict[str, Any]:
    """The body of a `status` envelope. `pending_ranges` are those of the envelope's stream; older ones are listed beside."""
    ranges = journal.pending_by_stream(MAX_RANGES)
    oldest = journal.oldest_pending()
    return {
        "version": VERSION,
        "config_version": config_version,
        "stream": journal.stream,
        "connections": connections(lines),
        "pending": journal.pending_count,
        "oldest": None if oldest is None else iso(oldest),
        "pending_ranges": ranges.pop(journal.stream, []),
        "other_streams": ranges,
        "highest": journal.highest_seq,
        "disk_free": space.free,
        "disk_total": space.total,
        "refusing": journal.refusing,
        **extra,
    }


def write_file(data: DataDir, body: dict[str, Any]) -> None:
    """Replace the status file; it is a view, so it is not synced."""
    text = json.dumps({"pid": os.getpid(), **body}, ensure_ascii=False).encode()
    write_atomic(data.status, text, sync=False)


def _time(at: float | None) -> str | None:
    return None if at is None else iso(at * 1000)
