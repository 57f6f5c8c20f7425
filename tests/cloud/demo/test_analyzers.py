"""The simulated analyzers."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cloud.demo import analyzers
from cloud.demo.analyzer_data import INSTRUMENTS
from cloud.demo.state import State


def test_a_silent_analyzer_says_nothing_until_its_line_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        said.append(command[-1])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    listening = [row for row in INSTRUMENTS["rm"] if row.transport != "serial"]
    first, second = listening[0], listening[1]
    (tmp_path / "ports.json").write_text(json.dumps({f"rm-{first.key}": 1, f"rm-{second.key}": 2}))
    rack = analyzers.Rack(State(tmp_path), "rm")
    assert rack.send(first, "x", b"1")
    (tmp_path / "analyzers" / "silent").write_text(f"zx-{first.key}\nrm-{second.key}\n")
    assert rack.send(first, "x", b"1") and not rack.send(second, "y", b"2")
    (tmp_path / "analyzers" / "silent").write_text("")
    assert rack.send(second, "y", b"2")
    assert said == ["127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:2"]
