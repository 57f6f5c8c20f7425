"""Print destinations: a real socket, a real folder, a browser, and the printer nobody has set up."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from cloud.ports.printing import (
    BrowserPrinter,
    FolderPrinter,
    NoPrinter,
    PrintJob,
    PrintKind,
    PrintState,
    RawPrinter,
    printer,
)
from common.errors import UserError

JOB = PrintJob(PrintKind.ZPL, b"^XA^XZ" * 50_000, "label-126326000422")


def _listen() -> tuple[socket.socket, int]:
    server = socket.create_server(("127.0.0.1", 0))
    return server, int(server.getsockname()[1])


def test_a_raw_printer_gets_every_byte_and_the_end_of_the_job() -> None:
    server, port = _listen()
    got: list[bytes] = []

    def read() -> None:
        link, _ = server.accept()
        with link:
            while chunk := link.recv(1000):
                got.append(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    outcome = printer(f"tcp://127.0.0.1:{port}").send(JOB)
    reader.join(10)
    server.close()
    assert b"".join(got) == JOB.data
    assert outcome.state is PrintState.HANDED_OVER and outcome.printed


def test_a_printer_that_is_off_is_named_with_what_to_check() -> None:
    server, port = _listen()
    server.close()
    with pytest.raises(UserError) as caught:
        printer(f"tcp://127.0.0.1:{port}").send(JOB)
    assert caught.value.code == "printer_unreachable" and f"127.0.0.1:{port}" in str(caught.value)


def test_a_printer_that_hangs_up_in_the_middle_is_an_error() -> None:
    server, port = _listen()

    def hang_up() -> None:
        link, _ = server.accept()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        link.recv(10)
        link.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    with pytest.raises(UserError):
        RawPrinter("127.0.0.1", port).send(PrintJob(PrintKind.PDF, b"x" * 20_000_000, "big"))
    thread.join(10)
    server.close()


def test_a_printer_of_another_language_is_not_sent_gibberish() -> None:
    with pytest.raises(UserError) as caught:
        printer("tcp://127.0.0.1:9?kinds=pdf,escpos").send(JOB)
    assert caught.value.code == "printer_kind" and "ZPL" in str(caught.value)


def test_a_folder_gets_whole_numbered_files(tmp_path: Path) -> None:
    place = printer(f"file://{tmp_path}/spool")
    for name in ("label", "../../etc/passwd", "张伟"):
        assert place.send(PrintJob(PrintKind.PDF, name.encode(), name)).state is PrintState.SAVED
    files = sorted((tmp_path / "spool").iterdir())
    assert [file.name for file in files] == ["000001-label.pdf", "000002-etc-passwd.pdf", "000003-print.pdf"]
    assert [file.read_bytes() for file in files] == [b"label", b"../../etc/passwd", "张伟".encode()]


def test_jobs_at_once_get_a_file_each(tmp_path: Path) -> None:
    place = FolderPrinter(tmp_path)
    threads = [threading.Thread(target=place.send, args=(PrintJob(PrintKind.ZPL, b"%d" % number, "job"),)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(file.read_bytes()) for file in tmp_path.iterdir()) == list(range(12))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError) as caught:
        FolderPrinter(tmp_path / "file").send(JOB)
    assert caught.value.code == "printer_folder"


def test_a_printer_not_set_up_says_so_and_never_that_it_printed() -> None:
    outcome = printer("  ").send(JOB)
    assert outcome.state is PrintState.NOT_SET_UP and "未配置" in outcome.message and not outcome.printed
    assert isinstance(printer(""), NoPrinter)


def test_a_browser_prints_nothing_by_itself() -> None:
    outcome = printer("browser").send(JOB)
    assert isinstance(printer("browser"), BrowserPrinter)
    assert outcome.state is PrintState.DOWNLOAD and not outcome.printed and "label-126326000422.zpl" in outcome.message


def test_addresses_are_read_whole() -> None:
    assert printer("tcp://10.0.0.9") == RawPrinter("10.0.0.9", 9100)
    assert printer("tcp://label-3.lan:6101?kinds=zpl") == RawPrinter("label-3.lan", 6101, frozenset({PrintKind.ZPL}))
    assert printer("file:///var/spool/jl") == FolderPrinter(Path("/var/spool/jl"))


@pytest.mark.parametrize(
    "address",
    [
        "null",
        "10.0.0.9",
        "tcp://",
        "tcp://host:port",
        "tcp://h:99999",
        "tcp://h/path",
        "tcp://h?kinds=doc",
        "file://host/x",
        "file:///",
        "lpt1:",
    ],
)
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(UserError) as caught:
        printer(address)
    assert caught.value.code == "printer_address"
