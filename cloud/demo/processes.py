"""Child processes of the demo: each in a process group of its own, restarted when it dies, all stopped at the end."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

MARK = "JIANLIAN_DEMO_DATA"  # in the environment of every child, so that left-over ones are told from strangers
STOP_SECONDS = 15.0
RESTART_SECONDS = 1.0
POLL_SECONDS = 0.15  # looking costs the processor that those who are waited for need
MAX_LOG = 20 * 2**20
PR_SET_PDEATHSIG = 1


class StartFailed(RuntimeError):
    """A process did not come up; the text ends with its own last words."""


class Process(Protocol):
    """What a supervisor needs of a process, as `subprocess.Popen` has it."""

    pid: int

    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int | None: ...
    def terminate(self) -> None: ...


@dataclass
class Child:
    """One program, its command and its log."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: Process
    started: float = field(default_factory=time.monotonic)
    restarts: int = 0

    def last_words(self, lines: int = 15) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


class Supervisor:
    """Starts, watches and stops the children. `say` takes one line of progress."""

    def __init__(self, data: Path, say: Callable[[str], None]) -> None:
        self.data = data
        self.say = say
        self.logs = data / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.children: list[Child] = []
        self.record = data / "processes.json"

    def start(self, name: str, *command: str, environment: Mapping[str, str] | None = None) -> Child:
        """Start a program; does not wait for it."""
        log, full = self._log(name), {**self.environment(), **(environment or {})}
        return self._keep(Child(name, command, full, log, self._spawn(command, full, log)))

    def forked(self, name: str, fork: Callable[[Path, Mapping[str, str]], Process], *command: str) -> Child:
        """Keep a process that ``fork`` starts with a log and an environment; should it die, ``command`` takes its place."""
        log, full = self._log(name), self.environment()
        return self._keep(Child(name, command, full, log, fork(log, full)))

    def environment(self) -> dict[str, str]:
        """What every child starts with."""
        return {**clean_environment(), MARK: str(self.data), "PYTHONUNBUFFERED": "1"}

    def _log(self, name: str) -> Path:
        log = self.logs / f"{name}.log"
        if log.exists() and log.stat().st_size > MAX_LOG:
            log.replace(log.with_suffix(".log.1"))
        return log

    def _keep(self, child: Child) -> Child:
        self.children.append(child)
        self._write_record()
        return child

    def python(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Child:
        """Start a module of ours with this interpreter: `python("web", "cloud.cli", "serve")`."""
        return self.start(name, sys.executable, "-m", *arguments, environment=environment)

    def wait_for(self, child: Child, ready: Callable[[], bool], timeout: float = 60.0) -> None:
        """Wait until `ready`; a child that ends before raises StartFailed."""
        end = time.monotonic() + timeout
        while not ready():
            if child.process.poll() is not None:
                raise StartFailed(f"{child.name} ended with code {child.process.returncode}:\n{child.last_words()}")
            if time.monotonic() > end:
                raise StartFailed(f"{child.name} is not ready after {timeout:.0f} s:\n{child.last_words()}")
            time.sleep(POLL_SECONDS)

    def watch(self) -> None:
        """Restart whoever died, as a service manager does. Call it once a second or so."""
        for child in self.children:
            code = child.process.poll()
            if code is None or time.monotonic() - child.started < RESTART_SECONDS * min(2**child.restarts, 32):
                continue
            child.restarts = 0 if time.monotonic() - child.started > 60 else child.restarts + 1
            self.say(f"{child.name} ended ({code}); starting it again, see {child.log}")
            child.process = self._spawn(child.command, child.environment, child.log)
            child.started = time.monotonic()
            self._write_record()

    def stop(self) -> None:
        """Stop all, the last started first, each with time to finish; then kill what is left of their groups."""
        for child in reversed(self.children):
            with contextlib.suppress(ProcessLookupError):
                child.process.terminate()
        end = time.monotonic() + STOP_SECONDS
        for child in reversed(self.children):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.1, end - time.monotonic()))
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()
        self.children.clear()
        self.record.unlink(missing_ok=True)

    def kill_left_over(self) -> None:
        """End what an earlier launcher started and could not stop, because it was killed itself."""
        try:
            earlier = json.loads(self.record.read_text())
        except (OSError, ValueError):
            return
        for pid in earlier:
            if is_ours(int(pid), self.data):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(int(pid), signal.SIGKILL)
        self.record.unlink(missing_ok=True)

    def _spawn(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def _write_record(self) -> None:
        written = self.record.with_suffix(".new")
        written.write_text(json.dumps([child.process.pid for child in self.children]))
        written.replace(self.record)  # whoever reads meets the old list or the new one, never half of it


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the launcher dies, however it dies. Linux only; else the next start finds them."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def clean_environment() -> dict[str, str]:
    """This process's environment without settings of the product: a demo is configured by its own file alone."""
    return {name: value for name, value in os.environ.items() if not name.startswith("JIANLIAN_")}


def is_ours(pid: int, data: Path) -> bool:
    """Whether that process carries this demo's mark (its number may long belong to another program)."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"{MARK}={data}".encode() in environment


def port_open(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def port_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether this process could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
