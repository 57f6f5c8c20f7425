"""The demo's supervisor and serial cables, with real processes."""

import os
import signal
import socket
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud.demo import processes
from cloud.demo.processes import MARK, StartFailed, Supervisor, port_free, port_open
from cloud.demo.state import State, drawn_ports, near, port_names
from tests.support.brokers import free_port

SLEEP = ("import time", "time.sleep(600)")
WAIT = 15.0


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path, lambda _line: None)
    yield made
    made.stop()


def python(lines: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-c", "\n".join(lines)]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_who_dies_is_started_again(supervisor: Supervisor) -> None:
    child = supervisor.start("sleeper", *python(SLEEP))
    first = child.process.pid
    os.kill(first, signal.SIGKILL)

    def again() -> bool:
        supervisor.watch()
        return child.process.pid != first

    until(again)
    assert alive(child.process.pid)


def test_stopping_ends_grandchildren_and_the_deaf(supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / "grandchild"
    lines = (
        "import signal, subprocess, sys, time",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])",
        f"open({str(note)!r}, 'w').write(str(child.pid))",
        "time.sleep(600)",
    )
    child = supervisor.start("deaf", *python(lines))
    until(lambda: note.exists() and note.read_text() != "")
    monkeypatch.setattr(processes, "STOP_SECONDS", 1.0)
    supervisor.stop()
    until(lambda: not alive(child.process.pid) and not alive(int(note.read_text())))


def test_children_do_not_outlive_a_killed_launcher(tmp_path: Path) -> None:
    lines = (
        "import sys, time",
        "from pathlib import Path",
        "from cloud.demo.processes import Supervisor",
        f"s = Supervisor(Path({str(tmp_path)!r}), print)",
        "child = s.start('sleeper', sys.executable, '-c', 'import time; time.sleep(600)')",
        "print(child.process.pid, flush=True)",
        "time.sleep(600)",
    )
    with subprocess.Popen(python(lines), stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        pid = int(launcher.stdout.readline())
        launcher.kill()
    until(lambda: not alive(pid))


def test_left_over_processes_are_told_from_strangers(supervisor: Supervisor, tmp_path: Path) -> None:
    own = subprocess.Popen(python(SLEEP), env={**os.environ, MARK: str(tmp_path)}, start_new_session=True)
    stranger = subprocess.Popen(python(SLEEP), start_new_session=True)
    try:
        until(lambda: Path(f"/proc/{own.pid}/cmdline").read_bytes() != b"")
        supervisor.record.write_text(f"[{own.pid}, {stranger.pid}, 999999999]")
        supervisor.kill_left_over()
        assert own.wait(WAIT) == -signal.SIGKILL
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_start_that_fails_says_the_last_words(supervisor: Supervisor) -> None:
    child = supervisor.start("broken", *python(("raise SystemExit('no database here')",)))
    with pytest.raises(StartFailed, match="no database here"):
        supervisor.wait_for(child, lambda: False)


def test_settings_of_the_shell_do_not_reach_the_demo(supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIANLIAN_DATABASE_URL", "postgresql://elsewhere")
    child = supervisor.start("env", *python(("import os", "print(sorted(k for k in os.environ if k.startswith('JIANLIAN_')))")))
    child.process.wait(WAIT)
    assert child.last_words() == f"['{MARK}']"


def test_ports_are_kept_and_moved_when_taken(tmp_path: Path) -> None:
    first = free_port()
    state = State(tmp_path)
    ports = state.ports(first)
    assert list(ports) == port_names()
    assert len(set(ports.values())) == len(ports)
    assert ports["web"] == first
    assert State(tmp_path).ports(first) == ports
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", ports["mqtt"]))
        squatter.listen()
        assert port_open(ports["mqtt"])
        assert not port_free(ports["mqtt"])
        moved = State(tmp_path).ports(first)
    assert moved["mqtt"] != ports["mqtt"]
    assert {name: port for name, port in moved.items() if name != "mqtt"} == {name: port for name, port in ports.items() if name != "mqtt"}


def test_ports_stay_out_of_the_range_for_outgoing_connections() -> None:
    low, high = drawn_ports()
    for first in (8443, low - 1, low, (low + high) // 2, high):
        start = near(first)
        assert start > 1024
        assert start + len(port_names()) < low or start > high


def test_secrets_are_drawn_once_and_only_for_the_owner(tmp_path: Path) -> None:
    state, other = State(tmp_path / "a"), State(tmp_path / "b")
    accounts = state.accounts()
    assert State(tmp_path / "a").accounts() == accounts
    assert {a.password for a in accounts}.isdisjoint(a.password for a in other.accounts())
    assert state.secret() == State(tmp_path / "a").secret() != other.secret()
    for name in ("users.json", "secret"):
        assert (tmp_path / "a" / name).stat().st_mode & 0o077 == 0
    assert all(a.totp for a in accounts if a.role in ("verifier", "secadmin"))


def test_a_cable_carries_every_byte_both_ways_and_stays(supervisor: Supervisor, tmp_path: Path) -> None:
    ends = [tmp_path / "one", tmp_path / "two"]
    cable = supervisor.python("cable", "cloud.demo.nullmodem", *map(str, ends))
    supervisor.wait_for(cable, lambda: all(end.exists() for end in ends))
    payload = bytes(range(256)) * 8
    for source, target in (ends, ends[::-1], ends):
        with open(source, "r+b", buffering=0) as out, open(target, "r+b", buffering=0) as into:
            for end in (out, into):
                tty.setraw(end, termios.TCSANOW)
            out.write(payload)
            got = b""
            while len(got) < len(payload):
                got += into.read(len(payload) - len(got))
            assert got == payload
