"""F20: an update is the maker's, consented to, newer and whole, or nothing happens; a kill anywhere leaves a version that starts."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.config import DataDir, write_atomic
from agent.update import TRIES, Slots, Updater
from common import crypto, release
from common.errors import JianlianError
from tests.support.agent_process import REPO, configure, free_port, tcp, until

MAKER = crypto.new_key()
NOW = datetime.now(UTC)


def bundle(version: str, **more: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in {"agent/version.txt": version.encode(), "agent/__init__.py": b"", "common/x.py": b"1", **more}.items():
            archive.writestr(name, data)
    return out.getvalue()


def order(data: bytes, version: str, key: crypto.PrivateKey = MAKER, days: int = 30, **more: Any) -> dict[str, Any]:
    made = release.Manifest(version, crypto.sha256_hex(data), len(data), NOW.isoformat(), (NOW + timedelta(days=days)).isoformat())
    consent = {"id": 7, "person": "王组长", "at": NOW.isoformat(), "kind": "signed", "version": version}
    signature = base64.b64encode(crypto.sign(key, made.text())).decode()
    return {"do": "update", "manifest": made.text().decode(), "signature": signature, "consent": consent, **more}


def folder(root: Path) -> DataDir:
    data = DataDir(root / "data")
    data.create()
    write_atomic(data.file("release.pem"), crypto.public_pem(MAKER.public_key()))
    return data


def updater(data: DataDir, running: str, packed: bytes, restarts: list[int] | None = None) -> Updater:
    return Updater(data, running, lambda version: packed, lambda: None if restarts is None else restarts.append(1))


def starts(data: DataDir, installed: str = "0.1.0") -> str:
    """Which version the service manager would start now."""
    chosen, _ = Slots(data).choose()
    return installed if chosen is None else (chosen / "agent" / "version.txt").read_text()


def go_through(data: DataDir, packed: bytes, version: str) -> None:
    """A whole update, as launcher and agents carry it out."""
    running = starts(data)
    updater(data, running, packed).take(order(packed, version))
    assert starts(data) == version
    updater(data, version, packed).second(5.0, healthy=True)
    assert starts(data) == version


def test_an_update_goes_into_the_other_slot_and_stays_when_it_is_healthy(tmp_path: Path) -> None:
    data, restarts = folder(tmp_path), list[int]()
    packed = bundle("0.2.0")
    updater(data, "0.1.0", packed, restarts).take(order(packed, "0.2.0"))
    assert restarts == [1] and starts(data) == "0.2.0"
    trial = updater(data, "0.2.0", packed)
    assert trial.on_trial
    trial.second(5.0, healthy=True)
    assert [starts(data) for _ in range(5)] == ["0.2.0"] * 5
    go_through(data, bundle("0.3.0"), "0.3.0")
    assert Slots(data).current == "b" and (data.root / "releases" / "a").exists()


@pytest.mark.parametrize("how", ["dies", "hangs"])
def test_a_version_that_does_not_work_is_left_by_itself(tmp_path: Path, how: str) -> None:
    data, restarts = folder(tmp_path), list[int]()
    go_through(data, bundle("0.2.0"), "0.2.0")
    packed = bundle("0.3.0")
    updater(data, "0.2.0", packed).take(order(packed, "0.3.0"))
    if how == "dies":
        assert [starts(data) for _ in range(TRIES + 2)] == ["0.3.0"] * TRIES + ["0.2.0"] * 2
    else:
        assert starts(data) == "0.3.0"
        trial = updater(data, "0.3.0", packed, restarts)
        trial.second(30.0, healthy=False)
        assert restarts == []
        trial.second(91.0, healthy=False)
        assert restarts == [1]
        assert starts(data) == "0.2.0"
    assert Slots(data).failed() == "0.3.0"


GOOD = bundle("0.3.0")
ATTACKS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "another maker": (GOOD, order(GOOD, "0.3.0", key=crypto.new_key())),
    "expired": (GOOD, order(GOOD, "0.3.0", days=-1)),
    "older than what runs": (bundle("0.1.9"), order(bundle("0.1.9"), "0.1.9")),
    "the same again": (bundle("0.2.0"), order(bundle("0.2.0"), "0.2.0")),
    "another bundle": (bundle("0.3.1"), order(GOOD, "0.3.0")),
    "a bundle cut short": (GOOD[:-1], order(GOOD, "0.3.0")),
    "no consent": (GOOD, {k: v for k, v in order(GOOD, "0.3.0").items() if k != "consent"}),
    "consent by nobody": (GOOD, order(GOOD, "0.3.0", consent={"id": 1, "person": " ", "at": "x", "version": "0.3.0"})),
    "consent to another version": (GOOD, order(GOOD, "0.3.0", consent={"id": 1, "person": "王", "at": "x", "version": "0.2.9"})),
    "not base64": (GOOD, order(GOOD, "0.3.0", signature="??")),
    "no zip": (b"PK nothing", order(b"PK nothing", "0.3.0")),
}
for _name, _path in (("a way out", "../../evil.py"), ("an absolute path", "/tmp/evil.py"), ("a backslash", "..\\evil.py")):
    _packed = bundle("0.3.0", **{_path: b"x"})
    ATTACKS[_name] = (_packed, order(_packed, "0.3.0"))


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_else_is_ever_activated(tmp_path: Path, name: str) -> None:
    data, restarts = folder(tmp_path), list[int]()
    go_through(data, bundle("0.2.0"), "0.2.0")
    packed, asked = ATTACKS[name]
    refused = updater(data, "0.2.0", packed, restarts)
    refused.take(asked)
    assert refused.state and restarts == []
    assert starts(data) == "0.2.0" and Slots(data).trial() is None
    assert not list(tmp_path.rglob("*evil*"))


def test_without_the_makers_key_nothing_is_activated(tmp_path: Path) -> None:
    data = folder(tmp_path)
    data.file("release.pem").unlink()
    updater(data, "0.1.0", GOOD).take(order(GOOD, "0.3.0"))
    assert starts(data) == "0.1.0"


def test_a_damaged_slot_is_not_started(tmp_path: Path) -> None:
    data = folder(tmp_path)
    go_through(data, bundle("0.2.0"), "0.2.0")
    (data.root / "releases" / "a" / "common" / "x.py").write_bytes(b"2")
    assert starts(data) == "0.1.0", "the installed program is always there"


def test_the_floor_outlives_the_slots(tmp_path: Path) -> None:
    data = folder(tmp_path)
    go_through(data, bundle("0.3.0"), "0.3.0")
    packed = bundle("0.2.0")
    with pytest.raises(JianlianError):
        Slots(data).stage(release.Manifest("0.2.0", "", 0, "", ""), b"", b"", packed, "0.1.0")


# --- a kill at every file operation

EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "shutil.rmtree", "tempfile.mkstemp")


def forked(work: Callable[[], None], at: int) -> int:
    """Run in a child that kills itself before its file operation number `at`; how many it came to (`at` when killed)."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        count = 0

        def hook(event: str, args: tuple[Any, ...]) -> None:
            nonlocal count
            writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if event in EVENTS or writes:
                count += 1
                if count == at:
                    os.kill(os.getpid(), signal.SIGKILL)

        code = 1
        try:
            sys.addaudithook(hook)
            work()
            os.write(write, str(count).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    told = os.read(read, 100)
    os.close(read)
    _, status = os.waitpid(pid, 0)
    assert told or os.WTERMSIG(status) == signal.SIGKILL, "the child failed otherwise"
    return int(told) if told else at


def test_a_kill_at_every_file_operation_leaves_a_version_that_starts(tmp_path: Path) -> None:
    old, new = bundle("0.2.0"), bundle("0.3.0")

    prepared = folder(tmp_path / "prepared")
    go_through(prepared, old, "0.2.0")

    def world(name: str) -> DataDir:
        shutil.copytree(prepared.root, tmp_path / name)
        return DataDir(tmp_path / name)

    first = world("count")
    operations = forked(lambda: go_through(first, new, "0.3.0"), -1)
    assert operations > 40 and starts(first) == "0.3.0"
    ends = set()
    for number in range(1, operations + 1):
        data = world(f"kill{number}")
        forked(lambda data=data: go_through(data, new, "0.3.0"), number)  # type: ignore[misc]
        version = starts(data)
        assert version in ("0.2.0", "0.3.0"), f"operation {number}"
        if version == "0.3.0" and Slots(data).trial() is not None:
            updater(data, version, new).second(5.0, healthy=True)
        assert starts(data) == version, f"operation {number}"
        ends.add(version)
        if version == "0.2.0" and number % 5 == 0:
            go_through(data, new, "0.3.0")  # and the same offer can be carried out again
    assert ends == {"0.2.0", "0.3.0"}


# --- the whole, as processes


def test_a_real_agent_is_updated_and_a_broken_one_left(tmp_path: Path) -> None:
    data, port = folder(tmp_path), free_port()
    configure(data.root, tcp("xn", port))
    (tmp_path / "maker.key").write_bytes(crypto.private_pem(MAKER))
    command = [sys.executable, "infra/make_bundle.py", str(tmp_path), "--version", "9.1.0", "--key", str(tmp_path / "maker.key")]
    subprocess.run(command, cwd=REPO, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(REPO)})
    packed = (tmp_path / "agent-9.1.0.zip").read_bytes()
    text, signature = (tmp_path / "agent-9.1.0.manifest").read_text(), (tmp_path / "agent-9.1.0.sig").read_bytes()
    asked = {**order(packed, "9.1.0"), "manifest": text, "signature": base64.b64encode(signature).decode()}
    updater(data, "0.1.0", packed).take(asked)
    broken = bundle("9.2.0", **{"agent/__main__.py": b"raise SystemExit(3)"})

    def version() -> str:
        try:
            return str(json.loads(data.status.read_bytes())["version"])
        except (OSError, ValueError):
            return ""

    with open(tmp_path / "log", "wb") as log:
        launcher = subprocess.Popen([sys.executable, "-m", "agent", "launch", "--data", str(data.root)], cwd=REPO, stdout=log, stderr=log)
        try:
            until(lambda: version() == "9.1.0", 60, what="the new version")
            until(lambda: Slots(data).current == "a", 60, what="its confirmation")
            updater(data, "9.1.0", broken).take(order(broken, "9.2.0"))
            killed = str(json.loads(data.status.read_bytes())["pid"])
            os.kill(int(killed), signal.SIGKILL)  # so that it starts anew
            until(
                lambda: Slots(data).failed() == "9.2.0" and version() == "9.1.0" and f'"pid": {killed}' not in data.status.read_text(),
                60,
                what="the way back",
            )
        finally:
            launcher.terminate()
            launcher.wait(30)
