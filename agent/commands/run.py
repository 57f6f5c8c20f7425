"""`run`: the agent itself, until a signal ends it."""

from __future__ import annotations

import argparse
from pathlib import Path

from agent import app
from agent.__main__ import default_data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--data", type=Path, default=default_data(), help="数据目录 (data folder)")


def main(args: argparse.Namespace) -> int:
    """Run."""
    return app.run(args.data)
