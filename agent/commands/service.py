"""`service install|remove|run|show`: the agent as a Windows service (agent/service.py). `show` prints what install would do, anywhere."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from agent import service
from agent.__main__ import default_data
from agent.config import DataDir
from agent.journal import Journal
from agent.lock import is_locked
from common.errors import UserError
from common.say import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("what", choices=("install", "remove", "run", "show"))
    parser.add_argument("--data", type=Path, default=default_data(), help="数据目录 (data folder)")
    parser.add_argument("--lose-pending", action="store_true", help="仍有未上传数据也移除，数据留在目录里 (remove although data waits)")


def main(args: argparse.Namespace) -> int:
    """Do it."""
    data = args.data.absolute()
    if args.what == "run":
        return service.serve(data)
    making = service.install_commands(data, service.python(), service.packages())
    if args.what == "show":
        print("\n".join(subprocess.list2cmdline(command) for command in making))
        return 0
    if sys.platform != "win32":
        raise UserError("service.windows", say("只在 Windows 上；Linux 用 systemd（infra/systemd/jianlian-agent.service）。"))
    if args.what == "install":
        DataDir(data).create()
        return carry_out(making)
    refuse_while_waiting(DataDir(data), args.lose_pending)
    return carry_out(service.remove_commands(), anyway=True)


def refuse_while_waiting(data: DataDir, lose: bool) -> None:
    """Nobody takes an agent away that holds what the cloud has not (RELIABILITY F17). Raises UserError."""
    if lose or not data.journal.exists():
        return
    if is_locked(data.lock):
        waiting = json.loads(data.status.read_bytes())["pending"]
    else:
        journal = Journal(data.journal)
        waiting = journal.pending_count
        journal.close()
    if waiting:
        said = say(
            "还有 {n} 条数据没有上传，没有移除。请等它们上传完；确实要移除请加 --lose-pending（数据留在 {folder}）。",
            n=waiting,
            folder=data.root,
        )
        raise UserError("service.pending", said)


def carry_out(commands: list[list[str]], *, anyway: bool = False) -> int:
    """One after the other; the first that fails ends it, unless the rest is wanted anyway."""
    for command in commands:
        done = subprocess.run(command, check=False)
        if done.returncode and not anyway:
            print(f"失败 (failed, {done.returncode}): {subprocess.list2cmdline(command)}", file=sys.stderr)
            return 2
    return 0
