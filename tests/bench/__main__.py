"""``./dev bench [--quick] [SECTION...]``: the figures that were promised, measured here and now, one JSON line each.

Each section is a process of its own and starts what it measures: ``astm`` and ``edge`` the agent, ``decode`` the readers, ``intake`` the
intake, ``latency``, ``web``, ``scan``, ``pages`` and ``memory`` the whole product, ``pdf`` the renderer. Everything is written to a
temporary folder (TMPDIR says where: it should be a real disk) and invented. A section that fails prints its error and the others go on;
the exit code is then 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from tests.bench.common import REPO

SECTIONS = ("astm", "edge", "decode", "latency", "intake", "web", "scan", "pages", "pdf", "memory", "lab")
QUICK = {"intake": ["--messages", "200"]}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", nargs="*", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, the figures mean little")
    args = parser.parse_args()
    unknown = set(args.section) - set(SECTIONS)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    failed = 0
    for name in args.section or SECTIONS:
        quick = QUICK.get(name, ["--quick"]) if args.quick else []
        print(f"[bench] {name}", file=sys.stderr, flush=True)
        code = subprocess.run([sys.executable, "-m", f"tests.bench.{name}", *quick], cwd=REPO, check=False).returncode
        if code:
            failed += 1
            print(json.dumps({"what": name, "error": f"ended with code {code}; see above"}), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
