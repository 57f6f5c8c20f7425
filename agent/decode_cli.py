"""``jianlian-agent decode FILE... [--driver ID] [--encoding NAME] [--site FILE] [--text]``: captures to JSON lines, or to text.

An archive of raw messages (common/raw_archive) gives a document a message, each read as it was then.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from agent.outline import outline
from agent.recorded import pieces
from common.errors import PeerError, UserError
from common.instruments.decode import decode
from common.instruments.site import site_from_json


def main(argv: list[str] | None = None) -> int:
    """Print one JSON document a file or archived message; 0 even with problems in the data, 1 when a file is unreadable."""
    parser = argparse.ArgumentParser(prog="jianlian-agent decode", description="read captures of analyzers")
    parser.add_argument("files", nargs="+", metavar="FILE", help="capture; - is standard input")
    parser.add_argument("--driver", help="driver id; without it the driver is recognised or the reading is generic")
    parser.add_argument("--encoding", help="charset of the text, e.g. gb18030; without it it is found out")
    parser.add_argument(
        "--site", type=Path, metavar="FILE", help="JSON: how this analyzer differs from its driver (common/instruments/site.py)"
    )
    parser.add_argument("--text", action="store_true", help="lines for a person instead of JSON")
    options = parser.parse_args(argv)
    try:
        site = site_from_json(json.loads(options.site.read_text("utf-8"))) if options.site else None
    except (OSError, ValueError, UserError) as error:
        print(f"{options.site}: 仪器差异读不出(cannot read the site): {error}", file=sys.stderr)
        return 1
    out = sys.stdout.buffer
    failed = False
    for name in options.files:
        try:
            data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        except OSError as error:
            print(f"{name}: 无法读取文件(cannot read): {error.strerror or error}", file=sys.stderr)
            failed = True
            continue
        try:
            parts = pieces(data)
        except PeerError as error:
            print(f"{name}: {error.message}", file=sys.stderr)
            failed = True
            continue
        for part in parts:
            reading = decode(part.body, options.driver or part.driver, options.encoding or part.encoding, site or part.site)
            if options.text:
                heading = [" ".join(["==", *([name] if len(options.files) > 1 else []), *([part.name] if part.name else [])])]
                line = "\n".join([*(heading if heading != ["=="] else []), *outline(reading, part.body)])
            else:
                line = json.dumps({**({"message": part.name} if part.name else {}), **reading.to_json()}, ensure_ascii=False)
            out.write(line.encode("utf-8", "backslashreplace") + b"\n")
    out.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
