"""Real lines into a real agent process: TCP and serial, ASTM and HL7 and one-way; each line for itself."""

import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.inbox import Inbox
from agent.journal import Journal, wall_ms
from agent.rows import Stored
from common.protocol.astm.framing import build_frames
from common.protocol.hl7 import mllp
from tests.support.agent_process import REPO, AgentProcess, configure, free_port, running, serial, tcp, until
from tests.support.agent_pty import cable
from tests.support.crash.load import cbc

ENQ, ACK, NAK, EOT = b"\x05", b"\x06", b"\x15", b"\x04"
ORU = b"MSH|^~\\&|BC|Lab|||20260701||ORU^R01|%d|P|2.3.1||||||UNICODE\rPID|1\rOBR|1||T1\rOBX|1|NM|WBC||6.1|10*9/L\r"


def dial(port: int) -> socket.socket:
    link: socket.socket = until(lambda: socket.create_connection(("127.0.0.1", port), 5), what="the agent's port")
    link.settimeout(10)
    return link


def session(link: socket.socket, key: str, eot: bytes = EOT) -> bytes:
    frames = build_frames(cbc(key, 3), per_record=True)
    link.sendall(ENQ)
    answers = link.recv(1)
    for frame in frames:
        link.sendall(frame)
        answers += link.recv(1)
    link.sendall(eot)
    assert answers == ACK * (len(frames) + 1)
    return ENQ + b"".join(frames) + eot


def stored(data: Path) -> list[Stored]:
    journal = Journal(data / "journal.db")
    found = list(journal.messages())
    journal.db.close()
    return found


def has(agent: AgentProcess, count: int) -> None:
    until(lambda: agent.messages() >= count, what=f"{count} messages")


def test_an_analyzer_that_connects_for_each_message_is_known_by_it(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, tcp("xn", port)) as agent:
        for n in range(3):
            assert not agent.line("xn")["on_demand"]
            with dial(port) as link:
                session(link, f"S{n}")
        until(lambda: agent.line("xn")["on_demand"], what="the habit")
        has(agent, 3)


def test_tcp_sessions_arrive_byte_for_byte(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, tcp("xn", port, driver="sysmex_xn", encoding="gb18030"), real=True) as agent:
        with dial(port) as link:
            bodies = [session(link, "S1"), session(link, "S2")]
            has(agent, 2)
        until(lambda: agent.line("xn")["frames"] == 14)
    found = stored(tmp_path)
    assert [s.body for s in found] == bodies
    assert [s.seq for s in found] == [1, 2]
    meta = found[0].meta
    assert (meta["protocol"], meta["driver"], meta["encoding"]) == ("astm", "sysmex_xn", "gb18030")
    assert (meta["complete"], meta["frames"]) == (True, 7)
    assert meta["started"] <= meta["ended"]


def test_a_cut_session_is_kept_as_incomplete(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, tcp("xn", port)) as agent:
        with dial(port) as link:
            link.sendall(ENQ + build_frames(cbc("S1"), per_record=True)[0])
            assert link.recv(1) + link.recv(1) == ACK * 2
        has(agent, 1)
        until(lambda: agent.line("xn")["incomplete"] == 1)
    (found,) = stored(tmp_path)
    assert not found.meta["complete"]
    assert found.meta["problems"]


def test_a_wrong_checksum_is_refused_and_counted(tmp_path: Path) -> None:
    port = free_port()
    frame = build_frames(cbc("S1"), per_record=True)[0]
    with running(tmp_path, tcp("xn", port)) as agent, dial(port) as link:
        link.sendall(ENQ)
        assert link.recv(1) == ACK
        link.sendall(frame[:-4] + b"00\r\n")
        assert link.recv(1) == NAK
        link.sendall(frame)
        assert link.recv(1) == ACK
        until(lambda: agent.line("xn")["checksum_errors"] == 1)


