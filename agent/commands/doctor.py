"""`doctor`: what is wrong on this PC and what to do about it. Exit code 0 all good, 1 look at it, 2 cannot work."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from agent import checkup
from agent.__main__ import default_data
from agent.config import DataDir
from agent.english import ENGLISH
from common import english

_MARK = {0: "✓", 1: "!", 2: "✗"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--data", type=Path, default=default_data(), help="数据目录 (data folder)")
    parser.add_argument("--json", action="store_true", help="输出 JSON (as JSON)")


def main(args: argparse.Namespace) -> int:
    """Check and advise."""
    findings = checkup.run(DataDir(args.data))
    worst = max((finding.level for finding in findings), default=2)
    lang = english.language(args.lang, os.environ)

    def words(text: str) -> str:
        return english.in_language(text, lang, ENGLISH)

    if args.json:
        rows = [{"check": f.check, "level": f.level, "text": words(f.text), "advice": words(f.advice), "layer": f.layer} for f in findings]
        print(json.dumps({"level": worst, "checks": rows}, ensure_ascii=False))
        return worst
    for finding in findings:
        print(f"{_MARK[finding.level]} {words(finding.text)}")
        if finding.advice:
            print(f"    → {words(finding.advice)}")
    return worst
