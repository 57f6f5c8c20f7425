"""One interpreter that has loaded the product, from which the demo's processes of the hosted side are forked (`multiprocessing`'s fork
server): loading is most of what a start costs, and each of them would do it again. An installation starts each by itself.
"""

import contextlib
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from typing import Any

from cloud.demo.processes import die_with_parent

LOADED = ["cloud.app", "cloud.demo.seed", "cloud.modules.edge.intake", "cloud.modules.interfaces.listener", "cloud.worker"]
CALL_SECONDS = 300.0
_CONTEXT = multiprocessing.get_context("forkserver")


def begin(environment: Mapping[str, str]) -> None:
    """Have it load while the caller does something else. It ends with this process, and with it all that it forked."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        forkserver.set_forkserver_preload(LOADED)
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)


class Forked:
    """A forked process, with the part of `subprocess.Popen` that a supervisor needs."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid: int = process.pid

    @property
    def returncode(self) -> int | None:
        """As of `Popen`: negative for a signal."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end; raises `subprocess.TimeoutExpired` as `Popen` does."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return self._process.exitcode

    def terminate(self) -> None:
        """SIGTERM."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


def command(log: str, environment: Mapping[str, str], *arguments: str) -> Forked:
    """Run `jianlian ARGUMENTS` in a process group of its own; what it prints goes to the log."""
    process = _CONTEXT.Process(target=_command, args=(log, dict(environment), arguments), name=arguments[-1])
    process.start()
    return Forked(process)


def _command(log: str, environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    os.setsid()
    die_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for made, wanted in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(made, wanted)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["jianlian", *arguments]
    from cloud import cli

    sys.exit(cli.main(arguments))


def side_by_side(name: str, each: list[tuple[Any, ...]]) -> list[Any]:
    """Call a function (`module:function`) with each of the arguments in a forked process of its own; what they return, in that order. What
    one raises is raised here."""
    with _CONTEXT.Pool(len(each)) as pool:
        running = [pool.apply_async(_call, (name, given)) for given in each]
        return [one.get(CALL_SECONDS) for one in running]


def _call(name: str, given: tuple[Any, ...]) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)(*given)
