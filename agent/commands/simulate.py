"""`simulate`: play an analyzer from a file, over TCP or a serial line. Prints what was acknowledged and ordered."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from agent.commands import place
from agent.config import Connection, Transport
from agent.simulator import PLAYERS, Player, Script, load, play, respecimen, specimens, standalone_line, vary
from agent.transport.serial_port import SerialLine
from agent.transport.tcp import TcpDial, TcpListen
from common.errors import UserError
from common.say import say

CONNECT_SECONDS = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("file", type=Path, help="抓取、记录或 HL7 文件 (capture, bare records or HL7)")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--tcp", metavar="HOST:PORT", help="代理的地址 (the agent's address)")
    where.add_argument("--serial", metavar="DEVICE", help="串口 (serial device)")
    parser.add_argument("--listen", action="store_true", help="在 --tcp 地址上等待代理连接 (wait for the agent to dial)")
    parser.add_argument("--repeat", type=int, default=1, help="发送几遍 (how often)")
    parser.add_argument("--vary-specimen", action="store_true", help="每遍换标本号 (another specimen each time)")
    parser.add_argument("--specimen", help="把文件中的标本号换成这个 (use this specimen id)")
    parser.add_argument("--start", type=int, default=1, help="第一个变化序号 (first number for --vary-specimen)")
    parser.add_argument("--pause", type=float, default=0.0, help="两遍之间的秒数 (seconds between)")
    parser.add_argument("--wait", type=float, default=0.0, help="结束后再等几秒，接收申请 (seconds to stay for orders)")
    parser.add_argument("--baud", type=int, default=9600)
    parser.add_argument("--frame", default="8N1", help="串口格式 (data bits, parity, stop bits)")


def main(args: argparse.Namespace) -> int:
    """Play; 0 when everything was acknowledged, 1 when not, 2 when nothing could be played."""
    try:
        data = args.file.read_bytes()
    except OSError as error:
        raise UserError("simulate.file", say("读不出文件 {file}：{why}。", file=args.file, why=error.strerror)) from error
    script = load(data)
    if args.specimen:
        script = _respecimen(script, args.specimen)
    good = asyncio.run(_simulate(args, script))
    return 0 if good else 1


def _respecimen(script: Script, specimen: str) -> Script:
    messages = []
    for message in script.messages:
        for sid in specimens(message):
            message = respecimen(message, sid.encode(), specimen.encode())
        messages.append(message)
    return Script(script.protocol, tuple(messages))


async def _simulate(args: argparse.Namespace, script: Script) -> bool:
    loop = asyncio.get_running_loop()
    connection = Connection("sim", "sim", "", script.protocol, _transport(args))
    connected: asyncio.Queue[Player] = asyncio.Queue()
    player_class = PLAYERS.get(script.protocol, Player)

    def opened(line: Any, write: Any, peer: str) -> Player:
        player = player_class(line, write, peer)
        connected.put_nowait(player)
        return player

    kinds: dict[str, Any] = {"tcp-dial": TcpDial, "tcp-listen": TcpListen, "serial": SerialLine}
    line = standalone_line(connection, loop)
    carrier = loop.create_task(kinds[connection.transport.type](line, opened).run())
    try:
        player = await asyncio.wait_for(connected.get(), CONNECT_SECONDS)
    except TimeoutError:
        why = line.health.last_error or say("对方未连接")
        raise UserError("simulate.connect", say("{n} 秒内没有连上：{why}。", n=f"{CONNECT_SECONDS:.0f}", why=why)) from None
    else:
        return await _rounds(args, script, player)
    finally:
        carrier.cancel()
        await asyncio.gather(carrier, return_exceptions=True)


async def _rounds(args: argparse.Namespace, script: Script, player: Player) -> bool:
    good = True
    report: list[dict[str, Any]] = []
    for number in range(args.start, args.start + args.repeat):
        good = await play(player, vary(script, number) if args.vary_specimen else script, report) and good
        if not good:
            break
        await asyncio.sleep(args.pause)
    await asyncio.sleep(args.wait)
    return good


def _transport(args: argparse.Namespace) -> Transport:
    if args.serial:
        return place.serial(args.serial, args.baud, args.frame)
    return place.tcp(args.tcp, listen=args.listen)