def test_hl7_is_acknowledged_after_it_is_stored(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, tcp("bc", port, "hl7")) as agent, dial(port) as link:
        for number in range(3):
            link.sendall(mllp.frame(ORU % number))
            answer = link.recv(4096)
            assert answer.endswith(b"MSA|AA|%d\r\x1c\r" % number)
            has(agent, number + 1)
        link.sendall(mllp.frame(ORU % 7) + mllp.frame(ORU % 8))
        answers = b""
        while answers.count(b"\x1c\r") < 2:
            answers += link.recv(4096)
        assert re.findall(rb"MSA\|AA\|(\d)", answers) == [b"7", b"8"]
    assert [s.body for s in stored(tmp_path)][-1] == mllp.frame(ORU % 8)


def test_a_ten_megabyte_message_is_kept_whole(tmp_path: Path) -> None:
    port = free_port()
    big = ORU % 1 + b"OBX|2|ED|IMG||" + b"Q" * (10 << 20) + b"\r"
    with running(tmp_path, tcp("bc", port, "hl7")), dial(port) as link:
        link.settimeout(20)
        link.sendall(mllp.frame(big))
        assert b"MSA|AA|1" in link.recv(4096)
    (found,) = stored(tmp_path)
    assert found.body == mllp.frame(big)


def test_a_one_way_line_is_grouped_by_silence(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, tcp("cbs", port, "text", idle_group_ms=150, answer="06")) as agent, dial(port) as link:
        for part in (b"\x02K 4.1 ", b"Na 140\r\n", b"\x03"):
            link.sendall(part)
            time.sleep(0.02)
        assert link.recv(1) == ACK
        has(agent, 1)
        link.sendall(b"\x02second\x03")
        has(agent, 2)
    assert [s.body for s in stored(tmp_path)] == [b"\x02K 4.1 Na 140\r\n\x03", b"\x02second\x03"]


def test_a_file_is_claimed_stored_and_moved(tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    conn = {"key": "f", "name": "F", "analyzer": "f", "protocol": "text", "transport": {"type": "file", "folder": str(folder)}}
    with running(tmp_path / "data", conn) as agent:
        (folder / "result.txt").write_bytes(b"K 4.1")
        has(agent, 1)
        until(lambda: not (folder / "result.txt.claimed").exists() and list((folder / "done").iterdir()))
    (found,) = stored(tmp_path / "data")
    assert (found.body, found.meta["peer"]) == (b"K 4.1", "result.txt")


def test_a_serial_line_and_its_return(tmp_path: Path) -> None:
    capture = tmp_path / "cbc.astm"
    capture.write_bytes(cbc("S1").replace(b"\r", b"\n"))
    with cable() as (ours, theirs), running(tmp_path / "data", serial("ser", ours)) as agent:
        until(lambda: agent.line("ser")["links"] == 1)
        command = [sys.executable, "-m", "agent", "simulate", str(capture), "--serial", theirs, "--repeat", "3", "--vary-specimen"]
        done = subprocess.run(command, cwd=REPO, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stdout.count(b'"acknowledged": true')) == (0, 3), done.stderr
        has(agent, 3)
    bodies = [s.body for s in stored(tmp_path / "data")]
    assert len(set(bodies)) == 3, "another specimen each time"
    assert all(body.count(b"\x02") == len(build_frames(cbc("S1"), per_record=True)) for body in bodies)


def test_one_failing_line_does_not_touch_another(tmp_path: Path) -> None:
    good, taken = free_port(), socket.create_server(("127.0.0.1", 0))
    dead = {**tcp("dead", 1), "transport": {"type": "tcp-dial", "host": "127.0.0.1", "port": free_port()}}
    lines = [tcp("taken", taken.getsockname()[1]), dead, serial("gone", "/dev/no-such-device"), tcp("good", good)]
    with taken, running(tmp_path, *lines) as agent:
        with dial(good) as link:
            session(link, "S1")
            has(agent, 1)
        until(lambda: all(agent.line(key)["state"] == "fault" for key in ("taken", "dead", "gone")))
        assert all(agent.line(key)["last_error"] for key in ("taken", "dead", "gone"))


def test_a_peer_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    port = free_port()
    conn = tcp("xn", port)
    conn["transport"]["peers"] = ["10.9.8.0/24"]
    with running(tmp_path, conn) as agent, dial(port) as link:
        assert link.recv(1) == b""
        until(lambda: agent.line("xn")["errors"] == 1)


def test_the_agent_dials_and_dials_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as analyzer:
        analyzer.settimeout(10)
        conn = {**tcp("a", 1), "transport": {"type": "tcp-dial", "host": "127.0.0.1", "port": analyzer.getsockname()[1]}}
        with running(tmp_path, conn) as agent:
            for number in (1, 2):
                link, _ = analyzer.accept()
                link.settimeout(5)
                session(link, f"S{number}")
                has(agent, number)
                link.close()


def test_a_second_agent_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, tcp("xn", free_port())):
        command = [sys.executable, "-m", "agent", "run", "--data", str(tmp_path)]
        done = subprocess.run(command, cwd=REPO, capture_output=True, timeout=30, check=False)
        assert done.returncode == 2
        assert "已有一个代理" in done.stderr.decode()


