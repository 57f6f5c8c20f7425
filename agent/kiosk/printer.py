"""A ticket as bytes for an 80 mm ESC/POS printer, and the way there.

Text goes as GB18030 in the printer's Chinese mode, which printers sold in China know; the cloud's own tickets go as pictures (Typst),
which an agent doesn't carry. The bar code is the printer's own Code 128.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.kiosk.tickets import Paper

TIMEOUT_S = 3.0
_INIT, _CHINESE = b"\x1b@", b"\x1c&"  # ESC @ · FS &
_CENTRE, _LEFT = b"\x1ba\x01", b"\x1ba\x00"  # ESC a n
_NORMAL, _DOUBLE, _HUGE = b"\x1d!\x00", b"\x1d!\x11", b"\x1d!\x44"  # GS ! n: width and height, times one, two, five
_CUT = b"\x1dVB\x00"  # GS V 66: feed to the cutter, then cut partly


class PrintFailed(Exception):
    """The paper did not come out, as far as one can know; the ticket itself is valid."""


def escpos(paper: Paper) -> bytes:
    """The ticket as ESC/POS."""
    code = b"{B" + paper.code.encode("ascii")
    bars = b"\x1dh\x60\x1dw\x02\x1dH\x02\x1dkI" + bytes([len(code)]) + code  # GS h, GS w, GS H, GS k 73
    small = b"".join(_text(line) + b"\n" for line in paper.lines())
    head = [_INIT, _CHINESE, _CENTRE, _DOUBLE, _text(paper.hospital), b"\n", _NORMAL, _text(f"采血排队　{paper.hall}"), b"\n\n"]
    body = [_HUGE, paper.number.encode("ascii"), b"\n", _NORMAL, b"\n", small, b"\n", bars, b"\n", _text(paper.printed_at), b"\n"]
    return b"".join([*head, *body, _LEFT, b"\n\n", _CUT])


def _text(text: str) -> bytes:
    return text.encode("gb18030")


def send(data: bytes, to: Mapping[str, Any] | None) -> bool:
    """Print; False when no printer is set up. Raises PrintFailed. ``to``: {"type": "tcp", "host", "port"} or {"type": "file", "folder"}."""
    kind = (to or {}).get("type", "none")
    try:
        if kind == "tcp":
            assert to is not None
            with socket.create_connection((str(to["host"]), int(to.get("port", 9100))), timeout=TIMEOUT_S) as line:
                line.sendall(data)
            return True
        if kind == "file":
            assert to is not None
            _into_folder(Path(str(to["folder"])), data)
            return True
    except (OSError, KeyError, ValueError) as error:
        raise PrintFailed(str(error)) from error
    return False


def _into_folder(folder: Path, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    number = 1 + sum(1 for _ in folder.glob("ticket-*.bin"))
    (folder / f"ticket-{number:06d}-{os.getpid()}.bin").write_bytes(data)
