"""`capture`: write down every byte of a connection, acknowledging as an ASTM or HL7 host would so that the analyzer talks."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from agent.channels.base import Line, Timer, Write
from agent.channels.hl7_ack import acks
from agent.channels.sentences import ASTM
from agent.commands import place
from agent.config import Connection, Transport
from agent.outline import summary
from agent.simulator import standalone_line
from agent.transport.serial_port import SerialLine
from agent.transport.tcp import TcpDial, TcpListen
from common.errors import UserError
from common.instruments.decode import decode
from common.protocol.astm import effects as fx
from common.protocol.astm.link import Link
from common.protocol.hl7 import mllp
from common.say import say

WATCH_SECONDS = 1.0
LOOK_MOST = 4 << 20  # bytes of a recording that are read for the closing words
NO_MESSAGE = (
    "还没有完整的 ASTM 或 HL7 报文。单向仪器如此是正常的；若是乱码，核对波特率、校验位 "
    "(no ASTM or HL7 message yet: as it should be for a one-way analyzer, else check baud rate and parity)"
)
PUZZLING = 2000  # bytes without a message after which the settings are doubted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("file", type=Path, help="写入的文件 (file to write)")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--listen", metavar="HOST:PORT", help="等待仪器连接 (wait for the analyzer)")
    where.add_argument("--tcp", metavar="HOST:PORT", help="连接仪器 (dial the analyzer)")
    where.add_argument("--serial", metavar="DEVICE", help="串口 (serial device)")
    parser.add_argument("--baud", type=int, default=9600)
    parser.add_argument("--frame", default="8N1", help="串口格式 (data bits, parity, stop bits)")
    parser.add_argument("--protocol", choices=["auto", "astm", "hl7", "none"], default="auto", help="怎样应答 (how to answer)")
    parser.add_argument("--seconds", type=float, help="多少秒后结束，默认直到 Ctrl-C (stop after)")


def main(args: argparse.Namespace) -> int:
    """Record until interrupted."""
    try:
        args.file.open("ab").close()
        before = args.file.stat().st_size
    except OSError as error:
        raise UserError("capture.file", say("写不了文件 {file}：{why}。", file=args.file, why=error.strerror)) from error
    if before:
        print(f"{args.file} 已有 {before} 字节，接在后面写 (appending)", file=sys.stderr)
    asyncio.run(_capture(args))
    print(f"已录制 {args.file.stat().st_size} 字节 (bytes recorded)：{args.file}")
    _say_next(args.file)
    return 0


def _say_next(file: Path) -> None:
    """What the recording says, and where to go with it."""
    data = file.read_bytes()[:LOOK_MOST]
    if not data:
        print("没有收到字节：查电缆、地址和端口、仪器的发送开关 (no bytes: cable, address, the analyzer's own switch)", file=sys.stderr)
        return
    reading = decode(data)
    print(f"读出 (read)：{summary(reading)}", file=sys.stderr)
    print(f"下一步 (next)：jianlian-agent decode {file} --text；或在网页“接入新仪器”中上传 (or upload it on the page)", file=sys.stderr)


async def _capture(args: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    with open(args.file, "ab") as out:

        def opened(line: Line, write: Write, peer: str) -> Recorder:
            return Recorder(line, write, out, args.protocol)

        conn = Connection("capture", "capture", "", args.protocol, _transport(args))
        kinds: dict[str, Any] = {"tcp-listen": TcpListen, "tcp-dial": TcpDial, "serial": SerialLine}
        line = standalone_line(conn, loop)
        carrier = loop.create_task(kinds[conn.transport.type](line, opened).run())
        watch = loop.create_task(_watch(line, args.file))
        for stop in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows' loop: Ctrl-C raises there
                loop.add_signal_handler(stop, carrier.cancel)
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(carrier), args.seconds)
        carrier.cancel()
        watch.cancel()
        await asyncio.gather(carrier, watch, return_exceptions=True)


async def _watch(line: Line, file: Path) -> None:
    """Say on standard error how it goes: an engineer beside the analyzer must see whether bytes come, and why not."""
    label, size, error, links, told = line.conn.transport.label, file.stat().st_size, "", 0, 0
    print(f"{label}：等待数据，Ctrl-C 结束 (waiting for data)", file=sys.stderr)
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        health, now = line.health, file.stat().st_size
        if health.links != links:
            links = health.links
            print(f"{label}：{'已连接' if links else '未连接'} ({'connected' if links else 'not connected'})", file=sys.stderr)
        if now != size:
            size = now
            print(f"{label}：已录 {size} 字节 (bytes)，{health.messages} 条报文 (messages)", file=sys.stderr)
            if not health.messages and size - told >= PUZZLING:
                told = size
                print(f"{label}：{NO_MESSAGE}", file=sys.stderr)
        if health.last_error != error:
            error = health.last_error
            print(f"{label}：{error}", file=sys.stderr)


class Recorder:
    """Writes what comes to a file and gives the answers that keep the analyzer sending. Nothing is kept for the cloud."""

    def __init__(self, line: Line, write: Write, out: BinaryIO, protocol: str) -> None:
        self._line = line
        self._write = write
        self._out = out
        self._link = Link() if protocol in ("astm", "auto") else None
        self._blocks = mllp.Deframer() if protocol in ("hl7", "auto") else None
        self._undecided = protocol == "auto"
        self._timer = Timer(line.loop, self._ring)
        self._count = 0

    def received(self, data: bytes) -> None:
        """Bytes came: they are in the file before anything is answered."""
        self._out.write(data)
        self._out.flush()
        if self._undecided:
            self._decide(data)
        if self._link is not None:
            self._run(self._link.receive(data))
        if self._blocks is not None:
            self._answer(self._blocks.receive(data))

    def _decide(self, data: bytes) -> None:
        """The first ENQ means ASTM, the first VT MLLP; until one of them came both listen and neither has anything to answer."""
        first = min((at for at in (data.find(b"\x05"), data.find(b"\x0b")) if at >= 0), default=None)
        if first is not None:
            self._undecided = False
            if data[first] == 0x05:
                self._blocks = None
            else:
                self._link = None

    def closed(self) -> None:
        """The link is gone."""
        self._timer.close()

    def _ring(self) -> None:
        if self._link is not None:
            self._run(self._link.timer())

    def _run(self, effects: list[fx.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, fx.Write):
                self._write(effect.data)
            elif isinstance(effect, fx.Persist) and self._link is not None:
                self._run(self._link.persisted())
            elif isinstance(effect, fx.StartTimer):
                self._timer.start(effect.seconds)
            elif isinstance(effect, fx.MessageDone):
                self._line.health.messages += 1
            elif isinstance(effect, fx.Notice):
                self._line.trouble(ASTM[effect.problem])

    def _answer(self, blocks: list[mllp.Block]) -> None:
        for block in blocks:
            self._count += 1
            self._line.health.messages += 1
            for ack in acks(block.message, stored=True, now=datetime.now().astimezone(), number=self._count):
                self._write(mllp.frame(ack))


def _transport(args: argparse.Namespace) -> Transport:
    if args.serial:
        return place.serial(args.serial, args.baud, args.frame)
    return place.tcp(args.listen or args.tcp, listen=bool(args.listen))
