"""What Windows does otherwise, as far as another system can play it: files that somebody has open, names of ports, paths."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace
from typing import Any

import pytest

from agent import app, config, status, tail
from agent import service as windows_service
from agent.config import DataDir, write_atomic
from agent.transport import serial_port
from agent.transport.file_drop import FileDrop
from tests.support.agent_process import free_port

ACK = b"\x06"


def busy(times: int, patch: pytest.MonkeyPatch) -> list[int]:
    """`os.replace` is refused so many times, as while a reader has the file open."""
    real, refused = os.replace, [0]

    def replace(name: Any, path: Any) -> None:
        if refused[0] < times:
            refused[0] += 1
            raise PermissionError(13, "being used by another process")
        real(name, path)

    patch.setattr(os, "replace", replace)
    patch.setattr(config, "REPLACE_PAUSE", 0.0)
    return refused


def test_a_file_that_somebody_reads_is_replaced_once_he_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "REPLACE_TRIES", 10)
    refused = busy(3, monkeypatch)
    write_atomic(tmp_path / "status.json", b"new")
    assert (tmp_path / "status.json").read_bytes() == b"new" and refused == [3]
    busy(99, monkeypatch)
    with pytest.raises(PermissionError):
        write_atomic(tmp_path / "status.json", b"newer")
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"], "nothing half written is left"


def test_the_cloud_hears_of_an_agent_whose_status_file_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, too: the heartbeat says so, and must not fail for the same reason."""
    told: list[str] = []

    class Told(app.Agent):
        def send_status(self) -> None:
            told.append("status")
            self.stop()

    def full(data: DataDir, body: dict[str, Any]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(status, "write_file", full)
    (tmp_path / "local.json").write_text('{"version": 1, "connections": []}')
    assert app.run(tmp_path, Told) == 0
    assert told == ["status"]


def test_a_recording_that_finds_the_disk_full_ends_and_the_line_goes_on(tmp_path: Path) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            raise OSError(28, "No space left on device")

    tap = tail.Tap(None)
    tap.capture(tmp_path / "captures" / "xn.bin", until=100.0)
    tap.close()
    tap._file = Full()  # type: ignore[assignment]
    tap.note("in", b"H|\\^&\r", "2026-07-01T08:00:00Z")
    assert tap.expire(1.0), "nobody looks any more"


# --- a folder for dropped files


def drop(folder: Path, *, takes: bool = True) -> tuple[FileDrop, list[bytes]]:
    """A watched folder whose journal takes what it is given, or refuses it."""
    kept: list[bytes] = []
    notes: dict[str, str] = {}

    def message(body: bytes, done: Any, note: tuple[str, str]) -> None:
        if takes:
            kept.append(body)
            notes.update([note])
        done(takes)

    health = SimpleNamespace(last_byte=None)
    line = SimpleNamespace(
        conn=SimpleNamespace(transport=SimpleNamespace(folder=str(folder)), key="d"),
        journal=SimpleNamespace(get=notes.get, message=message),
        health=health,
        trouble=lambda text: None,
        outgoing=lambda body, *rest, **more: body,
    )
    (folder / "done").mkdir(parents=True, exist_ok=True)
    return FileDrop(line), kept  # type: ignore[arg-type]


def put(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    os.utime(folder / name, (1, 1))


def look(one: FileDrop) -> None:
    async def once() -> None:
        one._line.loop = asyncio.get_running_loop()
        await one._look()

    asyncio.run(once())


def test_a_second_file_of_the_same_name_does_not_write_over_one_that_waits(tmp_path: Path) -> None:
    """An analyzer that always writes result.csv, and a journal that refuses for a while: both files are taken in the end."""
    refusing, _ = drop(tmp_path, takes=False)
    put(tmp_path, "result.csv", b"first")
    look(refusing)
    put(tmp_path, "result.csv", b"second")
    look(refusing)
    taking, kept = drop(tmp_path)
    look(taking)
    look(taking)
    assert kept == [b"first", b"second"]
    assert len(list((tmp_path / "done").iterdir())) == 2


def test_a_stored_file_that_cannot_be_moved_is_not_stored_again_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An antivirus program holds it for a second; meanwhile a file that sorts before it comes."""
    one, kept = drop(tmp_path)
    put(tmp_path, "b.csv", b"b")
    real = Path.rename

    def held(path: Path, target: Path) -> Path:
        if target.parent.name == "done" and path.name.startswith("b."):
            raise PermissionError(13, "being used by another process")
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", held)
        with pytest.raises(PermissionError):
            look(one)
    put(tmp_path, "a.csv", b"a")
    look(one)
    assert kept == [b"b", b"a"]


# --- ports and paths


@pytest.mark.parametrize("name", ["COM3", "com3", r"\\.\COM12"])
def test_a_port_of_windows_is_known_by_its_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from serial.tools import list_ports

    monkeypatch.setattr(list_ports, "comports", lambda: [SimpleNamespace(device="COM3"), SimpleNamespace(device="COM12")])
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        serial_port.present(name)
        with pytest.raises(FileNotFoundError):
            serial_port.present("COM4")


def test_a_device_server_that_is_off_is_told_by_its_socket() -> None:
    for scheme in ("socket", "rfc2217"):
        with pytest.raises(ConnectionRefusedError):
            serial_port.present(f"{scheme}://127.0.0.1:{free_port()}?logging=debug")


@pytest.mark.skipif(os.name != "posix", reason="on Windows a thread reads the port")
def test_a_cable_pulled_out_is_told_in_the_words_of_its_reader() -> None:
    """What ends a line stands on the engineer's page as it is."""
    ours, theirs = os.pipe()

    async def pulled() -> None:
        line = SimpleNamespace(loop=asyncio.get_running_loop())
        port = SimpleNamespace(fileno=lambda: ours, close=lambda: os.close(ours))
        link = serial_port._Watched(port, line)  # type: ignore[arg-type]  # its loop is all it needs of a line
        try:
            os.close(theirs)
            with pytest.raises(OSError, match="设备已不在"):
                await asyncio.wait_for(link.pump(None), 20)  # type: ignore[arg-type]  # nothing arrives
        finally:
            link.close()

    asyncio.run(pulled())


def test_the_service_finds_blanks_in_paths_quoted() -> None:
    data = PureWindowsPath(r"D:\检验 数据\Jianlian agent")
    made = windows_service.install_commands(data, r"C:\Program Files\Python 3.11\python.exe", r"C:\P\site-packages")  # type: ignore[arg-type]
    assert made[0][4] == r'"C:\Program Files\Python 3.11\python.exe" -P -m agent service run --data "D:\检验 数据\Jianlian agent"'
    assert str(data) in next(words for words in made if words[0] == "icacls.exe")


def test_a_slow_port_keeps_nobody_else_waiting() -> None:
    """On Windows a write ends when the line has carried the bytes."""

    class Port:
        timeout: float | None = None
        in_waiting = 0

        def __init__(self) -> None:
            self.wrote: list[bytes] = []
            self.free = threading.Event()

        def read(self, size: int) -> bytes:
            self.free.wait(0.01)
            return b""

        def write(self, data: bytes) -> int:
            assert self.free.wait(30)
            self.wrote.append(data)
            return len(data)

        def close(self) -> None:
            self.free.set()

    async def test() -> list[bytes]:
        port = Port()
        link = serial_port._Threaded(port, SimpleNamespace(loop=asyncio.get_running_loop()))  # type: ignore[arg-type]
        pump = asyncio.create_task(link.pump(SimpleNamespace(received=lambda data: None)))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        link.write(b"frame")
        link.write(ACK)
        assert port.wrote == [], "the loop came here although the line has carried nothing"
        port.free.set()
        while len(port.wrote) < 2:
            await asyncio.sleep(0.005)
        pump.cancel()
        link.close()
        return port.wrote

    assert asyncio.run(test()) == [b"frame", ACK]
