"""Where a command talks to an analyzer: a TCP address or a serial port with its frame, as a person writes them."""

from __future__ import annotations

import re

from agent.config import Transport
from common.errors import UserError
from common.say import say

_FRAME = re.compile(r"([78])([NEO])(1|1\.5|2)", re.IGNORECASE)


def tcp(address: str, *, listen: bool) -> Transport:
    """HOST:PORT; without a host all addresses of this PC are listened on, or this PC is dialled. Raises UserError."""
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdigit()):
        raise UserError("place.address", say("地址应写成 主机:端口，例如 127.0.0.1:4001。"))
    return Transport("tcp-listen" if listen else "tcp-dial", host=host or ("0.0.0.0" if listen else "127.0.0.1"), port=int(port))


def serial(device: str, baud: int, frame: str) -> Transport:
    """A serial port; ``frame`` is data bits, parity, stop bits. Raises UserError."""
    found = _FRAME.fullmatch(frame)
    if found is None:
        raise UserError("place.frame", say("串口格式应写成 8N1、7E1 这样：数据位、校验、停止位。"))
    return Transport("serial", device=device, baud=baud, bytesize=int(found[1]), parity=found[2].upper(), stopbits=float(found[3]))