@pytest.mark.parametrize("bad", ['{"connections": [{"key": "a"}]}', "not json", '{"connections": 5}'])
def test_a_wrong_configuration_is_told_and_does_not_stop_the_agent(tmp_path: Path, bad: str) -> None:
    configure(tmp_path)
    (tmp_path / "local.json").write_text(bad)
    with running(tmp_path) as agent:
        assert agent.status()["config_error"]


def test_logs_hold_no_patient_data(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, tcp("xn", port, host_query=True)) as agent:
        with dial(port) as link:
            session(link, "GEHEIM77")
            has(agent, 1)
    assert "GEHEIM77" not in agent.log()


def test_an_hl7_query_is_answered_with_orders_and_no_second_acknowledgement(tmp_path: Path) -> None:
    port = free_port()
    tube = {"barcode": "LAB77", "tests": ["GLU", "ALT"], "priority": "routine", "order_version": 1, "cancelled": False}
    journal = Journal(tmp_path / "journal.db")
    Inbox(journal).put("cl", [("LAB77", json.dumps(tube))], wall_ms())
    journal.close()
    asked = (
        b"MSH|^~\\&|||||20260701080000||QRY^Q02|5|P|2.3.1||||||ASCII\r"
        b"QRD|20260701080000|R|D|7|||RD|LAB77|OTH|||T\rQRF||20260701|20260701|||RCT|COR|ALL\r"
    )
    with running(tmp_path, tcp("cl", port, "hl7", host_query=True)) as agent, dial(port) as link:
        link.sendall(mllp.frame(asked))
        answers = b""
        while b"DSR^Q03" not in answers or not answers.endswith(b"\x1c\r"):
            answers += link.recv(65536)
        assert [block.message[:3] for block in mllp.Deframer().receive(answers)] == [b"MSH", b"MSH"]
        assert b"QCK^Q02" in answers
        assert b"LAB77" in answers
        assert b"GLU" in answers
        assert b"ACK^" not in answers
        has(agent, 1)


def test_mllp_release_two_is_answered_twice_once_stored(tmp_path: Path) -> None:
    """The commit answer (VT ACK FS CR) comes after the COMMIT and before the application's."""
    port = free_port()
    conn = tcp("bc", port, "hl7")
    conn["transport"]["mllp"] = 2
    with running(tmp_path, conn) as agent, dial(port) as link:
        for number in range(2):
            link.sendall(mllp.frame(ORU % number))
            answer = link.recv(4)
            has(agent, number + 1)
            while answer.count(b"\x1c\r") < 2:
                answer += link.recv(4096)
            assert answer.startswith(b"\x0b\x06\x1c\r\x0bMSH")
            assert answer.endswith(b"MSA|AA|%d\r\x1c\r" % number)
