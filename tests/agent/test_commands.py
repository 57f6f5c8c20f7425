"""The commands around the agent: doctor, simulate, capture, replay."""

from __future__ import annotations

import asyncio
import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.__main__ import main
from agent.commands import capture
from agent.config import Connection, Transport
from agent.journal import Journal
from agent.outline import outline
from agent.rows import Outgoing
from agent.simulator import load, respecimen, standalone_line, vary
from common import diagnosis
from common.english import in_language, language
from common.instruments.decode import decode
from common.protocol.astm.framing import build_frames
from tests.agent.test_links import dial
from tests.support.agent_process import REPO, configure, free_port, running, serial, tcp, until
from tests.support.crash.load import cbc

Check = dict[str, object]
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def doctor(data: Path, capsys: pytest.CaptureFixture[str], lang: str = "zh") -> tuple[int, dict[str, Check]]:
    code = main(["doctor", "--data", str(data), "--json", "--lang", lang])
    told = json.loads(capsys.readouterr().out)
    assert told["level"] == code
    return code, {row["check"]: row for row in told["checks"]}


def test_doctor_without_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = doctor(tmp_path / "none", capsys)
    assert code == 2
    assert "enrol" in str(found["data"]["advice"])


def test_doctor_of_a_working_agent_then_of_a_stopped_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with running(tmp_path, tcp("xn", port)) as agent:
        with dial(port):
            until(lambda: agent.line("xn")["links"] == 1)
            code, found = doctor(tmp_path, capsys)
        assert code == 1, "not enrolled is worth a look"
        assert {name: row["level"] for name, row in found.items()} == {
            "config": 0, "identity": 1, "running": 0, "disk": 0, "journal": 0, "line:xn": 0,
        }  # fmt: skip
    code, found = doctor(tmp_path, capsys)
    assert (code, found["running"]["level"], found["line:xn"]["level"]) == (2, 2, 0)


def test_doctor_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        configure(tmp_path, tcp("xn", taken.getsockname()[1]), serial("ser", "/dev/no-such-device"))
        identity = {"agent": "a", "tenant": "t", "url": "https://127.0.0.1:1", "mqtt": {"host": "127.0.0.1", "port": 1}}
        (tmp_path / "identity.json").write_text(json.dumps(identity))
        (tmp_path / "journal.db").write_bytes(b"no database at all" * 100)
        (tmp_path / "journal.db.damaged-1").write_bytes(b"old")
        code, found = doctor(tmp_path, capsys)
        _, spoken = doctor(tmp_path, capsys, "en")
    bad = {name for name, row in found.items() if row["level"] == 2}
    assert {name: row["level"] for name, row in spoken.items()} == {name: row["level"] for name, row in found.items()}
    assert not [row for row in spoken.values() if CHINESE.search(f"{row['text']}{row['advice']}")], "English is English throughout"
    assert "does not run" in str(spoken["running"]["text"]) and "/dev/no-such-device" in str(spoken["line:ser"]["text"])
    assert code == 2
    assert bad == {"running", "journal", "certificate", "broker", "line:xn", "line:ser"}
    assert all(row["advice"] for row in found.values() if row["level"]), "every finding says what to do"


def test_doctor_reads_like_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(tmp_path)
    assert main(["doctor", "--data", str(tmp_path), "--lang", "zh"]) == 2
    assert "✗ 代理没有运行" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "environ", "wanted"),
    [
        (None, {}, "zh"), (None, {"LANG": "C.UTF-8"}, "zh"), (None, {"LANG": "zh_CN.UTF-8"}, "zh"), (None, {"LANG": "en_US.UTF-8"}, "en"),
        (None, {"LC_ALL": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, "zh"), ("zh", {"LANG": "en_GB"}, "zh"), ("en", {}, "en"),
    ],
)  # fmt: skip
def test_the_language_is_the_switch_then_the_locale_then_chinese(given: str | None, environ: dict[str, str], wanted: str) -> None:
    assert language(given, environ) == wanted


def test_a_trouble_of_a_line_is_said_in_english_with_its_values() -> None:
    row = {"conn": "x", "state": "idle", "protocol": "astm", "transport": "serial", "recent": {"checksum": 3, "frames": 97}, "links": 1}
    trouble = diagnosis.connection(row, datetime.now(UTC))
    assert trouble is not None and trouble.text == "校验错误 3 次（3%）"
    assert in_language(trouble.text, "en") == "3 wrong checksums (3%)"


# --- simulate


def test_bare_records_and_captures_give_the_same_script() -> None:
    records = cbc("S1", 2)
    bare = load(records.replace(b"\r", b"\n"))
    raw = load(b"\x05" + b"".join(build_frames(records, per_record=True)) + b"\x04")
    assert bare == raw
    assert (bare.protocol, bare.messages) == ("astm", (records,))


def test_hl7_files_with_and_without_blocks() -> None:
    message = b"MSH|^~\\&|BC|Lab|||20260701||ORU^R01|9|P|2.3.1\rPID|1\rOBR|1|S1\rOBX|1|NM|WBC||6\r"
    assert load(b"\x0b" + message + b"\x1c\r" + b"\x0b" + message + b"\x1c\r").messages == (message, message)
    assert load(message.replace(b"\r", b"\n") + b"\n" + message.replace(b"\r", b"\n")).messages == (message, message)


