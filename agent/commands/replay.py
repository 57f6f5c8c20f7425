"""`replay FILE`: run a recorded session through the link layer and the reader, and with --data into a sandbox journal.

Live data is never touched: a folder that belongs to an enrolled or running agent is refused.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from agent.channels.base import iso, now_ms
from agent.channels.sentences import ASTM, MLLP
from agent.config import DataDir
from agent.journal import Journal
from agent.lock import is_locked
from agent.outline import outline
from agent.recorded import pieces
from agent.rows import Outgoing
from common.errors import UserError
from common.instruments.decode import decode, protocol_of
from common.protocol.astm import effects as fx
from common.protocol.astm.link import Link
from common.protocol.hl7 import mllp
from common.say import say

# What one recorded session became: its bytes, how many frames, whether it is whole, what the link said.
Session = tuple[bytes, int, bool, list[str]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("file", type=Path, help="录制的字节 (recorded bytes)")
    parser.add_argument("--driver", help="驱动 (driver id)")
    parser.add_argument("--encoding", help="字符集 (encoding)")
    parser.add_argument("--text", action="store_true", help="给人看的文字，不是 JSON (lines for a person instead of JSON)")
    parser.add_argument("--data", type=Path, help="沙箱目录，写入一份日志库 (sandbox folder)")


def main(args: argparse.Namespace) -> int:
    """Replay; 0 when every session was whole, 1 when not."""
    try:
        data = args.file.read_bytes()
    except OSError as error:
        raise UserError("replay.file", say("读不出文件 {file}：{why}。", file=args.file, why=error.strerror)) from error
    parts = pieces(data)
    each = [(session, part) for part in parts for session in split(part.body)]
    sessions = [session for session, _ in each]
    for (body, frames, complete, problems), part in each:
        reading = decode(body, args.driver or part.driver, args.encoding or part.encoding, part.site)
        if args.text:
            print(f"—— {frames} 帧 (frames)，{'完整 (whole)' if complete else '不完整 (incomplete)'}", *problems, sep="\n! ")
            print(*outline(reading, body), sep="\n")
            continue
        line = {"frames": frames, "complete": complete, "link": problems, **reading.to_json()}
        print(json.dumps(line, ensure_ascii=False))
    if args.data is not None:
        _store(args.data, sessions, protocol_of(parts[0].body if parts else b""))
    return 0 if sessions and all(complete for _, _, complete, _ in sessions) else 1


def split(data: bytes) -> list[Session]:
    """The sessions of a recording, as the live link would have taken them."""
    protocol = protocol_of(data)
    if protocol == "hl7":
        deframer = mllp.Deframer()
        blocks = deframer.receive(data) + deframer.close()
        return [(b.raw, 1, b.complete, [MLLP[b.problem]] if b.problem else []) for b in blocks]
    if protocol == "astm" and b"\x05" in data:
        return _astm(data)
    return [(data, 1, True, [])]


def _astm(data: bytes) -> list[Session]:
    link = Link()
    found: list[Session] = []
    notices: list[str] = []

    def run(effects: list[fx.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, fx.Persist):
                run(link.persisted())
            elif isinstance(effect, fx.Notice):
                notices.append(ASTM[effect.problem])
            elif isinstance(effect, fx.MessageDone):
                problems = notices + [ASTM[p] for p in effect.problems]
                found.append((effect.body, effect.frames, effect.complete, problems))
                notices.clear()

    run(link.receive(data))
    run(link.lost())
    return found


def _store(folder: Path, sessions: list[Session], protocol: str) -> None:
    sandbox = DataDir(folder)
    if sandbox.file("identity.json").exists() or sandbox.file("local.json").exists() or is_locked(sandbox.lock):
        raise UserError("replay.live", say("{folder} 是一个代理的数据目录，不能用作沙箱。", folder=folder))
    sandbox.create()
    journal = Journal(sandbox.journal)
    now = now_ms()
    for body, frames, complete, problems in sessions:
        meta = {"protocol": protocol, "complete": complete, "frames": frames, "problems": problems, "replayed": iso(now)}
        journal.message(Outgoing("replay", body, now, meta))
    journal.close()
