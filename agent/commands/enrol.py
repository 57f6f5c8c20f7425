"""`enrol CODE`: make this PC an agent of the hospital that issued the code."""

from __future__ import annotations

import argparse
import socket
import uuid
from pathlib import Path

from agent.__main__ import default_data
from agent.config import DataDir
from agent.enrolment import enrol
from agent.lock import is_locked
from common.errors import UserError
from common.say import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("code", help="网页上显示的登记码 JL1.… (the code shown on the web page)")
    parser.add_argument("--data", type=Path, default=default_data(), help="数据目录 (data folder)")


def main(args: argparse.Namespace) -> int:
    """Enrol."""
    data = DataDir(args.data)
    if is_locked(data.lock):
        raise UserError("agent.running", say("代理正在运行，请先停止它，再登记。"))
    agent = enrol(data, args.code, socket.gethostname(), str(uuid.uuid4()))
    print(f"登记成功 (enrolled)：{agent}")
    return 0
