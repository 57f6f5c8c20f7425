"""A simulated hospital information system: sends orders now and then, takes reports and acknowledges them.

    python -m cloud.demo.his --hospital rm --listen PORT --lab HOST:PORT [--ca FILE] --data DIR [--every SECONDS]

One hospital's HIS speaks OML^O21 in UTF-8 over TLS, the other one's ORM^O01 in GB18030 in the clear. Every person is
invented. What it received lies in DIR, a file a report.
"""

import argparse
import json
import random
import signal
import ssl
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from cloud.demo import catalog_data, people_data
from cloud.ports.mllp import MllpClient, MllpServer, Peer, SendFailed
from common.protocol.hl7.mllp import Block

CHINA = ZoneInfo("Asia/Shanghai")
FIRST_BURST = 4  # orders at the very first start, so that there is something to see
UNKNOWN_EVERY = 12  # each so many orders one has a code that the laboratory does not know
RETRY_SECONDS = 2.0


@dataclass(frozen=True)
class Dialect:
    """How one hospital's system writes."""

    kind: str
    version: str
    charset: str
    encoding: str


DIALECTS = {
    "rm": Dialect("OML^O21^OML_O21", "2.5.1", "UNICODE UTF-8", "utf-8"),
    "zx": Dialect("ORM^O01", "2.4", "GB18030", "gb18030"),
}
BY_CODE = {row.code: row for row in catalog_data.ORDER_SETS}


def order_message(hospital: people_data.Hospital, number: int, now: datetime, dice: random.Random) -> bytes:
    """The order of that number: who and what is drawn from `dice`."""
    dialect = DIALECTS[hospital.code]
    patient = dice.choice(people_data.PATIENTS[hospital.code])
    doctor = dice.choice(people_data.DOCTORS[hospital.code])
    visit, place, kind = dice.choice((("O", "门诊", "O"), ("O", "门诊", "O"), ("I", "内一病区^12^03", "I"), ("E", "急诊", "E")))
    codes = dice.sample(sorted(BY_CODE), dice.choice((1, 1, 2, 3)))
    stamp = now.astimezone(CHINA).strftime("%Y%m%d%H%M%S")
    form = f"{hospital.code.upper()}{stamp[:8]}{number:05d}"
    born = datetime.fromisoformat(patient.born).strftime("%Y%m%d%H%M")
    lines = [
        f"MSH|^~\\&|{hospital.source}|{hospital.code}|LIS|LAB|{stamp}||{dialect.kind}|{form}|P|{dialect.version}||||||{dialect.charset}",
        f"PID|1||{patient.number}^^^{hospital.code}^PI~{patient.card}^^^^VC||{patient.name}||{born}|{patient.sex}",
        f"PV1|1|{kind}|{place}|||||||内科|||||||||{visit}{stamp[:8]}{patient.number[1:]}",
    ]
    urgent = "S" if visit == "E" or dice.random() < 0.1 else "R"
    for index, code in enumerate(codes, 1):
        his = catalog_data.HIS_CODES[hospital.code][code]
        name = BY_CODE[code].name
        if number % UNKNOWN_EVERY == 0 and index == 1:
            his, name = "X99001", "院内新开项目（未对照）"
        lines.append(f"ORC|NW|{form}-{index}||{form}|||||{stamp}|||D01^{doctor}")
        lines.append(f"OBR|{index}|{form}-{index}||{his}^{name}^L|{urgent}" + "|" * 22 + f"^^^^^{urgent}")
        lines.append(f"ZPY|{index}|PAID")
    return ("\r".join(lines) + "\r").encode(dialect.encoding)


def acknowledgement(block: bytes, now: datetime) -> bytes:
    """AA for whatever came, with its number."""
    fields = block.split(b"\r", 1)[0].split(b"|")
    control = fields[9] if len(fields) > 9 else b""
    stamp = now.astimezone(CHINA).strftime("%Y%m%d%H%M%S").encode()
    head = b"MSH|^~\\&|HIS|HIS|LIS|LAB|" + stamp + b"||ACK|A" + control + b"|P|2.5.1"
    return head + b"\rMSA|AA|" + control + b"\r"


class His:
    """One hospital's system."""

    def __init__(self, hospital: people_data.Hospital, data: Path, lab: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        self.hospital, self.data = hospital, data
        self.client = MllpClient(*lab, tls=tls, answer_s=15)
        self.data.mkdir(parents=True, exist_ok=True)
        self.dice = random.Random()

    def receive(self, block: Block, _peer: Peer) -> bytes:
        """Keep a report and acknowledge it."""
        now = datetime.now(CHINA)
        (self.data / f"{now:%Y%m%d-%H%M%S-%f}.hl7").write_bytes(block.message)
        print(f"received {len(block.message)} bytes", flush=True)
        return acknowledgement(block.message, now)

    def next_number(self) -> int:
        path = self.data / "last.json"
        number = (json.loads(path.read_text()) if path.exists() else 0) + 1
        path.write_text(json.dumps(number))
        return int(number)

    def send(self, stop: threading.Event) -> None:
        """Send one order; the same message again until it is answered."""
        message = order_message(self.hospital, self.next_number(), datetime.now(CHINA), self.dice)
        while not stop.is_set():
            try:
                answer = self.client.send(message, lambda block: b"MSA|" in block)
            except SendFailed as error:
                print(f"order not answered: {error}", flush=True)
                stop.wait(RETRY_SECONDS)
            else:
                print(f"order answered: {answer.decode('utf-8', 'replace')!r}", flush=True)
                if b"MSA|AE|" not in answer:
                    return
                stop.wait(RETRY_SECONDS)  # the laboratory could not store it: the same message again


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m cloud.demo.his", description="a simulated HIS")
    parser.add_argument("--hospital", choices=sorted(DIALECTS), required=True)
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--lab", required=True, metavar="HOST:PORT")
    parser.add_argument("--ca", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=float, default=60.0)
    args = parser.parse_args(argv)
    hospital = next(h for h in people_data.HOSPITALS if h.code == args.hospital)
    host, _, port = args.lab.rpartition(":")
    tls = ssl.create_default_context(cafile=str(args.ca)) if args.ca else None
    his = His(hospital, args.data, (host, int(port)), tls)
    stop = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    server = MllpServer(his.receive)
    server.listen("127.0.0.1", args.listen)
    first = not (his.data / "last.json").exists()
    for _ in range(FIRST_BURST if first else 1):
        his.send(stop)
    while not stop.wait(args.every):
        his.send(stop)
    server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
