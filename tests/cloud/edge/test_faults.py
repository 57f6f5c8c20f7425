"""A fault at an analyzer's line as people see it: the board on its page and `doctor` on the lab PC name the same layer of the same
connection, from the heartbeat that is due, within the minute the specification gives (a half-open peer: 90 s).

The words are written here by hand; what the product thinks of its own faults is not asked.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from agent import status
from agent.__main__ import main as agent_main
from agent.app import STATUS_SECONDS
from agent.config import DataDir
from agent.lock import DataLock
from common.diagnosis import Layer
from tests.cloud.edge.world import Edge
from tests.support.line_faults import FAULTS, START, opened, put

WORDS = {
    Layer.CABLE: "电缆或仪器电源",
    Layer.PORT: "端口参数",
    Layer.LINK: "链路层",
    Layer.PROTOCOL: "协议",
    Layer.MAPPING: "解析与对照",
    Layer.COMPUTER: "采集端",
}
TIMES = ("last_byte", "last_result")


def suffered(folder: Path, name: str) -> tuple[str, Layer, int, list[dict[str, Any]], float]:
    """The fault's line, its layer, after how many seconds a heartbeat told of it, that heartbeat, and its time."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch, opened(folder, patch) as lab:
        key, layer, limit = put(lab, name)
        seconds = 0
        while seconds < limit:
            lab.second(STATUS_SECONDS)
            seconds += STATUS_SECONDS
            if lab.troubles():
                break
        rows = json.loads(json.dumps(status.connections(lab.lines.values())))
        return key, layer, seconds, rows, START + lab.clock.now


def moved(rows: list[dict[str, Any]], by: timedelta) -> list[dict[str, Any]]:
    """The heartbeat as if it were said at another time."""
    return [{**row, **{k: (datetime.fromisoformat(row[k]) + by).isoformat() for k in TIMES if row[k]}} for row in rows]


def board(edge: Edge, rows: list[dict[str, Any]], at: float) -> dict[str, str]:
    """The layer the board names for each connection that has one, as the page says it."""
    now = edge.lab.clock()
    said = moved(rows, now - datetime.fromtimestamp(at, now.tzinfo))
    with edge.lab.uow() as uow:
        uow.s.execute(text("DELETE FROM connection"))
        for row in rows:
            line = {"type": row["transport"], "host": "10.0.0.9", "port": 1, "device": "/dev/ttyS9"}
            uow.s.execute(
                text(
                    "INSERT INTO connection (tenant_id, agent_id, key, name, analyzer_id, protocol, transport) "
                    "VALUES (:t, :a, :k, 'line-' || :k, :y, :p, CAST(:l AS jsonb))"
                ),
                {
                    "t": uow.tenant_id, "a": edge.agent.id, "k": row["conn"], "y": edge.bench.analyzer, "p": row["protocol"],
                    "l": json.dumps(line),
                },
            )  # fmt: skip
        uow.s.execute(
            text("UPDATE agent SET last_seen_at = :now, clock_skew_ms = 0, applied_version = config_version, status = CAST(:s AS jsonb)"),
            {"now": now, "s": json.dumps({"pending": 0, "connections": said})},
        )
    page = edge.lab.client("tester").get("/edge/board").text
    lines = {m[1]: m[0] for m in re.finditer(r"<tr>(?:(?!</tr>).)*<strong>line-(\w+)</strong>(?:(?!</tr>).)*</tr>", page, re.S)}
    assert set(lines) == {row["conn"] for row in rows}
    found = {key: re.search(r'href="/edge/links/\d+"><span class="tag warn">([^<]+)</span>', html) for key, html in lines.items()}
    return {key: match[1] for key, match in found.items() if match}


def doctor(folder: Path, rows: list[dict[str, Any]], at: float, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The line of doctor's report for each connection that is not well, as the technician reads it."""
    data = DataDir(folder)
    data.create()
    names = [
        {
            "key": row["conn"], "name": f"line-{row['conn']}", "analyzer": "", "protocol": row["protocol"], "driver": None,
            "transport": {"type": row["transport"], "host": "10.0.0.9", "port": 1, "device": "/dev/ttyS9", "baud": 9600},
            "encoding": None, "host_query": False, "enabled": True,
        }
        for row in rows
    ]  # fmt: skip
    data.file("local.json").write_text(json.dumps({"version": 1, "connections": names, "kiosk": None}))
    capsys.readouterr()
    with DataLock(data.lock):
        now = datetime.now().astimezone()
        status.write_file(data, {"standalone": True, "connections": moved(rows, now - datetime.fromtimestamp(at, now.tzinfo))})
        agent_main(["doctor", "--data", str(folder), "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    told = {c["check"].removeprefix("line:"): c["text"] for c in checks if c["check"].startswith("line:") and c["level"]}
    assert all(c["advice"] for c in checks if c["check"].removeprefix("line:") in told), "and says what to do"
    return told


@pytest.mark.parametrize("name", FAULTS)
def test_board_and_doctor_name_the_layer_of_the_right_line(
    edge: Edge, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key, layer, seconds, rows, at = suffered(tmp_path / "lab", name)
    most = 90 if "half-open" in name else 70 if name.startswith("silent") else 60  # an analyzer's pace is not doubted within a minute
    assert seconds <= most
    assert board(edge, rows, at) == {key: WORDS[layer]}
    told = doctor(tmp_path / "pc", rows, at, capsys)
    assert set(told) == {key} and f"：{WORDS[layer]}" in told[key] and f"line-{key}" in told[key], told


def test_healthy_lines_are_blamed_by_neither(edge: Edge, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lab").mkdir()
    with pytest.MonkeyPatch.context() as patch, opened(tmp_path / "lab", patch) as lab:
        lab.second(60)
        rows, at = json.loads(json.dumps(status.connections(lab.lines.values()))), START + lab.clock.now
    assert board(edge, rows, at) == {} and doctor(tmp_path / "pc", rows, at, capsys) == {}


def test_the_faults_are_twenty_different_ones() -> None:
    assert len(FAULTS) >= 20 and {layer for _, _, layer, _ in FAULTS.values()} == set(WORDS)
