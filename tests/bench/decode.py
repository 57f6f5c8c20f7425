"""``./dev bench decode``: bytes of a whole session into typed records, in sessions a second of one core's own time.

Processor time, so that a busy machine says nearly the same as a quiet one; ``share`` compares with the floor of the same minute: splitting
the same frames with ``str.split`` and checking their sums, nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from common.instruments.decode import decode
from tests.bench.common import arguments, emit

CODES = "WBC RBC HGB HCT MCV MCH MCHC PLT RDW-CV PDW MPV P-LCR NEUT# LYMPH# MONO# EO# BASO# NEUT% LYMPH% MONO% EO% BASO% RET% IG# IG%"


def session() -> list[bytes]:
    """The frames of a 25-analyte blood count, a record a frame; every value is invented."""
    records = ["H|\\^&|||XN-1000^00-22^12345^^^^12345||||||||E1394-97", "P|1|||P000001|^WANG^XIAO||19800101|M"]
    records.append("O|1||^^              S0000001^B|" + "\\".join(f"^^^^{code}" for code in CODES.split()) + "||20260105|||||N")
    for number, code in enumerate(CODES.split(), 1):
        records.append(f"R|{number}|^^^^{code}^1|{number * 1.37:.2f}|10*3/uL||N||F||lab||20260105080000")
    frames = []
    for at, record in enumerate([*records, "L|1|N"], 1):
        body = f"{at % 8}{record}\r\x03".encode()
        frames.append(b"\x02" + body + b"%02X\r\n" % (sum(body) & 0xFF))
    return frames


def message() -> bytes:
    """An ORU^R01 with the same results."""
    obx = "".join(f"OBX|{n}|NM|{code}^{code}^L||{n * 1.37:.2f}|10*3/uL||N|||F\r" for n, code in enumerate(CODES.split(), 1))
    return f"\x0bMSH|^~\\&|A|B|||20260105||ORU^R01|1|P|2.3.1\rPID|1||P1||W^X\rOBR|1||S1|CBC\r{obx}\x1c\r".encode()


def floor(frames: list[bytes]) -> list[list[list[str]]]:
    """The least anybody can do with the frames."""
    out = []
    for frame in frames:
        body = frame[1:-4]
        if b"%02X" % (sum(body) & 255) != frame[-4:-2]:
            raise ValueError(frame)
        out.append([field.split("^") for field in body[1:-2].decode().split("|")])
    return out


def rate(work: Callable[[], object], seconds: float) -> float:
    """Best of five rounds, in calls a second of processor time."""
    best = 0.0
    for _ in range(5):
        count, start = 0, time.process_time()
        while (used := time.process_time() - start) < seconds:
            work()
            count += 1
        best = max(best, count / used)
    return best


def main() -> None:
    """Measure and print."""
    seconds = 0.1 if arguments(__doc__) else 1.0
    frames = session()
    data, text = b"\x05" + b"".join(frames) + b"\x04", message()
    for raw in (data, text):
        reading = decode(raw)
        assert not reading.problems and len(reading.messages[0].specimens[0].results) == 25
    least = rate(lambda: floor(frames), seconds)
    astm = rate(lambda: decode(data), seconds)
    emit("decode ASTM, 25 analytes, sessions/s", round(astm), "7500", floor=round(least), share=round(astm / least, 2))
    emit("decode HL7 ORU, 25 OBX, messages/s", round(rate(lambda: decode(text), seconds)), "-", floor=round(least))


if __name__ == "__main__":
    main()
