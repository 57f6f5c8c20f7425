"""The agent as a Windows service, without any package of Windows' own: the three calls a service makes, through ctypes.

What the service control manager starts (`jianlian-agent service run`) is a host that keeps an agent running (agent/launch.py) and stops it
when it is told. It runs as the virtual account ``NT SERVICE\\JianlianAgent``, which has no password and no rights but those given here.

Never run on Windows: the calls are tested against a stand-in for advapi32, the commands as texts.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from agent.launch import Keeper
from common.errors import LocalError

NAME = "JianlianAgent"
TITLE = "检联采集代理 Jianlian agent"
ACCOUNT = f"NT SERVICE\\{NAME}"

OWN_PROCESS = 0x10
START_PENDING, STOP_PENDING, RUNNING, STOPPED = 2, 3, 4, 1
ACCEPT_STOP, ACCEPT_SHUTDOWN = 1, 4
CONTROL_STOP, CONTROL_INTERROGATE, CONTROL_SHUTDOWN = 1, 4, 5
NOT_IMPLEMENTED = 120  # ERROR_CALL_NOT_IMPLEMENTED
SERVICE_SPECIFIC = 1066  # ERROR_SERVICE_SPECIFIC_ERROR: the second code is the service's own
STOP_MS = 25_000
LOG_BYTES = 10 << 20

# Windows calls back with its own convention; elsewhere the C one stands in, so that the host can be tried with a stand-in.
_CALL: Any = getattr(ctypes, "WINFUNCTYPE", ctypes.CFUNCTYPE)
ServiceMain: Any = _CALL(None, ctypes.c_uint32, ctypes.POINTER(ctypes.c_wchar_p))
Handler: Any = _CALL(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p)


class Entry(ctypes.Structure):
    """SERVICE_TABLE_ENTRYW."""

    _fields_ = [("name", ctypes.c_wchar_p), ("main", ServiceMain)]


class Status(ctypes.Structure):
    """SERVICE_STATUS: seven double words."""

    _fields_ = [(name, ctypes.c_uint32) for name in ("kind", "state", "accepts", "code", "own_code", "checkpoint", "wait_ms")]


class ServiceError(LocalError):
    """Windows refused."""


class Keeps(Protocol):
    """What the host keeps running (agent/launch.py)."""

    def run(self) -> int:
        """Until it ends; its exit code."""

    def stop(self) -> None:
        """End `run` soon."""


class Host:
    """Between the service control manager and the keeper. `advapi` is advapi32, or what stands in for it."""

    def __init__(self, advapi: Any, keeper: Keeps, last_error: Callable[[], int]) -> None:
        self._api, self._keeper, self._last_error = advapi, keeper, last_error
        self._handle: Any = None
        self._main, self._handler = ServiceMain(self._service), Handler(self._control)  # kept: Windows calls them later
        self.code = 0

    def run(self) -> int:
        """Give this thread to Windows until the service ends. Raises ServiceError when Windows did not start it as a service."""
        table = (Entry * 2)(Entry(NAME, self._main), Entry(None, ServiceMain()))
        if not self._api.StartServiceCtrlDispatcherW(table):
            number = self._last_error()
            raise ServiceError("service.dispatch", f"只能由 Windows 服务管理器启动（错误 {number}）；请用 jianlian-agent service install")
        return self.code

    def _service(self, _count: int, _arguments: Any) -> None:
        self._handle = self._api.RegisterServiceCtrlHandlerExW(NAME, self._handler, None)
        if not self._handle:
            self.code = self._last_error() or 1
            return
        self._say(START_PENDING, wait_ms=STOP_MS)
        self._say(RUNNING)
        try:
            self.code = self._keeper.run()
        except Exception:  # the manager must hear that it ended, to start it anew
            self.code = 1
            raise
        finally:
            self._say(STOPPED, own_code=self.code)

    def _control(self, control: int, _event: int, _data: Any, _context: Any) -> int:
        if control in (CONTROL_STOP, CONTROL_SHUTDOWN):
            self._say(STOP_PENDING, wait_ms=STOP_MS)
            self._keeper.stop()
            return 0
        return 0 if control == CONTROL_INTERROGATE else NOT_IMPLEMENTED

    def _say(self, state: int, *, own_code: int = 0, wait_ms: int = 0) -> None:
        accepts = ACCEPT_STOP | ACCEPT_SHUTDOWN if state == RUNNING else 0
        status = Status(OWN_PROCESS, state, accepts, SERVICE_SPECIFIC if own_code else 0, own_code, 0, wait_ms)
        self._api.SetServiceStatus(self._handle, ctypes.byref(status))


def serve(data: Path) -> int:
    """What the service control manager started: host an agent of that data folder."""
    if sys.platform != "win32":
        raise ServiceError("service.windows", "只在 Windows 上；Linux 用 systemd（infra/systemd/jianlian-agent.service）")
    return _serve(data)  # pragma: no cover - Windows only


def _serve(data: Path) -> int:
    library: Any = ctypes
    advapi = library.WinDLL("advapi32", use_last_error=True)
    advapi.RegisterServiceCtrlHandlerExW.restype = ctypes.c_void_p
    advapi.RegisterServiceCtrlHandlerExW.argtypes = [ctypes.c_wchar_p, Handler, ctypes.c_void_p]
    advapi.SetServiceStatus.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    with open_log(data) as log:
        return Host(advapi, Keeper(data, log), library.get_last_error).run()


def open_log(data: Path) -> Any:
    """The agent's log: a service has no standard error. The one before is kept once it is large."""
    data.mkdir(parents=True, exist_ok=True)
    path = data / "agent.log"
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