def test_another_specimen_changes_the_id_and_nothing_else() -> None:
    script = load(cbc("SAMPLE0001", 2).replace(b"|1|^^^T1|1.5|", b"|1|^^^T1|SAMPLE0001x|"))
    changed = vary(script, 42).messages[0]
    (message,) = decode(changed).messages
    assert [specimen.specimen_id for specimen in message.specimens] == ["SAMP000042"]
    assert b"SAMPLE0001x" in changed
    assert len(changed) == len(script.messages[0])
    assert respecimen(b"O|1|12|\rR|1|12|\r", b"12", b"99") == b"O|1|99|\rR|1|12|\r"


def test_simulate_fails_when_nobody_acknowledges(tmp_path: Path) -> None:
    played = tmp_path / "x.astm"
    played.write_bytes(cbc("S1"))
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        threading.Thread(target=_refuse, args=(deaf,), daemon=True).start()
        command = [sys.executable, "-m", "agent", "simulate", str(played), "--tcp", f"127.0.0.1:{deaf.getsockname()[1]}"]
        done = subprocess.run(command, cwd=REPO, capture_output=True, timeout=60, check=False)
    assert (done.returncode, json.loads(done.stdout)) == (1, {"acknowledged": False})


def _refuse(server: socket.socket) -> None:
    link, _ = server.accept()
    with link:
        link.recv(1)
        link.sendall(b"\x06")
        for _ in range(6):
            link.recv(4096)
            link.sendall(b"\x15")
        link.recv(1)


# --- capture and replay


def test_what_is_captured_replays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port, source, target = free_port(), tmp_path / "cbc.astm", tmp_path / "captured.bin"
    source.write_bytes(cbc("S1", 2))
    agent = [sys.executable, "-m", "agent"]
    recording = subprocess.Popen([*agent, "capture", str(target), "--listen", f"127.0.0.1:{port}"], cwd=REPO)
    done = subprocess.run([*agent, "simulate", str(source), "--tcp", f"127.0.0.1:{port}"], cwd=REPO, timeout=60, check=False)
    recording.send_signal(signal.SIGINT)
    recording.wait(30)
    assert done.returncode == 0
    assert target.read_bytes() == b"\x05" + b"".join(build_frames(cbc("S1", 2), per_record=True)) + b"\x04"
    sandbox = tmp_path / "sandbox"
    assert main(["replay", str(target), "--data", str(sandbox)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["complete"], told["messages"][0]["specimens"][0]["specimen_id"]) == (True, "S1")
    assert [stored.body for stored in Journal(sandbox / "journal.db").messages()] == [target.read_bytes()]


@pytest.mark.parametrize(
    ("pieces", "answered"),
    [
        ([b"\x05", *build_frames(cbc("S1", 2), per_record=True), b"\x04"], b"\x06"),
        ([b"\x00\r\n", b"\x0bMSH|^~\\&|A|B|||2026||ORU^R01|7|P|2.3.1\r\x1c\r"], b"MSA|AA|7"),
        ([b"A 1 2 3\r\n"], b""),
    ],
    ids=["ENQ", "VT", "one way"],
)
def test_a_recording_answers_as_the_analyzer_speaks(pieces: list[bytes], answered: bytes) -> None:
    sent, kept, loop = bytearray(), io.BytesIO(), asyncio.new_event_loop()
    line = standalone_line(Connection("c", "c", "", "auto", Transport("tcp-listen", host="127.0.0.1", port=1)), loop)
    recorder = capture.Recorder(line, sent.extend, kept, "auto")
    for piece in pieces:
        recorder.received(piece)
    recorder.closed()
    loop.close()
    assert kept.getvalue() == b"".join(pieces)
    assert answered in sent and bool(sent) == bool(answered) and line.health.messages == bool(answered)


def test_a_recording_for_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.bin"
    file.write_bytes(b"\x05" + b"".join(build_frames(cbc("S1", 2), per_record=True)) + b"\x04")
    assert main(["replay", str(file), "--text"]) == 0
    said = capsys.readouterr().out
    assert "完整 (whole)" in said and "标本 (specimen) S1" in said and "2 个结果" in said
    file.write_bytes(b"A 1 2 3\r\n")
    assert "没有认出协议" in "\n".join(outline(decode(file.read_bytes())))


def test_a_recording_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", str(tmp_path / "none" / "x.bin"), "--listen", "127.0.0.1:0", "--seconds", "0"]) == 2
    assert "写不了文件" in capsys.readouterr().err


def test_a_recording_says_why_nothing_comes(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "WATCH_SECONDS", 0.05)
    target = tmp_path / "x.bin"
    assert main(["capture", str(target), "--serial", str(tmp_path / "ttyNONE"), "--frame", "7e1", "--seconds", "0.5"]) == 0
    said = capsys.readouterr().err
    assert "等待数据" in said and "9600 7E1" in said and "打不开" in said
    assert main(["capture", str(target), "--serial", "COM3", "--frame", "9X1"]) == 2
    assert "8N1、7E1" in capsys.readouterr().err


def test_replay_tells_a_cut_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = tmp_path / "cut.bin"
    cut.write_bytes((b"\x05" + b"".join(build_frames(cbc("S1"), per_record=True)))[:-40])
    assert main(["replay", str(cut)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["complete"]
    assert told["problems"]


def test_replay_never_touches_live_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(tmp_path, tcp("xn", 1))
    journal = Journal(tmp_path / "journal.db")
    journal.message(Outgoing("xn", b"live", 1))
    journal.close()
    recorded = tmp_path / "r.bin"
    recorded.write_bytes(cbc("S1"))
    assert main(["replay", str(recorded), "--data", str(tmp_path)]) == 2
    assert "不能用作沙箱" in capsys.readouterr().err
    assert [stored.body for stored in Journal(tmp_path / "journal.db").messages()] == [b"live"]
