"""What the simulated analyzers say: one tube's results in the words of each model. Pure; all values are drawn, none is a person's."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from cloud.demo.analyzer_data import Channel, Instrument
from cloud.demo.catalog_data import INTERVALS, ITEMS

ABNORMAL = 0.08  # share of values beyond the interval
NEGATIVE, POSITIVES = "-", ("+-", "1+", "2+")
STRIPS = {"U-BLD": "U-RBC", "U-LEU": "U-WBC"}  # what a strip shows and what the counter counts of it
DISAGREE = 0.02  # share of strips that say otherwise than the counter
DECIMALS = {item.code: item.decimals for rows in ITEMS.values() for item in rows}
ENUMS = {item.code for rows in ITEMS.values() for item in rows if item.kind == "enum"}


@dataclass(frozen=True)
class Tube:
    """A tube in a rack: its barcode and the items it is to be measured for."""

    barcode: str
    sex: str
    items: Sequence[str]


@dataclass(frozen=True)
class Measured:
    """One value in the analyzer's own code and unit."""

    channel: Channel
    text: str


def limits(item: str, sex: str) -> tuple[Decimal, Decimal]:
    """An adult's interval, as a frame to draw in."""
    rows = [row for row in INTERVALS if row.item == item and row.sex in (None, sex) and (row.age[0] or 18) >= 18 and row.unit == "year"]
    row = rows[0]
    low = Decimal(row.low) if row.low else Decimal(row.high or "1") * Decimal("0.4")
    high = Decimal(row.high) if row.high else low * 2
    return low, high


def draw(item: str, sex: str, dice: random.Random) -> Decimal:
    """A value in the item's unit, mostly inside the interval."""
    low, high = limits(item, sex if sex in ("M", "F") else "M")
    middle, spread = (low + high) / 2, (high - low) / 5
    value = middle + spread * Decimal(repr(round(dice.gauss(0, 1), 4)))
    if dice.random() < ABNORMAL:
        value = high * Decimal("1.3") if dice.random() < 0.5 else low * Decimal("0.7")
    return max(value, low / 10)


def coherent(values: dict[str, Decimal]) -> dict[str, Decimal]:
    """Values as one specimen would have them: drawn one by one they contradict each other, and the bench rightly holds that (M07 R8)."""
    v = dict(values)
    shares = [v[c] for c in ("LYMPH%", "MONO%", "EO%", "BASO%") if c in v]
    if "NEUT%" in v and len(shares) == 4:
        v["NEUT%"] = Decimal(100) - sum(shares, Decimal(0))
    if "HGB" in v and "HCT" in v:
        v["HCT"] = v["HGB"] * 3 / 1000
    if "MCHC" in v:
        v["MCHC"] = min(v["MCHC"], Decimal(366))
    for whole, part in (("TBIL", "DBIL"), ("TP", "ALB")):
        if whole in v and part in v:
            v[part] = min(v[part], v[whole] * Decimal("0.7"))
    if {"TC", "HDL-C", "LDL-C"} <= v.keys():
        v["TC"] = max(v["TC"], v["HDL-C"] + v["LDL-C"] + Decimal("0.4"))
    if "PT" in v and "INR" in v:
        v["INR"] = v["PT"] / 12
    return v


def measure(instrument: Instrument, tube: Tube, dice: random.Random) -> list[Measured]:
    """A value for each item of the tube that the analyzer has a channel for."""
    wanted = [c.item for c in instrument.channels if c.item in tube.items and c.item not in ENUMS]
    drawn = coherent({item: draw(item, tube.sex, dice) for item in dict.fromkeys(wanted)})
    out = []
    for channel in instrument.channels:
        if channel.item not in tube.items:
            continue
        if channel.item in ENUMS:
            out.append(Measured(channel, _strip(channel.item, tube.sex, drawn, dice)))
            continue
        value = drawn[channel.item] / Decimal(channel.factor)
        places = max(DECIMALS[channel.item] - _shift(Decimal(channel.factor)), 0)
        out.append(Measured(channel, str(value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))))
    return out