# --- install and remove ----------------------------------------------------------------------------------------------


def python() -> str:
    """The interpreter itself: a virtual environment's python.exe only starts it as a child, which Windows would not know as the service."""
    return str(getattr(sys, "_base_executable", "") or sys.executable)


def install_commands(data: Path, interpreter: str, packages: str) -> list[list[str]]:
    """What makes the service, in order. Each is one program with its arguments; all need an administrator."""
    service = rf"HKLM\SYSTEM\CurrentControlSet\Services\{NAME}"
    binary = subprocess.list2cmdline([interpreter, "-P", "-m", "agent", "service", "run", "--data", str(data)])
    return [
        ["sc.exe", "create", NAME, "binPath=", binary, "start=", "delayed-auto", "obj=", ACCOUNT, "DisplayName=", TITLE],
        ["sc.exe", "description", NAME, "接收检验仪器数据并上传云端 (takes analyzers' data and sends it to the cloud)"],
        ["sc.exe", "failure", NAME, "reset=", "86400", "actions=", "restart/1000/restart/5000/restart/30000"],
        ["sc.exe", "failureflag", NAME, "1"],
        ["sc.exe", "sidtype", NAME, "unrestricted"],
        ["reg.exe", "add", service, "/v", "Environment", "/t", "REG_MULTI_SZ", "/d", rf"PYTHONPATH={packages}\0PYTHONUTF8=1", "/f"],
        # The system, administrators, the service, and nobody else.
        ["icacls.exe", str(data), "/inheritance:r", "/grant:r", *(f"{who}:(OI)(CI){may}" for who, may in _READERS), "/T"],
        ["sc.exe", "start", NAME],
    ]  # fmt: skip


_READERS = (("*S-1-5-18", "F"), ("*S-1-5-32-544", "F"), (ACCOUNT, "M"))


def remove_commands() -> list[list[str]]:
    """What takes the service away; the data folder stays."""
    return [["sc.exe", "stop", NAME], ["sc.exe", "delete", NAME]]


def packages() -> str:
    """Where this program and its libraries lie."""
    return sysconfig.get_paths()["purelib"]
