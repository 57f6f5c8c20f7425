"""`./dev check`: every check runs, also after one that failed; the exit code tells whether all passed."""

import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
CHECKS: dict[str, list[str]] = {
    "style": [str(BIN / "ruff"), "check", "."],
    "format": [str(BIN / "ruff"), "format", "--check", "--quiet", "."],
    "types": [str(BIN / "mypy")],
    "import contracts": [str(BIN / "lint-imports")],
    "scripts and styles in Chrome 109": [sys.executable, "-m", "tests.support.assets"],
    "architecture, templates, migrations": [sys.executable, "-m", "pytest", "-q", "tests/architecture"],
}


def main() -> int:
    failed = []
    for name, command in CHECKS.items():
        print(f"== {name}", flush=True)
        start = time.monotonic()
        code = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
        print(f"== {name}: {'passed' if code == 0 else f'FAILED (exit code {code})'} in {time.monotonic() - start:.0f} s", flush=True)
        if code != 0:
            failed.append(name)
    print(f"checks failed: {', '.join(failed)}" if failed else "all checks passed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
