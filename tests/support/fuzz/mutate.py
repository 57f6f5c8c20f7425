"""A plain mutation engine: seeded, so that a run can be repeated; used where atheris is not, and in the test suite."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

SLOW_SECONDS = 1.0
"""Processor time above which an input is a finding: a hostile byte stream must not stop a line."""
LONGEST = 6000


@dataclass(frozen=True)
class Finding:
    """An input that made a parser raise or take too long."""

    data: bytes
    what: str


def mutated(seeds: Sequence[bytes], tokens: Sequence[bytes], runs: int, seed: int, longest: int = LONGEST) -> Iterator[bytes]:
    """``runs`` inputs: seeds changed in one to six places, spliced, cut, repeated."""
    rng = random.Random(seed)
    for _ in range(runs):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 6)):
            data = _change(data, seeds, tokens, rng)
        if len(data) > longest:  # its head, and some of the rest: an end should not always be cut
            at = rng.randint(longest // 2, len(data) - longest // 2)
            data = data[: longest // 2] + data[at : at + longest // 2]
        yield bytes(data)


def _change(data: bytearray, seeds: Sequence[bytes], tokens: Sequence[bytes], rng: random.Random) -> bytearray:
    at = rng.randint(0, len(data))
    end = min(len(data), at + rng.randint(1, 40))
    way = rng.randrange(8)
    if way == 0 and data:
        data[at % len(data)] ^= 1 << rng.randrange(8)
    elif way == 1 and data:
        data[at % len(data)] = rng.choice((0, 0x0A, 0x0D, 0x1C, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    elif way == 2:
        data[at:at] = rng.choice(tokens)
    elif way == 3:
        del data[at:end]
    elif way == 4:
        data[at:at] = data[at:end] * rng.randint(1, 30)
    elif way == 5:
        data[at:end] = rng.choice(tokens) * rng.randint(1, 5)
    elif way == 6:
        other = rng.choice(seeds)
        data[at:] = other[rng.randint(0, len(other)) :]
    else:
        data[at:at] = rng.randbytes(rng.randint(1, 12))
    return data


def run(target: Callable[[bytes], None], inputs: Iterator[bytes]) -> tuple[int, float, list[Finding]]:
    """Executions, the slowest one's processor seconds, and what was found (at most 20)."""
    count, slowest = 0, 0.0
    found: list[Finding] = []
    for data in inputs:
        start = time.thread_time()
        try:
            target(data)
        except Exception as error:
            found.append(Finding(data, f"{type(error).__name__}: {error}"))
        used = time.thread_time() - start
        slowest = max(slowest, used)
        if used > SLOW_SECONDS:
            found.append(Finding(data, f"{used:.1f} s"))
        count += 1
        if len(found) >= 20:
            break
    return count, slowest, found
