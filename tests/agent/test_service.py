"""The Windows service as far as Linux allows: its host at a stand-in for advapi32 with a real agent behind it, its commands as texts."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from agent import service
from agent.__main__ import main
from agent.commands.service import refuse_while_waiting
from agent.config import DataDir
from agent.journal import Journal
from agent.launch import Keeper
from agent.lock import is_locked
from agent.rows import Outgoing
from common.errors import UserError
from tests.support.agent_process import REPO, configure, free_port, tcp, until

SCRIPTS = REPO / "infra" / "windows"


class Manager:
    """Stands where Windows' service control manager is: starts the service in a thread, and can send it controls."""

    def __init__(self, *, foreign: bool = False) -> None:
        self.said: list[tuple[int, int, int]] = []
        self.foreign = foreign
        self._handler: Any = None

    def StartServiceCtrlDispatcherW(self, table: Any) -> int:
        if self.foreign:
            return 0
        assert table[0].name == service.NAME and not table[1].name
        thread = threading.Thread(target=lambda: table[0].main(0, None))  # as Windows does
        thread.start()
        thread.join()
        return 1

    def RegisterServiceCtrlHandlerExW(self, name: str, handler: Any, context: Any) -> int:
        assert name == service.NAME
        self._handler = handler
        return 7

    def SetServiceStatus(self, handle: int, status: Any) -> int:
        found = ctypes.cast(status, ctypes.POINTER(service.Status)).contents
        assert handle == 7 and found.kind == service.OWN_PROCESS
        self.said.append((found.state, found.accepts, found.own_code))
        return 1

    def control(self, number: int) -> int:
        return int(self._handler(number, 0, None, None))

    def states(self) -> list[int]:
        return [state for state, _, _ in self.said]


class Job:
    """Stands where the keeper is."""

    def __init__(self, code: int = 0) -> None:
        self.code, self.told = code, threading.Event()

    def run(self) -> int:
        assert self.code or self.told.wait(30)
        return self.code

    def stop(self) -> None:
        self.told.set()


def served(manager: Manager, keeper: Any) -> tuple[threading.Thread, service.Host]:
    host = service.Host(manager, keeper, lambda: 1063)
    thread = threading.Thread(target=host.run)
    thread.start()
    until(lambda: service.RUNNING in manager.states())
    return thread, host


@pytest.mark.parametrize("control", [service.CONTROL_STOP, service.CONTROL_SHUTDOWN])
def test_the_service_starts_answers_and_stops(control: int) -> None:
    manager = Manager()
    thread, host = served(manager, Job())
    assert manager.control(service.CONTROL_INTERROGATE) == 0
    assert manager.control(99) == service.NOT_IMPLEMENTED
    assert manager.control(control) == 0
    thread.join(30)
    assert manager.states() == [service.START_PENDING, service.RUNNING, service.STOP_PENDING, service.STOPPED]
    assert [accepts for _, accepts, _ in manager.said] == [0, service.ACCEPT_STOP | service.ACCEPT_SHUTDOWN, 0, 0]
    assert host.code == 0


def test_an_agent_that_fails_is_told_as_a_failure_so_that_windows_starts_it_anew() -> None:
    manager = Manager()
    host = service.Host(manager, Job(code=2), lambda: 0)
    assert host.run() == 2
    assert manager.said[-1] == (service.STOPPED, 0, 2)


def test_started_by_hand_it_says_what_to_do() -> None:
    with pytest.raises(service.ServiceError, match="service install"):
        service.Host(Manager(foreign=True), Job(), lambda: 1063).run()


def test_a_real_agent_behind_the_service_listens_and_ends_cleanly(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "agent")
    configure(data.root, tcp("xn", free_port()))
    manager = Manager()
    with service.open_log(data.root) as log:
        thread, host = served(manager, Keeper(data.root, log))
        until(data.status.exists)
        manager.control(service.CONTROL_STOP)
        thread.join(60)
    assert (manager.states()[-1], host.code) == (service.STOPPED, 0)
    assert not is_locked(data.lock) and not data.status.exists(), "the agent ended by itself, not by a kill"
    assert b'"started"' in (data.root / "agent.log").read_bytes()


