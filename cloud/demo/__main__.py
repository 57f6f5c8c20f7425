"""`python -m cloud.demo`: what `./dev demo` runs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cloud.demo import announce, launcher
from cloud.demo.state import State, default_folder


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="jianlian demo", description="The whole product on this machine, with invented people, until Ctrl-C."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout when everything is ready")
    parser.add_argument("--data", metavar="DIR", help=f"where it keeps its state (default {default_folder()})")
    parser.add_argument("--port", type=int, default=8443, help="the web's port; the others follow it (default 8443)")
    parser.add_argument("--codes", action="store_true", help="only print everyone's present second-factor code")
    return start(parser.parse_args(argv))


def start(args: argparse.Namespace) -> int:
    """What both command lines do with the same arguments."""
    if args.codes:
        announce.codes(State(Path(args.data) if args.data else default_folder()))
        return 0
    return launcher.run(args.data, args.port, args.json)


if __name__ == "__main__":
    sys.exit(main())
