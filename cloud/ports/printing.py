"""Where printed bytes go: a printer's raw TCP port (9100), a folder some other program watches, the person's own browser.

A place that is not set up shows 未配置 and never claims to have printed. Raw printers answer nothing, so the best that can be said
honestly is that they took the bytes. Errors: UserError that names the printer and what to check.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from common.errors import UserError
from common.say import say

RAW_PORT = 9100
_CONNECT_SECONDS = 5.0
_SEND_SECONDS = 20.0


class PrintKind(StrEnum):
    """The language of a job's bytes."""

    PDF = "pdf"
    ZPL = "zpl"
    TSPL = "tspl"
    ESCPOS = "escpos"


class PrintState(StrEnum):
    """What became of a job, as far as it can be known."""

    HANDED_OVER = "handed_over"
    SAVED = "saved"
    DOWNLOAD = "download"
    NOT_SET_UP = "not_set_up"


@dataclass(frozen=True, slots=True)
class PrintJob:
    """Bytes ready for a printer; ``name`` is for file names and messages, without personal data."""

    kind: PrintKind
    data: bytes
    name: str


@dataclass(frozen=True, slots=True)
class PrintOutcome:
    """The state and the sentence to show."""

    state: PrintState
    message: str

    @property
    def printed(self) -> bool:
        """Whether the job left for a printer; a download or a missing printer is not that."""
        return self.state in (PrintState.HANDED_OVER, PrintState.SAVED)


class Printer(Protocol):
    """A destination of print jobs."""

    def send(self, job: PrintJob) -> PrintOutcome:
        """Pass the job on. Raises UserError when the destination cannot take it."""


@dataclass(frozen=True, slots=True)
class RawPrinter:
    """A network printer on its raw port. ``kinds`` are the languages it understands; none given means any."""

    host: str
    port: int = RAW_PORT
    kinds: frozenset[PrintKind] = frozenset()

    def send(self, job: PrintJob) -> PrintOutcome:
        """Write all bytes and close the sending side, which tells the printer that the job is whole."""
        _require_kind(job, self.kinds, f"打印机 {self.host}")
        try:
            with socket.create_connection((self.host, self.port), timeout=_CONNECT_SECONDS) as link:
                link.settimeout(_SEND_SECONDS)
                link.sendall(job.data)
                link.shutdown(socket.SHUT_WR)
                self._drain(link)
        except OSError as error:
            raise UserError(
                "printer_unreachable",
                say("连不上打印机 {host}:{port}，请检查打印机电源、网线和纸张，然后重试。", host=self.host, port=self.port),
                host=self.host,
                port=self.port,
                reason=str(error),
            ) from error
        return PrintOutcome(PrintState.HANDED_OVER, "已交给打印机。")

    def _drain(self, link: socket.socket) -> None:
        # Closing while the printer still holds unread bytes of ours would reset the link and lose the end of the job.
        link.settimeout(1.0)
        try:
            while link.recv(4096):
                pass
        except TimeoutError:
            pass


@dataclass(frozen=True, slots=True)
class FolderPrinter:
    """A folder: for spoolers that watch one, and for the demo. Files appear whole, numbered in order of arrival."""

    folder: Path
    kinds: frozenset[PrintKind] = frozenset()

    def send(self, job: PrintJob) -> PrintOutcome:
        """Write the job as a file of its own."""
        _require_kind(job, self.kinds, "打印文件夹")
        try:
            path = self._write(job)
        except OSError as error:
            raise UserError(
                "printer_folder",
                say("打印文件夹 {folder} 写不进去：{why}，请检查磁盘和权限。", folder=self.folder, why=error.strerror),
                reason=str(error),
            ) from error
        return PrintOutcome(PrintState.SAVED, f"已存为 {path.name}。")

    def _write(self, job: PrintJob) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(job.data)
            return self._claim(temporary, job)
        finally:
            os.unlink(temporary)

    def _claim(self, temporary: str, job: PrintJob) -> Path:
        """Give the file the next free number; a link never replaces, so two jobs at once get two numbers."""
        number = 1 + max((int(path.name[:6]) for path in self.folder.glob("[0-9]" * 6 + "-*")), default=0)
        while True:
            path = self.folder / f"{number:06d}-{_file_name(job)}"
            try:
                os.link(temporary, path)
            except FileExistsError:
                number += 1
            else:
                return path


@dataclass(frozen=True, slots=True)
class BrowserPrinter:
    """The person's own browser prints: the page offers the file."""

    def send(self, job: PrintJob) -> PrintOutcome:
        """Nothing leaves; the caller serves the bytes."""
        return PrintOutcome(PrintState.DOWNLOAD, f"请在浏览器中打开并打印 {_file_name(job)}。")


@dataclass(frozen=True, slots=True)
class NoPrinter:
    """A printer that nobody has set up."""

    def send(self, job: PrintJob) -> PrintOutcome:
        """Says so, and never that something was printed."""
        return PrintOutcome(PrintState.NOT_SET_UP, "打印机未配置：没有打印。请管理员在“设备”中填写打印机地址。")


def printer(address: str) -> Printer:
    """The destination an address names: ``tcp://host[:port][?kinds=zpl,pdf]``, ``file:///folder``, ``browser``; empty is not set up.

    Raises UserError for an address of another form.
    """
    text = address.strip()
    if not text:
        return NoPrinter()
    if text == "browser":
        return BrowserPrinter()
    try:
        parts = urlsplit(text)
        port = parts.port or RAW_PORT
        kinds = frozenset(PrintKind(kind) for kind in ",".join(parse_qs(parts.query).get("kinds", [])).split(",") if kind)
    except ValueError as error:
        raise _bad_address(address) from error
    if parts.scheme == "tcp" and parts.hostname and parts.path in ("", "/"):
        return RawPrinter(parts.hostname, port, kinds)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/") and len(parts.path) > 1:
        return FolderPrinter(Path(parts.path), kinds)
    raise _bad_address(address)


def _bad_address(address: str) -> UserError:
    return UserError(
        "printer_address",
        say("打印机地址“{address}”写法不对，应为 tcp://主机:9100、file:///文件夹 或 browser。", address=address),
        address=address,
    )


def _require_kind(job: PrintJob, kinds: frozenset[PrintKind], place: str) -> None:
    if kinds and job.kind not in kinds:
        known = "、".join(sorted(kind.upper() for kind in kinds))
        raise UserError(
            "printer_kind",
            say("{place} 只认识 {known}，不能打印 {kind}，请改用其他打印机。", place=place, known=known, kind=job.kind.upper()),
            kind=job.kind,
        )


def _file_name(job: PrintJob) -> str:
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', job.name).strip('.-') or 'print'}.{job.kind}"
