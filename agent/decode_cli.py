"""``jianlian-agent decode FILE... [--driver ID] [--encoding NAME]``: captures to JSON, one line a file."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from common.instruments.decode import decode


def main(argv: list[str] | None = None) -> int:
    """Print one JSON document a file; 0 even with problems in the data, 1 when a file is unreadable."""
    parser = argparse.ArgumentParser(prog="jianlian-agent decode", description="read captures of analyzers")
    parser.add_argument("files", nargs="+", metavar="FILE", help="capture; - is standard input")
    parser.add_argument("--driver", help="driver id; without it the driver is recognised or the reading is generic")
    parser.add_argument("--encoding", help="charset of the text, e.g. gb18030; without it it is found out")
    options = parser.parse_args(argv)
    out = sys.stdout.buffer
    failed = False
    for name in options.files:
        try:
            data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        except OSError as error:
            print(f"{name}: 无法读取文件(cannot read): {error.strerror or error}", file=sys.stderr)
            failed = True
            continue
        reading = decode(data, options.driver, options.encoding)
        line = json.dumps(reading.to_json(), ensure_ascii=False)
        out.write(line.encode("utf-8", "backslashreplace") + b"\n")
    out.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
