"""`jianlian-agent`: the edge program's command line. Exit codes: 0 good, 1 something to look at, 2 cannot work."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from agent import log
from agent.english import ENGLISH
from common import english
from common.errors import JianlianError

# Each command's module has `add_arguments(parser)` and `main(args) -> int`; it is only imported when it is used.
COMMANDS = {
    "run": ("agent.commands.run", "运行代理 (run the agent)"),
    "launch": ("agent.launch", "启动当前版本并看护升级 (run the version that is due; for the service manager)"),
    "service": ("agent.commands.service", "Windows 服务：安装、移除 (as a Windows service)"),
    "enrol": ("agent.commands.enrol", "用登记码登记本代理 (enrol with a code)"),
    "doctor": ("agent.commands.doctor", "检查本机并说明如何处理 (check and advise)"),
    "simulate": ("agent.commands.simulate", "模拟一台仪器 (play an analyzer)"),
    "capture": ("agent.commands.capture", "把一条连接的字节录到文件 (record a connection)"),
    "replay": ("agent.commands.replay", "在沙箱中重放录制的会话 (replay in a sandbox)"),
}


def default_data() -> Path:
    """Where the agent keeps its data when it is not told."""
    if sys.platform == "win32":  # of the machine, not of a person: the service has an account of its own
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "Jianlian" / "agent"
    system = Path("/var/lib/jianlian-agent")
    return system if system.exists() else Path.home() / ".local" / "share" / "jianlian-agent"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["decode"]:
        decode: Callable[[Sequence[str]], int] = import_module("agent.decode_cli").main
        return decode(given[1:])
    parser = argparse.ArgumentParser(prog="jianlian-agent", description="检联采集代理 (Jianlian edge agent)")
    parser.add_argument("--log", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"], help="日志级别 (log level)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("decode", help="解读抓取文件 (read captures)", add_help=False)
    for name, (module, text) in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text)
        if given[:1] == [name] or name in given:
            import_module(module).add_arguments(sub)
            english.add_switch(sub)
    args = parser.parse_args(given)
    log.setup(args.log)
    try:
        return int(import_module(COMMANDS[args.command][0]).main(args))
    except JianlianError as error:
        lang = english.language(args.lang, os.environ)
        print(error.fields.get(lang) or english.in_language(error.message, lang, ENGLISH), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
