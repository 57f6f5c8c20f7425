"""Our scripts and style sheets against Chrome 109, with the tools that package-lock.json pins."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cloud.web import assets_build

REPO = assets_build.REPO
TREES = ("cloud", "agent")


def own_files(ending: str) -> list[Path]:
    """What we wrote, without what others did."""
    found = [path for tree in TREES for path in sorted((REPO / tree).rglob(f"*.{ending}"))]
    return [path for path in found if "vendor" not in path.parts]


def lint(scripts: Sequence[Path], sheets: Sequence[Path]) -> subprocess.CompletedProcess[str]:
    """Run both tools; the worse exit code and both outputs."""
    commands = []
    if scripts:
        commands.append(["eslint/bin/eslint.js", "--no-warn-ignored", "-c", "infra/lint/eslint.config.mjs", *map(str, scripts)])
    if sheets:
        commands.append(["stylelint/bin/stylelint.mjs", "--config", "infra/lint/stylelint.config.mjs", *map(str, sheets)])
    node = str(assets_build.node_folder() / "bin/node")
    runs = [
        subprocess.run([node, f"node_modules/{tool}", *rest], cwd=REPO, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        for tool, *rest in commands
    ]
    return subprocess.CompletedProcess(
        [], max((run.returncode for run in runs), default=0), "".join(run.stdout for run in runs), "".join(run.stderr for run in runs)
    )


def main() -> int:
    done = lint(own_files("js"), own_files("css"))
    print(done.stdout + done.stderr, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