def test_an_agent_that_does_not_end_is_killed_once_patience_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper = [
        sys.executable,
        "-c",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)",
    ]
    child = subprocess.Popen(sleeper, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline()
    monkeypatch.setattr(Keeper, "_start", lambda self, folder: child)
    keeper = Keeper(tmp_path, patience=0.1)
    thread = threading.Thread(target=keeper.run)
    thread.start()
    until(lambda: keeper._child is not None)
    keeper.stop()
    thread.join(60)
    assert child.returncode == -9
    child.stdout.close()


def test_an_agent_ends_when_the_one_who_watches_it_dies(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    configure(tmp_path, tcp("xn", free_port()))
    launcher = subprocess.Popen([sys.executable, "-m", "agent", "launch", "--data", str(tmp_path)], cwd=REPO)
    until(data.status.exists)
    launcher.kill()
    launcher.wait(30)
    until(lambda: not is_locked(data.lock))


def test_a_log_that_grew_large_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LOG_BYTES", 10)
    for _ in range(2):
        with service.open_log(tmp_path) as log:
            log.write(b"more than ten bytes")
    assert (tmp_path / "agent.log.1").read_bytes() == b"more than ten bytes" == (tmp_path / "agent.log").read_bytes()


# --- install and remove ----------------------------------------------------------------------------------------------


def test_the_commands_of_an_installation() -> None:
    made = service.install_commands(Path("C:/ProgramData/Jianlian/agent"), r"C:\Program Files\Python311\python.exe", r"C:\P\site-packages")
    create = made[0]
    assert create[:4] == ["sc.exe", "create", "JianlianAgent", "binPath="]
    assert create[4] == (r'"C:\Program Files\Python311\python.exe" -P -m agent service run --data C:/ProgramData/Jianlian/agent'), (
        "one command line, the path with blanks quoted"
    )
    assert create[create.index("obj=") + 1] == r"NT SERVICE\JianlianAgent"
    assert all(words[-1] == "JianlianAgent" or "JianlianAgent" in " ".join(words) for words in made)
    [grant] = [words for words in made if words[0] == "icacls.exe"]
    assert "/inheritance:r" in grant and not any("S-1-1-0" in word or "Users" in word for word in grant), "nobody else reads the data"
    [environment] = [words for words in made if words[0] == "reg.exe"]
    assert r"PYTHONPATH=C:\P\site-packages\0PYTHONUTF8=1" in environment


def test_show_prints_them_anywhere_and_the_rest_is_for_windows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "show", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("sc.exe create JianlianAgent")
    for what in ("install", "remove", "run"):
        assert main(["service", what, "--data", str(tmp_path)]) == 2
        assert "systemd" in capsys.readouterr().err


def test_an_agent_that_holds_what_the_cloud_has_not_is_not_removed(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    refuse_while_waiting(data, lose=False)
    journal = Journal(data.journal)
    journal.message(Outgoing("xn", b"result", 1))
    journal.close()
    with pytest.raises(UserError, match="1 条数据没有上传"):
        refuse_while_waiting(data, lose=False)
    refuse_while_waiting(data, lose=True)


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.ps1")), ids=lambda path: path.name)
def test_what_a_script_calls_of_ours_exists(script: Path) -> None:
    """No PowerShell here: brackets balance, and every command line of ours is one that `jianlian-agent` takes."""
    text = script.read_text(encoding="ascii")
    bare = re.sub(r"<#.*?#>|#[^\n]*|'[^'\n]*'|\"[^\"\n]*\"", "", text, flags=re.S)
    for left, right in ("()", "{}", "[]"):
        assert bare.count(left) == bare.count(right)
    ours = [re.findall(r"'([^']*)'", found) for found in re.findall(r"@\('-m', 'agent'(.*?)\)", text)]
    assert ours
    for words in ours:
        assert words[0] in {"enrol", "doctor", "service"}
        if words[0] == "service":
            assert words[1] in {"install", "remove"}
        assert "--data" in words