def _strip(item: str, sex: str, counted: Mapping[str, Decimal], dice: random.Random) -> str:
    """A field of a strip; where the counter saw the same cells, mostly as it did."""
    seen = counted.get(STRIPS.get(item, ""))
    if seen is None:
        return dice.choice(POSITIVES) if dice.random() < ABNORMAL else NEGATIVE
    above = seen > limits(STRIPS[item], sex)[1]
    return POSITIVES[1] if above is not (dice.random() < DISAGREE) else NEGATIVE


def _shift(factor: Decimal) -> int:
    """How many decimals a factor of ten takes away: 10 → -1 (g/dL has one more than g/L), 0.01 → 2."""
    return -factor.adjusted()


def message(instrument: Instrument, tube: Tube, values: Sequence[Measured], at: datetime, number: int) -> bytes:
    """The whole message, without its link layer."""
    writers: Mapping[str | None, object] = {"sysmex_xn": _counter, "mindray_bs": _chemistry}
    writer = writers.get(instrument.driver, _plain)
    text: str = writer(tube, values, at.strftime("%Y%m%d%H%M%S"), number)  # type: ignore[operator]
    return text.encode("ascii")


def _counter(tube: Tube, values: Sequence[Measured], at: str, number: int) -> str:
    tests = "\\".join(f"^^^^{v.channel.code}" for v in values)
    lines = ["H|\\^&|||    XN-DEMO^00-24^10001^^^^AA000001||||||||E1394-97", "P|1", "C|1||"]
    lines.append(f"O|1||1^{number % 10 + 1}^{tube.barcode:>22}^B|{tests}|||||||N||||||||||||||F")
    lines += [f"R|{i}|^^^^{v.channel.code}^1|{v.text}|{v.channel.unit}||N||F||||{at}" for i, v in enumerate(values, 1)]
    lines += [f"R|{i}|^^^^{name}^1|{curve}|||N||F||||{at}" for i, (name, curve) in enumerate(_histograms(values), len(values) + 1)]
    return "\r".join([*lines, "L|1|N", ""])


_PEAKS = {"WBC": ((14, 4, 9), (38, 8, 6)), "RBC": ((30, 7, 10),), "PLT": ((12, 6, 10),)}
"""Channel → (middle, width, height) of the hills its histogram has; 64 bars. Shapes for a demonstration, no physiology."""


def _histograms(values: Sequence[Measured]) -> list[tuple[str, str]]:
    out = []
    for v in values:
        hills = _PEAKS.get(v.channel.code)
        if hills:
            size = float(v.text) ** 0.5
            bars = [sum(h * size * math.exp(-(((x - m) / w) ** 2)) for m, w, h in hills) for x in range(64)]
            out.append((f"HIST_{v.channel.code}", ";".join(f"{bar:.1f}" for bar in bars)))
    return out


def _plain(tube: Tube, values: Sequence[Measured], at: str, number: int) -> str:
    tests = "\\".join(f"^^^{v.channel.code}" for v in values)
    lines = [f"H|\\^&|{number}||DEMO^1.0|||||||P|1|{at}", "P|1", f"O|1|{tube.barcode}||{tests}|R||||||N||||||||||||||F"]
    lines += [f"R|{i}|^^^{v.channel.code}|{v.text}|{v.channel.unit}||N||F||||{at}" for i, v in enumerate(values, 1)]
    return "\r".join([*lines, "L|1|N", ""])


def _chemistry(tube: Tube, values: Sequence[Measured], at: str, number: int) -> str:
    lines = [f"MSH|^~\\&|Mindray|BS-DEMO|||{at}||ORU^R01|{number}|P|2.3.1||||0||ASCII|||", "PID|1"]
    lines.append(f"OBR|1|{tube.barcode}|{number}|Mindray^BS-DEMO|N||{at}||||||||serum")
    lines += [
        f"OBX|{i}|NM|{v.channel.code}|{v.channel.item}|{v.text}|{v.channel.unit}||N|||F||{v.text}|{at}|||" for i, v in enumerate(values, 1)
    ]
    return "\r".join([*lines, ""])
